//! Why one action is planned: what both ends have, which line of the site file asks for it, what it waits for.

#![deny(clippy::wildcard_enum_match_arm)]

use std::collections::BTreeMap;
use std::path::PathBuf;

use crate::plan::action::kinds::Effect;
use crate::plan::action::{Action, Address, ReusedFiles};
use crate::plan::backup::selection::Selector;
use crate::plan::explain::asked_by::AskedBy;
use crate::plan::explain::{Explained, Explainer};
use crate::plan::order::graph::Phase;
use crate::plan::reason::Reason;
use crate::plan::saved::preconditions::{Precondition, Side, Value};
use crate::site::model::WalsFrom;
use crate::site::{KeyPath, Quotes};

use super::ink::clean;
use super::table::Mark;
use super::tree::step_words;
use super::units::bytes;
use super::{diff, reason};
use crate::english::{count, list};

/// So many addresses are named in a sentence.
const NAMED: usize = 4;
/// So many files are.
const NAMED_FILES: usize = 12;

/// Where a site file asks for a replica.
#[derive(Clone, Copy)]
pub struct Origin<'a> {
    /// The file.
    pub file: Quotes<'a>,
    /// The replica's place in it, or that of the mirror that stands for it.
    pub replica: &'a KeyPath,
}

/// One paragraph about an action.
pub fn explain(known: &Explained<'_>, asked: Origin<'_>) -> String {
    let action = known.action;
    let mut sentences = vec![format!("{}: {}.", action.address, sentence(action))];
    sentences.extend(files(action).into_iter().map(|text| capitalised(&text)));
    sentences.extend(rewritten(action));
    sentences.extend(ends(&known.preconditions));
    sentences.extend(asked.asked_by(&known.asked_by));
    sentences.extend(order(known));
    clean(&sentences.join(" "))
}

/// One paragraph about a thing that no action is about.
pub fn explain_thing(
    address: &str,
    preconditions: &[Precondition],
    asked_by: &[AskedBy],
    lacking: &[String],
    asked: Origin<'_>,
) -> String {
    let mut sentences = vec![format!("{address}: nothing is planned for it.")];
    sentences.extend(lacking.iter().map(|text| format!("{}.", capitalised(text))));
    sentences.extend(ends(preconditions));
    sentences.extend(asked.asked_by(asked_by));
    clean(&sentences.join(" "))
}

/// For each action of a plan why it is there, in short.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Whys(BTreeMap<Address, String>);

impl Whys {
    /// Adds what is known of one replica's actions.
    pub fn add(&mut self, explainer: &Explainer<'_>, replica: usize, asked: Origin<'_>) {
        let brief = |known: Explained<'_>| (known.action.address.clone(), brief(&known, asked));
        self.0.extend(explainer.of_replica(replica).map(brief));
    }

    /// Why an action is there, as far as that is known.
    pub fn of(&self, address: &Address) -> Option<&str> {
        self.0.get(address).map(String::as_str)
    }
}

fn brief(known: &Explained<'_>, asked: Origin<'_>) -> String {
    let mut parts = asked.in_short(&known.asked_by);
    let neighbours = &known.neighbours;
    for (others, verb) in [(&neighbours.needs, "needs"), (&neighbours.after, "waits for")] {
        match others.as_slice() {
            [] => {}
            [only] => parts.push(format!("{verb} {only}")),
            many => parts.push(format!("{verb} {}", count(many.len() as u64, "other action"))),
        }
    }
    match neighbours.waiting.as_slice() {
        [] => {}
        [only] => parts.push(format!("{only} waits for it")),
        many => parts.push(format!("{} wait for it", count(many.len() as u64, "action"))),
    }
    parts.join("; ")
}

/// What is done, and the reason.
fn sentence(action: &Action) -> String {
    format!("{}; {}", step_words(action, Phase::Whole), reason::phrase(action, None))
}

/// The files that an action is about, where the plan tells: a line each for what is damaged and what is reused.
pub fn files(action: &Action) -> Vec<String> {
    let damaged = if let Reason::FilesDamaged(files) = &action.reason { files.as_slice() } else { &[] };
    let damaged = (damaged.len() > 1).then(|| format!("missing or damaged: {}.", named_files(damaged)));
    // Of those of a repair only the damaged ones matter, and they are named.
    let reuse = action.change.effect().published().and_then(|copy| copy.reuse.as_ref());
    damaged.into_iter().chain(reuse.map(reused)).collect()
}

fn reused(reuse: &ReusedFiles) -> String {
    let files = count(reuse.files.len() as u64, "file");
    format!("{files} of {} ({}) are reused: {}.", reuse.from, bytes(reuse.bytes), named_files(&reuse.files))
}

fn named_files(files: &[PathBuf]) -> String {
    let names: Vec<String> = files.iter().map(|file| reason::shown(file)).collect();
    bounded(&names, NAMED_FILES)
}

/// What a backup.info says and what it will say, where they differ.
fn rewritten(action: &Action) -> Vec<String> {
    let Effect::Info(_, [from, to]) = action.change.effect() else { return Vec::new() };
    let lines = diff::lines(from, to, false);
    let side = |mark: Mark, head: &str| {
        let lines = lines.iter().filter(|line| line.mark == Some(mark));
        let lines: Vec<String> = lines.map(|line| format!("`{}`", line.text)).collect();
        (!lines.is_empty()).then(|| format!("{head} {}.", bounded(&lines, NAMED)))
    };
    [side(Mark::Remove, "Here it says"), side(Mark::Add, "It will say")].into_iter().flatten().collect()
}

/// What is at the primary and what is here.
fn ends(preconditions: &[Precondition]) -> Vec<String> {
    let side = |side: Side, head: &str| {
        let told = preconditions
            .iter()
            .filter(|precondition| precondition.side == side && precondition.value != Value::AsPlanned);
        let told: Vec<String> = told.map(super::preconditions::precondition).collect();
        (!told.is_empty()).then(|| format!("{head}, {}.", told.join("; ")))
    };
    [side(Side::Primary, "At the primary"), side(Side::Here, "Here")].into_iter().flatten().collect()
}

/// What it needs before, and what waits for it.
fn order(known: &Explained<'_>) -> Vec<String> {
    let names = |addresses: &[&Address]| {
        let names: Vec<String> = addresses.iter().map(ToString::to_string).collect();
        bounded(&names, NAMED)
    };
    let neighbours = &known.neighbours;
    let mut sentences = Vec::new();
    if neighbours.needs.is_empty() && neighbours.after.is_empty() {
        sentences.push("It needs nothing before.".to_owned());
    }
    if !neighbours.needs.is_empty() {
        let verb = if known.action.change.effect().published().is_some() { "is published after" } else { "needs" };
        sentences.push(format!("It {verb} {}.", names(&neighbours.needs)));
    }
    if !neighbours.after.is_empty() {
        sentences.push(format!("It begins when {} ended, well or not.", names(&neighbours.after)));
    }
    match neighbours.waiting.len() {
        0 => sentences.push("Nothing waits for it.".to_owned()),
        n => {
            sentences.push(format!("{} {} for it.", names(&neighbours.waiting), if n == 1 { "waits" } else { "wait" }));
        }
    }
    sentences
}

impl Origin<'_> {
    /// A sentence for each asked_by, with the line of the file that makes it.
    fn asked_by(&self, asked_by: &[AskedBy]) -> Vec<String> {
        let sentence = |(thing, asked_by)| {
            let words = words(asked_by, thing);
            match asked_by.path(self.replica).map(|path| self.file.quote(&path)) {
                None => format!("{words}."),
                Some(Some(quoted)) => format!("{words} ({quoted})."),
                Some(None) => format!("{words} (the default, as {} says nothing else).", self.file.name),
            }
        };
        with_things(asked_by).map(sentence).map(|text| capitalised(&text)).collect()
    }

    /// The same, with the number of the line alone.
    fn in_short(&self, asked_by: &[AskedBy]) -> Vec<String> {
        let part = |(thing, asked_by)| {
            let words = words(asked_by, thing);
            match asked_by.path(self.replica).map(|path| self.file.place(&path)) {
                None => words,
                Some(Some(place)) => format!("{words} ({place})"),
                Some(None) => format!("{words} (the default)"),
            }
        };
        with_things(asked_by).map(part).collect()
    }
}

/// What each asked_by is about: the action's own thing, until another backup is named.
fn with_things(asked_by: &[AskedBy]) -> impl Iterator<Item = (&'static str, AskedBy)> {
    asked_by.iter().scan("it", |thing, asked_by| {
        let current = *thing;
        if matches!(asked_by, AskedBy::NeededBy(_) | AskedBy::Selected(Selector::Follows(_))) {
            *thing = "that backup";
        }
        Some((current, *asked_by))
    })
}

/// What asks for a thing.
fn words(asked_by: AskedBy, thing: &str) -> String {
    match asked_by {
        AskedBy::Replica => "the site file asks for the replica".to_owned(),
        AskedBy::Selected(Selector::All) => format!("`backups: all` asks for {thing}"),
        AskedBy::Selected(Selector::Rule(_, rule)) => format!("`{rule}` of `backups` selects {thing}"),
        AskedBy::Selected(Selector::Kept) => format!("{thing} is kept, and a kept backup is always wanted"),
        AskedBy::Selected(Selector::Carries(child)) => format!("the kept backup {child} builds on {thing}"),
        AskedBy::Selected(Selector::Follows(root)) => {
            format!("{thing} is wanted with backup {root}, which it builds on")
        }
        AskedBy::Stays => format!("nothing selects {thing}, and nothing allows to delete it"),
        AskedBy::NeededBy(id) => format!("backup {id} is not consistent without {thing}"),
        AskedBy::WalsFrom(WalsFrom::BackupsOnly, _) => {
            "`wals.from: backups-only` asks for what makes backups consistent".to_owned()
        }
        AskedBy::WalsFrom(from, first) => {
            let of = first.map_or_else(String::new, |id| format!(" ({id})"));
            let word = if from == WalsFrom::NewestBackup { "newest-backup" } else { "oldest-backup" };
            format!("`wals.from: {word}` asks for all WAL from that backup{of} on")
        }
        AskedBy::PruneUnselected => "`prune.unselected` allows to delete what `backups` leaves out".to_owned(),
        AskedBy::PruneGone => "`prune.gone_at_primary` allows to delete what the primary no longer has".to_owned(),
        AskedBy::CleanUp => "what an interrupted copy left and nobody will finish is always deleted".to_owned(),
    }
}

/// Some of many names, and how many more there are.
fn bounded(names: &[String], most: usize) -> String {
    if names.len() <= most {
        return list(names);
    }
    let mut shown: Vec<String> = names.iter().take(most - 1).cloned().collect();
    shown.push(format!("{} more", names.len() - shown.len()));
    list(&shown)
}

fn capitalised(text: &str) -> String {
    let mut chars = text.chars();
    chars.next().map_or_else(String::new, |first| first.to_uppercase().collect::<String>() + chars.as_str())
}

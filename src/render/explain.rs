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
use crate::plan::saved::preconditions::{Precondition, Side, Value};
use crate::site::model::WalsFrom;
use crate::site::{KeyPath, Quotes};

use super::ink::{clean, wrap};
use super::table::Mark;
use super::tree::step_words;
use super::units::bytes;
use super::{diff, reason};
use crate::english::{count, list};

/// So many addresses or lines of a file are shown, and so many files; one less where there are more, with their number.
const NAMED: usize = 4;

/// Where a site file asks for a replica.
#[derive(Clone, Copy)]
pub struct Origin<'a> {
    /// The file.
    pub file: Quotes<'a>,
    /// The replica's place in it, or that of the mirror that stands for it.
    pub replica: &'a KeyPath,
}

/// What is known of an action, laid out for a terminal of so many columns.
pub fn explain(known: &Explained<'_>, asked: Origin<'_>, columns: usize) -> String {
    let action = known.action;
    let mut parts = vec![Part::new("why", asked.asked_by(&known.asked_by)), Part::new("files", files(action))];
    parts.extend(rewritten(action));
    parts.extend(ends(&known.preconditions));
    parts.extend(order(known));
    laid_out(action.address.as_str(), &[sentence(action)], &parts, columns)
}

/// What is known of a thing that no action is about, in the same way.
pub fn explain_thing(
    address: &str,
    preconditions: &[Precondition],
    asked_by: &[AskedBy],
    lacking: &[String],
    asked: Origin<'_>,
    columns: usize,
) -> String {
    let mut parts = vec![Part::new("why", asked.asked_by(asked_by))];
    parts.extend(ends(preconditions));
    let nothing = std::iter::once("nothing is planned for it".to_owned());
    let sentences: Vec<String> = nothing.chain(lacking.iter().cloned()).collect();
    laid_out(address, &sentences, &parts, columns)
}

/// Things that are said under one head.
struct Part {
    head: &'static str,
    items: Vec<String>,
}

impl Part {
    fn new(head: &'static str, items: Vec<String>) -> Self {
        Self { head, items }
    }
}

/// An address, sentences about it, and below them parts with their heads in a column of their own.
fn laid_out(address: &str, sentences: &[String], parts: &[Part], columns: usize) -> String {
    const INDENT: &str = "  ";
    let parts: Vec<&Part> = parts.iter().filter(|part| !part.items.is_empty()).collect();
    let heads = parts.iter().map(|part| part.head.len()).max().unwrap_or(0);
    let mut lines = vec![clean(address)];
    for sentence in sentences {
        lines.extend(wrap(sentence, columns.saturating_sub(INDENT.len())).iter().map(|line| format!("{INDENT}{line}")));
    }
    if !parts.is_empty() {
        lines.push(String::new());
    }
    for part in parts {
        let mut head = part.head;
        for item in &part.items {
            let mut indent = "";
            for line in wrap(item, columns.saturating_sub(heads + 3 * INDENT.len())) {
                lines.push(format!("{INDENT}{head:heads$}{INDENT}{indent}{line}"));
                (head, indent) = ("", INDENT);
            }
        }
    }
    lines.join("\n")
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
    let damaged = action.reason.damaged_files();
    let damaged =
        (damaged.len() > 1).then(|| format!("{} missing or damaged: {}", damaged.len(), named_files(damaged)));
    // Of those of a repair only the damaged ones matter, and they are named.
    let reuse = action.change.effect().published().and_then(|copy| copy.reuse.as_ref());
    damaged.into_iter().chain(reuse.map(reused)).collect()
}

fn reused(reuse: &ReusedFiles) -> String {
    let files = count(reuse.files.len() as u64, "file");
    format!("{files} of {} ({}) are reused: {}", reuse.from, bytes(reuse.bytes), named_files(&reuse.files))
}

fn named_files(files: &[PathBuf]) -> String {
    list(&bounded(files.iter().map(|file| reason::shown(file)).collect()))
}

/// What a backup.info says and what it will say, where they differ.
fn rewritten(action: &Action) -> Vec<Part> {
    let Effect::Info(_, [from, to]) = action.change.effect() else { return Vec::new() };
    let lines = diff::lines(from, to, false);
    let side = |mark: Mark, head| {
        let lines = lines.iter().filter(|line| line.mark == Some(mark));
        Part::new(head, bounded(lines.map(|line| format!("`{}`", line.text)).collect()))
    };
    vec![side(Mark::Remove, "it says"), side(Mark::Add, "it will say")]
}

/// What is at the primary and what is here.
fn ends(preconditions: &[Precondition]) -> Vec<Part> {
    let side = |side: Side, head| {
        let told = preconditions
            .iter()
            .filter(|precondition| precondition.side == side && precondition.value != Value::AsPlanned);
        Part::new(head, told.map(super::preconditions::precondition).collect())
    };
    vec![side(Side::Primary, "at the primary"), side(Side::Here, "here")]
}

/// What it needs before, and what waits for it.
fn order(known: &Explained<'_>) -> Vec<Part> {
    let part =
        |head, addresses: &[&Address]| Part::new(head, bounded(addresses.iter().map(ToString::to_string).collect()));
    let neighbours = &known.neighbours;
    let needs = if known.action.change.effect().published().is_some() { "published after" } else { "needs" };
    let or_nothing = |part: Part, is_nothing: bool| {
        if is_nothing { Part::new(part.head, vec!["nothing".to_owned()]) } else { part }
    };
    let needs_nothing = neighbours.needs.is_empty() && neighbours.after.is_empty();
    vec![
        or_nothing(part(needs, &neighbours.needs), needs_nothing),
        part("begins after", &neighbours.after),
        or_nothing(part("waits for it", &neighbours.waiting), neighbours.waiting.is_empty()),
    ]
}

impl Origin<'_> {
    /// What asks for it, each with the line of the file that says so.
    fn asked_by(&self, asked_by: &[AskedBy]) -> Vec<String> {
        let sentence = |(thing, asked_by)| {
            let words = words(asked_by, thing);
            match asked_by.path(self.replica).map(|path| self.file.quote(&path)) {
                None => words,
                Some(Some(quoted)) => format!("{words} ({quoted})"),
                Some(None) => format!("{words} (the default, as {} says nothing else)", self.file.name),
            }
        };
        with_things(asked_by).map(sentence).collect()
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
fn bounded(mut names: Vec<String>) -> Vec<String> {
    if names.len() > NAMED {
        let more = names.split_off(NAMED - 1).len();
        names.push(format!("{more} more"));
    }
    names
}

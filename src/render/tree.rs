//! Actions become rows: what a backup needs hangs under it, and many of a kind become a few.

#![deny(clippy::wildcard_enum_match_arm)]

use std::collections::{BTreeMap, BTreeSet};

use crate::barman::ids::BackupId;
use crate::barman::wal::SegmentSize;
use crate::plan::ReplicaPlan;
use crate::plan::action::kinds::Effect;
use crate::plan::action::words::Verb;
use crate::plan::action::{Action, BackupCopy};
use crate::plan::cost::totals::Things;
use crate::plan::order::graph::Phase;

use super::explain::{Whys, files};
use super::table::{Branch, Detail, Mark, Row};
use super::units::bytes;
use super::{diff, reason};
use crate::english::{count, exact, plural};

/// More rows of a kind than this are not all shown.
const MANY: usize = 20;
/// So many of them are.
const SHOWN: usize = 12;

/// The rows of a replica, in the plan's order except that what a backup needs follows it.
pub fn rows(replica: &ReplicaPlan, whys: &Whys, verbose: bool) -> Vec<Row> {
    let copied: BTreeSet<BackupId> = replica.actions.iter().filter_map(copied_backup).collect();
    let parent = |action: &Action| belongs_to(action).filter(|id| copied.contains(id));
    let mut twigs: BTreeMap<BackupId, Vec<&Action>> = BTreeMap::new();
    let mut trunk: Vec<&Action> = Vec::new();
    for action in &replica.actions {
        match parent(action) {
            Some(id) => twigs.entry(id).or_default().push(action),
            None => trunk.push(action),
        }
    }
    let builder = Builder { size: segment_size(replica), whys, verbose };
    let mut rows = Vec::new();
    for run in trunk.chunk_by(|a, b| is_alike(a, b)) {
        if run.first().is_none_or(|action| copied_backup(action).is_none()) {
            rows.extend(builder.run(run, None));
            continue;
        }
        let (shown, hidden) = builder.shown(run);
        for backup in shown {
            let hanging = copied_backup(backup).and_then(|id| twigs.remove(&id)).unwrap_or_default();
            rows.extend(builder.backup(backup, &hanging));
        }
        rows.extend((!hidden.is_empty()).then(|| more_backups(hidden)));
    }
    rows
}

/// The size of a replica's WAL segments; 16 MiB where nobody could be asked.
pub fn segment_size(replica: &ReplicaPlan) -> SegmentSize {
    replica.target.as_ref().map(|target| target.segment_size).unwrap_or_default()
}

/// What happens to an action's thing.
pub fn mark(action: &Action) -> Mark {
    match action.verb() {
        Verb::Add => Mark::Add,
        Verb::Repair | Verb::Update => Mark::Mend,
        Verb::Prune => Mark::Remove,
    }
}

/// The backup that an action copies.
fn copied_backup(action: &Action) -> Option<BackupId> {
    action.change.effect().copied().map(|copy| copy.id)
}

/// The backup that an action is done for.
fn belongs_to(action: &Action) -> Option<BackupId> {
    match action.change.effect() {
        Effect::Keep(id, _) | Effect::Info(id, _) | Effect::Links(id) => Some(id),
        Effect::WalsCome(batch) => batch.needed_by,
        Effect::Server
        | Effect::List
        | Effect::History(_)
        | Effect::BackupComes(_)
        | Effect::FilesCome(_)
        | Effect::WalsGo(..)
        | Effect::BackupGoes { .. }
        | Effect::StagingGoes(_) => None,
    }
}

/// Whether two neighbours may be shown as one. A backup that goes is always shown: somebody must agree to it.
fn is_alike(a: &Action, b: &Action) -> bool {
    let goes = |action: &Action| matches!(action.change.effect(), Effect::BackupGoes { .. });
    let needed_by = |action: &Action| action.change.effect().shipped().and_then(|batch| batch.needed_by);
    mark(a) == mark(b)
        && std::mem::discriminant(&a.change) == std::mem::discriminant(&b.change)
        && !goes(a)
        && needed_by(a) == needed_by(b)
}

struct Builder<'a> {
    size: SegmentSize,
    whys: &'a Whys,
    verbose: bool,
}

impl Builder<'_> {
    /// Of neighbours that are alike those that are shown, and the others.
    fn shown<'r, 'a>(&self, run: &'r [&'a Action]) -> (&'r [&'a Action], &'r [&'a Action]) {
        run.split_at(if self.verbose || run.len() <= MANY { run.len() } else { SHOWN })
    }

    /// The rows of neighbours that are alike.
    fn run(&self, run: &[&Action], under: Option<BackupId>) -> Vec<Row> {
        let (shown, hidden) = self.shown(run);
        let mut rows: Vec<Row> = shown.iter().map(|action| self.row(action, under)).collect();
        rows.extend((!hidden.is_empty()).then(|| more(hidden, branch(under))));
        rows
    }

    /// The rows of a backup, and of what is done for it.
    fn backup(&self, backup: &Action, hanging: &[&Action]) -> Vec<Row> {
        let id = copied_backup(backup);
        let mut rows = vec![Row { has_twigs: !hanging.is_empty(), ..self.row(backup, None) }];
        rows.extend(hanging.chunk_by(|a, b| is_alike(a, b)).flat_map(|run| self.run(run, id)));
        if let Some(last) = rows.last_mut().filter(|_| !hanging.is_empty()) {
            last.branch = Branch::LastTwig;
        }
        rows
    }

    fn row(&self, action: &Action, under: Option<BackupId>) -> Row {
        Row {
            branch: branch(under),
            mark: mark(action),
            noun: self.noun(action),
            size: size(action),
            reason: reason::phrase(action, under),
            details: self.details(action),
            has_twigs: false,
        }
    }

    /// The address without the replica, as words; a range of WAL in the form for readers.
    fn noun(&self, action: &Action) -> String {
        let effect = action.change.effect();
        let shipped = || effect.shipped().and_then(|batch| batch.range);
        let range = if let Effect::WalsGo(range, _) = effect { range } else { shipped() };
        match range {
            Some(range) => format!("wal {}", range.display(self.size)),
            None => action.address.as_str().split('/').skip(1).collect::<Vec<_>>().join(" "),
        }
    }

    fn details(&self, action: &Action) -> Vec<Detail> {
        let mut details = self.own_details(action);
        if self.verbose {
            details.extend(dim(files(action)));
            let why = self.whys.of(&action.address).map(|why| format!(": {why}")).unwrap_or_default();
            details.extend(dim(vec![format!("{}{why}", action.address)]));
        }
        details
    }

    fn own_details(&self, action: &Action) -> Vec<Detail> {
        match action.change.effect() {
            Effect::BackupComes(copy) => dim(copy_details(copy)),
            Effect::FilesCome(_) => dim(vec!["copies only what is missing or differs".to_owned()]),
            Effect::List => dim(reason::findings(&action.reason)),
            Effect::Info(_, [from, to]) => diff::lines(from, to, self.verbose),
            Effect::Server
            | Effect::History(_)
            | Effect::WalsCome(_)
            | Effect::WalsGo(..)
            | Effect::Links(_)
            | Effect::Keep(..)
            | Effect::BackupGoes { .. }
            | Effect::StagingGoes(_) => Vec::new(),
        }
    }
}

fn branch(under: Option<BackupId>) -> Branch {
    if under.is_some() { Branch::Twig } else { Branch::Trunk }
}

fn dim(lines: Vec<String>) -> Vec<Detail> {
    lines.into_iter().map(|text| Detail { mark: None, text }).collect()
}

/// Where a backup's bytes come from.
fn copy_details(copy: &BackupCopy) -> Vec<String> {
    let mut details = Vec::new();
    if let Some(parent) = copy.parent {
        details.push(format!("incremental, builds on {parent}"));
    }
    if copy.adopt {
        details.push("takes over the files that Barman left here, copies what they lack".to_owned());
    }
    if copy.resume {
        details.push("goes on with what an interrupted apply copied".to_owned());
    }
    if let Some(reuse) = &copy.reuse {
        let rest = copy.size.saturating_sub(reuse.bytes);
        let compared = reuse.compared.min(rest);
        let mut detail = format!("reuses {} of {}, copies {}", bytes(reuse.bytes), reuse.from, bytes(rest - compared));
        if compared > 0 {
            detail += &format!(" and what differs in {}", bytes(compared));
        }
        details.push(detail);
    }
    details
}

/// What a step does, and how much it is: `ship 48 segments, 768 MiB`
pub fn step_words(action: &Action, phase: Phase) -> String {
    let words = action.change.deed(phase);
    if phase == Phase::Publish {
        return words.to_do.to_owned();
    }
    let size = match action.change.effect().published().filter(|copy| copy.reuse.is_some()) {
        // What is taken from another backup here does not come over the wire.
        Some(copy) => format!("{} of {}", bytes(action.bytes_to_copy()), bytes(copy.size)),
        None => size(action),
    };
    if size.is_empty() { words.to_do.to_owned() } else { format!("{} {size}", words.to_do) }
}

/// How much an action is about.
pub fn size(action: &Action) -> String {
    let traffic = action.change.traffic();
    match action.change.effect() {
        Effect::WalsCome(batch) => wal_size(batch.segments(), traffic.bytes_to_copy),
        Effect::WalsGo(_, files) => wal_size(Things::wals(files.keys().copied()).wal_segments, traffic.bytes_freed),
        // Without a manifest nobody knows how much is damaged.
        Effect::FilesCome(copy) if copy.size == 0 => String::new(),
        Effect::BackupComes(copy) | Effect::FilesCome(copy) => bytes(copy.size),
        Effect::BackupGoes { size, .. } => size.map(bytes).unwrap_or_default(),
        Effect::History(_) => bytes(traffic.bytes_to_copy),
        Effect::Keep(_, to) => reason::keep(to).to_owned(),
        Effect::Server | Effect::List | Effect::Info(..) | Effect::Links(_) | Effect::StagingGoes(_) => String::new(),
    }
}

fn wal_size(segments: u64, total: u64) -> String {
    match segments {
        0 | 1 => bytes(total),
        _ => format!("{}, {}", count(segments, "segment"), bytes(total)),
    }
}

/// One row for the backups that are not shown.
fn more_backups(hidden: &[&Action]) -> Row {
    let copies = hidden.iter().filter_map(|action| action.change.effect().copied());
    Row {
        branch: Branch::Trunk,
        mark: Mark::More,
        noun: format!("and {} more backups", exact(hidden.len() as u64)),
        size: bytes(copies.map(|copy| copy.size).sum()),
        reason: "`-v` shows them, and the WAL that they need".to_owned(),
        details: Vec::new(),
        has_twigs: false,
    }
}

/// One row for those that are not shown.
fn more(hidden: &[&Action], branch: Branch) -> Row {
    let n = hidden.len() as u64;
    let things = |action: &&Action| action.change.things(&action.reason);
    let is_wal = |things: &Things| things.wal_segments + things.wal_files > 0;
    let noun = if hidden.first().map(things).is_some_and(|things| is_wal(&things)) {
        plural(n, "range")
    } else {
        String::new()
    };
    let files = hidden.iter().map(things).map(|things| things.wal_segments).sum();
    let traffic = hidden.iter().map(|action| action.change.traffic());
    let total = traffic.map(|traffic| traffic.bytes_to_copy.saturating_add(traffic.bytes_freed)).sum();
    Row {
        branch,
        mark: Mark::More,
        noun: format!("and {} more {noun}", exact(n)).trim_end().to_owned(),
        size: if files > 0 { wal_size(files, total) } else { String::new() },
        reason: "`-v` shows them".to_owned(),
        details: Vec::new(),
        has_twigs: false,
    }
}

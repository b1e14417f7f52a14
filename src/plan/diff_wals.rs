//! Diff: which WAL a replica is to have, what it lacks, and what it may lose.
//!
//! Always a set difference over what is really on disk, never a watermark.

use std::collections::BTreeMap;

use crate::barman::history::HistoryFile;
use crate::barman::ids::BackupId;
use crate::barman::wal::{Segment, SegmentSize, Timeline, WalName};
use crate::barman::wal_entry::WalEntry;
use crate::barman::wal_set::{WalRange, WalSet};
use crate::observe::inventory::{PrimaryInventory, ReplicaInventory};
use crate::site::model::{Policy, WalsFrom};

use super::action::WalBatch;
use super::diff_backups::Kept;
use super::reason::{Note, XlogFinding};
use super::window::needed;

/// What becomes of the WAL of one replica.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct WalDiff {
    /// What is not here, newest recoverable point first.
    pub missing: Vec<WalBatch>,
    /// What is here with another size, in the same order.
    pub differing: Vec<WalBatch>,
    /// History files that are not here, or differ.
    pub histories: Vec<MissingHistory>,
    /// What is wrong with xlog.db.
    pub xlogdb: Vec<XlogFinding>,
    /// What is here and no kept backup needs, in order.
    pub unneeded: Vec<(Option<WalRange>, BTreeMap<WalName, u64>)>,
    /// What is not done, and why.
    pub notes: Vec<Note>,
}

/// A history file that is shipped.
#[derive(Debug, Clone, PartialEq)]
pub struct MissingHistory {
    /// Its timeline.
    pub timeline: Timeline,
    /// What the primary's xlog.db says of it.
    pub entry: Option<WalEntry>,
    /// Its size at the primary.
    pub there: u64,
    /// Its size here, when it is here.
    pub here: Option<u64>,
}

/// Compares the archives at both ends, given the backups that the site will have.
pub fn diff(
    policy: &Policy,
    primary: &PrimaryInventory,
    replica: &ReplicaInventory,
    kept: &BTreeMap<BackupId, Kept>,
    size: SegmentSize,
) -> WalDiff {
    let wanted = Wanted::new(policy, kept);
    let groups = Groups::new(kept);
    let on_offer = |entry: &&WalEntry| wanted.covers(entry.name) && !primary.gone.contains(&entry.name);
    let (mut missing, mut differing) = (Vec::new(), Vec::new());
    for entry in primary.wals.iter().filter(on_offer) {
        match replica.wals.get(&entry.name) {
            None => missing.push(*entry),
            Some(here) if *here != entry.size => differing.push(*entry),
            Some(_) => {}
        }
    }
    let mut diff = WalDiff {
        histories: missing_histories(primary, replica),
        xlogdb: xlogdb_findings(primary, replica, &missing),
        notes: gap_notes(primary, replica, kept, size),
        ..WalDiff::default()
    };
    diff.notes.extend(listed_and_gone(primary, replica, &wanted));
    diff.missing = groups.batches(&missing, replica, size);
    diff.differing = groups.batches(&differing, replica, size);
    if policy.prune.unselected || policy.prune.gone_at_primary {
        let unneeded: Vec<(WalName, u64)> =
            replica.wals.iter().filter(|(name, _)| !wanted.covers(**name)).map(|(n, s)| (*n, *s)).collect();
        diff.unneeded = runs(&unneeded, |item| item.0, size)
            .into_iter()
            .map(|(range, files)| (range, files.into_iter().collect()))
            .collect();
    }
    diff
}

/// What is wanted, and the primary's xlog.db lists, and neither end has. What a backup needs is told with it.
fn listed_and_gone(primary: &PrimaryInventory, replica: &ReplicaInventory, wanted: &Wanted) -> Option<Note> {
    let is_told = |name: WalName| segment_of(name).is_some_and(|segment| wanted.makes_consistent(segment));
    let is_nowhere = |name: WalName| primary.gone.contains(&name) && !replica.wals.contains_key(&name);
    let names = primary.wals.iter().map(|entry| entry.name);
    let mut gone = names.filter(|name| is_nowhere(*name) && wanted.covers(*name) && !is_told(*name));
    let first = gone.next()?;
    Some(Note::ListedAndGone { count: 1 + gone.count() as u64, first })
}

/// The WAL that the kept backups ask for.
struct Wanted {
    /// Everything from this name on; `None`: nothing but `needed`.
    from: Option<Segment>,
    /// Everything, as there is no backup to count from.
    everything: bool,
    /// What makes each kept backup consistent: first and last name.
    needed: Vec<(Segment, Segment)>,
}

impl Wanted {
    fn new(policy: &Policy, kept: &BTreeMap<BackupId, Kept>) -> Self {
        let needed = kept.values().filter_map(|k| Some((k.facts.begin_wal?, k.facts.end_wal?))).collect();
        let begins = || kept.values().filter(|k| !k.is_standalone()).filter_map(|k| k.facts.begin_wal);
        let from = match policy.wals_from {
            // Barman counts from the smallest name as well, so that both list the same WAL.
            WalsFrom::OldestBackup => begins().min(),
            WalsFrom::NewestBackup => begins().next_back(),
            WalsFrom::BackupsOnly => None,
        };
        Self { from, everything: kept.is_empty() && policy.wals_from != WalsFrom::BackupsOnly, needed }
    }

    /// Whether a file is wanted. A history file always is: without it no later timeline can be entered.
    fn covers(&self, name: WalName) -> bool {
        let Some(segment) = segment_of(name) else { return true };
        self.everything || self.from.is_some_and(|from| segment >= from) || self.makes_consistent(segment)
    }

    /// Whether a kept backup is not consistent without a segment.
    fn makes_consistent(&self, segment: Segment) -> bool {
        self.needed.iter().any(|(first, last)| *first <= segment && segment <= *last)
    }
}

/// The segment that a file is, or belongs to.
pub fn segment_of(name: WalName) -> Option<Segment> {
    match name {
        WalName::Segment(segment) | WalName::Partial(segment) | WalName::BackupLabel { segment, .. } => Some(segment),
        WalName::History(_) => None,
    }
}

/// The order in which WAL is shipped: what makes the newest backup consistent, what follows it, then the same for
/// each older one, and at last what no kept backup begins before.
struct Groups {
    /// Newest backup first: its id, its first and last segment.
    backups: Vec<(BackupId, Segment, Segment)>,
}

impl Groups {
    fn new(kept: &BTreeMap<BackupId, Kept>) -> Self {
        let backups =
            kept.iter().rev().filter_map(|(id, k)| Some((*id, k.facts.begin_wal?, k.facts.end_wal?))).collect();
        Self { backups }
    }

    /// The place in the order, and the backup that needs the segment.
    fn place(&self, segment: Segment) -> (usize, Option<BackupId>) {
        for (i, (id, first, last)) in self.backups.iter().enumerate() {
            if *first <= segment && segment <= *last {
                return (2 * i, Some(*id));
            }
        }
        let follows = self.backups.iter().position(|(_, _, last)| *last < segment);
        (follows.map_or(2 * self.backups.len(), |i| 2 * i + 1), None)
    }

    fn batches(&self, entries: &[WalEntry], replica: &ReplicaInventory, size: SegmentSize) -> Vec<WalBatch> {
        let mut groups: BTreeMap<(usize, Option<BackupId>), Vec<WalEntry>> = BTreeMap::new();
        for entry in entries {
            if let Some(segment) = segment_of(entry.name) {
                groups.entry(self.place(segment)).or_default().push(*entry);
            }
        }
        let batch = |needed_by, (range, entries): (Option<WalRange>, Vec<WalEntry>)| {
            let here = entries.iter().filter_map(|e| Some((e.name, *replica.wals.get(&e.name)?))).collect();
            WalBatch { range, entries, here, needed_by }
        };
        groups
            .into_iter()
            .flat_map(|((_, needed_by), entries)| {
                runs(&entries, |entry| entry.name, size).into_iter().map(move |run| batch(needed_by, run))
            })
            .collect()
    }
}

/// Cuts sorted files into runs of consecutive segments; a label or partial file goes with the segment before it.
fn runs<T: Clone>(items: &[T], name: impl Fn(&T) -> WalName, size: SegmentSize) -> Vec<(Option<WalRange>, Vec<T>)> {
    let mut runs: Vec<(Option<WalRange>, Vec<T>)> = Vec::new();
    for item in items {
        let name = name(item);
        let number = segment_of(name).and_then(|s| s.number(size)).unwrap_or_default();
        let is_segment = name.segment().is_some();
        match runs.last_mut() {
            Some((Some(range), files))
                if range.timeline == name.timeline() && number == range.last + u64::from(is_segment) =>
            {
                range.last = number;
                files.push(item.clone());
            }
            _ => {
                let range = is_segment.then_some(WalRange { timeline: name.timeline(), first: number, last: number });
                runs.push((range, vec![item.clone()]));
            }
        }
    }
    runs
}

fn missing_histories(primary: &PrimaryInventory, replica: &ReplicaInventory) -> Vec<MissingHistory> {
    let is_here = |history: &HistoryFile| replica.wals.get(&WalName::History(history.timeline)) == Some(&history.size);
    primary
        .histories
        .values()
        .filter(|history| !is_here(history))
        .map(|history| {
            let name = WalName::History(history.timeline);
            MissingHistory {
                timeline: history.timeline,
                entry: find(&primary.wals, name).copied(),
                there: history.size,
                here: replica.wals.get(&name).copied(),
            }
        })
        .collect()
}

pub fn find(sorted: &[WalEntry], name: WalName) -> Option<&WalEntry> {
    sorted.binary_search_by_key(&name, |entry| entry.name).ok().and_then(|i| sorted.get(i))
}

/// What is wrong with the file itself, and where it disagrees with the disk or with the primary.
fn xlogdb_findings(primary: &PrimaryInventory, replica: &ReplicaInventory, missing: &[WalEntry]) -> Vec<XlogFinding> {
    let lines = &replica.xlogdb.entries;
    let count = |n: usize| n as u64;
    let not_listed = replica.wals.keys().filter(|name| find(lines, **name).is_none()).count();
    // A line whose file is shipped by this plan becomes true by itself.
    let is_shipped = |name| {
        find(missing, name).is_some() || matches!(name, WalName::History(t) if primary.histories.contains_key(&t))
    };
    let not_on_disk =
        lines.iter().filter(|line| !replica.wals.contains_key(&line.name) && !is_shipped(line.name)).count();
    let differs = lines
        .iter()
        .filter(|line| {
            find(&primary.wals, line.name)
                .is_some_and(|there| there != *line && replica.wals.get(&line.name) == Some(&there.size))
        })
        .count();
    let mut findings = replica.xlogdb.findings.clone();
    // Of a file that is not there, nothing else needs saying.
    if !findings.contains(&XlogFinding::Missing) {
        let counted = [
            (not_listed, XlogFinding::NotListed(count(not_listed))),
            (not_on_disk, XlogFinding::NotOnDisk(count(not_on_disk))),
            (differs, XlogFinding::Differs(count(differs))),
        ];
        findings.extend(counted.into_iter().filter(|(n, _)| *n > 0).map(|(_, finding)| finding));
    }
    findings
}

/// Gaps that nobody can close: what a kept backup needs and neither end has, and what is broken here and gone there.
fn gap_notes(
    primary: &PrimaryInventory,
    replica: &ReplicaInventory,
    kept: &BTreeMap<BackupId, Kept>,
    size: SegmentSize,
) -> Vec<Note> {
    let (mut obtainable, mut truncated) = (WalSet::new(), Vec::new());
    for (name, bytes) in &replica.wals {
        let Some(segment) = name.segment() else { continue };
        let there = find(&primary.wals, *name);
        let listed = find(&replica.xlogdb.entries, *name).map_or(*bytes, |line| line.size);
        if there.is_none() && listed != *bytes {
            truncated.push(*name);
        } else if let Some(number) = segment.number(size) {
            obtainable.insert_segment(segment.timeline, number);
        }
    }
    for entry in primary.wals.iter().filter(|entry| !primary.gone.contains(&entry.name)) {
        if let Some((segment, number)) = entry.name.segment().and_then(|s| Some((s, s.number(size)?))) {
            obtainable.insert_segment(segment.timeline, number);
        }
    }
    let mut notes = Vec::new();
    for (id, backup) in kept.iter().rev() {
        let Some(range) = needed(&backup.facts) else { continue };
        let gone = WalSet::from_iter([range]).difference(&obtainable);
        if !gone.is_empty() {
            notes.push(Note::GoneAtBothEnds { backup: *id, ranges: gone.ranges().collect() });
        }
    }
    if let Some(first) = truncated.first() {
        notes.push(Note::TruncatedAndGone { count: truncated.len() as u64, first: first.to_string() });
    }
    notes
}

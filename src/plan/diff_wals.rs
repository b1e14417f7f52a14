//! Diff: which WAL a replica is to have, what it lacks, and what it may lose.
//!
//! Always a set difference over what is really on disk, never a watermark.

use std::collections::BTreeMap;

use crate::barman::history::HistoryFile;
use crate::barman::ids::BackupId;
use crate::barman::version::BarmanVersion;
use crate::barman::wal::{Segment, SegmentSize, Timeline, WalName};
use crate::barman::wal_entry::WalEntry;
use crate::barman::wal_set::{WalRange, WalSet};
use crate::barman::xlogdb::FIVE_FIELDS;
use crate::observe::inventory::{PrimaryInventory, ReplicaInventory};
use crate::site::model::Policy;

use super::action::WalBatch;
use super::diff_backups::{BackupDiff, Kept};
use super::order::{Places, Stage};
use super::reason::{Note, XlogFinding};
use super::wal_files::{WalFile, find, wal_files};
use super::wanted::Wanted;
use super::window::{Segments, needed};

/// What becomes of the WAL of one replica.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct WalDiff {
    /// What is not here, by the number of the stage that it is shipped in.
    pub missing: BTreeMap<usize, Vec<WalBatch>>,
    /// What is here with another size, in the same way.
    pub differing: BTreeMap<usize, Vec<WalBatch>>,
    /// History files that are not here, or differ.
    pub histories: Vec<MissingHistory>,
    /// What is wrong with xlog.db.
    pub xlogdb: Vec<XlogFinding>,
    /// What is here and no kept backup needs, in order.
    pub unneeded: Vec<(Option<WalRange>, BTreeMap<WalName, u64>)>,
    /// The whole segments that will be here.
    pub after: Segments,
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
    backups: &BackupDiff,
    size: SegmentSize,
) -> WalDiff {
    let scope = Scope { wanted: Wanted::new(policy, primary, &backups.kept), primary, barman: replica.barman };
    let mut found = Found {
        after: Segments::of_sizes(backups.kept.values().map(|kept| kept.facts.segment_size)),
        ..Found::default()
    };
    for file in wal_files(Some(primary), replica) {
        found.count_lines(&file, &scope);
        found.sort(&file, &scope.fate(&file));
    }
    let cutter = Cutter { stages: &backups.stages, places: Places::new(&backups.stages, &backups.kept), replica, size };
    WalDiff {
        missing: cutter.batches(&found.missing),
        differing: cutter.batches(&found.differing),
        histories: missing_histories(primary, replica),
        xlogdb: found.xlogdb_findings(replica),
        unneeded: runs(&found.unneeded, |item| item.0, size)
            .into_iter()
            .map(|(range, files)| (range, files.into_iter().collect()))
            .collect(),
        notes: gap_notes(&backups.kept, &found),
        after: found.after,
    }
}

/// The segment that a file is, or belongs to.
fn segment_of(name: WalName) -> Option<Segment> {
    match name {
        WalName::Segment(segment) | WalName::Partial(segment) | WalName::BackupLabel { segment, .. } => Some(segment),
        WalName::History(_) => None,
    }
}

/// What the fate of a WAL file depends on.
struct Scope<'a> {
    wanted: Wanted,
    primary: &'a PrimaryInventory,
    /// The version of Barman to write for.
    barman: BarmanVersion,
}

/// What becomes of a WAL file.
enum Fate {
    /// It stays as it is, here or away.
    Stays,
    /// It is shipped.
    Missing(WalEntry),
    /// It is shipped again.
    Differs(WalEntry),
    /// It is broken here, and there is nothing to repair it with.
    Broken,
    /// The primary lists it, and neither end has it.
    Gone,
    /// It goes; its bytes.
    Unneeded(u64),
}

impl Scope<'_> {
    fn fate(&self, file: &WalFile<'_>) -> Fate {
        // History files are few and always wanted: they are compared with the primary's directory, not with its list.
        let Some(segment) = segment_of(file.name) else { return Fate::Stays };
        if !self.wanted.covers(segment) {
            return file.here.filter(|_| self.wanted.may_prune).map_or(Fate::Stays, Fate::Unneeded);
        }
        match (file.here, file.there.filter(|there| self.is_on_offer(there))) {
            (None, Some(there)) => Fate::Missing(*there),
            (Some(here), Some(there)) if here != there.size => Fate::Differs(*there),
            (Some(_), _) if !file.is_intact() => Fate::Broken,
            (None, None) if file.there.is_some() => Fate::Gone,
            _ => Fate::Stays,
        }
    }

    /// Whether the primary can send it. An empty file is damage there, and must not replace anything here.
    fn is_on_offer(&self, there: &WalEntry) -> bool {
        there.size > 0 && !self.primary.gone.contains(&there.name)
    }

    /// Whether a line whose file is not here becomes true by what is shipped.
    fn is_shipped(&self, file: &WalFile<'_>) -> bool {
        match file.name {
            WalName::History(timeline) => self.primary.histories.get(&timeline).is_some_and(|there| there.size > 0),
            _ => matches!(self.fate(file), Fate::Missing(_)),
        }
    }

    /// Whether a line says what the primary says, as far as it can: older Barmans know no encryption.
    fn is_same(&self, line: &WalEntry, there: &WalEntry) -> bool {
        let encryption = if self.barman < FIVE_FIELDS { line.encryption } else { there.encryption };
        *line == WalEntry { encryption, ..*there }
    }
}

/// What a pass over both archives found.
#[derive(Default)]
struct Found {
    missing: Vec<WalEntry>,
    differing: Vec<WalEntry>,
    broken: Vec<WalName>,
    gone: Vec<WalName>,
    unneeded: Vec<(WalName, u64)>,
    after: Segments,
    not_listed: u64,
    not_on_disk: u64,
    line_differs: u64,
}

impl Found {
    fn sort(&mut self, file: &WalFile<'_>, fate: &Fate) {
        let will_be_whole = match fate {
            Fate::Stays => file.is_intact(),
            Fate::Missing(_) | Fate::Differs(_) => true,
            Fate::Broken | Fate::Gone | Fate::Unneeded(_) => false,
        };
        if let Some(segment) = file.name.segment().filter(|_| will_be_whole) {
            self.after.insert(segment);
        }
        match fate {
            Fate::Stays => {}
            Fate::Missing(there) => self.missing.push(*there),
            Fate::Differs(there) => self.differing.push(*there),
            Fate::Broken => self.broken.push(file.name),
            Fate::Gone => self.gone.push(file.name),
            Fate::Unneeded(bytes) => self.unneeded.push((file.name, *bytes)),
        }
    }

    /// Compares a line of xlog.db with the disk and with the primary.
    fn count_lines(&mut self, file: &WalFile<'_>, scope: &Scope<'_>) {
        match (file.line, file.here) {
            (None, Some(_)) => self.not_listed += 1,
            (Some(_), None) if !scope.is_shipped(file) => self.not_on_disk += 1,
            // Where the sizes differ, the file is wrong rather than its line; an empty file tells nothing.
            (Some(line), Some(here)) => {
                let differs = |there: &WalEntry| here > 0 && there.size == here && !scope.is_same(line, there);
                self.line_differs += u64::from(file.there.is_some_and(differs));
            }
            _ => {}
        }
    }

    /// What is wrong with the file itself, and where it disagrees with the disk or with the primary.
    fn xlogdb_findings(&self, replica: &ReplicaInventory) -> Vec<XlogFinding> {
        let mut findings = replica.xlogdb.findings.clone();
        // Of a file that is not there, nothing else needs saying.
        if !findings.contains(&XlogFinding::Missing) {
            let counted = [
                (self.not_listed, XlogFinding::NotListed(self.not_listed)),
                (self.not_on_disk, XlogFinding::NotOnDisk(self.not_on_disk)),
                (self.line_differs, XlogFinding::Differs(self.line_differs)),
            ];
            findings.extend(counted.into_iter().filter(|(count, _)| *count > 0).map(|(_, finding)| finding));
        }
        findings
    }
}

/// Cuts what is shipped into batches: by stage, and within a stage into consecutive segments.
struct Cutter<'a> {
    stages: &'a [Stage],
    places: Places,
    replica: &'a ReplicaInventory,
    size: SegmentSize,
}

impl Cutter<'_> {
    fn batches(&self, entries: &[WalEntry]) -> BTreeMap<usize, Vec<WalBatch>> {
        let mut by_stage: BTreeMap<usize, Vec<WalEntry>> = BTreeMap::new();
        for entry in entries {
            let stage = segment_of(entry.name).map(|segment| self.places.of(segment));
            by_stage.entry(stage.unwrap_or_default()).or_default().push(*entry);
        }
        by_stage.into_iter().map(|(stage, entries)| (stage, self.cut(stage, &entries))).collect()
    }

    fn cut(&self, stage: usize, entries: &[WalEntry]) -> Vec<WalBatch> {
        let needed_by = match self.stages.get(stage) {
            Some(Stage::Backup(id)) => Some(*id),
            _ => None,
        };
        let batch = |(range, entries): (Option<WalRange>, Vec<WalEntry>)| {
            let here = entries.iter().filter_map(|e| Some((e.name, *self.replica.wals.get(&e.name)?))).collect();
            WalBatch { range, entries, here, needed_by }
        };
        runs(entries, |entry| entry.name, self.size).into_iter().map(batch).collect()
    }
}

/// Cuts sorted files into runs of consecutive segments; a label or partial file goes with its segment. Files that
/// have no place in a range are gathered into runs without one.
fn runs<T: Clone>(items: &[T], name: impl Fn(&T) -> WalName, size: SegmentSize) -> Vec<(Option<WalRange>, Vec<T>)> {
    let mut runs: Vec<(Option<WalRange>, Vec<T>)> = Vec::new();
    let mut timeline = None;
    for item in items {
        let name = name(item);
        let is_segment = name.segment().is_some();
        let number = segment_of(name).and_then(|segment| segment.number(size));
        let last = runs.last_mut().filter(|_| timeline == Some(name.timeline()));
        timeline = Some(name.timeline());
        match (last, number) {
            (Some((Some(range), files)), Some(number)) if number == range.last + u64::from(is_segment) => {
                range.last = number;
                files.push(item.clone());
            }
            (Some((None, files)), number) if number.is_none() || !is_segment => files.push(item.clone()),
            (_, number) => {
                let range = |first| WalRange { timeline: name.timeline(), first, last: first };
                runs.push((number.filter(|_| is_segment).map(range), vec![item.clone()]));
            }
        }
    }
    runs
}

fn missing_histories(primary: &PrimaryInventory, replica: &ReplicaInventory) -> Vec<MissingHistory> {
    let missing = |history: &HistoryFile| {
        let name = WalName::History(history.timeline);
        let here = replica.wals.get(&name).copied();
        (history.size > 0 && here != Some(history.size)).then(|| MissingHistory {
            timeline: history.timeline,
            entry: find(&primary.wals, name).copied(),
            there: history.size,
            here,
        })
    };
    primary.histories.values().filter_map(missing).collect()
}

/// Gaps that nobody can close: what a kept backup needs and neither end has, and what is broken here and gone there.
fn gap_notes(kept: &BTreeMap<BackupId, Kept>, found: &Found) -> Vec<Note> {
    let mut notes = Vec::new();
    for (id, backup) in kept.iter().rev() {
        let Some(range) = needed(&backup.facts) else { continue };
        let Some(present) = found.after.numbered(backup.facts.segment_size) else { continue };
        let gone = WalSet::from_iter([range]).difference(present);
        if !gone.is_empty() {
            notes.push(Note::GoneAtBothEnds { backup: *id, ranges: gone.ranges().collect() });
        }
    }
    let is_told = |segment: Segment| {
        let needed = |kept: &Kept| Some((kept.facts.begin_wal?, kept.facts.end_wal?));
        kept.values().filter_map(needed).any(|(first, last)| first <= segment && segment <= last)
    };
    let mut gone = found.gone.iter().filter(|name| !segment_of(**name).is_some_and(is_told));
    if let Some(first) = gone.next() {
        notes.push(Note::ListedAndGone { count: 1 + gone.count() as u64, first: *first });
    }
    let mut broken = found.broken.iter().filter(|name| name.segment().is_some());
    if let Some(first) = broken.next() {
        notes.push(Note::TruncatedAndGone { count: 1 + broken.count() as u64, first: first.to_string() });
    }
    notes
}

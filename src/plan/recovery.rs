//! What recovery can reach at the site, before and after a plan.

use std::collections::BTreeMap;

use jiff::Timestamp;

use crate::barman::history::HistoryFile;
use crate::barman::wal::{Segment, Timeline, WalName};
use crate::barman::wal_entry::WalEntry;
use crate::observe::inventory::{BackupFacts, PrimaryInventory, ReplicaInventory};

use super::action::{Lag, Recovery};
use super::diff_backups::{self, BackupDiff};
use super::wal_files::{WalFile, find, wal_files};
use super::window::{Archive, Point, Segments, Window, recoverable, window};

/// What recovery can reach now. Without the primary's answer the replica alone tells, and the lag stays unknown.
pub fn before(primary: Option<&PrimaryInventory>, here: &ReplicaInventory) -> Recovery {
    let facts: Vec<&BackupFacts> = here.published().filter(|facts| here.is_whole(facts.id)).collect();
    let segments = present(primary, here, &facts);
    let wals = primary.map_or(&[][..], |primary| &primary.wals);
    let lines = &here.xlogdb.entries;
    Reached { facts, segments: &segments, histories: &here.histories, wals, lines }.recovery()
}

/// The whole segments that are here, numbered as these backups number them.
pub fn present(primary: Option<&PrimaryInventory>, here: &ReplicaInventory, facts: &[&BackupFacts]) -> Segments {
    let mut segments = Segments::of_sizes(facts.iter().map(|facts| facts.segment_size));
    for segment in wal_files(primary, here).filter(WalFile::is_intact).filter_map(|file| file.name.segment()) {
        segments.insert(segment);
    }
    segments
}

/// What recovery will reach when every action of the plan is done, and these segments are here.
pub fn after(
    primary: &PrimaryInventory,
    here: &ReplicaInventory,
    backups: &BackupDiff,
    segments: &Segments,
) -> Recovery {
    let histories = here.histories.iter().chain(&primary.histories).map(|(t, h)| (*t, h.clone())).collect();
    let will_be_whole = |id| diff_backups::is_usable_at(primary, id) || here.is_whole(id);
    let facts = backups.kept.iter().filter(|(id, _)| will_be_whole(**id)).map(|(_, kept)| &kept.facts).collect();
    Reached { facts, segments, histories: &histories, wals: &primary.wals, lines: &here.xlogdb.entries }.recovery()
}

/// Backups and WAL that are, or will be, at the site.
struct Reached<'a> {
    facts: Vec<&'a BackupFacts>,
    segments: &'a Segments,
    histories: &'a BTreeMap<Timeline, HistoryFile>,
    /// What the primary archived.
    wals: &'a [WalEntry],
    /// What xlog.db here says.
    lines: &'a [WalEntry],
}

impl Reached<'_> {
    fn recovery(&self) -> Recovery {
        let recoverable = recoverable(self.facts.iter().copied(), self.segments);
        let window = window(&recoverable, Archive { segments: self.segments, histories: self.histories });
        Recovery {
            window,
            from: window.and_then(|w| recoverable.get(&w.oldest)).and_then(|facts| facts.end_time),
            to: window.and_then(|w| self.archived(w)),
            backups: recoverable.len(),
            lag: self.lag(window),
        }
    }

    /// When the window's last segment was archived, as the primary says or else xlog.db.
    fn archived(&self, window: Window) -> Option<Timestamp> {
        let name = WalName::Segment(segment(window.end, window)?);
        find(self.wals, name).or_else(|| find(self.lines, name)).and_then(archived)
    }

    /// The primary's segments past the window's end, on its timeline and on later ones.
    fn lag(&self, window: Option<Window>) -> Lag {
        let end = window.and_then(|w| segment(w.end, w)).map(WalName::Segment);
        let first = self.wals.partition_point(|entry| Some(entry.name) <= end);
        let later = || self.wals.iter().skip(first).filter(|entry| entry.name.segment().is_some());
        let newest = self.wals.iter().rfind(|entry| entry.name.segment().is_some()).and_then(archived);
        let seconds = match (newest, window.and_then(|w| self.archived(w))) {
            (Some(newest), Some(reached)) if later().next().is_some() => {
                Some((newest.as_second() - reached.as_second()).max(0))
            }
            (Some(_), Some(_)) => Some(0),
            _ => None,
        };
        Lag { segments: later().count() as u64, bytes: later().map(|entry| entry.size).sum(), seconds }
    }
}

fn segment(point: Point, window: Window) -> Option<Segment> {
    Segment::from_number(point.timeline, point.number, window.segment_size)
}

fn archived(entry: &WalEntry) -> Option<Timestamp> {
    // Whole seconds are enough for a reader, and lie far within what a timestamp can hold.
    #[expect(clippy::cast_possible_truncation)]
    Timestamp::from_second(entry.mtime.seconds() as i64).ok()
}

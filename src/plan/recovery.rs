//! What recovery can reach at the site, before and after a plan.

use std::collections::BTreeMap;

use jiff::Timestamp;

use crate::barman::backup_info::Status;
use crate::barman::history::HistoryFile;
use crate::barman::wal::{Segment, Timeline, WalName};
use crate::barman::wal_entry::WalEntry;
use crate::barman::wal_set::WalSet;
use crate::observe::inventory::{BackupFacts, PrimaryInventory, ReplicaInventory};

use super::action::{Lag, Recovery};
use super::diff_backups::BackupDiff;
use super::diff_wals::{WalDiff, find};
use super::window::{Archive, Point, Window, recoverable, window};

/// What recovery can reach now. Without the primary's answer the replica alone tells, and the lag stays unknown.
pub fn before(primary: Option<&PrimaryInventory>, here: &ReplicaInventory) -> Recovery {
    let wals = primary.map_or(&[][..], |primary| &primary.wals);
    let intact = |name: &WalName, bytes: u64| {
        let listed = find(wals, *name).or_else(|| find(&here.xlogdb.entries, *name));
        listed.is_none_or(|entry| entry.size == bytes)
    };
    let present = here.wals.iter().filter(|(name, bytes)| intact(name, **bytes)).map(|(name, _)| *name);
    let facts: Vec<&BackupFacts> = here.published().filter(|facts| here.is_whole(facts.id)).collect();
    Reached { facts, present: present.collect(), histories: &here.histories, wals, lines: &here.xlogdb.entries }
        .recovery()
}

/// What recovery will reach when every action of the plan is done.
pub fn after(primary: &PrimaryInventory, here: &ReplicaInventory, backups: &BackupDiff, wals: &WalDiff) -> Recovery {
    let shipped = wals.missing.iter().chain(&wals.differing).flat_map(|batch| &batch.entries).map(|entry| entry.name);
    let removed = |name: &WalName| wals.unneeded.iter().any(|(_, files)| files.contains_key(name));
    let intact = |name: &WalName, bytes: u64| {
        let listed = find(&primary.wals, *name).or_else(|| find(&here.xlogdb.entries, *name));
        listed.is_none_or(|entry| entry.size == bytes)
    };
    let stays = here.wals.iter().filter(|(name, bytes)| intact(name, **bytes) && !removed(name)).map(|(name, _)| *name);
    let histories = here.histories.iter().chain(&primary.histories).map(|(t, h)| (*t, h.clone())).collect();
    let usable = |id| primary.backups.get(id).is_some_and(super::diff_backups::is_usable) || here.is_whole(*id);
    let facts = backups.kept.iter().filter(|(id, _)| usable(id)).map(|(_, kept)| &kept.facts).collect();
    let present = stays.chain(shipped).collect();
    Reached { facts, present, histories: &histories, wals: &primary.wals, lines: &here.xlogdb.entries }.recovery()
}

/// Backups and WAL that are, or will be, at the site.
struct Reached<'a> {
    facts: Vec<&'a BackupFacts>,
    present: Vec<WalName>,
    histories: &'a BTreeMap<Timeline, HistoryFile>,
    /// What the primary archived.
    wals: &'a [WalEntry],
    /// What xlog.db here says.
    lines: &'a [WalEntry],
}

impl Reached<'_> {
    fn recovery(&self) -> Recovery {
        let size = self.facts.last().map(|facts| facts.segment_size).unwrap_or_default();
        let mut segments = WalSet::new();
        for segment in self.present.iter().filter_map(|name| name.segment()) {
            if let Some(number) = segment.number(size) {
                segments.insert_segment(segment.timeline, number);
            }
        }
        let recoverable = recoverable(self.facts.iter().copied(), &segments);
        let window = window(&recoverable, Archive { segments: &segments, histories: self.histories });
        Recovery {
            window,
            from: window.and_then(|w| recoverable.get(&w.oldest)).and_then(|facts| facts.end_time),
            to: window.and_then(|w| self.archived(w)),
            backups: recoverable.values().filter(|facts| facts.status == Status::Done).count(),
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
        let end = window.and_then(|w| segment(w.end, w));
        let segments = || self.wals.iter().filter(|entry| entry.name.segment().is_some());
        let later = || segments().filter(|entry| entry.name.segment() > end);
        let newest = segments().next_back().and_then(archived);
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

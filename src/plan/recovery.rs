//! What recovery can reach at the site, before and after a plan.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;

use crate::barman::history::HistoryFile;
use crate::barman::ids::BackupId;
use crate::barman::wal::{Segment, Timeline, WalName};
use crate::barman::wal_entry::WalEntry;
use crate::observe::inventory::{BackupFacts, PrimaryInventory, ReplicaInventory};

use super::action::{Action, Change, Lag, Recovery};
use super::diff_backups::{self, BackupDiff};
use super::held;
use super::reason::Reason;
use super::wal_files::{WalFile, find, wal_files};
use super::window::{Archive, Point, Segments, Window, recoverable, window};

/// What recovery can reach now, with these segments. Without the primary's answer the lag stays unknown.
pub fn before(primary: Option<&PrimaryInventory>, here: &ReplicaInventory, segments: &Segments) -> Recovery {
    let facts = here.published().filter(|facts| here.is_whole(facts.id)).collect();
    let wals = primary.map(|primary| primary.wals.as_slice());
    Reached { facts, segments, histories: &here.histories, wals, lines: &here.xlogdb.entries }.recovery()
}

/// What recovery will reach when every action of the plan is done, and these segments are here.
pub fn after(
    primary: &PrimaryInventory,
    here: &ReplicaInventory,
    backups: &BackupDiff,
    segments: &Segments,
) -> Recovery {
    let histories = here.histories.iter().chain(&primary.histories).map(|(t, h)| (*t, h.clone())).collect();
    let facts = whole_after(primary, here, backups);
    Reached { facts, segments, histories: &histories, wals: Some(&primary.wals), lines: &here.xlogdb.entries }
        .recovery()
}

/// The backups that will be recoverable when every action of the plan is done, and these segments are here.
pub fn recoverable_after(
    primary: &PrimaryInventory,
    here: &ReplicaInventory,
    backups: &BackupDiff,
    segments: &Segments,
) -> Vec<BackupId> {
    recoverable(whole_after(primary, here, backups), segments).into_keys().collect()
}

/// The backups whose files will all be here.
fn whole_after<'a>(
    primary: &PrimaryInventory,
    here: &ReplicaInventory,
    backups: &'a BackupDiff,
) -> Vec<&'a BackupFacts> {
    // What is held is not mended with the files of something else.
    let comes = |id| diff_backups::is_usable_at(primary, id) && !backups.held.contains_key(&id);
    let will_be_whole = |id| comes(id) || here.is_whole(id);
    backups.kept.iter().filter(|(id, _)| will_be_whole(**id)).map(|(_, kept)| &kept.facts).collect()
}

/// The segments that are whole as far as the site alone can tell.
pub fn segments_here(here: &ReplicaInventory) -> Segments {
    let mut segments = Segments::of_sizes(here.published().map(|facts| facts.segment_size));
    segments.extend(wal_files(None, here).filter(WalFile::is_intact).filter_map(|file| file.name.segment()));
    segments
}

/// What recovery will reach when these actions are done, whatever else a plan had.
pub fn with(primary: &PrimaryInventory, here: &ReplicaInventory, actions: &[Action]) -> Recovery {
    let mut facts: BTreeMap<BackupId, &BackupFacts> =
        here.published().filter(|facts| here.is_whole(facts.id)).map(|facts| (facts.id, facts)).collect();
    let mut histories = here.histories.clone();
    let (mut comes, mut goes) = (Vec::new(), BTreeSet::new());
    for action in actions {
        match &action.change {
            Change::AddBackup(copy) | Change::RepairBackup(copy) => {
                facts.extend(primary.backups.get(&copy.id).map(|backup| (copy.id, &backup.facts)));
            }
            // What it says of itself may be wrong until then, but for what is held.
            Change::UpdateInfo { id, .. } if facts.contains_key(id) && !is_held(primary, here, action, *id) => {
                facts.extend(primary.backups.get(id).filter(|b| diff_backups::is_usable(b)).map(|b| (*id, &b.facts)));
            }
            Change::RemoveBackup { id, .. } => {
                facts.remove(id);
            }
            Change::ShipHistory { timeline, .. } => {
                histories.extend(primary.histories.get(timeline).map(|history| (*timeline, history.clone())));
            }
            Change::AddWals(batch) | Change::RepairWals(batch) => comes.extend(batch.entries.iter().map(|e| e.name)),
            Change::RemoveWals { files, .. } => goes.extend(files.keys().copied()),
            _ => {}
        }
    }
    let mut segments = Segments::of_sizes(facts.values().map(|facts| facts.segment_size));
    let stay = wal_files(Some(primary), here).filter(|file| file.is_intact() && !goes.contains(&file.name));
    segments.extend(stay.map(|file| file.name).chain(comes).filter_map(WalName::segment));
    let facts = facts.into_values().collect();
    let (wals, lines) = (Some(primary.wals.as_slice()), &here.xlogdb.entries);
    Reached { facts, segments: &segments, histories: &histories, wals, lines }.recovery()
}

/// Whether a backup.info that is rewritten keeps what the primary contradicts.
fn is_held(primary: &PrimaryInventory, here: &ReplicaInventory, action: &Action, id: BackupId) -> bool {
    let published = here.backups.get(&id).and_then(|local| local.published.as_ref());
    let conflicts = published.zip(primary.backups.get(&id)).map(|(published, there)| held::conflicts(published, there));
    !matches!(action.reason, Reason::InfoAccepted(_)) && conflicts.is_some_and(|keys| !keys.is_empty())
}

/// Backups and WAL that are, or will be, at the site.
struct Reached<'a> {
    facts: Vec<&'a BackupFacts>,
    segments: &'a Segments,
    histories: &'a BTreeMap<Timeline, HistoryFile>,
    /// What the primary archived; `None` when it did not say.
    wals: Option<&'a [WalEntry]>,
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
            full_backups: recoverable.values().filter(|facts| facts.parent.is_none()).count(),
            lag: self.wals.map(|wals| self.lag(window, wals)),
        }
    }

    /// When the window's last segment was archived, as the primary says or else xlog.db.
    fn archived(&self, window: Window) -> Option<Timestamp> {
        let name = WalName::Segment(segment(window.end, window)?);
        self.wals.and_then(|wals| find(wals, name)).or_else(|| find(self.lines, name)).and_then(archived)
    }

    /// The primary's segments past the window's end, on its timeline and on later ones.
    fn lag(&self, window: Option<Window>, wals: &[WalEntry]) -> Lag {
        let end = window.and_then(|w| segment(w.end, w)).map(WalName::Segment);
        let first = wals.partition_point(|entry| Some(entry.name) <= end);
        let later = || wals.iter().skip(first).filter(|entry| entry.name.segment().is_some());
        let newest = wals.iter().rfind(|entry| entry.name.segment().is_some()).and_then(archived);
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

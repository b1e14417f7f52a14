//! What can be recovered from a set of backups and WAL: recoverable backups, and the recovery window.

use std::collections::{BTreeMap, BTreeSet};

use crate::barman::history::HistoryFile;
use crate::barman::ids::BackupId;
use crate::barman::wal::{SegmentSize, Timeline};
use crate::barman::wal_set::{WalRange, WalSet};
use crate::observe::inventory::BackupFacts;

/// The segments that make a backup consistent, from its begin_wal to its end_wal; `None` when it does not say.
pub fn needed(facts: &BackupFacts) -> Option<WalRange> {
    let (begin, end) = (facts.begin_wal?, facts.end_wal?);
    let (first, last) = (begin.number(facts.segment_size)?, end.number(facts.segment_size)?);
    (first <= last).then_some(WalRange { timeline: begin.timeline, first, last })
}

/// A point in the WAL: the end of a segment on a timeline.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Point {
    /// The timeline.
    pub timeline: Timeline,
    /// The last segment's number.
    pub number: u64,
}

/// From the oldest recoverable backup to the newest point that is reached from it without a gap.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Window {
    /// The oldest backup from which `end` can be reached.
    pub oldest: BackupId,
    /// The last segment without a gap.
    pub end: Point,
    /// The size of the segments.
    pub segment_size: SegmentSize,
}

/// The archive that recovery would read: segments and the ancestry of timelines.
#[derive(Debug, Clone, Copy)]
pub struct Archive<'a> {
    /// The segments that are there.
    pub segments: &'a WalSet,
    /// The history files that are there.
    pub histories: &'a BTreeMap<Timeline, HistoryFile>,
}

/// The backups with every segment from begin_wal to end_wal, whose parents are recoverable as well.
pub fn recoverable<'a>(
    backups: impl IntoIterator<Item = &'a BackupFacts>,
    segments: &WalSet,
) -> BTreeMap<BackupId, &'a BackupFacts> {
    let mut candidates: BTreeMap<BackupId, &BackupFacts> =
        backups.into_iter().filter(|facts| is_consistent(facts, segments)).map(|facts| (facts.id, facts)).collect();
    loop {
        let orphans: BTreeSet<BackupId> = candidates
            .values()
            .filter(|facts| facts.parent.is_some_and(|parent| !candidates.contains_key(&parent)))
            .map(|facts| facts.id)
            .collect();
        if orphans.is_empty() {
            return candidates;
        }
        candidates.retain(|id, _| !orphans.contains(id));
    }
}

fn is_consistent(facts: &BackupFacts, segments: &WalSet) -> bool {
    needed(facts).is_some_and(|range| {
        segments.range_of(range.timeline, range.first).is_some_and(|present| present.last >= range.last)
    })
}

/// The recovery window of what is recoverable; `None` when nothing is.
pub fn window(recoverable: &BTreeMap<BackupId, &BackupFacts>, archive: Archive<'_>) -> Option<Window> {
    let reached: BTreeMap<BackupId, Point> =
        recoverable.values().filter_map(|facts| Some((facts.id, reach(facts, archive)?))).collect();
    let (newest, end) = reached.last_key_value()?;
    let oldest = reached.iter().find(|(_, point)| *point == end).map_or(*newest, |(id, _)| *id);
    Some(Window { oldest, end: *end, segment_size: recoverable.get(&oldest)?.segment_size })
}

/// The newest point that recovery from this backup reaches without a gap, along the newest timeline that it can enter.
fn reach(facts: &BackupFacts, archive: Archive<'_>) -> Option<Point> {
    let start = needed(facts)?;
    let mut best =
        Point { timeline: start.timeline, number: archive.segments.range_of(start.timeline, start.first)?.last };
    let mut at = vec![(start.timeline, start.last)];
    let mut seen = BTreeSet::from([start.timeline]);
    while let Some((timeline, from)) = at.pop() {
        let Some(range) = archive.segments.range_of(timeline, from) else { continue };
        best = best.max(Point { timeline, number: range.last });
        for (child, switch) in children(timeline, archive.histories, facts.segment_size) {
            // Whoever left the timeline in a segment needs all before it here, and goes on with the copy of that
            // segment that the new timeline begins with.
            let gets_there = switch >= from && switch <= range.last.saturating_add(1);
            if gets_there && seen.insert(child) {
                at.push((child, switch));
            }
        }
    }
    Some(best)
}

fn children(
    timeline: Timeline,
    histories: &BTreeMap<Timeline, HistoryFile>,
    size: SegmentSize,
) -> impl Iterator<Item = (Timeline, u64)> {
    histories.values().filter_map(move |history| {
        let (parent, switch) = history.parent(size)?;
        (parent == timeline).then_some((history.timeline, switch))
    })
}

//! What can be recovered from a set of backups and WAL: recoverable backups, and the recovery window.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::barman::history::HistoryFile;
use crate::barman::ids::BackupId;
use crate::barman::wal::{Segment, SegmentSize, Timeline};
use crate::barman::wal_set::{WalRange, WalSet};
use crate::observe::inventory::BackupFacts;

use super::branch::{Branch, Position};

/// The segments that make a backup consistent, from its begin_wal to its end_wal; `None` when it does not say, or
/// says what cannot be.
pub fn needed(facts: &BackupFacts) -> Option<WalRange> {
    let (begin, end) = (facts.begin_wal?, facts.end_wal?);
    let (first, last) = (begin.number(facts.segment_size)?, end.number(facts.segment_size)?);
    (begin.timeline == end.timeline && first <= last).then_some(WalRange { timeline: begin.timeline, first, last })
}

/// Segments of an archive, numbered as the backups number them. A cluster keeps the size of its segments for life,
/// but a catalog may outlive a cluster: each size that its backups use has a set of its own.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Segments {
    sets: BTreeMap<SegmentSize, WalSet>,
}

impl Segments {
    /// No segments, to be numbered by these sizes.
    pub fn of_sizes(sizes: impl IntoIterator<Item = SegmentSize>) -> Self {
        Self { sets: sizes.into_iter().map(|size| (size, WalSet::new())).collect() }
    }

    /// The segments numbered by this size.
    pub fn numbered(&self, size: SegmentSize) -> Option<&WalSet> {
        self.sets.get(&size)
    }

    /// Every timeline that has one.
    pub fn timelines(&self) -> BTreeSet<Timeline> {
        self.sets.values().flat_map(WalSet::timelines).collect()
    }

    /// The whole range around a segment.
    pub fn range_of(&self, size: SegmentSize, timeline: Timeline, number: u64) -> Option<WalRange> {
        self.numbered(size)?.range_of(timeline, number)
    }
}

impl Segments {
    /// Adds all segments of one log from a first to a last one.
    pub fn insert(&mut self, first: Segment, last: Segment) {
        for (size, set) in &mut self.sets {
            // Those that the log cannot have at this size sort behind the others.
            let end = last.seg.min(u32::try_from(size.per_log() - 1).unwrap_or(u32::MAX));
            let number = |seg| Segment { seg, ..first }.number(*size);
            if let (Some(first_number), Some(last_number)) = (number(first.seg), number(end)) {
                set.insert(WalRange { timeline: first.timeline, first: first_number, last: last_number });
            }
        }
    }
}

impl Extend<Segment> for Segments {
    /// Adds each segment under every size with which its name exists.
    fn extend<I: IntoIterator<Item = Segment>>(&mut self, segments: I) {
        for segment in segments {
            for (size, set) in &mut self.sets {
                if let Some(number) = segment.number(*size) {
                    set.insert_segment(segment.timeline, number);
                }
            }
        }
    }
}

/// A point in the WAL: the end of a segment on a timeline. Only along a branch is one before another.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Point {
    /// The timeline.
    pub timeline: Timeline,
    /// The last segment's number.
    pub number: u64,
}

/// From the oldest recoverable backup to the newest point that is reached from it without a gap.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
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
    pub segments: &'a Segments,
    /// The history files that are there.
    pub histories: &'a BTreeMap<Timeline, HistoryFile>,
}

/// The backups with every segment from begin_wal to end_wal, whose parents are recoverable as well.
pub fn recoverable<'a>(
    backups: impl IntoIterator<Item = &'a BackupFacts>,
    segments: &Segments,
) -> BTreeMap<BackupId, &'a BackupFacts> {
    let mut candidates: BTreeMap<BackupId, &BackupFacts> =
        backups.into_iter().filter(|facts| is_consistent(facts, segments)).map(|facts| (facts.id, facts)).collect();
    let mut children: BTreeMap<BackupId, Vec<BackupId>> = BTreeMap::new();
    for facts in candidates.values() {
        if let Some(parent) = facts.parent {
            children.entry(parent).or_default().push(facts.id);
        }
    }
    let lost = children.keys().filter(|parent| !candidates.contains_key(parent));
    let mut lost: Vec<BackupId> = lost.copied().collect();
    while let Some(parent) = lost.pop() {
        for orphan in children.remove(&parent).unwrap_or_default() {
            candidates.remove(&orphan);
            lost.push(orphan);
        }
    }
    candidates
}

fn is_consistent(facts: &BackupFacts, segments: &Segments) -> bool {
    let present = |range: WalRange| segments.range_of(facts.segment_size, range.timeline, range.first);
    needed(facts).is_some_and(|range| present(range).is_some_and(|present| present.last >= range.last))
}

/// What recovery reaches on one branch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Reach {
    /// The window.
    pub window: Window,
    /// Where on the branch it ends.
    pub place: Position,
    /// When the newest backup ended from which the window's end is reached: the least that recovery gets to.
    pub consistent: Option<Timestamp>,
}

/// What recovery reaches on a branch from what is recoverable; `None` when no backup leads to it.
pub fn reach(branch: &Branch, recoverable: &BTreeMap<BackupId, &BackupFacts>, archive: Archive<'_>) -> Option<Reach> {
    let reached = |facts: &&BackupFacts| {
        let (_, end) = branch.span(facts)?;
        branch.reach(end, archive.segments, archive.histories)
    };
    let reached: Vec<(Position, &BackupFacts)> =
        recoverable.values().filter_map(|facts| Some((reached(facts)?, *facts))).collect();
    let place = reached.iter().map(|(place, _)| *place).max()?;
    let those = || reached.iter().filter(|(reached, _)| *reached == place).map(|(_, facts)| *facts);
    let oldest = those().min_by_key(|facts| (facts.end_time.is_none(), facts.end_time, facts.id))?;
    let window = Window { oldest: oldest.id, end: branch.point(place), segment_size: branch.segment_size() };
    Some(Reach { window, place, consistent: those().filter_map(|facts| facts.end_time).max() })
}

//! The branches of an archive: lines of WAL that recovery can follow, each from its first timeline to the one it ends on.
//!
//! Order proves nothing here. A higher timeline is not a later one: an abandoned test restore may have archived beside
//! the server. Timelines begin at 1 again with every new cluster, so that one archive may hold timelines of one number
//! that have nothing to do with each other. What is certain is told by three things:
//!
//! - **History files** say which timeline left which other one, and where.
//! - **Backups** say of which cluster the WAL is that they need. What follows on their timeline is of the same cluster,
//!   up to where a backup of another one begins. Where the other cluster really began nobody can tell from names, so
//!   that of the earlier cluster only the WAL counts that its own backups prove.
//! - **The primary's disk** says when a segment was archived. The branch that grew last is the one that is alive. A time
//!   in the future says nothing.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::RangeInclusive;

use jiff::{SignedDuration, Timestamp};

use crate::barman::history::HistoryFile;
use crate::barman::ids::SystemId;
use crate::barman::wal::{Segment, SegmentSize, Timeline, WalName};
use crate::barman::wal_entry::{Mtime, WalEntry};
use crate::barman::wal_list::WalList;
use crate::barman::wal_set::WalRange;
use crate::observe::inventory::BackupFacts;

use super::window::{Point, Segments, needed};

/// Clocks of two hosts differ by so much although nothing is wrong with either.
const CLOCK_SKEW: SignedDuration = SignedDuration::from_secs(60);

/// Whether a time lies further in the future than clocks may differ.
pub fn is_ahead(time: Timestamp, now: Timestamp) -> bool {
    time.duration_since(now) > CLOCK_SKEW
}

/// What wrote WAL: its system, where a backup tells, and the size of its segments.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Cluster {
    system: Option<SystemId>,
    segment_size: SegmentSize,
}

impl Cluster {
    fn of(facts: &BackupFacts) -> Self {
        Self { system: facts.system, segment_size: facts.segment_size }
    }

    fn may_be(self, other: Self) -> bool {
        let same_system = self.system.is_none_or(|system| other.system.is_none_or(|other| system == other));
        same_system && self.segment_size == other.segment_size
    }
}

/// A line of WAL from its first timeline to the one that it ends on.
#[derive(Debug, Clone)]
pub struct Branch {
    cluster: Cluster,
    /// Oldest first; never empty.
    stretches: Vec<Stretch>,
    /// When the newest segment of its last timeline was archived, as far as anybody can be believed.
    newest: Option<Timestamp>,
    /// The last segment that either end has of it.
    last: u64,
}

/// The part of a timeline that belongs to a branch.
#[derive(Debug, Clone, Copy)]
struct Stretch {
    timeline: Timeline,
    /// Its first segment.
    first: u64,
    /// Its last segment. Where the branch leaves the timeline within a segment, the next stretch begins with a copy of
    /// that one.
    last: u64,
}

/// A place on a branch: which stretch, and which segment.
pub type Position = (usize, u64);

impl Branch {
    /// The timeline that it ends on.
    pub fn timeline(&self) -> Timeline {
        self.stretches.last().map_or(Timeline(1), |stretch| stretch.timeline)
    }

    /// The size of its segments.
    pub fn segment_size(&self) -> SegmentSize {
        self.cluster.segment_size
    }

    /// When the newest segment of its last timeline was archived; `None` where nothing tells that can be believed.
    pub fn newest(&self) -> Option<Timestamp> {
        self.newest
    }

    /// The segment at a place.
    pub fn point(&self, (stretch, number): Position) -> Point {
        let timeline = self.stretches.get(stretch).map_or(self.timeline(), |stretch| stretch.timeline);
        Point { timeline, number }
    }

    /// Where a point is on it.
    pub fn place(&self, point: Point) -> Option<Position> {
        let is_on = |stretch: &Stretch| {
            stretch.timeline == point.timeline
                && stretch.first <= point.number
                && point.number <= stretch.last.saturating_add(1)
        };
        self.stretches.iter().position(is_on).map(|stretch| (stretch, point.number))
    }

    /// Where the segments of a backup begin and end on it; `None` for one that does not lead to it.
    pub fn span(&self, facts: &BackupFacts) -> Option<(Position, Position)> {
        let range = needed(facts).filter(|_| self.cluster.may_be(Cluster::of(facts)))?;
        let point = |number| Point { timeline: range.timeline, number };
        Some((self.place(point(range.first))?, self.place(point(range.last))?))
    }

    /// The furthest place that is reached without a gap from a place on it. Each timeline that is entered on the way
    /// needs its history file.
    pub fn reach(
        &self,
        (mut at, mut from): Position,
        segments: &Segments,
        histories: &BTreeMap<Timeline, HistoryFile>,
    ) -> Option<Position> {
        let mut reached = None;
        while let Some(stretch) = self.stretches.get(at) {
            let Some(range) = segments.range_of(self.segment_size(), stretch.timeline, from) else { break };
            let next = self.stretches.get(at + 1);
            // Of the segment in which the branch leaves the timeline, the beginning is good.
            let bound = if next.is_some() { stretch.last.saturating_add(1) } else { stretch.last };
            reached = Some((at, range.last.min(bound)));
            let Some(next) = next.filter(|_| range.last >= stretch.last) else { break };
            let left = histories.get(&next.timeline).and_then(|history| history.parent(self.segment_size()));
            if left != Some((stretch.timeline, next.first)) {
                break;
            }
            (at, from) = (at + 1, next.first);
        }
        reached
    }

    /// Its segments from a place on, up to the last that either end has, a range for each stretch.
    pub fn from(&self, (at, number): Position) -> impl Iterator<Item = WalRange> + '_ {
        let tip = self.stretches.len().saturating_sub(1);
        self.stretches.iter().enumerate().skip(at).filter_map(move |(place, stretch)| {
            let first = if place == at { number.max(stretch.first) } else { stretch.first };
            let last = if place == tip { stretch.last.min(self.last) } else { stretch.last };
            (first <= last).then_some(WalRange { timeline: stretch.timeline, first, last })
        })
    }

    /// The last segment that either end has of it.
    pub fn newest_point(&self) -> Point {
        Point { timeline: self.timeline(), number: self.last }
    }

    /// Where its last stretch begins.
    pub fn tip(&self) -> Position {
        let at = self.stretches.len().saturating_sub(1);
        (at, self.stretches.last().map_or(0, |stretch| stretch.first))
    }
}

/// What the branches of an archive are told by.
#[derive(Clone, Copy)]
pub struct Signs<'a> {
    /// Every backup that anybody knows, whatever its state.
    pub backups: &'a [&'a BackupFacts],
    /// Every history file that anybody has.
    pub histories: &'a BTreeMap<Timeline, HistoryFile>,
    /// The segments that are here.
    pub segments: &'a Segments,
    /// What the primary archived. Of what is not on its disk nothing is believed.
    pub wals: Option<&'a WalList>,
    /// What is not on the primary's disk.
    pub gone: &'a BTreeSet<WalName>,
    /// What xlog.db here says.
    pub lines: &'a WalList,
    /// What time it is.
    pub now: Timestamp,
}

/// Every branch that has WAL of its own at either end, that which grew last first.
pub fn branches(signs: Signs<'_>) -> Vec<Branch> {
    let reigns = reigns(signs);
    let mut found: Vec<(Branch, Age)> = reigns.iter().filter_map(|reign| signs.branch(reign, &reigns)).collect();
    let is_continued = |branch: &Branch| {
        found.iter().any(|(other, _)| {
            let left = other.stretches.iter().rev().skip(1).find(|stretch| stretch.timeline == branch.timeline());
            left.is_some_and(|left| branch.last <= left.last.saturating_add(1) && other.cluster.may_be(branch.cluster))
        })
    };
    let continued: Vec<bool> = found.iter().map(|(branch, _)| is_continued(branch)).collect();
    let mut continued = continued.into_iter();
    found.retain(|_| !continued.next().unwrap_or_default());
    found.sort_by_key(|(branch, age)| (*age, branch.timeline(), branch.tip().1));
    found.into_iter().rev().map(|(branch, _)| branch).collect()
}

/// When a branch grew last: at the primary, and as the site knows.
type Age = (Option<Timestamp>, Option<Timestamp>);

/// The part of a timeline that one cluster wrote, by the names of its segments.
#[derive(Debug, Clone, Copy)]
struct Reign {
    timeline: Timeline,
    /// `None` where no backup tells.
    cluster: Option<Cluster>,
    /// The first segment; `None` from the timeline's beginning.
    from: Option<Segment>,
    /// The last one that its backups prove, where another cluster follows.
    until: Option<Segment>,
}

fn reigns(signs: Signs<'_>) -> Vec<Reign> {
    let mut begun: BTreeMap<Timeline, Vec<(Segment, Segment, Cluster)>> = BTreeMap::new();
    for facts in signs.backups {
        if let (Some(begin), Some(end)) = (facts.begin_wal, facts.end_wal) {
            begun.entry(begin.timeline).or_default().push((begin, end.max(begin), Cluster::of(facts)));
        }
    }
    let here = signs.segments.timelines();
    let there = signs.wals.into_iter().flat_map(|wals| wals.sizes().runs()).map(|run| run.first().timeline());
    let timelines: BTreeSet<Timeline> = here.into_iter().chain(there).chain(begun.keys().copied()).collect();
    timelines.into_iter().flat_map(|timeline| of_timeline(timeline, begun.remove(&timeline))).collect()
}

fn of_timeline(timeline: Timeline, begun: Option<Vec<(Segment, Segment, Cluster)>>) -> Vec<Reign> {
    let mut begun = begun.unwrap_or_default();
    begun.sort_by_key(|(begin, end, _)| (*begin, *end));
    let mut reigns: Vec<Reign> = Vec::new();
    let mut proven: Option<Segment> = None;
    for (begin, end, cluster) in begun {
        match reigns.last_mut() {
            Some(Reign { cluster: Some(known), .. }) if known.may_be(cluster) => {
                known.system = known.system.or(cluster.system);
                proven = proven.max(Some(end));
            }
            last => {
                let is_first = last.is_none();
                if let Some(last) = last {
                    // Backups of two clusters that overlap prove nothing of what lies between.
                    last.until = proven.map(|proven| proven.min(before(begin, cluster)));
                }
                let from = (!is_first).then_some(begin);
                reigns.push(Reign { timeline, cluster: Some(cluster), from, until: None });
                proven = Some(end);
            }
        }
    }
    if reigns.is_empty() {
        reigns.push(Reign { timeline, cluster: None, from: None, until: None });
    }
    reigns
}

/// The segment before one, or that one where there is none.
fn before(segment: Segment, cluster: Cluster) -> Segment {
    let number = segment.number(cluster.segment_size).and_then(|number| number.checked_sub(1));
    number.and_then(|n| Segment::from_number(segment.timeline, n, cluster.segment_size)).unwrap_or(segment)
}

impl Reign {
    fn contains(&self, segment: Segment) -> bool {
        segment.timeline == self.timeline
            && self.from.is_none_or(|from| from <= segment)
            && self.until.is_none_or(|until| segment <= until)
    }

    /// The first and the last number that may be of it.
    fn bounds(&self, size: SegmentSize) -> (u64, u64) {
        let number = |segment: Option<Segment>| segment.and_then(|segment| segment.number(size));
        (number(self.from).unwrap_or(0), number(self.until).unwrap_or(u64::MAX - 1))
    }
}

impl Signs<'_> {
    /// The branch that ends with a reign; `None` where nobody has WAL of it.
    fn branch(&self, reign: &Reign, reigns: &[Reign]) -> Option<(Branch, Age)> {
        let fallback = || self.backups.last().map(|facts| facts.segment_size).unwrap_or_default();
        let told = reign.cluster.or_else(|| self.inherited(reign, reigns));
        let cluster = told.unwrap_or_else(|| Cluster { system: None, segment_size: fallback() });
        let size = cluster.segment_size;
        let (first, last) = reign.bounds(size);
        let mut stretches = vec![Stretch { timeline: reign.timeline, first, last }];
        // Of two clusters with a timeline of one number, the archive has the history of the later one.
        let is_latest = reign.until.is_none();
        let mut child = reign.timeline;
        for (parent, switch) in is_latest.then(|| self.ancestors(child, size)).into_iter().flatten() {
            let Some(end) = switch.checked_sub(1).filter(|_| parent < child) else { break };
            let of_parent =
                |reign: &&Reign| Segment::from_number(parent, end, size).is_some_and(|segment| reign.contains(segment));
            let parent_reign = reigns.iter().find(of_parent);
            let is_same = |reign: &Reign| reign.cluster.is_none_or(|other| other.may_be(cluster));
            if !parent_reign.is_none_or(is_same) {
                break;
            }
            if let Some(left) = stretches.first_mut() {
                left.first = left.first.max(switch);
            }
            let first = parent_reign.map_or(0, |reign| reign.bounds(size).0);
            stretches.insert(0, Stretch { timeline: parent, first, last: end });
            child = parent;
        }
        let tip = *stretches.last()?;
        let range = WalRange { timeline: tip.timeline, first: tip.first, last: tip.last };
        let is_there =
            |segments: WalRange| names_of(segments, size).is_some_and(|names| self.gone.range(names).next().is_none());
        let is_here = |segments: WalRange| {
            let around = self.segments.range_of(size, segments.timeline, segments.first);
            around.is_some_and(|around| segments.last <= around.last)
        };
        let there = self.wals.map(|wals| self.last(wals, (range, size), is_there));
        let (last_there, newest_there) = there.unwrap_or_default();
        let (_, newest_here) = self.last(self.lines, (range, size), is_here);
        let last_here = self.segments.numbered(size).and_then(|here| here.last_within(range));
        let last = last_there.max(last_here)?;
        let newest = newest_there.or(newest_here);
        Some((Branch { cluster, stretches, newest, last }, (newest_there, newest_here)))
    }

    /// What the timelines before one without a backup are of.
    fn inherited(&self, reign: &Reign, reigns: &[Reign]) -> Option<Cluster> {
        // The size hardly matters for the question which timeline it was.
        let parents: Vec<Timeline> =
            self.ancestors(reign.timeline, SegmentSize::DEFAULT).into_iter().map(|(parent, _)| parent).collect();
        let of = |parent: &Timeline| reigns.iter().rfind(|reign| reign.timeline == *parent)?.cluster;
        parents.iter().find_map(of)
    }

    /// The timelines before one, nearest first, each with the segment in which it was left.
    fn ancestors(&self, timeline: Timeline, size: SegmentSize) -> Vec<(Timeline, u64)> {
        let mut found: Vec<(Timeline, u64)> = Vec::new();
        let mut at = timeline;
        while let Some(history) = self.histories.get(&at) {
            let earlier = history.ancestors.iter().rev().map(|(parent, lsn)| (*parent, lsn.0 / size.bytes()));
            let before = at;
            for (parent, switch) in earlier.take_while(|(parent, _)| *parent < before) {
                if parent < at {
                    found.push((parent, switch));
                    at = parent;
                }
            }
            if at == before {
                break;
            }
        }
        found
    }

    /// The last segment of a list within a range, and the newest time there that can be believed; of segments that count.
    fn last(&self, list: &WalList, of: (WalRange, SegmentSize), counts: impl Fn(WalRange) -> bool) -> Last {
        let (range, size) = of;
        let (mut last, mut newest) = (None, None);
        let newest_of = |mtimes: &[Mtime]| {
            mtimes.iter().filter_map(|mtime| archived_at(*mtime)).filter(|time| !is_ahead(*time, self.now)).max()
        };
        for run in names_of(range, size).into_iter().flat_map(|names| list.runs_within(names)) {
            if let Some(all) = numbered(run.sizes.first(), run.sizes.last(), size)
                && range.first <= all.first
                && all.last <= range.last
                && counts(all)
            {
                last = last.max(Some(all.last));
                newest = newest.max(newest_of(run.mtimes.values()));
                continue;
            }
            for entry in run.entries() {
                let one = numbered(entry.name, entry.name, size);
                if let Some(one) = one.filter(|one| one.overlaps(range) && counts(*one)) {
                    last = last.max(Some(one.last));
                    newest = newest.max(newest_of(&[entry.mtime]));
                }
            }
        }
        (last, newest)
    }
}

/// The last segment of a list, and when the newest one was archived.
type Last = (Option<u64>, Option<Timestamp>);

/// The numbers of segments that follow each other, from a first to a last name; `None` where these are none.
fn numbered(first: WalName, last: WalName, size: SegmentSize) -> Option<WalRange> {
    let (first, last) = (first.segment()?, last.segment()?);
    Some(WalRange { timeline: first.timeline, first: first.number(size)?, last: last.number(size)? })
}

/// The names of a range, of which no segment has the last where that is beyond what a name can say.
fn names_of(range: WalRange, size: SegmentSize) -> Option<RangeInclusive<WalName>> {
    let WalRange { timeline, first, last } = range;
    let name = |number| Segment::from_number(timeline, number, size).map(WalName::Segment);
    let end = name(last).unwrap_or(WalName::Segment(Segment { timeline, log: u32::MAX, seg: u32::MAX }));
    Some(name(first)?..=end)
}

/// The segments of a list that are of a range.
pub fn within(list: &WalList, range: WalRange, size: SegmentSize) -> impl Iterator<Item = WalEntry> {
    let segments = names_of(range, size).into_iter().flat_map(|names| list.range(names));
    segments.filter(move |entry| numbered(entry.name, entry.name, size).is_some())
}

/// When a file was archived.
pub fn archived_at(mtime: Mtime) -> Option<Timestamp> {
    // Whole seconds are enough for a reader, and lie far within what a timestamp can hold.
    #[expect(clippy::cast_possible_truncation)]
    Timestamp::from_second(mtime.seconds() as i64).ok()
}

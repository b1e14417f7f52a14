//! The way of a restore: from which backup, through which WAL, and how far that gets.

use std::collections::BTreeMap;

use jiff::Timestamp;

use crate::barman::ids::BackupId;
use crate::barman::wal::{Lsn, Segment, SegmentSize, Timeline, WalName};
use crate::barman::wal_set::WalRange;
use crate::observe::inventory::BackupFacts;
use crate::verify::wal_form::WalForm;

use super::View;
use super::branch::{Branch, Position, archived_at, within};
use super::window::{Point, recoverable};

/// How far a restore is to go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Target {
    /// As far as there is WAL.
    Latest,
    /// To this time.
    Time(Timestamp),
    /// To the first record at this position or behind it.
    Lsn(Lsn),
    /// No further than the backup needs.
    Immediate,
}

/// A way that leads there.
#[derive(Debug, Clone, PartialEq)]
pub struct Way<'a> {
    /// The backups that are put together: a full one, and the incremental ones that build on it in their order. The last one
    /// is restored.
    pub chain: Vec<&'a BackupFacts>,
    /// The timeline that it ends on.
    pub timeline: Timeline,
    /// The WAL that is replayed, a range for each timeline.
    pub wals: Vec<WalRange>,
    /// The first segment at whose end the backup is consistent.
    pub consistent: u64,
    /// The last segment that either end has of its branch.
    pub newest: Point,
    /// The size of its segments.
    pub segment_size: SegmentSize,
    /// How many files that are.
    pub segments: u64,
    /// Their stored bytes, as far as the list of the archive has them.
    pub bytes: u64,
    /// Those of them that nobody here can read.
    pub hidden: Option<Hidden>,
    /// Up to when it gets: when the last of them was archived, and never earlier than the backup ended. `None` where nothing
    /// tells.
    pub reaches: Option<Timestamp>,
}

/// WAL on a way into which nobody here can look.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Hidden {
    /// The first of it.
    pub first: WalName,
    /// Whether it is encrypted, as its line says; else it is of a custom compression.
    pub is_encrypted: bool,
    /// How many files there are.
    pub count: u64,
}

/// Why none does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NoWay {
    /// No backup here can be restored.
    NothingRecoverable,
    /// There is no such backup here.
    NotHere(BackupId),
    /// The backup is not whole, or lacks WAL or a backup that it builds on.
    NotRecoverable(BackupId),
    /// The backup that was named ended after the time to go back to.
    EndedLater(BackupId, Option<Timestamp>),
    /// Every backup did; the first one ended then.
    TooEarly(Option<Timestamp>),
    /// The WAL that is reached from this backup ends before, or nothing tells when it does.
    TooLate(BackupId, Option<Timestamp>),
    /// The WAL that is reached from this backup ends at this position, which is before.
    EndsAt(BackupId, Lsn),
}

/// A backup, and where on a branch it begins, is consistent, and gets to.
struct Begun<'a> {
    facts: &'a BackupFacts,
    from: Position,
    consistent: Position,
    reached: Position,
}

impl Way<'_> {
    /// The position at which it ends.
    pub fn end(&self) -> Lsn {
        let behind = self.wals.last().map_or(0, |range| range.last.saturating_add(1));
        Lsn(behind.saturating_mul(self.segment_size.bytes()))
    }

    /// The last segment that is replayed; `None` for a way without WAL.
    pub fn last(&self) -> Option<Segment> {
        let range = self.wals.last()?;
        Segment::from_number(range.timeline, range.last, self.segment_size)
    }
}

impl<'a> View<'a> {
    /// The way to a target, from a backup that is named or else from the best one.
    pub fn way(&self, target: Target, named: Option<BackupId>) -> Result<Way<'a>, NoWay> {
        let recoverable = recoverable(self.whole.iter().copied(), self.segments);
        if let Some(id) = named.filter(|id| !recoverable.contains_key(id)) {
            let is_known = self.known.iter().any(|facts| facts.id == id);
            return Err(if is_known { NoWay::NotRecoverable(id) } else { NoWay::NotHere(id) });
        }
        let branches = self.branches();
        let judged = self.judged(branches, &recoverable).and_then(|(place, _)| branches.get(place));
        // Who names a backup of a branch that was left wants that branch.
        let leads = |branch: &&Branch| named.is_none_or(|id| self.begins(branch, recoverable.get(&id)).is_some());
        let branch = judged.into_iter().chain(branches).find(leads).ok_or(NoWay::NothingRecoverable)?;
        let is_meant = |facts: &&&BackupFacts| named.is_none_or(|id| facts.id == id);
        let meant = recoverable.values().filter(is_meant);
        let candidates: Vec<Begun<'_>> = meant.filter_map(|facts| self.begins(branch, Some(facts))).collect();
        let begun = chosen(&candidates, target)?;
        let way = self.along(branch, begun, target, &recoverable);
        match target {
            Target::Time(time) if way.reaches.is_none_or(|reaches| !is_at(reaches, time)) => {
                Err(NoWay::TooLate(begun.facts.id, way.reaches))
            }
            Target::Lsn(lsn) if way.end() <= lsn => Err(NoWay::EndsAt(begun.facts.id, way.end())),
            Target::Time(_) | Target::Lsn(_) | Target::Latest | Target::Immediate => Ok(way),
        }
    }

    /// A backup as it lies on a branch.
    fn begins(&self, branch: &Branch, facts: Option<&&'a BackupFacts>) -> Option<Begun<'a>> {
        let facts: &'a BackupFacts = facts?;
        let (from, consistent) = branch.span(facts)?;
        let reached = branch.reach(consistent, self.segments, &self.histories)?;
        Some(Begun { facts, from, consistent, reached })
    }

    /// All of a way to its end, which for a time is the first segment that was archived then or later.
    fn along(
        &self,
        branch: &Branch,
        begun: &Begun<'a>,
        target: Target,
        recoverable: &BTreeMap<BackupId, &'a BackupFacts>,
    ) -> Way<'a> {
        let end = branch.point(if target == Target::Immediate { begun.consistent } else { begun.reached });
        let mut way = Way {
            chain: chain(begun.facts, recoverable),
            timeline: end.timeline,
            consistent: branch.point(begun.consistent).number,
            newest: branch.newest_point(),
            wals: Vec::new(),
            segment_size: branch.segment_size(),
            segments: 0,
            bytes: 0,
            hidden: None,
            reaches: begun.facts.end_time,
        };
        for range in up_to(branch, begun.from, end) {
            let passed = self.passed(range, target, &mut way);
            way.wals.push(passed);
            way.segments += passed.last - passed.first + 1;
            if passed != range {
                break;
            }
        }
        way
    }

    /// As much of a range as the target needs, and what that adds to a way.
    fn passed(&self, range: WalRange, target: Target, way: &mut Way<'_>) -> WalRange {
        let is_there = |archived: Option<Timestamp>| match target {
            Target::Time(time) => archived.is_some_and(|archived| is_at(archived, time)),
            Target::Latest | Target::Immediate | Target::Lsn(_) => false,
        };
        let range = match target {
            Target::Lsn(lsn) => {
                WalRange { last: range.last.min((lsn.0 / way.segment_size.bytes()).max(range.first)), ..range }
            }
            Target::Latest | Target::Time(_) | Target::Immediate => range,
        };
        for entry in within(self.lines, range, way.segment_size) {
            let WalName::Segment(segment) = entry.name else { continue };
            let (archived, number) = (archived_at(entry.mtime), segment.number(way.segment_size));
            way.bytes = way.bytes.saturating_add(entry.size);
            let form = WalForm::listed(&entry);
            if form.is_hidden() {
                way.hidden
                    .get_or_insert(Hidden { first: entry.name, is_encrypted: form == WalForm::Encrypted, count: 0 })
                    .count += 1;
            }
            way.reaches = way.reaches.max(archived);
            if let Some(last) = number.filter(|_| is_there(archived)) {
                return WalRange { last, ..range };
            }
        }
        range
    }
}

/// Whether what was archived then may go on to a time. Lists have whole seconds.
fn is_at(archived: Timestamp, time: Timestamp) -> bool {
    archived.as_second() >= time.as_second()
}

/// The newest backup that leads to the target: the less there is to replay, the sooner it is done.
fn chosen<'b, 'a>(candidates: &'b [Begun<'a>], target: Target) -> Result<&'b Begun<'a>, NoWay> {
    let age = |begun: &&Begun<'_>| (begun.facts.end_time, begun.facts.id);
    let furthest = candidates.iter().map(|begun| begun.reached).max();
    let found = match target {
        Target::Immediate => candidates.iter().max_by_key(age),
        Target::Latest => candidates.iter().filter(|begun| Some(begun.reached) == furthest).max_by_key(age),
        Target::Time(time) => {
            let ended = |begun: &&Begun<'_>| begun.facts.end_time.is_some_and(|ended| ended <= time);
            candidates.iter().filter(ended).max_by_key(age)
        }
        Target::Lsn(lsn) => {
            let ended = |begun: &&Begun<'_>| begun.facts.end_lsn.is_some_and(|ended| ended <= lsn);
            candidates.iter().filter(ended).max_by_key(age)
        }
    };
    found.ok_or_else(|| match candidates {
        [] => NoWay::NothingRecoverable,
        [one] => NoWay::EndedLater(one.facts.id, one.facts.end_time),
        all => NoWay::TooEarly(all.iter().filter_map(|begun| begun.facts.end_time).min()),
    })
}

/// What a backup builds on, the full one first, and itself.
fn chain<'a>(facts: &'a BackupFacts, recoverable: &BTreeMap<BackupId, &'a BackupFacts>) -> Vec<&'a BackupFacts> {
    let parent = |facts: &&'a BackupFacts| recoverable.get(&facts.parent?).copied();
    let mut chain: Vec<&BackupFacts> = std::iter::successors(Some(facts), parent).take(recoverable.len()).collect();
    chain.reverse();
    chain
}

/// The ranges of a branch from a place to a point on it.
fn up_to(branch: &Branch, from: Position, end: Point) -> Vec<WalRange> {
    let mut ranges = Vec::new();
    for range in branch.from(from) {
        if range.timeline == end.timeline {
            ranges.push(WalRange { last: range.last.min(end.number), ..range });
            break;
        }
        ranges.push(range);
    }
    ranges
}

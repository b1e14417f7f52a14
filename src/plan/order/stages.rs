//! The order in which a replica is filled: newest recoverable point first.

use std::collections::{BTreeMap, BTreeSet};

use crate::barman::ids::BackupId;
use crate::barman::wal::Segment;

use crate::plan::backup::Kept;

/// A stage in filling a replica.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stage {
    /// A backup, and the WAL that makes it consistent.
    Backup(BackupId),
    /// The WAL that follows a backup, up to where the next newer one begins.
    After(BackupId),
    /// WAL that no kept backup begins before.
    Rest,
}

/// The stages, most urgent first: the newest backup and what follows it, then the same for each older one. What an
/// incremental backup builds on comes right before it, as it is of no use without.
pub fn stages(kept: &BTreeMap<BackupId, Kept>) -> Vec<Stage> {
    let mut stages = Vec::new();
    let mut placed = BTreeSet::new();
    for id in kept.keys().rev() {
        for id in chain(*id, kept) {
            if placed.insert(id) {
                stages.push(Stage::Backup(id));
            }
        }
        stages.push(Stage::After(*id));
    }
    stages.push(Stage::Rest);
    stages
}

/// A backup after all that it builds on, the full one first.
fn chain(id: BackupId, kept: &BTreeMap<BackupId, Kept>) -> Vec<BackupId> {
    let parent = |id: &BackupId| kept.get(id)?.facts.parent.filter(|parent| kept.contains_key(parent));
    // A chain is at most as long as there are backups, even if its parents go in a circle.
    let mut chain: Vec<BackupId> = std::iter::successors(Some(id), parent).take(kept.len()).collect();
    chain.reverse();
    chain
}

/// Which stage a segment belongs to: looked up among the few places in the WAL where the answer changes.
#[derive(Debug)]
pub struct Division {
    /// From each of these bounds on, up to the next, the stage's number. Sorted.
    bounds: Vec<(Bound, usize)>,
    /// The number of the last stage.
    rest: usize,
}

/// A place in the WAL: before a segment, or after it.
type Bound = (Segment, bool);

impl Division {
    /// Divides the WAL among the stages. Of two backups that need one segment, the one whose stage is first gets it.
    pub fn new(stages: &[Stage], kept: &BTreeMap<BackupId, Kept>) -> Self {
        let span = |id: &BackupId| {
            let facts = &kept.get(id)?.facts;
            Some(((facts.begin_wal?, false), (facts.end_wal?, true)))
        };
        let covers = |stage: &Stage, at: Bound| match stage {
            Stage::Backup(id) => span(id).is_some_and(|(first, last)| first <= at && at < last),
            Stage::After(id) => span(id).is_some_and(|(_, last)| last <= at),
            Stage::Rest => true,
        };
        let rest = stages.len().saturating_sub(1);
        let bounds: BTreeSet<Bound> = kept.keys().filter_map(span).flat_map(|(first, last)| [first, last]).collect();
        let place = |at: Bound| {
            let needs = |stage: &Stage| matches!(stage, Stage::Backup(_)) && covers(stage, at);
            stages.iter().position(needs).or_else(|| stages.iter().position(|stage| covers(stage, at))).unwrap_or(rest)
        };
        Self { bounds: bounds.into_iter().map(|at| (at, place(at))).collect(), rest }
    }

    /// The number of a segment's stage.
    pub fn of(&self, segment: Segment) -> usize {
        let after = self.bounds.partition_point(|(bound, _)| *bound <= (segment, false));
        after.checked_sub(1).and_then(|i| self.bounds.get(i)).map_or(self.rest, |(_, stage)| *stage)
    }
}

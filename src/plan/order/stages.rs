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
        for id in chain(*id, kept, &placed) {
            placed.insert(id);
            stages.push(Stage::Backup(id));
        }
        stages.push(Stage::After(*id));
    }
    stages.push(Stage::Rest);
    stages
}

/// A backup after all that it builds on, the full one first, but for those that have their place and all before them.
fn chain(id: BackupId, kept: &BTreeMap<BackupId, Kept>, placed: &BTreeSet<BackupId>) -> Vec<BackupId> {
    let parent = |id: &BackupId| kept.get(id)?.facts.parent.filter(|parent| kept.contains_key(parent));
    let mut chain = Vec::new();
    // Parents may go in a circle.
    let mut seen = BTreeSet::new();
    let mut next = Some(id).filter(|id| !placed.contains(id));
    while let Some(id) = next.filter(|id| seen.insert(*id)) {
        chain.push(id);
        next = parent(&id).filter(|parent| !placed.contains(parent));
    }
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

/// What a stage does at a place in the WAL.
#[derive(Debug, Clone, Copy)]
enum Turn {
    /// It begins to need what follows.
    Begins,
    /// It needs no more.
    Ends,
    /// What follows is its own, unless one that is more urgent has it.
    Follows,
    /// Nothing: what it says it needs runs backwards.
    Nothing,
}

impl Division {
    /// Divides the WAL among the stages. Of two backups that need one segment, the one whose stage is first gets it.
    pub fn new(stages: &[Stage], kept: &BTreeMap<BackupId, Kept>) -> Self {
        let span = |id: &BackupId| {
            let facts = &kept.get(id)?.facts;
            Some(((facts.begin_wal?, false), (facts.end_wal?, true)))
        };
        let rest = stages.len().saturating_sub(1);
        // Where stages begin and end to have the WAL, in the order of the WAL.
        let mut changes: BTreeMap<Bound, Vec<(Turn, usize)>> = BTreeMap::new();
        for (place, stage) in stages.iter().enumerate() {
            let mut note = |at, turn| changes.entry(at).or_default().push((turn, place));
            match stage {
                Stage::Backup(id) => {
                    if let Some((first, last)) = span(id) {
                        let needs = first < last;
                        note(first, if needs { Turn::Begins } else { Turn::Nothing });
                        note(last, if needs { Turn::Ends } else { Turn::Nothing });
                    }
                }
                Stage::After(id) => {
                    if let Some((_, last)) = span(id) {
                        note(last, Turn::Follows);
                    }
                }
                Stage::Rest => {}
            }
        }
        let (mut needing, mut following) = (BTreeSet::new(), rest);
        let mut bounds = Vec::with_capacity(changes.len());
        for (at, turns) in changes {
            for (turn, place) in turns {
                match turn {
                    Turn::Begins => drop(needing.insert(place)),
                    Turn::Ends => drop(needing.remove(&place)),
                    Turn::Follows => following = following.min(place),
                    Turn::Nothing => {}
                }
            }
            bounds.push((at, needing.first().copied().unwrap_or(following)));
        }
        Self { bounds, rest }
    }

    /// The number of a segment's stage.
    pub fn of(&self, segment: Segment) -> usize {
        let after = self.bounds.partition_point(|(bound, _)| *bound <= (segment, false));
        after.checked_sub(1).and_then(|i| self.bounds.get(i)).map_or(self.rest, |(_, stage)| *stage)
    }
}

//! Backups at the primary that rest on WAL which is another here.
//!
//! A primary that was put back to an earlier state makes its WAL anew, under names that are here already. Which of both is
//! right a person has to say; but a backup that was taken along the one course is not recovered with the WAL of the other,
//! and so none is copied as long as any of its WAL is held.

use std::collections::BTreeMap;

use crate::barman::ids::BackupId;
use crate::barman::wal::Segment;
use crate::observe::inventory::{BackupFacts, PrimaryInventory, ReplicaInventory};
use crate::plan::wal;
use crate::site::model::Policy;

use super::published;

/// The backups that are not here yet and have to wait, each with the first segment that it waits for; and those that build
/// on them.
pub fn waiting(policy: &Policy, primary: &PrimaryInventory, here: &ReplicaInventory) -> BTreeMap<BackupId, Segment> {
    let held = wal::held_segments(policy, primary, here);
    let mut waiting = BTreeMap::new();
    if held.is_empty() {
        return waiting;
    }
    let is_here = |id: &BackupId| here.backups.get(id).is_some_and(|local| published(local).is_some());
    let comes: Vec<&BackupFacts> =
        primary.backups.iter().filter(|(id, _)| !is_here(id)).map(|(_, backup)| &backup.facts).collect();
    let waits_for = |facts: &BackupFacts| {
        let (begin, end) = (facts.begin_wal?, facts.end_wal?);
        held.range(begin..=end.max(begin)).next().copied()
    };
    waiting.extend(comes.iter().filter_map(|facts| Some((facts.id, waits_for(facts)?))));
    // Parents are older than their children, by whatever clock: as often as there are generations.
    loop {
        let waits_too = |facts: &&&BackupFacts| !waiting.contains_key(&facts.id);
        let of_parent = |facts: &&BackupFacts| Some((facts.id, *waiting.get(&facts.parent?)?));
        let children: Vec<(BackupId, Segment)> = comes.iter().filter(waits_too).filter_map(of_parent).collect();
        if children.is_empty() {
            return waiting;
        }
        waiting.extend(children);
    }
}

//! Backups at the primary that rest on WAL which is another here.
//!
//! A primary that was put back to an earlier state makes its WAL anew, under names that are here already. Which of both is
//! right a person has to say; but a backup that was taken along the one course is not recovered with the WAL of the other,
//! and so none is copied as long as any of its WAL is held. WAL that is not compressed has the same size on both courses: it
//! is told by when it was archived.

use std::collections::BTreeMap;

use crate::barman::ids::BackupId;
use crate::barman::wal::{Segment, WalName};
use crate::barman::wal_entry::WalEntry;
use crate::observe::inventory::{BackupFacts, PrimaryInventory, ReplicaInventory};
use crate::observe::wal_files::wal_file;
use crate::plan::{held, wal};
use crate::site::model::Policy;

use super::published;

/// The backups that are not here yet and have to wait, each with the first segment that it waits for; and those that build
/// on them.
pub fn waiting(policy: &Policy, primary: &PrimaryInventory, here: &ReplicaInventory) -> BTreeMap<BackupId, Segment> {
    let held_here = wal::held_segments(policy, primary, here);
    let is_here = |id: &BackupId| here.backups.get(id).is_some_and(|local| published(local).is_some());
    let comes: Vec<&BackupFacts> =
        primary.backups.iter().filter(|(id, _)| !is_here(id)).map(|(_, backup)| &backup.facts).collect();
    let is_of_another_course = |there: &WalEntry| {
        !primary.gone.contains(&there.name) && wal::is_of_another_course(&wal_file(primary, here, there.name))
    };
    let waits_for = |facts: &BackupFacts| {
        let (begin, end) = (facts.begin_wal?, facts.end_wal?);
        let names = WalName::Segment(begin)..=WalName::Segment(end.max(begin));
        let other = primary.wals.range(names).filter(|there| !held::accepts_wal(policy, there.name));
        let mut other = other.filter(is_of_another_course).filter_map(|there| there.name.segment());
        held_here.range(begin..=end.max(begin)).next().copied().into_iter().chain(other.next()).min()
    };
    let mut waiting = BTreeMap::new();
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

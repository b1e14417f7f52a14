//! What a replica will hold once the actions of its plan are done, judged by a fresh observation.

#![deny(clippy::wildcard_enum_match_arm)]

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;

use crate::barman::ids::BackupId;
use crate::barman::wal::{Segment, WalName};
use crate::observe::inventory::{PrimaryInventory, ReplicaInventory};
use crate::observe::wal_files::{WalFile, wal_files};
use crate::plan::ReplicaPlan;
use crate::plan::action::kinds::Effect;
use crate::plan::action::{Action, WalBatch};
use crate::plan::backup::{self, Kept};
use crate::plan::recovery::window::Segments;
use crate::plan::wal::wanted::Wanted;
use crate::site::model::Policy;

/// What a replica will hold.
pub struct Outlook {
    /// Backups that the plan copies.
    pub copied: BTreeSet<BackupId>,
    /// Backups among the removed that the site's Barman lists as good.
    pub pruned: BTreeSet<BackupId>,
    /// Backups that the selection wants now.
    pub selected: BTreeSet<BackupId>,
    /// Backups that will be here.
    pub stays: BTreeMap<BackupId, Kept>,
    /// The whole segments that will be here.
    pub segments: Segments,
    /// The WAL that those backups ask for.
    wanted: Wanted,
}

impl Outlook {
    /// What the site will hold after this plan.
    pub fn new(
        planned: &ReplicaPlan,
        policy: &Policy,
        there: &PrimaryInventory,
        here: &ReplicaInventory,
        now: Timestamp,
    ) -> Self {
        let of = |find: fn(&Action) -> Option<BackupId>| planned.actions.iter().filter_map(find).collect();
        let (removed, copied): (BTreeSet<BackupId>, BTreeSet<BackupId>) = (of(removes), of(copies));
        let selected = backup::selected(policy, there, here, now);
        let stays = backup::staying(policy, there, here, [&removed, &copied]);
        let segments = segments(planned, there, here, &stays);
        Self {
            pruned: here.published().map(|facts| facts.id).filter(|id| removed.contains(id)).collect(),
            wanted: Wanted::new(policy, there, &stays),
            selected,
            copied,
            stays,
            segments,
        }
    }

    /// Whether what will be here asks for a segment.
    pub fn wants(&self, segment: Segment) -> bool {
        self.wanted.covers(segment)
    }

    /// Whether WAL may be deleted at all.
    pub fn may_prune_wal(&self) -> bool {
        self.wanted.may_prune
    }

    /// The backup that will be here and builds on this one.
    pub fn child(&self, id: BackupId) -> Option<BackupId> {
        self.stays.values().find(|kept| kept.facts.parent == Some(id)).map(|kept| kept.facts.id)
    }
}

/// The whole segments that will be here: those that are, and those that are shipped, without those that are removed.
fn segments(
    planned: &ReplicaPlan,
    there: &PrimaryInventory,
    here: &ReplicaInventory,
    stays: &BTreeMap<BackupId, Kept>,
) -> Segments {
    let mut segments = Segments::of_sizes(stays.values().map(|kept| kept.facts.segment_size));
    let removed: BTreeSet<WalName> = planned.actions.iter().flat_map(removed_wals).collect();
    let stays = |file: &WalFile| file.is_intact() && !removed.contains(&file.name);
    let intact: Vec<Segment> =
        wal_files(Some(there), here).filter(stays).filter_map(|file| file.name.segment()).collect();
    segments.extend(intact);
    segments.extend(planned.actions.iter().flat_map(shipped));
    segments
}

fn shipped(action: &Action) -> impl Iterator<Item = Segment> {
    action.change.effect().shipped().into_iter().flat_map(WalBatch::names).filter_map(WalName::segment)
}

fn removed_wals(action: &Action) -> impl Iterator<Item = WalName> {
    action.change.effect().deleted().into_iter().flat_map(BTreeMap::keys).copied()
}

fn removes(action: &Action) -> Option<BackupId> {
    if let Effect::BackupGoes { id, .. } = action.change.effect() { Some(id) } else { None }
}

fn copies(action: &Action) -> Option<BackupId> {
    action.change.effect().published().map(|copy| copy.id)
}

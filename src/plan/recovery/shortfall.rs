//! What a replica will lack of what is wanted, although every action of its plan is done: each thing by its name.
//!
//! The rule that is held here: a replica is called in sync, and a plan done, only when nothing of this is left. It does
//! not matter who is to blame: what the primary has lost is lacking here as well. A backup counts from when it was DONE
//! at either end; one that never was is not wanted yet, and a snapshot of cloud volumes has no files that a site could
//! hold: of these a note tells.

use std::collections::{BTreeMap, BTreeSet};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::barman::ids::BackupId;
use crate::barman::keep::Keep;
use crate::barman::wal::{Segment, SegmentSize, Timeline, WalName};
use crate::barman::wal_set::{WalRange, WalSet};
use crate::observe::inventory::{BackupFacts, BaseState, PrimaryInventory, ReplicaInventory};
use crate::site::model::{Policy, WalsFrom};

use super::branch::Branch;
use super::window::{Segments, needed, recoverable};
use crate::observe::wal_files::{WalFile, wal_files};
use crate::plan::backup::{self, BackupDiff, Kept};
use crate::plan::wal::WalDiff;
use crate::plan::wal::wanted;

/// Something that is wanted, is not whole here, and does not come.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "code", content = "of", rename_all = "kebab-case", deny_unknown_fields)]
pub enum Shortfall {
    /// A backup here is damaged, and the primary has nothing to repair it with.
    BackupDamaged {
        /// The backup.
        backup: BackupId,
        /// How many files are missing or have another size; none where it has no files at all.
        files: usize,
    },
    /// A backup whose metadata at the primary makes no sense, so that it cannot be copied.
    BackupUnreadable {
        /// The backup.
        backup: BackupId,
    },
    /// A backup of which the primary, a site itself, says that it is damaged there, so that it is not copied.
    DamagedThere {
        /// The backup.
        backup: BackupId,
    },
    /// An incremental backup whose parent neither end has.
    ParentMissing {
        /// The incremental backup.
        backup: BackupId,
        /// The parent.
        parent: BackupId,
    },
    /// An incremental backup whose parent will not be recoverable.
    ParentNotRecoverable {
        /// The incremental backup.
        backup: BackupId,
        /// The parent.
        parent: BackupId,
    },
    /// A backup that does not say which WAL makes it consistent.
    WalUnknown {
        /// The backup.
        backup: BackupId,
    },
    /// Segments without which a backup is not consistent, and which neither end has whole.
    WalMissing {
        /// The backup.
        backup: BackupId,
        /// What is missing.
        ranges: Vec<WalRange>,
    },
    /// A backup that is not copied, as WAL that it or its parent needs is held: it is whole here, and another's at the
    /// primary.
    WalHeld {
        /// The backup.
        backup: BackupId,
        /// The first such segment.
        first: WalName,
    },
    /// Segments that are damaged here, and that the primary does not have.
    WalDamaged {
        /// How many.
        count: u64,
        /// The first.
        first: WalName,
    },
    /// Segments that the primary lists, and that neither end has. No backup needs them to be consistent.
    WalGone {
        /// How many.
        count: u64,
        /// The first.
        first: WalName,
    },
    /// Segments between a backup and the end of a branch that it leads to, which neither end has. No backup needs them to
    /// be consistent, and nobody lists them.
    WalHole {
        /// The timeline.
        timeline: Timeline,
        /// What is missing.
        ranges: Vec<WalRange>,
    },
    /// A backup that does not fit here, and is not begun.
    NoRoom {
        /// The backup.
        backup: BackupId,
        /// Bytes that it needs with the WAL that comes for it, and what is kept for WAL to come.
        needed: u64,
        /// Bytes that what is worth more leaves for it, in round numbers.
        left: u64,
    },
    /// WAL that does not fit here, and is not begun.
    NoRoomForWal {
        /// How many files.
        count: u64,
        /// The first.
        first: WalName,
        /// Their bytes.
        needed: u64,
        /// Bytes that are left for them, in round numbers.
        left: u64,
    },
    /// The branch that is alive, to which no backup leads.
    NoBackup {
        /// The timeline that it ends on.
        timeline: Timeline,
    },
}

impl Shortfall {
    /// Whether there is only no room for it: an apply brings it as soon as there is.
    pub fn is_of_room(&self) -> bool {
        matches!(self, Self::NoRoom { .. } | Self::NoRoomForWal { .. })
    }

    /// The backup that it is about.
    pub fn backup(&self) -> Option<BackupId> {
        match self {
            Self::BackupDamaged { backup, .. }
            | Self::BackupUnreadable { backup }
            | Self::DamagedThere { backup }
            | Self::ParentMissing { backup, .. }
            | Self::ParentNotRecoverable { backup, .. }
            | Self::WalUnknown { backup }
            | Self::WalMissing { backup, .. }
            | Self::WalHeld { backup, .. }
            | Self::NoRoom { backup, .. } => Some(*backup),
            Self::WalDamaged { .. }
            | Self::WalGone { .. }
            | Self::WalHole { .. }
            | Self::NoRoomForWal { .. }
            | Self::NoBackup { .. } => None,
        }
    }
}

/// What will be lacking once every action is done.
pub fn remaining(
    policy: &Policy,
    primary: &PrimaryInventory,
    here: &ReplicaInventory,
    (backups, wals): (&BackupDiff, &WalDiff),
    branches: &[Branch],
) -> Vec<Shortfall> {
    Remains {
        primary: Some(primary),
        here,
        followed: followed(policy, wanted::first_backup(policy, primary, &backups.kept), &backups.kept),
        branches,
        kept: &backups.kept,
        orphans: &backups.orphans,
        unreadable: &backups.unreadable,
        damaged_there: &backups.damaged_there,
        waiting: &backups.waiting,
        segments: &wals.after,
        broken: &wals.broken,
        gone: &wals.gone,
    }
    .shortfalls()
}

/// What is lacking now, as the site alone tells.
pub fn alone(policy: &Policy, here: &ReplicaInventory, segments: &Segments, branches: &[Branch]) -> Vec<Shortfall> {
    let keep = |id| here.backups.get(&id).and_then(|local| local.keep);
    let kept = |facts: &BackupFacts| Kept { facts: facts.clone(), copy: None, keep: keep(facts.id) };
    let kept: BTreeMap<BackupId, Kept> = here.published().map(|facts| (facts.id, kept(facts))).collect();
    let parent = |facts: &BackupFacts| facts.parent.filter(|parent| !kept.contains_key(parent));
    let orphans: Vec<_> = here.published().filter_map(|facts| Some((facts.id, parent(facts)?))).collect();
    let is_broken = |file: &WalFile| file.here.is_some() && !file.is_intact() && file.name.segment().is_some();
    let broken: Vec<WalName> = wal_files(None, here).filter(is_broken).map(|file| file.name).collect();
    let no_primary = Remains {
        primary: None,
        here,
        followed: followed(policy, kept.keys().next_back().copied(), &kept),
        branches,
        kept: &kept,
        orphans: &orphans,
        unreadable: &[],
        damaged_there: &[],
        waiting: &[],
        segments,
        broken: &broken,
        gone: &[],
    };
    no_primary.shortfalls()
}

/// The backups from which on all WAL is wanted, under this policy; `first` is the one that `newest-backup` means.
fn followed(policy: &Policy, first: Option<BackupId>, kept: &BTreeMap<BackupId, Kept>) -> BTreeSet<BackupId> {
    let is_followed = |id: BackupId, kept: &Kept| match policy.wals_from {
        WalsFrom::OldestBackup => kept.keep != Some(Keep::Standalone),
        WalsFrom::NewestBackup => first == Some(id),
        WalsFrom::BackupsOnly => false,
    };
    kept.iter().filter(|(id, kept)| is_followed(**id, kept)).map(|(id, _)| *id).collect()
}

/// What there will be.
struct Remains<'a> {
    primary: Option<&'a PrimaryInventory>,
    here: &'a ReplicaInventory,
    /// Every backup that the site will have.
    kept: &'a BTreeMap<BackupId, Kept>,
    /// Those of them from which on all WAL is wanted.
    followed: BTreeSet<BackupId>,
    /// Every branch that has WAL, that which is alive first.
    branches: &'a [Branch],
    /// Incremental backups whose parent, which is named too, nobody has.
    orphans: &'a [(BackupId, BackupId)],
    /// Backups that are wanted and make no sense at the primary.
    unreadable: &'a [BackupId],
    /// Backups that are wanted, and that the primary says are damaged there.
    damaged_there: &'a [BackupId],
    /// Backups that are wanted and wait for a held segment.
    waiting: &'a [(BackupId, Segment)],
    /// The whole segments that will be here.
    segments: &'a Segments,
    /// Wanted segments that are damaged here and not to be had.
    broken: &'a [WalName],
    /// Wanted segments that are listed and that nobody has.
    gone: &'a [WalName],
}

impl Remains<'_> {
    fn shortfalls(&self) -> Vec<Shortfall> {
        let unreadable = self.unreadable.iter().map(|id| Shortfall::BackupUnreadable { backup: *id });
        let unreadable = unreadable.chain(self.damaged_there.iter().map(|id| Shortfall::DamagedThere { backup: *id }));
        let orphans = self.orphans.iter().map(|(id, parent)| Shortfall::ParentMissing { backup: *id, parent: *parent });
        let held = |(backup, first): &(BackupId, Segment)| Shortfall::WalHeld {
            backup: *backup,
            first: WalName::Segment(*first),
        };
        let waiting = self.waiting.iter().map(held);
        let mut shortfalls: Vec<Shortfall> =
            self.of_kept().into_iter().chain(unreadable).chain(orphans).chain(waiting).collect();
        let spans = self.kept.values().filter_map(|kept| Some((kept.facts.begin_wal?, kept.facts.end_wal?)));
        let spans = wanted::disjoint(spans.collect());
        let makes_consistent = |segment: Segment| {
            let begun = spans.partition_point(|(first, _)| *first <= segment);
            begun.checked_sub(1).and_then(|at| spans.get(at)).is_some_and(|(_, last)| segment <= *last)
        };
        let is_told = |name: &&WalName| !name.segment().is_some_and(makes_consistent);
        let mut gone = self.gone.iter().filter(is_told);
        if let Some(first) = gone.next() {
            shortfalls.push(Shortfall::WalGone { count: 1 + gone.count() as u64, first: *first });
        }
        if let Some(first) = self.broken.first() {
            shortfalls.push(Shortfall::WalDamaged { count: self.broken.len() as u64, first: *first });
        }
        shortfalls.extend(self.holes());
        shortfalls.extend(self.no_backup());
        shortfalls
    }

    /// What nobody has of the branches that backups lead to, and nothing above tells.
    fn holes(&self) -> Vec<Shortfall> {
        let mut wanted: BTreeMap<SegmentSize, WalSet> = BTreeMap::new();
        for branch in self.branches {
            let begins = self.followed.iter().filter_map(|id| Some(branch.span(&self.kept.get(id)?.facts)?.0));
            if let Some(begin) = begins.min() {
                wanted.entry(branch.segment_size()).or_default().extend(branch.from(begin));
            }
        }
        let missing = wanted.into_iter().flat_map(|(size, wanted)| {
            let missing = self.segments.numbered(size).map_or(wanted.clone(), |here| wanted.difference(here));
            missing.difference(&self.told(size)).ranges().collect::<Vec<_>>()
        });
        let mut by_timeline: BTreeMap<Timeline, Vec<WalRange>> = BTreeMap::new();
        for range in missing {
            by_timeline.entry(range.timeline).or_default().push(range);
        }
        by_timeline.into_iter().map(|(timeline, ranges)| Shortfall::WalHole { timeline, ranges }).collect()
    }

    /// The segments of which another shortfall tells.
    fn told(&self, size: SegmentSize) -> WalSet {
        let consistent = self.kept.values().filter(|kept| kept.facts.segment_size == size);
        let mut told: WalSet = consistent.filter_map(|kept| needed(&kept.facts)).collect();
        for segment in self.broken.iter().chain(self.gone).filter_map(|name| name.segment()) {
            if let Some(number) = segment.number(size) {
                told.insert_segment(segment.timeline, number);
            }
        }
        told
    }

    /// Without any backup the verdict says so already.
    fn no_backup(&self) -> Option<Shortfall> {
        let alive = self.branches.first()?;
        let leads = |kept: &Kept| alive.span(&kept.facts).is_some();
        let is_told = self.kept.is_empty() || self.kept.values().any(leads);
        (!is_told).then(|| Shortfall::NoBackup { timeline: alive.timeline() })
    }

    /// Of the backups that the site will have, the newest first.
    fn of_kept(&self) -> Vec<Shortfall> {
        let whole = self.kept.values().map(|kept| &kept.facts).filter(|facts| self.will_be_whole(facts.id));
        let recoverable: BTreeSet<BackupId> = recoverable(whole, self.segments).into_keys().collect();
        let lost = self.kept.values().rev().filter(|kept| !recoverable.contains(&kept.facts.id));
        lost.filter_map(|kept| self.of_backup(&kept.facts)).collect()
    }

    /// Why a backup will not be recoverable. That its parent is missing is told of the parent.
    fn of_backup(&self, facts: &BackupFacts) -> Option<Shortfall> {
        let backup = facts.id;
        if !self.will_be_whole(backup) {
            let files = match self.here.backups.get(&backup).map(|local| &local.base) {
                Some(BaseState::Damaged { files }) => files.len(),
                _ => 0,
            };
            return Some(Shortfall::BackupDamaged { backup, files });
        }
        let Some(range) = needed(facts) else { return Some(Shortfall::WalUnknown { backup }) };
        let all = WalSet::from_iter([range]);
        let missing = self.segments.numbered(facts.segment_size).map_or(all.clone(), |present| all.difference(present));
        if !missing.is_empty() {
            return Some(Shortfall::WalMissing { backup, ranges: missing.ranges().collect() });
        }
        let is_told = self.orphans.iter().any(|(orphan, _)| *orphan == backup);
        facts.parent.filter(|_| !is_told).map(|parent| Shortfall::ParentNotRecoverable { backup, parent })
    }

    fn will_be_whole(&self, id: BackupId) -> bool {
        self.primary.is_some_and(|primary| backup::is_usable_at(primary, id)) || self.here.is_whole(id)
    }
}

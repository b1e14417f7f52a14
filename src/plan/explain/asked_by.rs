//! What in a site file asks for an action, by the key that a reader would change to be without it.

#![deny(clippy::wildcard_enum_match_arm)]

use std::collections::BTreeMap;

use jiff::Timestamp;

use crate::barman::ids::BackupId;
use crate::observe::inventory::{Observed, ReplicaObservation};
use crate::site::KeyPath;
use crate::site::model::{Replica, WalsFrom};

use crate::plan::action::Action;
use crate::plan::action::kinds::Effect;
use crate::plan::backup;
use crate::plan::backup::selection::{Candidate, Selector, selectors};
use crate::plan::reason::Reason;
use crate::plan::wal::wanted;

/// Something that asks for an action, or allows it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AskedBy {
    /// There is to be a replica.
    Replica,
    /// The backup is wanted.
    Selected(Selector),
    /// The backup is not wanted, and nothing allows to delete it.
    Stays,
    /// This backup is not consistent without it.
    NeededBy(BackupId),
    /// All WAL is wanted from a backup on; `None` where no backup tells from where.
    WalsFrom(WalsFrom, Option<BackupId>),
    /// `prune.unselected`
    PruneUnselected,
    /// `prune.gone_at_primary`
    PruneGone,
    /// What an interrupted copy left and nobody will finish is deleted in any case.
    CleanUp,
}

impl AskedBy {
    /// Where a replica says so, given its own place in the file; `None` where no key decides it.
    pub fn path(self, replica: &KeyPath) -> Option<KeyPath> {
        match self {
            Self::Replica => Some(replica.clone()),
            Self::Selected(Selector::All) => Some(replica.key("backups")),
            Self::Selected(Selector::Rule(place, _)) => Some(replica.key("backups").item(place)),
            Self::WalsFrom(..) => Some(replica.key("wals").key("from")),
            Self::PruneUnselected => Some(replica.key("prune").key("unselected")),
            Self::PruneGone => Some(replica.key("prune").key("gone_at_primary")),
            Self::Selected(Selector::Kept | Selector::Carries(_) | Selector::Follows(_))
            | Self::Stays
            | Self::NeededBy(_)
            | Self::CleanUp => None,
        }
    }
}

/// What a replica's part of the site file asks for, given what both ends have.
pub struct Askers<'a> {
    replica: &'a Replica,
    candidates: BTreeMap<BackupId, Candidate>,
    /// The backup from which on all WAL is wanted.
    first: Option<BackupId>,
    /// From when on the rules count that go by time.
    counted: Timestamp,
}

impl<'a> Askers<'a> {
    /// Judges as a plan of that time does; `None` when the primary did not answer.
    pub fn new(replica: &'a Replica, observed: &ReplicaObservation, now: Timestamp) -> Option<Self> {
        let Observed::Active(primary) = &observed.primary else { return None };
        let (policy, here) = (&replica.policy, &observed.replica);
        let kept = backup::diff(policy, primary, here, now).kept;
        let first = wanted::first_backup(policy, primary, &kept);
        let counted = backup::counted_from(policy, primary, here, now);
        Some(Self { replica, candidates: backup::candidates(policy, primary, here), first, counted })
    }

    /// What asks for an action, the most telling first.
    pub fn of(&self, action: &Action) -> Vec<AskedBy> {
        match action.change.effect() {
            Effect::Server | Effect::List | Effect::History(_) => vec![AskedBy::Replica],
            Effect::WalsCome(batch) => match batch.needed_by {
                Some(id) => std::iter::once(AskedBy::NeededBy(id)).chain(self.of_backup(id)).collect(),
                None => vec![self.wals_from()],
            },
            Effect::BackupComes(copy) | Effect::FilesCome(copy) => self.of_backup(copy.id),
            Effect::Info(id, _) | Effect::Links(id) | Effect::Keep(id, _) => self.of_backup(id),
            Effect::BackupGoes { .. } | Effect::StagingGoes(_) => vec![removal(&action.reason)],
            Effect::WalsGo(..) => vec![self.prune(), self.wals_from()],
        }
    }

    /// What asks for a backup; that it stays where nothing does.
    pub fn of_backup(&self, id: BackupId) -> Vec<AskedBy> {
        let selectors = selectors(id, &self.replica.policy.backups, &self.candidates, self.counted);
        if selectors.is_empty() {
            return vec![AskedBy::Stays];
        }
        // What follows another is there because of what asks for that one.
        let basis = selectors.iter().find_map(|selector| {
            let Selector::Follows(root) = selector else { return None };
            Some(self.of_backup(*root))
        });
        selectors.iter().copied().map(AskedBy::Selected).chain(basis.unwrap_or_default()).collect()
    }

    fn wals_from(&self) -> AskedBy {
        AskedBy::WalsFrom(self.replica.policy.wals_from, self.first)
    }

    /// What allows to delete WAL.
    fn prune(&self) -> AskedBy {
        if self.replica.policy.prune.unselected { AskedBy::PruneUnselected } else { AskedBy::PruneGone }
    }
}

fn removal(reason: &Reason) -> AskedBy {
    if let Reason::Unselected(_) = reason {
        AskedBy::PruneUnselected
    } else if *reason == Reason::GoneAtPrimary {
        AskedBy::PruneGone
    } else {
        AskedBy::CleanUp
    }
}

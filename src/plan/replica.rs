//! Plan for one replica: the differences become actions, in the order in which they are worth doing.

use std::collections::BTreeSet;

use jiff::Timestamp;

use crate::barman::backup_info::{BackupInfo, Status};
use crate::barman::ids::{BackupId, SystemId};
use crate::barman::wal::{SegmentSize, WalName};
use crate::observe::inventory::{
    BaseState, LocalBackup, Observed, PrimaryInventory, Published, ReplicaInventory, ReplicaObservation,
};
use crate::site::model::{Replica, Reuse};
use crate::verify::manifest::{barman_path, identical_files};

use super::action::{Action, Address, BackupCopy, Change, Outcome, ReplicaPlan, ReusedFiles, Target, WalBatch};
use super::diff_backups::{self, BackupDiff, Kept};
use super::diff_wals::{self, WalDiff};
use super::reason::{Note, Reason};
use super::window::needed;
use super::{guard, recovery};

/// Plans one replica.
pub fn plan(replica: &Replica, observed: &ReplicaObservation, now: Timestamp) -> ReplicaPlan {
    let mut plan = ReplicaPlan {
        name: replica.name.clone(),
        primary: replica.primary.clone(),
        server: replica.server.clone(),
        outcome: Outcome::Planned,
        target: None,
        actions: Vec::new(),
        before: Default::default(),
        after: Default::default(),
        warnings: Vec::new(),
        notes: Vec::new(),
    };
    let here = &observed.replica;
    match &observed.primary {
        Observed::Failed { message, hint } => {
            plan.outcome = Outcome::Unobserved { message: message.clone(), hint: hint.clone() };
            plan.before = recovery::before(None, here);
            plan.after = plan.before;
        }
        Observed::Inactive(sentence) => {
            plan.outcome = Outcome::Inactive(sentence.clone());
            plan.before = recovery::before(None, here);
            plan.after = plan.before;
        }
        Observed::Active(primary) => Planner { replica, primary, here, now }.plan_into(&mut plan),
    }
    plan
}

/// The two ends of a replica, and what is wanted of it.
struct Planner<'a> {
    replica: &'a Replica,
    primary: &'a PrimaryInventory,
    here: &'a ReplicaInventory,
    now: Timestamp,
}

impl Planner<'_> {
    fn plan_into(&self, plan: &mut ReplicaPlan) {
        let size = self.segment_size();
        let backups = diff_backups::diff(&self.replica.policy, self.primary, self.here, self.now);
        let wals = diff_wals::diff(&self.replica.policy, self.primary, self.here, &backups.kept, size);
        plan.before = recovery::before(Some(self.primary), self.here);
        plan.after = recovery::after(self.primary, self.here, &backups, &wals);
        plan.notes = self.notes(&backups, &wals);
        let blockers = guard::blockers(self.replica, self.primary, self.here, &backups, plan.after.backups);
        if !blockers.is_empty() {
            plan.outcome = Outcome::Blocked(blockers);
            plan.after = plan.before;
            return;
        }
        plan.actions = self.actions(&backups, &wals);
        plan.warnings = guard::warnings(self.primary, self.here, &backups, &plan.actions);
        plan.target = Some(Target {
            here: self.here.directories.clone(),
            there: self.primary.directories.clone(),
            barman: self.here.barman,
            segment_size: size,
            sync_wals: self.sync_wals(),
            systems: self.systems(),
            free: self.here.free,
        });
    }

    /// The segment size of the newest backup, as a cluster keeps it for life.
    fn segment_size(&self) -> SegmentSize {
        let there = self.primary.backups.values().next_back().map(|backup| backup.facts.segment_size);
        let here = || self.here.backups.values().rev().find_map(|b| b.published.as_ref()).map(|p| p.facts.segment_size);
        there.or_else(here).unwrap_or_default()
    }

    /// The systems that the replica holds or is to hold; a plan that mixes others in was refused before.
    fn systems(&self) -> Vec<SystemId> {
        let here = self.here.published().filter_map(|facts| facts.system);
        let there = self.primary.backups.values().filter_map(|backup| backup.facts.system);
        let systems: BTreeSet<SystemId> = here.chain(there).collect();
        systems.into_iter().collect()
    }

    /// Barman refuses a position of 0, which is where the only line of an xlog.db begins.
    fn sync_wals(&self) -> Option<(WalName, u64)> {
        self.primary.last.map(|(name, position)| (name, position.max(1)))
    }

    fn notes(&self, backups: &BackupDiff, wals: &WalDiff) -> Vec<Note> {
        let renamed = (self.replica.name != self.replica.server).then(|| Note::Renamed(self.replica.server.clone()));
        let primary = self.primary.notes.iter().cloned().map(Note::Primary);
        let site = self.here.notes.iter().cloned().map(Note::Site);
        renamed
            .into_iter()
            .chain(primary)
            .chain(site)
            .chain(backups.notes.iter().cloned())
            .chain(wals.notes.iter().cloned())
            .collect()
    }

    fn actions(&self, backups: &BackupDiff, wals: &WalDiff) -> Vec<Action> {
        let mut actions = self.groundwork(wals);
        actions.extend(self.histories(wals));
        let mut missing = wals.missing.iter().peekable();
        let mut differing = wals.differing.iter().peekable();
        for (id, kept) in backups.kept.iter().rev() {
            actions.extend(self.backup(*id, kept, backups));
            // Both lists are in the order of the backups: what this one needs, then what follows it.
            let is_its = |batch: &&&WalBatch| batch.needed_by == Some(*id) || follows(batch, kept);
            while let Some(batch) = differing.next_if(|b| is_its(&b)) {
                actions.push(self.wal_action(batch, true));
            }
            while let Some(batch) = missing.next_if(|b| is_its(&b)) {
                actions.push(self.wal_action(batch, false));
            }
        }
        actions.extend(differing.map(|batch| self.wal_action(batch, true)));
        actions.extend(missing.map(|batch| self.wal_action(batch, false)));
        actions.extend(self.removals(backups, wals));
        actions
    }

    /// What must be right before the first WAL is placed.
    fn groundwork(&self, wals: &WalDiff) -> Vec<Action> {
        let name = &self.replica.name;
        if !self.here.exists {
            let address = Address::single(name, "server");
            return vec![Action { address, change: Change::CreateServer, reason: Reason::MissingHere }];
        }
        let mut actions = Vec::new();
        if !wals.xlogdb.is_empty() {
            let known = self.primary.wals.iter().filter(|entry| self.here.wals.contains_key(&entry.name));
            actions.push(Action {
                address: Address::single(name, "xlog.db"),
                change: Change::RepairXlogDb { entries: known.copied().collect() },
                reason: Reason::XlogDb(wals.xlogdb.clone()),
            });
        }
        if let Some(to) = self.sync_wals().filter(|to| self.here.sync_wals != Some(*to)) {
            let from = self.here.sync_wals;
            let reason = if from.is_some() { Reason::SyncWalsBehind } else { Reason::SyncWalsBroken };
            let address = Address::single(name, "sync-wals.info");
            actions.push(Action { address, change: Change::RewriteSyncWals { from, to }, reason });
        }
        actions
    }

    fn histories(&self, wals: &WalDiff) -> Vec<Action> {
        let action = |missing: &diff_wals::MissingHistory| Action {
            address: Address::new(&self.replica.name, "history", format_args!("{:08X}", missing.timeline.0)),
            change: Change::ShipHistory { timeline: missing.timeline, entry: missing.entry, size: missing.there },
            reason: missing.here.map_or(Reason::MissingHere, |here| Reason::SizeDiffers {
                here,
                there: missing.there,
                files: 1,
            }),
        };
        wals.histories.iter().map(action).collect()
    }

    /// What is done to one backup that the site will have.
    fn backup(&self, id: BackupId, kept: &Kept, backups: &BackupDiff) -> Vec<Action> {
        let local = self.here.backups.get(&id);
        let mut actions = Vec::new();
        if let Some(reason) = &kept.copy {
            let change = Change::AddBackup(Box::new(self.copy(id, kept, backups, local.is_some())));
            actions.push(Action { address: self.address("backup", id), change, reason: reason.clone() });
        } else if let Some((published, local)) = local.and_then(|l| Some((l.published.as_ref()?, l))) {
            actions.extend(self.damage(id, kept, local, backups));
            actions.extend(self.metadata(id, published));
        }
        actions.extend(self.keep(id, local));
        actions
    }

    fn address(&self, kind: &str, id: BackupId) -> Address {
        Address::new(&self.replica.name, kind, id)
    }

    fn copy(&self, id: BackupId, kept: &Kept, backups: &BackupDiff, adopt: bool) -> BackupCopy {
        let children: BTreeSet<BackupId> = backups.kept.keys().copied().collect();
        let there = self.primary.backups.get(&id);
        BackupCopy {
            id,
            info: there.map(|b| b.info.for_site(&self.replica.name, self.here.barman, &children)).unwrap_or_default(),
            size: kept.facts.size.unwrap_or(0),
            needed: needed(&kept.facts),
            tablespaces: kept.facts.tablespaces.clone(),
            parent: kept.facts.parent,
            reuse: if adopt { None } else { self.reuse(id) },
            adopt,
            resume: self.here.staged.contains(&id),
        }
    }

    /// The files that the backup shares with the nearest one before it that is here and whole.
    fn reuse(&self, id: BackupId) -> Option<ReusedFiles> {
        if self.replica.policy.transfer.reuse == Reuse::None {
            return None;
        }
        let new = self.primary.backups.get(&id)?.manifest.as_ref()?;
        let is_basis = |local: &LocalBackup| {
            local.base == BaseState::Complete
                && local.published.as_ref().is_some_and(|p| p.facts.status == Status::Done)
        };
        let older = self.here.backups.range(..id).rev().chain(self.here.backups.range(id..));
        let (from, old) = older
            .filter(|(_, local)| is_basis(local))
            .find_map(|(from, local)| Some((*from, local.manifest.as_ref()?)))?;
        let same = identical_files(old, new);
        let bytes = same.iter().filter_map(|path| new.files.get(*path)).map(|file| file.size).sum();
        let files: Vec<_> = same.into_iter().map(barman_path).collect();
        (!files.is_empty()).then_some(ReusedFiles { from, files, bytes })
    }

    fn damage(&self, id: BackupId, kept: &Kept, local: &LocalBackup, backups: &BackupDiff) -> Option<Action> {
        let files = match &local.base {
            BaseState::Complete => return None,
            BaseState::Absent => vec!["data".into()],
            BaseState::Damaged { files } => files.clone(),
        };
        if !self.primary.backups.get(&id).is_some_and(diff_backups::is_usable) {
            return None;
        }
        let reason = Reason::FilesDamaged { count: files.len(), first: files.into_iter().next().unwrap_or_default() };
        let change = Change::RepairBackup(Box::new(self.copy(id, kept, backups, false)));
        Some(Action { address: self.address("backup", id), change, reason })
    }

    /// What backup.info should say, for a backup that is here.
    fn metadata(&self, id: BackupId, published: &Published) -> Option<Action> {
        let here: BTreeSet<BackupId> = self.here.published().map(|facts| facts.id).collect();
        let to = match self.primary.backups.get(&id) {
            Some(there) => there.info.for_site(&self.replica.name, self.here.barman, &here),
            None => published.info.for_site(&self.replica.name, self.here.barman, &here),
        };
        let reason = metadata_reason(published, &to, self.here)?;
        let change = Change::UpdateInfo { id, from: Box::new(published.info.clone()), to: Box::new(to) };
        Some(Action { address: self.address("info", id), change, reason })
    }

    /// A keep annotation is shipped, and one that is set at the site is never removed.
    fn keep(&self, id: BackupId, local: Option<&LocalBackup>) -> Option<Action> {
        let to = self.primary.backups.get(&id)?.keep?;
        let from = local.and_then(|local| local.keep);
        let change = Change::SetKeep { id, from, to };
        (from != Some(to)).then(|| Action { address: self.address("keep", id), change, reason: Reason::KeptAtPrimary })
    }

    fn wal_action(&self, batch: &WalBatch, differs: bool) -> Action {
        let name = match (batch.range, batch.entries.first()) {
            (Some(range), _) => range.address(self.segment_size()),
            (None, entry) => entry.map(|entry| entry.name.to_string()).unwrap_or_default(),
        };
        let reason = match (batch.needed_by, batch.entries.first()) {
            (_, Some(first)) if differs => Reason::SizeDiffers {
                here: batch.here.get(&first.name).copied().unwrap_or_default(),
                there: first.size,
                files: batch.entries.len() as u64,
            },
            (Some(id), _) => Reason::NeededBy(id),
            _ => Reason::MissingHere,
        };
        let change = if differs { Change::RepairWals(batch.clone()) } else { Change::AddWals(batch.clone()) };
        Action { address: Address::new(&self.replica.name, "wal", name), change, reason }
    }

    fn removals(&self, backups: &BackupDiff, wals: &WalDiff) -> Vec<Action> {
        let remove = |(id, reason): &(BackupId, Reason)| {
            let published = self.here.backups.get(id).and_then(|local| local.published.as_ref());
            let change = Change::RemoveBackup {
                id: *id,
                size: published.and_then(|p| p.facts.size),
                parent: published.and_then(|p| p.facts.parent),
            };
            Action { address: self.address("backup", *id), change, reason: reason.clone() }
        };
        let staging = backups.stale_staging.iter().map(|id| Action {
            address: self.address("staging", *id),
            change: Change::RemoveStaging { id: *id },
            reason: Reason::InterruptedAndUnselected,
        });
        let size = self.segment_size();
        let unneeded = wals.unneeded.iter().map(|(range, files)| {
            let first = || files.keys().next().map(ToString::to_string).unwrap_or_default();
            Action {
                address: Address::new(&self.replica.name, "wal", range.map_or_else(first, |r| r.address(size))),
                change: Change::RemoveWals { range: *range, files: files.clone() },
                reason: Reason::NoBackupNeedsIt,
            }
        });
        let zombies = backups.zombies.iter().map(remove);
        zombies.chain(staging).chain(backups.pruned.iter().map(remove)).chain(unneeded).collect()
    }
}

/// Whether a batch that no backup needs comes after the end of this one.
fn follows(batch: &WalBatch, kept: &Kept) -> bool {
    let segment = batch.entries.first().and_then(|entry| diff_wals::segment_of(entry.name));
    batch.needed_by.is_none() && segment.zip(kept.facts.end_wal).is_some_and(|(segment, end)| segment > end)
}

fn metadata_reason(published: &Published, to: &BackupInfo, here: &ReplicaInventory) -> Option<Reason> {
    if !published.damage.is_empty() {
        return Some(Reason::EncodedTwice(published.damage.iter().map(|damage| damage.key.to_owned()).collect()));
    }
    let differing = published.info.differing_keys(to);
    if !differing.is_empty() {
        return Some(Reason::InfoDiffers(differing));
    }
    (!published.is_read).then_some(Reason::NotReadBy(here.barman))
}

//! Plan for one replica: the differences become actions, in the order in which they are worth doing.

#![deny(clippy::wildcard_enum_match_arm)]

use std::collections::BTreeSet;
use std::path::PathBuf;

use jiff::Timestamp;

use crate::barman::backup_info::BackupInfo;
use crate::barman::findings::Finding;
use crate::barman::ids::{BackupId, SystemId};
use crate::barman::wal::{SegmentSize, WalName};
use crate::observe::inventory::{
    BaseState, LocalBackup, Observed, PrimaryInventory, Published, ReplicaInventory, ReplicaObservation,
};
use crate::site::model::{Policy, Replica, Reuse};
use crate::site::pattern::Pattern;
use crate::verify::manifest::barman_path;

use super::action::address::{Names, Sort};
use super::action::{Action, BackupCopy, Change, ReusedFiles};
use super::backup::reuse::Sources;
use super::backup::{self, BackupDiff, Kept};
use super::cost::estimate::Pace;
use super::held::{self, Difference, Held, HeldKey};
use super::order::stages::Stage;
use super::reason::{Blocker, Note, Reason, Warning};
use super::recovery::Recovery;
use super::recovery::shortfall;
use super::recovery::window::needed;
use super::wal::segment_size;
use super::wal::shipping::{delete, ship};
use super::wal::{self, WalDiff};
use super::{Outcome, ReplicaPlan, Target};
use super::{guard, recovery};
use crate::observe::wal_files::wal_files;

/// Plans one replica. `limit` is the bandwidth that it shares with the other replicas of its primary.
pub fn plan(replica: &Replica, limit: Option<u64>, observed: &ReplicaObservation, now: Timestamp) -> ReplicaPlan {
    let mut plan = ReplicaPlan {
        name: replica.name.clone(),
        primary: replica.primary.clone(),
        server: replica.server.clone(),
        outcome: Outcome::Planned,
        target: None,
        actions: Vec::new(),
        held: Vec::new(),
        before: Recovery::default(),
        after: Recovery::default(),
        shortfalls: Vec::new(),
        warnings: Vec::new(),
        notes: Vec::new(),
        left_out: 0,
    };
    let here = &observed.replica;
    match &observed.primary {
        Observed::Failed(error) => {
            plan.outcome = Outcome::Unobserved(error.clone());
            unobserved(&mut plan, replica, here, now);
        }
        Observed::Inactive(sentence) => {
            plan.outcome = Outcome::Inactive(sentence.clone());
            unobserved(&mut plan, replica, here, now);
            plan.warnings.push(Warning::Inactive);
        }
        Observed::Active(primary) => {
            let published = here.published().map(|facts| facts.id).collect();
            let size = segment_size::of(primary, here);
            Planner { replica, primary, limit, here, published, size, now }.plan_into(&mut plan);
        }
    }
    plan
}

/// Of a server that the site file names, an inactive one is what somebody has to settle: the file asks for what the primary
/// withholds.
pub fn insist(plan: &mut ReplicaPlan) {
    if let Outcome::Inactive(sentence) = &plan.outcome {
        plan.outcome = Outcome::Blocked(vec![Blocker::Inactive(sentence.clone())]);
        plan.warnings.retain(|warning| *warning != Warning::Inactive);
    }
}

/// What the site alone tells of a replica. Of one that does not exist here, nothing is promised.
fn unobserved(plan: &mut ReplicaPlan, replica: &Replica, here: &ReplicaInventory, now: Timestamp) {
    if here.unreadable {
        plan.warnings.push(Warning::NotLookedAt);
        return;
    }
    let segments = recovery::segments_here(here);
    let view = recovery::before(None, here, &segments, now);
    plan.before = view.recovery();
    plan.after = plan.before;
    plan.shortfalls = shortfall::alone(&replica.policy, here, &segments, view.branches());
    plan.notes = view.other_branches().into_iter().map(Note::OtherBranch).collect();
    plan.notes.extend(wal::unproven_here(here));
    plan.notes.extend(looked_earlier(here));
    plan.warnings = guard::clocks(None, here, now);
}

/// To the minute, so that replicas which were looked at together are told of together.
fn looked_earlier(here: &ReplicaInventory) -> Option<Note> {
    let second = here.oldest_look()?.as_second();
    let since = Timestamp::from_second(second - second.rem_euclid(60)).ok()?;
    Some(Note::LookedEarlier { since })
}

/// The two ends of a replica, and what is wanted of it.
struct Planner<'a> {
    replica: &'a Replica,
    primary: &'a PrimaryInventory,
    limit: Option<u64>,
    here: &'a ReplicaInventory,
    /// The backups that are here.
    published: BTreeSet<BackupId>,
    /// The size by which WAL is numbered.
    size: SegmentSize,
    now: Timestamp,
}

impl Planner<'_> {
    fn plan_into(&self, plan: &mut ReplicaPlan) {
        let size = self.size;
        let backups = backup::diff(&self.replica.policy, self.primary, self.here, self.now);
        let mut wals = wal::diff(&self.replica.policy, self.primary, self.here, &backups, size);
        plan.before = recovery::before(Some(self.primary), self.here, &wals.now, self.now).recovery();
        let after = recovery::after(self.primary, self.here, &backups, &wals.after, self.now);
        plan.after = after.recovery();
        let (policy, diffs) = (&self.replica.policy, (&backups, &wals));
        plan.shortfalls = shortfall::remaining(policy, self.primary, self.here, diffs, after.branches());
        plan.notes = self.notes(&backups, &wals);
        plan.notes.extend(after.other_branches().into_iter().map(Note::OtherBranch));
        plan.notes.extend(self.found_in_copies());
        plan.notes.extend(looked_earlier(self.here));
        plan.notes.extend(self.accepted_in_vain().map(|pattern| Note::AcceptsNothing(pattern.to_string())));
        let blockers = guard::blockers(self.replica, self.primary, self.here, &backups, plan.after.full_backups);
        if !blockers.is_empty() {
            plan.outcome = Outcome::Blocked(blockers);
            plan.after = plan.before;
            return;
        }
        plan.held = self.held(&backups, &wals);
        plan.actions = self.actions(&backups, &mut wals);
        plan.warnings = guard::warnings(self.here);
        plan.warnings.extend(backups.prune_held.map(Warning::PruneHeld));
        plan.warnings.extend(self.refused_before(&plan.actions));
        plan.warnings.extend(guard::clocks(Some(self.primary), self.here, self.now));
        plan.warnings.extend(guard::behind_objective(self.replica.policy.rpo, &plan.before, &plan.after, self.now));
        plan.target = Some(Target {
            here: self.here.directories.clone(),
            there: self.primary.directories.clone(),
            barman: self.here.barman,
            segment_size: size,
            segment_sizes: segment_size::known(&self.replica.policy.accept_systems, self.primary, self.here),
            sync_wals: self.sync_wals(),
            systems: systems(self.replica, self.primary, self.here),
            free: self.here.rooms.map(|rooms| rounded_down(rooms.bases.free)),
            reserve: 0,
            pace: self.pace(),
        });
    }

    /// How fast bytes may arrive, and did.
    fn pace(&self) -> Pace {
        let last = self.here.last_apply.as_ref().filter(|last| last.primary == self.replica.primary);
        Pace {
            primary: self.limit,
            replica: self.replica.policy.transfer.bandwidth,
            measured: last.and_then(|last| last.measured?.rate()),
        }
    }

    /// Barman refuses a position of 0, which is where the only line of an xlog.db begins.
    fn sync_wals(&self) -> Option<(WalName, u64)> {
        self.primary.last.map(|(name, position)| (name, position.max(1)))
    }

    fn notes(&self, backups: &BackupDiff, wals: &WalDiff) -> Vec<Note> {
        let renamed = (self.replica.name != self.replica.server).then(|| Note::Renamed(self.replica.server.clone()));
        let other = self.here.other_site.iter().filter(|other| other.is_ours);
        let other = other.map(|other| Note::OtherFile { file: other.file.clone(), ended: other.ended });
        let primary = self.primary.notes.iter().cloned().map(Note::Primary);
        let site = self.here.notes.iter().cloned().map(Note::Site);
        renamed
            .into_iter()
            .chain(other)
            .chain(primary)
            .chain(site)
            .chain(backups.notes.iter().cloned())
            .chain(wals.notes.iter().cloned())
            .collect()
    }

    /// What waits for a person.
    fn held(&self, backups: &BackupDiff, wals: &WalDiff) -> Vec<Held> {
        let names = self.names();
        let info = |(id, keys): (&BackupId, &Vec<HeldKey>)| Held {
            address: self.names().backup(Sort::Info, *id),
            what: Difference::Info { backup: *id, keys: keys.clone() },
        };
        let history = |what: &Difference| {
            let Difference::History { timeline, .. } = what else { return None };
            Some(Held { address: names.history(*timeline), what: what.clone() })
        };
        let infos = backups.held.iter().map(info);
        let histories = wals.held_histories.iter().filter_map(history);
        infos.chain(histories).chain(held::wals(names, &wals.held)).collect()
    }

    /// What an apply refused, and what is planned again.
    fn refused_before(&self, actions: &[Action]) -> Vec<Warning> {
        let copied = actions.iter().filter_map(|action| action.change.effect().copied());
        let planned: BTreeSet<BackupId> = copied.map(|copy| copy.id).collect();
        let refused = self.findings().filter_map(|(id, finding)| match finding {
            Finding::Refused(why) if planned.contains(&id) => {
                Some(Warning::RefusedBefore { backup: id, why: why.clone() })
            }
            Finding::Refused(_) | Finding::LinksLeftOut { .. } | Finding::Unlisted { .. } => None,
        });
        refused.collect()
    }

    fn findings(&self) -> impl Iterator<Item = (BackupId, &Finding)> {
        self.here.findings.iter().flat_map(|(id, found)| found.iter().map(|finding| (*id, finding)))
    }

    /// What the copies of backups found that are here.
    fn found_in_copies(&self) -> Vec<Note> {
        let here: BTreeSet<BackupId> = self.here.published().map(|facts| facts.id).collect();
        let found = self.findings().filter(|(id, _)| here.contains(id)).filter_map(|(backup, finding)| match finding {
            Finding::LinksLeftOut { count, first } => {
                Some(Note::LinksLeftOut { backup, count: *count, first: first.clone() })
            }
            Finding::Unlisted { count, first } => Some(Note::Unlisted { backup, count: *count, first: first.clone() }),
            Finding::Refused(_) => None,
        });
        found.collect()
    }

    /// What is accepted although nothing of it would wait otherwise.
    fn accepted_in_vain(&self) -> impl Iterator<Item = &Pattern> {
        let accept = &self.replica.policy.accept;
        let waiting = if accept.is_empty() { Vec::new() } else { self.held_without_consent() };
        accept.iter().filter(move |pattern| !waiting.iter().any(|held| held.is_named_by(pattern)))
    }

    fn held_without_consent(&self) -> Vec<Held> {
        let policy = Policy { accept: Vec::new(), ..self.replica.policy.clone() };
        let size = self.size;
        let backups = backup::diff(&policy, self.primary, self.here, self.now);
        let wals = wal::diff(&policy, self.primary, self.here, &backups, size);
        self.held(&backups, &wals)
    }

    /// Takes the batches out of the differences, as there may be a million entries in them.
    fn actions(&self, backups: &BackupDiff, wals: &mut WalDiff) -> Vec<Action> {
        let mut actions = self.groundwork(wals);
        actions.extend(self.histories(wals));
        let mut sources = Sources::new(self.primary, self.here);
        let names = self.names();
        for (number, stage) in backups.stages.iter().enumerate() {
            if let Stage::Backup(id) = stage
                && let Some(kept) = backups.kept.get(id)
            {
                actions.extend(self.backup(*id, kept, backups, &sources));
                if kept.copy.is_some() {
                    sources.add(*id);
                }
            }
            let differing = wals.differing.remove(&number).unwrap_or_default();
            let accepted = wals.accepted.remove(&number).unwrap_or_default();
            let missing = wals.missing.remove(&number).unwrap_or_default();
            let batches = differing.into_iter().chain(accepted).chain(missing);
            actions.extend(batches.map(|batch| ship(names, batch)));
        }
        actions.extend(self.removals(backups, wals));
        actions
    }

    /// What must be right before the first WAL is placed.
    fn groundwork(&self, wals: &WalDiff) -> Vec<Action> {
        let names = self.names();
        if !self.here.exists {
            return vec![names.action(Change::CreateServer, Reason::MissingHere)];
        }
        let mut actions = Vec::new();
        if !wals.xlogdb.is_empty() {
            // Of what is whole here in another size, the line here is right, or is made from the file.
            let on_disk = wal_files(Some(self.primary), self.here);
            let on_disk =
                on_disk.filter(|file| file.here.is_some() && file.whole.is_none() && file.undescribed.is_none());
            // Nor does a line of another file become the primary's.
            let known = on_disk.filter(|file| !wal::is_line_of_another(file));
            let known = known.filter_map(|file| file.there).filter(|entry| entry.size > 0);
            let change = Change::RepairXlogDb { entries: known.collect() };
            actions.push(names.action(change, Reason::XlogDb(wals.xlogdb.clone())));
        }
        if let Some(to) = self.sync_wals().filter(|to| self.here.sync_wals != Some(*to)) {
            let from = self.here.sync_wals;
            let reason = if from.is_some() { Reason::SyncWalsBehind } else { Reason::SyncWalsBroken };
            actions.push(names.action(Change::RewriteSyncWals { from, to }, reason));
        }
        actions
    }

    fn histories(&self, wals: &WalDiff) -> Vec<Action> {
        let reason = |missing: &wal::MissingHistory| match (missing.here, missing.there) {
            (None, _) => Reason::MissingHere,
            (Some(here), there) if missing.accepted => Reason::Accepted { here, there, files: 1 },
            (Some(here), there) if here == there => Reason::ContentDamaged { files: 1 },
            (Some(here), there) => Reason::SizeDiffers { here, there, files: 1 },
        };
        let action = |missing: &wal::MissingHistory| {
            let (timeline, entry, size) = (missing.timeline, missing.entry, missing.there);
            self.names().action(Change::ShipHistory { timeline, entry, size }, reason(missing))
        };
        wals.histories.iter().map(action).collect()
    }

    /// What is done to one backup that the site will have.
    fn backup(&self, id: BackupId, kept: &Kept, backups: &BackupDiff, sources: &Sources<'_>) -> Vec<Action> {
        let local = self.here.backups.get(&id);
        let mut actions = Vec::new();
        if let Some(reason) = &kept.copy {
            let adopt = local.is_some_and(|local| local.base != BaseState::Absent);
            let change = Change::AddBackup(Box::new(BackupCopy { adopt, ..self.copy(id, kept, sources) }));
            actions.push(self.names().action(change, reason.clone()));
        } else if let Some((published, local)) = local.and_then(|l| Some((l.published.as_ref()?, l))) {
            let held = backups.held.get(&id).map(Vec::as_slice).unwrap_or_default();
            // What is held is not mended with the files of what may be something else.
            match self.damage(id, kept, local, sources).filter(|_| held.is_empty()) {
                // Whoever mends the files makes the links as well.
                Some(repair) => actions.push(repair),
                None => actions.extend(self.links(id, local)),
            }
            actions.extend(self.metadata(id, published, held));
        }
        actions.extend(self.keep(id, kept, local));
        actions
    }

    /// What its actions are named by.
    fn names(&self) -> Names<'_> {
        Names { replica: &self.replica.name, segment_size: self.size }
    }

    fn copy(&self, id: BackupId, kept: &Kept, sources: &Sources<'_>) -> BackupCopy {
        BackupCopy {
            id,
            info: self.primary.backups.get(&id).map(|there| self.for_site(&there.info)).unwrap_or_default(),
            size: kept.facts.size.unwrap_or(0),
            needed: needed(&kept.facts),
            tablespaces: kept.facts.tablespaces.clone(),
            parent: kept.facts.parent,
            reuse: self.reuse(id, sources),
            adopt: false,
            resume: self.here.staged.contains_key(&id),
            staged: self.here.staged.get(&id).copied().unwrap_or_default(),
        }
    }

    /// What backup.info is to say here. Its children are those that are here now: when one comes or goes, the
    /// change that brings or takes it rewrites the parent.
    fn for_site(&self, info: &BackupInfo) -> BackupInfo {
        info.for_site(&self.replica.name, self.here.barman, &self.published)
    }

    fn reuse(&self, id: BackupId, sources: &Sources<'_>) -> Option<ReusedFiles> {
        let is_wanted = self.replica.policy.transfer.reuse != Reuse::None;
        if is_wanted { sources.shared_by(id, self.pace().expected(None)) } else { None }
    }

    fn damage(&self, id: BackupId, kept: &Kept, local: &LocalBackup, sources: &Sources<'_>) -> Option<Action> {
        if !backup::is_repaired(self.primary, id, local) {
            return None;
        }
        let copy = self.copy(id, kept, sources);
        let (files, size) = match &local.base {
            BaseState::Damaged { files } => (files.clone(), self.size_of(id, files)),
            BaseState::Complete | BaseState::Absent => (vec!["data".into()], copy.size),
        };
        let reason = self.damage_reason(id, files);
        let change = Change::RepairBackup(Box::new(BackupCopy { size, ..copy }));
        Some(self.names().action(change, reason))
    }

    /// Why files of a backup are brought anew: what was read of them tells more than that they are damaged.
    fn damage_reason(&self, id: BackupId, files: Vec<PathBuf>) -> Reason {
        let told = |file: &PathBuf| {
            let spoilt = self.here.damage.bases.get(&id)?.get(file)?;
            Some(format!("{}: {}", file.display().to_string().escape_debug(), spoilt.told()))
        };
        match files.iter().find_map(told) {
            Some(why) => Reason::FilesDisproved { files, why },
            None => Reason::FilesDamaged(files),
        }
    }

    /// Bytes of these files of a backup, as far as the primary's manifest tells.
    fn size_of(&self, id: BackupId, files: &[PathBuf]) -> u64 {
        let manifest = self.primary.backups.get(&id).and_then(|backup| backup.manifest.as_ref());
        let all = manifest.into_iter().flat_map(|manifest| &manifest.files);
        all.filter(|(path, _)| files.binary_search(&barman_path(path)).is_ok()).map(|(_, file)| file.size).sum()
    }

    fn links(&self, id: BackupId, local: &LocalBackup) -> Option<Action> {
        let oids = local.unlinked.clone();
        let reason = Reason::Unlinked(oids.len());
        let change = Change::LinkTablespaces { id, oids };
        (!local.unlinked.is_empty()).then(|| self.names().action(change, reason))
    }

    /// What backup.info should say, for a backup that is here. What the primary says of one that is not complete
    /// there, or on its way out, is no model for it; neither is what it says of keys that are held.
    fn metadata(&self, id: BackupId, published: &Published, held: &[HeldKey]) -> Option<Action> {
        let there = self.primary.backups.get(&id).filter(|backup| backup::is_usable(backup));
        let to = self.for_site(there.map_or(&published.info, |backup| &backup.info));
        let to = to.with_values_of(&published.info.repaired(), held::names(held));
        let conflicts = there.map(|there| held::conflicts(published, there)).unwrap_or_default();
        let reason = if held.is_empty() && !conflicts.is_empty() {
            Reason::InfoAccepted(conflicts)
        } else {
            metadata_reason(published, &to, self.here)?
        };
        let change = Change::UpdateInfo { id, from: Box::new(published.info.clone()), to: Box::new(to) };
        Some(self.names().action(change, reason))
    }

    /// A keep annotation is shipped; one that is set at the site is never removed, nor made to keep less.
    fn keep(&self, id: BackupId, kept: &Kept, local: Option<&LocalBackup>) -> Option<Action> {
        let to = kept.keep?;
        let from = local.and_then(|local| local.keep);
        let change = Change::SetKeep { id, from, to };
        (from != Some(to)).then(|| self.names().action(change, Reason::KeptAtPrimary))
    }

    fn removals(&self, backups: &BackupDiff, wals: &WalDiff) -> Vec<Action> {
        let remove = |(id, reason): &(BackupId, Reason), leaves: &[BackupId]| {
            let published = self.here.backups.get(id).and_then(|local| local.published.as_ref());
            let change = Change::RemoveBackup {
                id: *id,
                size: published.and_then(|p| p.facts.size),
                parent: published.and_then(|p| p.facts.parent),
                leaves: leaves.to_vec(),
            };
            self.names().action(change, reason.clone())
        };
        let names = self.names();
        let staging = backups.stale_staging.iter();
        let staging = staging.map(|(id, reason)| names.action(Change::RemoveStaging { id: *id }, reason.clone()));
        let unneeded = wals.unneeded.iter().map(|(range, files)| delete(names, *range, files.clone()));
        let zombies = backups.zombies.iter().map(|zombie| remove(zombie, &[]));
        let leaves = recovery::recoverable_after(self.primary, self.here, backups, &wals.after);
        let pruned = backups.pruned.iter().map(|pruned| remove(pruned, &leaves));
        zombies.chain(staging).chain(pruned).chain(unneeded).collect()
    }
}

/// A size in steps of less than a hundredth: free space never stands still, and two plans of one state are the same bytes.
pub fn rounded_down(bytes: u64) -> u64 {
    let kept = 8;
    let dropped = (u64::BITS - bytes.leading_zeros()).saturating_sub(kept);
    bytes >> dropped << dropped
}

/// The systems that the replica holds or is to hold; a plan that mixes others in was refused before. An accepted one
/// counts at once, as its WAL arrives before its first backup.
pub fn systems(replica: &Replica, primary: &PrimaryInventory, here: &ReplicaInventory) -> Vec<SystemId> {
    let held = here.published().filter_map(|facts| facts.system);
    let there = primary.backups.values().filter_map(|backup| backup.facts.system);
    let mut systems: BTreeSet<SystemId> = held.chain(there).collect();
    if !systems.is_empty() {
        systems.extend(&replica.policy.accept_systems);
    }
    systems.into_iter().collect()
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

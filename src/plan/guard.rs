//! What forbids a plan, and what a user must be warned of.

use std::collections::BTreeSet;
use std::time::Duration;

use jiff::Timestamp;

use crate::barman::backup_info::Status;
use crate::barman::ids::{BackupId, SystemId};
use crate::barman::wal_entry::Mtime;
use crate::barman::wal_map::Run;
use crate::observe::inventory::{Mark, PrimaryBackup, PrimaryInventory, ReplicaInventory, SiteSection};
use crate::site::model::{Replica, WalsFrom};

use super::backup::BackupDiff;
use super::reason::{Blocker, Warning};
use super::recovery::Recovery;
use super::recovery::objective::Objective;
use super::recovery::{branch, objective};
use super::wal::wanted;

/// Everything that forbids any action on this replica.
pub fn blockers(
    replica: &Replica,
    primary: &PrimaryInventory,
    here: &ReplicaInventory,
    backups: &BackupDiff,
    left: usize,
) -> Vec<Blocker> {
    if here.name.is_some_and(|name| primary.pedigree.contains(&Mark::Catalog(name))) {
        // All else that could be said of it follows from that.
        return vec![Blocker::OwnCatalog];
    }
    let mut blockers: Vec<Blocker> = copy_of_ours(replica, primary, here).into_iter().chain(other_site(here)).collect();
    let own = &here.site_barman;
    if own.section == SiteSection::Present && own.active && !own.passive {
        blockers.push(Blocker::RunHere);
    }
    blockers.extend(not_passive(here));
    blockers.extend(other_system(replica, primary, here, backups));
    let minimum = replica.policy.protect.min_backups;
    if !backups.pruned.is_empty() && left < minimum as usize {
        blockers.push(Blocker::TooFewLeft { left, minimum });
    }
    blockers
}

/// What two sites want of one directory undoes each other's work.
fn other_site(here: &ReplicaInventory) -> Option<Blocker> {
    let other = here.other_site.as_ref().filter(|other| !other.is_ours)?;
    Some(Blocker::OtherSite { site: other.name.clone(), file: other.file.clone(), ended: other.ended })
}

/// A backup that was taken at the site belongs to a server that the site's Barman runs, or ran.
fn not_passive(here: &ReplicaInventory) -> Option<Blocker> {
    here.backups.iter().find_map(|(id, local)| {
        let mode = local.published.as_ref()?.info.mode()?;
        (mode != "passive").then(|| Blocker::NotPassive { backup: *id, mode: mode.to_owned() })
    })
}

/// A replica holds one system, that of its newest backup, and those that were accepted. What counts is what would arrive:
/// backups that would be copied, and backups that are being made, as the WAL of a new system arrives before its first
/// backup is DONE. What is not wanted forbids nothing.
fn other_system(
    replica: &Replica,
    primary: &PrimaryInventory,
    here: &ReplicaInventory,
    backups: &BackupDiff,
) -> Option<Blocker> {
    let policy = &replica.policy;
    let unwanted = wanted::unwanted_systems(primary, &backups.kept);
    let arrives = |id: &BackupId, backup: &PrimaryBackup| match backups.kept.get(id) {
        Some(kept) => kept.copy.is_some(),
        None => backup.facts.status != Status::Done && policy.wals_from != WalsFrom::BackupsOnly,
    };
    let arriving = primary.backups.iter().filter(|(id, backup)| arrives(id, backup));
    let arriving: Vec<(BackupId, SystemId)> = arriving
        .filter_map(|(id, backup)| Some((*id, backup.facts.system?)))
        .filter(|(_, system)| !unwanted.contains(system))
        .collect();
    let mut known: BTreeSet<SystemId> = here.published().filter_map(|facts| facts.system).collect();
    if known.is_empty() {
        known.extend(here.identity.as_ref().map(|identity| identity.systemid));
    }
    let is_accepted = |system: &SystemId| policy.accept_systems.contains(system);
    if known.is_empty() {
        known.extend(arriving.iter().rev().map(|(_, system)| *system).find(|system| !is_accepted(system)));
    } else if known.iter().all(is_accepted) {
        known.extend(predecessors(&policy.accept_systems, primary, here));
    }
    let is_new = |system: &SystemId| !known.contains(system) && !is_accepted(system);
    let (backup, new) = arriving.into_iter().find(|(_, system)| is_new(system))?;
    Some(Blocker::OtherSystem { here: known.into_iter().collect(), new, backup })
}

/// The systems that an accepted one took the place of: every backup of theirs ended before its first one did. A replica
/// that has deleted its backups of them still is a copy of them.
fn predecessors(
    accepted: &BTreeSet<SystemId>,
    primary: &PrimaryInventory,
    here: &ReplicaInventory,
) -> BTreeSet<SystemId> {
    let there = primary.backups.values().map(|backup| &backup.facts);
    let times = || there.clone().chain(here.published()).filter_map(|facts| Some((facts.system?, facts.end_time?)));
    let first = times().filter(|(system, _)| accepted.contains(system)).map(|(_, time)| time).min();
    let others: BTreeSet<SystemId> = there.clone().filter_map(|facts| facts.system).collect();
    let ended_before = |system: &SystemId| {
        let mut last = times().filter(|(of, _)| of == system).map(|(_, time)| time);
        last.all(|time| first.is_some_and(|first| time < first))
    };
    others.into_iter().filter(|system| !accepted.contains(system) && ended_before(system)).collect()
}

/// What the user should do something about.
pub fn warnings(here: &ReplicaInventory) -> Vec<Warning> {
    let mut warnings = Vec::new();
    let own = &here.site_barman;
    warnings.extend(here.suspended.clone().map(Warning::Suspended));
    match &own.section {
        SiteSection::Present if own.active && own.passive && !own.idle => warnings.push(Warning::PassiveCron),
        SiteSection::Missing { included } => {
            warnings.push(Warning::NotConfigured { included: included.clone() });
        }
        SiteSection::Present | SiteSection::Unknown => {}
    }
    // Of an inactive server Barman enforces nothing.
    warnings.extend(own.retention_policy.clone().filter(|_| own.active).map(Warning::OwnRetention));
    warnings
}

/// The server at the primary is a copy of this replica, over whatever other copies. One that takes backups of its own by now
/// has taken over, and was a copy once.
fn copy_of_ours(replica: &Replica, primary: &PrimaryInventory, here: &ReplicaInventory) -> Option<Blocker> {
    let ours = Mark::CopyOf(here.name?, replica.name.clone());
    (primary.is_copy() && primary.pedigree.contains(&ours)).then_some(Blocker::CopyOfOurs)
}

/// What is dated in the future, and so shows nothing.
pub fn clocks(primary: Option<&PrimaryInventory>, here: &ReplicaInventory, now: Timestamp) -> Vec<Warning> {
    let wals = primary.map_or(&here.xlogdb.entries, |primary| &primary.wals);
    let is_ahead = |mtime: &Mtime| branch::archived_at(*mtime).is_some_and(|time| branch::is_ahead(time, now));
    let has_ahead = |run: &&Run<Mtime>| run.values().iter().any(is_ahead);
    let files = || wals.mtimes().runs().iter().filter(has_ahead).flat_map(Run::iter);
    let ahead = || files().filter(|(_, mtime)| is_ahead(mtime));
    let ahead = || ahead().filter_map(|(name, mtime)| Some((branch::archived_at(mtime)?, name)));
    let wal = ahead().max().map(|(time, name)| Warning::DatedAhead { count: ahead().count() as u64, name, time });
    let applied = here.last_apply.as_ref().and_then(|last| last.ended).filter(|ended| branch::is_ahead(*ended, now));
    wal.into_iter().chain(applied.map(Warning::AppliedAhead)).collect()
}

/// Whether the objective is missed before this plan, and whether it still is after it. Where no window ends, the plan
/// says so itself.
pub fn behind_objective(rpo: Option<Duration>, before: &Recovery, after: &Recovery, now: Timestamp) -> Option<Warning> {
    let objective = objective::judge(rpo, before, now).filter(|objective| !objective.kept)?;
    let mended = objective::judge(rpo, after, now).is_some_and(|objective| objective.kept);
    let Objective { loss: lag, rpo, .. } = objective;
    before.window.map(|_| Warning::BehindObjective { lag, rpo, mended, of_origin: before.origin.is_some() })
}

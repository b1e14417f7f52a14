//! What forbids a plan, and what a user must be warned of.

use std::collections::BTreeSet;
use std::time::Duration;

use crate::barman::ids::SystemId;
use crate::observe::inventory::{OwnSection, PrimaryInventory, ReplicaInventory};
use crate::site::model::Replica;

use super::action::{Action, Change, Lag};
use super::diff_backups::BackupDiff;
use super::reason::{Blocker, Warning};

/// Everything that forbids any action on this replica.
pub fn blockers(
    replica: &Replica,
    primary: &PrimaryInventory,
    here: &ReplicaInventory,
    backups: &BackupDiff,
    left: usize,
) -> Vec<Blocker> {
    let mut blockers = Vec::new();
    let own = &here.own_barman;
    if own.section == OwnSection::Present && own.active && !own.passive {
        blockers.push(Blocker::RunHere);
    }
    blockers.extend(not_passive(here));
    blockers.extend(other_system(replica, primary, here));
    let minimum = replica.policy.protect.min_backups;
    if !backups.pruned.is_empty() && left < minimum as usize {
        blockers.push(Blocker::TooFewLeft { left, minimum });
    }
    blockers
}

/// A backup that was taken at the site belongs to a server that the site's Barman runs, or ran.
fn not_passive(here: &ReplicaInventory) -> Option<Blocker> {
    here.backups.iter().find_map(|(id, local)| {
        let mode = local.published.as_ref()?.info.mode()?;
        (mode != "passive").then(|| Blocker::NotPassive { backup: *id, mode: mode.to_owned() })
    })
}

/// A replica holds one system, that of its newest backup, and those that were accepted. Backups in every status
/// count: the WAL of a new system arrives before its first backup is DONE.
fn other_system(replica: &Replica, primary: &PrimaryInventory, here: &ReplicaInventory) -> Option<Blocker> {
    let there = || primary.backups.iter().filter_map(|(id, backup)| Some((*id, backup.facts.system?)));
    let mut known: BTreeSet<SystemId> = here.published().filter_map(|facts| facts.system).collect();
    if known.is_empty() {
        let noted = here.identity.as_ref().map(|identity| identity.systemid);
        known.extend(noted.or_else(|| there().next_back().map(|(_, system)| system)));
    }
    let is_new = |system: &SystemId| !known.contains(system) && !replica.policy.accept_systems.contains(system);
    let (backup, new) = there().find(|(_, system)| is_new(system))?;
    Some(Blocker::OtherSystem { here: known.iter().copied().collect(), new, backup })
}

/// What the user should do something about.
pub fn warnings(here: &ReplicaInventory, actions: &[Action]) -> Vec<Warning> {
    let mut warnings = Vec::new();
    let own = &here.own_barman;
    match &own.section {
        OwnSection::Present if own.active && own.passive && !own.idle => warnings.push(Warning::PassiveCron),
        OwnSection::Missing { included } => {
            warnings.push(Warning::NotConfigured { included: included.clone() });
        }
        OwnSection::Present | OwnSection::Unknown => {}
    }
    // Of an inactive server Barman enforces nothing.
    warnings.extend(own.retention_policy.clone().filter(|_| own.active).map(Warning::OwnRetention));
    let needed = actions.iter().map(bytes_to_copy).sum();
    warnings.extend(here.free.filter(|free| *free < needed).map(|free| Warning::NoSpace { needed, free }));
    warnings
}

/// Whether the objective is missed before this plan. Where no window ends, the plan says so itself.
pub fn behind_objective(rpo: Option<Duration>, lag: Option<Lag>) -> Option<Warning> {
    let (lag, rpo) = (u64::try_from(lag?.seconds?).ok()?, rpo?.as_secs());
    (lag > rpo).then_some(Warning::BehindObjective { lag, rpo })
}

/// The bytes that an action brings over the wire, as an upper bound.
pub fn bytes_to_copy(action: &Action) -> u64 {
    match &action.change {
        Change::AddWals(batch) | Change::RepairWals(batch) => batch.bytes(),
        Change::AddBackup(copy) => {
            let reused = copy.reuse.as_ref().map_or(0, |reuse| reuse.bytes);
            // Files that are reused come into staging first: what is there has them in it.
            copy.size.saturating_sub(reused.max(copy.staged))
        }
        Change::RepairBackup(copy) => copy.size,
        Change::ShipHistory { size, .. } => *size,
        _ => 0,
    }
}

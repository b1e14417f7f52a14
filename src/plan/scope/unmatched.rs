//! Patterns that name no action: what they name is as it should be already, or it does not exist.

use crate::barman::ids::BackupId;
use crate::observe::inventory::{Observation, Observed, PrimaryInventory, ReplicaInventory};
use crate::plan::action::address::Sort;
use crate::plan::{Plan, ReplicaPlan};
use crate::site::suggest::near;

use super::ScopeError;
use crate::site::pattern::{Pattern, Thing, Wals};

/// How many addresses are proposed.
const PROPOSED: usize = 3;

/// Refuses a pattern that names nothing that this replica has or is to have.
pub fn check(pattern: &Pattern, plan: &Plan, observation: &Observation) -> Result<(), ScopeError> {
    let planned = plan.replicas.iter().find(|replica| replica.name == pattern.replica);
    let observed = observation.replicas.get(&pattern.replica);
    // Of a replica that could not be planned nothing more is known than why.
    let (Some(planned), Some(observed)) = (planned.filter(|planned| planned.target.is_some()), observed) else {
        return Ok(());
    };
    let Observed::Active(primary) = &observed.primary else { return Ok(()) };
    if planned.actions.iter().any(|action| pattern.matches(action)) || is_here(pattern, &observed.replica) {
        return Ok(());
    }
    if is_there(pattern, primary) {
        return Err(ScopeError::Unwanted { pattern: pattern.to_string() });
    }
    Err(ScopeError::Unknown { pattern: pattern.to_string(), near: proposals(pattern, planned) })
}

fn is_here(pattern: &Pattern, here: &ReplicaInventory) -> bool {
    match (pattern.sort.as_deref(), &pattern.thing) {
        (None, _) => true,
        (Some(sort), None) => is_sort(sort),
        (Some("history"), Some(Thing::Named(name))) => {
            here.histories.keys().any(|timeline| format!("{:08X}", timeline.0) == *name)
        }
        (Some(sort), Some(Thing::Named(name))) => {
            is_sort(sort) && backup(name).is_some_and(|id| here.published().any(|facts| facts.id == id))
        }
        (Some(_), Some(Thing::Wals(wals))) => here.wals.names().any(|name| wals.contain(name)),
    }
}

/// Whether the primary has it, although nothing is planned for it.
fn is_there(pattern: &Pattern, primary: &PrimaryInventory) -> bool {
    let listed = |wals: Wals| primary.wals.iter().any(|entry| wals.contain(entry.name));
    if !pattern.sort.as_deref().is_some_and(is_sort) {
        return false;
    }
    match &pattern.thing {
        Some(Thing::Named(name)) => backup(name).is_some_and(|id| primary.backups.contains_key(&id)),
        Some(Thing::Wals(wals)) => listed(*wals),
        None => false,
    }
}

fn is_sort(text: &str) -> bool {
    Sort::ALL.iter().any(|sort| sort.as_str() == text)
}

fn backup(name: &str) -> Option<BackupId> {
    name.parse().ok()
}

fn proposals(pattern: &Pattern, planned: &ReplicaPlan) -> Vec<String> {
    let sorts = Sort::ALL.map(|sort| format!("{}/{}", planned.name, sort.as_str()));
    let planned = planned.actions.iter().map(|action| action.address.as_str());
    let known: Vec<&str> = match pattern.thing {
        Some(_) => planned.collect(),
        None => sorts.iter().map(String::as_str).collect(),
    };
    near(&pattern.to_string(), &known).into_iter().take(PROPOSED).map(str::to_owned).collect()
}

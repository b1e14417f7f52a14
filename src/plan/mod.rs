//! Diff and plan: a pure function from what is wanted and what was observed to what will be done.
//!
//! No clock, file, network or environment in here, and only ordered collections: the same input gives the same plan.
//!
//! | question | room |
//! | --- | --- |
//! | what a plan is, and how that of a replica is made | `model`, `replica` |
//! | which backups it is to have, and which may go | [`backup`] |
//! | which WAL it is to have, and which may go | `wal` |
//! | what an action is | [`action`]; why it is there, or is not: [`reason`] |
//! | in which order | [`order`] |
//! | how much and how long | [`cost`] |
//! | what does not fit here | `room` |
//! | what forbids it, what is warned of | `guard` |
//! | what is good here and waits for a person | [`held`] |
//! | what can be recovered, before and after, and what will be lacking | [`recovery`] |
//! | how a replica stands | [`status`] |
//! | a part of a plan: `--target`, `--exclude` | [`scope`] |
//! | a plan that is kept: what it relies on, whether it still holds | [`saved`] |
//! | why is this in the plan | [`explain`] |

pub mod action;
pub mod backup;
pub mod cost;
pub mod explain;
mod guard;
pub mod held;
mod model;
pub mod order;
pub mod reason;
pub mod recovery;
mod replica;
mod room;
pub mod saved;
pub mod scope;
pub mod status;
mod wal;

use jiff::Timestamp;

use crate::observe::inventory::Observation;
use crate::site::model::{Replica, Site};

use scope::{Scope, ScopeError};

pub use model::{Narrowed, Outcome, Plan, ReplicaPlan, Target};

/// Plans every replica of a site that was observed. `replicas` holds those that the site file names and those that
/// its mirrors stand for.
pub fn plan(site: &Site, replicas: &[Replica], observation: &Observation, now: Timestamp) -> Plan {
    let mut plan = without_bounds(site, replicas, observation, now);
    room::fit(&mut plan, replicas, observation, now);
    plan
}

/// The part of that plan which is in a scope. Replicas that the scope does not concern need not have been observed.
pub fn part(
    site: &Site,
    replicas: &[Replica],
    observation: &Observation,
    scope: &Scope,
    now: Timestamp,
) -> Result<Plan, ScopeError> {
    let mut plan = without_bounds(site, replicas, observation, now).narrow(scope, replicas, observation, now)?;
    // What was not asked for takes no room.
    room::fit(&mut plan, replicas, observation, now);
    Ok(plan)
}

/// What would be planned if there were room for everything.
fn without_bounds(site: &Site, replicas: &[Replica], observation: &Observation, now: Timestamp) -> Plan {
    let mut replicas: Vec<&Replica> = replicas.iter().collect();
    replicas.sort_by(|a, b| a.name.cmp(&b.name));
    let observed = |replica: &Replica| observation.replicas.get(&replica.name);
    let limit = |replica: &Replica| site.primaries.get(&replica.primary)?.bandwidth;
    let planned = |r: &Replica| Some(replica::plan(r, limit(r), observed(r)?, now));
    let mut plans: Vec<ReplicaPlan> = replicas.iter().filter_map(|r| planned(r)).collect();
    for plan in plans.iter_mut().filter(|plan| site.replicas.contains_key(&plan.name)) {
        replica::insist(plan);
    }
    Plan {
        site: site.name.clone(),
        catalog: site.catalog.path.clone(),
        replicas: plans,
        vanished: Vec::new(),
        detached: Vec::new(),
        narrowed: None,
    }
}

#[cfg(test)]
pub(crate) mod tests;

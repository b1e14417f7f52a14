//! Diff and plan: a pure function from what is wanted and what was observed to what will be done.
//!
//! No clock, file, network or environment in here, and only ordered collections: the same input gives the same plan.
//!
//! | question | files |
//! | --- | --- |
//! | which backups and WAL are wanted | `selection`, `wanted`, `lacking` |
//! | what differs at the site | `diff_backups`, `diff_wals`, `disorder` |
//! | what is an action, and why is it there | `action`, `reason`, `replica`, `shipping`, `runs`, `reuse`, `segment_size` |
//! | in which order | `order`, `graph`, `waits`, `critical_path` |
//! | how much and how long | `traffic`, `estimate` |
//! | what forbids it, what is warned of | `guard` |
//! | what is good here and waits for a person | `held` |
//! | what can be recovered, before and after; what will be lacking; how a replica stands | `branch`, `window`, `recovery`, `shortfall`, `objective`, `status` |
//! | whether a deletion leaves what it promised | `promise` |
//! | a part of a plan: `--target`, `--exclude` | `scope` |
//! | a saved plan: what it relies on, whether it still holds | `saved`, `facts`, `desired`, `stale` |
//! | what `explain` tells | `known`, `demand` |

pub mod action;
mod branch;
pub mod critical_path;
pub mod demand;
pub mod desired;
mod diff_backups;
mod diff_wals;
mod disorder;
pub mod estimate;
pub mod facts;
pub mod forms;
pub mod graph;
mod guard;
pub mod held;
pub mod known;
pub mod lacking;
pub mod objective;
pub mod ongoing;
mod order;
pub mod promise;
pub mod reason;
pub mod recovery;
mod replica;
mod reuse;
mod runs;
pub mod saved;
pub mod scope;
mod segment_size;
pub mod selection;
mod shipping;
pub mod shortfall;
pub mod stale;
pub mod status;
pub mod totals;
pub mod traffic;
pub mod vanished;
pub mod verb;
pub mod waits;
mod wanted;
pub mod window;

use jiff::Timestamp;

use crate::observe::inventory::Observation;
use crate::site::model::{Replica, Site};

pub use action::Plan;
pub use guard::bytes_to_copy;

/// Plans every replica of a site that was observed. `replicas` holds those that the site file names and those that
/// its mirrors stand for.
pub fn plan(site: &Site, replicas: &[Replica], observation: &Observation, now: Timestamp) -> Plan {
    let mut replicas: Vec<&Replica> = replicas.iter().collect();
    replicas.sort_by(|a, b| a.name.cmp(&b.name));
    let observed = |replica: &Replica| observation.replicas.get(&replica.name);
    let limit = |replica: &Replica| site.primaries.get(&replica.primary)?.bandwidth;
    let plans = replicas.iter().filter_map(|r| Some(replica::plan(r, limit(r), observed(r)?, now))).collect();
    Plan {
        site: site.name.clone(),
        catalog: site.catalog.path.clone(),
        replicas: plans,
        vanished: Vec::new(),
        narrowed: None,
    }
}

#[cfg(test)]
pub(crate) mod tests;

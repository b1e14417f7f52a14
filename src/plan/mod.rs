//! Diff and plan: a pure function from what is wanted and what was observed to what will be done.
//!
//! No clock, file, network or environment in here, and only ordered collections: the same input gives the same plan.

pub mod action;
pub mod desired;
mod diff_backups;
mod diff_wals;
pub mod estimate;
pub mod facts;
pub mod file;
pub mod graph;
mod guard;
pub mod lacking;
mod order;
pub mod reason;
mod recovery;
mod replica;
mod reuse;
mod runs;
mod selection;
pub mod stale;
mod wal_files;
mod wanted;
pub mod window;

use std::path::Path;

use jiff::Timestamp;

use crate::observe::inventory::Observation;
use crate::site::model::Replica;

pub use action::Plan;
pub use guard::bytes_to_copy;

/// Plans every replica of a site that was observed. `replicas` holds those that the site file names and those that
/// its mirrors stand for.
pub fn plan(site: &str, catalog: &Path, replicas: &[Replica], observation: &Observation, now: Timestamp) -> Plan {
    let mut replicas: Vec<&Replica> = replicas.iter().collect();
    replicas.sort_by(|a, b| a.name.cmp(&b.name));
    let observed = |replica: &Replica| observation.replicas.get(&replica.name);
    let plans = replicas.iter().filter_map(|r| Some(replica::plan(r, observed(r)?, now))).collect();
    Plan { site: site.to_owned(), catalog: catalog.to_owned(), replicas: plans }
}

#[cfg(test)]
mod tests;

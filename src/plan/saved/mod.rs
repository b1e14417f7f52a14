//! A plan as it is kept: with what it was made from, so that [`stale`] can tell whether it still holds.
//!
//! Its text is [`crate::plan_file`].

pub mod desired;
pub mod forms;
pub mod preconditions;
pub mod stale;

use std::collections::BTreeMap;

use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::barman::ids::ServerName;
use crate::observe::inventory::Observation;
use crate::site::model::{Replica, Site};

use super::Plan;
use super::action::Address;
use desired::{Desired, hex};
use preconditions::{Grounds, Precondition};

/// A plan with all that is needed to apply it later.
#[derive(Debug, Clone, PartialEq)]
pub struct SavedPlan {
    /// What will be done.
    pub plan: Plan,
    /// The site file that it was made with.
    pub site_file: SiteFile,
    /// What decided it.
    pub desired: Desired,
    /// What its actions rely on.
    pub preconditions: Preconditions,
}

/// The site file that a plan was made with.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SiteFile {
    /// Its name, as the user gave it.
    pub name: String,
    /// The SHA-256 of its bytes, for readers: what matters of it is compared key by key.
    pub digest: String,
}

impl SiteFile {
    /// A file of this name and content.
    pub fn new(name: impl Into<String>, content: &[u8]) -> Self {
        Self { name: name.into(), digest: sha256(content) }
    }
}

/// What the actions of a plan rely on, as it was when the plan was made.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Preconditions {
    replicas: BTreeMap<ServerName, Vec<Precondition>>,
    actions: BTreeMap<Address, Vec<Precondition>>,
}

impl Preconditions {
    /// What a plan relies on, given what it was made from.
    pub fn of(plan: &Plan, replicas: &[Replica], observation: &Observation, now: Timestamp) -> Self {
        let mut preconditions = Self::default();
        for planned in plan.replicas.iter().filter(|planned| !planned.actions.is_empty()) {
            let replica = replicas.iter().find(|replica| replica.name == planned.name);
            let ends = replica.zip(observation.replicas.get(&planned.name));
            let Some(grounds) = ends.and_then(|(replica, ends)| Grounds::new(planned, replica, ends, now)) else {
                continue;
            };
            preconditions.replicas.insert(planned.name.clone(), noted(grounds.of_target()));
            for action in &planned.actions {
                preconditions.actions.insert(action.address.clone(), noted(grounds.of(action)));
            }
        }
        preconditions
    }

    /// Notes what all actions of a replica rely on.
    pub fn note_replica(&mut self, name: ServerName, preconditions: Vec<Precondition>) {
        self.replicas.insert(name, preconditions);
    }

    /// Notes what one action relies on besides; whether nothing was noted of it before.
    pub fn note_action(&mut self, address: Address, preconditions: Vec<Precondition>) -> bool {
        self.actions.insert(address, preconditions).is_none()
    }

    /// What all actions of a replica rely on.
    pub fn of_replica(&self, name: &ServerName) -> &[Precondition] {
        self.replicas.get(name).map(Vec::as_slice).unwrap_or_default()
    }

    /// What one action relies on besides.
    pub fn of_action(&self, address: &Address) -> &[Precondition] {
        self.actions.get(address).map(Vec::as_slice).unwrap_or_default()
    }
}

/// Preconditions as they are kept: what they must be is asked again of those that are found later.
fn noted(preconditions: Vec<Precondition>) -> Vec<Precondition> {
    preconditions.into_iter().map(|precondition| Precondition { required: None, ..precondition }).collect()
}

impl SavedPlan {
    /// A plan, with what it was made from.
    pub fn new(
        plan: Plan,
        site_file: SiteFile,
        site: &Site,
        replicas: &[Replica],
        observation: &Observation,
        now: Timestamp,
    ) -> Self {
        let preconditions = Preconditions::of(&plan, replicas, observation, now);
        Self { desired: Desired::of(site, replicas), preconditions, plan, site_file }
    }
}

/// The SHA-256 of bytes, in hexadecimal.
pub fn sha256(bytes: &[u8]) -> String {
    hex(&Sha256::digest(bytes))
}

//! Whether a saved plan may still be applied: what its actions rely on is looked at again.

use jiff::Timestamp;

use crate::error::Error;
use crate::observe::inventory::{Observation, Observed, ReplicaObservation};
use crate::site::model::{Replica, Site};

use super::SavedPlan;
use super::desired::{ChangedKey, Desired};
use super::preconditions::{Grounds, Precondition, Side, Topic, Value};
use crate::plan::ReplicaPlan;

/// A site as it is wanted and observed when a saved plan is to be applied.
pub struct Present<'a> {
    /// What is wanted.
    pub site: &'a Site,
    /// The replicas that the site file names and those that its mirrors stand for.
    pub replicas: &'a [Replica],
    /// Both ends of at least the replicas that the plan has actions for.
    pub observation: &'a Observation,
    /// When it was observed.
    pub now: Timestamp,
}

/// Why a saved plan is not applied.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Refusal {
    /// It was made for another site.
    OtherSite {
        /// The plan's site.
        planned: String,
        /// The site file's.
        now: String,
    },
    /// Something that it relies on cannot be looked at.
    Unobserved {
        /// The replica.
        replica: String,
        /// Why not.
        error: Error,
    },
    /// Things that it relies on have changed.
    Stale(Vec<Deviation>),
}

/// Something that a plan relies on and that has changed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Deviation {
    /// A key of the site file.
    Key(ChangedKey),
    /// Something that was found.
    Precondition {
        /// Whose: the address of an action, or the name of a replica.
        subject: String,
        /// Where it holds.
        side: Side,
        /// What it is about.
        topic: Topic,
        /// What it was when the plan was made, or must be; `None` when that was not noted.
        planned: Option<Value>,
        /// What it is now.
        now: Value,
    },
}

/// Checks that a plan is of this site.
pub fn check_site(saved: &SavedPlan, site: &Site) -> Result<(), Refusal> {
    let (planned, now) = (&saved.plan.site, &site.name);
    let other = || Refusal::OtherSite { planned: planned.clone(), now: now.clone() };
    if planned == now { Ok(()) } else { Err(other()) }
}

/// Checks that everything the actions of a plan rely on is as it was.
pub fn check(saved: &SavedPlan, present: &Present<'_>) -> Result<(), Refusal> {
    check_site(saved, present.site)?;
    let desired = Desired::of(present.site, present.replicas);
    let mut changes = Vec::new();
    for planned in saved.plan.replicas.iter().filter(|replica| !replica.actions.is_empty()) {
        let keys = saved.desired.changes(&desired, present.site, &planned.name);
        // What another desired state asks for says nothing of the one that was planned for.
        let is_as_wanted = keys.is_empty();
        changes.extend(
            keys.into_iter().map(Deviation::Key).filter(|change| !changes.contains(change)).collect::<Vec<_>>(),
        );
        let replica = present.replicas.iter().find(|replica| replica.name == planned.name);
        let observed = present.observation.replicas.get(&planned.name);
        if let (true, Some(replica), Some(observed)) = (is_as_wanted, replica, observed) {
            changes.extend(Compared { saved, planned, replica, observed, now: present.now }.changes()?);
        }
    }
    if changes.is_empty() { Ok(()) } else { Err(Refusal::Stale(changes)) }
}

/// A replica as it was planned, and as it is.
struct Compared<'a> {
    saved: &'a SavedPlan,
    planned: &'a ReplicaPlan,
    replica: &'a Replica,
    observed: &'a ReplicaObservation,
    now: Timestamp,
}

impl Compared<'_> {
    fn changes(&self) -> Result<Vec<Deviation>, Refusal> {
        let name = self.planned.name.as_str();
        match &self.observed.primary {
            Observed::Active(_) => {}
            Observed::Inactive(sentence) => {
                return Ok(vec![Deviation::Precondition {
                    subject: name.to_owned(),
                    side: Side::Primary,
                    topic: Topic::Activity,
                    planned: Some(Value::Active),
                    now: Value::Inactive(sentence.trim().to_owned()),
                }]);
            }
            Observed::Failed(error) => {
                return Err(Refusal::Unobserved { replica: name.to_owned(), error: error.clone() });
            }
        }
        let Some(grounds) = Grounds::new(self.planned, self.replica, self.observed, self.now) else {
            return Ok(Vec::new());
        };
        let mut changes =
            differences(name, self.saved.preconditions.of_replica(&self.planned.name), &grounds.of_target());
        // Where everything is somewhere else, every action would say so again.
        if changes.is_empty() {
            for action in &self.planned.actions {
                let planned = self.saved.preconditions.of_action(&action.address);
                changes.extend(differences(action.address.as_str(), planned, &grounds.of(action)));
            }
        }
        Ok(changes)
    }
}

/// The preconditions that are not what they were, or not what they must be.
fn differences(subject: &str, planned: &[Precondition], now: &[Precondition]) -> Vec<Deviation> {
    let change = |precondition: &Precondition| {
        let was = planned
            .iter()
            .find(|was| was.side == precondition.side && was.topic == precondition.topic)
            .map(|was| &was.value);
        let expected = if was == Some(&precondition.value) {
            Some(precondition.required.as_ref().unwrap_or(&precondition.value))
        } else {
            was
        };
        (expected != Some(&precondition.value)).then(|| Deviation::Precondition {
            subject: subject.to_owned(),
            side: precondition.side,
            topic: precondition.topic,
            planned: expected.cloned(),
            now: precondition.value.clone(),
        })
    };
    now.iter().filter_map(change).collect()
}

//! What is made of a look at both ends of a replica.

use std::time::Duration;

use jiff::Timestamp;

use crate::cycle::Session;
use crate::observe::inventory::Observation;
use crate::plan::Plan;
use crate::plan::scope::leave::Leave;
use crate::plan::status::status;
use crate::site::model::Replica;

use super::Follower;
use super::standing::Looked;

/// A look at both ends of a replica.
#[derive(Clone, Copy)]
pub struct Look<'a> {
    /// What it showed.
    pub observation: &'a Observation,
    /// When it began.
    pub at: Timestamp,
    /// How long it took.
    pub took: Duration,
}

impl Look<'_> {
    /// What may be done now without a person. How the replica stands is told.
    pub fn plan(&self, session: &Session, replica: &Replica, leave: Leave, follower: &dyn Follower) -> Plan {
        let Self { observation, at, took } = *self;
        let observed = observation.replicas.get(&replica.name);
        let backups = observed.map(|observed| observed.replica.ends()).unwrap_or_default();
        let plan = session.cycle(replica).plan(observation, at);
        let status = status(&plan, std::slice::from_ref(replica), observation, at);
        let whole = status.replicas.into_iter().zip(plan.replicas.clone()).next();
        let (plan, waiting) = plan.with_leave(leave, observation, at);
        if let Some((status, plan)) = whole {
            follower.looked(&Looked { at, status, plan, backups }, &waiting, took);
        }
        plan
    }
}

//! All that is known of each action of a plan: what both replicas have, what asks for it, and what it waits for.

pub mod asked_by;

use jiff::Timestamp;

use crate::barman::wal::WalName;
use crate::observe::inventory::Observation;
use crate::site::model::Replica;

use super::Plan;
use super::action::Action;
use super::order::waits::{Neighbours, Waits};
use super::saved::preconditions::{Grounds, Precondition};
use asked_by::{AskedBy, Askers};

/// What a plan was made from, asked by its actions.
pub struct Explainer<'a> {
    plan: &'a Plan,
    /// For each replica of the plan; `None` when its primary did not answer.
    replicas: Vec<Option<OfReplica<'a>>>,
    waits: Waits<'a>,
}

/// What is asked of one replica.
struct OfReplica<'a> {
    grounds: Grounds<'a>,
    askers: Askers<'a>,
}

/// What is known of one action.
pub struct Explained<'a> {
    /// The action.
    pub action: &'a Action,
    /// What it relies on.
    pub preconditions: Vec<Precondition>,
    /// What asks for it.
    pub asked_by: Vec<AskedBy>,
    /// What it waits for, and what waits for it.
    pub neighbours: Neighbours<'a>,
}

impl<'a> Explainer<'a> {
    /// Of a plan that was made from this observation at this time.
    pub fn new(plan: &'a Plan, replicas: &'a [Replica], observation: &'a Observation, now: Timestamp) -> Self {
        let replicas = plan.replicas.iter().map(|planned| {
            let replica = replicas.iter().find(|replica| replica.name == planned.name)?;
            let observed = observation.replicas.get(&planned.name)?;
            let grounds = Grounds::new(planned, replica, observed, now)?;
            Some(OfReplica { grounds, askers: Askers::new(replica, observed, now)? })
        });
        Self { plan, replicas: replicas.collect(), waits: Waits::new(plan) }
    }

    /// Of each action of a replica, by the replica's place in the plan.
    pub fn of_replica(&self, replica: usize) -> impl Iterator<Item = Explained<'a>> {
        let actions = self.plan.replicas.get(replica).map_or(&[][..], |replica| &replica.actions);
        actions.iter().enumerate().filter_map(move |(place, action)| self.explained(replica, place, action))
    }

    /// Of one action, by its place.
    pub fn of(&self, replica: usize, action: usize) -> Option<Explained<'a>> {
        self.explained(replica, action, self.plan.replicas.get(replica)?.actions.get(action)?)
    }

    fn explained(&self, replica: usize, place: usize, action: &'a Action) -> Option<Explained<'a>> {
        let OfReplica { grounds, askers } = self.replicas.get(replica)?.as_ref()?;
        let (preconditions, asked_by) = (grounds.of(action), askers.of(action));
        Some(Explained { action, preconditions, asked_by, neighbours: self.waits.of(replica, place) })
    }

    /// Where the action of an address is in the plan. The address of a single WAL file finds the action that ships it.
    pub fn find(&self, address: &str) -> Option<(usize, usize)> {
        let all = || {
            let replicas = self.plan.replicas.iter().enumerate();
            replicas.flat_map(|(i, replica)| replica.actions.iter().enumerate().map(move |(j, a)| ((i, j), replica, a)))
        };
        let exact = all().find(|(_, _, action)| action.address.as_str() == address);
        let wal = || {
            let (replica, name) = address.split_once("/wal/")?;
            let name: WalName = name.parse().ok()?;
            all().find(|(_, planned, action)| planned.name.as_str() == replica && is_about(action, name))
        };
        exact.or_else(wal).map(|(place, _, _)| place)
    }

    /// What is observed of a thing that no action may be about, and what asks for it; `None` when there is no such
    /// thing, or the replica was not observed.
    pub fn of_thing(
        &self,
        replica: usize,
        sort: &str,
        name: Option<&str>,
    ) -> Option<(Vec<Precondition>, Vec<AskedBy>)> {
        let OfReplica { grounds, askers } = self.replicas.get(replica)?.as_ref()?;
        let preconditions = grounds.of_thing(sort, name)?;
        let id = name.filter(|_| sort != "wal" && sort != "history").and_then(|name| name.parse().ok());
        Some((preconditions, id.map(|id| askers.of_backup(id)).unwrap_or_default()))
    }

    /// The addresses of the things that both ends have of a replica, to find one that was mistyped.
    pub fn backups(&self, replica: usize) -> Vec<String> {
        let grounds = self.replicas.get(replica).and_then(Option::as_ref).map(|of| &of.grounds);
        grounds.map(Grounds::backups).unwrap_or_default()
    }
}

/// Whether an action ships or deletes a WAL file.
fn is_about(action: &Action, name: WalName) -> bool {
    let effect = action.change.effect();
    effect.shipped().is_some_and(|batch| batch.entries.binary_search_by_key(&name, |entry| entry.name).is_ok())
        || effect.deleted().is_some_and(|files| files.contains_key(&name))
}

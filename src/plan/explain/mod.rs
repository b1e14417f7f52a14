//! All that is known of each action of a plan: what both ends have, what asks for it, and what it waits for.

pub mod asked_by;

use jiff::Timestamp;

use crate::barman::wal::WalName;
use crate::observe::inventory::Observation;
use crate::observe::wal_files::find;
use crate::site::model::Replica;

use super::Plan;
use super::action::Action;
use super::order::waits::{Neighbours, Waits};
use super::saved::facts::{Fact, Grounds};
use asked_by::{Demand, Demands};

/// What a plan was made from, asked by its actions.
pub struct Knowledge<'a> {
    plan: &'a Plan,
    /// For each replica of the plan; `None` when its primary did not answer.
    ends: Vec<Option<Ends<'a>>>,
    waits: Waits<'a>,
}

struct Ends<'a> {
    grounds: Grounds<'a>,
    demands: Demands<'a>,
}

/// What is known of one action.
pub struct Known<'a> {
    /// The action.
    pub action: &'a Action,
    /// What it relies on.
    pub facts: Vec<Fact>,
    /// What asks for it.
    pub demands: Vec<Demand>,
    /// What it waits for, and what waits for it.
    pub neighbours: Neighbours<'a>,
}

impl<'a> Knowledge<'a> {
    /// Of a plan that was made from this observation at this time.
    pub fn new(plan: &'a Plan, replicas: &'a [Replica], observation: &'a Observation, now: Timestamp) -> Self {
        let ends = plan.replicas.iter().map(|planned| {
            let replica = replicas.iter().find(|replica| replica.name == planned.name)?;
            let observed = observation.replicas.get(&planned.name)?;
            let grounds = Grounds::new(planned, replica, observed, now)?;
            Some(Ends { grounds, demands: Demands::new(replica, observed, now)? })
        });
        Self { plan, ends: ends.collect(), waits: Waits::new(plan) }
    }

    /// Of each action of a replica, by the replica's place in the plan.
    pub fn of_replica(&self, replica: usize) -> impl Iterator<Item = Known<'a>> {
        let actions = self.plan.replicas.get(replica).map_or(&[][..], |replica| &replica.actions);
        actions.iter().enumerate().filter_map(move |(place, action)| self.known(replica, place, action))
    }

    /// Of one action, by its place.
    pub fn of(&self, replica: usize, action: usize) -> Option<Known<'a>> {
        self.known(replica, action, self.plan.replicas.get(replica)?.actions.get(action)?)
    }

    fn known(&self, replica: usize, place: usize, action: &'a Action) -> Option<Known<'a>> {
        let ends = self.ends.get(replica)?.as_ref()?;
        let (facts, demands) = (ends.grounds.of(action), ends.demands.of(action));
        Some(Known { action, facts, demands, neighbours: self.waits.of(replica, place) })
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
    pub fn of_thing(&self, replica: usize, kind: &str, name: Option<&str>) -> Option<(Vec<Fact>, Vec<Demand>)> {
        let ends = self.ends.get(replica)?.as_ref()?;
        let facts = ends.grounds.of_thing(kind, name)?;
        let id = name.filter(|_| kind != "wal" && kind != "history").and_then(|name| name.parse().ok());
        Some((facts, id.map(|id| ends.demands.of_backup(id)).unwrap_or_default()))
    }

    /// The addresses of the things that both ends have of a replica, to find one that was mistyped.
    pub fn backups(&self, replica: usize) -> Vec<String> {
        let grounds = self.ends.get(replica).and_then(Option::as_ref).map(|ends| &ends.grounds);
        grounds.map(Grounds::backups).unwrap_or_default()
    }
}

/// Whether an action ships or deletes a WAL file.
fn is_about(action: &Action, name: WalName) -> bool {
    let effect = action.change.effect();
    effect.shipped().is_some_and(|batch| find(&batch.entries, name).is_some())
        || effect.deleted().is_some_and(|files| files.contains_key(&name))
}

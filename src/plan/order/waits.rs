//! What each action of a plan waits for, and what waits for it.

use std::collections::{BTreeMap, BTreeSet};

use petgraph::Direction;
use petgraph::graph::NodeIndex;
use petgraph::visit::EdgeRef;

use super::graph::{Dependency, StepGraph};
use crate::plan::Plan;
use crate::plan::action::Address;

/// The plan's graph, asked by actions.
pub struct Waits<'a> {
    plan: &'a Plan,
    graph: StepGraph,
    steps: BTreeMap<(usize, usize), Vec<NodeIndex>>,
}

/// The neighbours of one action, in the plan's order.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Neighbours<'a> {
    /// Those without which it makes no sense.
    pub needs: Vec<&'a Address>,
    /// Those that must only have ended.
    pub after: Vec<&'a Address>,
    /// Those that wait for it, for either cause.
    pub waiting: Vec<&'a Address>,
}

impl<'a> Waits<'a> {
    /// Makes the graph of a plan.
    pub fn new(plan: &'a Plan) -> Self {
        let graph = plan.graph();
        let mut steps: BTreeMap<(usize, usize), Vec<NodeIndex>> = BTreeMap::new();
        for node in graph.node_indices() {
            if let Some(step) = graph.node_weight(node) {
                steps.entry((step.replica, step.action)).or_default().push(node);
            }
        }
        Self { plan, graph, steps }
    }

    /// The neighbours of an action, by the places of its replica and of itself in the plan.
    pub fn of(&self, replica: usize, action: usize) -> Neighbours<'a> {
        let needs = self.beside(replica, action, Direction::Incoming, |edge| edge == Dependency::Needs);
        let mut after = self.beside(replica, action, Direction::Incoming, |edge| edge == Dependency::After);
        after.retain(|place| !needs.contains(place));
        let waiting = self.beside(replica, action, Direction::Outgoing, |_| true);
        let addresses = |places: BTreeSet<(usize, usize)>| {
            places.into_iter().filter_map(|place| self.address(place)).collect::<Vec<_>>()
        };
        Neighbours { needs: addresses(needs), after: addresses(after), waiting: addresses(waiting) }
    }

    fn beside(
        &self,
        replica: usize,
        action: usize,
        direction: Direction,
        wanted: fn(Dependency) -> bool,
    ) -> BTreeSet<(usize, usize)> {
        let own = (replica, action);
        let edges = self.steps.get(&own).into_iter().flatten().flat_map(|n| self.graph.edges_directed(*n, direction));
        let other = |edge: petgraph::graph::EdgeReference<'_, Dependency>| match direction {
            Direction::Incoming => edge.source(),
            Direction::Outgoing => edge.target(),
        };
        let others = edges.filter(|edge| wanted(*edge.weight())).map(other);
        let place = |node| self.graph.node_weight(node).map(|step| (step.replica, step.action));
        others.filter_map(place).filter(|place| *place != own).collect()
    }

    fn address(&self, (replica, action): (usize, usize)) -> Option<&'a Address> {
        Some(&self.plan.replicas.get(replica)?.actions.get(action)?.address)
    }
}

//! What a drawing of a plan shows, in whatever language it is drawn: a cluster for each replica with its steps, what waits
//! for what, and the chain of steps marked that has most to copy.

use std::collections::BTreeSet;

use petgraph::graph::NodeIndex;
use petgraph::visit::EdgeRef;

use crate::english::count;
use crate::plan::order::critical_path::{CriticalPath, critical_path};
use crate::plan::order::graph::{Dependency, StepGraph};
use crate::plan::{Plan, ReplicaPlan};

use super::summary::verdict;
use super::table::Mark;
use super::tree::{self, step_words};
use super::units::bytes;

/// A plan, to be drawn.
pub struct Drawing {
    /// The verdict on the plan.
    pub verdict: String,
    /// How the arrows are to be read, line by line; nothing where there are none.
    pub legend: Vec<String>,
    /// One for each replica of which there is something to draw.
    pub clusters: Vec<Cluster>,
    /// Between the steps of all clusters.
    pub arrows: Vec<Arrow>,
}

/// A replica.
pub struct Cluster {
    /// Its place in the plan.
    pub index: usize,
    /// Its name and its primary's.
    pub label: String,
    /// In the plan's order.
    pub steps: Vec<Step>,
    /// The addresses of what waits for a person.
    pub held: Vec<String>,
}

/// A step.
pub struct Step {
    /// Its number in the plan.
    pub number: usize,
    /// Its address, and what is done.
    pub label: [String; 2],
    /// What comes of it.
    pub mark: Mark,
    /// Whether it is on the critical path.
    pub is_critical: bool,
}

/// From a step to one that waits for it.
pub struct Arrow {
    /// The number of the one that is waited for.
    pub from: usize,
    /// The number of the one that waits.
    pub to: usize,
    /// Whether it only waits until the first has ended, however that did.
    pub is_loose: bool,
    /// Whether it is on the critical path.
    pub is_critical: bool,
}

impl Drawing {
    /// What there is to draw of a plan.
    pub fn of(plan: &Plan) -> Self {
        let graph = plan.graph();
        let path = critical_path(plan, &graph);
        let clusters =
            plan.replicas.iter().enumerate().map(|(index, replica)| cluster(plan, index, replica, &graph, &path));
        Self {
            verdict: format!("site {}: {}", plan.site, verdict(plan)),
            legend: legend(plan, &path),
            clusters: clusters.filter(|cluster| !cluster.steps.is_empty() || !cluster.held.is_empty()).collect(),
            arrows: arrows(&graph, &path),
        }
    }
}

fn legend(plan: &Plan, path: &CriticalPath) -> Vec<String> {
    if plan.is_empty() {
        return Vec::new();
    }
    let edges = "A solid arrow: the second needs the first. A dashed one: it only waits until the first has ended.";
    let critical = match path.steps.len() {
        0 => "Nothing is copied, so no path is critical.".to_owned(),
        n => format!(
            "In bold red: the critical path, {} with {} to copy{}.",
            count(n as u64, "step"),
            bytes(path.bytes),
            if n > 1 { " one after the other" } else { "" }
        ),
    };
    vec![edges.to_owned(), critical]
}

fn cluster(plan: &Plan, index: usize, replica: &ReplicaPlan, graph: &StepGraph, path: &CriticalPath) -> Cluster {
    let is_of_it = |node: &NodeIndex| graph.node_weight(*node).is_some_and(|step| step.replica == index);
    let step = |node: NodeIndex| {
        let step = graph.node_weight(node)?;
        let action = plan.action(*step)?;
        Some(Step {
            number: node.index(),
            label: [action.address.to_string(), step_words(action, step.phase)],
            mark: tree::mark(action),
            is_critical: path.steps.contains(&node),
        })
    };
    Cluster {
        index,
        label: format!("{} ({})", replica.name, replica.primary),
        steps: graph.node_indices().filter(is_of_it).filter_map(step).collect(),
        held: replica.held.iter().map(|held| held.address.to_string()).collect(),
    }
}

fn arrows(graph: &StepGraph, path: &CriticalPath) -> Vec<Arrow> {
    let links: BTreeSet<(NodeIndex, NodeIndex)> =
        path.steps.iter().copied().zip(path.steps.iter().copied().skip(1)).collect();
    let arrow = |edge: petgraph::graph::EdgeReference<'_, Dependency>| Arrow {
        from: edge.source().index(),
        to: edge.target().index(),
        is_loose: *edge.weight() == Dependency::After,
        is_critical: links.contains(&(edge.source(), edge.target())),
    };
    graph.edge_references().map(arrow).collect()
}

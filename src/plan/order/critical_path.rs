//! The chain of steps that takes longest, as far as bytes tell: what follows it can start no earlier, however many
//! transfers run side by side.

use petgraph::Direction;
use petgraph::algo::toposort;
use petgraph::graph::NodeIndex;

use super::graph::{Phase, Step, StepGraph};
use crate::plan::Plan;
use crate::plan::action::Action;

/// A longest path through a plan's graph.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct CriticalPath {
    /// Its steps in order; none when nothing is copied.
    pub steps: Vec<NodeIndex>,
    /// What they copy together.
    pub bytes: u64,
}

/// The path with most bytes to copy, from a step that waits for nothing to one that nothing waits for; of several the
/// one with most steps, and then the one whose steps come first in the plan.
pub fn critical_path(plan: &Plan, graph: &StepGraph) -> CriticalPath {
    // A plan's graph has no cycle.
    let order = toposort(graph, None).unwrap_or_default();
    let mut best = vec![Reached::default(); graph.node_count()];
    for node in order {
        let before = graph.neighbors_directed(node, Direction::Incoming);
        let before = longest(before.filter_map(|from| Some((from, *best.get(from.index())?))));
        let (from, reached) = before.map_or((None, Reached::default()), |(from, reached)| (Some(from), reached));
        let own = graph.node_weight(node).map_or(0, |step| weight(plan, *step));
        if let Some(place) = best.get_mut(node.index()) {
            *place = Reached { bytes: reached.bytes.saturating_add(own), steps: reached.steps + 1, from };
        }
    }
    let all = graph.node_indices().zip(best.iter().copied());
    let Some((end, reached)) = longest(all).filter(|(_, reached)| reached.bytes > 0) else {
        return CriticalPath::default();
    };
    let mut steps: Vec<NodeIndex> =
        std::iter::successors(Some(end), |node| best.get(node.index()).and_then(|reached| reached.from)).collect();
    steps.reverse();
    CriticalPath { steps, bytes: reached.bytes }
}

/// The longest way to a step, itself included.
#[derive(Debug, Clone, Copy, Default)]
struct Reached {
    bytes: u64,
    steps: usize,
    from: Option<NodeIndex>,
}

fn longest(ways: impl Iterator<Item = (NodeIndex, Reached)>) -> Option<(NodeIndex, Reached)> {
    ways.max_by_key(|(end, reached)| (reached.bytes, reached.steps, std::cmp::Reverse(*end)))
}

fn weight(plan: &Plan, step: Step) -> u64 {
    match step.phase {
        Phase::Publish => 0,
        Phase::Whole | Phase::Copy => plan.action(step).map_or(0, Action::bytes_to_copy),
    }
}

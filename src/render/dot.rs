//! The graph of a plan's steps for Graphviz: a cluster for each replica, and the chain of steps marked that has most to
//! copy.

use std::collections::BTreeSet;

use petgraph::graph::NodeIndex;
use petgraph::visit::EdgeRef;

use crate::plan::Plan;
use crate::plan::order::critical_path::{CriticalPath, critical_path};
use crate::plan::order::graph::{Dependency, StepGraph};

use super::ink::clean;
use super::summary::verdict;
use super::table::Mark;
use super::tree;
use super::tree::step_words;
use super::units::bytes;
use crate::english::count;

/// So many steps can be laid out with curves in a few seconds; more get straight lines.
const MANY: usize = 200;

/// The plan as a graph in Graphviz's language.
pub fn dot(plan: &Plan) -> String {
    let graph = plan.graph();
    let path = critical_path(plan, &graph);
    let mut out = String::from("digraph plan {\n");
    out.push_str(&format!("  graph [label={}, labelloc=t, rankdir=LR", quoted(&title(plan, &path))));
    out.push_str(if graph.node_count() > MANY { ", splines=line, nslimit=2]\n" } else { "]\n" });
    out.push_str("  node [shape=box, style=\"rounded,filled\", fillcolor=white, fontname=\"sans-serif\"]\n");
    out.push_str("  edge [arrowsize=0.7]\n");
    let marked: BTreeSet<NodeIndex> = path.steps.iter().copied().collect();
    for (index, replica) in plan.replicas.iter().enumerate() {
        let steps: Vec<NodeIndex> =
            graph.node_indices().filter(|node| graph.node_weight(*node).is_some_and(|s| s.replica == index)).collect();
        if steps.is_empty() && replica.held.is_empty() {
            continue;
        }
        let label = quoted(&format!("{} ({})", replica.name, replica.primary));
        out.push_str(&format!("  subgraph cluster_{index} {{\n    label={label}\n"));
        let lines = steps.iter().filter_map(|node| self::node(plan, &graph, *node, marked.contains(node)));
        lines.for_each(|line| out.push_str(&line));
        for (place, held) in replica.held.iter().enumerate() {
            let label = quoted(&format!("{}\nheld", held.address));
            out.push_str(&format!("    h{index}_{place} [label={label}, color=red, style=\"rounded,dashed\"]\n"));
        }
        out.push_str("  }\n");
    }
    edges(&graph, &path, &mut out);
    out.push_str("}\n");
    out
}

/// What the drawing says above the graph.
fn title(plan: &Plan, path: &CriticalPath) -> String {
    let verdict = format!("site {}: {}", plan.site, verdict(plan));
    let edges = "A solid arrow: the second needs the first. A dashed one: it only waits until the first has ended.";
    match (plan.is_empty(), path.steps.len()) {
        (true, _) => verdict,
        (false, 0) => format!("{verdict}\n{edges}\nNothing is copied, so no path is critical."),
        (false, n) => format!(
            "{verdict}\n{edges}\nIn bold red: the critical path, {} with {} to copy{}.",
            count(n as u64, "step"),
            bytes(path.bytes),
            if n > 1 { " one after the other" } else { "" }
        ),
    }
}

fn node(plan: &Plan, graph: &StepGraph, node: NodeIndex, is_critical: bool) -> Option<String> {
    let step = graph.node_weight(node)?;
    let action = plan.action(*step)?;
    let label = quoted(&format!("{}\n{}", action.address, step_words(action, step.phase)));
    let colour = match tree::mark(action) {
        Mark::Add => "darkgreen",
        Mark::Mend | Mark::More => "darkorange3",
        Mark::Remove => "gray30",
        Mark::Hold => "red",
    };
    let attributes = if is_critical { "color=red, penwidth=3".to_owned() } else { format!("color={colour}") };
    Some(format!("    n{} [label={label}, {attributes}]\n", node.index()))
}

fn edges(graph: &StepGraph, path: &CriticalPath, out: &mut String) {
    let links: BTreeSet<(NodeIndex, NodeIndex)> =
        path.steps.iter().copied().zip(path.steps.iter().copied().skip(1)).collect();
    for edge in graph.edge_references() {
        let mut attributes = Vec::new();
        if *edge.weight() == Dependency::After {
            attributes.push("style=dashed");
        }
        if links.contains(&(edge.source(), edge.target())) {
            attributes.push("color=red, penwidth=3");
        }
        let attributes = if attributes.is_empty() { String::new() } else { format!(" [{}]", attributes.join(", ")) };
        out.push_str(&format!("  n{} -> n{}{attributes}\n", edge.source().index(), edge.target().index()));
    }
}

/// A text as Graphviz reads it back, line by line. It knows `\"` in a quoted text, and in a label `\N`, `\G` and others
/// as names of its own, so that a backslash is doubled.
fn quoted(text: &str) -> String {
    let lines: Vec<String> = text.lines().map(|line| clean(line).replace('\\', "\\\\").replace('"', "\\\"")).collect();
    // An ampersand would begin an entity of HTML, also in a text that is not HTML.
    format!("\"{}\"", lines.join("\\n").replace('&', "&amp;"))
}

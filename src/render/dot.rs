//! The graph of a plan's steps for Graphviz.

use crate::plan::Plan;

use super::drawing::{Arrow, Drawing, Step};
use super::ink::clean;
use super::table::Mark;

/// So many steps can be laid out with curves in a few seconds; more get straight lines.
const MANY: usize = 200;

/// The plan as a graph in Graphviz's language.
pub fn dot(plan: &Plan) -> String {
    let drawing = Drawing::of(plan);
    let title: Vec<&str> = [&drawing.verdict].into_iter().chain(&drawing.legend).map(String::as_str).collect();
    let mut out = String::from("digraph plan {\n");
    out.push_str(&format!("  graph [label={}, labelloc=t, rankdir=LR", quoted(&title)));
    let steps: usize = drawing.clusters.iter().map(|cluster| cluster.steps.len()).sum();
    out.push_str(if steps > MANY { ", splines=line, nslimit=2]\n" } else { "]\n" });
    out.push_str("  node [shape=box, style=\"rounded,filled\", fillcolor=white, fontname=\"sans-serif\"]\n");
    out.push_str("  edge [arrowsize=0.7]\n");
    for cluster in &drawing.clusters {
        let index = cluster.index;
        out.push_str(&format!("  subgraph cluster_{index} {{\n    label={}\n", quoted(&[&cluster.label])));
        cluster.steps.iter().for_each(|step| out.push_str(&node(step)));
        for (place, held) in cluster.held.iter().enumerate() {
            let label = quoted(&[held, "held"]);
            out.push_str(&format!("    h{index}_{place} [label={label}, color=red, style=\"rounded,dashed\"]\n"));
        }
        out.push_str("  }\n");
    }
    drawing.arrows.iter().for_each(|arrow| out.push_str(&edge(arrow)));
    out.push_str("}\n");
    out
}

fn node(step: &Step) -> String {
    let colour = match step.mark {
        Mark::Add => "darkgreen",
        Mark::Mend | Mark::More => "darkorange3",
        Mark::Remove => "gray30",
        Mark::Hold => "red",
    };
    let attributes = if step.is_critical { "color=red, penwidth=3".to_owned() } else { format!("color={colour}") };
    let [address, words] = &step.label;
    format!("    n{} [label={}, {attributes}]\n", step.number, quoted(&[address, words]))
}

fn edge(arrow: &Arrow) -> String {
    let style = arrow.is_loose.then_some("style=dashed");
    let critical = arrow.is_critical.then_some("color=red, penwidth=3");
    let attributes: Vec<&str> = style.into_iter().chain(critical).collect();
    let attributes = if attributes.is_empty() { String::new() } else { format!(" [{}]", attributes.join(", ")) };
    format!("  n{} -> n{}{attributes}\n", arrow.from, arrow.to)
}

/// Lines as Graphviz reads them back. It knows `\"` in a quoted text, and in a label `\N`, `\G` and others as names of its
/// own, so that a backslash is doubled.
fn quoted(lines: &[&str]) -> String {
    let lines: Vec<String> = lines.iter().map(|line| clean(line).replace('\\', "\\\\").replace('"', "\\\"")).collect();
    // An ampersand would begin an entity of HTML, also in a text that is not HTML.
    format!("\"{}\"", lines.join("\\n").replace('&', "&amp;"))
}

//! The graph of a plan's steps for Mermaid, which draws it where Markdown is shown: in pull requests, wikis and notes.

use crate::plan::Plan;

use super::drawing::{Drawing, Step};
use super::ink::clean;
use super::table::Mark;

/// The looks that steps and arrows have, by their names in the drawing.
const CLASSES: &str = "  classDef add stroke:#2da44e
  classDef mend stroke:#bc4c00
  classDef remove stroke:#57606a
  classDef held stroke:#cf222e,stroke-dasharray:4
  classDef critical stroke:#cf222e,stroke-width:3px
";

/// The plan as a flowchart in Mermaid's language.
pub fn mermaid(plan: &Plan) -> String {
    let drawing = Drawing::of(plan);
    // What stands before the chart is YAML, which JSON is too.
    let title = serde_json::Value::from(clean(&drawing.verdict));
    let mut out = format!("---\ntitle: {title}\n---\nflowchart LR\n");
    drawing.legend.iter().for_each(|line| out.push_str(&format!("  %% {}\n", clean(line))));
    for cluster in &drawing.clusters {
        let index = cluster.index;
        out.push_str(&format!("  subgraph c{index}[{}]\n", quoted(&[&cluster.label])));
        cluster.steps.iter().for_each(|step| out.push_str(&node(step)));
        for (place, held) in cluster.held.iter().enumerate() {
            out.push_str(&format!("    h{index}_{place}[{}]:::held\n", quoted(&[held, "held"])));
        }
        out.push_str("  end\n");
    }
    for arrow in &drawing.arrows {
        let line = if arrow.is_loose { "-.->" } else { "-->" };
        out.push_str(&format!("  n{} {line} n{}\n", arrow.from, arrow.to));
    }
    let critical = drawing.arrows.iter().enumerate().filter(|(_, arrow)| arrow.is_critical);
    let critical: Vec<String> = critical.map(|(place, _)| place.to_string()).collect();
    if !critical.is_empty() {
        out.push_str(&format!("  linkStyle {} stroke:#cf222e,stroke-width:3px\n", critical.join(",")));
    }
    out.push_str(CLASSES);
    out
}

fn node(step: &Step) -> String {
    let class = match step.mark {
        _ if step.is_critical => "critical",
        Mark::Add => "add",
        Mark::Mend | Mark::More => "mend",
        Mark::Remove => "remove",
        Mark::Hold => "held",
    };
    let [address, words] = &step.label;
    format!("    n{}[{}]:::{class}\n", step.number, quoted(&[address, words]))
}

/// Lines as Mermaid reads them back: what it or HTML would take for its own is written by its number.
fn quoted(lines: &[&str]) -> String {
    let escaped = |line: &&str| -> String {
        let escape = |c: char| match c {
            '"' | '#' | '&' | '<' | '>' | '`' | '\\' | ';' | '*' | '_' => format!("#{};", u32::from(c)),
            c => c.to_string(),
        };
        clean(line).chars().map(escape).collect()
    };
    format!("\"{}\"", lines.iter().map(escaped).collect::<Vec<_>>().join("<br/>"))
}

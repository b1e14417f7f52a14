//! What drills came to: for people, for programs, for what shows the results of tests, and as a page for an auditor.

mod html;
pub mod json;
mod junit;

use crate::barman::drill::{Drill, Step, Verdict};

use super::Style;
use super::ink::{Ink, Line, clean, width, wrap};
use super::units::{bytes, duration, timestamp};

pub use html::html;
pub use junit::junit;

/// What stands below a replica is indented by.
const INDENT: usize = 4;

/// Drills, a paragraph each.
pub fn drills(all: &[Drill], style: Style) -> String {
    let mut text = String::new();
    for (place, drill) in all.iter().enumerate() {
        if place > 0 {
            text.push('\n');
        }
        for line in paragraph(drill, style) {
            line.write_to(&mut text, style.colour);
        }
    }
    text
}

/// A verdict in words.
pub fn words(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::Proved => "proved",
        Verdict::NotRun => "could not be run",
        Verdict::Disproved => "disproved",
    }
}

/// What a drill came to, in a sentence without a full stop.
pub fn sentence(drill: &Drill) -> String {
    let verdict = words(drill.verdict);
    match (drill.verdict, why(drill)) {
        (Verdict::Proved, _) => format!("{verdict}: {}", recovered(drill)),
        (_, Some(step)) => format!("{verdict}: {}: {}", step.what.words(), clean(&step.told).trim_end_matches('.')),
        (_, None) => verdict.to_owned(),
    }
}

/// The step that keeps a drill from having proved everything.
pub fn why(drill: &Drill) -> Option<&Step> {
    drill.steps.iter().find(|step| step.verdict == Some(drill.verdict))
}

/// Up to where it recovered, and how long that took.
fn recovered(drill: &Drill) -> String {
    let to = drill.reached.as_ref().map(|reached| {
        let time = reached.time.map(|time| format!(", {}", timestamp(time))).unwrap_or_default();
        format!("recovers to {}{time}", reached.lsn)
    });
    let took = drill.pace.map(|pace| format!(" in {}", seconds(pace.milliseconds()))).unwrap_or_default();
    format!("{}{took}{}", to.unwrap_or_else(|| "recovers".to_owned()), objective(drill))
}

/// Whether the time to recover is within the objective.
fn objective(drill: &Drill) -> String {
    match (drill.rto_seconds, drill.pace) {
        (Some(rto), Some(_)) if drill.misses_objective() => {
            format!(", longer than `objective.rto`, {}", duration(rto))
        }
        (Some(rto), Some(_)) => format!(", within `objective.rto`, {}", duration(rto)),
        _ => String::new(),
    }
}

/// A length of time, to a tenth where it is short.
fn seconds(milliseconds: u64) -> String {
    if milliseconds < 10_000 {
        format!("{}.{} s", milliseconds / 1000, milliseconds % 1000 / 100)
    } else {
        duration(milliseconds / 1000)
    }
}

fn ink(verdict: Option<Verdict>) -> Ink {
    match verdict {
        Some(Verdict::Proved) => Ink::Add,
        Some(Verdict::NotRun) => Ink::Caution,
        Some(Verdict::Disproved) => Ink::Remove,
        None => Ink::Dim,
    }
}

/// What a step came to, in words.
fn came_to(step: &Step) -> &'static str {
    step.verdict.map_or("not tried", words)
}

fn paragraph(drill: &Drill, style: Style) -> Vec<Line> {
    let head = Line::new().with(Ink::Strong, drill.replica.as_str()).with(Ink::Plain, "  ");
    let head = head.with(ink(Some(drill.verdict)), words(drill.verdict));
    let head = match drill.verdict {
        Verdict::Proved => head.with(Ink::Plain, format!("; {}", recovered(drill))),
        Verdict::NotRun | Verdict::Disproved => head,
    };
    let mut lines = vec![head];
    let name = drill.steps.iter().map(|step| width(step.what.words())).max().unwrap_or_default() + INDENT + 2;
    let verdict = drill.steps.iter().map(|step| width(came_to(step))).max().unwrap_or_default() + name + 2;
    for step in &drill.steps {
        let line = Line::new().pad_to(INDENT).with(Ink::Plain, step.what.words()).pad_to(name);
        let mut line = line.with(ink(step.verdict), came_to(step)).pad_to(verdict);
        let told = format!("{} ({})", clean(&step.told), seconds(step.milliseconds));
        let columns = style.width.map_or(usize::MAX, |width| usize::from(width).saturating_sub(verdict).max(20));
        for part in wrap(&told, columns) {
            lines.push(line.with(Ink::Plain, part));
            line = Line::new().pad_to(verdict);
        }
    }
    if !drill.databases.is_empty() {
        let all: u64 = drill.databases.iter().map(|database| database.bytes).sum();
        lines.push(Line::new().pad_to(name).with(Ink::Dim, format!("{} in all databases", bytes(all))));
    }
    lines
}

//! A plan for people who want to know only what is wrong, and what will be done in a few lines.

use crate::plan::{Plan, ReplicaPlan};

use super::human::{narrowed, summary_lines, write};
use super::remarks::{Remark, remarks, unobserved};
use super::{Style, vanished};

/// What is wrong, and the summary where there is something to do. Nothing at all for a plan with nothing of both.
pub fn quiet(plan: &Plan, style: Style) -> String {
    let mut text = wrong(plan, style);
    if !plan.is_empty() {
        text.push_str(&write(&narrowed(plan, style), style));
        text.push_str(&write(&summary_lines(plan, style), style));
    }
    text
}

/// What is wrong with the replicas of a plan.
pub fn wrong(plan: &Plan, style: Style) -> String {
    let named = |replica: &ReplicaPlan| {
        let name = replica.name.clone();
        errors_and_warnings(replica).map(move |remark| remark.of(&name)).collect::<Vec<_>>()
    };
    let columns = style.width.map(usize::from);
    let said = plan.replicas.iter().flat_map(named).chain(vanished::warnings(&plan.vanished));
    let lines: Vec<_> = said.flat_map(|remark| remark.lines("", columns)).collect();
    write(&lines, style)
}

fn errors_and_warnings(replica: &ReplicaPlan) -> impl Iterator<Item = Remark> {
    let said = remarks(replica, false).into_iter().filter(|remark| remark.label != "note");
    unobserved(replica).into_iter().chain(said)
}

//! A plan in one line: what is done, what is not planned, what is copied and freed.

use crate::plan::cost::totals::Totals;
use crate::plan::{Outcome, Plan, ReplicaPlan};

use super::summary;
use super::units::bytes;
use crate::english::count;

/// The verdict without the site's name.
pub fn verdict(plan: &Plan) -> String {
    let totals = Totals::of(plan);
    let mut parts = vec![if plan.is_empty() { idle(plan).to_owned() } else { summary::changes(&totals).join(", ") }];
    parts.extend(not_planned(plan));
    let copies = summary::copied(plan, &totals).map(|copied| format!("copies {copied}"));
    let frees = (totals.bytes_freed > 0).then(|| format!("frees up to {}", bytes(totals.bytes_freed)));
    let traffic: Vec<String> = copies.into_iter().chain(frees).collect();
    parts.extend((!traffic.is_empty()).then(|| traffic.join(", ")));
    parts.join("; ")
}

/// Of a plan without actions.
fn idle(plan: &Plan) -> &'static str {
    let mut planned = plan.replicas.iter().filter(|replica| replica.outcome == Outcome::Planned).peekable();
    if plan.replicas.is_empty() {
        "no replicas"
    } else if planned.peek().is_none() {
        "nothing could be planned"
    } else if plan.replicas.iter().any(|replica| !replica.held.is_empty()) {
        "nothing to do unasked"
    } else if planned.all(ReplicaPlan::is_in_sync) {
        "in sync"
    } else {
        "nothing to do, and what is wanted is not all here"
    }
}

/// How many replicas the plan says nothing about.
fn not_planned(plan: &Plan) -> Option<String> {
    let number = |wanted: fn(&Outcome) -> bool| plan.replicas.iter().filter(|r| wanted(&r.outcome)).count() as u64;
    let kinds = [
        (number(|outcome| matches!(outcome, Outcome::Blocked(_))), "blocked"),
        (number(|outcome| matches!(outcome, Outcome::Unobserved(_))), "not observed"),
        (plan.replicas.iter().filter(|replica| !replica.held.is_empty()).count() as u64, "held"),
    ];
    let kinds: Vec<String> =
        kinds.iter().filter(|(n, _)| *n > 0).map(|(n, how)| format!("{} {how}", count(*n, "replica"))).collect();
    (!kinds.is_empty()).then(|| kinds.join(", "))
}

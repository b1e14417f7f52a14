//! What became of a replica, as the journal has it: in the words of the plan, and in so few that a line stays short.

use std::collections::{BTreeMap, BTreeSet};

use crate::barman::drill::{Drill, Verdict};
use crate::error::{Error, Kind};
use crate::events::Summary;
use crate::journal::{Changes, Failure, Outcome, Replica};
use crate::plan::action::Action;
use crate::plan::action::Address;
use crate::plan::action::words::Verb;
use crate::plan::{Outcome as Planning, ReplicaPlan};

use super::advice::{blocker, shortfall};
use super::held;
use super::ink::clean;
use super::reason;

/// So many addresses of changes are named that have the same kind and reason.
const ADDRESSES: usize = 3;
/// Changes of more kinds and reasons than this are told without their reasons.
const GROUPS: usize = 12;
/// So many failures, and so many reasons, are told.
const TOLD: usize = 5;
/// The characters of a sentence that are kept.
const SENTENCE: usize = 400;

/// What became of a replica that was planned so, and applied with this result.
pub fn recorded(plan: &ReplicaPlan, summary: &Summary) -> Replica {
    let failed: BTreeSet<&Address> = summary.failed.iter().map(|(address, _)| address).collect();
    let skipped: BTreeSet<&Address> = summary.skipped.iter().filter(|address| !failed.contains(address)).collect();
    let is_done = |address: &&Address| !failed.contains(address) && !skipped.contains(address);
    let done: BTreeSet<&Address> = summary.done.iter().filter(is_done).collect();
    let outcome = outcome(plan, summary, !skipped.is_empty());
    let failures = summary.failed.iter().map(|(address, error)| failure(Some(address), error));
    let unobserved = match &plan.outcome {
        Planning::Unobserved(error) => Some(failure(None, error)),
        Planning::Planned | Planning::Inactive(_) | Planning::Blocked(_) => None,
    };
    Replica {
        name: plan.name.to_string(),
        primary: plan.primary.clone(),
        outcome,
        changes: changes(plan.actions.iter().filter(|action| done.contains(&action.address))),
        bytes: summary.transferred,
        failures: unobserved.into_iter().chain(failures).take(TOLD).collect(),
        failed: failed.len(),
        left: skipped.len(),
        reasons: reasons(plan, outcome),
    }
}

/// What became of a replica that was drilled. Nothing of it was changed.
pub fn drilled(drill: &Drill) -> Replica {
    let (outcome, kind) = match drill.verdict {
        Verdict::Proved => (Outcome::Done, None),
        Verdict::NotRun => (Outcome::Incomplete, None),
        Verdict::Disproved => (Outcome::Failed, Some(Kind::Damaged)),
    };
    let told = sentence(&super::drill::sentence(drill));
    let failures: Vec<Failure> =
        kind.map(|kind| Failure { address: None, kind, message: told.clone() }).into_iter().collect();
    Replica {
        failed: failures.len(),
        failures,
        reasons: vec![told],
        ..Replica::without_changes(drill.replica.to_string(), String::new(), outcome)
    }
}

/// An error, as the journal has it.
pub fn failure(address: Option<&Address>, error: &Error) -> Failure {
    Failure { address: address.map(ToString::to_string), kind: error.kind, message: sentence(&error.message) }
}

fn outcome(plan: &ReplicaPlan, summary: &Summary, is_left: bool) -> Outcome {
    match &plan.outcome {
        Planning::Inactive(_) => Outcome::Inactive,
        Planning::Blocked(_) => Outcome::Blocked,
        Planning::Unobserved(_) => Outcome::Unobserved,
        Planning::Planned if summary.interrupted && is_left => Outcome::Interrupted,
        Planning::Planned if !summary.failed.is_empty() => Outcome::Failed,
        Planning::Planned if is_left && (summary.stopped_at.is_some() || summary.window_closed) => Outcome::Stopped,
        Planning::Planned if is_left => Outcome::Failed,
        Planning::Planned if !plan.held.is_empty() || !plan.shortfalls.is_empty() => Outcome::Incomplete,
        Planning::Planned if !plan.actions.is_empty() => Outcome::Done,
        Planning::Planned if plan.is_in_sync() => Outcome::InSync,
        Planning::Planned => Outcome::Incomplete,
    }
}

fn reasons(plan: &ReplicaPlan, outcome: Outcome) -> Vec<String> {
    let told: Vec<String> = match &plan.outcome {
        Planning::Inactive(said) => vec![said.clone()],
        Planning::Blocked(blockers) => blockers.iter().map(|it| blocker(plan, it)).collect(),
        Planning::Unobserved(_) => Vec::new(),
        Planning::Planned => {
            let waits = plan.held.iter().map(held);
            let lacks = plan.shortfalls.iter().map(|it| shortfall(plan, it, false));
            let nothing = (outcome == Outcome::Incomplete && plan.after.window.is_none())
                .then(|| "nothing here can be recovered".to_owned());
            waits.chain(lacks).chain(nothing).collect()
        }
    };
    told.iter().take(TOLD).map(|told| sentence(told)).collect()
}

/// Changes of one kind for one reason together, in the order in which the first of each is planned.
fn changes<'a>(actions: impl Iterator<Item = &'a Action> + Clone) -> Vec<Changes> {
    let grouped = grouped(actions.clone().map(|action| (action, sentence(&reason::phrase(action, None)))));
    if grouped.len() > GROUPS {
        self::grouped(actions.map(|action| (action, "for several reasons".to_owned())))
    } else {
        grouped
    }
}

fn grouped<'a>(actions: impl Iterator<Item = (&'a Action, String)>) -> Vec<Changes> {
    let (mut groups, mut places) = (Vec::<Changes>::new(), BTreeMap::new());
    for (action, why) in actions {
        let (verb, sort) = (verb(action.verb()).to_owned(), action.address.sort().to_owned());
        let place = *places.entry((verb.clone(), sort.clone(), why.clone())).or_insert(groups.len());
        if place == groups.len() {
            groups.push(Changes { verb, sort, count: 0, addresses: Vec::new(), why });
        }
        let Some(group) = groups.get_mut(place) else { continue };
        group.count += action.change.things(&action.reason).total().max(1);
        if group.addresses.len() < ADDRESSES {
            group.addresses.push(action.address.to_string());
        }
    }
    groups
}

fn verb(verb: Verb) -> &'static str {
    match verb {
        Verb::Add => "add",
        Verb::Repair => "repair",
        Verb::Update => "update",
        Verb::Prune => "prune",
    }
}

/// A text that a terminal can show, and not too long.
fn sentence(text: &str) -> String {
    let text = clean(text);
    match text.char_indices().nth(SENTENCE) {
        Some((end, _)) => format!("{}…", text.get(..end).unwrap_or_default()),
        None => text,
    }
}

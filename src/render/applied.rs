//! The last lines of an apply: what was done, what failed, what was left.

use std::collections::BTreeSet;
use std::time::Duration;

use crate::events::Summary;
use crate::plan::action::Address;
use crate::plan::cost::totals::{Things, Totals};
use crate::plan::{Plan, ReplicaPlan};

use super::summary;
use super::units::{bytes, duration};
use crate::english::count;

/// Tells how an apply went.
pub fn applied(plan: &Plan, summary: &Summary, elapsed: Duration) -> String {
    let (totals, failed) = outcome(plan, summary);
    let verdict = if summary.interrupted {
        "Apply interrupted"
    } else if failed.is_empty() && summary.stopped_at.is_some() {
        "Apply stopped"
    } else if failed.is_empty() && summary.skipped.is_empty() && plan.replicas.iter().any(ReplicaPlan::lacks_room) {
        "Apply complete but for what does not fit"
    } else if failed.is_empty() && summary.skipped.is_empty() {
        "Apply complete"
    } else {
        "Apply finished with failures"
    };
    let mut text = format!("\n{verdict}: {}.", deeds(&totals, summary.transferred));
    if summary.transferred > 0 {
        text.push_str(&format!(
            " {} transferred in {}.",
            bytes(summary.transferred),
            duration(elapsed.as_secs().max(1))
        ));
    }
    text.push('\n');
    if !failed.is_empty() {
        text.push_str(&format!("{} failed:\n", count(failed.len() as u64, "action")));
        for (address, failure) in &summary.failed {
            text.push_str(&format!("  {address}: {}\n", super::clean(&failure.message)));
        }
    }
    let skipped: BTreeSet<&Address> = summary.skipped.iter().filter(|address| !failed.contains(address)).collect();
    let left = count(skipped.len() as u64, "action");
    match summary.stopped_at {
        Some(limit) => {
            let are = if skipped.len() == 1 { "is" } else { "are" };
            let limit = bytes(limit);
            text.push_str(&format!("Stopped at the limit of {limit}; {left} {are} left: apply again.\n"));
        }
        None if !skipped.is_empty() => text.push_str(&format!("{left} left for the next apply.\n")),
        None => {}
    }
    text
}

/// The same in one line, without the failures: `3 WAL segments added, 48 MiB in 2 s`.
pub fn in_a_line(plan: &Plan, summary: &Summary, elapsed: Duration) -> String {
    let (totals, failed) = outcome(plan, summary);
    let mut text = deeds(&totals, summary.transferred);
    if summary.transferred > 0 {
        text.push_str(&format!(", {} in {}", bytes(summary.transferred), duration(elapsed.as_secs().max(1))));
    }
    for (count, what) in [(failed.len(), "failed"), (summary.skipped.len(), "left for the next time")] {
        if count > 0 {
            text.push_str(&format!(", {count} {what}"));
        }
    }
    text
}

/// What was done, and what failed: something of which a part failed was not.
fn outcome<'a>(plan: &Plan, summary: &'a Summary) -> (Totals, BTreeSet<&'a Address>) {
    let failed: BTreeSet<&Address> = summary.failed.iter().map(|(address, _)| address).collect();
    let done: BTreeSet<&Address> = summary.done.iter().filter(|address| !failed.contains(address)).collect();
    (Totals::of_some(plan, |action| done.contains(&action.address)), failed)
}

/// `1 backup and 12 WAL segments added, 2 repaired`
fn deeds(totals: &Totals, transferred: u64) -> String {
    let in_words =
        |things: &Things, verb: &str| (things.total() > 0).then(|| format!("{} {verb}", summary::things(things)));
    let parts: Vec<String> = [
        in_words(&totals.add, "added"),
        in_words(&totals.repair, "repaired"),
        in_words(&totals.update, "updated"),
        in_words(&totals.prune, "pruned"),
    ]
    .into_iter()
    .flatten()
    .collect();
    match (parts.is_empty(), transferred) {
        (true, 0) => "nothing was done".to_owned(),
        // What arrived is kept, and so something was.
        (true, _) => "nothing was finished".to_owned(),
        (false, _) => parts.join(", "),
    }
}

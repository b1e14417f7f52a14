//! What an apply remembers in the replica's catalog: that it succeeded, how fast bytes arrived, what was found of backups.
//!
//! It is written when the work is done. A catalog that takes none, as its disk is full or read-only by now, is no
//! failure: nothing depends on them.

#![deny(clippy::wildcard_enum_match_arm)]

use std::collections::BTreeSet;

use jiff::Timestamp;

use crate::barman::findings::{self, Findings};
use crate::barman::ids::BackupId;
use crate::barman::last_apply::{LastApply, Measured, SiteNote};
use crate::observe::catalog;
use crate::plan::action::kinds::Effect;
use crate::plan::action::{Action, Address};
use crate::plan::{Outcome, ReplicaPlan};
use crate::store::{ChangeError, Place, Store};

use crate::events::Summary;

/// Notes the success of a replica that was planned and of which nothing is left to do. One that had no actions is among
/// them: somebody who watches wants to see that applies go on. Of an apply that did a part, or failed, only how fast bytes
/// arrived is noted.
pub fn last_apply(
    plan: &ReplicaPlan,
    store: &dyn Store,
    summary: &Summary,
    measured: Measured,
    (site, ended): (&SiteNote, Timestamp),
) {
    let failed = summary.failed.iter().map(|(address, _)| address).chain(&summary.skipped);
    let failed: BTreeSet<&Address> = failed.collect();
    let done: BTreeSet<&Address> = summary.done.iter().filter(|address| !failed.contains(address)).collect();
    let has_succeeded = plan.outcome == Outcome::Planned
        && !plan.lacks_room()
        && plan.left_out == 0
        && plan.actions.iter().all(|action| done.contains(&action.address));
    if !has_succeeded && measured.rate().is_none() {
        return;
    }
    if let Err(error) = write_last_apply(store, &plan.primary, measured, (site, has_succeeded.then_some(ended))) {
        tracing::warn!(replica = %plan.name, "the note of this apply cannot be written: {error}");
    }
}

/// Keeps what was found of the backups that were copied, in the place of what earlier applies found of them.
pub fn findings(plan: &ReplicaPlan, store: &dyn Store, summary: &Summary, found: Findings) {
    let done: BTreeSet<&Address> = summary.done.iter().collect();
    let settled = plan.actions.iter().filter(|action| done.contains(&action.address)).filter_map(backup_of);
    if let Err(error) = write_findings(store, settled, found) {
        tracing::warn!(replica = %plan.name, "what was found at the primary cannot be noted: {error}");
    }
}

fn write_findings(
    store: &dyn Store,
    settled: impl Iterator<Item = BackupId>,
    found: Findings,
) -> Result<(), ChangeError> {
    let before = catalog::findings(store);
    let mut now = before.clone();
    settled.for_each(|id| drop(now.remove(&id)));
    now.extend(found);
    if now == before { Ok(()) } else { store.write(Place::Findings, &findings::write(&now)) }
}

/// The backup whose bytes an action brings or takes.
fn backup_of(action: &Action) -> Option<BackupId> {
    match action.change.effect() {
        Effect::BackupComes(copy) | Effect::FilesCome(copy) => Some(copy.id),
        Effect::BackupGoes { id, .. } => Some(id),
        Effect::Server
        | Effect::List
        | Effect::History(_)
        | Effect::WalsCome(_)
        | Effect::WalsGo(..)
        | Effect::Info(..)
        | Effect::Links(_)
        | Effect::Keep(..)
        | Effect::StagingGoes(_) => None,
    }
}

fn write_last_apply(
    store: &dyn Store,
    primary: &str,
    measured: Measured,
    (site, ended): (&SiteNote, Option<Timestamp>),
) -> Result<(), ChangeError> {
    let before = catalog::last_apply(store);
    let ended = ended.or_else(|| before.as_ref()?.ended);
    // An apply that brought little says nothing of the line; what an earlier one found still holds.
    let earlier = || before.filter(|before| before.primary == primary)?.measured;
    let measured = measured.rate().map(|_| measured).or_else(earlier);
    let (primary, site) = (primary.to_owned(), Some(site.clone()));
    store.write(Place::LastApply, &LastApply { ended, primary, measured, site }.write())
}

//! Notes in each replica's catalog that an apply succeeded there, and how fast bytes arrived.
//!
//! They are written when the work is done. A catalog that takes none, as its disk is full or read-only by now, is no
//! failure: nothing depends on them.

use std::collections::{BTreeMap, BTreeSet};
use std::{fs, io};

use jiff::Timestamp;

use crate::barman::ids::ServerName;
use crate::barman::last_apply::{LastApply, Measured};
use crate::barman::staging::OWN_DIRECTORY;
use crate::plan::Plan;
use crate::plan::action::{Address, Outcome, ReplicaPlan, Target};

use super::durable;
use crate::events::Summary;

/// What was measured of each replica, by its name.
pub type Measurements = BTreeMap<ServerName, Measured>;

/// Notes the success of each replica that was planned and of which nothing is left to do. One that had no actions is
/// among them: somebody who watches wants to see that applies go on.
pub fn note(plan: &Plan, summary: &Summary, measured: &Measurements, ended: Timestamp) {
    let failed = summary.failed.iter().map(|(address, _)| address).chain(&summary.skipped);
    let failed: BTreeSet<&Address> = failed.collect();
    let done: BTreeSet<&Address> = summary.done.iter().filter(|address| !failed.contains(address)).collect();
    let has_succeeded = |replica: &&ReplicaPlan| {
        replica.outcome == Outcome::Planned
            && replica.left_out == 0
            && replica.actions.iter().all(|action| done.contains(&action.address))
    };
    for replica in plan.replicas.iter().filter(has_succeeded) {
        let Some(target) = &replica.target else { continue };
        let measured = measured.get(&replica.name).copied().unwrap_or_default();
        if let Err(error) = write(target, &replica.primary, measured, ended) {
            tracing::warn!(replica = %replica.name, "this apply succeeded, and the note of it cannot be written: {error}");
        }
    }
}

fn write(target: &Target, primary: &str, measured: Measured, ended: Timestamp) -> io::Result<()> {
    let path = LastApply::path(&target.here);
    let before = fs::read(&path).ok().and_then(|bytes| LastApply::parse(&bytes));
    // An apply that brought little says nothing of the line; what an earlier one found still holds.
    let earlier = || before.filter(|before| before.primary == primary)?.measured;
    let measured = measured.rate().map(|_| measured).or_else(earlier);
    durable::create_private_directory(&target.here.backup_directory.join(OWN_DIRECTORY))?;
    durable::write(&path, &LastApply { ended, primary: primary.to_owned(), measured }.write())
}

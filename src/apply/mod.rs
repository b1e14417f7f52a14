//! Apply: a plan is carried out, and what it brings is published.
//!
//! # What always holds
//!
//! - **Publish last.** A backup is DONE, and a WAL file is in xlog.db, only after its bytes are complete, verified
//!   and fsynced under a temporary name and renamed. Whatever moment the machine stops at, a real Barman reads the
//!   catalog without an error, and the next plan finishes the work without copying again what had arrived.
//! - **xlog.db is true before it grows.** It exists, sorted and without doubles, and sync-wals.info says what was
//!   observed, before the first WAL file is placed; otherwise Barman would rebuild the one and copy everything
//!   again because of the other.
//! - **What a disk lost is never published** ([`crate::store::posix::disk`]), nor believed by a later run
//!   ([`crate::store::staged`]).
//! - **Nobody else is in the way.** The locks are taken in one order for each server: the run's own, then
//!   Barman's cron and sync-wal locks from its first step to its last, then those of a backup while it is
//!   copied or deleted, and the xlog.db lock only around reading it again, rewriting and renaming it. Of two backups at
//!   a time only a deletion holds the locks, its own and then that of the backup it builds on, and of the deletions of a
//!   server one goes at a time: so nobody waits in a circle. Whoever changes a backup.info that is there holds the lock
//!   of that backup while it is read, changed and written (`steps::publish::change_info`).
//! - **Replicas are independent.** Each takes its locks, does its steps and lets go of its locks by itself. What killed
//!   runs left to be deleted is deleted meanwhile, under no lock of Barman's.
//! - **A step is done when the disk says so.** After each the disk is looked at as the next plan does
//!   (`steps::confirm`), so that after an apply in which nothing failed the next plan is empty.
//! - **Deletion comes last**, after all that replaces it is published, and what Barman lists goes before its bytes.
//!
//! # What can go wrong, and what is left then
//!
//! | failure | what is left | next apply |
//! | --- | --- | --- |
//! | the connection breaks | tried again as long as something arrives within ten minutes; then the step fails, partial files stay in staging | goes on where it stopped |
//! | a file is missing or wrong at the primary | everything else is placed | reports it again, or notes that it is gone |
//! | the disk is full | what was published | goes on |
//! | a lock is busy for too long | the server or backup as it was | tries again |
//! | an interruption | running transfers end, locks are released | goes on |
//! | `--max-bytes` is reached | what was published, and staging; locks are released | goes on |
//! | kill -9, power cut | staging; perhaps a base without backup.info, or WAL without a line | adopts the one, lists the other |
//!
//! A step that fails stops only the steps that need it.
//!
//! While a base is copied, WAL that was archived since can be brought beside it ([`Companion`]).

mod beside;
mod budget;
mod executor;
mod leftovers;
mod locks;
pub mod memory;
mod meter;
mod ongoing;
mod piece;
mod pulse;
mod queue;
mod replica_run;
mod room;
mod shared;
mod slots;
mod steps;
mod xlogdb;

use std::num::{NonZeroU32, NonZeroUsize};
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use tokio_util::sync::CancellationToken;

use crate::barman::findings::Findings;
use crate::barman::last_apply::{Measured, SiteNote};
use crate::error::{Error, Kind};
use crate::plan::ReplicaPlan;
use crate::site::model::Replica;
use crate::transport::Connection;
use crate::transport::patience::Patience;

use crate::events::{Listener, Summary};
pub use beside::{Beside, Companion};
use executor::{Course, Executor};
pub use locks::RunLock;
pub use ongoing::ongoing;
use pulse::Beating;
use replica_run::{Moving, ReplicaRun};
pub use shared::{Share, Shared};
use steps::PlanSteps;

/// What an apply needs besides the plan.
pub struct Means<'a> {
    /// The site that it is of.
    pub site: SiteNote,
    /// The replica that was planned.
    pub replica: &'a Replica,
    /// An open way to its primary, or why there is none.
    pub connection: Result<&'a Connection, Error>,
    /// How long a busy lock is waited for.
    pub lock_timeout: Duration,
    /// How long a line that was lost is waited for.
    pub patience: Patience,
    /// The run's own lock of the replica and with it its catalog, which is held until the end.
    pub run_lock: RunLock,
    /// What is shared with the applies of other replicas.
    pub share: Share,
    /// Who goes along with it, if somebody does.
    pub companion: Option<&'a dyn Companion>,
}

/// How much an apply does at a time, and in all.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Steps at the same time at the most.
    pub parallelism: NonZeroUsize,
    /// Bytes that are copied at the most; `None` is unlimited.
    pub max_bytes: Option<u64>,
}

impl Limits {
    /// Steps at the same time unless the user says otherwise. Transfers are limited further, by the slots of primary
    /// and replica.
    pub const PARALLELISM: NonZeroUsize = NonZeroUsize::MIN.saturating_add(15);
}

impl Default for Limits {
    fn default() -> Self {
        Self { parallelism: Self::PARALLELISM, max_bytes: None }
    }
}

/// Carries out the plan of one replica. What killed runs left to be deleted is deleted meanwhile.
pub async fn apply(
    plan: &ReplicaPlan,
    means: Means<'_>,
    listener: &dyn Listener,
    cancel: &CancellationToken,
) -> Summary {
    let store = means.run_lock.store();
    let listener = Beating::new(listener, Arc::clone(store));
    let sweep = async {
        if plan.target.is_some() {
            leftovers::attach(plan, Arc::clone(store)).await;
            leftovers::sweep(plan, Arc::clone(store), cancel).await;
        }
    };
    let work = async { tokio::join!(carry_out(plan, &means, &listener, cancel), sweep) };
    tokio::select! {
        (summary, ()) = work => summary,
        never = listener.watch() => match never {},
    }
}

async fn carry_out(
    plan: &ReplicaPlan,
    means: &Means<'_>,
    listener: &dyn Listener,
    cancel: &CancellationToken,
) -> Summary {
    let (summary, measured, found) = match prepare(plan, means, listener, cancel) {
        _ if plan.actions.is_empty() => (Summary::default(), Measured::default(), Findings::default()),
        Ok(run) => {
            let begun = run.begin().await.map(|()| &run);
            let companion = means.companion.filter(|_| begun.is_ok());
            let steps = run_steps(plan, begun, means, listener, cancel);
            let summary = match companion {
                Some(companion) => beside::accompanied(steps, companion, plan, &run).await,
                None => steps.await,
            };
            run.end().await;
            (summary, run.measured(), run.findings())
        }
        Err(error) => {
            let summary = run_steps(plan, Err(error), means, listener, cancel).await;
            (summary, Measured::default(), Findings::default())
        }
    };
    if plan.target.is_some() {
        let store = means.run_lock.store().as_ref();
        memory::last_apply(plan, store, &summary, measured, (&means.site, Timestamp::now()));
        memory::findings(plan, store, &summary, found);
    }
    summary
}

async fn run_steps(
    plan: &ReplicaPlan,
    run: Result<&ReplicaRun<'_>, Error>,
    means: &Means<'_>,
    listener: &dyn Listener,
    cancel: &CancellationToken,
) -> Summary {
    let steps = PlanSteps::new(plan, run);
    let closing = means.companion.map(Companion::closing);
    Executor::new(Course { plan, steps: &steps, listener, cancel, closing, share: &means.share }).run().await
}

fn prepare<'a>(
    plan: &'a ReplicaPlan,
    means: &'a Means<'_>,
    listener: &'a dyn Listener,
    cancel: &'a CancellationToken,
) -> Result<ReplicaRun<'a>, Error> {
    let unplanned = || Error::new(Kind::Internal, format!("{} was not planned", plan.name));
    let target = plan.target.as_ref().ok_or_else(unplanned)?;
    let connection = means.connection.as_ref().map_err(Clone::clone)?;
    let moving = Moving {
        files: connection.files.clone(),
        share: &means.share,
        reuse: means.replica.policy.transfer.reuse,
        compress: means.replica.policy.transfer.compress,
        primary: means.replica.primary.clone(),
        line: Arc::clone(&connection.line),
        patience: means.patience,
    };
    let store = Arc::clone(means.run_lock.store());
    Ok(ReplicaRun::new(target, store, moving, means.lock_timeout, cancel, listener))
}

fn count(streams: NonZeroU32) -> usize {
    usize::try_from(streams.get()).unwrap_or(usize::MAX)
}

#[cfg(test)]
mod tests;

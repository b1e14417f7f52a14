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

mod budget;
mod executor;
mod failure;
pub mod journal;
mod leftovers;
mod locks;
mod meter;
mod ongoing;
mod piece;
mod replica_run;
mod shares;
mod slots;
mod steps;
mod xlogdb;

use std::collections::BTreeMap;
use std::num::{NonZeroU32, NonZeroUsize};
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use tokio_util::sync::CancellationToken;

use crate::barman::layout::ServerDirs;
use crate::plan::Plan;
use crate::plan::ReplicaPlan;
use crate::site::model::{Primary, Replica};
use crate::store::Store;
use crate::transport::Connection;
use crate::transport::patience::Patience;

use crate::events::{Failure, Observer, Summary};
use budget::Budget;
use executor::{Course, Executor};
use journal::Measurements;
pub use locks::{RunLock, RunLockError, RunLocks};
pub use ongoing::{Pulse, ongoing};
use replica_run::{Moving, ReplicaRun};
use shares::AtOnce;
use slots::Slots;
use steps::PlanSteps;

/// Opens the catalog of a server that has these directories.
pub type Stores<'a> = &'a (dyn Fn(&ServerDirs) -> Arc<dyn Store> + Sync);

/// What an apply needs besides the plan.
pub struct Means<'a> {
    /// The replicas that were planned.
    pub replicas: &'a [Replica],
    /// Their primaries by name.
    pub primaries: &'a BTreeMap<String, Primary>,
    /// Open ways to those that could be reached.
    pub connections: &'a BTreeMap<String, Connection>,
    /// Opens the catalog of a server at the site.
    pub stores: Stores<'a>,
    /// How long a busy lock is waited for.
    pub lock_timeout: Duration,
    /// How long a line that was lost is waited for.
    pub patience: Patience,
    /// How much is done at a time, and in all.
    pub limits: Limits,
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

/// Carries out a plan. The caller holds the run's own lock of each server.
pub async fn apply(plan: &Plan, means: &Means<'_>, observer: &dyn Observer, cancel: &CancellationToken) -> Summary {
    let slots: BTreeMap<&str, Slots> =
        means.primaries.iter().map(|(name, primary)| (name.as_str(), Slots::new(count(primary.streams)))).collect();
    let budget = Arc::new(Budget::new(plan, means.limits.max_bytes));
    let shared = Shared { plan, slots: &slots, budget: &budget, observer, cancel };
    let runs = plan.replicas.iter().map(|replica| prepare(replica, means, shared)).collect();
    let steps = PlanSteps::new(plan, runs);
    let parallelism = means.limits.parallelism;
    let course = Course { plan, steps: &steps, observer, cancel, parallelism, budget: &budget };
    let (summary, ()) = tokio::join!(Executor::new(course).run(), leftovers::sweep(plan, means.stores, cancel));
    journal::note(plan, means.stores, &summary, &steps.measured(), Timestamp::now());
    journal::keep(plan, means.stores, &summary, &steps.findings());
    summary
}

/// What an apply does of a plan that has nothing to do: deletions of killed runs are finished, and it is noted that all
/// is well. The caller holds the run's own lock of each server.
pub async fn idle(plan: &Plan, stores: Stores<'_>, cancel: &CancellationToken) {
    leftovers::sweep(plan, stores, cancel).await;
    journal::note(plan, stores, &Summary::default(), &Measurements::new(), Timestamp::now());
}

/// What all replicas of an apply share.
#[derive(Clone, Copy)]
struct Shared<'a, 'b> {
    plan: &'b Plan,
    /// By the primary's name.
    slots: &'b BTreeMap<&'b str, Slots>,
    budget: &'b Arc<Budget>,
    observer: &'a dyn Observer,
    cancel: &'a CancellationToken,
}

fn prepare<'a>(planned: &'a ReplicaPlan, means: &Means<'_>, shared: Shared<'a, '_>) -> Result<ReplicaRun<'a>, Failure> {
    let unplanned = || Failure::new(format!("{} was not planned", planned.name));
    let target = planned.target.as_ref().ok_or_else(unplanned)?;
    let replica = means.replicas.iter().find(|replica| replica.name == planned.name).ok_or_else(unplanned)?;
    let primary = means.primaries.get(&replica.primary).ok_or_else(unplanned)?;
    let connection = means.connections.get(&replica.primary).ok_or_else(unplanned)?;
    let moving = Moving {
        files: connection.files.clone(),
        replica_slots: Slots::new(count(replica.policy.transfer.streams)),
        primary_slots: shared.slots.get(replica.primary.as_str()).cloned().unwrap_or_else(|| Slots::new(1)),
        streams: count(replica.policy.transfer.streams),
        bandwidth: AtOnce::of(shared.plan, planned, means.replicas, primary).share(primary, replica),
        reuse: replica.policy.transfer.reuse,
        budget: Arc::clone(shared.budget),
        primary: primary.name.clone(),
        line: Arc::clone(&connection.line),
        patience: means.patience,
    };
    let store = (means.stores)(&target.here);
    Ok(ReplicaRun::new(target, store, moving, means.lock_timeout, shared.cancel, shared.observer))
}

fn count(streams: NonZeroU32) -> usize {
    usize::try_from(streams.get()).unwrap_or(usize::MAX)
}

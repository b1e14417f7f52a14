//! The steps of a plan: each checks its precondition again, works under a temporary name, publishes last, and then looks
//! whether the disk is as it was planned.

#![deny(clippy::wildcard_enum_match_arm)]

mod base;
mod confirm;
mod metadata;
mod publish;
mod removal;
mod server;
mod wals;

use std::path::Path;

use futures::future::BoxFuture;

use crate::error::{Error, Kind};
use crate::plan::ReplicaPlan;
use crate::plan::action::{Action, Change};
use crate::plan::order::graph::{Phase, Step};
use crate::transport::{ByteCounter, Fetch, Fetched, paths};

use super::executor::Steps;
use super::piece::Piece;
use super::replica_run::{Errand, ReplicaRun, Turn};
use super::slots::Urgency;

/// One step on its way: what it is of, how urgent it is, where arriving bytes are counted.
#[derive(Clone, Copy)]
pub struct Job<'a> {
    /// The replica that it is of.
    pub run: &'a ReplicaRun<'a>,
    /// The action that it is of.
    pub action: &'a Action,
    /// How urgent its transfers are.
    pub urgency: Urgency,
    /// Where arriving bytes are counted.
    pub counter: &'a ByteCounter,
}

impl Job<'_> {
    /// Copies files.
    async fn fetch(&self, request: Fetch, piece: Option<Piece>) -> Result<Fetched, Error> {
        let (address, urgency, counter) = (&self.action.address, self.urgency, self.counter);
        self.run.fetch(Errand { address, urgency, counter, request, piece }).await
    }

    /// Copies files in a turn that is theirs.
    async fn fetch_in(&self, turn: Turn, request: Fetch) -> Result<Fetched, Error> {
        let (address, urgency, counter) = (&self.action.address, self.urgency, self.counter);
        self.run.fetch_in(turn, Errand { address, urgency, counter, request, piece: None }).await
    }

    /// How many of these files may be copied now.
    fn secure(&self, sizes: impl IntoIterator<Item = u64>) -> usize {
        self.run.moving.share.budget().secure(self.urgency, sizes)
    }

    /// The piece of a file that may be copied now, where the file is larger than a run may copy. `into` is the
    /// directory that it is copied into.
    fn piece(&self, into: &Path, landing: &Path, size: u64) -> Option<Piece> {
        let bytes = self.run.moving.share.budget().piece(self.urgency, size)?;
        Some(Piece { bytes, here: paths::partial_size(&into.join(landing)) })
    }
}

/// The steps of a replica's plan.
pub struct PlanSteps<'a> {
    plan: &'a ReplicaPlan,
    /// What they share, or why none of them can run.
    run: Result<&'a ReplicaRun<'a>, Error>,
}

impl<'a> PlanSteps<'a> {
    /// The steps of a plan, given what they share, or why none of them can run.
    pub fn new(plan: &'a ReplicaPlan, run: Result<&'a ReplicaRun<'a>, Error>) -> Self {
        Self { plan, run }
    }

    fn action(&self, step: Step) -> Option<&'a Action> {
        self.plan.actions.get(step.action)
    }
}

impl Steps for PlanSteps<'_> {
    fn run<'a>(&'a self, step: Step, urgency: Urgency, counter: &'a ByteCounter) -> BoxFuture<'a, Result<u64, Error>> {
        Box::pin(async move {
            let Some(action) = self.action(step) else {
                return Err(Error::new(Kind::Internal, "internal error, please report it: a step without an action"));
            };
            let run = self.run.clone()?;
            let job = Job { run, action, urgency, counter };
            let transferred = perform(job, step.phase).await?;
            confirm::confirm(job, step.phase).await?;
            Ok(transferred)
        })
    }

    fn total(&self, step: Step) -> u64 {
        match self.action(step) {
            Some(action) if step.phase != Phase::Publish => action.bytes_to_copy(),
            Some(_) | None => 0,
        }
    }
}

/// Does one step; the bytes that crossed the wire.
async fn perform(job: Job<'_>, phase: Phase) -> Result<u64, Error> {
    match &job.action.change {
        Change::CreateServer => server::create(job).await.map(|()| 0),
        Change::RewriteSyncWals { to, .. } => server::rewrite_sync_wals(job, *to).await.map(|()| 0),
        Change::RepairXlogDb { entries } => wals::repair_xlogdb(job, entries.clone()).await.map(|()| 0),
        Change::ShipHistory { timeline, entry, size } => wals::ship_history(job, *timeline, *entry, *size).await,
        Change::AddWals(batch) | Change::RepairWals(batch) => wals::ship(job, batch).await,
        Change::AddBackup(copy) if phase == Phase::Copy => base::copy(job, copy).await,
        Change::AddBackup(copy) => publish::publish(job, copy).await.map(|()| 0),
        Change::RepairBackup(copy) => base::repair(job, copy).await,
        Change::UpdateInfo { id, from, to } => metadata::update_info(job, *id, from, to).await.map(|()| 0),
        Change::LinkTablespaces { id, oids } => metadata::link_tablespaces(job, *id, oids).await.map(|()| 0),
        Change::SetKeep { id, to, .. } => metadata::set_keep(job, *id, *to).await.map(|()| 0),
        Change::RemoveBackup { id, parent, leaves, .. } => {
            removal::remove_backup(job, *id, *parent, leaves).await.map(|()| 0)
        }
        Change::RemoveStaging { id } => removal::remove_staging(job, *id).await.map(|()| 0),
        Change::RemoveWals { files, .. } => removal::remove_wals(job, files).await.map(|()| 0),
    }
}

/// How many things a message names.
const NAMED: usize = 3;

/// Names the first few of what is wrong, and counts the rest.
fn first_few(faults: impl ExactSizeIterator<Item = String>) -> String {
    let more = faults.len().saturating_sub(NAMED);
    let named: Vec<String> = faults.take(NAMED).collect();
    let more = if more == 0 { String::new() } else { format!("; and {more} more") };
    format!("{}{more}", named.join("; "))
}

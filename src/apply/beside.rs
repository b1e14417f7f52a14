//! Plans that are carried out beside the one that is being applied, under its locks.
//!
//! A base may be copied for hours, and its plan is exact. What was planned since is carried out beside it: it shares the
//! run's locks, its staging and its lines of xlog.db, and has a stream of its own.

use std::sync::Arc;

use async_trait::async_trait;
use tokio_util::sync::CancellationToken;

use crate::events::{Listener, Summary};
use crate::plan::ReplicaPlan;

use super::executor::{Course, Executor};
use super::pulse::Beating;
use super::replica_run::ReplicaRun;
use super::steps::PlanSteps;

/// Somebody who goes along with an apply, and has other plans of its replica carried out beside it.
#[async_trait]
pub trait Companion: Sync {
    /// Goes along until `ended` fires, which it does when the steps of the apply have ended. What it began by then is waited
    /// for.
    async fn go_along(&self, beside: &Beside<'_>, ended: CancellationToken);
    /// Fires when no more bases may begin to come. Those that do go on to their end.
    fn closing(&self) -> &CancellationToken;
}

/// An apply that runs.
pub struct Beside<'a> {
    /// What it does.
    pub running: &'a ReplicaPlan,
    run: &'a ReplicaRun<'a>,
}

impl Beside<'_> {
    /// Does what another plan of the replica says, which does nothing that the running one does.
    pub async fn carry_out(&self, plan: &ReplicaPlan, listener: &dyn Listener) -> Summary {
        let Some(target) = &plan.target else { return Summary::default() };
        let share = self.run.moving.share.beside();
        let listener = Beating::new(listener, Arc::clone(&self.run.store));
        let run = self.run.beside(target, &share, &listener);
        let steps = PlanSteps::new(plan, Ok(&run));
        let course =
            Course { plan, steps: &steps, listener: &listener, cancel: run.cancel, closing: None, share: &share };
        Executor::new(course).run().await
    }
}

/// Runs the steps of an apply, which somebody goes along with.
pub async fn accompanied(
    steps: impl Future<Output = Summary>,
    companion: &dyn Companion,
    running: &ReplicaPlan,
    run: &ReplicaRun<'_>,
) -> Summary {
    let ended = run.cancel.child_token();
    let steps = async {
        let summary = steps.await;
        ended.cancel();
        summary
    };
    let beside = Beside { running, run };
    tokio::join!(steps, companion.go_along(&beside, ended.clone())).0
}

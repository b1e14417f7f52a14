//! Doing what a plan says, of all replicas of a round side by side.

use std::collections::BTreeMap;
use std::time::Duration;

use futures::future::join_all;

use crate::apply::Companion;
use crate::barman::ids::ServerName;
use crate::error::{Error, Kind};
use crate::events::{Event, Listener, Nobody, Summary};
use crate::plan::{Plan, ReplicaPlan};

use super::Session;
use super::replica::Grant;
use super::round::Round;

impl Session {
    /// What an apply does of a plan that has nothing to do: deletions of killed runs are finished, and it is noted that
    /// all is well.
    pub async fn idle(&self, plan: &Plan, round: Round) -> Result<BTreeMap<ServerName, Summary>, Error> {
        self.apply(plan, round, Duration::ZERO, &Nobody, None).await
    }

    /// Does what the plan of a round says, of all its replicas at the same time; what each came to. A busy lock of Barman's
    /// is waited for as long as `lock_timeout`. A companion goes along with the apply of each.
    pub async fn apply(
        &self,
        plan: &Plan,
        round: Round,
        lock_timeout: Duration,
        listener: &dyn Listener,
        companion: Option<&dyn Companion>,
    ) -> Result<BTreeMap<ServerName, Summary>, Error> {
        let (mut run_locks, mut begun) = (round.locks, Vec::new());
        for planned in &plan.replicas {
            match run_locks.remove(&planned.name) {
                Some(run_lock) => begun.push((planned, self.cycle(self.replica(planned.name.as_str())?), run_lock)),
                None if planned.actions.is_empty() => {}
                None => return Err(unlocked(planned)),
            }
        }
        let admitted = begun.iter().map(|(planned, cycle, _)| Ok((*planned, &cycle.replica, cycle.primary()?)));
        let shares = self.shared.admit(admitted.collect::<Result<Vec<_>, Error>>()?);
        let grants = begun.into_iter().zip(shares).map(|((planned, cycle, run_lock), share)| {
            (planned, cycle, Grant { run_lock, share, lock_timeout, companion })
        });
        let mut applies = join_all(grants.map(|(planned, cycle, grant)| async move {
            (planned.name.clone(), cycle.apply(planned, grant, listener).await)
        }));
        let summaries = tokio::select! {
            // First, so that the interruption is told before what ends because of it.
            biased;
            () = self.cancel.cancelled() => {
                self.interruption.call_once(|| listener.notice(&Event::Interrupted));
                applies.await
            }
            summaries = &mut applies => summaries,
        };
        Ok(summaries.into_iter().collect())
    }
}

fn unlocked(planned: &ReplicaPlan) -> Error {
    Error::new(Kind::Internal, format!("internal error, please report it: {} is not locked", planned.name))
}

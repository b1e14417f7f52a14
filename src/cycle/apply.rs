//! Taking locks and doing what a plan says, of all replicas of a command side by side.

use std::time::Duration;

use futures::future::join_all;

use crate::apply::{Limits, RunLockError, RunLocks, Shared};
use crate::barman::ids::ServerName;
use crate::error::{Error, Kind};
use crate::events::{Event, Listener, Nobody, Summary};
use crate::plan::{Plan, ReplicaPlan};

use super::Session;
use super::replica::Grant;

/// How long an apply waits, and how much it does.
#[derive(Debug, Clone, Copy)]
pub struct Bounds {
    /// How long a busy lock is waited for.
    pub lock_timeout: Duration,
    /// How much is done at a time, and in all.
    pub limits: Limits,
}

impl Bounds {
    /// No limits, and this long a wait for a busy lock.
    pub fn of_patience(lock_timeout: Duration) -> Self {
        Self { lock_timeout, limits: Limits::default() }
    }
}

impl Session {
    /// Takes the runs' own locks of all replicas that are concerned, waiting for each that is busy as long as this. Those
    /// that stay busy are noted, and passed over. Whether there is anything left to be done.
    pub async fn lock(
        &mut self,
        locks: &RunLocks,
        is_concerned: impl Fn(&ServerName) -> bool,
        timeout: Duration,
    ) -> Result<bool, Error> {
        let replicas = self.replicas.iter().map(|replica| &replica.name);
        let concerned: Vec<ServerName> = replicas.filter(|name| is_concerned(name)).cloned().collect();
        let taken = tokio::select! {
            taken = join_all(concerned.iter().map(|name| locks.acquire(name, timeout))) => taken,
            () = self.cancel.cancelled() => {
                return Err(Error::new(Kind::Interrupted, "interrupted while another antipode was waited for; nothing was changed"));
            }
        };
        for (name, lock) in concerned.into_iter().zip(taken) {
            match lock {
                Ok(lock) => {
                    self.run_locks.insert(name, lock);
                }
                Err(busy @ RunLockError::Busy { .. }) => {
                    self.busy.insert(name, busy.into());
                }
                Err(error) => return Err(error.into()),
            }
        }
        Ok(self.busy.is_empty() || !self.run_locks.is_empty())
    }

    /// What an apply does of a plan that has nothing to do: deletions of killed runs are finished, and it is noted that
    /// all is well.
    pub async fn idle(&mut self, plan: &Plan) -> Result<(), Error> {
        self.apply(plan, Bounds::of_patience(Duration::ZERO), &Nobody).await.map(drop)
    }

    /// Does what a plan says, of all replicas at the same time. Their runs' own locks are taken, but for those of which
    /// nothing is to be done.
    pub async fn apply(&mut self, plan: &Plan, bounds: Bounds, listener: &dyn Listener) -> Result<Summary, Error> {
        let (lock_directory, lock_timeout) = (self.lock_directory()?, bounds.lock_timeout);
        let (mut run_locks, mut begun) = (std::mem::take(&mut self.run_locks), Vec::new());
        for planned in &plan.replicas {
            match run_locks.remove(&planned.name) {
                Some(run_lock) => begun.push((planned, self.cycle(self.replica(planned.name.as_str())?), run_lock)),
                None if planned.actions.is_empty() => {}
                None => return Err(unlocked(planned)),
            }
        }
        let admitted = begun.iter().map(|(planned, cycle, _)| Ok((*planned, &cycle.replica, cycle.primary()?)));
        let shares = Shared::new(bounds.limits).admit(admitted.collect::<Result<Vec<_>, Error>>()?);
        let grants = begun.into_iter().zip(shares).map(|((planned, cycle, run_lock), share)| {
            (planned, cycle, Grant { run_lock, share, lock_directory: lock_directory.clone(), lock_timeout })
        });
        let mut applies =
            join_all(grants.map(|(planned, cycle, grant)| async move { cycle.apply(planned, grant, listener).await }));
        let summaries = tokio::select! {
            // First, so that the interruption is told before what ends because of it.
            biased;
            () = self.cancel.cancelled() => {
                listener.notice(&Event::Interrupted);
                applies.await
            }
            summaries = &mut applies => summaries,
        };
        Ok(summaries.into_iter().fold(Summary::default(), Summary::and))
    }
}

fn unlocked(planned: &ReplicaPlan) -> Error {
    Error::new(Kind::Internal, format!("internal error, please report it: {} is not locked", planned.name))
}

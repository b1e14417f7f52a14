//! Doing what a plan says, over the ways to the primaries that a session holds.

use std::time::Duration;

use futures::future::join_all;

use crate::apply::{self, Limits, Means, RunLockError, RunLocks, Shared};
use crate::barman::ids::ServerName;
use crate::error::{Error, Kind};
use crate::events::{Event, Listener, Nobody, Summary};
use crate::plan::Plan;
use crate::store::Posix;
use crate::transport::patience::Patience;

use super::Session;

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
        let connections = self.open_connections();
        let (stores, shared) = (Posix::opener(self.lock_directory()?), Shared::new(bounds.limits));
        let (mut run_locks, mut begun) = (std::mem::take(&mut self.run_locks), Vec::new());
        for planned in &plan.replicas {
            let Some(run_lock) = run_locks.remove(&planned.name) else {
                if planned.actions.is_empty() {
                    continue;
                }
                return Err(Error::new(
                    Kind::Internal,
                    format!("internal error, please report it: {} is not locked", planned.name),
                ));
            };
            let replica = self.replica(planned.name.as_str())?;
            let unknown = || Error::new(Kind::Internal, format!("primary {}: it is not declared", replica.primary));
            let primary = self.site.primaries.get(&replica.primary).ok_or_else(unknown)?;
            begun.push((planned, replica, primary, run_lock));
        }
        let shares = shared.admit(begun.iter().map(|(planned, replica, primary, _)| (*planned, *replica, *primary)));
        let applies = begun.into_iter().zip(shares).map(|((planned, replica, _, run_lock), share)| {
            let means = Means {
                replica,
                connection: connections.get(&replica.primary),
                stores: &stores,
                lock_timeout: bounds.lock_timeout,
                patience: Patience::APPLYING,
                run_lock,
                share,
            };
            apply::apply(planned, means, listener, &self.cancel)
        });
        let mut applies = join_all(applies);
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

//! Doing what a plan says, over the ways to the primaries that a session holds.

use std::time::Duration;

use futures::future::join_all;

use crate::apply::{self, Limits, Means, RunLockError, RunLocks};
use crate::barman::ids::ServerName;
use crate::error::CommandError;
use crate::events::{Observer, Summary};
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
    ) -> Result<bool, CommandError> {
        let replicas = self.replicas.iter().map(|replica| &replica.name);
        let concerned: Vec<ServerName> = replicas.filter(|name| is_concerned(name)).cloned().collect();
        let taken = tokio::select! {
            taken = join_all(concerned.iter().map(|name| locks.acquire(name, timeout))) => taken,
            () = self.cancel.cancelled() => {
                return Err(CommandError::new("interrupted while another antipode was waited for; nothing was changed"));
            }
        };
        for (name, lock) in concerned.into_iter().zip(taken) {
            match lock {
                Ok(lock) => self.run_locks.push(lock),
                Err(busy @ RunLockError::Busy { .. }) => {
                    self.busy.insert(name, busy.into());
                }
                Err(error) => return Err(error.into()),
            }
        }
        Ok(self.busy.is_empty() || !self.run_locks.is_empty())
    }

    /// Does what a plan says. Whoever calls has taken the runs' own locks.
    pub async fn apply(&self, plan: &Plan, bounds: Bounds, observer: &dyn Observer) -> Result<Summary, CommandError> {
        let connections = self.open_connections();
        let means = Means {
            replicas: &self.replicas,
            primaries: &self.site.primaries,
            connections: &connections,
            stores: &Posix::opener(self.lock_directory()?),
            lock_timeout: bounds.lock_timeout,
            patience: Patience::APPLYING,
            limits: bounds.limits,
        };
        Ok(apply::apply(plan, &means, observer, &self.cancel).await)
    }

    /// What an apply does of a plan that has nothing to do. Whoever calls holds the run's own lock.
    pub async fn idle(&self, plan: &Plan) -> Result<(), CommandError> {
        apply::idle(plan, &Posix::opener(self.lock_directory()?), &self.cancel).await;
        Ok(())
    }
}

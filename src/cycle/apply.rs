//! Doing what a plan says, over the ways to the primaries that a session holds.

use std::time::Duration;

use tokio_util::sync::CancellationToken;

use crate::apply::{self, Limits, Means, RunLock};
use crate::error::CommandError;
use crate::events::{Observer, Summary};
use crate::plan::Plan;
use crate::site::model::Site;
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

/// Takes the run's own lock.
pub async fn lock(site: &Site, timeout: Duration, cancel: &CancellationToken) -> Result<RunLock, CommandError> {
    tokio::select! {
        lock = RunLock::acquire(&site.catalog.path, timeout) => Ok(lock?),
        () = cancel.cancelled() => {
            Err(CommandError::new("interrupted while another antipode was waited for; nothing was changed"))
        }
    }
}

impl Session {
    /// Does what a plan says. Whoever calls holds the run's own lock.
    pub async fn apply(&self, plan: &Plan, bounds: Bounds, observer: &dyn Observer) -> Result<Summary, CommandError> {
        let connections = self.open_connections();
        let means = Means {
            replicas: &self.replicas,
            primaries: &self.site.primaries,
            connections: &connections,
            lock_directory: self.lock_directory()?,
            lock_timeout: bounds.lock_timeout,
            patience: Patience::APPLYING,
            limits: bounds.limits,
        };
        Ok(apply::apply(plan, &means, observer, &self.cancel).await)
    }
}

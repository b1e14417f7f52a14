//! What a controller knows of a replica.

use std::time::Duration;

use jiff::Timestamp;

use crate::barman::ids::{BackupId, ServerName};
use crate::error::{Error, Retry};
use crate::events::Summary;
use crate::plan::status::ReplicaStatus;
use crate::plan::{Plan, ReplicaPlan};

/// How a replica is doing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum State {
    /// Nothing was learnt of it yet.
    New,
    /// All that may be done without a person was done.
    Well,
    /// Somebody else works on it.
    Busy(Error),
    /// It could not be looked at, planned, or not all could be done.
    Failing(Error),
}

/// What a turn of a replica came to.
#[derive(Debug, Clone)]
pub struct Report {
    /// The replica.
    pub replica: ServerName,
    /// When it ended.
    pub ended: Timestamp,
    /// What was done, with the part of the plan that was to be.
    pub applied: Option<Box<Applied>>,
    /// What was wrong.
    pub failure: Option<Error>,
    /// Whether it ended because somebody wanted it to, and not all was done.
    pub stopped: bool,
}

/// What a look at both ends of a replica showed.
#[derive(Debug, Clone)]
pub struct Looked {
    /// When.
    pub at: Timestamp,
    /// How it stood.
    pub status: ReplicaStatus,
    /// All that was to be done then.
    pub plan: ReplicaPlan,
    /// Its backups here, with the times that they ended.
    pub backups: Vec<(BackupId, Option<Timestamp>)>,
}

/// What an apply came to.
#[derive(Debug, Clone)]
pub struct Applied {
    /// What was to be done.
    pub plan: Plan,
    /// What was.
    pub summary: Summary,
    /// How long it took.
    pub elapsed: Duration,
}

/// What is kept of a replica from turn to turn.
#[derive(Debug, Clone)]
pub struct Standing {
    /// How it is doing.
    pub state: State,
    /// When it is looked at next.
    pub due: Timestamp,
    /// How often it failed in a row.
    pub failures: u32,
    /// Whether this look is for what the one before did.
    pub looks_again: bool,
    /// Whether backups may be copied in its turn.
    pub copies_backups: bool,
}

impl Standing {
    /// Nothing is known; it is due then.
    pub fn due(due: Timestamp) -> Self {
        Self { state: State::New, due, failures: 0, looks_again: false, copies_backups: false }
    }
}

impl State {
    /// What a report shows.
    pub fn after(report: &Report) -> Self {
        match &report.failure {
            None => Self::Well,
            Some(error) if error.kind.retry() == Retry::Holder => Self::Busy(error.clone()),
            Some(error) => Self::Failing(error.clone()),
        }
    }

    /// Whether it says the same to somebody who reads: a failure that goes on is told once.
    pub fn says_the_same(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Failing(one), Self::Failing(other)) => one.kind == other.kind && one.message == other.message,
            // Who holds a lock is another one each time.
            (Self::Busy(_), Self::Busy(_)) => true,
            (one, other) => one == other,
        }
    }
}

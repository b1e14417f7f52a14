//! A run that is at work on a server, as others see it.

use std::time::Duration;

use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A run that is at work.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
#[schemars(deny_unknown_fields)]
pub struct Ongoing {
    /// The id of its process, as it wrote it.
    pub pid: Option<u32>,
    /// The command line of that process, while it is there.
    pub command: Option<String>,
    /// When it began.
    #[schemars(with = "String", extend("format" = "date-time"))]
    pub began: Timestamp,
    /// When bytes last arrived or a step last began or ended.
    #[schemars(with = "String", extend("format" = "date-time"))]
    pub last_progress: Timestamp,
    /// What it does, as it noted it last.
    pub doing: Vec<Doing>,
}

/// A step that runs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[schemars(deny_unknown_fields)]
pub struct Doing {
    /// What, in words: `copying backup/20261122T030000`.
    pub what: String,
    /// Bytes that arrived.
    pub arrived: u64,
    /// Bytes that are to arrive; 0 where that is none.
    pub total: u64,
    /// When it began.
    #[schemars(with = "String", extend("format" = "date-time"))]
    pub began: Timestamp,
}

impl Doing {
    /// Seconds since it began.
    pub fn age(&self, now: Timestamp) -> u64 {
        seconds(self.began, now)
    }
}

impl Ongoing {
    /// Without progress for longer than this, a run is taken for one that hangs. It is longer than a lost line is waited
    /// for, and than most bases take to verify, during which no byte arrives.
    const PATIENCE: Duration = Duration::from_secs(3600);

    /// How long it has been at work.
    pub fn age(&self, now: Timestamp) -> u64 {
        seconds(self.began, now)
    }

    /// How long it has made no progress.
    pub fn idle(&self, now: Timestamp) -> u64 {
        seconds(self.last_progress, now)
    }

    /// Whether somebody should look after it.
    pub fn hangs(&self, now: Timestamp) -> bool {
        self.idle(now) > Self::PATIENCE.as_secs()
    }
}

fn seconds(from: Timestamp, to: Timestamp) -> u64 {
    u64::try_from(to.as_second() - from.as_second()).unwrap_or_default()
}

//! What a plan is: what will be done at one site, replica by replica, and what else there is to say of each.

use std::path::PathBuf;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::barman::ids::{ServerName, SystemId};
use crate::barman::layout::ServerDirs;
use crate::barman::version::BarmanVersion;
use crate::barman::wal::{SegmentSize, WalName};
use crate::error::Error;

use super::action::{Action, is_zero};
use super::cost::estimate::Pace;
use super::held::Held;
use super::reason::{Blocker, Note, Warning};
use super::recovery::Recovery;
use super::recovery::shortfall::Shortfall;
use super::status::vanished::{Detached, Vanished};

/// What will be done at one site, and why.
#[derive(Debug, Clone, PartialEq)]
pub struct Plan {
    /// The site's name.
    pub site: String,
    /// `barman_home` at the site.
    pub catalog: PathBuf,
    /// One for each replica, in the order of their names.
    pub replicas: Vec<ReplicaPlan>,
    /// Servers that are copied no longer, by their names.
    pub vanished: Vec<Vanished>,
    /// Servers that are copied no longer, as somebody said, by their names.
    pub detached: Vec<Detached>,
    /// What it was narrowed to, when it is not the whole plan.
    pub narrowed: Option<Narrowed>,
}

/// The part of a plan that was asked for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Narrowed {
    /// Only these, and what they need; everything when there are none.
    pub targets: Vec<String>,
    /// Not these, nor what needs them.
    pub excluded: Vec<String>,
    /// How many replicas were not planned at all.
    pub replicas: usize,
}

impl Plan {
    /// Whether there is nothing to do.
    pub fn is_empty(&self) -> bool {
        self.replicas.iter().all(|replica| replica.actions.is_empty())
    }

    /// The plan of one of its replicas, without what concerns the site.
    #[must_use]
    pub fn of_one(&self, replica: &ServerName) -> Self {
        Self {
            site: self.site.clone(),
            catalog: self.catalog.clone(),
            replicas: self.replicas.iter().filter(|planned| planned.name == *replica).cloned().collect(),
            vanished: Vec::new(),
            detached: Vec::new(),
            narrowed: self.narrowed.clone(),
        }
    }

    /// How many actions it was narrowed not to have.
    pub fn left_out(&self) -> usize {
        self.replicas.iter().map(|replica| replica.left_out).sum()
    }

    /// Whether some replica could not be planned, or has something that waits for a person or does not fit.
    pub fn is_blocked(&self) -> bool {
        let is_unplanned =
            |replica: &ReplicaPlan| matches!(replica.outcome, Outcome::Blocked(_) | Outcome::Unobserved(_));
        self.replicas.iter().any(|replica| is_unplanned(replica) || !replica.held.is_empty() || replica.lacks_room())
    }
}

/// What will be done for one replica.
#[derive(Debug, Clone, PartialEq)]
pub struct ReplicaPlan {
    /// Its name at the site.
    pub name: ServerName,
    /// The primary's name in the site file.
    pub primary: String,
    /// The server's name at the primary.
    pub server: ServerName,
    /// Whether it could be planned.
    pub outcome: Outcome,
    /// What the executor must know besides the actions; `None` unless it was planned.
    pub target: Option<Target>,
    /// In the order in which they are shown and, where nothing else decides, started: newest recoverable point first.
    pub actions: Vec<Action>,
    /// What is good here, differs at the primary, and waits for a person.
    pub held: Vec<Held>,
    /// What recovery can reach now.
    pub before: Recovery,
    /// What recovery will be able to reach.
    pub after: Recovery,
    /// What will be lacking of what is wanted when every action is done; without a primary's answer, what is lacking
    /// now.
    pub shortfalls: Vec<Shortfall>,
    /// What the user should do something about.
    pub warnings: Vec<Warning>,
    /// What the user should know; nothing is done about it.
    pub notes: Vec<Note>,
    /// How many actions the plan was narrowed not to have.
    pub left_out: usize,
}

/// Whether a replica could be planned.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "code", content = "of", rename_all = "kebab-case", deny_unknown_fields)]
pub enum Outcome {
    /// It was; it may have no actions.
    Planned,
    /// The primary's Barman does not look after the server, which a mirror brought; its sentence.
    Inactive(String),
    /// Something forbids any action.
    Blocked(Vec<Blocker>),
    /// The primary could not be observed.
    Unobserved(Error),
}

/// What the executor must know of a replica besides its actions.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Target {
    /// Where its files are at the site.
    pub here: ServerDirs,
    /// Where its files are at the primary.
    pub there: ServerDirs,
    /// The version of Barman to write for.
    pub barman: BarmanVersion,
    /// The size of its WAL segments, by which ranges of them are numbered: that of 16 MiB where nothing tells another.
    pub segment_size: SegmentSize,
    /// The sizes that segments which are placed may have: those of its clusters, as far as anything tells. None where
    /// nothing does: then the header of each segment tells its own.
    pub segment_sizes: Vec<SegmentSize>,
    /// What sync-wals.info must say before the first WAL is placed; `None` when the primary archived none.
    pub sync_wals: Option<(WalName, u64)>,
    /// Systems whose WAL may be placed; none when no backup tells.
    pub systems: Vec<SystemId>,
    /// Free bytes here in round numbers, when they could be asked.
    pub free: Option<u64>,
    /// Bytes where its backups are that a copy leaves free when it begins, for WAL to come.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub reserve: u64,
    /// How fast bytes of it may arrive, and did.
    pub pace: Pace,
}

impl ReplicaPlan {
    /// What the primary's Barman says of a server that it is told not to look after.
    pub fn inactive(&self) -> Option<&str> {
        match &self.outcome {
            Outcome::Inactive(sentence) => Some(sentence),
            Outcome::Blocked(blockers) => blockers.iter().find_map(|blocker| match blocker {
                Blocker::Inactive(sentence) => Some(sentence.as_str()),
                _ => None,
            }),
            Outcome::Planned | Outcome::Unobserved(_) => None,
        }
    }

    /// Whether it was planned, and there is nothing to do for it.
    pub fn is_idle(&self) -> bool {
        self.outcome == Outcome::Planned && self.actions.is_empty()
    }

    /// Whether something that is wanted does not fit here.
    pub fn lacks_room(&self) -> bool {
        self.shortfalls.iter().any(Shortfall::is_of_room)
    }

    /// Whether the site has, and can recover from, everything that it should have.
    pub fn is_in_sync(&self) -> bool {
        let is_whole = self.outcome == Outcome::Planned && self.left_out == 0;
        let waits = !self.held.is_empty() || !self.shortfalls.is_empty();
        is_whole && self.actions.is_empty() && !waits && self.before.window.is_some()
    }
}

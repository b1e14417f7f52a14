//! What a plan consists of: actions that know their address, their reason and what they wait for.

pub mod verb;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::barman::backup_info::BackupInfo;
use crate::barman::ids::{BackupId, InvalidId, ServerName, SystemId, is_unprintable, textual_id};
use crate::barman::keep::Keep;
use crate::barman::layout::ServerDirs;
use crate::barman::version::BarmanVersion;
use crate::barman::wal::{SegmentSize, Timeline, WalName};
use crate::barman::wal_entry::WalEntry;
use crate::barman::wal_set::WalRange;
use crate::error::Error;

use super::cost::estimate::Pace;
use super::held::Held;
use super::reason::{Blocker, Note, Reason, Warning};
use super::recovery::shortfall::Shortfall;
use super::recovery::window::Window;
use super::saved::forms;
use super::status::vanished::Vanished;

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

    /// How many actions it was narrowed not to have.
    pub fn left_out(&self) -> usize {
        self.replicas.iter().map(|replica| replica.left_out).sum()
    }

    /// Whether some replica could not be planned, or has something that waits for a person.
    pub fn is_blocked(&self) -> bool {
        let is_unplanned =
            |replica: &ReplicaPlan| matches!(replica.outcome, Outcome::Blocked(_) | Outcome::Unobserved(_));
        self.replicas.iter().any(|replica| is_unplanned(replica) || !replica.held.is_empty())
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
    /// The primary's Barman does not look after the server; its sentence.
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
    /// How fast bytes of it may arrive, and did.
    pub pace: Pace,
}

/// What recovery can reach.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Recovery {
    /// The window, in WAL; `None` when no backup is recoverable.
    pub window: Option<Window>,
    /// When its oldest backup ended.
    pub from: Option<Timestamp>,
    /// When its last segment was archived at the primary.
    pub to: Option<Timestamp>,
    /// How many backups are recoverable.
    pub backups: usize,
    /// How many of them are full ones, which stand without another.
    pub full_backups: usize,
    /// How far the window's end is behind the primary's newest WAL; `None` when the primary did not say.
    pub lag: Option<Lag>,
}

impl ReplicaPlan {
    /// Whether the site has, and can recover from, everything that it should have.
    pub fn is_in_sync(&self) -> bool {
        let is_whole = self.outcome == Outcome::Planned && self.left_out == 0;
        let waits = !self.held.is_empty() || !self.shortfalls.is_empty();
        is_whole && self.actions.is_empty() && !waits && self.before.window.is_some()
    }
}

impl Recovery {
    /// Whether the primary is known to have nothing newer.
    pub fn is_level(&self) -> bool {
        self.lag.is_some_and(|lag| lag.segments == 0)
    }
}

/// How far a recovery window's end is behind the primary's newest WAL.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Lag {
    /// Segments that the primary archived after it.
    pub segments: u64,
    /// Their stored bytes.
    pub bytes: u64,
    /// Seconds between the two archivings; `None` when no window ends.
    pub seconds: Option<i64>,
}

/// One change of one thing.
#[derive(Debug, Clone, PartialEq)]
pub struct Action {
    /// Names it; unique in a plan and the same in every plan of the same state.
    pub address: Address,
    /// What will be done.
    pub change: Change,
    /// Why.
    pub reason: Reason,
}

/// The stable name of an action, such as `main/backup/20261122T092435`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Address(String);
textual_id!(Address, r"^[^/]+/[^/]+(/[^/]+)?$");

impl Address {
    /// The address of a thing of a replica.
    pub fn new(replica: &ServerName, kind: &str, name: impl fmt::Display) -> Self {
        Self(format!("{replica}/{kind}/{name}"))
    }

    /// The address of a thing of which a replica has one.
    pub fn single(replica: &ServerName, kind: &str) -> Self {
        Self(format!("{replica}/{kind}"))
    }

    /// As text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The name of the replica.
    pub fn replica(&self) -> &str {
        self.0.split('/').next().unwrap_or_default()
    }

    /// What kind of thing it is the address of: `backup`, `wal`, `xlog.db`.
    pub fn kind(&self) -> &str {
        self.0.split('/').nth(1).unwrap_or_default()
    }
}

impl FromStr for Address {
    type Err = InvalidId;

    fn from_str(text: &str) -> Result<Self, InvalidId> {
        let mut parts = text.split('/');
        let is_replica = parts.next().is_some_and(|name| name.parse::<ServerName>().is_ok());
        let is_whole = (1..=2).contains(&parts.clone().count()) && parts.all(|part| !part.is_empty());
        if is_replica && is_whole && !text.chars().any(is_unprintable) {
            return Ok(Self(text.to_owned()));
        }
        Err(InvalidId::new("address", text, "expected a form such as main/backup/20261122T092435"))
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

/// What an action does.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "do", rename_all = "kebab-case", deny_unknown_fields)]
pub enum Change {
    /// Makes the server's directories, sync-wals.info and an empty xlog.db.
    CreateServer,
    /// Makes xlog.db list exactly what is on disk, sorted and once.
    RepairXlogDb {
        /// Of each WAL file on disk that the primary archived, what it says of it. Any other keeps its line.
        #[serde(with = "forms::entries")]
        #[schemars(with = "String")]
        entries: Vec<WalEntry>,
    },
    /// Makes sync-wals.info say what was observed, so that Barman's own sync does not start over.
    RewriteSyncWals {
        /// What it says now, when it can be read.
        from: Option<(WalName, u64)>,
        /// What it will say.
        to: (WalName, u64),
    },
    /// Ships a timeline's history file, anew when it differs.
    ShipHistory {
        /// The timeline.
        timeline: Timeline,
        /// What the primary's xlog.db says of it; `None` when only its directory has it: then the line is made from
        /// the file.
        #[serde(with = "forms::entry")]
        #[schemars(with = "Option<String>")]
        entry: Option<WalEntry>,
        /// Its size at the primary.
        size: u64,
    },
    /// Ships WAL files that are not here.
    AddWals(WalBatch),
    /// Ships WAL files again that are here with another size.
    RepairWals(WalBatch),
    /// Copies a backup and publishes it.
    AddBackup(Box<BackupCopy>),
    /// Copies what is missing of a published backup.
    RepairBackup(Box<BackupCopy>),
    /// Rewrites backup.info.
    UpdateInfo {
        /// The backup.
        id: BackupId,
        /// What it says.
        from: Box<BackupInfo>,
        /// What it will say.
        to: Box<BackupInfo>,
    },
    /// Makes the links by which PostgreSQL finds the tablespaces of a backup.
    LinkTablespaces {
        /// The backup.
        id: BackupId,
        /// The OIDs of the tablespaces.
        oids: Vec<u32>,
    },
    /// Writes a keep annotation.
    SetKeep {
        /// The backup.
        id: BackupId,
        /// What it is now.
        from: Option<Keep>,
        /// What it will be.
        to: Keep,
    },
    /// Deletes a backup: its backup.info first, its base last. Its parent then no longer names it. Nothing is deleted
    /// unless each of `leaves` is found recoverable here just before.
    RemoveBackup {
        /// The backup.
        id: BackupId,
        /// Bytes on disk, as far as they are known.
        size: Option<u64>,
        /// The backup that it builds on, whose children will no longer name it.
        parent: Option<BackupId>,
        /// The backups that the plan leaves recoverable; none for what an interrupted copy left.
        leaves: Vec<BackupId>,
    },
    /// Deletes what an interrupted run left of a backup that is no longer wanted.
    RemoveStaging {
        /// The backup.
        id: BackupId,
    },
    /// Deletes WAL files.
    RemoveWals {
        /// The segments, as a range for readers; `None` when there is no whole segment among the names.
        range: Option<WalRange>,
        /// The files with their sizes.
        #[serde(with = "forms::sizes")]
        #[schemars(with = "String")]
        files: BTreeMap<WalName, u64>,
    },
}

/// WAL files that are shipped together.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct WalBatch {
    /// The segments, as a range for readers; `None` when there is no whole segment among the entries, or none that
    /// has a number in the replica's segment size.
    pub range: Option<WalRange>,
    /// What the primary says of each, sorted by name.
    #[serde(with = "forms::entries")]
    #[schemars(with = "String")]
    pub entries: Vec<WalEntry>,
    /// The sizes of those that are here already.
    #[serde(with = "forms::sizes")]
    #[schemars(with = "String")]
    pub here: BTreeMap<WalName, u64>,
    /// Those that the primary's list does not describe: what arrives tells how it is compressed, and when it was made.
    #[serde(with = "forms::names")]
    #[schemars(with = "String")]
    pub undescribed: BTreeSet<WalName>,
    /// The most urgent kept backup that is not consistent without them.
    pub needed_by: Option<BackupId>,
    /// Whether those here are whole, and a person lets the primary's replace them.
    pub accepted: bool,
}

impl WalBatch {
    /// Stored bytes of all its files.
    pub fn bytes(&self) -> u64 {
        self.entries.iter().map(|entry| entry.size).sum()
    }

    /// Its whole segments.
    pub fn segments(&self) -> u64 {
        self.entries.iter().filter(|entry| entry.name.segment().is_some()).count() as u64
    }
}

/// A backup that is copied.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct BackupCopy {
    /// Its id.
    pub id: BackupId,
    /// The backup.info to publish. Its children are those that are published here already: when another is
    /// published, its parent's backup.info gets its name.
    pub info: BackupInfo,
    /// Bytes on disk; of a repair, those of the files that are missing or wrong.
    pub size: u64,
    /// The segments that make it consistent.
    pub needed: Option<WalRange>,
    /// The OIDs of its tablespaces, each a directory beside `data`.
    pub tablespaces: Vec<u32>,
    /// The backup that it builds on.
    pub parent: Option<BackupId>,
    /// What need not be copied because the site has it.
    pub reuse: Option<ReusedFiles>,
    /// Whether a base is here that was never published: it becomes the staging.
    pub adopt: bool,
    /// Whether an earlier run left part of it in staging.
    pub resume: bool,
    /// Bytes of that part, files that it reuses included.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub staged: u64,
}

#[allow(clippy::trivially_copy_pass_by_ref, reason = "serde wants it so")]
fn is_zero(bytes: &u64) -> bool {
    *bytes == 0
}

/// Files that a backup here has in common with one that is copied.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ReusedFiles {
    /// The backup that is here.
    pub from: BackupId,
    /// Their paths below `base/ID`, in order.
    #[serde(with = "forms::paths")]
    #[schemars(with = "Vec<forms::PathForm>")]
    pub files: Vec<PathBuf>,
    /// Their bytes.
    pub bytes: u64,
}

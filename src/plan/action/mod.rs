//! What an action is: a change of one thing, with its address and its reason.

pub mod address;
pub mod kinds;
pub mod words;

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::barman::backup_info::BackupInfo;
use crate::barman::ids::BackupId;
use crate::barman::keep::Keep;
use crate::barman::wal::{Timeline, WalName};
use crate::barman::wal_entry::WalEntry;
use crate::barman::wal_set::WalRange;

use super::reason::Reason;
use super::saved::forms;

use words::Verb;

pub use address::Address;

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

impl Action {
    /// The bytes that it brings over the wire, as an upper bound.
    pub fn bytes_to_copy(&self) -> u64 {
        self.change.traffic().bytes_to_copy
    }

    /// What it comes to, in one word.
    pub fn verb(&self) -> Verb {
        self.change.verb(&self.reason)
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
    /// Those here that were read and are not what was written, with what is wrong with each.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(with = "BTreeMap<String, String>")]
    pub disproved: BTreeMap<WalName, String>,
    /// The most urgent kept backup that is not consistent without them.
    pub needed_by: Option<BackupId>,
    /// Whether those here are whole, and a person lets the primary's replace them.
    pub accepted: bool,
}

impl WalBatch {
    /// Their names, in order.
    pub fn names(&self) -> impl Iterator<Item = WalName> {
        self.entries.iter().map(|entry| entry.name)
    }

    /// Those of some of its files that were read and are not what was written.
    pub fn disproved_of(&self, entries: &[WalEntry]) -> BTreeMap<WalName, String> {
        let why = |entry: &WalEntry| Some((entry.name, self.disproved.get(&entry.name)?.clone()));
        if self.disproved.is_empty() { BTreeMap::new() } else { entries.iter().filter_map(why).collect() }
    }

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
pub(super) fn is_zero(bytes: &u64) -> bool {
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
    /// Bytes of the others that come as what differs from the files of that backup, as far as can be foreseen: which those
    /// are is decided by the rate of the line while they are copied.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub compared: u64,
}

//! What things of a replica are called by.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::barman::ids::{BackupId, InvalidId, ServerName, is_unprintable, textual_id};
use crate::barman::wal::{SegmentSize, Timeline, WalName};
use crate::barman::wal_set::WalRange;

use super::{Action, Change};
use crate::plan::reason::Reason;
use crate::site::pattern::WAL;

/// The stable name of an action, such as `main/backup/20261122T092435`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Address(String);
textual_id!(Address, r"^[^/]+/[^/]+(/[^/]+)?$");

impl Address {
    /// As text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The name of the replica.
    pub fn replica(&self) -> &str {
        self.0.split('/').next().unwrap_or_default()
    }

    /// What sort of thing it is the address of: `backup`, `wal`, `xlog.db`.
    pub fn sort(&self) -> &str {
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

/// What sort of thing an address is of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sort {
    /// The server: its directories and empty lists.
    Server,
    /// xlog.db.
    XlogDb,
    /// sync-wals.info.
    SyncWals,
    /// The history file of a timeline.
    History,
    /// WAL files.
    Wal,
    /// A backup with its files.
    Backup,
    /// The backup.info of a published backup.
    Info,
    /// The links of a backup's tablespaces.
    Tablespaces,
    /// The keep annotation of a backup.
    Keep,
    /// What an interrupted copy left of a backup.
    Staging,
}

impl Sort {
    /// Every sort.
    pub const ALL: [Self; 10] = [
        Self::Server,
        Self::XlogDb,
        Self::SyncWals,
        Self::History,
        Self::Wal,
        Self::Backup,
        Self::Info,
        Self::Tablespaces,
        Self::Keep,
        Self::Staging,
    ];

    /// As it stands in an address.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Server => "server",
            Self::XlogDb => "xlog.db",
            Self::SyncWals => "sync-wals.info",
            Self::History => "history",
            Self::Wal => WAL,
            Self::Backup => "backup",
            Self::Info => "info",
            Self::Tablespaces => "tablespaces",
            Self::Keep => "keep",
            Self::Staging => "staging",
        }
    }
}

/// What the addresses of a replica's things are made of.
#[derive(Debug, Clone, Copy)]
pub struct Names<'a> {
    /// Its name at the site.
    pub replica: &'a ServerName,
    /// The size of its segments, by which ranges of them are numbered.
    pub segment_size: SegmentSize,
}

impl Names<'_> {
    /// The action that makes a change.
    pub fn action(self, change: Change, reason: Reason) -> Action {
        Action { address: change.address(self), change, reason }
    }

    /// Of a thing that a replica has one of.
    pub fn only(self, sort: Sort) -> Address {
        Address(format!("{}/{}", self.replica, sort.as_str()))
    }

    /// Of a backup, or of a thing that a backup has one of.
    pub fn backup(self, sort: Sort, id: BackupId) -> Address {
        self.named(sort, id)
    }

    /// Of a timeline's history file.
    pub fn history(self, timeline: Timeline) -> Address {
        self.named(Sort::History, format_args!("{:08X}", timeline.0))
    }

    /// Of WAL files: by their range, or else by the first of them.
    pub fn wals(self, range: Option<WalRange>, first: Option<WalName>) -> Address {
        match (range, first) {
            (Some(range), _) => self.named(Sort::Wal, range.address(self.segment_size)),
            (None, first) => self.named(Sort::Wal, first.map(|name| name.to_string()).unwrap_or_default()),
        }
    }

    fn named(self, sort: Sort, name: impl fmt::Display) -> Address {
        Address(format!("{}/{}/{name}", self.replica, sort.as_str()))
    }
}

//! The answer of `barman sync-info` (Barman `server.py`, `sync_status`).
//!
//! The answer is untrusted: every name in it becomes a checked type here. It is read as a stream, because the
//! WAL list of a large archive takes hundreds of megabytes; what is not needed, the password in `conninfo`
//! among it, is skipped without being stored.

mod frame;
pub mod listing;
mod read;
mod words;
pub mod write;

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use super::backup_info::BackupInfo;
use super::ids::{BackupId, InvalidId, ServerName, is_unprintable, textual_id};
use super::version::BarmanVersion;
use super::wal::WalName;
use super::wal_entry::{CodecName, WalEntry};

pub use frame::{Framed, frame};

/// What a primary says about one of its servers.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct SyncInfo {
    /// The version of the primary's Barman.
    pub version: Option<BarmanVersion>,
    /// The name on the last line of the primary's xlog.db; `None` when that is empty.
    pub last_name: Option<WalName>,
    /// Where that line begins.
    pub last_position: u64,
    /// The backups, each as the backup.info that the primary has; a value in it may still be malformed, see
    /// [`BackupInfo::check`].
    pub backups: BTreeMap<BackupId, BackupInfo>,
    /// The WAL files that were asked for, in the order of the primary's xlog.db.
    pub wals: Vec<WalEntry>,
    /// What is useful of the server's configuration.
    pub config: SyncConfig,
}

/// What is useful of a server's configuration at its primary.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct SyncConfig {
    /// The server's name; 3.16 left it out.
    pub name: Option<ServerName>,
    /// Whether the server is active.
    pub active: Option<bool>,
    /// `barman_home/SERVER`
    pub backup_directory: Option<RemoteDir>,
    /// Where the backups are.
    pub basebackups_directory: Option<RemoteDir>,
    /// Where the WAL archive is.
    pub wals_directory: Option<RemoteDir>,
    /// Where xlog.db is; known from 3.13 on.
    pub xlogdb_directory: Option<RemoteDir>,
    /// Where segments are received that are not complete yet.
    pub streaming_wals_directory: Option<RemoteDir>,
    /// How new WAL is compressed.
    pub compression: Option<CodecName>,
    /// `postgres`, `rsync` or another method.
    pub backup_method: Option<String>,
    /// How backups are compressed.
    pub backup_compression: Option<String>,
    /// The retention policy in Barman's words.
    pub retention_policy: Option<String>,
}

/// A directory on the primary: absolute, without `..` and without characters that do not print.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RemoteDir(String);
textual_id!(RemoteDir);

impl RemoteDir {
    /// The path as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for RemoteDir {
    type Err = InvalidId;

    fn from_str(text: &str) -> Result<Self, InvalidId> {
        let invalid = |why| Err(InvalidId::new("directory of a primary", text, why));
        if text.contains("://") {
            return invalid("it is in a cloud bucket, which only Barman's cloud commands can copy");
        }
        if !text.starts_with('/') {
            return invalid("it is not absolute");
        }
        if text.split('/').any(|part| part == "..") {
            return invalid("it contains `..`");
        }
        if text.chars().any(is_unprintable) {
            return invalid("it contains a control or formatting character");
        }
        if text.len() > 4096 {
            return invalid("it is longer than 4096 bytes");
        }
        let trimmed = text.trim_end_matches('/');
        Ok(Self(if trimmed.is_empty() { "/" } else { trimmed }.to_owned()))
    }
}

impl fmt::Display for RemoteDir {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

/// An answer is not what `barman sync-info` prints.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SyncInfoError {
    /// There is no JSON in it.
    #[error("{}", describe_no_json(.excerpt))]
    NotJson {
        /// The beginning of the answer.
        excerpt: String,
    },
    /// It ends in the middle.
    #[error("the answer of sync-info is cut off after {bytes} bytes; the connection or barman at the primary broke")]
    CutOff {
        /// How much arrived.
        bytes: usize,
    },
    /// It starts as JSON and does not go on as such.
    #[error("the answer of sync-info is no JSON at line {line}, column {column}: {why}")]
    Malformed {
        /// Counted from 1.
        line: usize,
        /// Counted from 1.
        column: usize,
        /// What the JSON reader says.
        why: String,
    },
    /// It is JSON of another shape.
    #[error("sync-info: `{at}`: {why}; the primary's Barman may be newer than this program")]
    Shape {
        /// The path of the key, for example `wals[17].size`.
        at: String,
        /// What was found and what was expected.
        why: String,
    },
    /// A name in it could do harm or is none.
    #[error("sync-info: `{at}`: {invalid}")]
    InvalidName {
        /// The path of the key, for example `wals[17].name`.
        at: String,
        /// The name, and what is wrong with it.
        invalid: InvalidId,
    },
}

fn describe_no_json(excerpt: &str) -> String {
    if excerpt.is_empty() {
        return "sync-info printed nothing; run it by hand at the primary".to_owned();
    }
    format!("sync-info printed no JSON but {excerpt:?}; run it by hand at the primary")
}

impl SyncInfo {
    /// Reads the JSON that [`frame`] found; what follows it is ignored.
    pub fn parse(json: &[u8]) -> Result<Self, SyncInfoError> {
        read::read(json)
    }
}

#[cfg(test)]
mod tests;

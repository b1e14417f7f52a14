//! backup.info: what Barman knows about one backup (Barman `infofile.py`, `FieldListFile` and `BackupInfo`).
//!
//! Lines of `key=value` in UTF-8, sorted by key, `None` for null. The values are kept as the texts that they
//! are, so that nothing gets lost which this program does not understand; typed accessors read them.

mod compare;
mod damage;
mod json;
mod keys;
mod site;

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::barman_time::BarmanTime;
use super::ids::{BackupId, SystemId};
use super::python_literal::Literal;
use super::wal::{Lsn, SegmentSize, Timeline, WalName};

pub use damage::Damage;

/// How Barman writes null.
const NULL: &str = "None";

/// The content of a backup.info, or of the same backup in sync-info.
///
/// Invariants: no key is empty or holds `=`; neither keys nor values hold line breaks or white space at their ends.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(try_from = "BTreeMap<String, String>", into = "BTreeMap<String, String>")]
pub struct BackupInfo {
    fields: BTreeMap<String, String>,
}

impl TryFrom<BTreeMap<String, String>> for BackupInfo {
    type Error = BackupInfoError;

    fn try_from(fields: BTreeMap<String, String>) -> Result<Self, BackupInfoError> {
        let is_value = |value: &str| !value.contains(['\r', '\n']) && strip(value) == value;
        match (1..).zip(&fields).find(|(_, (key, value))| !is_key(key) || !is_value(value)) {
            Some((line, (key, value))) => {
                Err(BackupInfoError::InvalidLine { line, text: excerpt(&format!("{key}={value}")) })
            }
            None => Ok(Self { fields }),
        }
    }
}

impl From<BackupInfo> for BTreeMap<String, String> {
    fn from(info: BackupInfo) -> Self {
        info.fields
    }
}

/// A file is not a backup.info.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BackupInfoError {
    /// The file is not text.
    #[error("line {line} is not UTF-8")]
    NotUtf8 {
        /// Counted from 1.
        line: usize,
    },
    /// A line that Barman could not read either.
    #[error("line {line} is not of the form key=value: {text:?}")]
    InvalidLine {
        /// Counted from 1.
        line: usize,
        /// Its beginning.
        text: String,
    },
}

/// The value of a key is not what Barman writes there.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{key} is {value:?}: expected {expected}")]
pub struct FieldError {
    /// The key in backup.info.
    pub key: &'static str,
    /// The beginning of its value.
    pub value: String,
    /// What Barman writes there.
    pub expected: &'static str,
}

/// The state of a backup (Barman `infofile.py`, `STATUS_ALL`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum Status {
    /// Nothing is known of it yet.
    Empty,
    /// It is being taken.
    Started,
    /// Its files are complete; WAL up to its end is still to be archived.
    WaitingForWals,
    /// A passive Barman is copying it.
    Syncing,
    /// It is complete.
    Done,
    /// It was given up.
    Failed,
}

impl Status {
    const ALL: [(Self, &'static str); 6] = [
        (Self::Empty, "EMPTY"),
        (Self::Started, "STARTED"),
        (Self::WaitingForWals, "WAITING_FOR_WALS"),
        (Self::Syncing, "SYNCING"),
        (Self::Done, "DONE"),
        (Self::Failed, "FAILED"),
    ];

    /// Whether the files of the base are complete (Barman's `STATUS_COPY_DONE`).
    pub fn is_copied(self) -> bool {
        matches!(self, Self::Done | Self::WaitingForWals)
    }
}

impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let word = Self::ALL.iter().find(|(status, _)| status == self).map(|(_, word)| *word);
        f.pad(word.unwrap_or_default())
    }
}

impl FromStr for Status {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        Self::ALL.iter().find(|(_, word)| *word == text).map(|(status, _)| *status).ok_or(())
    }
}

/// A tablespace of a backup: its files are in `base/ID/OID/`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tablespace {
    /// Its name in PostgreSQL.
    pub name: String,
    /// Its object id, and the name of its directory in the backup.
    pub oid: u32,
    /// Where it was on the PostgreSQL server.
    pub location: String,
}

impl Tablespace {
    fn from_literal(literal: &Literal) -> Option<Self> {
        match literal.items()? {
            [Literal::Str(name), Literal::Int(oid), Literal::Str(location)] => {
                Some(Self { name: name.clone(), oid: u32::try_from(*oid).ok()?, location: location.clone() })
            }
            _ => None,
        }
    }
}

impl BackupInfo {
    /// Reads a backup.info as Barman does: blank lines and comments are skipped, the last of equal keys counts.
    pub fn parse(bytes: &[u8]) -> Result<Self, BackupInfoError> {
        let mut info = Self::default();
        for (line, bytes) in (1..).zip(bytes.split(|b| *b == b'\n')) {
            let text = std::str::from_utf8(bytes).map_err(|_| BackupInfoError::NotUtf8 { line })?;
            let trimmed = strip(text);
            if trimmed.is_empty() || text.starts_with('#') {
                continue;
            }
            let field = text.split_once('=').map(|(key, value)| (strip(key), strip(value)));
            match field {
                Some((key, value)) if is_key(key) => info.set(key, value),
                _ => return Err(BackupInfoError::InvalidLine { line, text: excerpt(trimmed) }),
            }
        }
        Ok(info)
    }

    /// The file: keys sorted, each line ended.
    pub fn write(&self) -> Vec<u8> {
        let lines = self.fields.iter().flat_map(|(key, value)| [key.as_str(), "=", value.as_str(), "\n"]);
        lines.collect::<String>().into_bytes()
    }

    /// Every key with its raw text, `None` for null, in the order of the file.
    pub fn fields(&self) -> impl Iterator<Item = (&str, &str)> {
        self.fields.iter().map(|(key, value)| (key.as_str(), value.as_str()))
    }

    /// The raw text of a key, unless it is missing or null.
    pub fn get(&self, key: &str) -> Option<&str> {
        self.fields.get(key).map(String::as_str).filter(|value| *value != NULL)
    }

    /// Sets the raw text of a key. What cannot be in a line becomes a space: Barman itself would write a
    /// line break into its file and then fail to read it.
    pub(super) fn set(&mut self, key: &str, value: &str) {
        let line = value.replace(['\n', '\r'], " ");
        self.fields.insert(key.to_owned(), strip(&line).to_owned());
    }

    fn typed<T: FromStr>(&self, key: &'static str, expected: &'static str) -> Result<Option<T>, FieldError> {
        let parse = |value: &str| value.parse().map_err(|_| FieldError::new(key, value, expected));
        self.get(key).map(parse).transpose()
    }

    fn literal(&self, key: &'static str) -> Result<Option<Literal>, FieldError> {
        self.typed(key, "a Python literal")
    }

    /// Where the backup stands; a missing status is EMPTY, as in Barman.
    pub fn status(&self) -> Result<Status, FieldError> {
        self.typed("status", "DONE or another status of Barman").map(|status| status.unwrap_or(Status::Empty))
    }

    /// The WAL segment in which the backup begins.
    pub fn begin_wal(&self) -> Result<Option<WalName>, FieldError> {
        self.typed("begin_wal", "the name of a WAL segment")
    }

    /// The last WAL segment that the backup needs.
    pub fn end_wal(&self) -> Result<Option<WalName>, FieldError> {
        self.typed("end_wal", "the name of a WAL segment")
    }

    /// The WAL position at which the backup begins.
    pub fn begin_xlog(&self) -> Result<Option<Lsn>, FieldError> {
        self.typed("begin_xlog", "a WAL position such as 0/6000028")
    }

    /// The WAL position at which the backup is consistent.
    pub fn end_xlog(&self) -> Result<Option<Lsn>, FieldError> {
        self.typed("end_xlog", "a WAL position such as 0/6000028")
    }

    /// The timeline of the backup.
    pub fn timeline(&self) -> Result<Option<Timeline>, FieldError> {
        Ok(self.typed("timeline", "a number")?.map(Timeline))
    }

    /// When the backup began; a date without a zone counts as UTC.
    pub fn begin_time(&self) -> Result<Option<Timestamp>, FieldError> {
        Ok(self.time("begin_time")?.map(BarmanTime::timestamp))
    }

    /// When the backup ended; a date without a zone counts as UTC.
    pub fn end_time(&self) -> Result<Option<Timestamp>, FieldError> {
        Ok(self.time("end_time")?.map(BarmanTime::timestamp))
    }

    fn time(&self, key: &'static str) -> Result<Option<BarmanTime>, FieldError> {
        self.typed(key, "a date such as 2026-11-22 09:24:35.848354+00:00")
    }

    /// The PostgreSQL system that the backup is of.
    pub fn systemid(&self) -> Result<Option<SystemId>, FieldError> {
        self.typed("systemid", "a system identifier")
    }

    /// The size of the backup's files in bytes.
    pub fn size(&self) -> Result<Option<u64>, FieldError> {
        self.typed("size", "a number of bytes")
    }

    /// The bytes that the backup added to the primary's disk: files that it shares with another do not count.
    pub fn deduplicated_size(&self) -> Result<Option<u64>, FieldError> {
        self.typed("deduplicated_size", "a number of bytes")
    }

    /// The tablespaces outside the data directory.
    pub fn tablespaces(&self) -> Result<Vec<Tablespace>, FieldError> {
        let Some(literal) = self.literal("tablespaces")? else { return Ok(Vec::new()) };
        let tablespaces = literal.items().and_then(|items| items.iter().map(Tablespace::from_literal).collect());
        tablespaces.ok_or_else(|| self.unexpected("tablespaces", "a list of (name, oid, location)"))
    }

    /// The size of a WAL segment; 16 MiB unless the file says otherwise.
    pub fn xlog_segment_size(&self) -> Result<SegmentSize, FieldError> {
        let expected = "a power of two from 1 MiB to 1 GiB";
        let Some(bytes) = self.typed("xlog_segment_size", expected)? else { return Ok(SegmentSize::DEFAULT) };
        SegmentSize::new(bytes).ok_or_else(|| self.unexpected("xlog_segment_size", expected))
    }

    /// PostgreSQL's `server_version_num`, for example 170010.
    pub fn version(&self) -> Result<Option<u32>, FieldError> {
        self.typed("version", "a number such as 170010")
    }

    /// How the backup was made: `postgres`, `rsync-concurrent`, `passive`.
    pub fn mode(&self) -> Option<&str> {
        self.get("mode")
    }

    /// The compression of the backup's files.
    pub fn compression(&self) -> Option<&str> {
        self.get("compression")
    }

    /// The encryption of the backup's files.
    pub fn encryption(&self) -> Option<&str> {
        self.get("encryption")
    }

    /// The server that the file says the backup is of.
    pub fn server_name(&self) -> Option<&str> {
        self.get("server_name")
    }

    /// The name that a user gave to the backup.
    pub fn backup_name(&self) -> Option<&str> {
        self.get("backup_name")
    }

    /// Why the backup failed.
    pub fn error(&self) -> Option<&str> {
        self.get("error")
    }

    /// The backup that an incremental one builds upon.
    pub fn parent_backup_id(&self) -> Result<Option<BackupId>, FieldError> {
        self.typed("parent_backup_id", "a backup id")
    }

    /// The incremental backups that build upon this one; a value that was encoded twice is decoded.
    pub fn children_backup_ids(&self) -> Result<Vec<BackupId>, FieldError> {
        let Some(value) = self.get("children_backup_ids") else { return Ok(Vec::new()) };
        let decoded = damage::decode_children(value);
        let ids: Result<_, _> = decoded.split(',').map(str::parse).collect();
        ids.map_err(|_| self.unexpected("children_backup_ids", "backup ids joined by commas"))
    }

    /// PostgreSQL's backup label; a value that was encoded twice is decoded.
    pub fn backup_label(&self) -> Result<Option<String>, FieldError> {
        let Some(value) = self.get("backup_label") else { return Ok(None) };
        let label = damage::decode_label(value);
        label.map(Some).ok_or_else(|| self.unexpected("backup_label", "a Python string"))
    }

    /// The files that PostgreSQL's configuration included.
    pub fn included_files(&self) -> Result<Vec<String>, FieldError> {
        let Some(literal) = self.literal("included_files")? else { return Ok(Vec::new()) };
        let text = |item: &Literal| item.as_str().map(str::to_owned);
        let files = literal.items().and_then(|items| items.iter().map(text).collect());
        files.ok_or_else(|| self.unexpected("included_files", "a list of strings"))
    }

    /// The cloud snapshots that make up the backup.
    pub fn snapshots_info(&self) -> Result<Option<Literal>, FieldError> {
        self.literal("snapshots_info")
    }

    /// Reads every key that has a type, and reports the first that is malformed.
    pub fn check(&self) -> Result<(), FieldError> {
        self.status()?;
        self.begin_wal()?;
        self.end_wal()?;
        self.begin_xlog()?;
        self.end_xlog()?;
        self.timeline()?;
        self.begin_time()?;
        self.end_time()?;
        self.systemid()?;
        self.size()?;
        self.deduplicated_size()?;
        self.tablespaces()?;
        self.xlog_segment_size()?;
        self.version()?;
        self.parent_backup_id()?;
        self.children_backup_ids()?;
        self.backup_label()?;
        self.included_files()?;
        self.snapshots_info()?;
        Ok(())
    }

    fn unexpected(&self, key: &'static str, expected: &'static str) -> FieldError {
        FieldError::new(key, self.get(key).unwrap_or_default(), expected)
    }
}

impl FieldError {
    fn new(key: &'static str, value: &str, expected: &'static str) -> Self {
        Self { key, value: excerpt(value), expected }
    }
}

/// Enough of a foreign text for a message.
fn excerpt(text: &str) -> String {
    text.chars().take(100).collect()
}

/// Python's `str.strip`: it counts the four information separators of ASCII as white space, Rust does not.
fn strip(text: &str) -> &str {
    text.trim_matches(|c: char| c.is_whitespace() || matches!(c, '\x1c'..='\x1f'))
}

fn is_key(key: &str) -> bool {
    !key.is_empty() && !key.starts_with('#') && !key.contains(['\r', '\n', '=']) && strip(key) == key
}

#[cfg(test)]
mod tests;

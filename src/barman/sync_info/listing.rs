//! Which files of an archive sync-info lists: those after the caller's last one, or else from the first backup on
//! (Barman `server.py`, `sync_status`).
//!
//! Names compare as texts, as Barman compares them.

use std::collections::BTreeMap;

use rayon::prelude::*;

use crate::barman::backup_info::{BackupInfo, Status};
use crate::barman::ids::BackupId;
use crate::barman::version::BarmanVersion;
use crate::barman::wal::WalName;
use crate::barman::xlogdb::{FIVE_FIELDS, PART, field_count, last_line_offset, lines, name_of, parse_line, parts};

use super::words::Words;

/// The last WAL file that the caller knows, and where it says that its line is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Known<'a> {
    /// LAST_WAL.
    pub name: &'a str,
    /// LAST_POSITION.
    pub position: Option<u64>,
}

impl Known<'_> {
    /// Whether the lines at this place of an xlog.db begin with that of the known file: then nothing before it needs
    /// to be read.
    pub fn begins(&self, bytes: &[u8]) -> bool {
        lines(bytes).next().and_then(name_of) == Some(self.name)
    }
}

/// Lines of an xlog.db, all of them readable, and which of them are listed.
#[derive(Debug, Clone, PartialEq)]
pub struct Listing<'a> {
    bytes: &'a [u8],
    last: Option<(WalName, u64)>,
    /// Only names after this one.
    after: Option<&'a str>,
    /// Only names from this one on.
    from: Option<String>,
}

/// There is nothing to list.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ListingError {
    /// The caller missed files.
    #[error("last_wal '{last_wal}' is older than the first available wal '{first}'")]
    Older {
        /// What the caller said.
        last_wal: String,
        /// The first of the archive.
        first: String,
    },
    /// The caller knows files that are not here.
    #[error("last_wal '{last_wal}' is newer than the last available wal '{last}'")]
    Newer {
        /// What the caller said.
        last_wal: String,
        /// The last of the archive.
        last: String,
    },
    /// Barman fails on such a line.
    #[error("cannot parse line {line}: '{text}'")]
    Unreadable {
        /// Counted from 1, from where reading began.
        line: u64,
        /// Its beginning.
        text: String,
    },
}

impl<'a> Listing<'a> {
    /// Reads the lines of an xlog.db that begin at `offset`: all of them, or those from the known file's on. What Barman
    /// could not read is found now, before anything is written.
    pub fn read(
        bytes: &'a [u8],
        offset: u64,
        known: Option<Known<'a>>,
        backups: &BTreeMap<BackupId, BackupInfo>,
        version: BarmanVersion,
    ) -> Result<Self, ListingError> {
        check_lines(bytes, version)?;
        let last = last_line(bytes).map(|(name, position)| (name, offset + position));
        if let (Some(known), Some((last, _))) = (known, last) {
            check_range(known.name, lines(bytes).next().and_then(name_of).unwrap_or_default(), &last.to_string())?;
        }
        let from = if known.is_none() { first_needed(backups) } else { None };
        Ok(Self { bytes, last, after: known.map(|known| known.name), from })
    }

    /// The name on the last line; `None` when there is none.
    pub fn last_name(&self) -> Option<WalName> {
        self.last.map(|(name, _)| name)
    }

    /// Where the last line begins in the whole file.
    pub fn last_position(&self) -> u64 {
        self.last.map_or(0, |(_, position)| position)
    }

    /// The same in parts of about so many bytes.
    pub fn parts(&self, size: usize) -> Vec<Self> {
        parts(self.bytes, size).into_iter().map(|bytes| Self { bytes, ..self.clone() }).collect()
    }

    /// Tells each file that is listed, in the order of the lines.
    pub fn for_each(&self, mut tell: impl FnMut(&Words<'_>)) {
        for line in lines(self.bytes) {
            let mut tell_listed = |words: &Words<'_>| {
                if self.has(words.name) {
                    tell(words);
                }
            };
            if let Some(words) = Words::of(line) {
                tell_listed(&words);
            } else if let Ok(entry) = parse_line(line) {
                Words::with(&entry, tell_listed);
            }
        }
    }

    fn has(&self, name: &[u8]) -> bool {
        self.after.is_none_or(|after| name > after.as_bytes())
            && self.from.as_deref().is_none_or(|from| name >= from.as_bytes())
    }
}

/// Whether a Barman of this version reads every line; else the first that it does not.
fn check_lines(bytes: &[u8], version: BarmanVersion) -> Result<(), ListingError> {
    let is_read = |line: &&[u8]| match Words::of(line) {
        Some(words) => version >= FIVE_FIELDS || !words.has_fifth,
        None => parse_line(line).is_ok() && (version >= FIVE_FIELDS || field_count(line) < 5),
    };
    let is_readable = |part: &&[u8]| lines(part).all(|line| is_read(&line));
    if parts(bytes, PART).par_iter().all(is_readable) {
        return Ok(());
    }
    let unreadable = (1..).zip(lines(bytes)).find(|(_, line)| !is_read(line));
    unreadable.map_or(Ok(()), |(line, text)| {
        Err(ListingError::Unreadable { line, text: String::from_utf8_lossy(text).escape_debug().take(100).collect() })
    })
}

/// The name on the last line, and where that begins.
fn last_line(bytes: &[u8]) -> Option<(WalName, u64)> {
    let position = last_line_offset(bytes)?;
    let line = bytes.get(usize::try_from(position).ok()?..)?;
    Some((name_of(line)?.parse().ok()?, position))
}

fn check_range(last_wal: &str, first: &str, last: &str) -> Result<(), ListingError> {
    if last_wal < first {
        return Err(ListingError::Older { last_wal: last_wal.to_owned(), first: first.to_owned() });
    }
    if last_wal > last {
        return Err(ListingError::Newer { last_wal: last_wal.to_owned(), last: last.to_owned() });
    }
    Ok(())
}

/// Where the first backup begins: what is older is of no use.
fn first_needed(backups: &BTreeMap<BackupId, BackupInfo>) -> Option<String> {
    Some(backups.values().next()?.get("begin_wal")?.to_owned())
}

/// Whether sync-info tells of a backup with this status: the copying of its files has ended well.
pub fn is_told(status: Status) -> bool {
    status.is_copied()
}

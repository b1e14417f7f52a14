//! `backup_manifest`: the files of a base backup with their checksums (PostgreSQL documentation, "Backup Manifest
//! Format"; `common/parse_manifest.c`). Versions 1 (PostgreSQL 13 to 16) and 2 (17 and later).
//!
//! The manifest is untrusted: its paths are checked to stay inside the backup. It is read as a stream, never as
//! one JSON value: a large cluster has a million files.

mod read;

use std::collections::BTreeMap;
use std::io::{self, BufReader, Cursor, Read, Seek, SeekFrom};
use std::path::{Component, Path, PathBuf};

use jiff::Timestamp;

use super::checksum::{Algorithm, Checksum};
use crate::barman::ids::SystemId;
use crate::barman::wal::{Lsn, Timeline};
use crate::store::File;

/// The content of a `backup_manifest`.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Manifest {
    /// 1 or 2.
    pub version: u32,
    /// The system that the backup is of; since version 2.
    pub system: Option<SystemId>,
    /// The files by their paths below PGDATA; tablespaces are below `pg_tblspc/OID/`.
    pub files: BTreeMap<PathBuf, ManifestFile>,
    /// The WAL that the backup needs.
    pub wal_ranges: Vec<WalNeed>,
}

/// One file of a backup.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ManifestFile {
    /// Its size in bytes.
    pub size: u64,
    /// When it was last modified, to the second.
    pub mtime: Timestamp,
    /// Its checksum; none when the backup was made with `--manifest-checksums=none`.
    pub checksum: Option<Checksum>,
}

/// WAL that a backup needs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct WalNeed {
    /// The timeline.
    pub timeline: Timeline,
    /// From here.
    pub start: Lsn,
    /// Up to here.
    pub end: Lsn,
}

/// A file is not a `backup_manifest`, or not an undamaged one.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, thiserror::Error)]
pub enum ManifestError {
    /// It lacks its last line.
    #[error("backup_manifest is cut off: its last line must be its own checksum; copy it again")]
    CutOff,
    /// Its own checksum does not fit.
    #[error("backup_manifest is damaged: its SHA-256 is {found}, it says {expected}; copy it again")]
    Damaged {
        /// Computed from its bytes.
        found: String,
        /// Written on its last line.
        expected: String,
    },
    /// It is no JSON, or of another shape.
    #[error("backup_manifest cannot be read: {0}")]
    Shape(String),
    /// It lists more files, or longer paths, than there is room for.
    #[error("backup_manifest lists too many files to be held in memory")]
    TooLong,
    /// A file in it would leave the backup.
    #[error("backup_manifest names {path:?}: {why}")]
    Path {
        /// The path.
        path: PathBuf,
        /// What is wrong with it.
        why: &'static str,
    },
}

impl Manifest {
    /// Reads a manifest after its own checksum was found right.
    pub fn parse(bytes: &[u8]) -> Result<Self, ManifestError> {
        Self::of(Cursor::new(bytes), &mut MOST_MEMORY.clone())
    }

    /// The same for one that is in a file: it is read twice, and never held as a whole.
    pub fn read(file: File) -> Result<Self, ManifestError> {
        Self::read_within(file, &mut MOST_MEMORY.clone())
    }

    /// The same for one of several that are held together: it takes the bytes of memory that it needs from those that there
    /// are, and none if it cannot be read.
    pub fn read_within(file: File, room: &mut u64) -> Result<Self, ManifestError> {
        let mut left = *room;
        let manifest = Self::of(file, &mut left)?;
        *room = left;
        Ok(manifest)
    }

    fn of(mut file: impl Read + Seek, room: &mut u64) -> Result<Self, ManifestError> {
        let unreadable = |error: io::Error| ManifestError::Shape(error.to_string());
        verify_own_checksum(&mut file)?;
        file.rewind().map_err(unreadable)?;
        read::read(BufReader::with_capacity(READ_AT_ONCE, file), room)
    }
}

/// The bytes of memory that one manifest takes at the most: three million files with short paths.
const MOST_MEMORY: u64 = 448 << 20;

/// What is read of a manifest at a time.
const READ_AT_ONCE: usize = 1 << 20;

/// More than its last line has.
const LONGEST_LAST_LINE: u64 = 1 << 10;

/// The checksum on the last line covers all the lines before it (PostgreSQL `verify_manifest_checksum`).
fn verify_own_checksum(file: &mut (impl Read + Seek)) -> Result<(), ManifestError> {
    let unreadable = |error: io::Error| ManifestError::Shape(error.to_string());
    let length = file.seek(SeekFrom::End(0)).map_err(unreadable)?;
    let tail_at = length.saturating_sub(LONGEST_LAST_LINE);
    file.seek(SeekFrom::Start(tail_at)).map_err(unreadable)?;
    let mut tail = Vec::new();
    file.take(LONGEST_LAST_LINE).read_to_end(&mut tail).map_err(unreadable)?;
    let body = tail.strip_suffix(b"\n").ok_or(ManifestError::CutOff)?;
    let newline = body.iter().rposition(|b| *b == b'\n').ok_or(ManifestError::CutOff)?;
    let last = std::str::from_utf8(&body[newline + 1..]).map_err(|_| ManifestError::CutOff)?;
    let expected = last
        .strip_prefix("\"Manifest-Checksum\": \"")
        .and_then(|rest| rest.strip_suffix("\"}"))
        .ok_or(ManifestError::CutOff)?;
    file.rewind().map_err(unreadable)?;
    let mut hasher = super::checksum::Hasher::new(Algorithm::Sha256);
    let mut covered = file.take(tail_at + newline as u64 + 1);
    let mut buffer = vec![0; READ_AT_ONCE];
    loop {
        match covered.read(&mut buffer).map_err(unreadable)? {
            0 => break,
            read => hasher.update(&buffer[..read]),
        }
    }
    let found = hasher.finish().to_string();
    if found.eq_ignore_ascii_case(expected) {
        return Ok(());
    }
    Err(ManifestError::Damaged {
        found,
        expected: expected.chars().filter(char::is_ascii_alphanumeric).take(64).collect(),
    })
}

/// Why a path is not one below PGDATA; `None` when it is one.
fn path_fault(path: &Path) -> Option<&'static str> {
    if path.as_os_str().is_empty() {
        return Some("it is empty");
    }
    if path.as_os_str().as_encoded_bytes().contains(&0) {
        return Some("it contains a NUL");
    }
    if !path.components().all(|part| matches!(part, Component::Normal(_))) {
        return Some("it leaves the backup");
    }
    None
}

/// Where Barman keeps a file of a manifest, below `base/ID/`: tablespaces are beside `data/`.
pub fn barman_path(path: &Path) -> PathBuf {
    tablespace_path(path).unwrap_or_else(|| Path::new("data").join(path))
}

/// `OID/…` out of `pg_tblspc/OID/…`. Other names in `pg_tblspc` stay where they are: they could be `data`.
fn tablespace_path(path: &Path) -> Option<PathBuf> {
    let below = path.strip_prefix("pg_tblspc").ok()?;
    let oid = below.components().next()?.as_os_str().to_str()?;
    let is_file = below.components().count() > 1;
    (is_file && oid.parse::<u32>().is_ok()).then(|| below.to_owned())
}

/// The paths of the files that are the same in both: of one size, modification time and checksum. A file
/// without a checksum is never taken for the same; nor is the control file, which ends in the CRC-32C of itself, so that
/// the CRC-32C of all of it is one and the same whatever it says.
pub fn identical_files<'a>(a: &'a Manifest, b: &Manifest) -> Vec<&'a Path> {
    let same = |(path, file): &(&PathBuf, &ManifestFile)| {
        file.checksum.is_some() && *path != Path::new("global/pg_control") && b.files.get(*path) == Some(file)
    };
    a.files.iter().filter(same).map(|(path, _)| path.as_path()).collect()
}

#[cfg(test)]
mod tests;

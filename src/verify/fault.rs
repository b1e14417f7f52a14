//! What is wrong with a file of a base.

use std::path::PathBuf;

use super::control_file::ControlFault;
use super::manifest::ManifestError;
use crate::barman::ids::SystemId;

/// A file or directory of a base that is not what it must be.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Fault {
    /// Its path below `base/ID`; empty for the base as a whole.
    pub path: PathBuf,
    /// What is wrong with it.
    pub what: FaultKind,
}

impl Fault {
    /// A fault at a path.
    pub fn new(path: impl Into<PathBuf>, what: FaultKind) -> Self {
        Self { path: path.into(), what }
    }
}

/// What is wrong with a file or directory.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, thiserror::Error)]
pub enum FaultKind {
    /// It is not there, or is no regular file.
    #[error("it is missing")]
    Missing,
    /// It has another size.
    #[error("it has {found} bytes, not {expected}")]
    Size {
        /// Bytes on disk.
        found: u64,
        /// Bytes in the manifest.
        expected: u64,
    },
    /// Its content has another checksum.
    #[error("its checksum is {found}, not {expected}")]
    Checksum {
        /// Of what is on disk.
        found: String,
        /// In the manifest.
        expected: String,
    },
    /// A directory without which no server starts is not there.
    #[error("the directory is missing, and PostgreSQL does not start without it")]
    NoDirectory,
    /// Nothing is in a file or directory that is never empty.
    #[error("it is empty")]
    Empty,
    /// It is of another release of PostgreSQL than the backup.
    #[error("it is of PostgreSQL {found}, and backup.info says {expected}")]
    Release {
        /// What it says.
        found: String,
        /// What backup.info says.
        expected: String,
    },
    /// It is of another system than the backup.
    #[error("it is of system {found}, and backup.info says {expected}")]
    System {
        /// What it says.
        found: SystemId,
        /// What backup.info says.
        expected: SystemId,
    },
    /// It is no control file that a server would start with.
    #[error(transparent)]
    Control(#[from] ControlFault),
    /// Its number is that of another release than the one in `PG_VERSION`.
    #[error("its number {number} is not that of PostgreSQL {release}")]
    ControlNumber {
        /// What it says.
        number: u32,
        /// What `PG_VERSION` says.
        release: String,
    },
    /// It is no whole map of the system catalogs.
    #[error("it is no whole map of the system catalogs")]
    Map,
    /// Neither the file nor its text is there: a server would start from the wrong point.
    #[error("it is missing, and its text is not in backup.info either")]
    NoLabel,
    /// No database is in the base.
    #[error("no whole database is in it")]
    NoDatabase,
    /// The base has far fewer bytes than its backup.info says.
    #[error("it has {found} bytes in all, and backup.info says {announced}")]
    TooSmall {
        /// Bytes of all its files.
        found: u64,
        /// Bytes in backup.info.
        announced: u64,
    },
    /// The manifest says nothing of a file that every backup has.
    #[error("backup_manifest does not list it, and every backup has it")]
    Unlisted,
    /// It is no manifest, or not a whole one.
    #[error(transparent)]
    Manifest(#[from] ManifestError),
    /// It is not what arrived: how.
    #[error("{0}")]
    Arrived(String),
    /// It is no archive of the kind that its name says, or not a whole one.
    #[error("it is no whole archive: {0}")]
    Archive(String),
}

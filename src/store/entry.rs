//! What is found in a catalog, and why it could not be read or changed.

use std::ffi::OsString;
use std::fs::{self, FileType, Metadata};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::error::{Error, Kind};

use super::posix::files;

/// A catalog cannot be read.
#[derive(Debug, thiserror::Error)]
#[error("{} cannot be read: {source}", path.display().to_string().escape_debug())]
pub struct CatalogError {
    /// The file or directory.
    pub path: PathBuf,
    /// What the system said.
    pub source: io::Error,
}

impl CatalogError {
    /// An error at this path.
    pub fn at(path: &Path) -> impl FnOnce(io::Error) -> Self + '_ {
        move |source| Self { path: path.to_owned(), source }
    }
}

impl From<CatalogError> for Error {
    fn from(error: CatalogError) -> Self {
        let told = Self::new(Kind::from(&error.source), error.to_string());
        let told = match told.kind {
            Kind::PermissionDenied => told.hint("run as the user that owns the catalog, usually barman"),
            _ => told,
        };
        told.because(error)
    }
}

/// A catalog cannot be changed.
#[derive(Debug, thiserror::Error)]
#[error("cannot {deed} {}: {source}", path.display())]
pub struct ChangeError {
    /// What was being done, as in `write`.
    pub deed: &'static str,
    /// The file or directory.
    pub path: PathBuf,
    /// What the system said.
    pub source: io::Error,
}

impl ChangeError {
    /// An error while something was done to this path.
    pub fn doing(deed: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        move |source| Self { deed, path: path.to_owned(), source }
    }
}

impl From<ChangeError> for Error {
    fn from(error: ChangeError) -> Self {
        let told = Self::new(Kind::from(&error.source), error.to_string());
        let told = match told.kind {
            Kind::PermissionDenied => told.hint("run as the user that owns the catalog"),
            _ => told.or_make_room(),
        };
        told.because(error)
    }
}

impl From<CatalogError> for ChangeError {
    fn from(CatalogError { path, source }: CatalogError) -> Self {
        Self { deed: "read", path, source }
    }
}

/// What there is at a place.
#[derive(Debug, Clone, Copy)]
pub struct Found {
    /// What it is itself, whatever it links to.
    pub kind: FileType,
    /// What tells whether it changed.
    pub stamp: Stamp,
    /// When its content was modified last, in whole seconds since 1970.
    pub modified: i64,
    /// How many names it has.
    pub links: u64,
}

impl Found {
    /// What metadata tells.
    pub fn of(metadata: &Metadata) -> Self {
        Self {
            kind: metadata.file_type(),
            stamp: Stamp::of(metadata),
            modified: metadata.mtime(),
            links: metadata.nlink(),
        }
    }

    /// Its size; `None` when it is no regular file.
    pub fn size(self) -> Option<u64> {
        self.kind.is_file().then_some(self.stamp.size)
    }
}

/// An entry of a directory.
#[derive(Debug)]
pub struct Entry {
    /// Its name; one that is not UTF-8 is none of Barman's and reads as the empty string.
    pub name: String,
    /// What it is itself, whatever it links to.
    pub kind: FileType,
    listed: fs::DirEntry,
}

impl Entry {
    /// What was listed.
    pub fn of(listed: fs::DirEntry) -> Result<Self, CatalogError> {
        match listed.file_type() {
            Ok(kind) => Ok(Self { name: listed.file_name().into_string().unwrap_or_default(), kind, listed }),
            Err(error) => Err(CatalogError::at(&listed.path())(error)),
        }
    }

    /// Its name as it is on disk.
    pub fn file_name(&self) -> OsString {
        self.listed.file_name()
    }

    /// Where it is.
    pub fn path(&self) -> PathBuf {
        self.listed.path()
    }

    /// The size of a regular file; `None` when it is none, or has gone away since it was listed.
    pub fn size(&self) -> Result<Option<u64>, CatalogError> {
        Ok(self.stamp()?.map(|stamp| stamp.size))
    }

    /// The stamp of a regular file; `None` when it is none, or has gone away since it was listed.
    pub fn stamp(&self) -> Result<Option<Stamp>, CatalogError> {
        Ok(self.found()?.map(|found| found.stamp))
    }

    /// What a regular file is; `None` when it is none, or has gone away since it was listed.
    pub fn found(&self) -> Result<Option<Found>, CatalogError> {
        // Relative to the open directory: a million files would resolve their paths a million times.
        let found =
            files::found(self.listed.metadata()).map_err(|error| CatalogError::at(&self.listed.path())(error))?;
        Ok(found.filter(|found| found.kind.is_file()))
    }
}

/// What changes whenever a file is written to, replaced or moved.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Stamp {
    /// Its size in bytes.
    pub size: u64,
    inode: u64,
    /// Seconds and nanoseconds since 1970.
    changed: (i64, i64),
}

impl Stamp {
    /// Of a file.
    pub fn of(metadata: &Metadata) -> Self {
        Self { size: metadata.len(), inode: metadata.ino(), changed: (metadata.ctime(), metadata.ctime_nsec()) }
    }

    /// Its number in the file system.
    pub fn inode(self) -> u64 {
        self.inode
    }

    /// When it changed last, since 1970.
    pub fn changed(self) -> Duration {
        let (seconds, nanoseconds) = self.changed;
        Duration::new(u64::try_from(seconds).unwrap_or(0), u32::try_from(nanoseconds).unwrap_or(0))
    }
}

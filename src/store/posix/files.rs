//! Reading the files of a catalog: regular files only, links are never followed, sizes without reading.

use std::fs::{self, File, FileType};
use std::io::{self, Read, Seek, SeekFrom};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::fs::{Mode, OFlags};
use rustix::io::Errno;

use crate::error::{Error, Kind};

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
        // Relative to the open directory: a million files would resolve their paths a million times.
        let regular = regular(self.listed.metadata()).map_err(|error| CatalogError::at(&self.listed.path())(error))?;
        Ok(regular.map(|metadata| Stamp::of(&metadata)))
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
    pub fn of(metadata: &fs::Metadata) -> Self {
        Self { size: metadata.len(), inode: metadata.ino(), changed: (metadata.ctime(), metadata.ctime_nsec()) }
    }

    /// When it changed last, since 1970.
    pub fn changed(self) -> Duration {
        let (seconds, nanoseconds) = self.changed;
        Duration::new(u64::try_from(seconds).unwrap_or(0), u32::try_from(nanoseconds).unwrap_or(0))
    }
}

/// The entries of a directory in no order; none when it is not there.
pub fn list(directory: &Path) -> Result<Vec<Entry>, CatalogError> {
    let at = || CatalogError::at(directory);
    let entries = match fs::read_dir(directory) {
        Ok(entries) => entries,
        Err(error) if is_absent(&error) => return Ok(Vec::new()),
        Err(error) => return Err(at()(error)),
    };
    let entry = |entry: io::Result<fs::DirEntry>| {
        let entry = entry.map_err(at())?;
        let kind = entry.file_type().map_err(CatalogError::at(&entry.path()))?;
        Ok(Entry { name: entry.file_name().into_string().unwrap_or_default(), kind, listed: entry })
    };
    entries.map(entry).collect()
}

/// The content of a regular file, up to `limit` bytes; `None` when there is none.
pub fn read(path: &Path, limit: u64) -> Result<Option<Vec<u8>>, CatalogError> {
    read_from(path, 0, limit)
}

/// The content of a regular file from a byte on, up to `limit` bytes; `None` when there is none.
pub fn read_from(path: &Path, offset: u64, limit: u64) -> Result<Option<Vec<u8>>, CatalogError> {
    read_regular(path, offset, limit).map_err(CatalogError::at(path))
}

/// A regular file for reading; `None` when there is none, or something else is in its place.
pub fn open(path: &Path) -> io::Result<Option<File>> {
    // NONBLOCK keeps a named pipe from hanging the run before its kind is known.
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
    match rustix::fs::open(path, flags, Mode::empty()) {
        Ok(file) => {
            let file = File::from(file);
            Ok(file.metadata()?.is_file().then_some(file))
        }
        // LOOP: a link. NXIO: a socket, or a pipe that nobody reads.
        Err(Errno::NOENT | Errno::NOTDIR | Errno::LOOP | Errno::NXIO) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

fn read_regular(path: &Path, offset: u64, limit: u64) -> io::Result<Option<Vec<u8>>> {
    let Some(mut file) = open(path)? else { return Ok(None) };
    file.seek(SeekFrom::Start(offset))?;
    let mut content = Vec::new();
    file.take(limit).read_to_end(&mut content)?;
    Ok(Some(content))
}

/// The size of a regular file; `None` when there is none.
pub fn size(path: &Path) -> Result<Option<u64>, CatalogError> {
    let regular = regular(fs::symlink_metadata(path)).map_err(CatalogError::at(path))?;
    Ok(regular.map(|metadata| metadata.len()))
}

fn regular(metadata: io::Result<fs::Metadata>) -> io::Result<Option<fs::Metadata>> {
    match metadata {
        Ok(metadata) => Ok(Some(metadata).filter(fs::Metadata::is_file)),
        Err(error) if is_absent(&error) => Ok(None),
        Err(error) => Err(error),
    }
}

/// Whether there is a directory that is no link to one.
pub fn is_directory(path: &Path) -> Result<bool, CatalogError> {
    Ok(kind(path)?.is_some_and(|kind| kind.is_dir()))
}

/// What there is itself, whatever it links to; `None` for nothing.
pub fn kind(path: &Path) -> Result<Option<FileType>, CatalogError> {
    match fs::symlink_metadata(path) {
        Ok(metadata) => Ok(Some(metadata.file_type())),
        Err(error) if is_absent(&error) => Ok(None),
        Err(error) => Err(CatalogError::at(path)(error)),
    }
}

/// Bytes that are free for us on the file system of a directory, or of the nearest one above it that exists.
pub fn free(directory: &Path) -> Option<u64> {
    let system = directory.ancestors().find_map(|path| rustix::fs::statvfs(path).ok())?;
    Some(system.f_bavail.saturating_mul(system.f_frsize))
}

fn is_absent(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory)
}

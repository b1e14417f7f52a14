//! Reading the files of a catalog: regular files only, links are never followed, sizes without reading.

use std::fs::{self, File, Metadata};
use std::io::{self, Read};
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use rustix::fs::{Mode, OFlags};
use rustix::io::Errno;

use crate::store::entry::{CatalogError, Entry, Found};
use crate::store::{Reserve, Room};

/// The entries of a directory in no order; none when it is not there.
pub fn list(directory: &Path) -> Result<Vec<Entry>, CatalogError> {
    let at = || CatalogError::at(directory);
    let entries = match unless_stale(|| fs::read_dir(directory)) {
        Ok(entries) => entries,
        Err(error) if is_absent(&error) => return Ok(Vec::new()),
        Err(error) => return Err(at()(error)),
    };
    entries.map(|entry| Entry::of(entry.map_err(at())?)).collect()
}

/// The content of a regular file, up to `limit` bytes; `None` when there is none.
pub fn read(path: &Path, limit: u64) -> Result<Option<Vec<u8>>, CatalogError> {
    let content = open(path).and_then(|file| {
        let Some(file) = file else { return Ok(None) };
        let mut content = Vec::new();
        file.take(limit).read_to_end(&mut content)?;
        Ok(Some(content))
    });
    content.map_err(CatalogError::at(path))
}

/// A regular file for reading; `None` when there is none, or something else is in its place.
pub fn open(path: &Path) -> io::Result<Option<File>> {
    // NONBLOCK keeps a named pipe from hanging the run before its kind is known.
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let opened = || match rustix::fs::open(path, flags, Mode::empty()) {
        Ok(file) => {
            let file = File::from(file);
            Ok(file.metadata()?.is_file().then_some(file))
        }
        // LOOP: a link. NXIO: a socket, or a pipe that nobody reads.
        Err(Errno::NOENT | Errno::NOTDIR | Errno::LOOP | Errno::NXIO) => Ok(None),
        Err(error) => Err(error.into()),
    };
    unless_stale(opened)
}

/// Does something once more that met a name whose file was replaced on the server of a network file system, as its client
/// still had the old one in mind (`ESTALE`). A second time is no chance.
pub fn unless_stale<T>(mut open: impl FnMut() -> io::Result<T>) -> io::Result<T> {
    match open() {
        Err(error) if error.kind() == io::ErrorKind::StaleNetworkFileHandle => open(),
        opened => opened,
    }
}

/// What there is itself, whatever it links to; `None` for nothing.
pub fn look(path: &Path) -> Result<Option<Found>, CatalogError> {
    found(fs::symlink_metadata(path)).map_err(CatalogError::at(path))
}

/// Whether there is a regular file of this size and of this time of modification, in whole seconds since 1970.
pub fn is_like(path: &Path, size: u64, mtime: i64) -> bool {
    let found = fs::symlink_metadata(path);
    found.is_ok_and(|found| found.is_file() && found.len() == size && found.mtime() == mtime)
}

/// What metadata tells; `None` where there was nothing to ask.
pub fn found(metadata: io::Result<Metadata>) -> io::Result<Option<Found>> {
    match metadata {
        Ok(metadata) => Ok(Some(Found::of(&metadata))),
        Err(error) if is_absent(&error) => Ok(None),
        Err(error) => Err(error),
    }
}

/// Whether there is a directory that is no link to one.
pub fn is_directory(path: &Path) -> Result<bool, CatalogError> {
    Ok(look(path)?.is_some_and(|found| found.kind.is_dir()))
}

/// Fails unless a directory is one, and this user's: what another user wrote there, the catalog's owner could not replace.
pub fn check_ours(directory: &Path) -> io::Result<()> {
    let metadata = fs::symlink_metadata(directory)?;
    if !metadata.is_dir() {
        return Err(io::ErrorKind::NotADirectory.into());
    }
    if metadata.uid() != rustix::process::geteuid().as_raw() {
        return Err(io::ErrorKind::PermissionDenied.into());
    }
    Ok(())
}

/// The room on the file system of a directory, or of the nearest one above it that exists.
pub fn room(directory: &Path, reserve: Reserve) -> Option<Room> {
    directory.ancestors().find_map(|path| {
        let (system, found) = (rustix::fs::statvfs(path).ok()?, fs::metadata(path).ok()?);
        let bytes = |blocks: u64| blocks.saturating_mul(system.f_frsize);
        let size = bytes(system.f_blocks);
        Some(Room { device: found.dev(), free: bytes(system.f_bavail), size, reserve: reserve.of(size) })
    })
}

fn is_absent(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_stale_is_opened_once_more_and_not_again() {
        let tries = |errors: &[i32]| {
            let mut left = errors.iter();
            let opened = unless_stale(|| left.next().map_or(Ok(()), |errno| Err(io::Error::from_raw_os_error(*errno))));
            (opened.map_err(|error| error.raw_os_error()), left.len())
        };
        let (stale, denied) = (Errno::STALE.raw_os_error(), Errno::ACCESS.raw_os_error());
        assert_eq!(tries(&[]), (Ok(()), 0));
        assert_eq!(tries(&[stale]), (Ok(()), 0));
        assert_eq!(tries(&[stale, stale, stale]), (Err(Some(stale)), 1));
        assert_eq!(tries(&[denied, stale]), (Err(Some(denied)), 1));
    }
}

//! What is kept of a primary between runs, in our own directory of the server: manifests, and the list of its WAL.
//!
//! A manifest never changes, and each plan until its backup is here wants it: a big cluster's have hundreds of
//! megabytes. The list of an archive of a million files has sixty, and mostly grows at its end. The primary's word on
//! size and time of modification decides each time whether a file is still right, so a cache may be removed at any
//! moment, and nothing is read from it that the primary does not have.
//!
//! It is used where our own directory of the server exists, is ours and can be written, and by one run at a time.
//! Otherwise there is none, and the files are fetched into a directory that is gone afterwards. So they are for a status
//! too, which changes nothing here: what did not change is copied there from the cache.

use std::fs::{self, DirBuilder, File};
use std::io;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

use rustix::fs::Access;

use super::posix::{durable, files, places};
use crate::barman::layout::ServerDirs;

/// The name of the file beside the others in which something is noted of them.
pub const NOTE: &str = "note";

/// What is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cached {
    /// Manifests of the backups that are still to be copied, each under the path that it has below the primary's
    /// `basebackups_directory`.
    Manifests,
    /// The primary's xlog.db.
    Lists,
}

/// How a cache is used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Use {
    /// What did not change is read from it, and it stays as it is.
    Read,
    /// What is fetched is kept in it.
    Keep,
    /// The same, and it is emptied first.
    Refresh,
}

/// A cache of one server, which no other run changes meanwhile.
#[derive(Debug)]
pub struct Cache {
    directory: PathBuf,
    purpose: Use,
    _lock: File,
}

impl Cache {
    /// Opens a cache of a server; `None` where there is none to be used. [`Store::cache`](super::Store::cache) hands it out.
    pub(super) fn open(dirs: &ServerDirs, kept: Cached, purpose: Use) -> Option<Self> {
        let own = places::own(dirs);
        let directory = own.join(match kept {
            Cached::Manifests => "manifests",
            Cached::Lists => "lists",
        });
        let opened = Self::lock(&own, directory, purpose).and_then(|cache| {
            if purpose == Use::Refresh {
                cache.keep_only(|_| false)?;
            }
            Ok(cache)
        });
        opened.inspect_err(|error| tracing::debug!(server = %dirs.server, ?kept, "no cache: {error}")).ok()
    }

    fn lock(own: &Path, directory: PathBuf, purpose: Use) -> io::Result<Self> {
        files::check_ours(own)?;
        let lock = if purpose == Use::Read {
            let lock = File::open(&directory)?;
            lock.try_lock_shared()?;
            lock
        } else {
            make(&directory)?;
            let lock = File::open(&directory)?;
            lock.try_lock()?;
            lock
        };
        Ok(Self { directory, purpose, _lock: lock })
    }

    /// Whether it must stay as it is.
    pub fn is_read_only(&self) -> bool {
        self.purpose == Use::Read
    }

    /// Where the files are.
    pub fn directory(&self) -> &Path {
        &self.directory
    }

    /// Whether it has a file of this size and of this time of modification, in whole seconds since 1970.
    pub fn has(&self, file: &Path, size: u64, mtime: i64) -> bool {
        files::is_like(&self.directory.join(file), size, mtime)
    }

    /// What is noted of the files, up to `limit` bytes; `None` when nothing is, or that cannot be read.
    pub fn noted(&self, limit: u64) -> Option<Vec<u8>> {
        files::read(&self.directory.join(NOTE), limit).ok().flatten()
    }

    /// Notes something of the files for the next run. It may be gone or torn after a power cut.
    pub fn note(&self, content: &[u8]) -> io::Result<()> {
        durable::note(&self.directory.join(NOTE), content)
    }

    /// Removes everything but what has such a name.
    pub fn keep_only(&self, is_wanted: impl Fn(&str) -> bool) -> io::Result<()> {
        for entry in files::list(&self.directory).map_err(|error| error.source)? {
            if !is_wanted(&entry.name) {
                remove(&entry.path())?;
            }
        }
        Ok(())
    }
}

/// Makes the directory of a cache that can be written, unless there is one.
fn make(directory: &Path) -> io::Result<()> {
    if !fs::symlink_metadata(directory).is_ok_and(|metadata| metadata.is_dir()) {
        remove(directory)?;
        DirBuilder::new().mode(0o700).create(directory)?;
    }
    Ok(rustix::fs::access(directory, Access::WRITE_OK | Access::EXEC_OK)?)
}

/// Removes whatever is at a path, a link without what it points to.
fn remove(path: &Path) -> io::Result<()> {
    let removed = match fs::symlink_metadata(path) {
        Ok(metadata) if metadata.is_dir() => fs::remove_dir_all(path),
        Ok(_) => fs::remove_file(path),
        Err(error) => Err(error),
    };
    match removed {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        removed => removed,
    }
}

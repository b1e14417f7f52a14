//! The store: where the catalog of a server lies at the site. Whatever reads it, stages something for it, commits,
//! removes or locks does so through [`Store`]; so what observes and what applies see the same catalog by the same code.
//!
//! ```text
//!            xlogdb, infos, wals, staged: what is read and changed together
//!                                    │
//!     verify ──► Root ──────────► Store ◄────────── Recording (tests)
//!                                    │
//!                                  Posix: files, durable, disk, places, links, locks
//! ```
//!
//! Everything is named by what it is ([`Place`]), not by where it is. What is committed is durable when the call returns,
//! and either the old or the new at every instant before. What lies in staging is only written, until [`Store::sync`]
//! has said that the disk kept it; until then nothing of it may be committed.

pub mod arrivals;
pub mod cache;
pub mod damage;
mod entry;
pub mod home;
pub mod infos;
pub mod journal;
pub mod locks;
pub mod parallel;
pub mod pedigree;
pub mod place;
pub mod posix;
pub mod program;
mod readers;
pub mod reading;
#[cfg(test)]
pub mod recording;
pub mod repairs;
mod root;
pub mod staged;
pub mod suspended;
pub mod wals;
pub mod xlogdb;

use std::collections::BTreeSet;
use std::io::{self, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};

use crate::barman::ids::BackupId;
use crate::barman::wal::WalName;

pub use std::fs::File;

use cache::{Cache, Cached, Use};
pub use entry::{CatalogError, ChangeError, Entry, Found, Stamp};
use locks::{Lock, LockError, LockKind};
pub use place::{At, Place};
pub use posix::Posix;
pub use posix::disk::Since;
pub use readers::Readers;
pub use root::Root;

/// Whether to go on with something that takes long.
pub type GoOn<'a> = &'a (dyn Fn() -> bool + Sync);

/// What holds things that are staged: losses are told for each by itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Volume {
    /// What holds the bases.
    Bases,
    /// What holds the WAL archive.
    Wals,
}

/// What holds things here, and the room on it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Room {
    /// Tells it from the others of this host.
    pub device: u64,
    /// Bytes that are free for us.
    pub free: u64,
    /// Bytes that it has in all.
    pub size: u64,
    /// Bytes that no base may take: the last of the disk is for WAL, and for whoever else lives on it.
    pub reserve: u64,
}

/// How much of a disk is left free, whatever is wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Reserve {
    /// A twentieth of it, and at most 10 GiB.
    #[default]
    Usual,
    /// So many bytes.
    Bytes(u64),
    /// This part of it, in percent.
    Percent(u8),
}

impl Reserve {
    /// Its bytes on a disk of this size.
    pub fn of(self, size: u64) -> u64 {
        match self {
            Self::Usual => (size / 20).min(10 << 30),
            Self::Bytes(bytes) => bytes,
            Self::Percent(percent) => size / 100 * u64::from(percent),
        }
    }
}

/// How a file of one backup comes into another that has the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sharing {
    /// One file with two names, or a copy where that is not possible.
    Link,
    /// Two files that share their blocks.
    Reflink,
    /// A copy.
    Copy,
}

/// The catalog of one server at the site. Calls block for as long as the disk takes.
///
/// Links that lie in a catalog are never followed below a place: what is a link is no file and no directory. The
/// directories that Barman was given (`backup_directory`, `wals_directory`, ...) may be links themselves.
///
/// # Another kind of store
///
/// What is written here for a file system holds for a bucket too, but for what a bucket does not have:
///
/// - *No rename.* [`Store::publish`], [`Store::stage_published`] and [`Store::discard`] move a whole base in one instant.
///   There its objects are written under their final names, and nothing shows them until their backup.info is; what is
///   discarded is deleted object by object, after its backup.info.
/// - *No locks.* [`Store::try_lock`] keeps a Barman of the same host away, and other Antipodes. There it has to be a
///   conditional write with an expiry, and no Barman works on it.
/// - *No links.* [`Store::link_tablespaces`] has nothing to do, as whoever restores makes the links; [`Store::share`]
///   is a copy within the bucket.
/// - *No partial writes.* An object appears whole or not at all, so that [`Store::begin`], [`Store::since`],
///   [`Store::sync`] and [`Store::reread`] have nothing to tell.
/// - *No local path.* What [`Store::local`] hands out is then a directory of this host, and committing uploads it; a
///   [`Store::cache`] is one that stays there.
pub trait Store: Send + Sync {
    /// Whether the server is here at all.
    fn is_here(&self) -> Result<bool, CatalogError>;
    /// What there is itself, whatever it links to; `None` for nothing.
    fn look(&self, at: At<'_>) -> Result<Option<Found>, CatalogError>;
    /// The entries of a directory in no order; none when it is not there.
    fn list(&self, at: At<'_>) -> Result<Vec<Entry>, CatalogError>;
    /// A regular file for reading; `None` when there is none, or something else is in its place.
    fn open(&self, at: At<'_>) -> Result<Option<File>, CatalogError>;
    /// The links on the way to what is written, each of them ours at a place where a disk may be, with where they lead. An
    /// error for any other, and for a directory that somebody else owns or everybody may write.
    fn followed_links(&self) -> Result<Vec<(PathBuf, PathBuf)>, ChangeError>;
    /// Takes from the group what it may write of the directories that are there.
    fn shut_group_out(&self) -> Result<(), ChangeError>;
    /// Backups of which an earlier run left something in staging.
    fn staged(&self) -> Result<BTreeSet<BackupId>, CatalogError>;
    /// The tablespaces of a backup that are here and that no link leads to.
    fn unlinked(&self, id: BackupId, oids: &[u32]) -> Vec<u32>;
    /// The room where the bases are, or the archive; `None` when nobody knows.
    fn room(&self, volume: Volume) -> Option<Room>;

    /// A directory of this host for files of the primary that are fetched to be read, and kept; `None` where there is none to
    /// be used.
    fn cache(&self, kept: Cached, purpose: Use) -> Option<Cache>;
    /// Where a place is on this host: for programs that write into staging, and for messages.
    fn local(&self, at: At<'_>) -> PathBuf;
    /// To be asked before something is written that will be synced; from the first time on the store holds what tells
    /// of losses.
    fn since(&self, volume: Volume) -> Result<Since, ChangeError>;
    /// Makes durable what was written since then: these files, and all below these directories. An error when a write
    /// was lost since, whosever it was.
    fn sync(&self, volume: Volume, since: Since, written: &[At<'_>]) -> Result<(), ChangeError>;
    /// Whether any write was lost that was asked about.
    fn has_lost(&self) -> bool;
    /// Makes the next look at these files, and at all below these directories, a look at the disk itself.
    fn reread(&self, written: &[At<'_>]) -> Result<(), ChangeError>;
    /// Lets a file of one place be in another too, unless something is there; nothing happens when it is no regular file.
    fn share(&self, from: Place, to: Place, file: &Path, how: Sharing) -> Result<(), ChangeError>;
    /// Makes the links by which PostgreSQL finds the tablespaces of a backup, in a tree that is its base or will be.
    fn link_tablespaces(&self, tree: Place, id: BackupId, oids: &[u32]) -> Result<(), ChangeError>;

    /// Gives files that were written, and all below directories, the modes that [`Readers`] say, whatever they came with.
    fn settle_modes(&self, written: &[At<'_>]) -> Result<(), ChangeError>;
    /// Makes a directory and all above it.
    fn make(&self, place: Place) -> Result<(), ChangeError>;
    /// Replaces a file, or makes it with all above it.
    fn write(&self, place: Place, content: &[u8]) -> Result<(), ChangeError>;
    /// Gives a staged base its name.
    fn publish(&self, id: BackupId) -> Result<(), ChangeError>;
    /// Takes a base that is not published by a backup.info back to staging.
    fn stage_published(&self, id: BackupId) -> Result<(), ChangeError>;
    /// Gives WAL files that arrived their names.
    fn publish_wals(&self, names: &[WalName]) -> Result<(), ChangeError>;

    /// Removes a file; one that is not there is as good as removed.
    fn remove(&self, at: At<'_>) -> Result<(), ChangeError>;
    /// Removes WAL files, and the directories that are empty then.
    fn remove_wals(&self, names: &BTreeSet<WalName>) -> Result<(), ChangeError>;
    /// Takes a base that no backup.info names out of sight: what remains of it is [`Place::Trash`].
    fn discard(&self, id: BackupId) -> Result<(), ChangeError>;
    /// Removes a directory with all that is in it, until `go_on` says no; whether all of it is gone.
    fn remove_tree(&self, place: Place, go_on: GoOn<'_>) -> Result<bool, ChangeError>;
    /// Removes what killed runs left to be deleted, until `go_on` says no. It is our own, and needs no lock of Barman's.
    fn sweep(&self, go_on: GoOn<'_>) -> Result<(), ChangeError>;
    /// Removes the temporary files of writes that were killed. Nothing may be written meanwhile.
    fn tidy(&self) -> Result<(), ChangeError>;

    /// Takes a lock, or fails at once when it is held.
    fn try_lock(&self, kind: LockKind) -> Result<Lock, LockError>;
    /// Whether somebody holds a lock. It is not taken.
    fn is_locked(&self, kind: LockKind) -> Result<bool, LockError>;
}

impl dyn Store + '_ {
    /// The content of a regular file, up to `limit` bytes; `None` when there is none.
    pub fn read<'a>(&self, at: impl Into<At<'a>>, limit: u64) -> Result<Option<Vec<u8>>, CatalogError> {
        self.read_from(at, 0, limit)
    }

    /// The content of a regular file from a byte on, up to `limit` bytes; `None` when there is none.
    pub fn read_from<'a>(
        &self,
        at: impl Into<At<'a>>,
        offset: u64,
        limit: u64,
    ) -> Result<Option<Vec<u8>>, CatalogError> {
        let at = at.into();
        let Some(file) = self.open(at)? else { return Ok(None) };
        let content = read_part(file, offset, limit);
        content.map(Some).map_err(|source| CatalogError { path: self.local(at), source })
    }

    /// The size of a regular file; `None` when there is none.
    pub fn size<'a>(&self, at: impl Into<At<'a>>) -> Result<Option<u64>, CatalogError> {
        Ok(self.look(at.into())?.and_then(Found::size))
    }

    /// Whether there is a directory that is no link to one.
    pub fn is_directory<'a>(&self, at: impl Into<At<'a>>) -> Result<bool, CatalogError> {
        Ok(self.look(at.into())?.is_some_and(|found| found.kind.is_dir()))
    }

    /// Whether there is anything, be it a link to nowhere.
    pub fn has<'a>(&self, at: impl Into<At<'a>>) -> Result<bool, CatalogError> {
        Ok(self.look(at.into())?.is_some())
    }
}

fn read_part(mut file: File, offset: u64, limit: u64) -> io::Result<Vec<u8>> {
    file.seek(SeekFrom::Start(offset))?;
    let mut content = Vec::new();
    file.take(limit).read_to_end(&mut content)?;
    Ok(content)
}

//! Whether a disk kept what was written to it.
//!
//! # Which call tells
//!
//! The kernel writes back when it likes, and a write that fails then is told to whoever asks next, once to each
//! descriptor. What is copied is written by rsync, and read by nobody before it is to be published, so:
//!
//! - `syncfs` tells a descriptor of every loss on its file system since the descriptor was opened, whoever was told
//!   before (errseq, in Linux 5.8 and later). So one is opened before the first write of a run and held to its end. One
//!   that is opened after the writes can miss a loss that another already saw.
//! - Before Linux 5.8 `syncfs` tells next to nothing, and on an overlay nothing of the file system below. There each
//!   file is synced by itself as well.
//!
//! A batch of 2048 WAL files of 512 KiB took 0.8 s with `syncfs`, 6.3 s with one `fsync` for each, and 2.8 s with both
//! (ext4 on a virtual disk); of 16 KiB 0.2 s, 1.5 s and 0.9 s.
//!
//! # After a loss
//!
//! Nothing tells which file it was. The pages of a lost write are kept as if they were clean, so that reading the
//! file shows what should be there until they are evicted, and another sync succeeds. Therefore a loss taints everything
//! that was written since the last good sync, also by others ([`Disk::sync`]), and what is tainted is read from the
//! disk itself, [`evict`]ed, before it is compared.

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

use rustix::fs::Advice;
use walkdir::WalkDir;

/// From this Linux on `syncfs` tells of lost writes.
const SYNCFS_TELLS: (u32, u32) = (5, 8);

/// `OVERLAYFS_SUPER_MAGIC` (Linux `magic.h`).
const OVERLAY: u64 = 0x794c_7630;

/// A file system that a run writes to.
pub struct Disk {
    descriptor: File,
    /// Whether each file is synced by itself.
    each: bool,
    /// How often writes were lost.
    losses: Mutex<u64>,
    sync_all: fn(&File) -> io::Result<()>,
}

/// When something began to be written: before any loss that is noticed later.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Since(u64);

impl Disk {
    /// The file system of a path, or of the nearest above it that exists. To be opened before the first write.
    pub fn open(path: &Path) -> io::Result<Self> {
        let existing = path.ancestors().find(|ancestor| ancestor.exists()).unwrap_or(path);
        let descriptor = File::open(existing)?;
        let is_overlay = u64::try_from(rustix::fs::fstatfs(&descriptor)?.f_type) == Ok(OVERLAY);
        let each = is_overlay || !syncfs_tells(&rustix::system::uname().release().to_string_lossy());
        Ok(Self { descriptor, each, losses: Mutex::default(), sync_all: |file| Ok(rustix::fs::syncfs(file)?) })
    }

    /// To be asked before something is written that will be synced.
    pub fn since(&self) -> Since {
        Since(*self.losses())
    }

    /// Makes durable what was written since then: these files, and those below these directories. An error when the
    /// disk lost any write since, whosever it was.
    pub fn sync(&self, since: Since, written: &[PathBuf]) -> io::Result<()> {
        // One after the other: a descriptor is told of a loss once, and all that sync must know.
        let mut losses = self.losses();
        let synced = (self.sync_all)(&self.descriptor).and_then(|()| self.sync_each(written));
        if synced.is_err() {
            *losses += 1;
        }
        synced?;
        if *losses == since.0 { Ok(()) } else { Err(io::Error::other(LOST)) }
    }

    /// Whether any write was lost that this run asked about.
    pub fn has_lost(&self) -> bool {
        *self.losses() > 0
    }

    /// Notes that a write was lost, as if the disk had told so.
    #[cfg(test)]
    pub fn lose(&self) {
        *self.losses() += 1;
    }

    fn sync_each(&self, written: &[PathBuf]) -> io::Result<()> {
        if !self.each {
            return Ok(());
        }
        files(written).try_for_each(|file| File::open(file?)?.sync_all())
    }

    fn losses(&self) -> MutexGuard<'_, u64> {
        // Nothing in here can panic half-way.
        self.losses.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

const LOST: &str = "the disk lost writes while this was being written";

/// Makes the next look at these files, and at those below these directories, a look at the disk.
pub fn evict(paths: &[PathBuf]) -> io::Result<()> {
    for path in files(paths) {
        let file = File::open(path?)?;
        if !file.metadata()?.is_file() {
            continue;
        }
        // Only what is written back can be evicted. That it fails, or did before, shows in what is read then.
        let _lost = file.sync_all();
        rustix::fs::fadvise(&file, 0, None, Advice::DontNeed)?;
    }
    Ok(())
}

/// The files among these paths and below them.
fn files(paths: &[PathBuf]) -> impl Iterator<Item = io::Result<PathBuf>> {
    let entries = paths.iter().flat_map(WalkDir::new);
    entries.filter_map(|entry| match entry {
        Ok(entry) => (!entry.path_is_symlink() && !is_other(&entry)).then(|| Ok(entry.into_path())),
        Err(error) if error.io_error().is_some_and(|error| error.kind() == io::ErrorKind::NotFound) => None,
        Err(error) => Some(Err(error.into())),
    })
}

/// A device, a pipe: opening it could hang.
fn is_other(entry: &walkdir::DirEntry) -> bool {
    !entry.file_type().is_file() && !entry.file_type().is_dir()
}

fn syncfs_tells(release: &str) -> bool {
    let mut numbers = release.split(|c: char| !c.is_ascii_digit()).map_while(|part| part.parse().ok());
    numbers.next().zip(numbers.next()).is_some_and(|version| version >= SYNCFS_TELLS)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_old_kernel_is_asked_file_by_file() {
        for (release, tells) in [("5.7.19", false), ("4.18.0-553.el8", false), ("5.8", true), ("6.18.44-fc", true)] {
            assert_eq!(syncfs_tells(release), tells, "{release}");
        }
        assert!(!syncfs_tells("odd"));
    }

    #[test]
    fn a_loss_taints_all_that_was_written_before_it_and_nothing_after() {
        let directory = tempfile::tempdir().unwrap();
        let mut disk = Disk::open(directory.path()).unwrap();
        let (one, other) = (disk.since(), disk.since());
        disk.sync_all = |_| Err(io::Error::from_raw_os_error(5));
        assert_eq!(disk.sync(one, &[]).unwrap_err().raw_os_error(), Some(5));
        // The kernel tells a descriptor once.
        disk.sync_all = |_| Ok(());
        assert_eq!(disk.sync(other, &[]).unwrap_err().to_string(), LOST);
        disk.sync(disk.since(), &[]).unwrap();
        assert!(disk.has_lost());
    }

    #[test]
    fn what_cannot_be_synced_by_itself_is_a_loss() {
        let directory = tempfile::tempdir().unwrap();
        let disk = Disk { each: true, ..Disk::open(directory.path()).unwrap() };
        std::fs::create_dir(directory.path().join("d")).unwrap();
        std::fs::write(directory.path().join("d/f"), "x").unwrap();
        std::os::unix::fs::symlink("nowhere", directory.path().join("d/link")).unwrap();
        disk.sync(disk.since(), &[directory.path().to_owned(), directory.path().join("gone")]).unwrap();
        evict(&[directory.path().to_owned()]).unwrap();
        assert!(!disk.has_lost());
    }

    #[test]
    fn a_directory_that_is_not_there_yet_is_on_the_disk_of_the_one_above() {
        let directory = tempfile::tempdir().unwrap();
        let disk = Disk::open(&directory.path().join("a/b")).unwrap();
        disk.sync(disk.since(), &[]).unwrap();
    }
}

//! Private directories for what lives as long as a run: the sockets of ssh, small files that are fetched to be read.
//!
//! A run that is killed removes nothing. So each of these directories has a file that its run keeps locked, and whoever
//! makes another one beside it removes those whose lock is free: their run is gone. Nothing is touched that is not such
//! a directory of this user, readable for this user alone, and no link is followed.

use std::ffi::OsStr;
use std::fs::{self, File, OpenOptions, Permissions};
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::Path;

use rustix::fs::{FileType, FlockOperation, Mode, OFlags, flock, fstat, openat};
use tempfile::TempDir;

use super::paths;

/// What the names of the directories begin with.
const PREFIX: &str = "antipode-";

/// The length of a name.
pub(super) const NAME_LENGTH: usize = PREFIX.len() + 6;

/// The file that is locked.
const OWNER: &str = "owner";

/// A private directory, removed when this is dropped, or else by a later run.
#[derive(Debug)]
pub struct PrivateDir {
    directory: TempDir,
    /// Locked until the process ends.
    _owner: File,
}

impl PrivateDir {
    /// Makes one in a directory, and removes what killed runs left there.
    pub fn make_in(parent: &Path) -> io::Result<Self> {
        sweep(parent);
        let permissions = Permissions::from_mode(0o700);
        let directory = tempfile::Builder::new()
            .prefix(PREFIX)
            .rand_bytes(NAME_LENGTH - PREFIX.len())
            .permissions(permissions)
            .tempdir_in(parent)?;
        // It gets its name when it is locked: a lock that is free never belongs to a run that is about to take it.
        let unnamed = directory.path().join("new");
        let owner = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&unnamed)?;
        flock(&owner, FlockOperation::NonBlockingLockExclusive)?;
        fs::rename(&unnamed, directory.path().join(OWNER))?;
        Ok(Self { directory, _owner: owner })
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        self.directory.path()
    }
}

/// Removes the directories of runs that are gone. What cannot be removed is no failure of this run.
fn sweep(parent: &Path) {
    for entry in paths::entries(parent).unwrap_or_default() {
        let name = entry.file_name();
        let is_one = name.len() == NAME_LENGTH && name.to_string_lossy().starts_with(PREFIX);
        if is_one && let Ok(Some(_nobody_else_removes_it)) = abandoned(parent, &name) {
            let removed = fs::remove_dir_all(entry.path());
            tracing::debug!(directory = %entry.path().display(), ?removed, "left by a run that was killed");
        }
    }
}

/// The lock of a directory whose run is gone.
fn abandoned(parent: &Path, name: &OsStr) -> io::Result<Option<OwnedFd>> {
    let me = rustix::process::geteuid().as_raw();
    let flags = OFlags::NOFOLLOW | OFlags::CLOEXEC | OFlags::NONBLOCK;
    let parent = File::open(parent)?;
    let directory = openat(&parent, name, flags | OFlags::RDONLY | OFlags::DIRECTORY, Mode::empty())?;
    let found = fstat(&directory)?;
    if found.st_uid != me || found.st_mode & 0o077 != 0 {
        return Ok(None);
    }
    let owner = openat(&directory, OWNER, flags | OFlags::RDWR, Mode::empty())?;
    let found = fstat(&owner)?;
    let is_ours = found.st_uid == me && FileType::from_raw_mode(found.st_mode) == FileType::RegularFile;
    let is_free = is_ours && flock(&owner, FlockOperation::NonBlockingLockExclusive).is_ok();
    Ok(is_free.then_some(owner))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    fn names(parent: &Path) -> Vec<String> {
        let mut names: Vec<String> =
            fs::read_dir(parent).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }

    /// A directory as a killed run leaves it.
    fn left_behind(parent: &Path, name: &str) {
        fs::create_dir(parent.join(name)).unwrap();
        fs::set_permissions(parent.join(name), Permissions::from_mode(0o700)).unwrap();
        fs::write(parent.join(name).join(OWNER), "").unwrap();
        fs::write(parent.join(name).join("backup_manifest"), "{}").unwrap();
    }

    #[test]
    fn what_killed_runs_left_is_removed_and_what_lives_is_not() {
        let parent = tempfile::tempdir().unwrap();
        let living = PrivateDir::make_in(parent.path()).unwrap();
        left_behind(parent.path(), "antipode-killed");
        let other = PrivateDir::make_in(parent.path()).unwrap();
        assert!(living.path().exists() && other.path().exists());
        assert_eq!(names(parent.path()).len(), 2);
        drop((living, other));
        assert_eq!(names(parent.path()), [""; 0]);
    }

    #[test]
    fn nothing_is_removed_that_is_not_plainly_a_directory_of_ours() {
        let (parent, elsewhere) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        left_behind(elsewhere.path(), "target");
        for (name, mode) in [("antipode-public", 0o755), ("antipode-groups", 0o770), ("antipode-longer-name", 0o700)] {
            left_behind(parent.path(), name);
            fs::set_permissions(parent.path().join(name), Permissions::from_mode(mode)).unwrap();
        }
        symlink(elsewhere.path().join("target"), parent.path().join("antipode-linked")).unwrap();
        fs::create_dir(parent.path().join("antipode-nolock")).unwrap();
        let before = names(parent.path());
        sweep(parent.path());
        assert_eq!(names(parent.path()), before);
        assert!(elsewhere.path().join("target/owner").exists());
    }
}

//! Where a drill is made, one at a time of a catalog: a directory of its own, which goes with it, also after a kill.

use std::fs::{self, DirBuilder, File};
use std::io::{self, ErrorKind};
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

use crate::error::{Error, Kind};
use crate::store::home;
use crate::store::locks::{Lock, LockError};
use crate::store::posix::files::{check_ours, room};
use crate::store::{Reserve, Room};

/// In the directory that somebody named.
const NAME: &str = "antipode-drill";

/// A directory that a drill has for itself.
#[derive(Debug)]
pub struct Ground {
    directory: PathBuf,
    _lock: Lock,
}

impl Ground {
    /// Takes it, and removes what a drill left there that was killed.
    pub fn take(home: &Path, named: Option<&Path>) -> Result<Self, Error> {
        let directory = directory(home, named);
        let made = |error: io::Error| at(&directory, "made", &error);
        // A disk that is not mounted has no room.
        if let Some(named) = named {
            fs::metadata(named).map_err(|error| at(named, "used", &error))?;
        }
        DirBuilder::new().recursive(true).mode(0o700).create(&directory).map_err(made)?;
        check_ours(&directory).map_err(|error| at(&directory, "used", &error))?;
        let lock = Lock::try_acquire(&directory.join("lock")).map_err(|error| match error {
            LockError::Busy { holder, .. } => {
                let who = holder.map_or_else(|| "another process".to_owned(), |holder| holder.to_string());
                Error::new(Kind::Busy, format!("a drill is at work in {}, by {who}", directory.display()))
                    .hint("one at a time; try again when it has ended")
            }
            error @ LockError::Io { .. } => error.into(),
        })?;
        let ground = Self { directory, _lock: lock };
        ground.clear()?;
        Ok(ground)
    }

    /// The data directory.
    pub fn data(&self) -> PathBuf {
        self.directory.join("data")
    }

    /// Where a tablespace goes.
    pub fn tablespace(&self, oid: u32) -> PathBuf {
        self.directory.join("tablespaces").join(oid.to_string())
    }

    /// A file besides.
    pub fn file(&self, name: &str) -> PathBuf {
        self.directory.join(name)
    }

    /// The room for it.
    pub fn room(&self, reserve: Reserve) -> Option<Room> {
        room(&self.directory, reserve)
    }

    /// Whether a copy of this file would take no room here.
    pub fn shares_blocks_with(&self, file: &File) -> bool {
        let probe = self.directory.join("probe");
        let shares = File::create(&probe).is_ok_and(|made| rustix::fs::ioctl_ficlone(&made, file).is_ok());
        let _removed_with_the_rest = fs::remove_file(&probe);
        shares
    }

    /// Removes everything but the lock.
    pub fn clear(&self) -> Result<(), Error> {
        for entry in fs::read_dir(&self.directory).map_err(|error| at(&self.directory, "read", &error))? {
            let path = entry.map_err(|error| at(&self.directory, "read", &error))?.path();
            if path.file_name().is_some_and(|name| name == "lock") {
                continue;
            }
            let is_directory = path.symlink_metadata().is_ok_and(|metadata| metadata.is_dir());
            let removed = if is_directory { fs::remove_dir_all(&path) } else { fs::remove_file(&path) };
            removed.or_else(unless_gone).map_err(|error| at(&path, "removed", &error))?;
        }
        Ok(())
    }
}

impl Drop for Ground {
    fn drop(&mut self) {
        if let Err(error) = self.clear() {
            tracing::warn!("what a drill made is left, and the next one removes it: {error}");
        }
    }
}

/// Removes what a drill left that was killed; nothing where one is at work, or none ever was.
pub fn remove_leftovers(home: &Path, named: Option<&Path>) -> Result<(), Error> {
    let is_there = |path: &Path| path.symlink_metadata().is_ok();
    let directory = directory(home, named);
    if !is_there(&directory) {
        return Ok(());
    }
    let left = fs::read_dir(&directory).map_err(|error| at(&directory, "read", &error))?;
    if left.flatten().all(|entry| entry.file_name() == "lock") {
        return Ok(());
    }
    match Ground::take(home, named) {
        Err(error) if error.kind != Kind::Busy => Err(error),
        _ => Ok(()),
    }
}

fn directory(home: &Path, named: Option<&Path>) -> PathBuf {
    named.map_or_else(|| home::own(home).join("drill"), |named| named.join(NAME))
}

fn unless_gone(error: io::Error) -> io::Result<()> {
    if error.kind() == ErrorKind::NotFound { Ok(()) } else { Err(error) }
}

fn at(path: &Path, deed: &str, error: &io::Error) -> Error {
    Error::new(Kind::from(error), format!("{} cannot be {deed}: {error}", path.display()))
        .hint("a drill needs a directory that this user may write: `drill.directory` of the site file names another")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_drill_has_it_at_a_time_and_nothing_is_left_of_a_killed_one() {
        let home = tempfile::tempdir().unwrap();
        home::prepare(home.path()).unwrap();
        remove_leftovers(home.path(), None).unwrap();
        let ground = Ground::take(home.path(), None).unwrap();
        let (data, directory) = (ground.data(), ground.directory.clone());
        fs::create_dir(&data).unwrap();
        fs::write(ground.file("log"), "x").unwrap();
        assert_eq!(Ground::take(home.path(), None).unwrap_err().kind, Kind::Busy);
        remove_leftovers(home.path(), None).unwrap();
        assert!(data.exists(), "it is at work");
        drop(ground);
        let left = || fs::read_dir(&directory).unwrap().map(|entry| entry.unwrap().file_name()).collect::<Vec<_>>();
        assert_eq!(left(), ["lock"]);
        fs::create_dir(&data).unwrap();
        std::os::unix::fs::symlink("/", directory.join("link")).unwrap();
        remove_leftovers(home.path(), None).unwrap();
        assert_eq!(left(), ["lock"]);
    }
}

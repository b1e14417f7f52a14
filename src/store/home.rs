//! A whole catalog, `barman_home`.

use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use super::posix::ours::{self, NotOurs, Stage};
use super::posix::{durable, files, places};
use rustix::fs::Access;

use super::locks::{Holder, Lock, LockError};
use super::{CatalogError, pedigree};
use crate::barman::ids::ServerName;
use crate::barman::layout::ServerDirs;
use crate::error::{Error, Kind};
use crate::user::User;

/// A catalog cannot be worked on.
#[derive(Debug, thiserror::Error)]
pub enum HomeError {
    /// It belongs to somebody else.
    #[error("the catalog {} belongs to {owner}, and this is {us}: run as its owner, as Barman does", home.display())]
    Owner {
        /// `barman_home`
        home: PathBuf,
        /// The user that it belongs to.
        owner: User,
        /// The user that this runs as.
        us: User,
    },
    /// It is not there, and cannot be made.
    #[error("the catalog {} does not exist, and {us} cannot make it: {source}", home.display())]
    Missing {
        /// `barman_home`
        home: PathBuf,
        /// The user that this runs as.
        us: User,
        /// What the system said.
        source: io::Error,
    },
    /// It cannot be written.
    #[error("the catalog {} cannot be written: {source}", home.display())]
    Io {
        /// `barman_home`, or our own directory in it.
        home: PathBuf,
        /// What the system said.
        source: io::Error,
    },
}

impl From<HomeError> for Error {
    fn from(error: HomeError) -> Self {
        let (kind, hint) = match &error {
            HomeError::Owner { owner, .. } => {
                (Kind::PermissionDenied, Some(format!("run `sudo -u {} antipode ...`", owner.for_sudo())))
            }
            HomeError::Missing { home, us, source } => {
                let owner = if us.is_root() { "USER".to_owned() } else { us.for_chown() };
                let hint = format!(
                    "make it for the user that Barman runs as: `sudo install -d -m 0750 -o {owner} {}`; or correct \
                     `catalog.path`",
                    shell_words::quote(&home.to_string_lossy())
                );
                (Kind::from(source), Some(hint))
            }
            HomeError::Io { source, .. } => (Kind::from(source), advice(Kind::from(source)).map(str::to_owned)),
        };
        Self { hint, ..Self::new(kind, error.to_string()) }.because(error)
    }
}

/// What to do about a catalog that cannot be written.
fn advice(kind: Kind) -> Option<&'static str> {
    match kind {
        Kind::ReadOnly => Some("mount its file system writable; `antipode plan` works as it is"),
        Kind::PermissionDenied => Some("run as the user that owns the catalog"),
        Kind::NoSpace => Some("free space on its file system and apply again"),
        _ => None,
    }
}

/// Whether this user can work on a catalog, as far as that shows without touching it.
pub fn check(home: &Path) -> Result<(), HomeError> {
    let us = User::of_this_run;
    match home.metadata() {
        Ok(found) if found.uid() != rustix::process::geteuid().as_raw() => {
            Err(HomeError::Owner { home: home.to_owned(), owner: User::of(found.uid()), us: us() })
        }
        Ok(_) => Ok(()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            let above = home.parent().unwrap_or(home);
            let may = rustix::fs::access(above, Access::WRITE_OK | Access::EXEC_OK);
            may.map_err(|errno| not_made(home, errno.into()))
        }
        Err(source) => Err(HomeError::Io { home: home.to_owned(), source }),
    }
}

fn not_made(home: &Path, source: io::Error) -> HomeError {
    let home = home.to_owned();
    match source.kind() {
        io::ErrorKind::NotFound | io::ErrorKind::PermissionDenied => {
            HomeError::Missing { home, us: User::of_this_run(), source }
        }
        _ => HomeError::Io { home, source },
    }
}

/// Makes a catalog if only its last directory is missing, and the place of our own in it. One of somebody else is refused.
pub fn prepare(home: &Path) -> Result<(), HomeError> {
    let io = |source| HomeError::Io { home: home.to_owned(), source };
    check(home)?;
    if !home.exists() {
        fs::create_dir(home).map_err(|source| not_made(home, source))?;
    }
    let own = home.join(places::OWN_DIRECTORY);
    ours::check([Stage { directory: home, may_be_link: true }, Stage { directory: &own, may_be_link: false }])
        .map_err(|NotOurs { directory, why }| HomeError::Io { home: directory, source: why })?;
    durable::create_private_directory(&own).map_err(io)?;
    pedigree::name(home).map(drop).map_err(io)
}

/// Makes this program the one that keeps a catalog by itself, as long as the lock is held.
pub fn keep(home: &Path) -> Result<Lock, Error> {
    Lock::try_acquire(&keeper_lock(home)).map_err(|error| match error {
        LockError::Busy { holder, .. } => {
            let who = holder.map_or_else(|| "another process".to_owned(), |holder| holder.to_string());
            Error::new(Kind::Locked, format!("the catalog {} is kept already, by {who}", home.display()))
                .hint("one `antipode run` keeps all replicas of a catalog: put them into its site file, or end it")
        }
        error @ LockError::Io { .. } => error.into(),
    })
}

/// Who keeps a catalog by itself: nobody, or a process that may have written its id.
pub fn keeper(home: &Path) -> Option<Option<Holder>> {
    let path = keeper_lock(home);
    // Who may not read the lock is not told.
    Lock::is_held(&path).is_ok_and(|held| held).then(|| Holder::by(&files::read(&path, 64).ok()??))
}

fn keeper_lock(home: &Path) -> PathBuf {
    home.join(places::OWN_DIRECTORY).join("keeper.lock")
}

/// The servers that a Barman made directories for.
pub fn servers(home: &Path) -> Result<BTreeSet<ServerName>, CatalogError> {
    let mut names = BTreeSet::new();
    for entry in files::list(home)?.into_iter().filter(|entry| entry.kind.is_dir()) {
        let Ok(name) = entry.name.parse() else { continue };
        let directory = home.join(&entry.name);
        if files::is_directory(&directory.join("base"))? || files::is_directory(&directory.join("meta"))? {
            names.insert(name);
        }
    }
    Ok(names)
}

/// Whether an apply has worked on a server.
pub fn is_ours(dirs: &ServerDirs) -> Result<bool, CatalogError> {
    files::is_directory(&places::own(dirs))
}

/// Our own directory of a whole catalog.
pub fn own(home: &Path) -> PathBuf {
    home.join(places::OWN_DIRECTORY)
}

/// More than any note of a whole catalog.
const MAX_NOTE: u64 = 1 << 20;

/// A note of a whole catalog in its own directory; `None` where there is none, or the directory is somebody else's.
pub fn noted(home: &Path, name: &str) -> Option<Vec<u8>> {
    let own = home.join(places::OWN_DIRECTORY);
    files::check_ours(&own).ok()?;
    files::read(&own.join(name), MAX_NOTE).ok()?
}

/// Makes or replaces such a note where that directory is. After a power cut it may be gone or torn.
pub fn note(home: &Path, name: &str, content: &[u8]) -> io::Result<()> {
    let own = home.join(places::OWN_DIRECTORY);
    files::check_ours(&own)?;
    durable::note(&own.join(name), content)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_missing_catalog_that_cannot_be_made_is_told_before_anything_is_done() {
        let above = tempfile::tempdir().unwrap();
        assert!(check(&above.path().join("catalog")).is_ok());
        let missing = Error::from(check(&above.path().join("no/catalog")).unwrap_err());
        assert_eq!(missing.kind, Kind::NotFound);
        assert!(missing.message.contains("no/catalog does not exist, and "), "{missing}");
        let hint = missing.hint.unwrap();
        assert!(hint.contains("`sudo install -d -m 0750 -o ") && hint.contains("no/catalog`"), "{hint}");
        assert!(!above.path().join("no").exists());
    }

    #[test]
    fn servers_of_a_catalog_are_its_directories() {
        let home = tempfile::tempdir().unwrap();
        for directory in ["main/base", "new/meta", ".antipode/base", "lost+found", "all/base"] {
            std::fs::create_dir_all(home.path().join(directory)).unwrap();
        }
        std::os::unix::fs::symlink("main", home.path().join("link")).unwrap();
        let names: Vec<String> = servers(home.path()).unwrap().iter().map(ToString::to_string).collect();
        assert_eq!(names, ["main", "new"]);
    }
}

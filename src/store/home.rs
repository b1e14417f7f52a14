//! A whole catalog, `barman_home`.

use std::collections::BTreeSet;
use std::fmt;
use std::fs::{self, Permissions};
use std::io;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

use super::posix::{durable, files, places};
use super::{CatalogError, pedigree};
use crate::barman::ids::ServerName;
use crate::barman::layout::ServerDirs;
use crate::error::{Error, Kind};

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
    /// It cannot be written.
    #[error("the catalog {} cannot be written: {source}", home.display())]
    Io {
        /// `barman_home`
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
            HomeError::Io { source, .. } => (Kind::from(source), advice(Kind::from(source)).map(str::to_owned)),
        };
        Self { hint, ..Self::new(kind, error.to_string()) }.because(error)
    }
}

/// A user of this machine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct User {
    id: u32,
    name: Option<String>,
}

impl User {
    /// The user of an id, with the name that /etc/passwd has for it.
    fn of(id: u32) -> Self {
        let passwd = fs::read_to_string("/etc/passwd").unwrap_or_default();
        Self { id, name: name_in(&passwd, id) }
    }

    /// As sudo(8) takes it: a name, or an id behind `#`, which a shell must not take for a comment.
    fn for_sudo(&self) -> String {
        self.name.clone().unwrap_or_else(|| format!("'#{}'", self.id))
    }
}

impl fmt::Display for User {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.name {
            Some(name) => f.write_str(name),
            None => write!(f, "user id {}", self.id),
        }
    }
}

/// The name of an id in the form of passwd(5): `name:password:id:…`.
fn name_in(passwd: &str, id: u32) -> Option<String> {
    passwd.lines().find_map(|line| {
        let mut fields = line.split(':');
        let (name, _password, of) = (fields.next()?, fields.next()?, fields.next()?);
        (of.parse() == Ok(id)).then(|| name.to_owned())
    })
}

/// What to do about a catalog that cannot be written.
fn advice(kind: Kind) -> Option<&'static str> {
    match kind {
        Kind::ReadOnly => Some("mount its file system writable; `antipode plan` works as it is"),
        Kind::PermissionDenied => Some("run as the user that owns the catalog"),
        Kind::NoSpace => Some("free space on its file system and apply again"),
        Kind::NotFound => Some("make the directory above it, or correct `catalog.path`"),
        _ => None,
    }
}

/// Makes a catalog if only its last directory is missing, and the place of our own in it. One of somebody else is refused.
pub fn prepare(home: &Path) -> Result<(), HomeError> {
    let io = |source| HomeError::Io { home: home.to_owned(), source };
    if !home.exists() {
        fs::create_dir(home).map_err(io)?;
    }
    let (owner, us) = (home.metadata().map_err(io)?.uid(), rustix::process::geteuid().as_raw());
    if owner != us {
        return Err(HomeError::Owner { home: home.to_owned(), owner: User::of(owner), us: User::of(us) });
    }
    let own = home.join(places::OWN_DIRECTORY);
    durable::create_directory(&own).map_err(io)?;
    fs::set_permissions(&own, Permissions::from_mode(0o700)).map_err(io)?;
    pedigree::name(home).map(drop).map_err(io)
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
    fn a_user_is_told_by_name_and_one_without_a_name_by_id() {
        let passwd = "root:x:0:0:root:/root:/bin/bash\nbroken\nbarman:x:1006:1006::/var/lib/barman:/bin/bash\n";
        for (id, shown, for_sudo) in [(1006, "barman", "barman"), (7, "user id 7", "'#7'")] {
            let user = User { id, name: name_in(passwd, id) };
            assert_eq!((user.to_string().as_str(), user.for_sudo().as_str()), (shown, for_sudo));
        }
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

//! The servers of a whole catalog, `barman_home`.

use std::collections::BTreeSet;
use std::io;
use std::path::Path;

use super::CatalogError;
use super::posix::{durable, files, places};
use crate::barman::ids::ServerName;
use crate::barman::layout::ServerDirs;

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

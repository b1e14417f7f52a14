//! The servers of a whole catalog, `barman_home`.

use std::collections::BTreeSet;
use std::path::Path;

use super::CatalogError;
use super::posix::{files, places};
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

//! Which servers a primary has, for mirrors.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use crate::barman::ids::{ServerName, is_unprintable};
use crate::barman::layout::ServerDirs;
use crate::barman::staging::OWN_DIRECTORY;
use crate::site::model::{Access, Primary};
use crate::transport::Connection;

use super::catalog::{CatalogError, files, last_apply};
use super::failure::Failure;

/// The servers of a primary.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Servers {
    /// Their names, sorted. An inactive one is among them.
    pub names: Vec<ServerName>,
    /// Lines that were passed over, safe to print.
    pub ignored: Vec<String>,
}

/// Asks a primary which servers it has.
pub async fn servers(primary: &Primary, connection: &Connection) -> Result<Servers, Failure> {
    let answer = match (&connection.commands, &primary.access) {
        (Some(commands), _) => commands.list_servers().await.map(|stdout| parse(&stdout)).map_err(Failure::from),
        (None, Access::Path(home)) => {
            let home = home.clone();
            tokio::task::spawn_blocking(move || in_catalog(&home)).await?.map_err(Failure::from)
        }
        (None, Access::Ssh { .. }) => Err(Failure::new("the connection runs no commands")),
    };
    answer.map_err(|failure| failure.of(format_args!("primary {}", primary.name)))
}

/// The servers of which an apply left something at a site, with the primary that each is a copy of where that is noted.
pub fn copied_here(catalog: &Path) -> Result<BTreeMap<ServerName, Option<String>>, CatalogError> {
    let mut servers = BTreeMap::new();
    for name in in_catalog(catalog)?.names {
        let dirs = ServerDirs::of_catalog(catalog, name.clone());
        if files::is_directory(&dirs.backup_directory.join(OWN_DIRECTORY))? {
            servers.insert(name, last_apply(&dirs).map(|last| last.primary));
        }
    }
    Ok(servers)
}

/// Reads the answer of `barman list-servers --minimal`: one name a line, and nothing tells a login banner from it.
///
/// So a line is a name when it is a valid one, has a letter or a digit, and has no white space inside: banners are
/// sentences, rules and empty lines. Everything else is passed over and told. A server whose name has a space in it is
/// mirrored by naming it among the replicas. A banner of one word is taken for a server; asking for it fails by name.
fn parse(stdout: &[u8]) -> Servers {
    let text = String::from_utf8_lossy(stdout);
    let mut names = BTreeSet::new();
    let mut ignored = Vec::new();
    for line in text.lines().map(str::trim).filter(|line| !line.is_empty()) {
        let is_word = line.contains(char::is_alphanumeric) && !line.contains(char::is_whitespace);
        match line.parse() {
            Ok(name) if is_word => {
                names.insert(name);
            }
            _ => ignored.push(line.chars().map(|c| if is_unprintable(c) { ' ' } else { c }).take(100).collect()),
        }
    }
    Servers { names: names.into_iter().collect(), ignored }
}

/// The directories of a `barman_home` that a Barman made for servers.
fn in_catalog(home: &Path) -> Result<Servers, CatalogError> {
    let mut names = BTreeSet::new();
    for entry in files::list(home)?.into_iter().filter(|entry| entry.kind.is_dir()) {
        let Ok(name) = entry.name.parse() else { continue };
        let directory = home.join(&entry.name);
        if files::is_directory(&directory.join("base"))? || files::is_directory(&directory.join("meta"))? {
            names.insert(name);
        }
    }
    Ok(Servers { names: names.into_iter().collect(), ignored: Vec::new() })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(servers: &Servers) -> Vec<&str> {
        servers.names.iter().map(ServerName::as_str).collect()
    }

    #[test]
    fn names_are_found_behind_a_banner() {
        let servers = parse(b"*****\r\nWelcome to \x1b[1mfra\x1b[0m\r\n\r\n../../etc\n-rf\nmain\npg-15.prod\nmain\n");
        assert_eq!(names(&servers), ["main", "pg-15.prod"]);
        assert_eq!(servers.ignored, ["*****", "Welcome to  [1mfra [0m", "../../etc", "-rf"]);
    }

    #[test]
    fn a_primary_without_servers_prints_nothing() {
        assert_eq!(parse(b""), Servers::default());
    }

    #[test]
    fn servers_of_a_catalog_are_its_directories() {
        let home = tempfile::tempdir().unwrap();
        for directory in ["main/base", "new/meta", ".antipode/base", "lost+found", "all/base"] {
            std::fs::create_dir_all(home.path().join(directory)).unwrap();
        }
        std::os::unix::fs::symlink("main", home.path().join("link")).unwrap();
        assert_eq!(names(&in_catalog(home.path()).unwrap()), ["main", "new"]);
    }
}

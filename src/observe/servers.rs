//! Which servers a primary has, for mirrors.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use super::inventory::{Holds, Unclaimed};
use crate::barman::backup_info::Status;
use crate::barman::ids::{ServerName, is_unprintable};
use crate::barman::layout::ServerDirs;
use crate::error::{Error, Kind};
use crate::site::model::{Access, Primary, Site};
use crate::store::{CatalogError, Posix, home};
use crate::transport::Connection;

use super::catalog::backups::{self, Backups, CatalogBackup, InfoFile};
use super::catalog::{detachment, last_apply};
use super::inventory::SiteSection;
use super::site_barman::SiteConf;

/// The servers of a primary.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Servers {
    /// Their names, sorted. An inactive one is among them.
    pub names: Vec<ServerName>,
    /// Lines that were passed over, safe to print.
    pub ignored: Vec<String>,
}

/// Asks a primary which servers it has.
pub async fn servers(primary: &Primary, connection: &Connection) -> Result<Servers, Error> {
    let answer = match (&connection.commands, &primary.access) {
        (Some(commands), _) => commands.list_servers().await.map(|stdout| parse(&stdout)),
        (None, Access::Path(home)) => {
            let home = home.clone();
            let names = tokio::task::spawn_blocking(move || home::servers(&home)).await??;
            Ok(Servers { names: names.into_iter().collect(), ignored: Vec::new() })
        }
        (None, Access::Ssh { .. }) => Err(Error::new(Kind::Internal, "the connection runs no commands")),
    };
    answer.map_err(|error| error.with_reason().of(format_args!("primary {}", primary.name)))
}

/// The servers of which an apply left something at a site, with the primary that each is a copy of where that is noted.
pub fn copied_here(catalog: &Path) -> Result<BTreeMap<ServerName, Option<String>>, CatalogError> {
    let mut servers = BTreeMap::new();
    for name in home::servers(catalog)? {
        let dirs = ServerDirs::of_catalog(catalog, name.clone());
        if home::is_ours(&dirs)? {
            servers.insert(name, last_apply(&Posix::new(dirs)).map(|last| last.primary));
        }
    }
    Ok(servers)
}

/// The servers at a site that nobody claims, with what is here of them.
///
/// A copy is told by what an apply left in it. One that is told by nothing but the mode of its backups counts only where
/// barman.conf says that no Barman copies it, and what the site's own Barman works on is never one. What that Barman has no
/// section for, and is no copy, is nobody's.
pub fn unclaimed(
    site: &Site,
    is_claimed: impl Fn(&ServerName) -> bool,
) -> Result<BTreeMap<ServerName, Unclaimed>, Error> {
    let barman = SiteConf::read(&site.catalog)?;
    let mut unclaimed = BTreeMap::new();
    for name in home::servers(&site.catalog.path)?.into_iter().filter(|name| !is_claimed(name)) {
        let (dirs, own) = barman.server(&name)?;
        let is_at_rest = !own.active || own.idle;
        let store = Posix::new(dirs.clone());
        let backups = backups::read(&store).ok();
        let is_copy = match own.section {
            SiteSection::Present if !is_at_rest => false,
            SiteSection::Unknown => is_ours(&dirs),
            SiteSection::Present | SiteSection::Missing { .. } => {
                is_ours(&dirs) || backups.as_ref().is_some_and(has_passive)
            }
        };
        let is_nobodys = matches!(own.section, SiteSection::Missing { .. });
        if is_copy || is_nobodys {
            let primary = last_apply(&store).map(|last| last.primary);
            let detachment = detachment(&store);
            unclaimed.insert(name, Unclaimed { is_copy, primary, holds: holds(dirs, backups.as_ref()), detachment });
        }
    }
    Ok(unclaimed)
}

/// Whether an apply left something there. Where that cannot be read, it is not known to be anybody else's.
fn is_ours(dirs: &ServerDirs) -> bool {
    home::is_ours(dirs).unwrap_or(true)
}

fn has_passive(backups: &Backups) -> bool {
    backups.by_id.values().filter_map(CatalogBackup::info).any(|file| file.fields().mode() == Some("passive"))
}

fn holds(dirs: ServerDirs, backups: Option<&Backups>) -> Holds {
    let done = |backups: &Backups| {
        let infos = backups.by_id.values().filter_map(CatalogBackup::info);
        let facts = infos.filter_map(|file| match file {
            InfoFile::Readable(metadata) => Some(&metadata.facts),
            InfoFile::Broken { .. } => None,
        });
        facts.filter(|facts| facts.status == Status::Done).map(|facts| facts.end_time).collect::<Vec<_>>()
    };
    let done = backups.map(done);
    let newest = done.iter().flatten().flatten().max().copied();
    Holds { directory: dirs.backup_directory, backups: done.map(|done| done.len()), newest }
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
}

//! What a key serves: servers, and where their files really are.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Component, Path, PathBuf};

use crate::barman::ids::ServerName;
use crate::barman::layout::ServerDirs;
use crate::cli;
use crate::error::{Error, Kind};
use crate::gate::{Refusal, shown};
use crate::store::pedigree;

use super::super::barman::conf_file::ConfFile;

/// What a key serves.
#[derive(Debug)]
pub struct Bounds {
    /// Directories of each server, without links.
    servers: BTreeMap<ServerName, Vec<PathBuf>>,
    /// Directories that may be listed, and nothing below them read: they tell what a catalog descends from.
    listed: Vec<PathBuf>,
    /// Servers of the key that barman.conf has outside of its `--home`.
    outside: BTreeSet<ServerName>,
    /// The key's servers, by name; `None` for all.
    named: Option<Vec<String>>,
}

/// Where a directory is that was asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Place {
    /// In one of the directories of a server, which are these.
    Server(Vec<PathBuf>),
    /// Above those of all servers.
    Above,
}

impl Bounds {
    /// What the arguments say, of what barman.conf has.
    pub fn of(file: &ConfFile, arguments: &cli::Gate) -> Result<Self, Error> {
        let home = arguments.home.as_deref().map(real).transpose()?;
        let named = (!arguments.all).then(|| arguments.servers.clone());
        let mut bounds = Self { servers: BTreeMap::new(), listed: Vec::new(), outside: BTreeSet::new(), named };
        for name in file.conf.sections() {
            if !bounds.names_server(name) {
                continue;
            }
            let server: ServerName = name.parse().map_err(|error| invalid(&error))?;
            let conf = file.conf.server(&server).map_err(|error| file.invalid(&error))?;
            let Some(conf) = conf else { continue };
            let directories = directories(&conf.dirs);
            if home.as_deref().is_some_and(|home| directories.iter().any(|directory| !directory.starts_with(home))) {
                bounds.outside.insert(server);
                continue;
            }
            if bounds.named.is_none() {
                bounds
                    .listed
                    .extend(pedigree::directories(&conf.dirs).iter().filter_map(|path| fs::canonicalize(path).ok()));
            }
            bounds.servers.insert(server, directories);
        }
        Ok(bounds)
    }

    fn names_server(&self, name: &str) -> bool {
        self.named.as_ref().is_none_or(|named| named.iter().any(|served| served == name))
    }

    /// The servers that barman.conf has.
    pub fn names(&self) -> impl Iterator<Item = &ServerName> {
        self.servers.keys()
    }

    /// Every directory whose files may be read, and those that may only be listed.
    pub fn all(&self) -> (Vec<PathBuf>, &[PathBuf]) {
        (self.servers.values().flatten().cloned().collect(), &self.listed)
    }

    /// Refuses a server that is not served. Of one that barman.conf does not have, Barman says so.
    pub fn check_server(&self, server: &ServerName) -> Result<(), Refusal> {
        if self.names_server(server.as_str()) && !self.outside.contains(server) {
            return Ok(());
        }
        let served = match &self.named {
            Some(named) => named.join(", "),
            None => "what is below its `--home`".to_owned(),
        };
        Err(Refusal::Server { server: server.clone(), served })
    }

    /// Where a directory is, or why it is refused. One that is not there is where it would be.
    pub fn place(&self, asked: &Path) -> Result<Place, Refusal> {
        let refused = |why: &str| Refusal::Directory { directory: shown(asked.as_os_str()), why: why.to_owned() };
        if asked.components().any(|component| component == Component::ParentDir) {
            return Err(refused("goes up by `..`"));
        }
        let Some(real) = nearest(asked) else { return Err(refused("cannot be looked at")) };
        let inside = |directories: &&Vec<PathBuf>| directories.iter().any(|directory| real.starts_with(directory));
        if let Some(directories) = self.servers.values().find(inside) {
            return Ok(Place::Server(directories.clone()));
        }
        let is_above =
            !self.servers.is_empty() && self.servers.values().flatten().all(|directory| directory.starts_with(&real));
        if is_above && self.named.is_none() {
            return Ok(Place::Above);
        }
        Err(refused("belongs to no server that this key serves"))
    }
}

/// Refuses a barman.conf that is not the one of this key.
pub fn check_conf(file: &ConfFile, asked: Option<&Path>) -> Result<(), Refusal> {
    let Some(asked) = asked else { return Ok(()) };
    let is_same =
        fs::canonicalize(asked).ok().is_some_and(|asked| fs::canonicalize(&file.path).is_ok_and(|own| own == asked));
    if is_same {
        return Ok(());
    }
    Err(Refusal::Conf { asked: shown(asked.as_os_str()), read: shown(file.path.as_os_str()) })
}

/// Where the files of a server are. A link to another disk is followed where Barman's users make one: at the server itself,
/// and at the directories that barman.conf names.
fn directories(dirs: &ServerDirs) -> Vec<PathBuf> {
    let mut real: Vec<PathBuf> = dirs.all().into_iter().filter_map(nearest).collect();
    real.sort();
    real.dedup_by(|path, above| path.starts_with(above));
    real
}

/// A path without links, of which the end may not be there; `None` where even that cannot be seen.
fn nearest(path: &Path) -> Option<PathBuf> {
    let path = std::path::absolute(path).ok()?;
    path.ancestors().find_map(|above| {
        let real = fs::canonicalize(above).ok()?;
        let rest = path.strip_prefix(above).ok()?;
        // A link that leads nowhere yet could lead anywhere in a moment.
        let next = rest.components().next().map(|next| real.join(next));
        let is_free = next.is_none_or(|next| fs::symlink_metadata(next).is_err());
        is_free.then(|| real.join(rest))
    })
}

fn real(home: &Path) -> Result<PathBuf, Error> {
    fs::canonicalize(home).map_err(|error| Error::io(format!("--home {}", home.display()), error))
}

fn invalid(error: &crate::barman::ids::InvalidId) -> Error {
    Error::new(Kind::Invalid, error.to_string())
}

//! The site's own Barman, as its barman.conf describes it: where it keeps a server's files, and what it would do
//! with them. Barman itself is not run for that.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::barman::conf::{BarmanConf, ConfError};
use crate::barman::ids::ServerName;
use crate::barman::layout::ServerDirs;
use crate::error::{Error, Kind};
use crate::site::model::{self as site, Catalog, Group};
use crate::store::{Posix, Readers, Reserve, Store};

use super::inventory::{SiteBarman, SiteSection};

/// The site's barman.conf cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum SiteConfError {
    /// A file cannot be read.
    #[error("{} cannot be read: {source}", path.display())]
    Unreadable {
        /// The file or directory.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// Barman could not read it either.
    #[error("{}: {source}; `barman diagnose` fails on it as well", path.display())]
    Invalid {
        /// The main file.
        path: PathBuf,
        /// What is wrong with it.
        source: ConfError,
    },
    /// It describes another catalog.
    #[error(
        "{} has `barman_home` {}, and the site file has `catalog.path` {}; make them the same, or correct `catalog.config`",
        path.display(), home.display(), catalog.display()
    )]
    OtherCatalog {
        /// The main file.
        path: PathBuf,
        /// Its `barman_home`.
        home: PathBuf,
        /// The catalog of the site file.
        catalog: PathBuf,
    },
}

impl From<SiteConfError> for Error {
    fn from(error: SiteConfError) -> Self {
        let kind = match &error {
            SiteConfError::Unreadable { source, .. } => Kind::from(source),
            SiteConfError::Invalid { .. } | SiteConfError::OtherCatalog { .. } => Kind::Invalid,
        };
        let hint = match (&error, kind) {
            (SiteConfError::Unreadable { .. }, Kind::PermissionDenied) => Some("give this user access to it"),
            (SiteConfError::Unreadable { .. }, _) => Some("correct `catalog.config` in the site file"),
            (SiteConfError::Invalid { .. } | SiteConfError::OtherCatalog { .. }, _) => None,
        };
        Self { hint: hint.map(str::to_owned), ..Self::new(kind, error.to_string()) }.because(error)
    }
}

/// The site's own Barman, or what holds where there is none.
#[derive(Debug)]
pub struct SiteConf {
    catalog: PathBuf,
    readers: Readers,
    /// How much of the disks here stays free.
    pub reserve: Reserve,
    conf: Option<(PathBuf, BarmanConf)>,
    /// The barman.conf that was named and does not exist.
    pub missing: Option<PathBuf>,
}

impl SiteConf {
    /// Reads barman.conf and the files that it includes. Without `config`, and where that does not exist as no Barman is
    /// here, Barman's defaults hold.
    pub fn read(catalog: &Catalog) -> Result<Self, SiteConfError> {
        let readers = match catalog.group {
            Group::None => Readers::Owner,
            Group::Read => Readers::Group,
        };
        let reserve = match catalog.reserve {
            site::Reserve::Usual => Reserve::Usual,
            site::Reserve::Bytes(bytes) => Reserve::Bytes(bytes),
            site::Reserve::Percent(percent) => Reserve::Percent(percent),
        };
        let read = Self::read_of(&catalog.path, catalog.config.as_deref(), readers)?;
        Ok(Self { reserve, ..read })
    }

    fn read_of(catalog: &Path, config: Option<&Path>, readers: Readers) -> Result<Self, SiteConfError> {
        let site = Self { catalog: catalog.to_owned(), readers, reserve: Reserve::Usual, conf: None, missing: None };
        let Some(path) = config else { return Ok(site) };
        if is_missing(path) {
            return Ok(Self { missing: Some(path.to_owned()), ..site });
        }
        let invalid = |source| SiteConfError::Invalid { path: path.to_owned(), source };
        let conf = read_conf(path)?;
        let home = conf.barman_home().map_err(invalid)?;
        if !is_same(&home, catalog) {
            let (path, catalog) = (path.to_owned(), catalog.to_owned());
            return Err(SiteConfError::OtherCatalog { path, home, catalog });
        }
        Ok(Self { conf: Some((path.to_owned(), conf)), ..site })
    }

    /// Where Barman's locks are.
    pub fn lock_directory(&self) -> Result<PathBuf, SiteConfError> {
        match &self.conf {
            None => Ok(self.catalog.clone()),
            Some((path, conf)) => {
                conf.barman_lock_directory().map_err(|source| SiteConfError::Invalid { path: path.clone(), source })
            }
        }
    }

    /// Where a server's files are, and what Barman means to do with them.
    pub fn server(&self, server: &ServerName) -> Result<(ServerDirs, SiteBarman), SiteConfError> {
        let defaults = |own| (ServerDirs::of_catalog(&self.catalog, server.clone()), own);
        let Some((path, conf)) = &self.conf else { return Ok(defaults(SiteBarman::default())) };
        let known = conf.server(server).map_err(|source| SiteConfError::Invalid { path: path.clone(), source })?;
        let Some(known) = known else {
            let section = SiteSection::Missing { included: self.included()? };
            return Ok(defaults(SiteBarman { section, ..SiteBarman::default() }));
        };
        let own = SiteBarman {
            section: SiteSection::Present,
            active: known.active,
            passive: known.primary_ssh_command.is_some(),
            idle: known.is_idle(),
            retention_policy: known.retention_policy,
        };
        Ok((known.dirs, own))
    }

    /// A server's catalog at the site.
    pub fn store(&self, server: &ServerName) -> Result<Arc<dyn Store>, SiteConfError> {
        let store = Posix::new(self.server(server)?.0).of_catalog(&self.catalog);
        Ok(Arc::new(store.locking_in(&self.lock_directory()?).read_by(self.readers).leaving(self.reserve)))
    }

    /// The directory whose `*.conf` files belong to barman.conf.
    pub fn included(&self) -> Result<Option<PathBuf>, SiteConfError> {
        let Some((path, conf)) = &self.conf else { return Ok(None) };
        let directory = conf.includes().map_err(|source| SiteConfError::Invalid { path: path.clone(), source })?;
        Ok(directory.as_deref().map(expand_home))
    }
}

/// Whether a file that a site file may name does not exist.
pub fn is_missing(path: &Path) -> bool {
    std::fs::metadata(path).is_err_and(|error| error.kind() == io::ErrorKind::NotFound)
}

/// Reads a barman.conf and the files that it includes.
pub fn read_conf(path: &Path) -> Result<BarmanConf, SiteConfError> {
    let invalid = |source| SiteConfError::Invalid { path: path.to_owned(), source };
    let mut conf = BarmanConf::parse(&path.to_string_lossy(), &read_text(path)?).map_err(invalid)?;
    if let Some(directory) = conf.includes().map_err(invalid)? {
        for file in included(&directory)? {
            conf.include(&file.to_string_lossy(), &read_text(&file)?).map_err(invalid)?;
        }
    }
    Ok(conf)
}

fn read_text(path: &Path) -> Result<String, SiteConfError> {
    std::fs::read_to_string(path).map_err(|source| SiteConfError::Unreadable { path: path.to_owned(), source })
}

/// The `*.conf` files of a directory in the order in which Barman reads them; Barman passes over a missing directory.
fn included(directory: &Path) -> Result<Vec<PathBuf>, SiteConfError> {
    let directory = expand_home(directory);
    let unreadable = |source| SiteConfError::Unreadable { path: directory.clone(), source };
    let entries = match std::fs::read_dir(&directory) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(unreadable(error)),
    };
    let mut files = Vec::new();
    for entry in entries {
        let path = entry.map_err(unreadable)?.path();
        if path.extension().is_some_and(|extension| extension == "conf") && path.is_file() {
            files.push(path);
        }
    }
    files.sort();
    Ok(files)
}

fn expand_home(path: &Path) -> PathBuf {
    match (path.strip_prefix("~"), std::env::var_os("HOME")) {
        (Ok(rest), Some(home)) => Path::new(&home).join(rest),
        _ => path.to_owned(),
    }
}

/// Whether two paths are one directory, also through links.
pub(super) fn is_same(a: &Path, b: &Path) -> bool {
    a == b || matches!((a.canonicalize(), b.canonicalize()), (Ok(a), Ok(b)) if a == b)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn write(directory: &Path, name: &str, text: &str) -> PathBuf {
        let path = directory.join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, text).unwrap();
        path
    }

    fn main_file(home: &Path) -> String {
        let home = home.display();
        format!(
            "[barman]\nbarman_home = {home}\nbarman_lock_directory = /run/barman\n\
             configuration_files_directory = {home}/conf.d\nretention_policy = REDUNDANCY 2\n"
        )
    }

    #[test]
    fn without_a_config_the_defaults_hold() {
        let site = SiteConf::read_of(Path::new("/b"), None, Readers::Owner).unwrap();
        let name = "main".parse().unwrap();
        let (dirs, own) = site.server(&name).unwrap();
        assert_eq!(dirs, ServerDirs::of_catalog(Path::new("/b"), name));
        assert_eq!(own, SiteBarman::default());
        assert_eq!(site.lock_directory().unwrap(), Path::new("/b"));
    }

    #[test]
    fn a_site_without_barman_may_name_its_barman_conf() {
        let home = tempfile::tempdir().unwrap();
        let named = home.path().join("none.conf");
        let site = SiteConf::read_of(home.path(), Some(&named), Readers::Owner).unwrap();
        let (dirs, own) = site.server(&"main".parse().unwrap()).unwrap();
        assert_eq!((dirs.backup_directory, own), (home.path().join("main"), SiteBarman::default()));
        assert_eq!((site.lock_directory().unwrap().as_path(), site.missing), (home.path(), Some(named)));
    }

    #[test]
    fn included_files_describe_servers() {
        let home = tempfile::tempdir().unwrap();
        let conf = write(home.path(), "barman.conf", &main_file(home.path()));
        write(home.path(), "conf.d/a.conf", "[main]\nactive = off\nprimary_ssh_command = ssh x\nwals_directory = /w\n");
        write(home.path(), "conf.d/b.conf.off", "[broken");
        let site = SiteConf::read_of(home.path(), Some(&conf), Readers::Owner).unwrap();
        let (dirs, own) = site.server(&"main".parse().unwrap()).unwrap();
        assert_eq!(dirs.wals_directory, Path::new("/w"));
        let retention_policy = Some("REDUNDANCY 2".to_owned());
        let section = SiteSection::Present;
        assert_eq!(own, SiteBarman { section, active: false, passive: true, idle: false, retention_policy });
        let other = site.server(&"other".parse().unwrap()).unwrap().1;
        assert_eq!(other.section, SiteSection::Missing { included: Some(home.path().join("conf.d")) });
        assert_eq!(site.lock_directory().unwrap(), Path::new("/run/barman"));
    }

    #[test]
    fn a_file_that_cannot_be_used_is_named() {
        let home = tempfile::tempdir().unwrap();
        let error = Error::from(SiteConf::read_of(home.path(), Some(home.path()), Readers::Owner).unwrap_err());
        assert!(error.message.starts_with(&format!("{} cannot be read", home.path().display())), "{error}");
        assert!(error.hint.unwrap().contains("`catalog.config`"));
        let broken = write(home.path(), "broken.conf", "[barman\n");
        let error = SiteConf::read_of(home.path(), Some(&broken), Readers::Owner).unwrap_err().to_string();
        assert!(error.contains("broken.conf"), "{error}");
        let other = write(home.path(), "other.conf", "[barman]\nbarman_home = /somewhere/else\n");
        let error = SiteConf::read_of(home.path(), Some(&other), Readers::Owner).unwrap_err().to_string();
        assert!(error.contains("`barman_home` /somewhere/else"), "{error}");
    }
}

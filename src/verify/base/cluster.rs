//! What every base backup of a cluster has, for PostgreSQL 9.0 to 18.
//!
//! Required is what `pg_basebackup` and Barman's rsync both always copy, and what a server needs to start: a base
//! without it is no backup, whoever says so. What only some servers have (configuration files, `pg_stat`) is not.

use std::path::{Path, PathBuf};

use crate::store::CatalogError;
use crate::verify::control_file::ControlFile;
use crate::verify::fault::{Fault, FaultKind};
use crate::verify::filenode_map;

use super::Announced;

/// Longer than `PG_VERSION` and maps, and one byte longer than a control file.
pub(super) const MAX_SMALL: u64 = 8193;
/// The first object id that is not PostgreSQL's own (`FirstNormalObjectId`).
const FIRST_OF_USERS: u32 = 16384;

/// Directories that a server opens when it starts, with the release that brought them.
const DIRECTORIES: [(&str, [u32; 2]); 13] = [
    ("base", [9, 0]),
    ("global", [9, 0]),
    ("pg_multixact/members", [9, 0]),
    ("pg_multixact/offsets", [9, 0]),
    ("pg_notify", [9, 0]),
    ("pg_subtrans", [9, 0]),
    ("pg_tblspc", [9, 0]),
    ("pg_twophase", [9, 0]),
    ("pg_serial", [9, 1]),
    ("pg_snapshots", [9, 2]),
    ("pg_logical", [9, 4]),
    ("pg_replslot", [9, 4]),
    ("pg_commit_ts", [9, 5]),
];

/// The files of a cluster, by their paths below PGDATA.
pub trait Tree {
    /// The size of a regular file; `None` when there is none.
    fn size(&self, path: &Path) -> Result<Option<u64>, CatalogError>;
    /// Whether there is a directory, and no link to one.
    fn is_directory(&self, path: &Path) -> Result<bool, CatalogError>;
    /// The names in a directory, each at least once.
    fn names(&self, directory: &Path) -> Result<Vec<String>, CatalogError>;
    /// The content of a small regular file.
    fn read(&self, path: &Path, limit: u64) -> Result<Option<Vec<u8>>, CatalogError>;
    /// The names in a tablespace's directory; none when it is not there.
    fn tablespace(&self, oid: u32) -> Result<Vec<String>, CatalogError>;
    /// Whether only files count that a manifest lists.
    fn is_listed(&self) -> bool {
        false
    }
}

/// What a tree lacks of a cluster.
pub fn faults(tree: &dyn Tree, announced: &Announced) -> Result<Vec<Fault>, CatalogError> {
    let mut check = Check { tree, announced, faults: Vec::new() };
    let found = check.release()?;
    check.control(found.as_deref())?;
    check.label()?;
    let release = announced.release.clone().or(found);
    let parts = release.as_deref().and_then(parts);
    check.directories(parts)?;
    let has_crc = parts.is_some_and(|parts| parts >= [9, 5]);
    check.mapped(Path::new("global"), has_crc)?;
    check.databases(has_crc)?;
    check.tablespaces(release.as_deref())?;
    Ok(check.faults)
}

/// `9.6` is 9 and 6, `15` is 15 and 0.
fn parts(release: &str) -> Option<[u32; 2]> {
    let (first, second) = release.split_once('.').unwrap_or((release, "0"));
    Some([first.parse().ok()?, second.parse().ok()?])
}

struct Check<'a> {
    tree: &'a dyn Tree,
    announced: &'a Announced,
    faults: Vec<Fault>,
}

impl Check<'_> {
    fn fault(&mut self, path: impl AsRef<Path>, what: FaultKind) {
        self.faults.push(Fault::new(Path::new("data").join(path), what));
    }

    /// The content of a file that every backup has; a manifest must list it, and then says whether it is the right one.
    fn read(&mut self, path: &Path) -> Result<Option<Vec<u8>>, CatalogError> {
        let content = self.tree.read(path, MAX_SMALL)?;
        if content.is_none() {
            self.fault(path, FaultKind::Missing);
        } else if self.tree.is_listed() && self.tree.size(path)?.is_none() {
            self.fault(path, FaultKind::Unlisted);
        }
        Ok(content)
    }

    /// The release that `PG_VERSION` says.
    fn release(&mut self) -> Result<Option<String>, CatalogError> {
        let path = Path::new("PG_VERSION");
        let Some(content) = self.read(path)? else { return Ok(None) };
        let found = String::from_utf8(content).ok().map(|text| text.trim_end().to_owned());
        let Some(found) = found.filter(|found| parts(found).is_some()) else {
            self.fault(path, FaultKind::Empty);
            return Ok(None);
        };
        if let Some(expected) = self.announced.release.clone().filter(|expected| *expected != found) {
            self.fault(path, FaultKind::Release { found: found.clone(), expected });
        }
        Ok(Some(found))
    }

    fn control(&mut self, release: Option<&str>) -> Result<(), CatalogError> {
        let path = Path::new("global/pg_control");
        let Some(content) = self.read(path)? else { return Ok(()) };
        match ControlFile::parse(&content) {
            Err(fault) => self.fault(path, fault.into()),
            Ok(file) => {
                if let Some(expected) = self.announced.system.filter(|system| *system != file.system) {
                    self.fault(path, FaultKind::System { found: file.system, expected });
                }
                if let Some(release) = release.filter(|release| !file.is_of(release)) {
                    self.fault(path, FaultKind::ControlNumber { number: file.version, release: release.to_owned() });
                }
            }
        }
        Ok(())
    }

    fn label(&mut self) -> Result<(), CatalogError> {
        let path = Path::new("backup_label");
        let has_file = self.tree.size(path)?.is_some_and(|size| size > 0);
        if !has_file && !self.announced.has_label {
            self.fault(path, FaultKind::NoLabel);
        }
        Ok(())
    }

    fn directories(&mut self, release: Option<[u32; 2]>) -> Result<(), CatalogError> {
        let is_modern = match release {
            Some(release) => release >= [10, 0],
            // Nobody says: then what is there does.
            None => self.tree.is_directory(Path::new("pg_wal"))?,
        };
        let release = release.unwrap_or([9, 0]);
        for (directory, since) in DIRECTORIES {
            if since <= release && !self.tree.is_directory(Path::new(directory))? {
                self.fault(directory, FaultKind::NoDirectory);
            }
        }
        let [wal, xact] = if is_modern { ["pg_wal", "pg_xact"] } else { ["pg_xlog", "pg_clog"] };
        if !self.tree.is_directory(Path::new(wal))? {
            self.fault(wal, FaultKind::NoDirectory);
        }
        // A server reads the newest page of either when it starts.
        for status in [xact, "pg_multixact/offsets"] {
            if !self.tree.names(Path::new(status))?.iter().any(|name| is_page_file(name)) {
                self.fault(status, FaultKind::Empty);
            }
        }
        Ok(())
    }

    /// The map of a directory's system catalogs, and the files that it names.
    fn mapped(&mut self, directory: &Path, has_crc: bool) -> Result<(), CatalogError> {
        let path = directory.join("pg_filenode.map");
        let Some(content) = self.read(&path)? else { return Ok(()) };
        let Some(numbers) = filenode_map::parse(&content, has_crc) else {
            self.fault(path, FaultKind::Map);
            return Ok(());
        };
        let mut names = self.tree.names(directory)?;
        names.sort_unstable();
        let has = |name: String| names.binary_search(&name).is_ok();
        // An incremental backup has what changed of a file under another name.
        for number in numbers.into_iter().filter(|n| !has(n.to_string()) && !has(format!("INCREMENTAL.{n}"))) {
            self.fault(directory.join(number.to_string()), FaultKind::Missing);
        }
        Ok(())
    }

    /// The databases of the default tablespace. A directory without relations was left by a crash, and is none.
    ///
    /// One that users made may have come or gone while the backup ran, and be there in part: its manifest knows.
    fn databases(&mut self, has_crc: bool) -> Result<(), CatalogError> {
        let mut databases = 0;
        for name in self.tree.names(Path::new("base"))? {
            let Ok(oid) = name.parse::<u32>() else { continue };
            let directory = Path::new("base").join(&name);
            let may_be_partial = self.tree.is_listed() && oid >= FIRST_OF_USERS;
            if !may_be_partial && self.tree.names(&directory)?.iter().any(|name| is_relation(name)) {
                databases += 1;
                self.read(&directory.join("PG_VERSION"))?;
                self.mapped(&directory, has_crc)?;
            }
        }
        if databases == 0 {
            self.fault("base", FaultKind::NoDatabase);
        }
        Ok(())
    }

    /// Every tablespace has a directory of its release.
    fn tablespaces(&mut self, release: Option<&str>) -> Result<(), CatalogError> {
        let prefix = format!("PG_{}_", release.unwrap_or_default());
        let prefix = if release.is_some() { prefix.as_str() } else { "PG_" };
        for oid in &self.announced.tablespaces {
            if !self.tree.tablespace(*oid)?.iter().any(|name| name.starts_with(prefix)) {
                self.faults.push(Fault::new(PathBuf::from(oid.to_string()), FaultKind::Missing));
            }
        }
        Ok(())
    }
}

/// A relation, or what an incremental backup has of it.
fn is_relation(name: &str) -> bool {
    let number = name.strip_prefix("INCREMENTAL.").unwrap_or(name);
    !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit())
}

/// A file of transaction status: `0000`, `00A3`.
fn is_page_file(name: &str) -> bool {
    name.len() >= 4 && name.bytes().all(|byte| byte.is_ascii_hexdigit())
}

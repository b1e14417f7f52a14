//! The WAL archive as it is on disk: `wals/<16 digits>/NAME`, and history files in `wals/` itself.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use crate::barman::history::HistoryFile;
use crate::barman::ids::ServerName;
use crate::barman::layout::wal_path;
use crate::barman::wal::{Timeline, WalName};
use crate::observe::history;

use super::files::{self, CatalogError, Stamp};
use crate::store::parallel;

/// The files of a WAL archive.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct WalFiles {
    /// Their sizes by name; history files too.
    pub sizes: BTreeMap<WalName, u64>,
    /// What tells whether a file of them changed; of all but history files, in no order.
    pub stamps: Vec<(WalName, Stamp)>,
    /// Those of them that are history files, read.
    pub histories: BTreeMap<Timeline, HistoryFile>,
    /// How many entries have no business there: their names are none of WAL files.
    pub foreign: u64,
    /// What has the name of a WAL file or of its directory and is another kind of thing, such as a link or a pipe, by its
    /// path below the archive; in order.
    pub obstacles: BTreeSet<PathBuf>,
}

/// Reads the archive of a server. Only directories and history files are opened; `starts` looks into the others.
pub fn read(wals_directory: &Path, server: &ServerName) -> Result<WalFiles, CatalogError> {
    let mut files = WalFiles::default();
    let mut hash_directories = Vec::new();
    for entry in files::list(wals_directory)? {
        if is_expected(&entry.name, server) {
            continue;
        }
        match entry.name.parse() {
            Ok(WalName::History(timeline)) if entry.kind.is_file() => {
                files.add_history(timeline, &wals_directory.join(&entry.name))?;
            }
            _ if is_hash(&entry.name) && entry.kind.is_dir() => hash_directories.push(entry.name),
            Ok(WalName::History(_)) => {
                files.obstacles.insert(entry.name.into());
            }
            _ if is_hash(&entry.name) => {
                files.obstacles.insert(entry.name.into());
            }
            _ => files.foreign += 1,
        }
    }
    let contents = parallel::map(&hash_directories, |hash| read_hash_directory(wals_directory, hash));
    for content in contents {
        let mut content = content?;
        files.stamps.append(&mut content.stamps);
        files.foreign += content.foreign;
        files.obstacles.append(&mut content.obstacles);
    }
    files.sizes.extend(files.stamps.iter().map(|(name, stamp)| (*name, stamp.size)));
    Ok(files)
}

/// The size of one file of an archive, looked for as [`read`] does: no link is followed.
pub fn size(wals_directory: &Path, name: WalName) -> Result<Option<u64>, CatalogError> {
    let path = wals_directory.join(wal_path(name));
    match path.parent() {
        Some(hash) if hash != wals_directory && !files::is_directory(hash)? => Ok(None),
        _ => files::size(&path),
    }
}

impl WalFiles {
    fn add_history(&mut self, timeline: Timeline, path: &Path) -> Result<(), CatalogError> {
        let Some(size) = files::size(path)? else { return Ok(()) };
        self.sizes.insert(WalName::History(timeline), size);
        if let Some(stored) = files::read(path, history::MAX_SIZE)? {
            self.histories.insert(timeline, HistoryFile { size, ..history::read(timeline, &stored) });
        }
        Ok(())
    }
}

/// What is in the archive and is no WAL: Barman's own files, and what is being written.
fn is_expected(name: &str, server: &ServerName) -> bool {
    name.starts_with('.')
        || has_suffix(name, ".tmp")
        || name == "sync-wals.info"
        || name
            .strip_prefix(server.as_str())
            .and_then(|rest| rest.strip_prefix('-'))
            .unwrap_or(name)
            .starts_with("xlog.db")
}

fn has_suffix(name: &str, suffix: &str) -> bool {
    name.len() > suffix.len() && name.ends_with(suffix)
}

fn is_hash(name: &str) -> bool {
    name.len() == 16 && name.bytes().all(|b| matches!(b, b'0'..=b'9' | b'A'..=b'F'))
}

/// What is in one hash directory.
#[derive(Default)]
struct HashDirectory {
    stamps: Vec<(WalName, Stamp)>,
    foreign: u64,
    obstacles: BTreeSet<PathBuf>,
}

fn read_hash_directory(wals_directory: &Path, hash: &str) -> Result<HashDirectory, CatalogError> {
    let mut content = HashDirectory::default();
    for entry in files::list(&wals_directory.join(hash))? {
        if entry.name.starts_with('.') || has_suffix(&entry.name, ".tmp") {
            continue;
        }
        let name: Option<WalName> = entry.name.parse().ok().filter(|_| entry.name.starts_with(hash));
        match name {
            Some(name) if entry.kind.is_file() => {
                content.stamps.extend(entry.stamp()?.map(|stamp| (name, stamp)));
            }
            Some(_) => {
                content.obstacles.insert(Path::new(hash).join(&entry.name));
            }
            None => content.foreign += 1,
        }
    }
    Ok(content)
}

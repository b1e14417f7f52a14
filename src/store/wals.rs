//! The WAL archive as it is on disk: `wals/<16 digits>/NAME`, and history files in `wals/` itself.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use super::place::Place;
use super::{CatalogError, Found, Stamp, Store, parallel};
use crate::barman::ids::ServerName;
use crate::barman::layout::wal_hash_directory;
use crate::barman::wal::{Timeline, WalName};
use crate::barman::wal_map::{Run, WalMap};

/// More than the history of any timeline: each line is a promotion.
pub const MAX_HISTORY: u64 = 1 << 20;

/// The files of a WAL archive.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct WalFiles {
    /// Their sizes by name; history files too.
    pub sizes: WalMap<u64>,
    /// How many entries have no business there: their names are none of WAL files.
    pub foreign: u64,
    /// What has the name of a WAL file or of its directory and is another kind of thing, such as a link or a pipe, by its
    /// path below the archive; in order.
    pub obstacles: BTreeSet<PathBuf>,
}

/// Reads the archive of a server; no file is opened.
pub fn list(store: &dyn Store, server: &ServerName) -> Result<WalFiles, CatalogError> {
    let (mut files, directories) = top(store, server)?;
    let mut sizes = vec![std::mem::take(&mut files.sizes)];
    for content in parallel::map(&directories, |hash| directory(store, hash)) {
        let mut content = content?;
        sizes.push(content.stamps.iter().map(|(name, stamp)| (*name, stamp.size)).collect());
        files.foreign += content.foreign;
        files.obstacles.append(&mut content.obstacles);
    }
    files.sizes = WalMap::joined(sizes);
    Ok(files)
}

/// Reads an archive without its directories, and tells their names.
pub fn top(store: &dyn Store, server: &ServerName) -> Result<(WalFiles, Vec<String>), CatalogError> {
    let mut files = WalFiles::default();
    let mut hash_directories = Vec::new();
    for entry in store.list(Place::Wals.into())? {
        if is_expected(&entry.name, server) {
            continue;
        }
        match entry.name.parse::<WalName>() {
            Ok(name @ WalName::History(_)) if entry.kind.is_file() => {
                files.sizes.extend(entry.size()?.map(|size| (name, size)));
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
    hash_directories.sort_unstable();
    Ok((files, hash_directories))
}

/// The history files of the archive, as they are stored.
pub fn histories(store: &dyn Store, files: &WalFiles) -> Result<BTreeMap<Timeline, Vec<u8>>, CatalogError> {
    let mut histories = BTreeMap::new();
    // Each has a run of its own.
    for name in files.sizes.runs().iter().map(Run::first) {
        if let WalName::History(timeline) = name {
            histories.extend(store.read(Place::Wal(name), MAX_HISTORY)?.map(|stored| (timeline, stored)));
        }
    }
    Ok(histories)
}

/// The size of one file of an archive, looked for as [`list`] does: no link is followed.
pub fn size(store: &dyn Store, name: WalName) -> Result<Option<u64>, CatalogError> {
    match wal_hash_directory(name) {
        Some(hash) if !store.is_directory(Place::Wals.below(Path::new(&hash)))? => Ok(None),
        _ => store.size(Place::Wal(name)),
    }
}

/// What is in the way of a WAL file, and what to do about it. What is placed behind a link is out of the catalog: no plan
/// looks there. A link or a pipe under the file's own name is no WAL, and is replaced.
pub fn obstacle(store: &dyn Store, name: WalName) -> Result<Option<String>, CatalogError> {
    if let Some(hash) = wal_hash_directory(name) {
        let at = Place::Wals.below(Path::new(&hash));
        if let Some(found) = store.look(at)?.filter(|found| !found.kind.is_dir()) {
            let what = if found.kind.is_symlink() { "a link, which nobody follows" } else { "no directory" };
            return Ok(Some(format!(
                "{} at the site is {what}; put a directory there, with the files that belong in it",
                store.local(at).display()
            )));
        }
    }
    let path = store.local(Place::Wal(name).into());
    let is_directory = store.is_directory(Place::Wal(name))?;
    Ok(is_directory.then(|| format!("{} at the site is a directory; move it away", path.display())))
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

/// What is in one directory of an archive.
#[derive(Debug, Default)]
pub struct HashDirectory {
    /// What tells whether its files changed, in no order.
    pub stamps: Vec<(WalName, Stamp)>,
    /// As in [`WalFiles`].
    pub foreign: u64,
    /// As in [`WalFiles`].
    pub obstacles: BTreeSet<PathBuf>,
}

/// The WAL files in a directory that is named by these 16 digits, in no order; no file is opened.
pub fn found(store: &dyn Store, hash: &str) -> Result<Vec<(WalName, Found)>, CatalogError> {
    let mut files = Vec::new();
    for entry in store.list(Place::Wals.below(Path::new(hash)))? {
        let name: Option<WalName> = entry.name.parse().ok().filter(|_| entry.name.starts_with(hash));
        if let Some((name, found)) = name.zip(entry.found()?) {
            files.push((name, found));
        }
    }
    Ok(files)
}

/// Reads a directory that is named by these 16 digits; no file is opened.
pub fn directory(store: &dyn Store, hash: &str) -> Result<HashDirectory, CatalogError> {
    let mut content = HashDirectory::default();
    for entry in store.list(Place::Wals.below(Path::new(hash)))? {
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

//! The primary's WAL archive as its disk has it, where its lists do not tell enough.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use futures::future::try_join_all;

use crate::barman::history::HistoryFile;
use crate::barman::layout::wal_hash_directory;
use crate::barman::wal::{Timeline, WalName};
use crate::barman::wal_entry::WalEntry;
use crate::observe::failure::Failure;
use crate::observe::history;
use crate::observe::inventory::{PrimaryInventory, ReplicaInventory};
use crate::transport::{List, RemoteFile, TransportError, TransportErrorKind};

use super::fetched::Fetcher;

/// Up to so many hash directories are listed one by one; beyond, the whole archive is.
const FEW_DIRECTORIES: usize = 8;

/// Adds every history file that the primary has. Those that are here with the same size are not fetched again.
pub async fn add_histories(
    fetcher: &Fetcher<'_>,
    there: &mut PrimaryInventory,
    here: &ReplicaInventory,
) -> Result<(), Failure> {
    let directory = &there.directories.wals_directory;
    let listed = list(fetcher, directory, false, &["*.history"]).await;
    let listed = match listed {
        // Barman makes the directory when the first WAL arrives.
        Err(error) if error.kind == TransportErrorKind::NotFound && there.wals.is_empty() => Vec::new(),
        listed => listed?,
    };
    let sizes: BTreeMap<Timeline, u64> = listed.iter().filter_map(history_of).collect();
    let known = |timeline: &Timeline, size: u64| here.histories.get(timeline).filter(|history| history.size == size);
    let missing =
        sizes.iter().filter(|(timeline, size)| known(timeline, **size).is_none() && **size <= history::MAX_SIZE);
    let files = fetcher.fetch(directory, missing.map(|(timeline, _)| name(*timeline).into()).collect()).await?;
    for (timeline, size) in sizes {
        let read = |stored: Vec<u8>| HistoryFile { size, ..history::read(timeline, &stored) };
        let history = known(&timeline, size).cloned();
        let history = history.or_else(|| files.read(Path::new(&name(timeline)), history::MAX_SIZE).map(read));
        there.histories.extend(history.map(|history| (timeline, history)));
    }
    Ok(())
}

fn name(timeline: Timeline) -> String {
    WalName::History(timeline).to_string()
}

fn history_of(file: &RemoteFile) -> Option<(Timeline, u64)> {
    match file.path.to_str()?.parse().ok()? {
        WalName::History(timeline) => Some((timeline, file.size)),
        _ => None,
    }
}

/// Of the files that xlog.db lists, those that are not on the primary's disk, or have another size there.
pub async fn gone(
    fetcher: &Fetcher<'_>,
    wals_directory: &Path,
    entries: &[WalEntry],
) -> Result<BTreeSet<WalName>, Failure> {
    if entries.is_empty() {
        return Ok(BTreeSet::new());
    }
    let hashes: BTreeSet<String> = entries.iter().filter_map(|entry| wal_hash_directory(entry.name)).collect();
    let listed = if hashes.len() <= FEW_DIRECTORIES {
        let directories = hashes.iter().map(|hash| list_hash_directory(fetcher, wals_directory, hash));
        try_join_all(directories).await?.concat()
    } else {
        list(fetcher, wals_directory, true, &[]).await?
    };
    let sizes: BTreeMap<WalName, u64> = listed.iter().filter_map(|file| Some((wal_of(file)?, file.size))).collect();
    Ok(entries.iter().filter(|entry| sizes.get(&entry.name) != Some(&entry.size)).map(|entry| entry.name).collect())
}

fn wal_of(file: &RemoteFile) -> Option<WalName> {
    file.path.file_name()?.to_str()?.parse().ok()
}

/// A hash directory that is not there holds nothing.
async fn list_hash_directory(
    fetcher: &Fetcher<'_>,
    wals_directory: &Path,
    hash: &str,
) -> Result<Vec<RemoteFile>, TransportError> {
    match list(fetcher, &wals_directory.join(hash), false, &[]).await {
        Err(error) if error.kind == TransportErrorKind::NotFound => Ok(Vec::new()),
        listed => listed,
    }
}

async fn list(
    fetcher: &Fetcher<'_>,
    directory: &Path,
    recursive: bool,
    only: &[&str],
) -> Result<Vec<RemoteFile>, TransportError> {
    let only = only.iter().map(|pattern| (*pattern).to_owned()).collect();
    fetcher.files.list(&List { directory: directory.to_owned(), recursive, only }).await
}

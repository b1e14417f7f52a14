//! Keep annotations and marks of deletion, which sync-info leaves out.
//!
//! A look shows which there are. Those in a base, where Barmans before 3.13.3 have them, it shows of the backups only that
//! were known before it; of others they are asked for by name, as listing them would walk through every base.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use crate::barman::ids::BackupId;
use crate::barman::keep::Keep;
use crate::barman::layout::{Layout, ServerDirs};
use crate::error::Error;
use crate::observe::inventory::PrimaryInventory;

use super::fetched::{FetchedFiles, Fetcher};
use super::sights::Sights;

/// An annotation is one word.
const MAX_SIZE: u64 = 64;

/// Adds the annotations of every backup, given what was seen, and of which backups all was.
pub async fn add(
    fetcher: &Fetcher<'_>,
    there: &mut PrimaryInventory,
    seen: &Sights,
    looked_at: &BTreeSet<BackupId>,
) -> Result<(), Error> {
    let dirs = there.directories.clone();
    let may_be = |id: BackupId, path: &PathBuf| {
        let is_in_base = path.starts_with(&dirs.basebackups_directory);
        seen.backups.contains_key(path) || is_in_base && !looked_at.contains(&id)
    };
    let of_backup =
        |id: BackupId| Layout::readable().map(|layout| [layout.keep(&dirs, id), layout.delete_this(&dirs, id)]);
    let ids = there.backups.keys().copied();
    let paths = ids.flat_map(|id| of_backup(id).into_iter().flatten().filter(move |path| may_be(id, path)));
    // One that is far too long is not fetched to be passed over.
    let size = |path: &PathBuf| seen.backups.get(path).map_or(0, |sight| sight.size);
    let (paths, too_long): (Vec<PathBuf>, Vec<PathBuf>) = paths.partition(|path| size(path) <= MAX_SIZE);
    let found = Annotations::fetch(fetcher, &dirs, paths).await?;
    for (id, backup) in &mut there.backups {
        for [keep, delete_this] in of_backup(*id) {
            match found.read(&keep).map(|bytes| Keep::parse(&bytes)) {
                Some(Ok(keep)) => backup.keep = backup.keep.or(Some(keep)),
                Some(Err(error)) => {
                    there.notes.push(format!("the keep annotation of backup {id} is passed over: {error}"));
                }
                None if too_long.contains(&keep) => {
                    let bytes = size(&keep);
                    there
                        .notes
                        .push(format!("the keep annotation of backup {id} is passed over: it has {bytes} bytes"));
                }
                None => {}
            }
            backup.going_away |= found.read(&delete_this).is_some() || too_long.contains(&delete_this);
        }
    }
    Ok(())
}

/// What was found, by the directory that it was fetched from.
struct Annotations(BTreeMap<PathBuf, FetchedFiles>);

impl Annotations {
    async fn fetch(fetcher: &Fetcher<'_>, dirs: &ServerDirs, paths: Vec<PathBuf>) -> Result<Self, Error> {
        let mut wanted: BTreeMap<PathBuf, Vec<PathBuf>> = BTreeMap::new();
        for path in paths {
            // One transfer serves all as long as the backups are below the server's directory.
            for root in [&dirs.backup_directory, &dirs.basebackups_directory] {
                if let Ok(relative) = path.strip_prefix(root) {
                    wanted.entry(root.clone()).or_default().push(relative.to_owned());
                    break;
                }
            }
        }
        let mut found = BTreeMap::new();
        for (root, paths) in wanted {
            let files = fetcher.fetch(&root, paths, MAX_SIZE).await?;
            found.insert(root, files);
        }
        Ok(Self(found))
    }

    fn read(&self, path: &Path) -> Option<Vec<u8>> {
        self.0.iter().find_map(|(root, files)| files.read(path.strip_prefix(root).ok()?, MAX_SIZE))
    }
}

//! Keep annotations and marks of deletion, which sync-info leaves out.
//!
//! They are asked for by name, for every backup and in both layouts: listing the legacy one would walk through every
//! base at the primary.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use crate::barman::ids::BackupId;
use crate::barman::keep::Keep;
use crate::barman::layout::{Layout, ServerDirs};
use crate::error::Error;
use crate::observe::inventory::PrimaryInventory;

use super::fetched::{FetchedFiles, Fetcher};

/// An annotation is one word.
const MAX_SIZE: u64 = 64;

/// Adds the annotations of every backup.
pub async fn add(fetcher: &Fetcher<'_>, there: &mut PrimaryInventory) -> Result<(), Error> {
    let dirs = there.directories.clone();
    let found = Annotations::fetch(fetcher, &dirs, there.backups.keys().copied()).await?;
    for (id, backup) in &mut there.backups {
        for layout in Layout::readable() {
            match found.read(&layout.keep(&dirs, *id)).map(|bytes| Keep::parse(&bytes)) {
                Some(Ok(keep)) => backup.keep = backup.keep.or(Some(keep)),
                Some(Err(error)) => {
                    there.notes.push(format!("the keep annotation of backup {id} is passed over: {error}"));
                }
                None => {}
            }
            backup.going_away |= found.read(&layout.delete_this(&dirs, *id)).is_some();
        }
    }
    Ok(())
}

/// What was found, by the directory that it was fetched from.
struct Annotations(BTreeMap<PathBuf, FetchedFiles>);

impl Annotations {
    async fn fetch(
        fetcher: &Fetcher<'_>,
        dirs: &ServerDirs,
        ids: impl Iterator<Item = BackupId>,
    ) -> Result<Self, Error> {
        let mut wanted: BTreeMap<PathBuf, Vec<PathBuf>> = BTreeMap::new();
        let paths = ids.flat_map(|id| {
            Layout::readable().into_iter().flat_map(move |layout| [layout.keep(dirs, id), layout.delete_this(dirs, id)])
        });
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

//! The manifests of a primary's backups, which tell what a copy shares with other backups.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::barman::ids::BackupId;
use crate::error::Error;
use crate::observe::catalog::base::MANIFEST;
use crate::observe::inventory::PrimaryInventory;
use crate::verify::manifest::{Manifest, ManifestError};

use super::fetched::Fetcher;
use crate::store::cache::Cache;

/// More than the manifest of two million files. A backup with a longer one is copied in full.
const MAX_MANIFEST: u64 = 512 << 20;

/// The bytes of memory that the manifests of one replica take together, those of the newest backups first: two million
/// files with short paths. A backup of which there is no more room for the manifest is copied in full.
const MOST_MEMORY: u64 = 320 << 20;

/// The manifests that a primary has.
type Manifests = BTreeMap<BackupId, Result<Manifest, ManifestError>>;

/// Adds the manifests of these backups. The cache then holds them and no others.
pub async fn add(
    fetcher: &Fetcher<'_>,
    there: &mut PrimaryInventory,
    ids: &BTreeSet<BackupId>,
    cache: Option<Cache>,
) -> Result<(), Error> {
    let bases = &there.directories.basebackups_directory;
    let is_cached = cache.is_some();
    let mut manifests = fetch(fetcher, bases, ids.clone(), cache).await?;
    let broken: BTreeSet<BackupId> =
        manifests.iter().filter(|(_, manifest)| !is_as_sent(manifest)).map(|(id, _)| *id).collect();
    if is_cached && !broken.is_empty() {
        // What rotted in the cache may be whole at the primary.
        manifests.extend(fetch(fetcher, bases, broken, None).await?);
    }
    for (id, manifest) in manifests {
        match (manifest, there.backups.get_mut(&id)) {
            (Ok(manifest), Some(backup)) => backup.manifest = Some(Arc::new(manifest)),
            (Err(error), _) => there.notes.push(format!("backup {id} is copied in full: {error}")),
            (Ok(_), None) => {}
        }
    }
    Ok(())
}

/// Whether a manifest is what the primary sent, as far as was read of it.
fn is_as_sent(manifest: &Result<Manifest, ManifestError>) -> bool {
    matches!(manifest, Ok(_) | Err(ManifestError::TooLong))
}

/// Fetches and reads manifests. What is not a whole one does not stay in the cache.
async fn fetch(
    fetcher: &Fetcher<'_>,
    bases: &Path,
    ids: BTreeSet<BackupId>,
    cache: Option<Cache>,
) -> Result<Manifests, Error> {
    let path = |id: &BackupId| PathBuf::from(id.as_str()).join(MANIFEST);
    let files = fetcher.fetch_cached(bases, ids.iter().map(path).collect(), MAX_MANIFEST, cache).await?;
    let reading = tokio::task::spawn_blocking(move || {
        let mut room = MOST_MEMORY;
        let mut manifest = |id: BackupId| Some((id, Manifest::read_within(files.open(&path(&id))?, &mut room)));
        let manifests: Manifests = ids.into_iter().rev().filter_map(&mut manifest).collect();
        let whole: BTreeSet<BackupId> =
            manifests.iter().filter(|(_, manifest)| is_as_sent(manifest)).map(|(id, _)| *id).collect();
        if let Some(Err(error)) =
            files.cache().map(|cache| cache.keep_only(|name| whole.iter().any(|id| id.as_str() == name)))
        {
            tracing::debug!("the cache of manifests keeps more than it should: {error}");
        }
        manifests
    });
    Ok(reading.await?)
}

//! Deleting: what Barman lists goes first, the bytes last, so that nothing listed is ever incomplete.
//!
//! **What replaces it is looked at first.** Just before a backup is deleted the catalog is read again, as a plan reads
//! it, and nothing goes unless every backup that the plan leaves is recoverable on disk. WAL goes only when no backup
//! that is listed needs it to be consistent.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crate::apply::xlogdb;
use crate::barman::ids::BackupId;
use crate::barman::layout::ServerDirs;
use crate::barman::version::BarmanVersion;
use crate::barman::wal::WalName;
use crate::error::{Error, Kind};
use crate::observe;
use crate::observe::catalog::Depth;
use crate::observe::inventory::ReplicaInventory;
use crate::plan::recovery::promise;
use crate::store::locks::LockKind;
use crate::store::{GoOn, Place, Store, arrivals, infos, repairs};
use crate::transport::blocking;

use super::{Job, publish};

/// Deletes a backup, unless somebody has kept it in the meantime, or one of those that it leaves is not recoverable.
pub async fn remove_backup(
    job: Job<'_>,
    id: BackupId,
    parent: Option<BackupId>,
    leaves: &[BackupId],
) -> Result<(), Error> {
    let server = job.run.lock(LockKind::Backup).await?;
    job.run.hold(id).await?;
    let removed = remove_held(job, id, parent, leaves.to_vec()).await;
    job.run.release(id);
    drop(server);
    removed
}

/// The replica as the site's disk has it now.
fn look_here(
    store: &dyn Store,
    dirs: &ServerDirs,
    barman: BarmanVersion,
    depth: Depth,
) -> Result<ReplicaInventory, Error> {
    observe::look_here(store, dirs.clone(), barman, depth)
        .map_err(|error| Error::from(error).of("nothing is deleted, as the catalog could not be read again"))
}

async fn remove_held(job: Job<'_>, id: BackupId, parent: Option<BackupId>, leaves: Vec<BackupId>) -> Result<(), Error> {
    let (store, layout, barman) = (Arc::clone(&job.run.store), job.run.layout, job.run.target.barman);
    let dirs = job.run.target.here.clone();
    blocking(move || {
        let store = store.as_ref();
        if !leaves.is_empty()
            && let Some(broken) = promise::broken(&look_here(store, &dirs, barman, Depth::Everything)?, &leaves, id)
        {
            return Err(Error::new(Kind::Stale, format!("backup {id} is not deleted: {broken}"))
                .hint("plan again: what is lacking is repaired, or named, before anything else is deleted"));
        }
        if infos::is_kept(store, layout, id)? {
            return Err(Error::new(Kind::Stale, format!("backup {id} has a keep annotation now")).hint("plan again"));
        }
        Ok(infos::remove(store, layout, id)?)
    })
    .await?;
    let orphaned = match parent {
        Some(parent) => publish::disown_child(job.run, parent, id).await,
        None => Ok(()),
    };
    let (store, cancel) = (Arc::clone(&job.run.store), job.run.cancel.clone());
    blocking(move || remove_base(store.as_ref(), id, &|| !cancel.is_cancelled())).await?;
    orphaned
}

/// Deletes a base that no backup.info names: at once out of sight, then file by file.
pub fn remove_base(store: &dyn Store, id: BackupId, go_on: GoOn<'_>) -> Result<(), Error> {
    if store.has(Place::Base(id))? {
        remove_tree(store, Place::Trash(id), go_on)?;
        store.discard(id)?;
        repairs::end(store, id)?;
        arrivals::forget(store, id)?;
    }
    match store.remove_tree(Place::Trash(id), go_on) {
        Ok(true) => Ok(()),
        Ok(false) => Err(Error::interrupted()),
        // The backup is gone, and no plan would speak of it again; the next apply tries to free its space.
        Err(error) => {
            tracing::warn!("{error}; the next apply tries again");
            Ok(())
        }
    }
}

fn remove_tree(store: &dyn Store, place: Place, go_on: GoOn<'_>) -> Result<(), Error> {
    if store.remove_tree(place, go_on)? { Ok(()) } else { Err(Error::interrupted()) }
}

/// Deletes what an interrupted run left of a backup.
pub async fn remove_staging(job: Job<'_>, id: BackupId) -> Result<(), Error> {
    let (store, cancel) = (Arc::clone(&job.run.store), job.run.cancel.clone());
    blocking(move || remove_tree(store.as_ref(), Place::Staged(id), &|| !cancel.is_cancelled())).await
}

/// Deletes WAL files: first their lines, then the files, then directories that are empty.
pub async fn remove_wals(job: Job<'_>, files: &BTreeMap<WalName, u64>) -> Result<(), Error> {
    let names: BTreeSet<WalName> = files.keys().copied().collect();
    let (looked, dirs, barman) = (names.clone(), job.run.target.here.clone(), job.run.target.barman);
    let store = Arc::clone(&job.run.store);
    blocking(move || {
        match promise::needed_still(&look_here(store.as_ref(), &dirs, barman, Depth::Metadata)?, looked.iter()) {
            Some((name, backup)) => {
                Err(Error::new(Kind::Stale, format!("{name} is not deleted: backup {backup}, which is here, needs it"))
                    .hint("something else added the backup; plan again"))
            }
            None => Ok(()),
        }
    })
    .await?;
    let listed = names.clone();
    xlogdb::rewrite(job.run, move |lines| lines.without(|name| listed.contains(&name))).await?;
    let store = Arc::clone(&job.run.store);
    blocking(move || Ok(store.remove_wals(&names)?)).await
}

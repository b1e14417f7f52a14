//! Deleting: what Barman lists goes first, the bytes last, so that nothing listed is ever incomplete.
//!
//! **What replaces it is looked at first.** Just before a backup is deleted the catalog is read again, as a plan reads
//! it, and nothing goes unless every backup that the plan leaves is recoverable on disk. WAL goes only when no backup
//! that is listed needs it to be consistent.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

use tokio_util::sync::CancellationToken;

use crate::apply::failure::Doing;
use crate::apply::replica_run::blocking;
use crate::apply::xlogdb;
use crate::barman::ids::BackupId;
use crate::barman::layout::{Layout, ServerDirs};
use crate::barman::version::BarmanVersion;
use crate::barman::wal::WalName;
use crate::error::Error;
use crate::events::Failure;
use crate::observe;
use crate::observe::catalog::Depth;
use crate::observe::inventory::ReplicaInventory;
use crate::plan::recovery::promise;
use crate::store::locks::LockKind;
use crate::store::posix::durable;

use super::{Job, publish};

/// Deletes a backup, unless somebody has kept it in the meantime, or one of those that it leaves is not recoverable.
pub async fn remove_backup(
    job: Job<'_>,
    id: BackupId,
    parent: Option<BackupId>,
    leaves: &[BackupId],
) -> Result<(), Failure> {
    let server = job.run.lock(LockKind::Backup).await?;
    job.run.hold(id).await?;
    let removed = remove_held(job, id, parent, leaves.to_vec()).await;
    job.run.release(id);
    drop(server);
    removed
}

/// The replica as the site's disk has it now.
fn look_here(dirs: &ServerDirs, barman: BarmanVersion, depth: Depth) -> Result<ReplicaInventory, Failure> {
    observe::look_here(dirs.clone(), barman, depth).map_err(|error| {
        let Error { message: error, hint, .. } = error.into();
        let failure = Failure::new(format!("nothing is deleted, as the catalog could not be read again: {error}"));
        Failure { hint, ..failure }
    })
}

async fn remove_held(
    job: Job<'_>,
    id: BackupId,
    parent: Option<BackupId>,
    leaves: Vec<BackupId>,
) -> Result<(), Failure> {
    let (dirs, layout, barman) = (job.run.target.here.clone(), job.run.layout, job.run.target.barman);
    blocking(move || {
        if !leaves.is_empty()
            && let Some(broken) = promise::broken(&look_here(&dirs, barman, Depth::Bases)?, &leaves, id)
        {
            return Err(Failure::new(format!("backup {id} is not deleted: {broken}"))
                .hint("plan again: what is lacking is repaired, or named, before anything else is deleted"));
        }
        if Layout::readable().iter().chain([&layout]).any(|layout| layout.keep(&dirs, id).exists()) {
            return Err(Failure::new(format!("backup {id} has a keep annotation now")).hint("plan again"));
        }
        publish::remove_infos(layout, &dirs, id)
    })
    .await?;
    let orphaned = match parent {
        Some(parent) => publish::disown_child(job.run, parent, id).await,
        None => Ok(()),
    };
    let (base, trash, cancel) = (job.run.target.here.base(id), job.run.staging().trash(id), job.run.cancel.clone());
    blocking(move || remove_base(&base, &trash, &cancel)).await?;
    orphaned
}

/// Deletes a base that no backup.info names: at once out of sight, then file by file.
pub fn remove_base(base: &Path, trash: &Path, cancel: &CancellationToken) -> Result<(), Failure> {
    if base.exists() {
        let above = trash.parent().unwrap_or(trash);
        durable::create_directory(above).doing("create", above)?;
        remove_tree(trash, cancel)?;
        durable::rename(base, trash).doing("move away", base)?;
    }
    match durable::remove_tree(trash, cancel) {
        Ok(true) => Ok(()),
        Ok(false) => Err(Failure::interrupted()),
        // The backup is gone, and no plan would speak of it again; the next apply tries to free its space.
        Err(error) => {
            tracing::warn!("cannot delete {}: {error}; the next apply tries again", trash.display());
            Ok(())
        }
    }
}

fn remove_tree(path: &Path, cancel: &CancellationToken) -> Result<(), Failure> {
    let is_gone = durable::remove_tree(path, cancel).doing("delete", path)?;
    if is_gone { Ok(()) } else { Err(Failure::interrupted()) }
}

/// Deletes what an interrupted run left of a backup.
pub async fn remove_staging(job: Job<'_>, id: BackupId) -> Result<(), Failure> {
    let (staging, cancel) = (job.run.staging().base(id), job.run.cancel.clone());
    blocking(move || remove_tree(&staging, &cancel)).await
}

/// Deletes WAL files: first their lines, then the files, then directories that are empty.
pub async fn remove_wals(job: Job<'_>, files: &BTreeMap<WalName, u64>) -> Result<(), Failure> {
    let names: BTreeSet<WalName> = files.keys().copied().collect();
    let (looked, dirs, barman) = (names.clone(), job.run.target.here.clone(), job.run.target.barman);
    blocking(move || match promise::needed_still(&look_here(&dirs, barman, Depth::Metadata)?, looked.iter()) {
        Some((name, backup)) => {
            Err(Failure::new(format!("{name} is not deleted: backup {backup}, which is here, needs it"))
                .hint("something else added the backup; plan again"))
        }
        None => Ok(()),
    })
    .await?;
    let listed = names.clone();
    xlogdb::rewrite(job.run, move |lines| lines.without(|name| listed.contains(&name))).await?;
    let dirs = job.run.target.here.clone();
    blocking(move || {
        let mut directories = BTreeSet::new();
        for name in names {
            let path = dirs.wal(name);
            match fs::remove_file(&path) {
                Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(error).doing("delete", &path),
                _ => directories.extend(path.parent().map(Path::to_owned)),
            }
        }
        for directory in directories.iter().filter(|directory| **directory != dirs.wals_directory) {
            // A directory with anything left in it stays.
            let _ = fs::remove_dir(directory);
        }
        durable::sync_directory(&dirs.wals_directory).doing("sync", &dirs.wals_directory)
    })
    .await
}

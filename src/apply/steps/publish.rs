//! Publishing a backup: its base gets its name, and then backup.info says DONE.

use std::collections::BTreeSet;
use std::fs;
use std::path::PathBuf;

use crate::apply::failure::Doing;
use crate::apply::replica_run::{ReplicaRun, blocking};
use crate::barman::backup_info::{BackupInfo, Status};
use crate::barman::ids::BackupId;
use crate::barman::layout::{Layout, ServerDirs};
use crate::events::Failure;
use crate::plan::action::BackupCopy;
use crate::store::locks::LockKind;
use crate::store::posix::durable;

use super::Job;

/// Whether Barman lists the backup as good and its base is there.
pub fn is_published(run: &ReplicaRun<'_>, id: BackupId) -> bool {
    let dirs = &run.target.here;
    let is_done = read_info(run.layout, dirs, id).is_some_and(|info| info.status() == Ok(Status::Done));
    is_done && dirs.base(id).is_dir()
}

/// Gives a verified base its name and writes its backup.info, then names it to the backup that it builds on.
pub async fn publish(job: Job<'_>, copy: &BackupCopy) -> Result<(), Failure> {
    let published = publish_held(job.run, copy).await;
    job.run.release(copy.id);
    published
}

async fn publish_held(run: &ReplicaRun<'_>, copy: &BackupCopy) -> Result<(), Failure> {
    let id = copy.id;
    if is_published(run, id) {
        return Ok(());
    }
    let (dirs, layout, staging, info) =
        (run.target.here.clone(), run.layout, run.staging().base(id), copy.info.clone());
    blocking(move || {
        let base = dirs.base(id);
        durable::create_directory(&dirs.basebackups_directory).doing("create", &dirs.basebackups_directory)?;
        durable::rename(&staging, &base).doing("move into place", &base)?;
        let present = present(info.children_backup_ids().unwrap_or_default(), layout, &dirs);
        write_info(layout, &dirs, id, &info.with_children(&present))
    })
    .await?;
    // While another backup's lock is waited for, none is held.
    run.release(id);
    match copy.parent {
        Some(parent) => adopt_child(run, parent, id).await,
        None => Ok(()),
    }
}

/// Those of some children that are here: Barman fails on one that is not.
pub fn present(children: impl IntoIterator<Item = BackupId>, layout: Layout, dirs: &ServerDirs) -> BTreeSet<BackupId> {
    children.into_iter().filter(|child| read_info(layout, dirs, *child).is_some()).collect()
}

/// Names a child to the backup that it builds on, if both are here.
async fn adopt_child(run: &ReplicaRun<'_>, parent: BackupId, child: BackupId) -> Result<(), Failure> {
    let (layout, dirs) = (run.layout, run.target.here.clone());
    change_children(run, parent, move |children| children.extend(present([child], layout, &dirs))).await
}

/// Lets a backup no longer name a child.
pub async fn disown_child(run: &ReplicaRun<'_>, parent: BackupId, child: BackupId) -> Result<(), Failure> {
    change_children(run, parent, move |children| {
        children.remove(&child);
    })
    .await
}

async fn change_children(
    run: &ReplicaRun<'_>,
    id: BackupId,
    change: impl FnOnce(&mut BTreeSet<BackupId>) + Send + 'static,
) -> Result<(), Failure> {
    let change = move |info: &BackupInfo| {
        let mut children: BTreeSet<BackupId> = info.children_backup_ids().unwrap_or_default().into_iter().collect();
        change(&mut children);
        info.with_children(&children)
    };
    change_info(run, id, change).await.map(|_| ())
}

/// Reads, changes and writes the backup.info of a backup, under the backup's lock; whether the backup is here at all.
/// The only way to change one that is there: what two change at the same time is changed by both.
pub async fn change_info(
    run: &ReplicaRun<'_>,
    id: BackupId,
    change: impl FnOnce(&BackupInfo) -> BackupInfo + Send + 'static,
) -> Result<bool, Failure> {
    let lock = run.lock(LockKind::BackupId(id)).await?;
    let (layout, dirs) = (run.layout, run.target.here.clone());
    blocking(move || {
        let Some(info) = read_info(layout, &dirs, id) else { return Ok(false) };
        write_info(layout, &dirs, id, &change(&info))?;
        drop(lock);
        Ok(true)
    })
    .await
}

/// Writes a backup.info where its Barman looks for it, and leaves none elsewhere. The backup is locked.
fn write_info(layout: Layout, dirs: &ServerDirs, id: BackupId, info: &BackupInfo) -> Result<(), Failure> {
    let path = layout.backup_info(dirs, id);
    if let Some(directory) = path.parent() {
        durable::create_directory(directory).doing("create", directory)?;
    }
    durable::write(&path, &info.write()).doing("write", &path)?;
    info_paths(layout, dirs, id)
        .iter()
        .filter(|other| **other != path)
        .try_for_each(|other| durable::remove_file(other).doing("remove", other))
}

/// The backup.info that Barman would read, if it is here and can be read.
pub fn read_info(layout: Layout, dirs: &ServerDirs, id: BackupId) -> Option<BackupInfo> {
    info_paths(layout, dirs, id).iter().find_map(|path| BackupInfo::parse(&fs::read(path).ok()?).ok())
}

/// Removes every backup.info of a backup, so that it is invisible to Barman.
pub fn remove_infos(layout: Layout, dirs: &ServerDirs, id: BackupId) -> Result<(), Failure> {
    info_paths(layout, dirs, id).iter().try_for_each(|path| durable::remove_file(path).doing("remove", path))
}

/// Where a backup.info can be: where this Barman has it, then where others have.
fn info_paths(layout: Layout, dirs: &ServerDirs, id: BackupId) -> Vec<PathBuf> {
    let mut paths = vec![layout.backup_info(dirs, id)];
    for other in Layout::readable() {
        let path = other.backup_info(dirs, id);
        if !paths.contains(&path) {
            paths.push(path);
        }
    }
    paths
}

//! Publishing a backup: its base gets its name, and then backup.info says DONE.

use std::collections::BTreeSet;
use std::sync::Arc;

use crate::apply::replica_run::ReplicaRun;
use crate::barman::backup_info::{BackupInfo, Status};
use crate::barman::ids::BackupId;
use crate::barman::layout::Layout;
use crate::error::Error;
use crate::plan::action::BackupCopy;
use crate::store::locks::LockKind;
use crate::store::{CatalogError, Place, Store, infos};
use crate::transport::blocking;

use super::Job;

/// Whether Barman lists the backup as good and its base is there.
pub fn is_published(store: &dyn Store, layout: Layout, id: BackupId) -> Result<bool, CatalogError> {
    let is_done = infos::read(store, layout, id).is_some_and(|info| info.status() == Ok(Status::Done));
    // What is a link in its place is left as it is, and told by whoever looks at it next.
    let is_there = store.look(Place::Base(id).into())?.is_some_and(|base| base.kind.is_dir() || base.kind.is_symlink());
    Ok(is_done && is_there)
}

/// Gives a verified base its name and writes its backup.info, then names it to the backup that it builds on.
pub async fn publish(job: Job<'_>, copy: &BackupCopy) -> Result<(), Error> {
    let published = publish_held(job.run, copy).await;
    job.run.release(copy.id);
    published
}

async fn publish_held(run: &ReplicaRun<'_>, copy: &BackupCopy) -> Result<(), Error> {
    let id = copy.id;
    let (store, layout, info) = (Arc::clone(&run.store), run.layout, copy.info.clone());
    let is_here = blocking(move || {
        let store = store.as_ref();
        if is_published(store, layout, id)? {
            return Ok(true);
        }
        store.publish(id)?;
        let present = present(info.children_backup_ids().unwrap_or_default(), layout, store);
        infos::write(store, layout, id, &info.with_children(&present))?;
        Ok(false)
    })
    .await?;
    if is_here {
        return Ok(());
    }
    // While another backup's lock is waited for, none is held.
    run.release(id);
    match copy.parent {
        Some(parent) => adopt_child(run, parent, id).await,
        None => Ok(()),
    }
}

/// Those of some children that are here: Barman fails on one that is not.
pub fn present(children: impl IntoIterator<Item = BackupId>, layout: Layout, store: &dyn Store) -> BTreeSet<BackupId> {
    children.into_iter().filter(|child| infos::read(store, layout, *child).is_some()).collect()
}

/// Names a child to the backup that it builds on, if both are here.
async fn adopt_child(run: &ReplicaRun<'_>, parent: BackupId, child: BackupId) -> Result<(), Error> {
    let (store, layout) = (Arc::clone(&run.store), run.layout);
    change_children(run, parent, move |children| children.extend(present([child], layout, store.as_ref()))).await
}

/// Lets a backup no longer name a child.
pub async fn disown_child(run: &ReplicaRun<'_>, parent: BackupId, child: BackupId) -> Result<(), Error> {
    change_children(run, parent, move |children| {
        children.remove(&child);
    })
    .await
}

async fn change_children(
    run: &ReplicaRun<'_>,
    id: BackupId,
    change: impl FnOnce(&mut BTreeSet<BackupId>) + Send + 'static,
) -> Result<(), Error> {
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
) -> Result<bool, Error> {
    let lock = run.lock(LockKind::BackupId(id)).await?;
    let (store, layout) = (Arc::clone(&run.store), run.layout);
    blocking(move || {
        let Some(info) = infos::read(store.as_ref(), layout, id) else { return Ok(false) };
        infos::write(store.as_ref(), layout, id, &change(&info))?;
        drop(lock);
        Ok(true)
    })
    .await
}

//! The ground that everything else stands on: a server's directories and sync-wals.info.

use std::sync::Arc;

use crate::barman::layout::Layout;
use crate::barman::sync_wals::SyncWals;
use crate::barman::wal::WalName;
use crate::error::Error;
use crate::store::{ChangeError, Place, Store, xlogdb};
use crate::transport::blocking;

use super::Job;

/// Makes the directories, sync-wals.info and an empty xlog.db: without them Barman would list every WAL twice.
pub async fn create(job: Job<'_>) -> Result<(), Error> {
    let (store, layout, sync_wals) = (Arc::clone(&job.run.store), job.run.layout, job.run.target.sync_wals);
    blocking(move || {
        create_directories(store.as_ref(), layout)?;
        xlogdb::create(store.as_ref(), layout)?;
        Ok(sync_wals.map_or(Ok(()), |to| write_sync_wals(store.as_ref(), to))?)
    })
    .await
}

/// Makes the directories of a server that are not there: all of them, or those that a killed creation did not reach.
pub fn create_directories(store: &dyn Store, layout: Layout) -> Result<(), ChangeError> {
    let mut directories = vec![Place::Server, Place::Bases, Place::Wals];
    if layout.uses_meta() {
        directories.extend([Place::XlogDbDirectory, Place::Meta]);
    }
    directories.push(Place::Own);
    directories.into_iter().try_for_each(|directory| store.make(directory))
}

/// Writes the pair that was observed, so that Barman's own sync neither starts over nor fails.
pub async fn rewrite_sync_wals(job: Job<'_>, to: (WalName, u64)) -> Result<(), Error> {
    let (store, layout) = (Arc::clone(&job.run.store), job.run.layout);
    blocking(move || {
        create_directories(store.as_ref(), layout)?;
        Ok(write_sync_wals(store.as_ref(), to)?)
    })
    .await
}

fn write_sync_wals(store: &dyn Store, (name, position): (WalName, u64)) -> Result<(), ChangeError> {
    store.write(Place::SyncWals, SyncWals::new(name, position).write().as_ref())
}

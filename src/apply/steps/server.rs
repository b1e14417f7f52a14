//! The ground that everything else stands on: a server's directories and sync-wals.info.

use crate::apply::failure::Doing;
use crate::apply::replica_run::blocking;
use crate::barman::layout::{Layout, ServerDirs};
use crate::barman::sync_wals::SyncWals;
use crate::barman::wal::WalName;
use crate::events::Failure;
use crate::store::posix::durable;
use crate::store::staging::OWN_DIRECTORY;

use super::Job;

/// Makes the directories, sync-wals.info and an empty xlog.db: without them Barman would list every WAL twice.
pub async fn create(job: Job<'_>) -> Result<(), Failure> {
    let (dirs, layout) = (job.run.target.here.clone(), job.run.layout);
    let sync_wals = job.run.target.sync_wals;
    blocking(move || {
        create_directories(&dirs, layout)?;
        let xlogdb = layout.xlogdb(&dirs);
        if !xlogdb.exists() {
            durable::write(&xlogdb, b"").doing("write", &xlogdb)?;
        }
        sync_wals.map_or(Ok(()), |to| write_sync_wals(&dirs, to))
    })
    .await
}

/// Makes the directories of a server that are not there: all of them, or those that a killed creation did not reach.
pub fn create_directories(dirs: &ServerDirs, layout: Layout) -> Result<(), Failure> {
    let mut directories = vec![&dirs.backup_directory, &dirs.basebackups_directory, &dirs.wals_directory];
    if layout.uses_meta() {
        directories.extend([&dirs.xlogdb_directory, &dirs.meta_directory]);
    }
    for directory in directories {
        durable::create_directory(directory).doing("create", directory)?;
    }
    own_directory(dirs)
}

/// Makes our own directory of a server, which is nobody else's business.
pub fn own_directory(dirs: &ServerDirs) -> Result<(), Failure> {
    let own = dirs.backup_directory.join(OWN_DIRECTORY);
    durable::create_private_directory(&own).doing("create", &own)
}

/// Writes the pair that was observed, so that Barman's own sync neither starts over nor fails.
pub async fn rewrite_sync_wals(job: Job<'_>, to: (WalName, u64)) -> Result<(), Failure> {
    let (dirs, layout) = (job.run.target.here.clone(), job.run.layout);
    blocking(move || {
        create_directories(&dirs, layout)?;
        write_sync_wals(&dirs, to)
    })
    .await
}

fn write_sync_wals(dirs: &ServerDirs, (name, position): (WalName, u64)) -> Result<(), Failure> {
    let path = dirs.sync_wals_info();
    durable::write(&path, &SyncWals::new(name, position).write()).doing("write", &path)
}

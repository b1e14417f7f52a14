//! Metadata of backups that are here: backup.info and keep annotations.

use crate::apply::durable;
use crate::apply::events::Failure;
use crate::apply::failure::Doing;
use crate::apply::replica_run::blocking;
use crate::barman::backup_info::BackupInfo;
use crate::barman::ids::BackupId;
use crate::barman::keep::Keep;
use crate::barman::locks::LockKind;
use crate::verify::tablespaces;

use super::{Job, publish};

/// Rewrites a backup.info, unless the backup was deleted in the meantime.
pub async fn update_info(job: Job<'_>, id: BackupId, to: &BackupInfo) -> Result<(), Failure> {
    let lock = job.run.lock(LockKind::BackupId(id)).await?;
    let (dirs, layout, to) = (job.run.target.here.clone(), job.run.layout, to.clone());
    blocking(move || {
        if publish::read_info(layout, &dirs, id).is_none() {
            return Err(gone(id));
        }
        publish::write_info(layout, &dirs, id, &to)?;
        drop(lock);
        Ok(())
    })
    .await
}

/// Writes a keep annotation where this Barman looks for it.
pub async fn set_keep(job: Job<'_>, id: BackupId, to: Keep) -> Result<(), Failure> {
    let (dirs, layout) = (job.run.target.here.clone(), job.run.layout);
    blocking(move || {
        if publish::read_info(layout, &dirs, id).is_none() {
            return Err(gone(id));
        }
        let path = layout.keep(&dirs, id);
        if let Some(directory) = path.parent() {
            durable::create_directory(directory).doing("create", directory)?;
        }
        durable::write(&path, to.write()).doing("write", &path)
    })
    .await
}

/// Makes the links by which PostgreSQL finds the tablespaces of a backup that is here.
pub async fn link_tablespaces(job: Job<'_>, id: BackupId, oids: &[u32]) -> Result<(), Failure> {
    let lock = job.run.lock(LockKind::BackupId(id)).await?;
    let (base, oids) = (job.run.target.here.base(id), oids.to_vec());
    blocking(move || {
        tablespaces::link(&base, &base, &oids).doing("link the tablespaces of", &base)?;
        durable::sync_file_system(&base).doing("sync", &base)?;
        drop(lock);
        Ok(())
    })
    .await
}

fn gone(id: BackupId) -> Failure {
    Failure::new(format!("backup {id} is no longer at the site")).hint("something else deleted it; plan again")
}

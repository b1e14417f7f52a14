//! Metadata of backups that are here: backup.info and keep annotations.

use std::collections::BTreeSet;
use std::sync::Arc;

use crate::barman::backup_info::BackupInfo;
use crate::barman::ids::BackupId;
use crate::barman::keep::Keep;
use crate::error::{Error, Kind};
use crate::store::locks::LockKind;
use crate::store::{Place, infos};
use crate::transport::blocking;

use super::{Job, publish};

/// Rewrites a backup.info, unless the backup was deleted in the meantime. Children that came or went since it was planned
/// are still named, or no longer.
pub async fn update_info(job: Job<'_>, id: BackupId, from: &BackupInfo, to: &BackupInfo) -> Result<(), Error> {
    let (store, layout, from, to) = (Arc::clone(&job.run.store), job.run.layout, from.clone(), to.clone());
    let change = move |now: &BackupInfo| {
        let children = merge(&children(&from), &children(now), &children(&to));
        to.with_children(&publish::present(children, layout, store.as_ref()))
    };
    if publish::change_info(job.run, id, change).await? { Ok(()) } else { Err(gone(id)) }
}

fn children(info: &BackupInfo) -> BTreeSet<BackupId> {
    info.children_backup_ids().unwrap_or_default().into_iter().collect()
}

/// What was planned, with what others changed since then.
fn merge(from: &BTreeSet<BackupId>, now: &BTreeSet<BackupId>, to: &BTreeSet<BackupId>) -> BTreeSet<BackupId> {
    let came = now.difference(from).copied();
    let went: BTreeSet<BackupId> = from.difference(now).copied().collect();
    to.difference(&went).copied().chain(came).collect()
}

/// Writes a keep annotation where this Barman looks for it.
pub async fn set_keep(job: Job<'_>, id: BackupId, to: Keep) -> Result<(), Error> {
    let (store, layout) = (Arc::clone(&job.run.store), job.run.layout);
    blocking(move || match infos::read(store.as_ref(), layout, id) {
        None => Err(gone(id)),
        Some(_) => Ok(store.write(Place::Keep(layout, id), to.write())?),
    })
    .await
}

/// Makes the links by which PostgreSQL finds the tablespaces of a backup that is here.
pub async fn link_tablespaces(job: Job<'_>, id: BackupId, oids: &[u32]) -> Result<(), Error> {
    let lock = job.run.lock(LockKind::BackupId(id)).await?;
    let (store, oids) = (Arc::clone(&job.run.store), oids.to_vec());
    blocking(move || {
        store.link_tablespaces(Place::Base(id), id, &oids)?;
        drop(lock);
        Ok(())
    })
    .await
}

fn gone(id: BackupId) -> Error {
    Error::new(Kind::Stale, format!("backup {id} is no longer at the site"))
        .hint("something else deleted it; plan again")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn children_that_came_or_went_meanwhile_count() {
        let ids = |days: &[u8]| -> BTreeSet<BackupId> {
            days.iter().map(|day| format!("202611{day:02}T030000").parse().unwrap()).collect()
        };
        for (from, now, to, expected) in [
            (&[][..], &[][..], &[1][..], &[1][..]),
            (&[1, 2], &[1, 2], &[1], &[1]),
            (&[1], &[], &[1, 2], &[2]),
            (&[1], &[1, 3], &[1, 2], &[1, 2, 3]),
            (&[1, 2], &[2, 3], &[1], &[3]),
        ] {
            assert_eq!(merge(&ids(from), &ids(now), &ids(to)), ids(expected), "{from:?} {now:?} {to:?}");
        }
    }
}

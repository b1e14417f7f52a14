//! The site's end of a replica: its catalog, told for the Barman that will read it.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Arc;

use crate::barman::backup_info::Status;
use crate::barman::ids::BackupId;
use crate::barman::layout::ServerDirs;
use crate::barman::version::BarmanVersion;
use crate::store::{CatalogError, Place, Root, Store, Volume};

use super::catalog::backups::{CatalogBackup, InfoFile};
use super::catalog::{ServerOnDisk, base};
use super::inventory::{BaseState, LocalBackup, Published, ReplicaInventory, Rooms, SiteBarman};

/// Tells what a Barman of this version has in hand.
pub fn inventory(
    disk: ServerOnDisk,
    store: &dyn Store,
    directories: ServerDirs,
    site_barman: SiteBarman,
    version: BarmanVersion,
) -> ReplicaInventory {
    let broken = disk.backups.broken().map(|(id, why)| format!("the backup.info of {id} cannot be used: {why}"));
    let followed = match store.followed_links() {
        Ok(links) => links.iter().map(|(link, leads_to)| followed(link, leads_to)).collect(),
        Err(error) => vec![format!("nothing can be applied: {error}")],
    };
    let notes = broken.chain(disk.notes()).chain(followed).collect();
    let backups = disk.backups.by_id.into_iter();
    ReplicaInventory {
        exists: disk.exists,
        unreadable: false,
        barman: version,
        backups: backups.map(|(id, backup)| (id, local_backup(id, backup, version, store))).collect(),
        wals: disk.wals.sizes,
        wals_looked_at: disk.wals_looked_at,
        unsound: disk.unsound,
        whole: BTreeMap::new(),
        xlogdb: disk.xlogdb.into_state(version),
        histories: disk.histories,
        sync_wals: disk.sync_wals.map(|pair| (pair.last_name, pair.last_position())),
        staged: disk.staged,
        site_barman,
        rooms: store.room(Volume::Bases).zip(store.room(Volume::Wals)).map(|(bases, wals)| Rooms { bases, wals }),
        name: None,
        identity: disk.identity,
        last_apply: disk.last_apply,
        other_site: None,
        suspended: None,
        damage: disk.damage,
        verified: disk.verified,
        drills: disk.drills,
        findings: disk.findings,
        notes,
        directories,
    }
}

/// What is said of a link that this user made where a disk may be.
fn followed(link: &Path, leads_to: &Path) -> String {
    let (link, leads_to) = (link.display(), leads_to.display());
    format!("{link} is a symbolic link, and is followed: what is written there goes to {leads_to}")
}

/// Tells what a Barman of this version has in hand of one backup.
pub fn local_backup(id: BackupId, backup: CatalogBackup, version: BarmanVersion, store: &dyn Store) -> LocalBackup {
    let published = match backup.info_for(version) {
        Some((InfoFile::Readable(metadata), is_read)) => Some(Published {
            facts: metadata.facts.clone(),
            info: metadata.info.clone(),
            damage: metadata.info.damages(),
            is_read,
        }),
        Some((InfoFile::Broken { .. }, _)) | None => None,
    };
    let oids = published.as_ref().map_or(&[][..], |published| &published.facts.tablespaces);
    let unlinked = store.unlinked(id, oids);
    LocalBackup {
        published,
        base: backup.base,
        looked_at: backup.looked_at,
        unlinked,
        keep: backup.keep,
        manifest: None,
    }
}

/// Reads the manifests of the backups whose files a copy of the `missing` ones can share: for each the nearest
/// complete one before it, or after it.
pub fn read_reuse_manifests(
    here: &mut ReplicaInventory,
    store: &dyn Store,
    missing: &BTreeSet<BackupId>,
) -> Result<(), CatalogError> {
    let whole: BTreeSet<BackupId> =
        here.backups.iter().filter(|(id, local)| !missing.contains(id) && is_whole(local)).map(|(id, _)| *id).collect();
    let nearest = |id: &BackupId| whole.range(..id).next_back().or_else(|| whole.range(id..).next()).copied();
    let bases: BTreeSet<BackupId> = missing.iter().filter_map(nearest).collect();
    for id in bases {
        let manifest = base::manifest(Root::new(store, Place::Base(id)))?;
        if let Some(local) = here.backups.get_mut(&id) {
            local.manifest = manifest.map(Arc::new);
        }
    }
    Ok(())
}

fn is_whole(local: &LocalBackup) -> bool {
    local.base == BaseState::Complete
        && local.published.as_ref().is_some_and(|published| published.facts.status == Status::Done)
}

//! A primary whose catalog this host can read: a mount, a second disk, a test. Its Barman is not run.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use crate::barman::ids::ServerName;
use crate::barman::layout::ServerDirs;
use crate::error::{Error, Kind};
use crate::observe::catalog::backups::InfoFile;
use crate::observe::catalog::{Looking, ServerOnDisk};
use crate::observe::inventory::{BaseKind, PrimaryInventory};
use crate::observe::version::likely;
use crate::store::{CatalogError, Posix};

/// Reads a server of the catalog at `home`.
pub async fn read(home: &Path, server: &ServerName) -> Result<PrimaryInventory, Error> {
    let dirs = ServerDirs::of_catalog(home, server.clone());
    let (dirs, disk) = tokio::task::spawn_blocking(move || {
        let disk = ServerOnDisk::read(&Posix::new(dirs.clone()), &dirs.server, Looking::default())?;
        Ok::<_, CatalogError>((dirs, disk))
    })
    .await??;
    if !disk.exists {
        let path = dirs.backup_directory.display();
        return Err(Error::new(Kind::NotFound, format!("there is no directory {path}"))
            .hint("set `server:` if it has another name than the replica; is the file system mounted?"));
    }
    Ok(inventory(disk, dirs))
}

fn inventory(disk: ServerOnDisk, directories: ServerDirs) -> PrimaryInventory {
    let barman = likely(disk.version_bounds());
    let mut notes = disk.notes();
    let mut backups = BTreeMap::new();
    for (id, backup) in disk.backups.by_id {
        // Like sync-info: a base without a backup.info is no backup.
        let Some(info) = backup.info() else { continue };
        let mut there = super::primary_backup(id, info.fields().clone(), &mut Vec::new());
        if let InfoFile::Broken { why, .. } = info {
            // Also where so little can be read that nothing contradicts itself.
            there.base = BaseKind::Unreadable;
            notes.push(super::left_alone(id, why));
        }
        there.keep = backup.keep;
        there.going_away = backup.going_away;
        backups.insert(id, there);
    }
    let list = disk.xlogdb.named.or(disk.xlogdb.plain).unwrap_or_default();
    PrimaryInventory {
        barman,
        directories,
        backups,
        wals: list.entries,
        gone: BTreeSet::new(),
        undescribed: BTreeMap::new(),
        histories: BTreeMap::new(),
        pedigree: BTreeSet::new(),
        last: list.last,
        notes,
    }
}

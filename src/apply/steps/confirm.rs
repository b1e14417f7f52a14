//! Whether a step changed what it was planned to change.
//!
//! A step that did not has failed, whatever the programs said that it ran: after an apply that succeeded, the next plan
//! over the same two ends is empty. So the disk is looked at again when a step is done, with the eyes of the next plan
//! ([`crate::observe`]). Bytes were proved before they were published, and are not read once more.

#![deny(clippy::wildcard_enum_match_arm)]

use std::collections::BTreeSet;
use std::sync::Arc;

use super::first_few;
use crate::barman::backup_info::{BackupInfo, Status};
use crate::barman::ids::{BackupId, ServerName};
use crate::barman::keep::Keep;
use crate::barman::layout::Layout;
use crate::barman::version::BarmanVersion;
use crate::barman::wal::WalName;
use crate::barman::xlogdb::{XlogDb, has_line};
use crate::error::{Error, Kind};
use crate::observe::catalog::xlogdb::XlogDbFiles;
use crate::observe::catalog::{self, backups};
use crate::observe::inventory::{BaseState, LocalBackup, XlogDbState};
use crate::observe::local_backup;
use crate::plan::action::Change;
use crate::plan::order::graph::Phase;
use crate::transport::blocking;

use super::Job;
use crate::store::{CatalogError, Place, Store, damage, wals, xlogdb};

/// What is still not as it was planned.
type Faults = Result<Vec<String>, CatalogError>;

/// Fails a step that is done when what it was to change is not as it was planned.
pub async fn confirm(job: Job<'_>, phase: Phase) -> Result<(), Error> {
    let target = job.run.target;
    let change = &job.action.change;
    let (store, server) = (Arc::clone(&job.run.store), target.here.server.clone());
    let here = Here { store, server, barman: target.barman, sync_wals: target.sync_wals };
    let Some(look) = look(change, phase) else { return Ok(()) };
    let faults = blocking(move || Ok(look(&here)?)).await?;
    if faults.is_empty() {
        return Ok(());
    }
    let done = change.deed(phase).done;
    Err(Error::new(Kind::Unproven, format!("it was {done}, and still {}", first_few(faults.into_iter())))
        .hint("look for what is in its way there, such as a link or another program, and plan again"))
}

/// A look at the disk.
type Look = Box<dyn FnOnce(&Here) -> Faults + Send>;

/// What tells whether a change is made; `None` where a later step tells.
fn look(change: &Change, phase: Phase) -> Option<Look> {
    Some(match change {
        Change::CreateServer => Box::new(Here::ground),
        Change::RewriteSyncWals { to, .. } => {
            let to = *to;
            Box::new(move |here| here.sync_wals(to))
        }
        Change::RepairXlogDb { .. } => Box::new(Here::xlogdb),
        Change::ShipHistory { timeline, size, .. } => {
            let file = (WalName::History(*timeline), *size);
            Box::new(move |here| here.wals(&[file]))
        }
        Change::AddWals(batch) | Change::RepairWals(batch) => {
            let files: Vec<(WalName, u64)> = batch.entries.iter().map(|entry| (entry.name, entry.size)).collect();
            Box::new(move |here| here.wals(&files))
        }
        Change::AddBackup(_) if phase == Phase::Copy => return None,
        Change::AddBackup(copy) => {
            let (id, parent) = (copy.id, copy.parent);
            Box::new(move |here| here.published(id, parent))
        }
        Change::RepairBackup(copy) => {
            let id = copy.id;
            Box::new(move |here| here.base(id))
        }
        Change::UpdateInfo { id, to, .. } => {
            let (id, to) = (*id, to.clone());
            Box::new(move |here| here.info(id, &to))
        }
        Change::LinkTablespaces { id, .. } => {
            let id = *id;
            Box::new(move |here| Ok(unlinked(&here.backup(id)?)))
        }
        Change::SetKeep { id, to, .. } => {
            let (id, to) = (*id, *to);
            Box::new(move |here| here.keep(id, to))
        }
        Change::RemoveBackup { id, parent, .. } => {
            let (id, parent) = (*id, *parent);
            Box::new(move |here| here.removed(id, parent))
        }
        Change::RemoveStaging { id } => {
            let id = *id;
            Box::new(move |here| here.staging(id))
        }
        Change::RemoveWals { files, .. } => {
            let names: Vec<WalName> = files.keys().copied().collect();
            Box::new(move |here| here.removed_wals(&names))
        }
    })
}

/// The site's end of a replica, as the next plan will see it.
struct Here {
    store: Arc<dyn Store>,
    server: ServerName,
    barman: BarmanVersion,
    sync_wals: Option<(WalName, u64)>,
}

impl Here {
    fn ground(&self) -> Faults {
        let mut faults = self.xlogdb()?;
        if let Some(to) = self.sync_wals {
            faults.extend(self.sync_wals(to)?);
        }
        Ok(faults)
    }

    fn sync_wals(&self, to: (WalName, u64)) -> Faults {
        let found = catalog::sync_wals(self.store.as_ref())?.map(|pair| (pair.last_name, pair.last_position()));
        Ok(fault(found != Some(to), || "sync-wals.info says something else".to_owned()))
    }

    fn xlogdb_state(&self) -> Result<XlogDbState, CatalogError> {
        Ok(XlogDbFiles::read(self.store.as_ref())?.into_state(self.barman))
    }

    fn xlogdb(&self) -> Faults {
        let state = self.xlogdb_state()?;
        let listed = state.entries.sizes();
        let on_disk = wals::list(self.store.as_ref(), &self.server)?.sizes;
        let mut faults = fault(!state.findings.is_empty(), || "xlog.db is not as Barman reads it".to_owned());
        let unlisted = on_disk.names().filter(|name| !listed.contains(*name));
        faults.extend(unlisted.map(|name| format!("xlog.db does not list {name}, which is here")));
        let absent = listed.names().filter(|name| !on_disk.contains(*name));
        faults.extend(absent.map(|name| format!("xlog.db lists {name}, which is not here")));
        Ok(faults)
    }

    /// Those of some names that xlog.db does not list.
    fn unlisted(&self, names: impl Iterator<Item = WalName>) -> Result<BTreeSet<WalName>, CatalogError> {
        let list = xlogdb::bytes_of_any(self.store.as_ref(), Layout::of(self.barman))?.unwrap_or_default();
        let mut missed: BTreeSet<WalName> = names.filter(|name| !has_line(&list, *name)).collect();
        if !missed.is_empty() {
            // In a list that is not sorted it may be all the same.
            let listed = XlogDb::parse(&list);
            missed.retain(|name| listed.get(*name).is_none());
        }
        Ok(missed)
    }

    /// The WAL files that are not here with their sizes, or that xlog.db does not list.
    fn wals(&self, files: &[(WalName, u64)]) -> Faults {
        let mut faults = Vec::new();
        let unlisted = self.unlisted(files.iter().map(|(name, _)| *name))?;
        for (name, size) in files {
            match wals::size(self.store.as_ref(), *name)? {
                None => faults.push(format!("{name} is no file in the archive")),
                Some(found) if found != *size => faults.push(format!("{name} has {found} bytes, not {size}")),
                Some(_) if damage::has_wal(self.store.as_ref(), *name)? => {
                    faults.push(format!("{name} is known to be damaged"));
                }
                Some(_) if unlisted.contains(name) => faults.push(format!("xlog.db does not list {name}")),
                Some(_) => {}
            }
        }
        Ok(faults)
    }

    fn removed_wals(&self, names: &[WalName]) -> Faults {
        let state = self.xlogdb_state()?;
        let listed = state.entries.sizes();
        let mut faults = Vec::new();
        for name in names {
            let is_here = wals::size(self.store.as_ref(), *name)?.is_some();
            faults.extend(fault(is_here, || format!("{name} is here")));
            faults.extend(fault(listed.contains(*name), || format!("xlog.db lists {name}")));
        }
        Ok(faults)
    }

    fn backup(&self, id: BackupId) -> Result<LocalBackup, CatalogError> {
        let nothing = || LocalBackup {
            published: None,
            base: BaseState::Absent,
            looked_at: None,
            unlinked: vec![],
            keep: None,
            manifest: None,
        };
        let found = backups::read_one(self.store.as_ref(), id)?;
        Ok(found.map_or_else(nothing, |found| local_backup(id, found, self.barman, self.store.as_ref())))
    }

    fn published(&self, id: BackupId, parent: Option<BackupId>) -> Faults {
        let local = self.backup(id)?;
        let mut faults = base(&local);
        match &local.published {
            None => faults.push("its backup.info cannot be used".to_owned()),
            Some(published) => {
                let status = published.facts.status;
                faults.extend(fault(status != Status::Done, || format!("its status is {status}")));
                faults.extend(fault(!published.is_read, || format!("Barman {} does not find it", self.barman)));
            }
        }
        let is_named = parent.map_or(Ok(None), |parent| self.names(parent, id))?;
        faults.extend(fault(is_named == Some(false), || "the backup that it builds on does not name it".to_owned()));
        Ok(faults)
    }

    fn base(&self, id: BackupId) -> Faults {
        Ok(base(&self.backup(id)?))
    }

    /// Children come and go with steps of their own.
    fn info(&self, id: BackupId, to: &BackupInfo) -> Faults {
        let Some(published) = self.backup(id)?.published else {
            return Ok(vec!["its backup.info cannot be used".to_owned()]);
        };
        let differing = published.info.differing_keys(to).into_iter().filter(|key| key != "children_backup_ids");
        let mut faults: Vec<String> = differing.map(|key| format!("`{key}` differs")).collect();
        faults.extend(published.damage.iter().map(|damage| format!("`{}` is encoded twice", damage.key)));
        faults.extend(fault(!published.is_read, || format!("Barman {} does not find it", self.barman)));
        Ok(faults)
    }

    fn keep(&self, id: BackupId, to: Keep) -> Faults {
        Ok(fault(self.backup(id)?.keep != Some(to), || "its keep annotation says something else".to_owned()))
    }

    fn removed(&self, id: BackupId, parent: Option<BackupId>) -> Faults {
        let is_here = backups::read_one(self.store.as_ref(), id)?.is_some();
        let mut faults = fault(is_here, || "something of it is here".to_owned());
        let is_named = parent.map_or(Ok(None), |parent| self.names(parent, id))?;
        faults.extend(fault(is_named == Some(true), || "the backup that it builds on names it".to_owned()));
        Ok(faults)
    }

    /// Whether a backup names a child; `None` when it is not here, or for a Barman that knows of no children.
    fn names(&self, parent: BackupId, child: BackupId) -> Result<Option<bool>, CatalogError> {
        let Some(published) = self.backup(parent)?.published.filter(|p| p.info.knows_children()) else {
            return Ok(None);
        };
        Ok(Some(published.info.children_backup_ids().unwrap_or_default().contains(&child)))
    }

    fn staging(&self, id: BackupId) -> Faults {
        let staged = Place::Staged(id);
        let told = || format!("{} is here", self.store.local(staged.into()).display());
        Ok(fault(self.store.is_directory(staged)?, told))
    }
}

fn base(local: &LocalBackup) -> Vec<String> {
    let mut faults = unlinked(local);
    match &local.base {
        BaseState::Complete => {}
        BaseState::Absent => faults.push("its base is not here".to_owned()),
        BaseState::Damaged { files } => {
            faults.extend(files.iter().map(|file| format!("{} is missing or has another size", file.display())));
        }
    }
    faults
}

fn unlinked(local: &LocalBackup) -> Vec<String> {
    local.unlinked.iter().map(|oid| format!("no link leads to the tablespace {oid}")).collect()
}

fn fault(is_one: bool, what: impl FnOnce() -> String) -> Vec<String> {
    if is_one { vec![what()] } else { Vec::new() }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;
    use crate::barman::layout::ServerDirs;
    use crate::demo::catalog::{BARMAN, FIRST_BACKUP, PrimaryCatalog};
    use crate::store::Posix;

    const SEGMENT: &str = "000000010000000000000005";

    /// The first day of the demo's catalog, as if a site held it.
    fn here(home: &tempfile::TempDir) -> (Here, ServerDirs) {
        PrimaryCatalog::create(home.path(), "main").unwrap().first_day().unwrap();
        let dirs = ServerDirs::of_catalog(home.path(), "main".parse().unwrap());
        let here = Here {
            store: Arc::new(Posix::new(dirs.clone())),
            server: dirs.server.clone(),
            barman: BARMAN,
            sync_wals: None,
        };
        (here, dirs)
    }

    #[test]
    fn wal_is_there_with_its_size_and_listed_or_it_was_not_shipped() {
        let home = tempfile::tempdir().unwrap();
        let (here, dirs) = here(&home);
        let name: WalName = SEGMENT.parse().unwrap();
        let path = dirs.wal(name);
        let size = fs::metadata(&path).unwrap().len();
        let told = |size| here.wals(&[(name, size)]).unwrap();
        assert_eq!(told(size), Vec::<String>::new());
        assert_eq!(here.xlogdb().unwrap(), Vec::<String>::new());
        assert_eq!(told(size + 1), [format!("{SEGMENT} has {size} bytes, not {}", size + 1)]);
        let list = Layout::NEWEST.xlogdb(&dirs);
        let lines = fs::read_to_string(&list).unwrap();
        let without: String = lines.split_inclusive('\n').filter(|line| !line.starts_with(SEGMENT)).collect();
        fs::write(&list, without).unwrap();
        assert_eq!(told(size), [format!("xlog.db does not list {SEGMENT}")]);
        assert_eq!(here.xlogdb().unwrap().len(), 1);
        // What lies behind a link is not in the archive.
        fs::write(&list, lines).unwrap();
        let (hash, elsewhere) = (path.parent().unwrap().to_owned(), home.path().join("elsewhere"));
        fs::rename(&hash, &elsewhere).unwrap();
        std::os::unix::fs::symlink(&elsewhere, &hash).unwrap();
        assert_eq!(told(size), [format!("{SEGMENT} is no file in the archive")]);
    }

    #[test]
    fn a_backup_is_whole_and_done_or_it_was_not_published_and_gone_or_it_was_not_deleted() {
        let home = tempfile::tempdir().unwrap();
        let (here, dirs) = here(&home);
        let id: BackupId = FIRST_BACKUP.parse().unwrap();
        let before = here.published(id, None).unwrap();
        fs::remove_file(dirs.base(id).join("data/global/pg_control")).unwrap();
        assert_eq!(here.published(id, None).unwrap().len(), before.len() + 1);
        assert_eq!(here.removed(id, None).unwrap().len(), 1);
        fs::remove_file(Layout::NEWEST.backup_info(&dirs, id)).unwrap();
        assert!(here.published(id, None).unwrap().iter().any(|fault| fault.contains("backup.info")));
        assert_eq!(here.removed(id, None).unwrap().len(), 1, "its base is still there");
        fs::remove_dir_all(dirs.base(id)).unwrap();
        assert_eq!(here.removed(id, None).unwrap(), Vec::<String>::new());
    }
}

//! The store on a file system: reading without following links, changes that a power cut cannot halve, and what a disk
//! tells of lost writes.

pub mod disk;
pub mod durable;
pub mod files;
mod links;
pub mod ours;
pub mod places;

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use super::cache::{Cache, Cached, Use};
use super::entry::{CatalogError, ChangeError, Entry, Found};
use super::locks::{DAMAGE_LOCK, Lock, LockError, LockKind};
use super::place::{At, Place};
use super::{GoOn, Readers, Reserve, Room, Sharing, Store, Volume};
use crate::barman::ids::BackupId;
use crate::barman::layout::ServerDirs;
use crate::barman::wal::WalName;
use disk::{Disk, Since};
use ours::{NotOurs, Stage};
use places::Places;

/// The catalog of one server on a file system of this host.
pub struct Posix {
    dirs: ServerDirs,
    /// `barman_home`
    home: PathBuf,
    /// `barman_lock_directory`
    locks: PathBuf,
    readers: Readers,
    reserve: Reserve,
    /// Whether bases and WAL are on the file system of `backup_directory`.
    inside: OnceLock<(bool, bool)>,
    /// What tells of lost writes, from the first time that it was asked for.
    disks: [Mutex<Option<Arc<Disk>>>; 2],
}

impl Posix {
    /// The catalog in these directories, with the home and the locks of its Barman where they are by default.
    pub fn new(dirs: ServerDirs) -> Self {
        let home = dirs.backup_directory.parent().unwrap_or(&dirs.backup_directory).to_owned();
        Self {
            dirs,
            locks: home.clone(),
            readers: Readers::Owner,
            reserve: Reserve::Usual,
            home,
            inside: OnceLock::new(),
            disks: Default::default(),
        }
    }

    /// A directory that is one server's, whatever its name.
    #[cfg(test)]
    #[allow(clippy::missing_panics_doc, reason = "main is a name")]
    pub fn at(directory: &Path) -> Self {
        let server = "main".parse().expect("a name");
        Self::new(ServerDirs::of_backup_directory(directory.to_owned(), server))
    }

    /// Notes that a write was lost on what holds a volume, as if the disk had told so.
    #[cfg(test)]
    pub fn lose(&self, volume: Volume) -> Result<(), ChangeError> {
        self.disk(volume).map(|disk| disk.lose())
    }

    /// The same as a part of the catalog in this directory.
    #[must_use]
    pub fn of_catalog(self, home: &Path) -> Self {
        Self { home: home.to_owned(), ..self }
    }

    /// The same with Barman's locks in this directory.
    #[must_use]
    pub fn locking_in(self, locks: &Path) -> Self {
        Self { locks: locks.to_owned(), ..self }
    }

    /// The same with these readers.
    #[must_use]
    pub fn read_by(self, readers: Readers) -> Self {
        Self { readers, ..self }
    }

    fn places(&self) -> Places<'_> {
        let (bases_inside, wals_inside) = *self.inside.get_or_init(|| {
            let inside = |directory: &Path| on_same_file_system(&self.dirs.backup_directory, directory);
            (inside(&self.dirs.basebackups_directory), inside(&self.dirs.wals_directory))
        });
        Places { dirs: &self.dirs, home: &self.home, bases_inside, wals_inside }
    }

    fn path<'a>(&self, at: impl Into<At<'a>>) -> PathBuf {
        self.places().path(at.into())
    }

    fn lock(&self, kind: LockKind) -> PathBuf {
        match kind {
            LockKind::Run => self.path(Place::RunLock),
            LockKind::Damage => self.path(Place::Own.below(Path::new(DAMAGE_LOCK))),
            barmans => barmans.path(&self.locks, &self.dirs.server),
        }
    }

    fn paths(&self, written: &[At<'_>]) -> Vec<PathBuf> {
        written.iter().map(|at| self.path(*at)).collect()
    }

    /// What holds a volume, opened when it is asked for first.
    fn disk(&self, volume: Volume) -> Result<Arc<Disk>, ChangeError> {
        let (slot, directory) = match volume {
            Volume::Bases => (&self.disks[0], &self.dirs.basebackups_directory),
            Volume::Wals => (&self.disks[1], &self.path(Place::Arrivals)),
        };
        // It is set as the last thing.
        let mut slot = slot.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(disk) = &*slot {
            return Ok(Arc::clone(disk));
        }
        let disk = Arc::new(Disk::open(directory).map_err(ChangeError::doing("begin to write in", directory))?);
        *slot = Some(Arc::clone(&disk));
        Ok(disk)
    }

    /// The same that leaves so much of its disks free.
    #[must_use]
    pub fn leaving(self, reserve: Reserve) -> Self {
        Self { reserve, ..self }
    }

    /// Where what is written lies, each of which people may link to another disk.
    fn disk_directories(&self) -> [&Path; 5] {
        let dirs = &self.dirs;
        let below = [&dirs.basebackups_directory, &dirs.wals_directory, &dirs.xlogdb_directory].map(PathBuf::as_path);
        let [bases, wals, lists] = below;
        [&self.home, &dirs.backup_directory, bases, wals, lists]
    }

    /// Where nobody has a reason to put a link.
    fn own_directories(&self) -> [PathBuf; 6] {
        let dirs = &self.dirs;
        [
            self.home.join(places::OWN_DIRECTORY),
            dirs.meta_directory.clone(),
            places::own(dirs),
            places::staging_inside(dirs),
            places::trash_inside(dirs),
            self.path(Place::Arrivals),
        ]
    }

    /// What waits to be deleted, wherever it does.
    fn trash(&self) -> Result<Vec<PathBuf>, CatalogError> {
        let inside = files::list(&places::trash_inside(&self.dirs))?.into_iter();
        let beside = files::list(&self.dirs.basebackups_directory)?.into_iter();
        let beside = beside.filter(|entry| places::goes_beside(&entry.name));
        Ok(inside.chain(beside).map(|entry| entry.path()).collect())
    }
}

impl Store for Posix {
    fn is_here(&self) -> Result<bool, CatalogError> {
        let path = &self.dirs.backup_directory;
        match fs::metadata(path) {
            Ok(metadata) => Ok(metadata.is_dir()),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
            Err(error) => Err(CatalogError::at(path)(error)),
        }
    }

    fn look(&self, at: At<'_>) -> Result<Option<Found>, CatalogError> {
        files::look(&self.path(at))
    }

    fn list(&self, at: At<'_>) -> Result<Vec<Entry>, CatalogError> {
        files::list(&self.path(at))
    }

    fn open(&self, at: At<'_>) -> Result<Option<File>, CatalogError> {
        let path = self.path(at);
        files::open(&path).map_err(CatalogError::at(&path))
    }

    fn followed_links(&self) -> Result<Vec<(PathBuf, PathBuf)>, ChangeError> {
        let own = self.own_directories();
        let disks = self.disk_directories().map(|directory| Stage { directory, may_be_link: true });
        let own = own.iter().map(|directory| Stage { directory, may_be_link: false });
        ours::check(disks.into_iter().chain(own))
            .map_err(|NotOurs { directory, why }| ChangeError::doing("write below", &directory)(why))
    }

    fn shut_group_out(&self) -> Result<(), ChangeError> {
        let own = self.own_directories();
        let all = self.disk_directories().into_iter().chain(own.iter().map(PathBuf::as_path));
        ours::shut_group_out(all).map_err(ChangeError::doing("set the modes of", &self.dirs.backup_directory))
    }

    fn staged(&self) -> Result<BTreeSet<BackupId>, CatalogError> {
        let inside = files::list(&places::staging_inside(&self.dirs))?.into_iter().filter(|entry| entry.kind.is_dir());
        let beside = files::list(&self.dirs.basebackups_directory)?.into_iter().filter(|entry| entry.kind.is_dir());
        let beside = beside.filter_map(|entry| places::grows_beside(&entry.name));
        Ok(inside.filter_map(|entry| entry.name.parse().ok()).chain(beside).collect())
    }

    fn unlinked(&self, id: BackupId, oids: &[u32]) -> Vec<u32> {
        links::unlinked(&self.dirs.base(id), oids)
    }

    fn room(&self, volume: Volume) -> Option<Room> {
        let directory = match volume {
            Volume::Bases => &self.dirs.basebackups_directory,
            Volume::Wals => &self.dirs.wals_directory,
        };
        files::room(directory, self.reserve)
    }

    fn cache(&self, kept: Cached, purpose: Use) -> Option<Cache> {
        Cache::open(&self.dirs, kept, purpose)
    }

    fn local(&self, at: At<'_>) -> PathBuf {
        self.path(at)
    }

    fn since(&self, volume: Volume) -> Result<Since, ChangeError> {
        Ok(self.disk(volume)?.since())
    }

    fn sync(&self, volume: Volume, since: Since, written: &[At<'_>]) -> Result<(), ChangeError> {
        let paths = self.paths(written);
        let told = paths.first().map_or(&self.dirs.backup_directory, |path| path);
        self.disk(volume)?.sync(since, &paths).map_err(ChangeError::doing("sync", told))
    }

    fn has_lost(&self) -> bool {
        let lost = |disk: &Mutex<Option<Arc<Disk>>>| {
            disk.lock().unwrap_or_else(PoisonError::into_inner).as_ref().is_some_and(|disk| disk.has_lost())
        };
        self.disks.iter().any(lost)
    }

    fn reread(&self, written: &[At<'_>]) -> Result<(), ChangeError> {
        let paths = self.paths(written);
        let Some(told) = paths.first() else { return Ok(()) };
        disk::evict(&paths).map_err(ChangeError::doing("read again", told))
    }

    fn share(&self, from: Place, to: Place, file: &Path, how: Sharing) -> Result<(), ChangeError> {
        let (from, to) = (self.path(from.below(file)), self.path(to.below(file)));
        if to.exists() || !from.is_file() {
            return Ok(());
        }
        if let Some(above) = to.parent() {
            fs::create_dir_all(above).map_err(ChangeError::doing("create", above))?;
        }
        links::share(&from, &to, how).map_err(ChangeError::doing("reuse", &from))
    }

    fn link_tablespaces(&self, tree: Place, id: BackupId, oids: &[u32]) -> Result<(), ChangeError> {
        let tree = self.path(tree);
        links::link(&tree, &self.dirs.base(id), oids).map_err(ChangeError::doing("link the tablespaces of", &tree))
    }

    fn settle_modes(&self, written: &[At<'_>]) -> Result<(), ChangeError> {
        self.paths(written)
            .iter()
            .try_for_each(|path| self.readers.settle(path).map_err(ChangeError::doing("set the modes of", path)))
    }

    fn make(&self, place: Place) -> Result<(), ChangeError> {
        let path = self.path(place);
        let made = match place {
            Place::Own => durable::create_private_directory(&path),
            _ => durable::create_directory(&path),
        };
        made.map_err(ChangeError::doing("create", &path))
    }

    fn write(&self, place: Place, content: &[u8]) -> Result<(), ChangeError> {
        let path = self.path(place);
        if !place.is_durable() {
            let ours = path.parent().unwrap_or(&path);
            let noted = files::check_ours(ours).and_then(|()| durable::note(&path, content));
            return noted.map_err(ChangeError::doing("write", &path));
        }
        match (place, path.parent()) {
            (
                Place::Unfinished
                | Place::LastApply
                | Place::Findings
                | Place::Damage
                | Place::Detached
                | Place::Repairing(_)
                | Place::ArrivalNote(_),
                _,
            ) => {
                self.make(Place::Own)?;
            }
            (_, Some(above)) => durable::create_directory(above).map_err(ChangeError::doing("create", above))?,
            (_, None) => {}
        }
        durable::write(&path, content).map_err(ChangeError::doing("write", &path))
    }

    fn publish(&self, id: BackupId) -> Result<(), ChangeError> {
        let base = self.dirs.base(id);
        rename("move into place", &self.path(Place::Staged(id)), &base, &base)
    }

    fn stage_published(&self, id: BackupId) -> Result<(), ChangeError> {
        let base = self.dirs.base(id);
        rename("move to staging", &base, &self.path(Place::Staged(id)), &base)
    }

    fn publish_wals(&self, names: &[WalName]) -> Result<(), ChangeError> {
        let mut directories = BTreeSet::new();
        for name in names {
            let to = self.dirs.wal(*name);
            let directory = to.parent().unwrap_or(&self.dirs.wals_directory).to_owned();
            if !directories.contains(&directory) {
                durable::create_directory(&directory).map_err(ChangeError::doing("create", &directory))?;
                directories.insert(directory);
            }
            durable::place(&self.path(Place::Arrived(*name)), &to)
                .map_err(ChangeError::doing("move a WAL file to", &to))?;
        }
        directories
            .iter()
            .try_for_each(|directory| durable::sync_directory(directory).map_err(ChangeError::doing("sync", directory)))
    }

    fn remove(&self, at: At<'_>) -> Result<(), ChangeError> {
        let path = self.path(at);
        durable::remove_file(&path).map_err(ChangeError::doing("remove", &path))
    }

    fn remove_wals(&self, names: &BTreeSet<WalName>) -> Result<(), ChangeError> {
        let wals = &self.dirs.wals_directory;
        let mut directories = BTreeSet::new();
        for path in names.iter().map(|name| self.dirs.wal(*name)) {
            match durable::unlink(&path) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => {
                    return Err(ChangeError::doing("delete", &path)(error));
                }
                _ => directories.extend(path.parent().map(Path::to_owned)),
            }
        }
        for directory in directories.iter().filter(|directory| *directory != wals) {
            // A directory with anything left in it stays.
            let _ = fs::remove_dir(directory);
        }
        durable::sync_directory(wals).map_err(ChangeError::doing("sync", wals))
    }

    fn discard(&self, id: BackupId) -> Result<(), ChangeError> {
        let base = self.dirs.base(id);
        rename("move away", &base, &self.path(Place::Trash(id)), &base)
    }

    fn remove_tree(&self, place: Place, go_on: GoOn<'_>) -> Result<bool, ChangeError> {
        let path = self.path(place);
        durable::remove_tree(&path, go_on).map_err(ChangeError::doing("delete", &path))
    }

    fn sweep(&self, go_on: GoOn<'_>) -> Result<(), ChangeError> {
        // All are tried: one that cannot be deleted is no reason to keep the others.
        let swept: Vec<_> = self
            .trash()?
            .iter()
            .map(|tree| durable::remove_tree(tree, go_on).map_err(ChangeError::doing("delete", tree)))
            .collect();
        swept.into_iter().try_for_each(|swept| swept.map(|_| ()))
    }

    fn tidy(&self) -> Result<(), ChangeError> {
        for place in [Place::Server, Place::Own, Place::Wals, Place::XlogDbDirectory, Place::Meta] {
            let path = self.path(place);
            durable::remove_unfinished(&path).map_err(ChangeError::doing("remove temporary files of", &path))?;
        }
        Ok(())
    }

    fn try_lock(&self, kind: LockKind) -> Result<Lock, LockError> {
        Lock::try_acquire(&self.lock(kind))
    }

    fn is_locked(&self, kind: LockKind) -> Result<bool, LockError> {
        let path = self.lock(kind);
        Lock::is_held(&path).map_err(|source| LockError::Io { path, source })
    }
}

/// Moves a directory whose content is durable, and makes its names durable. An error tells of the path that is `told`.
fn rename(deed: &'static str, from: &Path, to: &Path, told: &Path) -> Result<(), ChangeError> {
    if let Some(above) = to.parent() {
        durable::create_directory(above).map_err(ChangeError::doing("create", above))?;
    }
    durable::rename(from, to).map_err(ChangeError::doing(deed, told))
}

/// Whether a rename from one to the other can work. What does not exist yet will be made below what does.
fn on_same_file_system(a: &Path, b: &Path) -> bool {
    match (device(a), device(b)) {
        (Ok(a), Ok(b)) => a == b,
        _ => true,
    }
}

fn device(path: &Path) -> io::Result<u64> {
    let existing = path.ancestors().find(|ancestor| ancestor.exists()).unwrap_or(path);
    Ok(existing.metadata()?.dev())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_trash_is_swept() {
        let home = tempfile::tempdir().unwrap();
        let dirs = ServerDirs::of_catalog(home.path(), "main".parse().unwrap());
        let bases = &dirs.basebackups_directory;
        for name in ["20261122T092435", ".20261122T092435.antipode.tmp", ".20261121T092435.trash.antipode.tmp"] {
            fs::create_dir_all(bases.join(name).join("data")).unwrap();
        }
        let own = places::own(&dirs);
        for name in ["trash/20261121T092435/data", "staging/20261122T092435"] {
            fs::create_dir_all(own.join(name)).unwrap();
        }
        let store = Posix::new(dirs.clone());
        store.sweep(&|| false).unwrap();
        assert!(own.join("trash/20261121T092435/data").exists(), "an interruption stops it");
        store.sweep(&|| true).unwrap();
        let left = |directory: &Path| {
            let mut left: Vec<_> = files::list(directory).unwrap().into_iter().map(|entry| entry.name).collect();
            left.sort();
            left
        };
        assert_eq!(left(bases), [".20261122T092435.antipode.tmp", "20261122T092435"]);
        assert_eq!((left(&own), left(&own.join("trash")).len()), (vec!["staging".into(), "trash".into()], 0));
    }
}

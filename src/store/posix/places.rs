//! Where the places of a server's catalog are on a file system.
//!
//! Barman's own things are where Barman looks for them. What is our own is in `B/.antipode/`, which Barman ignores, and so
//! on the file system of what it becomes. Where `basebackups_directory` or `wals_directory` is on another file system, a
//! thing is staged beside its target under a hidden name that ends in `.tmp`, which Barman's `rebuild-xlogdb` passes over.

use std::path::{Path, PathBuf};

use crate::barman::ids::BackupId;
use crate::barman::layout::ServerDirs;
use crate::store::arrivals;
use crate::store::locks::LockKind;
use crate::store::place::{At, Place};

/// The name of our own directory, in a catalog and in each server's `backup_directory`.
pub const OWN_DIRECTORY: &str = ".antipode";

/// What a backup's own name is extended by where it grows beside those that are published.
const GROWS: &str = ".antipode.tmp";
/// The same for one that is being deleted.
const GOES: &str = ".trash.antipode.tmp";

/// The places of a server.
#[derive(Debug, Clone, Copy)]
pub struct Places<'a> {
    /// Its directories.
    pub dirs: &'a ServerDirs,
    /// `barman_home`
    pub home: &'a Path,
    /// Whether the backups are on the file system of `backup_directory`.
    pub bases_inside: bool,
    /// Whether the WAL is on the file system of `backup_directory`.
    pub wals_inside: bool,
}

impl Places<'_> {
    /// Where something is.
    pub fn path(self, at: At<'_>) -> PathBuf {
        let place = self.place(at.place);
        // Joined with nothing, a path would get a slash at its end.
        if at.below.as_os_str().is_empty() { place } else { place.join(at.below) }
    }

    fn place(self, place: Place) -> PathBuf {
        let dirs = self.dirs;
        match place {
            Place::Server => dirs.backup_directory.clone(),
            Place::Bases => dirs.basebackups_directory.clone(),
            Place::Base(id) => dirs.base(id),
            Place::Meta => dirs.meta_directory.clone(),
            Place::BackupInfo(layout, id) => layout.backup_info(dirs, id),
            Place::Keep(layout, id) => layout.keep(dirs, id),
            Place::DeleteThis(layout, id) => layout.delete_this(dirs, id),
            Place::Wals => dirs.wals_directory.clone(),
            Place::Wal(name) => dirs.wal(name),
            Place::XlogDbDirectory => dirs.xlogdb_directory.clone(),
            Place::XlogDb(layout) => layout.xlogdb(dirs),
            Place::SyncWals => dirs.sync_wals_info(),
            Place::Identity => dirs.identity(),
            Place::Own => own(dirs),
            Place::RunLock => LockKind::Run.path(&self.home.join(OWN_DIRECTORY), &dirs.server),
            Place::Progress => self.home.join(OWN_DIRECTORY).join(format!("{}.progress", dirs.server)),
            Place::Unfinished => own(dirs).join("unfinished"),
            Place::LastApply => own(dirs).join("last-apply.json"),
            Place::Findings => own(dirs).join("findings.json"),
            Place::Damage => own(dirs).join("damage.json"),
            Place::Reads => own(dirs).join("reads"),
            Place::Verified => own(dirs).join("verified.json"),
            Place::Drills => own(dirs).join("drills.json"),
            Place::Detached => own(dirs).join("detached.json"),
            Place::Repairing(id) => own(dirs).join(format!("repairing-{id}")),
            Place::ArrivalNote(id) => own(dirs).join(format!("{}{id}", arrivals::PREFIX)),
            Place::Looks => own(dirs).join("looks"),
            Place::List => own(dirs).join("list"),
            Place::Memory => own(dirs).join("primary.json"),
            Place::Staged(id) if self.bases_inside => staging_inside(dirs).join(id.as_str()),
            Place::Staged(id) => dirs.basebackups_directory.join(format!(".{id}{GROWS}")),
            Place::Arrivals if self.wals_inside => own(dirs).join("wals"),
            // One level deeper than Barman's `rebuild-xlogdb` looks for WAL.
            Place::Arrivals => dirs.wals_directory.join(".antipode.tmp").join("wals"),
            Place::Arrived(name) => self.place(Place::Arrivals).join(name.to_string()),
            Place::Trash(id) if self.bases_inside => trash_inside(dirs).join(id.as_str()),
            Place::Trash(id) => dirs.basebackups_directory.join(format!(".{id}{GOES}")),
        }
    }
}

/// Our own directory of a server.
pub fn own(dirs: &ServerDirs) -> PathBuf {
    dirs.backup_directory.join(OWN_DIRECTORY)
}

/// Our own directory in which backups grow.
pub fn staging_inside(dirs: &ServerDirs) -> PathBuf {
    own(dirs).join("staging")
}

/// Our own directory in which deleted backups wait for their files to go.
pub fn trash_inside(dirs: &ServerDirs) -> PathBuf {
    own(dirs).join("trash")
}

/// The backup that grows beside those that are published, under this name.
pub fn grows_beside(name: &str) -> Option<BackupId> {
    name.strip_prefix('.')?.strip_suffix(GROWS)?.parse().ok()
}

/// Whether a backup is being deleted beside those that are published, under this name.
pub fn goes_beside(name: &str) -> bool {
    name.starts_with('.') && name.ends_with(GOES)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn things_are_staged_on_the_file_system_of_what_they_become() {
        let dirs = ServerDirs::of_catalog(Path::new("/b"), "main".parse().unwrap());
        let id: BackupId = "20261122T092435".parse().unwrap();
        let inside = Places { dirs: &dirs, home: Path::new("/b"), bases_inside: true, wals_inside: true };
        assert_eq!(inside.place(Place::Staged(id)), Path::new("/b/main/.antipode/staging/20261122T092435"));
        assert_eq!(inside.place(Place::Arrivals), Path::new("/b/main/.antipode/wals"));
        let beside = Places { bases_inside: false, wals_inside: false, ..inside };
        assert_eq!(beside.place(Place::Staged(id)), Path::new("/b/main/base/.20261122T092435.antipode.tmp"));
        assert_eq!(beside.place(Place::Arrivals), Path::new("/b/main/wals/.antipode.tmp/wals"));
        assert_eq!(grows_beside(".20261122T092435.antipode.tmp"), Some(id));
        assert!(goes_beside(".20261122T092435.trash.antipode.tmp"));
        for name in ["20261122T092435", ".20261122T092435.trash.antipode.tmp"] {
            assert_eq!(grows_beside(name), None);
        }
    }

    #[test]
    fn what_is_below_a_place_is_below_its_path() {
        let dirs = ServerDirs::of_catalog(Path::new("/b"), "main".parse().unwrap());
        let places = Places { dirs: &dirs, home: Path::new("/b"), bases_inside: true, wals_inside: true };
        let path = |at| places.path(at).into_os_string();
        assert_eq!(path(Place::SyncWals.into()), "/b/main/wals/sync-wals.info");
        assert_eq!(path(Place::Bases.below(Path::new("x/y"))), "/b/main/base/x/y");
    }
}

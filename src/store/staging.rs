//! Where a thing grows before it is published: our own directories, which Barman ignores.
//!
//! They are in `B/.antipode/`, and so on the file system of what they become. Where `basebackups_directory` or
//! `wals_directory` is on another file system, the thing is staged beside its target under a hidden name that
//! ends in `.tmp`, which Barman's `rebuild-xlogdb` passes over.

use std::path::PathBuf;

use crate::barman::ids::BackupId;
use crate::barman::layout::ServerDirs;

/// The name of our own directory, in a catalog and in each server's `backup_directory`.
pub const OWN_DIRECTORY: &str = ".antipode";

/// The places where a server's things are staged.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Staging<'a> {
    dirs: &'a ServerDirs,
    /// Whether the backups are on the file system of `backup_directory`.
    bases_inside: bool,
    /// Whether the WAL is on the file system of `backup_directory`.
    wals_inside: bool,
}

impl<'a> Staging<'a> {
    /// The places for a server, given which of its directories are on the file system of its `backup_directory`.
    pub fn new(dirs: &'a ServerDirs, bases_inside: bool, wals_inside: bool) -> Self {
        Self { dirs, bases_inside, wals_inside }
    }

    /// Our own directory of the server, mode 0700.
    pub fn own(self) -> PathBuf {
        self.dirs.backup_directory.join(OWN_DIRECTORY)
    }

    /// Is there from before anything is staged until all that is staged is known to be on the disk.
    pub fn unfinished(self) -> PathBuf {
        self.own().join("unfinished")
    }

    /// Where the manifests are kept that a plan fetched.
    pub fn manifests(self) -> PathBuf {
        self.own().join("manifests")
    }

    /// Where the primary's list of its WAL is kept.
    pub fn lists(self) -> PathBuf {
        self.own().join("lists")
    }

    /// The note of the last successful apply.
    pub fn last_apply(self) -> PathBuf {
        self.own().join("last-apply.json")
    }

    /// The note of what applies found of backups at the primary.
    pub fn findings(self) -> PathBuf {
        self.own().join("findings.json")
    }

    /// What is remembered of the WAL files that were looked at.
    pub fn looked(self) -> PathBuf {
        self.own().join("looked")
    }

    /// Our own directory in which backups grow.
    pub fn staging_inside(self) -> PathBuf {
        self.own().join("staging")
    }

    /// Where a backup grows.
    pub fn base(self, id: BackupId) -> PathBuf {
        if self.bases_inside {
            return self.staging_inside().join(id.as_str());
        }
        self.dirs.basebackups_directory.join(format!(".{id}.antipode.tmp"))
    }

    /// The backup that grows in a directory of this name, for finding what an earlier run left.
    pub fn backup_of(name: &str) -> Option<BackupId> {
        let id = name.strip_prefix('.').and_then(|rest| rest.strip_suffix(".antipode.tmp")).unwrap_or(name);
        id.parse().ok()
    }

    /// Where WAL files arrive. One level deeper than Barman's `rebuild-xlogdb` looks for WAL.
    pub fn wals(self) -> PathBuf {
        if self.wals_inside {
            return self.own().join("wals");
        }
        self.dirs.wals_directory.join(".antipode.tmp").join("wals")
    }

    /// Whether a name in `basebackups_directory` is that of a trash.
    pub fn is_trash_beside(name: &str) -> bool {
        name.starts_with('.') && name.ends_with(".trash.antipode.tmp")
    }

    /// Our own directory in which deleted backups wait for their files to go.
    pub fn trash_inside(self) -> PathBuf {
        self.own().join("trash")
    }

    /// Where a backup that is being deleted waits for its files to go.
    pub fn trash(self, id: BackupId) -> PathBuf {
        if self.bases_inside {
            return self.own().join("trash").join(id.as_str());
        }
        self.dirs.basebackups_directory.join(format!(".{id}.trash.antipode.tmp"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::Path;

    #[test]
    fn things_are_staged_on_the_file_system_of_what_they_become() {
        let dirs = ServerDirs::of_catalog(Path::new("/b"), "main".parse().unwrap());
        let id: BackupId = "20261122T092435".parse().unwrap();
        let inside = Staging::new(&dirs, true, true);
        assert_eq!(inside.base(id), Path::new("/b/main/.antipode/staging/20261122T092435"));
        assert_eq!(inside.wals(), Path::new("/b/main/.antipode/wals"));
        let beside = Staging::new(&dirs, false, false);
        assert_eq!(beside.base(id), Path::new("/b/main/base/.20261122T092435.antipode.tmp"));
        assert_eq!(beside.wals(), Path::new("/b/main/wals/.antipode.tmp/wals"));
        for name in ["20261122T092435", ".20261122T092435.antipode.tmp"] {
            assert_eq!(Staging::backup_of(name), Some(id));
        }
        assert_eq!(Staging::backup_of(".20261122T092435.trash.antipode.tmp"), None);
    }
}

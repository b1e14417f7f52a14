//! Where Barman keeps what, by its version (Barman `server.py`, `infofile.py`, `annotations.py`).
//!
//! | from | change |
//! | --- | --- |
//! | 3.13.0 | `S-xlog.db` instead of `xlog.db` |
//! | 3.13.2 | `meta/ID-backup.info` instead of `base/ID/backup.info` |
//! | 3.13.3 | `meta/ID-keep` instead of `base/ID/annotations/keep` |

use std::collections::BTreeSet;
use std::fmt;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::ids::{BackupId, InvalidId, ServerName};
use super::version::BarmanVersion;
use super::wal::WalName;
use super::xlogdb::FIVE_FIELDS;

const NAMED_XLOGDB: BarmanVersion = BarmanVersion::new(3, 13, 0);
const INFO_IN_META: BarmanVersion = BarmanVersion::new(3, 13, 2);
const ANNOTATIONS_IN_META: BarmanVersion = BarmanVersion::new(3, 13, 3);

/// The directories of one server.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ServerDirs {
    /// The server; its name is in some file names.
    pub server: ServerName,
    /// `barman_home/SERVER`
    pub backup_directory: PathBuf,
    /// Where the backups are.
    pub basebackups_directory: PathBuf,
    /// Where the WAL archive is.
    pub wals_directory: PathBuf,
    /// Where xlog.db is.
    pub xlogdb_directory: PathBuf,
    /// Where backup.info and annotations are; Barman has no setting for it.
    pub meta_directory: PathBuf,
}

impl ServerDirs {
    /// The directories that Barman uses unless barman.conf says otherwise.
    pub fn of_catalog(catalog: &Path, server: ServerName) -> Self {
        let backup_directory = catalog.join(server.as_str());
        Self::of_backup_directory(backup_directory, server)
    }

    /// The directories below a `backup_directory` of which nothing else is set.
    pub fn of_backup_directory(backup_directory: PathBuf, server: ServerName) -> Self {
        let wals_directory = backup_directory.join("wals");
        Self {
            server,
            basebackups_directory: backup_directory.join("base"),
            xlogdb_directory: wals_directory.clone(),
            wals_directory,
            meta_directory: backup_directory.join("meta"),
            backup_directory,
        }
    }

    /// Each of them, whether it is below another or not.
    pub fn all(&self) -> [&Path; 5] {
        [
            &self.backup_directory,
            &self.basebackups_directory,
            &self.wals_directory,
            &self.xlogdb_directory,
            &self.meta_directory,
        ]
    }

    /// The base of a backup: `data/` and the tablespaces are in it.
    pub fn base(&self, id: BackupId) -> PathBuf {
        self.basebackups_directory.join(id.as_str())
    }

    /// Where a file of the WAL archive is.
    pub fn wal(&self, name: WalName) -> PathBuf {
        self.wals_directory.join(wal_path(name))
    }

    /// Up to where a passive Barman has copied.
    pub fn sync_wals_info(&self) -> PathBuf {
        self.wals_directory.join("sync-wals.info")
    }

    /// The PostgreSQL system that the server belongs to.
    pub fn identity(&self) -> PathBuf {
        self.backup_directory.join("identity.json")
    }

    /// What a passive Barman last heard from its primary: a password is in it.
    pub fn primary_info(&self) -> PathBuf {
        self.backup_directory.join("primary.info")
    }
}

/// The path of a file below the `wals_directory`: history files are in it, all others in a directory that is
/// named by the first 16 characters.
pub fn wal_path(name: WalName) -> PathBuf {
    match wal_hash_directory(name) {
        Some(directory) => Path::new(&directory).join(name.to_string()),
        None => PathBuf::from(name.to_string()),
    }
}

/// The directory of a file below the `wals_directory` (Barman `xlog.py`, `hash_dir`); none for history files.
pub fn wal_hash_directory(name: WalName) -> Option<String> {
    HashDirectory::of(name).map(|directory| directory.to_string())
}

/// A directory of a WAL archive: it has the segments of one log of one timeline, and is named by 16 digits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct HashDirectory {
    timeline: u32,
    log: u32,
}

impl HashDirectory {
    /// The length of its name, which the names of its files begin with.
    pub const DIGITS: usize = 16;

    /// That of a file; none for history files.
    pub fn of(name: WalName) -> Option<Self> {
        let segment = match name {
            WalName::History(_) => return None,
            WalName::Segment(segment) | WalName::Partial(segment) | WalName::BackupLabel { segment, .. } => segment,
        };
        Some(Self { timeline: segment.timeline.0, log: segment.log })
    }
}

impl fmt::Display for HashDirectory {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:08X}{:08X}", self.timeline, self.log)
    }
}

impl From<HashDirectory> for String {
    fn from(directory: HashDirectory) -> Self {
        directory.to_string()
    }
}

impl TryFrom<String> for HashDirectory {
    type Error = InvalidId;

    fn try_from(name: String) -> Result<Self, InvalidId> {
        name.parse()
    }
}

impl FromStr for HashDirectory {
    type Err = InvalidId;

    fn from_str(name: &str) -> Result<Self, InvalidId> {
        let is_digit = |byte: u8| matches!(byte, b'0'..=b'9' | b'A'..=b'F');
        let number = |digits: Option<&str>| u32::from_str_radix(digits?, 16).ok();
        let halves = (number(name.get(..8)), number(name.get(8..)));
        match halves {
            (Some(timeline), Some(log)) if name.len() == 16 && name.bytes().all(is_digit) => Ok(Self { timeline, log }),
            _ => Err(InvalidId::new("directory of WAL", name, "expected 16 hexadecimal digits")),
        }
    }
}

/// The layout that one version of Barman writes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Layout {
    named_xlogdb: bool,
    info_in_meta: bool,
    annotations_in_meta: bool,
}

impl Layout {
    /// The layout of the newest Barman.
    pub const NEWEST: Self = Self { named_xlogdb: true, info_in_meta: true, annotations_in_meta: true };

    /// The layout that this version writes.
    pub fn of(version: BarmanVersion) -> Self {
        Self {
            named_xlogdb: version >= NAMED_XLOGDB,
            info_in_meta: version >= INFO_IN_META,
            annotations_in_meta: version >= ANNOTATIONS_IN_META,
        }
    }

    /// Whether it has a `meta/`: an older Barman looks for nothing there.
    pub fn uses_meta(self) -> bool {
        self.info_in_meta
    }

    /// Whether the name of the server is in the name of xlog.db.
    pub fn names_xlogdb(self) -> bool {
        self.named_xlogdb
    }

    /// Where xlog.db is.
    pub fn xlogdb(self, dirs: &ServerDirs) -> PathBuf {
        if !self.named_xlogdb {
            // Before 3.13.0 there was no xlogdb_directory.
            return dirs.wals_directory.join("xlog.db");
        }
        dirs.xlogdb_directory.join(format!("{}-xlog.db", dirs.server))
    }

    /// Where the backup.info of a backup is.
    pub fn backup_info(self, dirs: &ServerDirs, id: BackupId) -> PathBuf {
        if self.info_in_meta {
            dirs.meta_directory.join(format!("{id}-backup.info"))
        } else {
            dirs.base(id).join("backup.info")
        }
    }

    /// Where the keep annotation of a backup is.
    pub fn keep(self, dirs: &ServerDirs, id: BackupId) -> PathBuf {
        self.annotation(dirs, id, "keep")
    }

    /// Where the mark of a backup that is being deleted is.
    pub fn delete_this(self, dirs: &ServerDirs, id: BackupId) -> PathBuf {
        self.annotation(dirs, id, "delete_this")
    }

    fn annotation(self, dirs: &ServerDirs, id: BackupId, key: &str) -> PathBuf {
        if self.annotations_in_meta {
            return dirs.meta_directory.join(format!("{id}-{key}"));
        }
        dirs.base(id).join("annotations").join(key)
    }

    /// The layouts to look into for a file, the one that wins first. A Barman reads the layouts of all before it.
    pub fn readable() -> [Self; 2] {
        [Self::NEWEST, Self { named_xlogdb: false, info_in_meta: false, annotations_in_meta: false }]
    }
}

/// Something on disk that tells of the Barman that wrote it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum DiskSign {
    /// `meta/` with a backup.info in it.
    InfoInMeta,
    /// An annotation in `meta/`.
    AnnotationInMeta,
    /// `S-xlog.db`
    NamedXlogDb,
    /// `xlog.db`
    PlainXlogDb,
    /// A line of xlog.db with five fields.
    FiveFields,
    /// `base/ID/backup.info`
    InfoInBase,
}

/// The versions of Barman that a catalog may have been written by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct VersionBounds {
    /// It was this one or a later one.
    pub at_least: Option<BarmanVersion>,
    /// It was an earlier one than this.
    pub before: Option<BarmanVersion>,
}

/// The bounds that signs on disk put to the version. An upper bound needs old names and no new one: newer
/// Barmans leave old files in place until they write them again.
pub fn version_bounds(signs: &BTreeSet<DiskSign>) -> VersionBounds {
    let lower = [
        (DiskSign::FiveFields, FIVE_FIELDS),
        (DiskSign::AnnotationInMeta, ANNOTATIONS_IN_META),
        (DiskSign::InfoInMeta, INFO_IN_META),
        (DiskSign::NamedXlogDb, NAMED_XLOGDB),
    ];
    let at_least = lower.into_iter().find(|(sign, _)| signs.contains(sign)).map(|(_, version)| version);
    let before = match at_least {
        None if signs.contains(&DiskSign::PlainXlogDb) => Some(NAMED_XLOGDB),
        Some(NAMED_XLOGDB) if signs.contains(&DiskSign::InfoInBase) => Some(INFO_IN_META),
        _ => None,
    };
    VersionBounds { at_least, before }
}

#[cfg(test)]
mod tests {
    use super::DiskSign::{FiveFields, InfoInBase, InfoInMeta, NamedXlogDb, PlainXlogDb};
    use super::*;

    fn dirs() -> ServerDirs {
        ServerDirs::of_catalog(Path::new("/srv/barman"), "main".parse().unwrap())
    }

    #[test]
    fn files_are_where_each_version_keeps_them() {
        let id = "20261122T125916".parse().unwrap();
        for (version, xlogdb, info, keep) in [
            ("3.12.1", "wals/xlog.db", "base/20261122T125916/backup.info", "base/20261122T125916/annotations/keep"),
            (
                "3.13.0",
                "wals/main-xlog.db",
                "base/20261122T125916/backup.info",
                "base/20261122T125916/annotations/keep",
            ),
            (
                "3.13.2",
                "wals/main-xlog.db",
                "meta/20261122T125916-backup.info",
                "base/20261122T125916/annotations/keep",
            ),
            ("3.13.3", "wals/main-xlog.db", "meta/20261122T125916-backup.info", "meta/20261122T125916-keep"),
        ] {
            let layout = Layout::of(version.parse().unwrap());
            let home = Path::new("/srv/barman/main");
            assert_eq!(layout.xlogdb(&dirs()), home.join(xlogdb), "{version}");
            assert_eq!(layout.backup_info(&dirs(), id), home.join(info), "{version}");
            assert_eq!(layout.keep(&dirs(), id), home.join(keep), "{version}");
        }
        let mark = Layout::NEWEST.delete_this(&dirs(), id);
        assert_eq!(mark, Path::new("/srv/barman/main/meta/20261122T125916-delete_this"));
    }

    #[test]
    fn wal_files_are_in_the_directory_of_their_log() {
        for (name, path) in [
            ("0000000100000A0B0000000C", "0000000100000A0B/0000000100000A0B0000000C"),
            ("000000010000000000000002.00000028.backup", "0000000100000000/000000010000000000000002.00000028.backup"),
            ("000000010000000000000002.partial", "0000000100000000/000000010000000000000002.partial"),
            ("00000002.history", "00000002.history"),
        ] {
            assert_eq!(wal_path(name.parse().unwrap()), Path::new(path));
        }
    }

    #[test]
    fn the_disk_gives_bounds_of_the_version() {
        let bounds = |signs: &[DiskSign]| {
            let VersionBounds { at_least, before } = version_bounds(&signs.iter().copied().collect());
            (at_least.map(|v| v.to_string()), before.map(|v| v.to_string()))
        };
        let some = |text: &str| Some(text.to_owned());
        assert_eq!(bounds(&[]), (None, None));
        assert_eq!(bounds(&[PlainXlogDb]), (None, some("3.13.0")));
        assert_eq!(bounds(&[NamedXlogDb]), (some("3.13.0"), None));
        assert_eq!(bounds(&[NamedXlogDb, InfoInBase]), (some("3.13.0"), some("3.13.2")));
        assert_eq!(bounds(&[NamedXlogDb, InfoInBase, InfoInMeta]), (some("3.13.2"), None));
        assert_eq!(bounds(&[NamedXlogDb, FiveFields]), (some("3.14.0"), None));
    }
}

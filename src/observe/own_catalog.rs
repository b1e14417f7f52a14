//! This host's catalog as a source for others: what `sync-info` tells of one of its servers, without a Barman.
//!
//! xlog.db is read whole under Barman's own lock of it, which is held for no longer than that takes: Barman rewrites
//! the file in place, so that a reader without the lock could see half of it.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use crate::barman::backup_info::BackupInfo;
use crate::barman::ids::{BackupId, ServerName};
use crate::barman::layout::{DiskSign, Layout, ServerDirs, version_bounds};
use crate::barman::sync_info::listing::{Known, is_told};
use crate::barman::version::BarmanVersion;
use crate::barman::wal::WalName;
use crate::barman::xlogdb::{XlogDb, field_count};
use crate::error::{Error, Kind};
use crate::store::locks::{self, LockError, LockKind};
use crate::store::{CatalogError, Place, Posix, Store, wals, xlogdb};

use super::catalog::backups::{self, Backups, InfoFile};
use super::catalog::xlogdb::described;
use super::version::{self, VersionSigns};

/// How long a busy xlog.db is waited for.
const PATIENCE: Duration = Duration::from_secs(30);

/// One server of this host's catalog.
#[derive(Debug, Clone, PartialEq)]
pub struct OwnCatalog {
    /// The version of Barman whose answer it is: the installed one, else the one that the disk is taken for.
    pub version: BarmanVersion,
    /// Its backups that are complete, with or without their last WAL.
    pub backups: BTreeMap<BackupId, BackupInfo>,
    /// Its xlog.db, or the end of it.
    pub xlogdb: Vec<u8>,
    /// Where in the file `xlogdb` begins.
    pub offset: u64,
}

/// Reads one server. When the file says that it is where the caller thinks, xlog.db is read from the known file's
/// line on.
pub async fn read(
    dirs: &ServerDirs,
    lock_directory: &Path,
    known: Option<(String, Option<u64>)>,
) -> Result<OwnCatalog, Error> {
    let installed = version::installed().await;
    let store = Posix::new(dirs.clone()).locking_in(lock_directory);
    let lock = match locks::acquire(&store, LockKind::XlogDb, PATIENCE).await {
        Ok(lock) => Some(lock),
        Err(busy @ LockError::Busy { .. }) => {
            return Err(Error::from(busy).hint("ask again when that process has ended"));
        }
        // Who may not write here cannot lock either, and nobody who may is at work in a catalog without a home.
        Err(LockError::Io { .. }) => None,
    };
    let server = dirs.server.clone();
    tokio::task::spawn_blocking(move || {
        let mut xlogdb = Xlogdb::read(&store, installed, known.as_ref())?;
        if lock.is_none() {
            xlogdb.drop_unfinished_line();
        }
        drop(lock);
        from_disk(&store, &server, installed, xlogdb)
    })
    .await?
}

fn from_disk(
    store: &dyn Store,
    server: &ServerName,
    installed: Option<BarmanVersion>,
    xlogdb: Xlogdb,
) -> Result<OwnCatalog, Error> {
    let found = backups::read(store)?;
    let version = decide(installed, &found, &xlogdb);
    let bytes = match xlogdb.bytes {
        Some(bytes) => bytes,
        None => rebuilt(store, server, version)?,
    };
    Ok(OwnCatalog { version, backups: told(&found, version)?, xlogdb: bytes, offset: xlogdb.offset })
}

/// xlog.db under the name that it has.
#[derive(Debug, Default)]
struct Xlogdb {
    named: bool,
    plain: bool,
    bytes: Option<Vec<u8>>,
    offset: u64,
}

impl Xlogdb {
    fn read(
        store: &dyn Store,
        installed: Option<BarmanVersion>,
        known: Option<&(String, Option<u64>)>,
    ) -> Result<Self, CatalogError> {
        let [named, plain] = Layout::readable();
        let has = |layout| store.size(Place::XlogDb(layout));
        let mut xlogdb = Self { named: has(named)?.is_some(), plain: has(plain)?.is_some(), ..Self::default() };
        let wants_plain = installed.is_some_and(|version| !Layout::of(version).names_xlogdb());
        let layout = if xlogdb.plain && (wants_plain || !xlogdb.named) { plain } else { named };
        if let Some((name, Some(position))) = known {
            let tail = xlogdb::bytes_from(store, layout, *position)?;
            let known = Known { name, position: Some(*position) };
            if let Some(tail) = tail.filter(|tail| known.begins(tail)) {
                return Ok(Self { bytes: Some(tail), offset: *position, ..xlogdb });
            }
        }
        xlogdb.bytes = xlogdb::bytes(store, layout)?;
        Ok(xlogdb)
    }

    /// Leaves out a line that is still being written.
    fn drop_unfinished_line(&mut self) {
        if let Some(bytes) = &mut self.bytes {
            bytes.truncate(bytes.iter().rposition(|b| *b == b'\n').map_or(0, |end| end + 1));
        }
    }

    fn has_five_fields(&self) -> bool {
        self.bytes.as_deref().is_some_and(|bytes| bytes.split(|b| *b == b'\n').any(|line| field_count(line) == 5))
    }
}

fn decide(installed: Option<BarmanVersion>, backups: &Backups, xlogdb: &Xlogdb) -> BarmanVersion {
    let mut signs = backups.signs.clone();
    signs.extend(xlogdb.named.then_some(DiskSign::NamedXlogDb));
    signs.extend(xlogdb.plain.then_some(DiskSign::PlainXlogDb));
    signs.extend(xlogdb.has_five_fields().then_some(DiskSign::FiveFields));
    VersionSigns { installed, disk: version_bounds(&signs), ..VersionSigns::default() }.decide()
}

/// The backups that a Barman of this version finds and tells of.
fn told(found: &Backups, version: BarmanVersion) -> Result<BTreeMap<BackupId, BackupInfo>, Error> {
    let mut told = BTreeMap::new();
    for (id, backup) in &found.by_id {
        let Some((file, true)) = backup.info_for(version) else { continue };
        if let InfoFile::Broken { info, why } = file
            && info.fields().next().is_none()
        {
            return Err(Error::new(Kind::Damaged, format!("the backup.info of {id} cannot be read: {why}"))
                .hint("Barman itself fails on it as well"));
        }
        if file.fields().status().is_ok_and(is_told) {
            told.insert(*id, file.fields().clone());
        }
    }
    Ok(told)
}

/// What Barman's `rebuild-xlogdb` would write, which Barmans with `S-xlog.db` run when it is missing; those before
/// begin an empty one.
fn rebuilt(store: &dyn Store, server: &ServerName, version: BarmanVersion) -> Result<Vec<u8>, Error> {
    if !Layout::of(version).names_xlogdb() {
        return Ok(Vec::new());
    }
    let on_disk = wals::list(store, server)?.sizes;
    let finished: Vec<WalName> = on_disk.names().filter(|name| !matches!(name, WalName::Partial(_))).collect();
    Ok(XlogDb::new(described(store, &finished)?.into_values()).write(version))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::PathBuf;

    const A: &str = "00000001000000000000000A";
    const B: &str = "00000001000000000000000B";

    struct Ground {
        home: tempfile::TempDir,
        dirs: ServerDirs,
    }

    impl Ground {
        fn new() -> Self {
            let home = tempfile::tempdir().unwrap();
            let dirs = ServerDirs::of_catalog(home.path(), "main".parse().unwrap());
            Self { home, dirs }
        }

        fn write(&self, path: &str, text: &str) -> PathBuf {
            let path = self.home.path().join("main").join(path);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(&path, text).unwrap();
            path
        }

        fn read(&self, installed: Option<&str>, known: Option<(&str, u64)>) -> Result<OwnCatalog, Error> {
            let installed = installed.map(|version| version.parse().unwrap());
            let known = known.map(|(name, position)| (name.to_owned(), Some(position)));
            let store = Posix::new(self.dirs.clone());
            let xlogdb = Xlogdb::read(&store, installed, known.as_ref())?;
            from_disk(&store, &self.dirs.server, installed, xlogdb)
        }
    }

    fn line(name: &str) -> String {
        format!("{name}\t1\t1.0\tNone\n")
    }

    #[test]
    fn the_layout_tells_whose_answer_it_is() {
        let ground = Ground::new();
        ground.write("wals/xlog.db", &line(A));
        ground.write("base/20261122T125916/backup.info", "status=DONE\nbegin_wal=00000001000000000000000A\n");
        let legacy = ground.read(None, None).unwrap();
        assert_eq!((legacy.version.to_string().as_str(), legacy.backups.len()), ("3.12.1", 1));
        assert_eq!(ground.read(Some("3.4.1"), None).unwrap().version.to_string(), "3.4.1");
        ground.write("wals/main-xlog.db", &line(A).replace("None\n", "None\tNone\n"));
        assert_eq!(ground.read(None, None).unwrap().version.to_string(), "3.14.0");
        assert_eq!(Ground::new().read(None, None).unwrap().version.to_string(), "3.19.1");
    }

    #[test]
    fn only_what_a_barman_would_find_and_tell_of_is_told() {
        let ground = Ground::new();
        for (id, status) in
            [("1", "DONE"), ("2", "WAITING_FOR_WALS"), ("3", "SYNCING"), ("4", "FAILED"), ("5", "EMPTY")]
        {
            let text = format!("status={status}\nbegin_wal={A}\nend_wal={A}\n");
            ground.write(&format!("meta/20261122T00000{id}-backup.info"), &text);
        }
        assert_eq!(ground.read(Some("3.19.1"), None).unwrap().backups.len(), 2);
        assert_eq!(ground.read(Some("3.12.1"), None).unwrap().backups.len(), 0);
        ground.write("meta/20261122T000006-backup.info", "junk\n");
        let failure = ground.read(Some("3.19.1"), None).unwrap_err();
        assert!(failure.message.starts_with("the backup.info of 20261122T000006 cannot be read"), "{failure}");
    }

    #[test]
    fn the_file_is_read_from_the_known_line_on_if_that_is_there() {
        let ground = Ground::new();
        ground.write("wals/main-xlog.db", &(line(A) + &line(B)));
        let position = line(A).len() as u64;
        let tail = ground.read(None, Some((B, position))).unwrap();
        assert_eq!((tail.xlogdb, tail.offset), (line(B).into_bytes(), position));
        for (name, position) in [(A, position), (B, position + 1), (B, 10_000)] {
            let whole = ground.read(None, Some((name, position))).unwrap();
            assert_eq!((whole.xlogdb.len(), whole.offset), (2 * line(A).len(), 0));
        }
    }

    #[test]
    fn a_missing_list_is_made_from_the_files_where_barman_would() {
        let ground = Ground::new();
        ground.write(&format!("wals/0000000100000000/{A}"), "x");
        ground.write(&format!("wals/0000000100000000/{B}.partial"), "x");
        let named = ground.read(Some("3.19.1"), None).unwrap().xlogdb;
        let text = String::from_utf8(named).unwrap();
        assert!(text.starts_with(A) && text.lines().count() == 1, "{text}");
        assert_eq!(ground.read(Some("3.12.1"), None).unwrap().xlogdb, b"");
        assert!(!ground.dirs.wals_directory.join("main-xlog.db").exists());
    }

    #[tokio::test]
    async fn a_line_that_is_still_being_written_is_left_out_where_no_lock_can_be_had() {
        let ground = Ground::new();
        ground.write("wals/main-xlog.db", &(line(A) + B));
        let read = read(&ground.dirs, Path::new("/nonexistent"), None).await.unwrap();
        assert_eq!(read.xlogdb, line(A).into_bytes());
    }
}

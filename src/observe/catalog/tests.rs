use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use tempfile::TempDir;

use super::backups::InfoFile;
use super::*;
use crate::barman::backup_info::BackupInfo;
use crate::barman::keep::Keep;
use crate::barman::layout::ServerDirs;
use crate::barman::wal::{Timeline, WalName};
use crate::barman::wal_map::WalMap;
use crate::observe::inventory::BaseState;
use crate::store::Posix;
use crate::verify::base::Announced;
use crate::verify::base::tests::sketch;
use crate::verify::checksum::{Algorithm, Hasher};

const ID: &str = "20261122T125916";
const INFO: &str = "begin_wal=000000010000000000000002\nend_wal=000000010000000000000002\nstatus=DONE\ntimeline=1\n";

/// A catalog in a temporary directory, with one server `main`.
struct Disk(TempDir);

impl Disk {
    fn new() -> Self {
        let disk = Self(tempfile::tempdir().unwrap());
        fs::create_dir(disk.at("")).unwrap();
        disk
    }

    fn fixture(path: &str) -> Self {
        let disk = Self(tempfile::tempdir().unwrap());
        let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures").join(path);
        for entry in walkdir::WalkDir::new(&source).into_iter().map(Result::unwrap).filter(|e| e.file_type().is_file())
        {
            let relative = entry.path().strip_prefix(&source).unwrap().to_str().unwrap();
            disk.write(relative, fs::read(entry.path()).unwrap());
        }
        disk
    }

    fn at(&self, path: &str) -> PathBuf {
        self.0.path().join("main").join(path)
    }

    fn write(&self, path: &str, content: impl AsRef<[u8]>) -> &Self {
        fs::create_dir_all(self.at(path).parent().unwrap()).unwrap();
        fs::write(self.at(path), content).unwrap();
        self
    }

    fn read(&self) -> ServerOnDisk {
        let store = Posix::new(ServerDirs::of_catalog(self.0.path(), "main".parse().unwrap()));
        ServerOnDisk::read(&store, &"main".parse().unwrap(), Looking::at(Depth::Everything)).unwrap()
    }

    /// What is on disk of the only backup.
    fn base(&self) -> BaseState {
        self.read().backups.by_id.into_values().next().unwrap().base
    }
}

fn id() -> BackupId {
    ID.parse().unwrap()
}

/// The manifest of files with these paths and sizes.
pub fn manifest(files: &[(&str, usize)]) -> String {
    let files: Vec<String> = files
        .iter()
        .map(|(path, size)| {
            format!(r#"{{ "Path": "{path}", "Size": {size}, "Last-Modified": "2026-11-22 12:59:16 GMT", "Checksum-Algorithm": "CRC32C", "Checksum": "00000000" }}"#)
        })
        .collect();
    let body = format!(
        "{{ \"PostgreSQL-Backup-Manifest-Version\": 1,\n\"Files\": [\n{}\n],\n\"WAL-Ranges\": [\n\
         {{ \"Timeline\": 1, \"Start-LSN\": \"0/2000028\", \"End-LSN\": \"0/2000100\" }}\n],\n",
        files.join(",\n")
    );
    let mut hasher = Hasher::new(Algorithm::Sha256);
    hasher.update(body.as_bytes());
    format!("{body}\"Manifest-Checksum\": \"{}\"}}\n", hasher.finish())
}

fn gzip(content: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    std::io::Write::write_all(&mut encoder, content).unwrap();
    encoder.finish().unwrap()
}

fn owned((path, size): (&str, usize)) -> (String, usize) {
    (path.to_owned(), size)
}

fn listing(files: &[(String, usize)]) -> String {
    manifest(&files.iter().map(|(path, size)| (path.as_str(), *size)).collect::<Vec<_>>())
}

fn damaged(files: &[&str]) -> BaseState {
    BaseState::Damaged { files: files.iter().map(PathBuf::from).collect() }
}

#[test]
fn real_catalogs_of_every_version_are_read() {
    for (fixture, backups, lines, at_least, before) in [
        ("3.4.1/pg15/primary/main", 3, 13, None, Some("3.13.0")),
        ("3.12.1/pg15/primary/main", 3, 12, None, Some("3.13.0")),
        ("3.19.1/pg15/primary/main", 3, 12, Some("3.14.0"), None),
        ("3.19.1/pg17/primary/main", 5, 19, Some("3.14.0"), None),
        ("3.19.1/pg17/passive/main", 5, 19, Some("3.14.0"), None),
    ] {
        let catalog = Disk::fixture(fixture).read();
        let readable = catalog.backups.by_id.values().filter(|b| matches!(b.info(), Some(InfoFile::Readable(_))));
        assert_eq!(readable.count(), backups, "{fixture}");
        assert_eq!(catalog.xlogdb.any().unwrap().entries.len(), lines, "{fixture}");
        let bounds = catalog.version_bounds();
        let text = |version: Option<crate::barman::version::BarmanVersion>| version.map(|version| version.to_string());
        assert_eq!((text(bounds.at_least).as_deref(), text(bounds.before).as_deref()), (at_least, before), "{fixture}");
        let history = &catalog.histories[&Timeline(2)];
        assert_eq!(history.ancestors.len(), 1, "{fixture}: a gzip history file is decompressed");
        assert_eq!(catalog.identity.is_some(), fixture.contains("primary"), "{fixture}");
        assert_eq!(catalog.sync_wals.is_some(), fixture.contains("passive"), "{fixture}");
        let kept: Vec<_> = catalog.backups.by_id.values().filter_map(|backup| backup.keep).collect();
        assert_eq!(kept.len(), usize::from(!fixture.contains("passive")), "{fixture}");
    }
}

#[test]
fn a_server_that_is_not_there_is_empty() {
    let disk = Disk::new();
    fs::remove_dir(disk.at("")).unwrap();
    assert_eq!(disk.read(), ServerOnDisk::default());
}

#[test]
fn metadata_in_meta_wins_and_an_old_barman_is_blind_for_it() {
    let disk = Disk::new();
    disk.write(&format!("meta/{ID}-backup.info"), format!("{INFO}size=2\n"));
    disk.write(&format!("base/{ID}/backup.info"), format!("{INFO}size=1\n"));
    let backup = &disk.read().backups.by_id[&id()];
    let size = |version: &str| {
        let (info, is_read) = backup.info_for(version.parse().unwrap()).unwrap();
        (info.fields().get("size").unwrap().to_owned(), is_read)
    };
    assert_eq!(size("3.19.1"), ("2".to_owned(), true));
    assert_eq!(size("3.12.1"), ("1".to_owned(), true));
    fs::remove_file(disk.at(&format!("base/{ID}/backup.info"))).unwrap();
    let backup = &disk.read().backups.by_id[&id()];
    assert!(!backup.info_for("3.12.1".parse().unwrap()).unwrap().1);
}

#[test]
fn broken_metadata_is_a_note_and_the_rest_is_read() {
    let disk = Disk::new();
    disk.write("meta/20261122T125916-backup.info", "no key\n");
    disk.write("meta/20261122T125917-backup.info", format!("{INFO}backup_id=20200101T000000\n"));
    disk.write("meta/20261122T125918-backup.info", INFO);
    disk.write("meta/20261122T125918-keep", "for ever\x1b[31m");
    let backups = disk.read().backups;
    let broken = |id: &str| matches!(backups.by_id[&id.parse().unwrap()].info(), Some(InfoFile::Broken { .. }));
    assert!(broken("20261122T125916") && broken("20261122T125917") && !broken("20261122T125918"));
    let said: Vec<String> = backups.broken().map(|(id, why)| format!("{id}: {why}")).collect();
    assert_eq!(said.len(), 2, "{said:?}");
    assert!(said[1].contains("20200101T000000"), "{said:?}");
    assert_eq!(backups.notes.len(), 1, "{:?}", backups.notes);
    assert!(said.iter().chain(&backups.notes).all(|note| !note.contains('\u{1b}')));
}

#[test]
fn annotations_are_found_in_both_layouts() {
    let disk = Disk::new();
    disk.write("meta/20261122T125916-backup.info", INFO).write("meta/20261122T125916-keep", "full");
    disk.write("base/20261122T125917/backup.info", INFO).write("base/20261122T125917/annotations/keep", "standalone");
    disk.write("base/20261122T125918/backup.info", INFO).write("meta/20261122T125918-delete_this", "");
    let backups: Vec<_> = disk.read().backups.by_id.into_values().map(|b| (b.keep, b.going_away)).collect();
    assert_eq!(backups, [(Some(Keep::Full), false), (Some(Keep::Standalone), false), (None, true)]);
}

#[test]
fn a_base_is_compared_with_its_manifest() {
    let disk = Disk::new();
    let base = |path: &str| format!("base/{ID}/{path}");
    disk.write(&base("backup.info"), INFO);
    let mut files = sketch(&disk.at(&base("")), &Announced::default());
    files.extend([("base/1/2", 5), ("pg_tblspc/16384/PG_15/1", 2), ("pg_tblspc/16385/PG_15/1", 2)].map(owned));
    disk.write(&base("data/backup_manifest"), listing(&files)).write(&base("data/base/1/2"), "12345");
    disk.write(&base("16384/PG_15/1"), "12").write(&base("data/pg_tblspc/16385/PG_15/1"), "12");
    assert_eq!(disk.base(), BaseState::Complete);
    disk.write(&base("data/base/1/2"), "1234");
    fs::remove_file(disk.at(&base("16384/PG_15/1"))).unwrap();
    assert_eq!(disk.base(), damaged(&["16384/PG_15/1", "data/base/1/2"]));
    disk.write(&base("data/backup_manifest"), "{}");
    assert_eq!(disk.base(), damaged(&["data/backup_manifest"]));
}

#[test]
fn a_file_behind_a_link_is_missing() {
    let disk = Disk::new();
    let base = |path: &str| format!("base/{ID}/{path}");
    disk.write("elsewhere", "15\n").write(&base("backup.info"), INFO);
    let mut files = sketch(&disk.at(&base("")), &Announced::default());
    files.push(owned(("pg_tblspc/16384/f", 3)));
    disk.write(&base("data/backup_manifest"), listing(&files));
    fs::remove_file(disk.at(&base("data/PG_VERSION"))).unwrap();
    symlink(disk.at("elsewhere"), disk.at(&base("data/PG_VERSION"))).unwrap();
    disk.write("outside/f", "15\n");
    symlink(disk.at("outside"), disk.at(&base("data/pg_tblspc/16384"))).unwrap();
    assert_eq!(disk.base(), damaged(&["16384/f", "data/PG_VERSION"]));
}

#[test]
fn archives_are_looked_at_from_outside() {
    let disk = Disk::new();
    let base = |path: &str| format!("base/{ID}/{path}");
    disk.write(&base("backup.info"), format!("{INFO}compression=gzip\ntablespaces=[('a', 16384, '/a')]\n"));
    disk.write(&base("data/backup_manifest"), manifest(&[("PG_VERSION", 3)]));
    assert_eq!(disk.base(), damaged(&["data/16384.tar", "data/base.tar"]));
    disk.write(&base("data/base.tar"), [0; 1024]).write(&base("data/16384.tar.gz"), "");
    assert_eq!(disk.base(), damaged(&["data/16384.tar.gz"]));
    disk.write(&base("data/16384.tar.gz"), "junk");
    assert_eq!(disk.base(), damaged(&["data/16384.tar.gz"]));
    disk.write(&base("data/16384.tar.gz"), gzip(&[0; 1024]));
    assert_eq!(disk.base(), BaseState::Complete);
}

#[test]
fn a_base_without_a_manifest_is_judged_by_what_every_cluster_has() {
    let disk = Disk::new();
    let base = |path: &str| format!("base/{ID}/{path}");
    let info = |size: u64| format!("{INFO}tablespaces=[('a', 16384, '/a')]\nversion=150003\nsystemid=7\nsize={size}\n");
    disk.write(&format!("meta/{ID}-backup.info"), info(5 << 20));
    assert_eq!(disk.base(), BaseState::Absent);
    let announced = Announced::of(&BackupInfo::parse(info(5 << 20).as_bytes()).unwrap());
    sketch(&disk.at(&base("")), &announced);
    assert_eq!(disk.base(), BaseState::Complete);
    disk.write(&format!("meta/{ID}-backup.info"), info(7 << 20));
    assert_eq!(disk.base(), damaged(&["data"]), "it has far less than its size");
    fs::remove_dir_all(disk.at(&base("16384"))).unwrap();
    disk.write(&base("data/global/pg_control"), [0; 8192]);
    assert_eq!(disk.base(), damaged(&["16384", "data/global/pg_control"]));
}

#[test]
fn a_cloud_snapshot_needs_no_files() {
    let disk = Disk::new();
    disk.write(&format!("meta/{ID}-backup.info"), format!("{INFO}snapshots_info={{'provider': 'gcp'}}\n"));
    assert_eq!(disk.base(), BaseState::Complete);
}

#[test]
fn wal_is_what_is_on_disk_under_its_right_name() {
    let disk = Disk::new();
    let segment = "wals/0000000100000000/000000010000000000000002";
    disk.write(segment, "12").write(&format!("{segment}.00000028.backup"), "123");
    disk.write("wals/0000000100000000/000000010000000000000003.partial", "");
    disk.write("wals/00000002.history", "1\t0/A0000D8\tx\n");
    for expected in ["main-xlog.db", "xlog.db", "xlog.db.old", "main-xlog.db.tmp", "sync-wals.info", ".hidden", "x.tmp"]
    {
        disk.write(&format!("wals/{expected}"), "");
    }
    disk.write("wals/0000000100000000/000000010000000000000004.tmp", "").write("wals/.antipode.tmp/wals/x", "");
    let sizes = disk.read().wals.sizes;
    let names: Vec<String> = sizes.iter().map(|(name, size)| format!("{name} {size}")).collect();
    assert_eq!(
        names,
        [
            "000000010000000000000002 2",
            "000000010000000000000002.00000028.backup 3",
            "000000010000000000000003.partial 0",
            "00000002.history 14",
        ]
    );
    assert_eq!(disk.read().notes(), [] as [String; 0]);
}

#[test]
fn what_has_no_business_among_the_wal_is_counted() {
    let disk = Disk::new();
    disk.write("wals/0000000100000000/000000020000000000000002", "of another directory");
    disk.write("wals/000000010000000000000002", "without a directory").write("wals/lost+found/x", "");
    disk.write("elsewhere/000000030000000000000001", "");
    symlink(disk.at("elsewhere"), disk.at("wals/0000000300000000")).unwrap();
    symlink(disk.at("elsewhere"), disk.at("wals/00000003.history")).unwrap();
    let catalog = disk.read();
    assert_eq!(catalog.wals.sizes.len(), 0);
    assert_eq!(
        catalog.notes(),
        [
            "3 entries of wals/ are no WAL files; they are left alone",
            "2 entries of wals/ are links, or no WAL files or directories of such, and count for nothing; \
             the first is wals/00000003.history"
        ]
    );
}

#[test]
fn wal_that_does_not_begin_as_its_name_says_is_not_sound() {
    let home = tempfile::tempdir().unwrap();
    crate::demo::catalog::write(home.path()).unwrap();
    let dirs = ServerDirs::of_catalog(home.path(), "main".parse().unwrap());
    let name = |text: &str| text.parse::<WalName>().unwrap();
    let store = Posix::new(dirs.clone());
    let read = |depth| ServerOnDisk::read(&store, &dirs.server, Looking::at(depth)).unwrap().unsound;
    assert_eq!(read(Depth::Everything), WalMap::new());
    let [zeros, other, noise, packed, label] = [
        name("000000010000000000000001"),
        name("000000010000000000000002"),
        name("000000010000000000000003"),
        name("000000010000000000000008"),
        name("000000010000000000000003.00000028.backup"),
    ];
    fs::copy(dirs.wal(name("000000010000000000000005")), dirs.wal(other)).unwrap();
    for (name, byte) in [(zeros, 0), (noise, 7), (packed, 7), (label, 7)] {
        let length = usize::try_from(fs::metadata(dirs.wal(name)).unwrap().len()).unwrap();
        fs::write(dirs.wal(name), vec![byte; length]).unwrap();
    }
    let expected = [
        (zeros, Unsound::Damaged),
        (other, Unsound::Damaged),
        (noise, Unsound::Opaque),
        (packed, Unsound::Opaque),
        (label, Unsound::Opaque),
    ];
    assert_eq!(read(Depth::Everything), WalMap::from_iter(expected));
    // A list of the metadata opens none of them.
    assert_eq!(read(Depth::Metadata), WalMap::new());
}

#[test]
fn an_encrypted_history_file_is_there_but_tells_nothing() {
    let disk = Disk::new();
    disk.write("wals/00000002.history", b"\x85\x02\x0c\x03\xff");
    let catalog = disk.read();
    assert_eq!(catalog.wals.sizes.get(WalName::History(Timeline(2))), Some(5));
    assert_eq!(catalog.histories[&Timeline(2)].ancestors, []);
}

#[test]
fn what_earlier_runs_left_in_staging_is_found() {
    let disk = Disk::new();
    disk.write(".antipode/staging/20261122T125916/data/f", "").write(".antipode/staging/junk/f", "");
    disk.write("base/.20261122T125917.antipode.tmp/data/f", "").write("base/.20261122T125918.trash.antipode.tmp/f", "");
    let catalog = disk.read();
    let staged: Vec<_> = catalog.staged.keys().map(ToString::to_string).collect();
    assert_eq!(staged, ["20261122T125916", "20261122T125917"]);
    assert_eq!(catalog.backups.by_id.len(), 0);
}

#[test]
fn a_broken_sync_wals_info_is_absent() {
    let disk = Disk::new();
    assert_eq!(disk.write("wals/sync-wals.info", "").read().sync_wals, None);
    let pair = disk.write("wals/sync-wals.info", "000000020000000000000008\t703").read().sync_wals.unwrap();
    assert_eq!(pair.to_string(), "000000020000000000000008\t703");
}

#[test]
fn what_a_long_list_came_to_is_remembered_and_may_be_lost_or_spoilt_at_any_moment() {
    let disk = Disk::new();
    let line = |n: u32| format!("00000001{:08X}{:08X}\t{n}\t1795352352.5\tgzip\tNone\n", n / 256, n % 256);
    let list = |count: u32| (0..count).map(line).collect::<String>();
    let store = Posix::new(ServerDirs::of_catalog(disk.0.path(), "main".parse().unwrap()));
    let read = |depth, is_kept| {
        let looking = Looking { depth, believed_for: None, is_kept };
        let read = ServerOnDisk::read(&store, &"main".parse().unwrap(), looking).unwrap();
        read.keep(&store);
        read.xlogdb
    };
    let memory = disk.at(".antipode/list");
    let (kept, anew) = (|| fs::read(&memory).ok(), || read(Depth::Everything, false));

    disk.write("wals/main-xlog.db", list(8000)).write(".antipode/x", "");
    read(Depth::Changed, false);
    assert_eq!(kept(), None);
    read(Depth::Changed, true);
    let whole = kept().unwrap();
    let spoilt = [&whole[..whole.len() - 1], b"x"].concat();
    for (stored, is_believed) in
        [(whole.clone(), true), (Vec::new(), false), (whole[..99].to_vec(), false), (spoilt, false)]
    {
        fs::write(&memory, &stored).unwrap();
        for (changed, is_like) in
            [(list(8000), true), (list(8001), true), (list(8000).replacen("\t7\t", "\t8\t", 1), false)]
        {
            disk.write("wals/main-xlog.db", &changed);
            assert_eq!(read(Depth::Lists, false), anew());
            assert_eq!(read(Depth::Changed, true), anew());
            assert_eq!(kept().as_ref() == Some(&stored), is_believed && is_like, "{} bytes", stored.len());
            fs::write(&memory, &stored).unwrap();
        }
    }
    fs::remove_file(&memory).unwrap();
    read(Depth::Everything, true);
    assert!(kept().is_some());
}

//! What every moment of a catalog must be: one that Barman reads without an error, and believes nothing untrue of.

use std::fs::{self, Metadata};

use antipode::barman::backup_info::{BackupInfo, Status};
use antipode::barman::ids::BackupId;
use antipode::barman::layout::{Layout, ServerDirs};
use antipode::barman::sync_wals::SyncWals;
use antipode::barman::wal::{Segment, WalName};
use antipode::barman::xlogdb::XlogDb;
use antipode::store::{Place, Posix, Root};
use antipode::verify::manifest::Manifest;
use antipode::verify::tree;

/// Everything that is listed is there, with its size. Cheap enough for every event of an apply.
pub fn assert_listed(dirs: &ServerDirs) {
    let (listed, store) = (assert_xlogdb(dirs), Posix::new(dirs.clone()));
    for (id, info) in published(dirs) {
        let manifest = manifest(dirs, id);
        assert_eq!(
            tree::compare_sizes(Root::new(&store, Place::Base(id)), &manifest).unwrap(),
            [],
            "{id} is DONE and not whole"
        );
        assert_consistent(id, &info, &listed);
    }
}

/// As before, and the bytes of each backup are those of its manifest.
pub fn assert_readable(dirs: &ServerDirs) {
    assert_listed(dirs);
    let store = Posix::new(dirs.clone());
    for (id, _) in published(dirs) {
        let faults = tree::verify(Root::new(&store, Place::Base(id)), &manifest(dirs, id), &|| true).unwrap();
        assert_eq!(faults, [], "{id} is DONE and does not verify");
    }
}

/// As before, and each WAL file that is listed is, byte for byte, the one of a primary.
pub fn assert_whole(dirs: &ServerDirs, primary: &ServerDirs) {
    assert_readable(dirs);
    for entry in assert_xlogdb(dirs).entries().iter() {
        let [here, there] = [dirs, primary].map(|dirs| fs::read(dirs.wal(entry.name)).unwrap());
        assert!(here == there, "{} is listed and not what the primary has", entry.name);
    }
}

/// The bytes of what is listed: of WAL files, and of backups that are DONE.
pub fn published_bytes(dirs: &ServerDirs) -> u64 {
    let wals: u64 = assert_xlogdb(dirs).entries().iter().map(|entry| entry.size).sum();
    let files = published(dirs).into_iter().flat_map(|(id, _)| walkdir::WalkDir::new(dirs.base(id)));
    wals + files
        .map(|entry| entry.unwrap().metadata().unwrap())
        .filter(Metadata::is_file)
        .map(|found| found.len())
        .sum::<u64>()
}

fn assert_xlogdb(dirs: &ServerDirs) -> XlogDb {
    let path = Layout::NEWEST.xlogdb(dirs);
    let Ok(bytes) = fs::read(&path) else {
        // Where there is no xlog.db, Barman makes one of the WAL that it finds.
        let has_wal = fs::read_dir(&dirs.wals_directory).is_ok_and(|entries| {
            entries
                .flatten()
                .any(|entry| entry.file_name().to_string_lossy().parse::<WalName>().is_ok() || is_hash(&entry))
        });
        assert!(!has_wal, "WAL was placed before xlog.db");
        return XlogDb::default();
    };
    let listed = XlogDb::parse(&bytes);
    assert_eq!(listed.problems(), []);
    for entry in listed.entries().iter() {
        let size = fs::metadata(dirs.wal(entry.name)).map(|metadata| metadata.len()).ok();
        assert_eq!(size, Some(entry.size), "{} is in xlog.db", entry.name);
    }
    if !listed.entries().is_empty() {
        let sync_wals = fs::read(dirs.sync_wals_info()).unwrap();
        assert!(SyncWals::parse(&sync_wals).is_ok(), "{:?}", String::from_utf8_lossy(&sync_wals));
    }
    listed
}

fn is_hash(entry: &fs::DirEntry) -> bool {
    let name = entry.file_name();
    name.len() == 16 && name.to_string_lossy().bytes().all(|b| b.is_ascii_hexdigit())
}

/// The backups that Barman lists as good. Every backup.info must be readable.
fn published(dirs: &ServerDirs) -> Vec<(BackupId, BackupInfo)> {
    let Ok(entries) = fs::read_dir(&dirs.meta_directory) else { return Vec::new() };
    let read = |entry: fs::DirEntry| {
        let name = entry.file_name().to_string_lossy().into_owned();
        let id: BackupId = name.strip_suffix("-backup.info")?.parse().ok()?;
        let info = BackupInfo::parse(&fs::read(entry.path()).unwrap()).unwrap();
        assert_eq!(info.check(), Ok(()));
        (info.status() == Ok(Status::Done)).then_some((id, info))
    };
    entries.flatten().filter_map(read).collect()
}

fn manifest(dirs: &ServerDirs, id: BackupId) -> Manifest {
    let bytes = fs::read(dirs.base(id).join("data/backup_manifest"));
    Manifest::parse(&bytes.unwrap_or_else(|error| panic!("{id} is DONE without a manifest: {error}"))).unwrap()
}

/// A backup that is DONE has the WAL that makes it consistent.
fn assert_consistent(id: BackupId, info: &BackupInfo, listed: &XlogDb) {
    let size = info.xlog_segment_size().unwrap();
    let number = |name: Option<WalName>| {
        let segment = name.and_then(WalName::segment).unwrap();
        (segment.timeline, segment.number(size).unwrap())
    };
    let (timeline, first) = number(info.begin_wal().unwrap());
    let (_, last) = number(info.end_wal().unwrap());
    for number in first..=last {
        let name = WalName::Segment(Segment::from_number(timeline, number, size).unwrap());
        assert!(listed.get(name).is_some(), "{id} is DONE without {name}");
    }
}

use std::collections::BTreeMap;
use std::fs::File;
use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;

use super::*;
use crate::barman::history::HistoryFile;
use crate::store::{Place, Posix, Root};
use crate::verify::checksum::{Algorithm, Checksum};
use crate::verify::manifest::{Manifest, identical_files};
use crate::verify::tree;
use crate::verify::wal_header::{Expected, Start, check};

fn written() -> (tempfile::TempDir, Made) {
    let home = tempfile::tempdir().unwrap();
    let made = write(home.path()).unwrap();
    (home, made)
}

fn manifest(made: &Made, id: BackupId) -> Manifest {
    Manifest::parse(&fs::read(made.directories.base(id).join("data/backup_manifest")).unwrap()).unwrap()
}

#[test]
fn every_wal_file_is_what_its_line_in_xlogdb_says() {
    let (_home, made) = written();
    let listed = XlogDb::parse(&fs::read(Layout::NEWEST.xlogdb(&made.directories)).unwrap());
    assert_eq!(listed.problems(), []);
    assert_eq!(listed.entries().iter().collect::<Vec<_>>(), made.wals);
    let segment_size = SegmentSize::new(1 << 20).unwrap();
    for entry in &made.wals {
        let path = made.directories.wal(entry.name);
        let described = crate::verify::wal_file::describe(entry.name, &File::open(&path).unwrap()).unwrap();
        assert_eq!((described.size, described.mtime), (entry.size, entry.mtime));
        let start = Start::read(File::open(&path).unwrap()).unwrap();
        let expected = Expected { system: Some(SYSTEM), segment_size: Some(segment_size), form: None };
        assert_eq!(check(entry.name, entry.size, &start, expected), Ok(()));
        if let Start::Header { compression, .. } = start {
            assert_eq!(compression.map(|c| c.name().to_owned()), entry.compression.map(String::from));
        }
    }
    let of = |wanted: fn(&WalName) -> bool| made.wals.iter().filter(|entry| wanted(&entry.name)).count();
    assert_eq!(of(|name| matches!(name, WalName::Segment(_))), 24);
    assert_eq!(of(|name| matches!(name, WalName::BackupLabel { .. })), 2);
    assert_eq!(of(|name| matches!(name, WalName::Partial(_) | WalName::History(_))), 2);
}

#[test]
fn every_backup_is_published_and_verifies() {
    let (_home, made) = written();
    assert_eq!(made.backups.len(), 2);
    for id in &made.backups {
        let (base, store) = (made.directories.base(*id), Posix::new(made.directories.clone()));
        assert_eq!(tree::verify(Root::new(&store, Place::Base(*id)), &manifest(&made, *id), &|| true).unwrap(), []);
        assert!(base.join("data/pg_tblspc/16384/PG_15_202209061").is_dir());
        let info = fs::read(Layout::NEWEST.backup_info(&made.directories, *id)).unwrap();
        let info = crate::barman::backup_info::BackupInfo::parse(&info).unwrap();
        assert_eq!(info.check(), Ok(()));
        let label = info.backup_label().unwrap().unwrap();
        assert_eq!(label.as_bytes(), fs::read(base.join("data/backup_label")).unwrap());
    }
}

#[test]
fn backup_info_has_the_keys_of_the_version_that_it_is_of() {
    let (_home, made) = written();
    let keys = |path: &Path| -> Vec<String> {
        let text = fs::read_to_string(path).unwrap();
        text.lines().filter_map(|line| Some(line.split_once('=')?.0.to_owned())).collect()
    };
    let real = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/fixtures/3.19.1/pg15/primary/main/meta/20261122T125802-backup.info");
    for id in &made.backups {
        assert_eq!(keys(&Layout::NEWEST.backup_info(&made.directories, *id)), keys(&real));
    }
}

#[test]
fn the_second_backup_shares_most_files_with_the_first() {
    let (_home, made) = written();
    let (first, second) = (manifest(&made, made.backups[0]), manifest(&made, made.backups[1]));
    let shared: u64 = identical_files(&first, &second).iter().map(|path| second.files[*path].size).sum();
    let all: u64 = second.files.values().map(|file| file.size).sum();
    assert!(shared * 2 > all && shared < all, "{shared} of {all}");
}

#[test]
fn the_promotion_is_in_the_segment_that_both_timelines_have() {
    let (_home, made) = written();
    let name = WalName::History(NEW);
    let stored = fs::read(made.directories.wal(name)).unwrap();
    let mut text = Vec::new();
    io::copy(&mut flate2::read::GzDecoder::new(&stored[..]), &mut text).unwrap();
    let history = HistoryFile::parse(NEW, stored.len() as u64, &text);
    assert_eq!(history.parent(SegmentSize::new(1 << 20).unwrap()), Some((OLD, 0x10)));
}

/// Every regular file with its checksum and time.
fn content(home: &Path) -> BTreeMap<PathBuf, (String, i64)> {
    let files = walkdir::WalkDir::new(home).into_iter().map(Result::unwrap).filter(|entry| entry.file_type().is_file());
    let described = files.map(|entry| {
        let checksum = Checksum::of(Algorithm::Crc32c, File::open(entry.path()).unwrap()).unwrap();
        let path = entry.path().strip_prefix(home).unwrap().to_owned();
        let dated = !path.ends_with("main-xlog.db") && !path.to_string_lossy().ends_with("-keep");
        (path, (checksum.to_string(), if dated { entry.metadata().unwrap().mtime() } else { 0 }))
    });
    described.collect()
}

#[test]
fn it_is_the_same_each_time_and_costs_little_disk() {
    let ((one, _), (other, _)) = (written(), written());
    assert_eq!(content(one.path()), content(other.path()));
    let blocks: u64 =
        walkdir::WalkDir::new(one.path()).into_iter().map(|e| e.unwrap().metadata().unwrap().blocks()).sum();
    assert!(blocks * 512 < 6 << 20, "{} bytes", blocks * 512);
}

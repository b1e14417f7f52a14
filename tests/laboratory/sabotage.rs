//! Drills of copies that were sabotaged, each in another way: every one is found, and said by what it is.

use std::fs::{self, File};
use std::io::Write;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use crate::converge::{filled_site, site_file};
use crate::drills::{declare, drill};
use crate::ground::Lab;
use crate::postgres::TABLESPACE_OID;
use crate::process::{copy_tree, program, run};
use crate::scenario::{self, write_chapter};
use crate::tools::BarmanVersion;

/// The copy of a server that is sabotaged: its newest backup, and its WAL.
struct Copy {
    base: PathBuf,
    wals: PathBuf,
}

/// What is done to it, and what a drill must say of it, one of these at the least.
type Sabotage = (&'static str, fn(&Copy), &'static [&'static str]);

impl Copy {
    fn data(&self, name: &str) -> PathBuf {
        self.base.join("data").join(name)
    }

    /// The largest file of the first database whose name ends so.
    fn largest(&self, end: &str) -> PathBuf {
        let files =
            fs::read_dir(self.data("base/1")).expect("list a database").map(|entry| entry.expect("an entry").path());
        let is_meant = |path: &PathBuf| {
            let name = path.file_name().unwrap().to_string_lossy().into_owned();
            if end.is_empty() { name.bytes().all(|byte| byte.is_ascii_digit()) } else { name.ends_with(end) }
        };
        let size = |path: &PathBuf| fs::metadata(path).expect("metadata").len();
        files.filter(is_meant).max_by_key(size).expect("a file")
    }

    /// The segments of the newest timeline, in their order.
    fn newest(&self) -> Vec<PathBuf> {
        segments(&self.wals.join("0000000200000000"))
    }
}

fn segments(directory: &Path) -> Vec<PathBuf> {
    let files = fs::read_dir(directory).expect("list WAL").map(|entry| entry.expect("an entry").path());
    let mut all: Vec<PathBuf> = files.filter(|path| path.file_name().is_some_and(|name| name.len() == 24)).collect();
    all.sort();
    all
}

/// Changes bytes, and keeps size and time of modification.
fn overwrite(path: &Path, at: u64, change: impl Fn(u8) -> u8, length: usize) {
    let file = File::options().read(true).write(true).open(path).expect("open a file");
    let before = file.metadata().expect("metadata").modified().expect("a time");
    let mut bytes = vec![0; length];
    let read = file.read_at(&mut bytes, at).expect("read");
    bytes.truncate(read);
    for byte in &mut bytes {
        *byte = change(*byte);
    }
    file.write_all_at(&bytes, at).expect("write");
    file.set_modified(before).expect("set the time");
}

fn flip(path: &Path, at: u64) {
    overwrite(path, at, |byte| byte ^ 0x10, 1);
}

fn zero(path: &Path, at: u64) {
    overwrite(path, at, |_| 0, 64 << 20);
}

fn truncate(path: &Path, to: u64) {
    File::options().write(true).open(path).expect("open a file").set_len(to).expect("truncate");
}

fn size(path: &Path) -> u64 {
    fs::metadata(path).expect("metadata").len()
}

fn remove(path: &Path) {
    fs::remove_file(path).expect("remove a file");
}

/// Nothing tells any more what is in the backup.
fn without_manifest(copy: &Copy) {
    remove(&copy.data("backup_manifest"));
}

const OF_FILES: [Sabotage; 16] = [
    ("a flipped page", |copy| flip(&copy.largest(""), 8192 + 100), &["is not what its manifest says"]),
    ("a zeroed page", |copy| overwrite(&copy.largest(""), 8192, |_| 0, 8192), &["is not what its manifest says"]),
    ("a file cut short", |copy| truncate(&copy.largest(""), 8192), &["base/1/"]),
    ("a file that grew", |copy| truncate(&copy.largest(""), size(&copy.largest("")) + 8192), &["base/1/"]),
    ("a missing table", |copy| remove(&copy.largest("")), &["base/1/"]),
    ("a cut map of free space", |copy| truncate(&copy.largest("_fsm"), 8192), &["_fsm"]),
    ("a flipped map of visibility", |copy| flip(&copy.largest("_vm"), 60), &["_vm"]),
    ("no pg_control", |copy| remove(&copy.data("global/pg_control")), &["pg_control", "missing or damaged"]),
    ("a zeroed pg_control", |copy| zero(&copy.data("global/pg_control"), 0), &["pg_control"]),
    ("a flipped commit log", |copy| flip(&copy.data("pg_xact/0000"), 3), &["pg_xact/0000"]),
    ("a zeroed map of files", |copy| zero(&copy.data("global/pg_filenode.map"), 0), &["pg_filenode.map"]),
    ("no PG_VERSION", |copy| remove(&copy.data("PG_VERSION")), &["PG_VERSION", "missing or damaged"]),
    (
        "a lost tablespace",
        |copy| fs::remove_dir_all(copy.base.join(TABLESPACE_OID)).expect("remove a tablespace"),
        &["pg_tblspc", "missing or damaged"],
    ),
    (
        "a flipped byte in a tablespace",
        |copy| {
            let files =
                walkdir::WalkDir::new(copy.base.join(TABLESPACE_OID)).into_iter().map(|entry| entry.expect("walk"));
            let file =
                files.filter(|entry| entry.file_type().is_file()).max_by_key(|entry| entry.metadata().unwrap().len());
            flip(file.expect("a file").path(), 100);
        },
        &["is not what its manifest says"],
    ),
    ("half a manifest", |copy| truncate(&copy.data("backup_manifest"), 2000), &["backup_manifest"]),
    ("a flipped manifest", |copy| flip(&copy.data("backup_manifest"), 500), &["backup_manifest"]),
];

const WITHOUT_A_MANIFEST: [Sabotage; 6] = [
    (
        "a flipped page",
        |copy| {
            without_manifest(copy);
            flip(&copy.largest(""), 8192 + 4000);
        },
        &["invalid page", "checksum"],
    ),
    (
        "no pg_control",
        |copy| {
            without_manifest(copy);
            remove(&copy.data("global/pg_control"));
        },
        &["pg_control", "missing or damaged"],
    ),
    (
        "a lost tablespace",
        |copy| {
            without_manifest(copy);
            fs::remove_dir_all(copy.base.join(TABLESPACE_OID)).expect("remove a tablespace");
        },
        &["ledger", "pg_tblspc", "missing or damaged"],
    ),
    (
        "half a table",
        |copy| {
            without_manifest(copy);
            truncate(&copy.largest(""), size(&copy.largest("")) / 16384 * 8192);
        },
        &["could not read block", "heap", "could not open", "index", "missing"],
    ),
    (
        "a map of free space cut within a page",
        |copy| {
            without_manifest(copy);
            truncate(&copy.largest("_fsm"), 8192 + 100);
        },
        &["_fsm", "read"],
    ),
    (
        "files of another release",
        |copy| {
            without_manifest(copy);
            fs::write(copy.data("PG_VERSION"), "14\n").expect("write PG_VERSION");
        },
        &["initialized by PostgreSQL version 14", "PG_VERSION"],
    ),
];

const OF_WAL: [Sabotage; 9] = [
    ("a missing segment", |copy| remove(&copy.newest()[1]), &["missing or damaged"]),
    (
        "the last segment cut in half",
        |copy| truncate(copy.newest().last().unwrap(), 2000),
        &["is not what its name says", "is missing or damaged"],
    ),
    (
        "a flipped bit in a compressed segment",
        |copy| {
            let last = copy.newest().last().unwrap().clone();
            // Further behind are zeros, which can be said in several ways.
            flip(&last, 400);
        },
        &["is not what its name says", "recovery ended within", "missing or damaged"],
    ),
    ("a zeroed segment", |copy| zero(&copy.newest()[1], 0), &["is missing or damaged", "is not what its name says"]),
    (
        "a segment under another's name",
        |copy| {
            let all = copy.newest();
            fs::copy(&all[1], &all[2]).expect("copy a segment");
        },
        &["is missing or damaged", "is not what its name says"],
    ),
    (
        "a segment of another timeline",
        |copy| {
            let old = segments(&copy.wals.join("0000000100000000"));
            fs::copy(old.last().unwrap(), &copy.newest()[1]).expect("copy a segment");
        },
        &["is missing or damaged", "is not what its name says"],
    ),
    (
        "a segment whose second half is zeros",
        |copy| {
            let path = &copy.newest()[1];
            let packed =
                run(program("gzip").arg("-dc").arg(path).stdout(File::create(path.with_extension("raw")).unwrap()));
            assert!(packed.status.success(), "{packed}");
            let raw = path.with_extension("raw");
            // Behind the header, where the first records are.
            zero(&raw, 200);
            fs::rename(raw, path).expect("replace a segment");
        },
        &["recovery ended", "is missing or damaged", "did not recover"],
    ),
    ("no history file", |copy| remove(&copy.wals.join("00000002.history")), &["00000002", "timeline 2"]),
    (
        "a history file of nonsense",
        |copy| {
            let path = copy.wals.join("00000002.history");
            File::create(path).unwrap().write_all(b"once upon a time\n").unwrap();
        },
        &["history", "timeline", "is missing or damaged"],
    ),
];

/// Tries each on a site that is made whole again in between.
fn each(sabotages: &[Sabotage]) {
    let lab = Lab::new();
    let scenario = scenario::two_timelines();
    let (sshd, site) = filled_site(&lab, &scenario.primary, BarmanVersion::Newest);
    declare(&site, &sshd, scenario, &scenario.chapters);
    let server = site.barman.server_directory();
    let whole = lab.join("whole");
    copy_tree(&server, &whole);
    let newest = scenario.backups.last().expect("a backup");
    for (name, sabotage, said) in sabotages {
        fs::remove_dir_all(&server).expect("remove what was sabotaged");
        copy_tree(&whole, &server);
        sabotage(&Copy { base: site.base(newest), wals: server.join("wals") });
        let (code, told) = drill(&site, &["--point", "newest", "--backup", newest]);
        assert_eq!((code, told["verdict"].as_str()), (2, Some("disproved")), "{name}: {told:#}");
        let steps = told["steps"].as_array().expect("steps");
        let disproved: Vec<&str> = steps
            .iter()
            .filter(|step| step["verdict"] == "disproved")
            .map(|step| step["told"].as_str().unwrap())
            .collect();
        assert!(disproved.iter().any(|told| said.iter().any(|said| told.contains(said))), "{name}: {said:?}: {told:#}");
    }
    fs::remove_dir_all(&server).expect("remove what was sabotaged");
    copy_tree(&whole, &server);
    let (code, told) = drill(&site, &["--point", "newest"]);
    assert_eq!(code, 0, "what is whole again is proved: {told:#}");
}

#[test]
fn whatever_is_wrong_with_a_file_that_a_manifest_lists_is_found() {
    each(&OF_FILES);
}

#[test]
fn what_is_wrong_with_a_backup_without_a_manifest_is_found_by_what_runs_on_it() {
    each(&WITHOUT_A_MANIFEST);
}

#[test]
fn whatever_is_wrong_with_wal_is_found_and_no_recovery_that_ended_early_is_called_good() {
    each(&OF_WAL);
}

#[test]
fn an_index_that_lacks_what_its_table_has_is_found_though_every_checksum_is_right() {
    let lab = Lab::new();
    let scenario = scenario::two_timelines();
    let live = scenario.primary.copy_to(&lab.directory("primary")).start();
    live.postgres.sql(
        "create table one (n int primary key); insert into one select generate_series(1, 1000);
         create table two (n int primary key); insert into two select generate_series(2001, 3000);
         checkpoint;
         update pg_class set relfilenode = case relname when 'one' then (select relfilenode from pg_class where relname = 'two')
             else (select relfilenode from pg_class where relname = 'one') end where relname in ('one', 'two')",
    );
    live.back_up(&[]);
    let primary = write_chapter(live, "broken").stop();
    let (sshd, site) = filled_site(&lab, &primary, BarmanVersion::Newest);
    site.declare(&site_file(&site, &sshd));
    let (code, told) = drill(&site, &["--point", "newest"]);
    assert_eq!((code, told["steps"][4]["verdict"].as_str()), (2, Some("disproved")), "{told:#}");
    assert!(told["steps"][4]["told"].as_str().unwrap().contains("_pkey"), "{told:#}");
}

//! `verify` at a site with what real programs wrote: no false alarm, and every bit that rots is found and mended.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use crate::account::ACCOUNT;
use crate::antipode::antipode;
use crate::barman::SERVER;
use crate::converge::{filled_site, identities};
use crate::ground::Lab;
use crate::postgres::Cluster;
use crate::primary::Primary;
use crate::process::{Finished, program, run, wait_until};
use crate::scenario;
use crate::site::Site;
use crate::tools::{BarmanVersion, PostgresRelease};

impl Site {
    #[track_caller]
    fn verify(&self, code: i32) -> Finished {
        let verified = antipode(&self.directory, &["verify", "--all"]);
        assert_eq!(verified.code(), code, "{verified}");
        verified
    }
}

/// Flips a bit in the middle of a file, and keeps size and time of modification.
pub fn rot(path: &Path) {
    rot_at(path, fs::metadata(path).expect("metadata").len() / 2);
}

/// Flips a bit of this byte.
fn rot_at(path: &Path, at: u64) {
    let file = File::options().read(true).write(true).open(path).expect("open a file");
    let before = file.metadata().expect("metadata");
    let mut byte = [0];
    file.read_exact_at(&mut byte, at).expect("read a byte");
    file.write_all_at(&[byte[0] ^ 0x10], at).expect("write a byte");
    file.set_modified(before.modified().expect("a time")).expect("set the time");
}

/// The file below a directory that is the largest.
fn largest(below: &Path) -> PathBuf {
    let files = walkdir::WalkDir::new(below).into_iter().map(|entry| entry.expect("walk"));
    let files = files.filter(|entry| entry.file_type().is_file());
    files.max_by_key(|entry| entry.metadata().expect("metadata").len()).expect("a file").into_path()
}

/// Segments of a catalog: one as it was written, and the one that has the most in it of those that are compressed.
fn segments(wals: &Path) -> [PathBuf; 2] {
    let is_gzip = |path: &Path| fs::read(path).expect("read").starts_with(&[0x1f, 0x8b]);
    let files =
        walkdir::WalkDir::new(wals).sort_by_file_name().into_iter().map(|entry| entry.expect("walk").into_path());
    let all: Vec<PathBuf> =
        files.filter(|path| path.is_file() && path.file_name().is_some_and(|name| name.len() == 24)).collect();
    let size = |path: &&PathBuf| fs::metadata(path).expect("metadata").len();
    let find = |gzip| all.iter().filter(|path| is_gzip(path) == gzip).max_by_key(size).expect("a segment").clone();
    [find(false), find(true)]
}

#[test]
fn what_rots_is_not_seen_by_a_plan_and_found_by_verify_and_alone_is_repaired() {
    let lab = Lab::new();
    let scenario = scenario::two_timelines();
    let (_sshd, site) = filled_site(&lab, &scenario.primary, BarmanVersion::Newest);
    let clean = site.verify(0);
    assert!(clean.stdout.contains("no damage found") && !clean.stdout.contains("never read"), "{clean}");

    let bases = site.barman.server_directory().join("base");
    let file = largest(&site.base(&scenario.backups[0]).join("data/base"));
    let [plain, gzip] = segments(&site.barman.server_directory().join("wals"));
    let before = identities(&bases);
    rot(&file);
    // Behind what a plan looks at, and before the zeros that fill a segment up, which can be said in several ways.
    rot_at(&plain, 9000);
    rot_at(&gzip, 2000);
    site.expect_no_changes();

    let found = site.verify(1);
    let relative = file.strip_prefix(site.base(&scenario.backups[0])).expect("below the base").display().to_string();
    let names = [&plain, &gzip].map(|path| path.file_name().expect("a name").to_string_lossy().into_owned());
    for name in names.iter().chain([&relative]) {
        assert!(found.stdout.contains(name.as_str()), "{name}: {found}");
    }
    let plan = site.expect_changes();
    assert!(plan.contains(&relative) && plan.contains("its checksum is"), "{plan}");
    site.apply();
    site.expect_no_changes();

    let mended = site.verify(0);
    assert!(mended.stdout.contains("no damage found"), "{mended}");
    // The backups that share it have it each for itself now, and nothing else was written anew.
    let changed: BTreeMap<_, _> =
        identities(&bases).into_iter().filter(|(path, identity)| before.get(path) != Some(identity)).collect();
    let shares = |path: &PathBuf| before.get(path) == before.get(&file);
    assert!(changed.contains_key(&file) && changed.keys().all(shares), "{changed:?}");
    site.judge().expect(&["verify-backup", SERVER, &scenario.backups[0]]);
}

#[test]
fn incremental_backups_are_proved_and_no_file_of_theirs_is_a_false_alarm() {
    let lab = Lab::new();
    let scenario = scenario::incrementals();
    let (_sshd, site) = filled_site(&lab, &scenario.primary, BarmanVersion::Newest);
    let clean = site.verify(0);
    assert!(clean.stdout.contains("no damage found"), "{clean}");
    let increment = walkdir::WalkDir::new(site.base(&scenario.backups[1]).join("data/base"))
        .into_iter()
        .map(|entry| entry.expect("walk").into_path())
        .find(|path| path.file_name().is_some_and(|name| name.to_string_lossy().starts_with("INCREMENTAL.")))
        .expect("a file with what changed");
    rot(&increment);
    assert!(site.verify(1).stdout.contains("INCREMENTAL."));
    site.converge();
    site.verify(0);
}

#[test]
fn damage_that_the_primary_shares_is_said_to_be_so_and_replaces_nothing() {
    let lab = Lab::new();
    let scenario = scenario::two_timelines();
    let primary = scenario.primary.copy_to(&lab.join("primary"));
    let (_sshd, site) = filled_site(&lab, &primary, BarmanVersion::Newest);
    let [plain, _] = segments(&site.barman.server_directory().join("wals"));
    let below = plain.strip_prefix(site.barman.server_directory()).expect("below the server");
    let there = primary.barman.server_directory().join(below);
    for path in [&plain, &there] {
        rot(path);
    }
    site.verify(1);
    let applied = antipode(&site.directory, &["apply", "--auto-approve"]);
    assert_eq!(applied.code(), 4, "{applied}");
    let told = format!("{applied}");
    assert!(told.contains("what the primary sent in its place is too"), "{told}");
    let again = site.verify(1);
    assert!(again.stdout.contains("what the primary sent in its place is damaged too"), "{again}");
    assert!(site.expect_changes().contains("is damaged too"));
}

#[test]
fn without_a_manifest_the_checksums_of_pages_prove_a_base() {
    let lab = Lab::new();
    let scenario = scenario::two_timelines();
    let primary = scenario.primary.copy_to(&lab.join("primary"));
    let id = &scenario.backups[0];
    let manifest = primary.barman.server_directory().join("base").join(id).join("data/backup_manifest");
    fs::remove_file(manifest).expect("remove the manifest, as if rsync had made the backup");
    let (_sshd, site) = filled_site(&lab, &primary, BarmanVersion::Newest);
    let clean = site.verify(0);
    assert!(clean.stdout.contains("proved by nothing else"), "{clean}");
    let file = largest(&site.base(id).join("data/base"));
    rot_at(&file, 8192 + 100);
    site.expect_no_changes();
    let found = site.verify(1);
    assert!(found.stdout.contains("block 1: ") && found.stdout.contains("its checksum is"), "{found}");
    site.converge();
    site.verify(0);
}

#[test]
fn what_nothing_else_proves_is_compared_with_what_arrived_and_alone_is_repaired() {
    let lab = Lab::new();
    let scenario = scenario::two_timelines();
    let mut live = scenario.primary.copy_to(&lab.join("primary")).start();
    live.barman.set("backup_compression", "gzip");
    let packed = live.back_up(&[]);
    let primary = live.stop();
    let plain = &scenario.backups[0];
    for id in [plain, &packed] {
        let manifest = primary.barman.server_directory().join("base").join(id).join("data/backup_manifest");
        fs::remove_file(manifest).expect("remove the manifest, as if the server were of PostgreSQL 12");
    }
    let (_sshd, site) = filled_site(&lab, &primary, BarmanVersion::Newest);
    let clean = site.verify(0);
    assert!(clean.stdout.contains("as it arrived") && clean.stdout.contains("proved by nothing else"), "{clean}");
    assert!(!clean.stdout.contains("unproven") && !clean.stdout.contains("noted now"), "{clean}");

    let bases = site.barman.server_directory().join("base");
    let before = identities(&bases);
    // No pages, so that no checksum of a page tells; and where a decoder takes everything for right.
    let [status, archive] = [site.base(plain).join("data/pg_xact/0000"), site.base(&packed).join("data/base.tar.gz")];
    rot(&status);
    rot_at(&archive, 5);
    site.expect_no_changes();
    let found = site.verify(1);
    for name in ["data/pg_xact/0000", "data/base.tar.gz"] {
        assert!(found.stdout.contains(&format!("{name}: it is not what it was when it arrived on ")), "{found}");
    }
    let plan = site.expect_changes();
    assert!(plan.contains("data/pg_xact/0000") && plan.contains("data/base.tar.gz"), "{plan}");
    site.apply();
    site.expect_no_changes();
    let mended = site.verify(0);
    assert!(mended.stdout.contains("no damage found") && !mended.stdout.contains("noted now"), "{mended}");
    let changed: BTreeMap<_, _> =
        identities(&bases).into_iter().filter(|(path, identity)| before.get(path) != Some(identity)).collect();
    assert_eq!(changed.keys().collect::<Vec<_>>(), [&status, &archive]);
    assert_eq!(
        fs::read(&status).expect("read"),
        fs::read(primary_file(&primary, plain, "data/pg_xact/0000")).expect("read")
    );
}

#[test]
fn wal_that_rotted_stops_a_real_recovery_instead_of_ending_it() {
    let lab = Lab::new();
    let scenario = scenario::two_timelines();
    let (sshd, site) = filled_site(&lab, &scenario.primary, BarmanVersion::Newest);
    drop(sshd);
    let [plain, _] = segments(&site.barman.server_directory().join("wals"));
    // In the middle of what was written, so that the first page and the size are right.
    rot_at(&plain, 3 * 8192);
    let directory = ACCOUNT.make_directory(&lab.join("restored"));
    let cluster = Cluster::at(PostgresRelease::Packaged, &directory);
    ACCOUNT.make_directory(&cluster.socket_directory());
    let (data, side) = (cluster.data().display().to_string(), format!("side:{}", cluster.tablespace().display()));
    let restored =
        antipode(&site.directory, &["restore", SERVER, &data, "--backup", &scenario.backups[0], "--tablespace", &side]);
    assert_eq!(restored.code(), 0, "{restored}");
    let log = directory.join("postgres.log");
    let mut start = program(PostgresRelease::Packaged.programs().join("pg_ctl"));
    let socket = format!("-k {} -c listen_addresses='' -c archive_mode=off", cluster.socket_directory().display());
    // Once it is consistent it may be read for a moment, so that how this ends says nothing.
    let started = run(start.args(["start", "--wait", "-D", &data, "-o", &socket, "-l"]).arg(&log));
    let said = || fs::read_to_string(&log).expect("read the log");
    let is_over =
        |said: &str| ["database system is shut down", "selected new timeline"].iter().any(|end| said.contains(end));
    wait_until("recovery ends in one way or another", || is_over(&said()));
    let mut stop = program(PostgresRelease::Packaged.programs().join("pg_ctl"));
    run(stop.args(["stop", "--mode", "immediate", "-D", &data]));
    let said = format!("{started}{}", said());
    let name = plain.file_name().expect("a name").to_string_lossy().into_owned();
    assert!(said.contains(&format!("{name} is not what its name says: ")), "{said}");
    assert!(said.contains("FATAL") && said.contains("child process exited with exit code 200"), "{said}");
    assert!(!said.contains("selected new timeline"), "{said}");
}

fn primary_file(primary: &Primary, id: &str, path: &str) -> PathBuf {
    primary.barman.server_directory().join("base").join(id).join(path)
}

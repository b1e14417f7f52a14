//! One failure stops only what depends on it, and what may pass is tried again.

use std::fs;
use std::os::unix::fs::{FileExt, PermissionsExt};
use std::path::{Path, PathBuf};

use crate::antipode::antipode;
use crate::barman::SERVER;
use crate::catalog_compare::assert_same_told;
use crate::ground::Lab;
use crate::primary::Primary;
use crate::process::{Daemon, Finished};
use crate::running::{Link, Process, processes};
use crate::scenario;

/// Some file of a table in a backup at a primary, that no other backup shares.
fn relation_file(primary: &Primary, id: &str) -> PathBuf {
    let base = primary.barman.server_directory().join("base").join(id).join("data/base");
    let files = walkdir::WalkDir::new(base).sort_by_file_name().into_iter().flatten();
    let mut files = files.filter(|entry| entry.metadata().is_ok_and(|found| found.len() > 64 * 1024));
    files.next().expect("a file of a table").into_path()
}

/// The WAL files of a primary that are not compressed, in order.
fn plain_wals(primary: &Primary) -> Vec<PathBuf> {
    let wals = walkdir::WalkDir::new(primary.barman.server_directory().join("wals")).sort_by_file_name();
    let whole = |path: &Path| fs::metadata(path).is_ok_and(|found| found.len() == 16 << 20);
    wals.into_iter()
        .flatten()
        .map(walkdir::DirEntry::into_path)
        .filter(|path| path.file_name().is_some_and(|name| name.len() == 24) && whole(path))
        .collect()
}

fn apply(link: &Link) -> Finished {
    let applied = antipode(&link.site.directory, &["apply", "--auto-approve"]);
    println!("{applied}");
    applied
}

fn flip(path: &Path, at: u64) {
    let file = fs::File::options().read(true).write(true).open(path).expect("open");
    let modified = file.metadata().and_then(|metadata| metadata.modified()).expect("its time");
    let mut byte = [0];
    file.read_exact_at(&mut byte, at).expect("read");
    file.write_all_at(&[byte[0] ^ 0x10], at).expect("write");
    file.set_modified(modified).expect("set its time");
}

#[test]
fn a_transfer_that_breaks_is_tried_again() {
    let lab = Lab::new();
    let scenario = scenario::two_timelines();
    let link = Link::new(&lab, &scenario.primary, &["bandwidth: 6MiB/s"]);
    let mut apply = link.start_copying();
    // The same primary may serve other tests: only those of this sshd.
    kill_until_it_is_told(&mut apply, &link, Process::is_rsync_server);

    let port = format!("-p\0{}", link.sshd.port());
    let masters = || processes(&port).into_iter().filter(Process::is_ssh_master);
    apply.wait_until("there is a connection", || masters().next().is_some());
    for master in masters() {
        master.kill();
    }
    let status = apply.wait_for_end();
    println!("{}", apply.log());
    assert!(status.success(), "{}", apply.log());
    assert_same_told(&scenario.primary.barman, &link.site.barman);
}

/// Kills what serves the site at the primary, but for the listener, until the apply tells of a loss: one between two
/// copies breaks nothing.
#[track_caller]
fn kill_until_it_is_told(apply: &mut Daemon, link: &Link, which: impl Fn(&Process) -> bool) {
    let listener = link.sshd.id();
    apply.wait_until("it is told", || {
        let all = processes("").into_iter().filter(|process| process.pid != listener);
        all.filter(|process| which(process) && process.descends_from(listener)).for_each(|process| process.kill());
        apply_log(link).contains("trying again in")
    });
}

fn apply_log(link: &Link) -> String {
    fs::read_to_string(link.site.directory.join("antipode.log")).unwrap_or_default()
}

/// A site that copies every file from the primary, also those that another backup shares.
fn without_reuse(lab: &Lab, primary: &Primary) -> Link {
    let mut link = Link::new(lab, primary, &[]);
    link.replica_keys = "transfer: {reuse: none}";
    link.limit(&[]);
    link
}

#[test]
fn a_backup_that_cannot_be_read_fails_alone() {
    let lab = Lab::new();
    let scenario = scenario::two_timelines();
    let primary = scenario.primary.copy_to(&lab.join("primary"));
    let unreadable = relation_file(&primary, &scenario.backups[1]);
    fs::set_permissions(&unreadable, fs::Permissions::from_mode(0o000)).unwrap();
    let link = without_reuse(&lab, &primary);
    let applied = apply(&link);
    assert_eq!(applied.code(), 4, "{applied}");
    let name = unreadable.file_name().unwrap().to_string_lossy().into_owned();
    assert!(applied.stderr.contains(&name) && applied.stderr.contains("may not access"), "{applied}");
    let site = &link.site.coexisting;
    assert_eq!(site.backup_ids(), [scenario.backups[0].clone(), scenario.backups[2].clone()]);
    fs::set_permissions(&unreadable, fs::Permissions::from_mode(0o600)).unwrap();
    link.finish();
    assert_same_told(&primary.barman, &link.site.barman);
}

#[test]
fn what_builds_on_a_backup_that_failed_is_skipped_by_name() {
    let lab = Lab::new();
    let scenario = scenario::incrementals();
    let primary = scenario.primary.copy_to(&lab.join("primary"));
    let base = primary.barman.server_directory().join("base").join(&scenario.backups[1]);
    let unreadable = base.join("data/PG_VERSION");
    fs::set_permissions(&unreadable, fs::Permissions::from_mode(0o000)).unwrap();
    let link = without_reuse(&lab, &primary);
    let applied = apply(&link);
    assert_eq!(applied.code(), 4, "{applied}");
    let [_, failed, dependent, _] = &scenario.backups[..] else { panic!("four backups") };
    let skipped = format!("main/backup/{dependent}: skipped: it needs main/backup/{failed}");
    assert!(applied.stderr.contains(&skipped), "{applied}");
    let site = &link.site.coexisting;
    assert_eq!(site.backup_ids(), [scenario.backups[0].clone(), scenario.backups[3].clone()]);
    fs::set_permissions(&unreadable, fs::Permissions::from_mode(0o600)).unwrap();
    link.finish();
    assert_same_told(&primary.barman, &link.site.barman);
}

#[test]
fn a_base_that_is_damaged_at_the_primary_is_not_published() {
    let lab = Lab::new();
    let scenario = scenario::two_timelines();
    let primary = scenario.primary.copy_to(&lab.join("primary"));
    let damaged = relation_file(&primary, &scenario.backups[2]);
    flip(&damaged, 9000);
    let link = Link::new(&lab, &primary, &[]);
    let applied = apply(&link);
    assert_eq!(applied.code(), 4, "{applied}");
    let name = damaged.file_name().unwrap().to_string_lossy().into_owned();
    for word in [&scenario.backups[2], &name, "its checksum is", "barman verify-backup"] {
        assert!(applied.stderr.contains(word), "{word}: {applied}");
    }
    let site = &link.site.coexisting;
    assert_eq!(site.backup_ids(), scenario.backups[..2]);
    assert!(!site.server_directory().join("base").join(&scenario.backups[2]).exists());
    flip(&damaged, 9000);
    link.finish();
    assert_same_told(&primary.barman, &link.site.barman);
}

#[test]
fn wals_of_another_system_or_name_and_unreadable_ones_are_refused_by_name_and_hold_up_no_other() {
    let lab = Lab::new();
    let scenario = scenario::two_timelines();
    let primary = scenario.primary.copy_to(&lab.join("primary"));
    let wals = plain_wals(&primary);
    let [foreign, renamed, unreadable] = [0, 1, 2].map(|i| wals.get(i).expect("three whole WALs").clone());
    let whole: Vec<(PathBuf, Vec<u8>)> = [&foreign, &renamed].map(|p| (p.clone(), fs::read(p).unwrap())).to_vec();
    // The system identifier is at byte 24 of a long header.
    flip(&foreign, 24);
    fs::write(&renamed, fs::read(&unreadable).unwrap()).unwrap();
    fs::set_permissions(&unreadable, fs::Permissions::from_mode(0o000)).unwrap();
    let link = Link::new(&lab, &primary, &[]);
    let applied = apply(&link);
    assert_eq!(applied.code(), 4, "{applied}");
    let site = &link.site.coexisting;
    let place = |path: &Path| {
        let relative = path.strip_prefix(primary.barman.server_directory()).unwrap();
        site.server_directory().join(relative)
    };
    for path in [&foreign, &renamed, &unreadable] {
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        assert!(applied.stderr.contains(&name), "{name}: {applied}");
        assert!(!place(path).exists(), "{name}");
        assert!(!site.xlogdb_names().contains(&name), "{name}");
    }
    let others = primary.barman.xlogdb_names().len() - 3;
    assert_eq!(site.xlogdb_names().len(), others, "{applied}");
    site.expect(&["list-backups", SERVER]);

    for (path, content) in whole {
        fs::write(path, content).unwrap();
    }
    fs::set_permissions(&unreadable, fs::Permissions::from_mode(0o600)).unwrap();
    link.finish();
    assert_same_told(&primary.barman, &link.site.barman);
}

#[test]
fn an_sshd_that_comes_back_is_found_again() {
    let lab = Lab::new();
    let scenario = scenario::two_timelines();
    let link = Link::new(&lab, &scenario.primary, &["bandwidth: 6MiB/s"]);
    let mut apply = link.start_copying();
    kill_until_it_is_told(&mut apply, &link, |_| true);
    let status = apply.wait_for_end();
    println!("{}", apply.log());
    assert!(status.success(), "{}", apply.log());
    assert_same_told(&scenario.primary.barman, &link.site.barman);
}

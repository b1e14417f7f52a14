//! The primary moves on, and the site follows: with what is new, and no more.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use walkdir::WalkDir;

use crate::catalog_compare::{assert_same_told, differing_files};
use crate::converge::{filled_site, identities};
use crate::ground::Lab;
use crate::primary::LivePrimary;
use crate::restore::Restore;
use crate::scenario::{self, chapters, write_chapter};
use crate::site::Site;
use crate::tools::BarmanVersion;

/// Recovers the newest timeline from a backup at the site.
#[track_caller]
fn assert_restores(site: &Site, backup: &str, directory: &Path, expected: &[&str]) {
    assert_eq!(chapters(&Restore::newest(site.judge(), backup).start(directory)), expected);
}

#[track_caller]
fn assert_same(primary: &LivePrimary, site: &Site) {
    let none: [String; 0] = [];
    assert_eq!(differing_files(&primary.barman, &site.barman), none);
    assert_same_told(&primary.barman, &site.barman);
}

#[test]
fn new_wal_is_shipped_and_nothing_else() {
    let lab = Lab::new();
    let scenario = scenario::two_timelines();
    let primary = scenario.primary.copy_to(&lab.join("primary"));
    let (_sshd, site) = filled_site(&lab, &primary, BarmanVersion::Newest);
    let live = primary.start();
    let bases = site.barman.server_directory().join("base");
    let before = identities(&bases);

    let live = write_chapter(live, "moved on");
    let plan = site.converge();
    assert!(plan.contains("+ wal"), "{plan}");
    assert!(!plan.contains("backup 2") && !plan.contains("~ xlog.db") && !plan.contains("+ history"), "{plan}");
    assert_eq!(identities(&bases), before);
    assert_same(&live, &site);
    let expected = [&scenario.chapters[..], &["moved on"]].concat();
    assert_restores(&site, &scenario.backups[2], &lab.join("restored"), &expected);
}

#[test]
fn a_new_backup_shares_the_files_that_did_not_change() {
    let lab = Lab::new();
    let scenario = scenario::two_timelines();
    let primary = scenario.primary.copy_to(&lab.join("primary"));
    let (_sshd, site) = filled_site(&lab, &primary, BarmanVersion::Newest);
    let live = primary.start();
    let id = live.back_up(&[]);
    let live = write_chapter(live, "after the backup");

    let plan = site.expect_changes();
    assert!(plan.contains(&format!("+ backup {id}")), "{plan}");
    assert!(plan.contains(&format!("of {}", scenario.backups[2])) && plan.contains("reuses"), "{plan}");
    let applied = site.apply();
    site.expect_no_changes();
    println!("{applied}");
    let (shared, own) = shared_and_own_bytes(&site.base(&id));
    println!("{shared} bytes are shared, {own} are the backup's own");
    assert!(shared > 9 * own, "{shared} bytes are shared, {own} are the backup's own");
    assert_same(&live, &site);
    let expected = [&scenario.chapters[..], &["after the backup"]].concat();
    assert_restores(&site, &id, &lab.join("restored"), &expected);
    // The older one, whose files it shares, is still what it was.
    site.barman.expect(&["verify-backup", "main", &scenario.backups[2]]);
}

/// Bytes of the files of a backup that another one has as well, and of those that it has alone.
fn shared_and_own_bytes(base: &Path) -> (u64, u64) {
    let (mut shared, mut own) = (0, 0);
    for entry in WalkDir::new(base) {
        let entry = entry.expect("read a backup");
        let file = fs::symlink_metadata(entry.path()).expect("stat a file of a backup");
        if file.is_file() {
            *if file.nlink() > 1 { &mut shared } else { &mut own } += file.size();
        }
    }
    (shared, own)
}

#[test]
fn a_compression_change_is_no_obstacle() {
    let lab = Lab::new();
    let scenario = scenario::two_timelines();
    let primary = scenario.primary.copy_to(&lab.join("primary"));
    let (_sshd, site) = filled_site(&lab, &primary, BarmanVersion::Newest);
    let mut live = primary.start();

    live.barman.set("compression", "bzip2");
    let live = write_chapter(live, "bzip2");
    let plan = site.converge();
    assert!(plan.contains("+ wal") && !plan.contains("~ wal") && !plan.contains("backup 2"), "{plan}");
    assert_same(&live, &site);
    let expected = [&scenario.chapters[..], &["bzip2"]].concat();
    assert_restores(&site, &scenario.backups[1], &lab.join("restored"), &expected);
}

#[test]
fn another_promotion_is_followed() {
    let lab = Lab::new();
    let scenario = scenario::two_timelines();
    let primary = scenario.primary.copy_to(&lab.join("primary"));
    let (_sshd, site) = filled_site(&lab, &primary, BarmanVersion::Newest);

    primary.cluster.promote_at_next_start();
    let mut live = primary.start();
    live.postgres.wait_for_end_of_recovery();
    let live = write_chapter(live, "third timeline");
    let plan = site.converge();
    assert!(plan.contains("+ history 00000003") && plan.contains("+ wal 00000003"), "{plan}");
    assert!(!plan.contains("+ backup 2"), "{plan}");
    assert_same(&live, &site);
    let expected = [&scenario.chapters[..], &["third timeline"]].concat();
    assert_restores(&site, &scenario.backups[0], &lab.join("restored"), &expected);
}

#[test]
fn late_segments_of_an_old_timeline_are_not_lost() {
    let lab = Lab::new();
    let scenario = scenario::two_timelines();
    let copy = scenario.primary.copy_to(&lab.join("primary"));
    let primary = &copy.barman;
    let late = late_segment(primary);
    let path = format!("wals/{}/{late}", &late[..16]);
    let (archived, aside) = (primary.server_directory().join(&path), lab.join(&late));
    fs::rename(&archived, &aside).expect("take a segment away");
    let lines = fs::read_to_string(primary.xlogdb()).expect("read xlog.db");
    let without: String =
        lines.lines().filter(|line| !line.starts_with(&late)).map(|line| format!("{line}\n")).collect();
    fs::write(primary.xlogdb(), without).expect("write xlog.db");

    let (_sshd, site) = filled_site(&lab, &copy, BarmanVersion::Newest);
    assert!(!site.barman.server_directory().join(&path).exists());
    fs::rename(&aside, &archived).expect("bring the segment back");
    fs::write(primary.xlogdb(), lines).expect("write xlog.db");
    let plan = site.converge();
    assert!(plan.contains(&format!("+ wal {late}")), "{plan}");
    assert_same_told(primary, &site.barman);
}

/// The last segment of timeline 1.
fn late_segment(primary: &crate::barman::Barman) -> String {
    let names = primary.xlogdb_names();
    let mut segments = names.into_iter().filter(|name| name.len() == 24 && name.starts_with("00000001"));
    segments.next_back().expect("a segment of timeline 1")
}

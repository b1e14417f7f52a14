//! Lives of a server that names, numbers and lists do not tell: an upgrade, an abandoned branch, no backup yet, and a
//! primary whose backups are not what they were. A real Barman judges what comes of them, and a PostgreSQL starts.

use std::fs;
use std::path::Path;

use crate::account::ACCOUNT;
use crate::antipode::antipode;
use crate::barman::{Barman, SERVER};
use crate::converge::empty_site;
use crate::ground::Lab;
use crate::primary::{LivePrimary, Primary};
use crate::restore::{Restore, Wals};
use crate::scenario::{self, chapters, first_backup, open_ledger, write_chapter};
use crate::site::Site;
use crate::tools::{BarmanVersion, PostgresRelease};

/// The chapters of what a backup restores to at a site.
#[track_caller]
fn restored(site: &Site, release: PostgresRelease, backup: &str, timeline: &str, directory: &Path) -> Vec<String> {
    let restore = Restore { barman: site.judge(), release, backup, timeline, wals: Wals::Copied };
    chapters(&restore.start(directory))
}

/// Has the site's Barman check the files of a backup.
#[track_caller]
fn verify(site: &Site, backup: &str) {
    site.barman.expect(&["verify-backup", SERVER, backup]);
}

/// Has `status` say that all is well, and nothing else be planned.
#[track_caller]
fn assert_in_sync(site: &Site) {
    site.expect_no_changes();
    let status = antipode(&site.directory, &["status"]);
    assert_eq!(status.code(), 0, "{status}");
    assert!(status.stdout.contains("in sync"), "{status}");
}

#[test]
fn both_systems_of_an_upgraded_server_are_copied_and_restore() {
    let lab = Lab::new();
    let directory = lab.directory("primary");
    let live = Primary::create(BarmanVersion::Newest, PostgresRelease::Packaged, &directory).start();
    open_ledger(&live.postgres);
    live.archive_wal();
    let stopped = live.stop();
    // Its timeline is then above the one on which the upgraded cluster begins.
    stopped.cluster.promote_at_next_start();
    let mut live = stopped.start();
    live.postgres.wait_for_end_of_recovery();
    let old = live.back_up(&[]);
    let live = write_chapter(live, "before the upgrade");

    let upgraded = live.stop().upgrade(PostgresRelease::Seventeen, "000000010000000000000030", &directory);
    let live = upgraded.start();
    open_ledger(&live.postgres);
    let live = write_chapter(live, "after the upgrade");
    let new = live.back_up(&[]);
    let primary = write_chapter(live, "last").stop();

    let (sshd, site) = empty_site(&lab, &primary, BarmanVersion::Newest);
    let systems = [&old, &new].map(|id| format!("\"{}\"", primary.barman.backup_field(id, "systemid"))).join(", ");
    site.declare_with(&sshd, &[&format!("accept_systems: [{systems}]")]);
    site.converge();
    assert_in_sync(&site);
    for id in [&old, &new] {
        verify(&site, id);
    }
    let chapters_of = |release, id: &str| restored(&site, release, id, "current", &lab.join(id));
    // A recovery along the backup's own timeline.
    assert_eq!(chapters_of(PostgresRelease::Packaged, &old), ["opened", "before the upgrade"]);
    assert_eq!(chapters_of(PostgresRelease::Seventeen, &new), ["opened", "after the upgrade", "last"]);
}

#[test]
fn an_abandoned_branch_does_not_hide_the_live_one() {
    let lab = Lab::new();
    let scenario = scenario::two_timelines();
    let primary = scenario.primary.copy_to(&lab.join("primary"));
    let test_restore = primary.cluster.copy_to(&lab.join("test-restore"));
    test_restore.promote_at_next_start();
    let mut abandoned = LivePrimary { barman: primary.barman.clone(), postgres: test_restore.start() };
    abandoned.postgres.wait_for_end_of_recovery();
    let abandoned = write_chapter(abandoned, "abandoned").stop();
    let live = Primary { cluster: primary.cluster, barman: abandoned.barman }.start();
    let primary = write_chapter(write_chapter(live, "the live one"), "goes on").stop();
    assert!(primary.barman.xlogdb_names().contains(&"00000003.history".to_owned()));

    let (_sshd, site) = empty_site(&lab, &primary, BarmanVersion::Newest);
    site.converge();
    assert_in_sync(&site);
    let newest = scenario.backups.last().expect("a backup");
    verify(&site, newest);
    let expected = [&scenario.chapters[..], &["the live one", "goes on"]].concat();
    assert_eq!(restored(&site, PostgresRelease::Packaged, newest, "2", &lab.join("restored")), expected);
}

#[test]
fn a_server_without_a_backup_and_with_large_segments_is_copied_once() {
    let lab = Lab::new();
    let primary = Primary::create_with_segments(PostgresRelease::Packaged, 64, &lab.directory("primary"));
    let live = primary.start();
    open_ledger(&live.postgres);
    let archived = [live.archive_wal(), live.archive_wal()];
    let (_sshd, site) = empty_site(
        &lab,
        &Primary { barman: live.barman.clone(), cluster: live.postgres.cluster.clone() },
        BarmanVersion::Newest,
    );
    site.converge();
    assert_eq!(site.barman.xlogdb_names(), archived);

    let id = first_backup(&live);
    let live = write_chapter(live, "large");
    site.converge();
    assert_in_sync(&site);
    verify(&site, &id);
    assert_eq!(restored(&site, PostgresRelease::Packaged, &id, "current", &lab.join("restored")), ["opened", "large"]);
    live.stop();
}

#[test]
fn bases_that_a_primary_lost_and_junk_replace_no_good_backup() {
    let lab = Lab::new();
    let scenario = scenario::two_timelines();
    let primary = scenario.primary.copy_to(&lab.join("primary"));
    let (sshd, site) = empty_site(&lab, &primary, BarmanVersion::Newest);
    site.converge();
    let [_, second, third] = &scenario.backups[..] else { panic!("three backups") };

    // The primary lists two newer ones that are nothing but a small file, and an older one has lost its files.
    let junk = [later(third, 1), later(third, 2)];
    for id in &junk {
        write_junk(&primary.barman, third, id);
    }
    let data = primary.barman.server_directory().join("base").join(second).join("data");
    fs::remove_dir_all(&data).expect("lose a base");
    ACCOUNT.make_directory(&data);
    let settings = ["backups: [{last: 2}]", "prune: {unselected: true}", "protect: {min_backups: 1, max_prune: 100%}"];
    site.declare_with(&sshd, &settings);
    let applied = antipode(&site.directory, &["apply", "--auto-approve"]);
    assert_ne!(applied.code(), 0, "{applied}");
    assert!(junk.iter().any(|id| applied.stdout.contains(id) || applied.stderr.contains(id)), "{applied}");

    assert_eq!(site.judge().backup_ids(), scenario.backups);
    for id in &scenario.backups {
        verify(&site, id);
    }
    assert_eq!(restored(&site, PostgresRelease::Packaged, third, "latest", &lab.join("restored")), scenario.chapters);

    // A site that has nothing publishes neither.
    let fresh = Lab::new();
    let (_sshd, site) = empty_site(&fresh, &primary, BarmanVersion::Newest);
    let applied = antipode(&site.directory, &["apply", "--auto-approve"]);
    assert_ne!(applied.code(), 0, "{applied}");
    assert_eq!(site.judge().backup_ids(), [scenario.backups[0].clone(), third.clone()]);
    verify(&site, third);
}

/// The id of a backup some years after another.
fn later(id: &str, years: u32) -> String {
    let (year, rest) = id.split_at(4);
    let year: u32 = year.parse().expect("the year of an id");
    format!("{}{rest}", year + years)
}

/// Lists a backup that is DONE with what another says, and whose base is one small file.
fn write_junk(barman: &Barman, like: &str, id: &str) {
    let text = fs::read_to_string(barman.backup_info(like)).expect("read backup.info");
    ACCOUNT.write(&barman.backup_info(id), text);
    let data = ACCOUNT.make_directory(&barman.server_directory().join("base").join(id).join("data"));
    ACCOUNT.write(&data.join("junk"), "junk");
}

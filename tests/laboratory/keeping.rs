//! What stays at a site, and what goes: keep annotations, backups that vanish
//! at the primary, and pruning, judged by a real Barman.

use std::fs;

use crate::barman::{Barman, SERVER};
use crate::catalog_compare::{assert_same_told, told_by};
use crate::converge::{contents, empty_site, filled_site};
use crate::ground::Lab;
use crate::restore::Restore;
use crate::scenario::{self, Scenario, chapters};
use crate::site::Site;

#[track_caller]
fn assert_keep(barman: &Barman, id: &str, expected: &str) {
    let status = barman.expect(&["keep", "--status", SERVER, id]);
    assert!(status.contains(&format!("Keep: {expected}\n")), "{status}");
}

#[track_caller]
fn assert_restores_newest(lab: &Lab, scenario: &Scenario, site: &Site) {
    let restore = Restore::newest(site.judge(), "latest");
    assert_eq!(chapters(&restore.start(&lab.join("restored"))), scenario.chapters);
}

#[test]
fn keep_annotations_are_shipped_and_those_set_at_the_site_stay() {
    let lab = Lab::new();
    let scenario = scenario::two_timelines();
    let copy = scenario.primary.copy_to(&lab.join("primary"));
    let primary = &copy.barman;
    let (_sshd, site) = filled_site(&lab, &copy, primary.version);
    let [kept_there, later, kept_here] = &scenario.backups[..] else { panic!("three backups") };
    assert_keep(&site.barman, kept_there, "full");
    assert_keep(&site.barman, later, "nokeep");

    site.barman.expect(&["keep", "--target", "standalone", SERVER, kept_here]);
    site.expect_no_changes();
    primary.expect(&["keep", "--target", "standalone", SERVER, later]);
    primary.expect(&["keep", "--release", SERVER, kept_there]);
    let plan = site.converge();
    assert!(plan.contains("keep") && !plan.contains("+ backup 2"), "{plan}");
    assert_keep(&site.barman, later, "standalone");
    // It was released at the primary only; the site's is for the site to release.
    assert_keep(&site.barman, kept_there, "full");
    assert_keep(&site.barman, kept_here, "standalone");
}

#[test]
fn a_backup_deleted_at_the_primary_stays() {
    let lab = Lab::new();
    let scenario = scenario::two_timelines();
    let copy = scenario.primary.copy_to(&lab.join("primary"));
    let primary = &copy.barman;
    let (_sshd, site) = filled_site(&lab, &copy, primary.version);
    let before = contents(site.catalog());
    scenario.forget_timeline_1(primary);

    let planned = site.plan();
    println!("{planned}");
    assert!(!planned.stdout.contains("- backup") && !planned.stdout.contains("- wal"), "{planned}");
    site.apply();
    site.expect_no_changes();
    assert_eq!(site.judge().backup_ids(), scenario.backups);
    let after = contents(site.catalog());
    assert!(before.keys().all(|path| after.contains_key(path)));
    crate::empty_site::assert_restores_both_timelines(&lab, scenario, site.judge());
}

#[test]
fn unselected_backups_are_pruned_with_their_wal() {
    prunes_unselected(scenario::two_timelines());
}

#[test]
fn unselected_backups_are_pruned_with_their_wal_in_the_legacy_layout() {
    prunes_unselected(scenario::legacy_layout());
}

fn prunes_unselected(scenario: &Scenario) {
    let lab = Lab::new();
    let copy = scenario.primary.copy_to(&lab.join("primary"));
    let primary = &copy.barman;
    primary.expect(&["keep", "--release", SERVER, scenario.kept_backup()]);
    let (sshd, site) = filled_site(&lab, &copy, primary.version);
    let wals_before = told_by(&site.barman).wals.len();

    site.declare_with(
        &sshd,
        &["backups: [{last: 1}]", "prune: {unselected: true}", "protect: {min_backups: 1, max_prune: 100%}"],
    );
    let plan = site.converge();
    let newest = &scenario.backups[2];
    for id in &scenario.backups[..2] {
        assert!(plan.contains(&format!("- backup {id}")), "{plan}");
        assert!(!site.base(id).exists());
    }
    assert!(plan.contains("- wal"), "{plan}");
    assert_eq!(site.judge().backup_ids(), std::slice::from_ref(newest));
    let told = told_by(&site.barman);
    assert!(told.wals.len() < wals_before);
    assert_eq!(told.backups.keys().collect::<Vec<_>>(), [newest]);
    assert_archive_is_listed(&site);
    site.barman.expect(&["check-backup", SERVER, newest]);
    assert_restores_newest(&lab, scenario, &site);
}

/// Every segment that xlog.db names is there, and every one that is there is named.
#[track_caller]
fn assert_archive_is_listed(site: &Site) {
    let wals = site.barman.server_directory().join("wals");
    let mut found: Vec<String> = walkdir::WalkDir::new(&wals)
        .into_iter()
        .map(|entry| entry.expect("read the archive"))
        .filter(|entry| entry.file_type().is_file())
        .map(|entry| entry.file_name().to_string_lossy().into_owned())
        .filter(|name| !name.ends_with("xlog.db") && name != "sync-wals.info")
        .collect();
    found.sort();
    assert_eq!(site.barman.xlogdb_names(), found);
}

#[test]
fn a_prune_that_leaves_too_few_backups_is_refused() {
    let lab = Lab::new();
    let scenario = scenario::two_timelines();
    let copy = scenario.primary.copy_to(&lab.join("primary"));
    let primary = &copy.barman;
    primary.expect(&["keep", "--release", SERVER, scenario.kept_backup()]);
    let (sshd, site) = filled_site(&lab, &copy, primary.version);
    let before = contents(site.catalog());
    site.declare_with(&sshd, &["backups: [{last: 1}]", "prune: {unselected: true}", "protect: {max_prune: 100%}"]);
    let planned = site.plan();
    assert_eq!(planned.code(), 1, "{planned}");
    assert!(planned.stdout.contains("protect.min_backups"), "{planned}");
    let applied = crate::antipode::antipode(&site.directory, &["apply", "--auto-approve"]);
    assert_eq!(applied.code(), 1, "{applied}");
    assert!(contents(site.catalog()) == before);
}

#[test]
fn backups_that_the_local_retention_would_delete_are_never_copied() {
    let lab = Lab::new();
    let scenario = scenario::two_timelines();
    let copy = scenario.primary.copy_to(&lab.join("primary"));
    let primary = &copy.barman;
    primary.expect(&["keep", "--release", SERVER, scenario.kept_backup()]);
    let (sshd, site) = empty_site(&lab, &copy, primary.version);
    site.declare_with(&sshd, &["backups: [{last: 2}]"]);
    site.converge();
    assert_eq!(site.judge().backup_ids(), scenario.backups[1..]);
    assert!(!site.base(&scenario.backups[0]).exists());
    assert_archive_is_listed(&site);
    assert_restores_newest(&lab, scenario, &site);

    // The selection is raised: what is older is brought after all, its WAL too.
    site.declare_with(&sshd, &["backups: all"]);
    let plan = site.converge();
    assert!(plan.contains(&format!("+ backup {}", scenario.backups[0])) && plan.contains("+ wal"), "{plan}");
    assert_same_told(primary, &site.barman);
    assert!(fs::read_dir(site.base(&scenario.backups[0])).is_ok());
}

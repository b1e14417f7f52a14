//! The main job: from an empty site to one that a real Barman lists, checks and restores from.

use std::fs;

use walkdir::WalkDir;

use crate::barman::{Barman, PASSWORD, SERVER};
use crate::catalog_compare::{assert_same_told, differing_files};
use crate::converge::filled_site;
use crate::ground::Lab;
use crate::restore::{Restore, Wals};
use crate::scenario::{self, Scenario, chapters};
use crate::site::Site;
use crate::sshd::Sshd;
use crate::tools::{BarmanVersion, PostgresRelease};

#[test]
fn an_empty_site_becomes_one_that_restores_both_timelines() {
    becomes_one_that_restores_both_timelines(scenario::two_timelines());
}

#[test]
fn an_empty_site_with_legacy_layout_becomes_one_that_restores_both_timelines() {
    becomes_one_that_restores_both_timelines(scenario::legacy_layout());
}

#[test]
fn an_empty_site_with_the_oldest_barman_becomes_one_that_restores_both_timelines() {
    becomes_one_that_restores_both_timelines(scenario::oldest_barman());
}

fn becomes_one_that_restores_both_timelines(scenario: &Scenario) {
    let lab = Lab::new();
    let primary = &scenario.primary.barman;
    let (sshd, site) = filled_site(&lab, &scenario.primary, primary.version);
    assert_same_files(primary, &site.barman);
    assert_same_told(primary, &site.barman);
    assert_judged_good(&site, scenario);
    assert_only_reads(&sshd);
    assert_no_password(&site);
    assert_restores_both_timelines(&lab, scenario, site.judge());
}

#[test]
fn an_empty_site_gets_incremental_backups_that_combine() {
    let lab = Lab::new();
    let scenario = scenario::incrementals();
    let primary = &scenario.primary.barman;
    let (sshd, site) = filled_site(&lab, &scenario.primary, primary.version);
    assert_same_files(primary, &site.barman);
    assert_same_told(primary, &site.barman);
    assert_judged_good(&site, scenario);
    assert_only_reads(&sshd);

    let restore = Restore {
        barman: site.judge(),
        release: PostgresRelease::Seventeen,
        backup: &scenario.backups[2],
        timeline: "latest",
        wals: Wals::Copied,
    };
    let postgres = restore.start(&lab.join("restored"));
    assert_eq!(chapters(&postgres), scenario.chapters);
}

#[test]
fn version_skew_between_an_older_primary_and_a_newer_site_is_bridged() {
    is_bridged(scenario::legacy_layout(), BarmanVersion::Newest);
}

#[test]
fn version_skew_between_a_newer_primary_and_an_older_site_is_bridged() {
    is_bridged(scenario::two_timelines(), BarmanVersion::Legacy);
}

#[test]
fn version_skew_of_years_between_a_newer_primary_and_an_older_site_is_bridged() {
    is_bridged(scenario::two_timelines(), BarmanVersion::Oldest);
}

fn is_bridged(scenario: &Scenario, version: BarmanVersion) {
    let lab = Lab::new();
    let primary = &scenario.primary.barman;
    let (_sshd, site) = filled_site(&lab, &scenario.primary, version);
    assert_same_files(primary, &site.barman);
    assert!(site.barman.xlogdb().exists());
    for id in &scenario.backups {
        assert!(site.barman.backup_info(id).exists());
    }
    assert_judged_good(&site, scenario);
    assert_restores_both_timelines(&lab, scenario, site.judge());
    site.expect_no_changes();
}

#[track_caller]
fn assert_same_files(primary: &Barman, site: &Barman) {
    let none: [String; 0] = [];
    assert_eq!(differing_files(primary, site), none);
}

/// The site's own Barman lists and shows every backup, and finds nothing wrong with any.
#[track_caller]
fn assert_judged_good(site: &Site, scenario: &Scenario) {
    assert_eq!(site.judge().backup_ids(), scenario.backups);
    for id in &scenario.backups {
        let shown = site.judge().expect(&["show-backup", SERVER, id]);
        assert!(shown.contains("DONE"), "{shown}");
        site.barman.expect(&["check-backup", SERVER, id]);
        assert_eq!(site.barman.backup_field(id, "status"), "DONE");
        if site.barman.version != BarmanVersion::Oldest {
            site.barman.expect(&["verify-backup", SERVER, id]);
        }
    }
    let kept = site.barman.expect(&["keep", "--status", SERVER, scenario.kept_backup()]);
    assert!(kept.contains("full"), "{kept}");
}

/// Only these run at a primary.
#[track_caller]
pub fn assert_only_reads(sshd: &Sshd) {
    let commands = sshd.commands();
    let is_reading = |command: &String| {
        let command = command.trim_start();
        command.starts_with("barman sync-info ")
            || command == "barman list-servers --minimal"
            || command.starts_with("rsync --server --sender ")
    };
    assert!(!commands.is_empty() && commands.iter().all(is_reading), "{commands:#?}");
}

/// The password of `conninfo` is in no file of the site.
#[track_caller]
fn assert_no_password(site: &Site) {
    for entry in WalkDir::new(&site.directory) {
        let entry = entry.expect("read the site");
        // Barman's own passive commands, which judge, save it in this file.
        if entry.file_type().is_file() && entry.file_name() != "primary.info" {
            let content = fs::read(entry.path()).expect("read a file of the site");
            let has_it = content.windows(PASSWORD.len()).any(|part| part == PASSWORD.as_bytes());
            assert!(!has_it, "{} has the password", entry.path().display());
        }
    }
}

/// What a Barman restores is recovered to the end of either timeline, with its WALs copied or fetched.
#[track_caller]
pub fn assert_restores_both_timelines(lab: &Lab, scenario: &Scenario, barman: &Barman) {
    let to_the_end = Restore {
        barman,
        release: PostgresRelease::Packaged,
        backup: &scenario.backups[0],
        timeline: "latest",
        wals: Wals::Copied,
    };
    let postgres = to_the_end.start(&lab.join("latest"));
    assert_eq!(chapters(&postgres), scenario.chapters);
    drop(postgres);
    let old_timeline = Restore { timeline: "1", wals: Wals::Fetched, ..to_the_end };
    let postgres = old_timeline.start(&lab.join("old"));
    assert_eq!(chapters(&postgres), scenario.chapters_of_timeline_1);
}

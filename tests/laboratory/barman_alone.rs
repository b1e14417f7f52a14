//! Barman's own passive node, over our sshd: the laboratory's own proof, and
//! the failings that are the reason for Antipode.

use std::os::unix::fs::symlink;

use crate::account::ACCOUNT;
use crate::barman::{Barman, SERVER};
use crate::catalog_compare::{differing_files, told_by};
use crate::ground::Lab;
use crate::passive::{passive_node, passive_node_of};
use crate::postgres::TABLESPACE_OID;
use crate::restore::{Restore, Wals};
use crate::scenario::{self, Scenario, chapters};
use crate::site::Site;
use crate::sshd::{Manners, Sshd};
use crate::tools::{BarmanVersion, PostgresRelease};

#[test]
fn newest_barman_restores_both_timelines() {
    restores_both_timelines(scenario::two_timelines());
}

#[test]
fn barman_with_legacy_layout_restores_both_timelines() {
    restores_both_timelines(scenario::legacy_layout());
}

#[test]
fn oldest_barman_restores_both_timelines() {
    restores_both_timelines(scenario::oldest_barman());
}

fn restores_both_timelines(scenario: &Scenario) {
    let lab = Lab::new();
    let to_the_end = Restore::newest(&scenario.primary.barman, &scenario.backups[0]);
    let postgres = to_the_end.start(&lab.join("latest"));
    assert_eq!(chapters(&postgres), scenario.chapters);
    drop(postgres);

    let old_timeline = Restore { timeline: "1", wals: Wals::Fetched, ..to_the_end };
    let postgres = old_timeline.start(&lab.join("old"));
    assert_eq!(chapters(&postgres), scenario.chapters_of_timeline_1);
}

#[test]
fn primary_goes_on_from_a_copy() {
    let lab = Lab::new();
    let primary = scenario::two_timelines().primary.copy_to(&lab.join("copy"));
    let shared = told_by(&scenario::two_timelines().primary.barman);
    assert_eq!(told_by(&primary.barman), shared);

    let live = primary.start();
    let backup = live.back_up(&[]);
    let told = told_by(&live.barman);
    assert!(told.backups.contains_key(&backup));
    assert!(told.wals.is_superset(&shared.wals));
}

#[test]
fn passive_node_copies_every_file_but_doubles_xlogdb() {
    let lab = Lab::new();
    let scenario = scenario::two_timelines();
    let (sshd, site) = passive_node(&lab, scenario);

    let none: [String; 0] = [];
    assert_eq!(differing_files(&scenario.primary.barman, &site.barman), none);
    // Its rebuild from what is on disk, and then the same WALs appended.
    let names = scenario.primary.barman.xlogdb_names();
    let rebuilt = names.iter().filter(|name| !name.ends_with(".partial"));
    let doubled: Vec<String> = rebuilt.chain(&names).cloned().collect();
    assert_eq!(site.barman.xlogdb_names(), doubled);

    let commands = sshd.commands();
    assert!(
        commands.iter().all(|command| command == "barman sync-info main"
            || command.trim_start().starts_with("rsync --server --sender ")
            || command == "true"),
        "{commands:?}"
    );
}

#[test]
fn passive_node_never_gets_the_history_of_its_first_backups_timeline() {
    let lab = Lab::new();
    let scenario = scenario::two_timelines();
    let primary = scenario.primary.copy_to(&lab.join("primary"));
    let timeline_2 = scenario.forget_timeline_1(&primary.barman);
    let (_sshd, site) = passive_node_of(&lab, &primary, &[timeline_2]);

    let history = "main/wals/00000002.history";
    assert!(primary.barman.home.join(history).exists());
    assert!(!site.catalog().join(history).exists());
}

#[test]
fn passive_node_writes_the_children_of_a_backup_letter_by_letter() {
    let lab = Lab::new();
    let scenario = scenario::incrementals();
    let (_sshd, site) = passive_node(&lab, scenario);

    let child = &scenario.backups[1];
    let letters: Vec<String> = child.chars().map(String::from).collect();
    assert_eq!(site.barman.backup_field(&scenario.backups[0], "children_backup_ids"), letters.join(","));
}

/// `sync-backup` leaves out the links of tablespaces, so `pg_combinebackup`
/// sees none at the passive node: what the restored tablespace had before the
/// newest incremental backup is gone, and nothing says so.
#[test]
fn incremental_restored_at_a_passive_node_silently_loses_rows() {
    let lab = Lab::new();
    let scenario = scenario::incrementals();
    let (_sshd, site) = passive_node(&lab, scenario);
    let restore = Restore {
        barman: &site.barman,
        release: PostgresRelease::Seventeen,
        backup: &scenario.backups[2],
        timeline: "latest",
        wals: Wals::Copied,
    };
    let postgres = restore.start(&lab.join("without-links"));
    assert!(!chapters(&postgres).contains(&"opened".to_owned()));
    drop(postgres);

    for id in &scenario.backups {
        link_tablespace(&site.barman, id);
    }
    let postgres = restore.start(&lab.join("with-links"));
    assert_eq!(chapters(&postgres), scenario.chapters);
}

/// Makes the link that a passive node's copy of a backup lacks, absolute as
/// `pg_basebackup` makes it: `pg_combinebackup` refuses a relative one.
fn link_tablespace(barman: &Barman, id: &str) {
    let base = barman.server_directory().join("base").join(id);
    let link = base.join("data/pg_tblspc").join(TABLESPACE_OID);
    symlink(base.join(TABLESPACE_OID), &link).expect("link the tablespace");
    ACCOUNT.own(&link);
}

#[test]
fn a_banner_breaks_sync_info_for_a_passive_node() {
    let lab = Lab::new();
    let manners = Manners { banner: "Welcome to frankfurt!\n".to_owned(), has_shell: true, ..Manners::default() };
    let primary = &scenario::two_timelines().primary;
    let sshd = Sshd::start_with(&lab.join("sshd"), &primary.barman, &manners);
    let site = Site::new(&lab, BarmanVersion::Newest, primary, &sshd);

    let refused = site.barman.run(&["sync-info", "--primary", SERVER]);
    assert_eq!(refused.code(), 1, "{refused}");
}

//! Passive nodes that Barman itself made are taken over, and what it left wrong is mended.

use std::fs;

use crate::barman::{Barman, SERVER};
use crate::catalog_compare::assert_same_told;
use crate::converge::{empty_site, identities, site_file};
use crate::empty_site::{assert_only_reads, assert_restores_both_timelines};
use crate::ground::Lab;
use crate::passive::{passive_node, passive_node_of};
use crate::restore::{Restore, Wals};
use crate::scenario::{self, Scenario, chapters};
use crate::site::Site;
use crate::tools::PostgresRelease;

/// Brings a passive node under the program's care; none of its files is written anew. Returns the plan.
#[track_caller]
fn take_over(site: &Site) -> String {
    let bases = site.barman.server_directory().join("base");
    let before = identities(&bases);
    let plan = site.converge();
    assert!(!plan.contains("+ backup 2"), "{plan}");
    assert_eq!(identities(&bases), before, "{plan}");
    plan
}

#[test]
fn doubled_xlogdb_lines_are_mended_without_copying_a_backup() {
    let plan = mends_without_copying(scenario::two_timelines());
    assert!(plan.contains("~ xlog.db") && plan.contains("doubled"), "{plan}");
    assert!(plan.contains("+ keep"), "{plan}");
}

/// Barman 3.12.1 doubles no lines, and copies keep annotations with the base.
#[test]
fn a_passive_node_with_legacy_layout_is_mended_without_copying_a_backup() {
    let plan = mends_without_copying(scenario::legacy_layout());
    assert!(plan.contains("~ tablespaces") && plan.contains("`backup_label` was encoded twice"), "{plan}");
}

#[track_caller]
fn mends_without_copying(scenario: &Scenario) -> String {
    let lab = Lab::new();
    let (sshd, site) = passive_node(&lab, scenario);
    site.declare(&site_file(&site, &sshd));
    let plan = take_over(&site);
    assert_same_told(&scenario.primary.barman, &site.barman);
    for id in &scenario.backups {
        site.barman.expect(&["verify-backup", SERVER, id]);
    }
    assert_restores_both_timelines(&lab, scenario, site.judge());
    plan
}

#[test]
fn history_files_missing_at_a_passive_node_are_fetched() {
    let lab = Lab::new();
    let scenario = scenario::two_timelines();
    let primary = scenario.primary.copy_to(&lab.join("primary"));
    let timeline_2 = scenario.forget_timeline_1(&primary.barman);
    let (sshd, site) = passive_node_of(&lab, &primary, std::slice::from_ref(&timeline_2));
    let history = "wals/00000002.history";
    assert!(!site.barman.server_directory().join(history).exists());

    site.declare(&site_file(&site, &sshd));
    let plan = take_over(&site);
    assert!(plan.contains("+ history"), "{plan}");
    assert_eq!(
        fs::read(site.barman.server_directory().join(history)).expect("read the history file here"),
        fs::read(primary.barman.server_directory().join(history)).expect("read the primary's")
    );
    assert_same_told(&primary.barman, &site.barman);
    assert_only_from(&site.barman, &timeline_2);
    let restore = Restore::newest(site.judge(), &timeline_2);
    assert_eq!(chapters(&restore.start(&lab.join("restored"))), scenario.chapters);
}

#[track_caller]
fn assert_only_from(barman: &Barman, id: &str) {
    assert_eq!(barman.backup_ids(), [id]);
}

#[test]
fn incrementals_that_broke_the_passives_catalog_are_mended() {
    let lab = Lab::new();
    let scenario = scenario::incrementals();
    let (sshd, site) = passive_node(&lab, scenario);
    site.declare(&site_file(&site, &sshd));
    let plan = take_over(&site);
    assert!(plan.contains("children_backup_ids"), "{plan}");
    assert_eq!(site.barman.backup_field(&scenario.backups[0], "children_backup_ids"), scenario.backups[1]);
    assert_same_told(&scenario.primary.barman, &site.barman);

    let restore = Restore {
        barman: site.judge(),
        release: PostgresRelease::Seventeen,
        backup: &scenario.backups[2],
        timeline: "latest",
        wals: Wals::Copied,
    };
    assert_eq!(chapters(&restore.start(&lab.join("restored"))), scenario.chapters);
}

/// Makes a published backup look as Barman leaves one whose copy was interrupted.
fn interrupt(site: &Site, id: &str) {
    let info = site.barman.backup_info(id);
    let text = fs::read_to_string(&info).expect("read a backup.info");
    fs::write(&info, text.replace("status=DONE", "status=SYNCING")).expect("write a backup.info");
    fs::remove_dir_all(site.base(id).join("data/base")).expect("remove half of a backup");
}

#[test]
fn an_interrupted_copy_of_barman_is_adopted() {
    let lab = Lab::new();
    let scenario = scenario::two_timelines();
    let (sshd, site) = passive_node(&lab, scenario);
    let id = &scenario.backups[1];
    interrupt(&site, id);
    let before = identities(&site.base(id));

    site.declare(&site_file(&site, &sshd));
    let plan = site.converge();
    assert_eq!(plan.matches("+ backup 2").count(), 1, "{plan}");
    assert!(plan.contains(&format!("+ backup {id}")) && plan.contains("SYNCING"), "{plan}");
    let after = identities(&site.base(id));
    assert!(before.iter().all(|(path, identity)| after.get(path) == Some(identity)));
    assert!(after.len() > before.len());
    assert_same_told(&scenario.primary.barman, &site.barman);
    site.barman.expect(&["verify-backup", SERVER, id]);
}

#[test]
fn syncing_zombies_of_backups_gone_at_the_primary_are_cleaned_up() {
    let lab = Lab::new();
    let scenario = scenario::two_timelines();
    let primary = scenario.primary.copy_to(&lab.join("primary"));
    let (sshd, site) = passive_node_of(&lab, &primary, &scenario.backups);
    let id = &scenario.backups[1];
    interrupt(&site, id);
    primary.barman.expect(&["delete", SERVER, id]);

    site.declare(&site_file(&site, &sshd));
    let plan = site.converge();
    assert!(plan.contains(&format!("- backup {id}")), "{plan}");
    assert!(!site.base(id).exists());
    assert_same_told(&primary.barman, &site.barman);
}

#[test]
fn an_empty_sync_wals_info_is_rebuilt() {
    let lab = Lab::new();
    let primary = &scenario::two_timelines().primary;
    let (sshd, site) = empty_site(&lab, primary, primary.barman.version);
    site.apply();
    let info = site.barman.server_directory().join("wals/sync-wals.info");
    let written = fs::read(&info).expect("read sync-wals.info");
    fs::write(&info, "").expect("empty sync-wals.info");

    let plan = site.converge();
    assert!(plan.contains("sync-wals.info"), "{plan}");
    assert_eq!(fs::read(&info).expect("read sync-wals.info"), written);
    assert_only_reads(&sshd);
}

//! The way back: Barman's own passive node goes on from what Antipode wrote,
//! or lives beside it.

use std::fs;

use crate::barman::SERVER;
use crate::converge::{contents, filled_site};
use crate::empty_site::assert_restores_both_timelines;
use crate::ground::Lab;
use crate::scenario::{self, Scenario};

#[test]
fn barmans_own_cron_finds_nothing_to_do() {
    finds_nothing_to_do(scenario::two_timelines());
}

#[test]
fn barmans_own_cron_with_legacy_layout_finds_nothing_to_do() {
    finds_nothing_to_do(scenario::legacy_layout());
}

#[test]
fn barmans_own_cron_finds_nothing_to_do_among_incrementals() {
    finds_nothing_to_do(scenario::incrementals());
}

fn finds_nothing_to_do(scenario: &Scenario) {
    let lab = Lab::new();
    let (_sshd, site) = filled_site(&lab, &scenario.primary, scenario.primary.barman.version);
    let before = contents(site.catalog());
    for _ in 0..2 {
        let cron = site.barman.run(&["cron"]);
        assert_eq!(cron.code(), 0, "{cron}");
        assert!(cron.stdout.contains("No WAL synchronisation required for server main"), "{cron}");
        // What it would say before it starts a copy.
        assert!(!cron.stdout.contains("Start"), "{cron}");
        assert!(!cron.stderr.contains("ERROR") && !cron.stderr.contains("WARNING"), "{cron}");
    }
    let after = contents(site.catalog());
    let appeared: Vec<_> = after.keys().filter(|path| !before.contains_key(*path)).collect();
    assert!(appeared.is_empty(), "{appeared:?}");
    for (path, content) in &before {
        assert!(after.get(path) == Some(content), "Barman's cron has changed {}", path.display());
    }
    let log = fs::read_to_string(format!("{}.log", site.barman.config.display())).unwrap_or_default();
    assert!(!log.contains(" ERROR") && !log.contains(" WARNING") && !log.contains("Traceback"), "{log}");
    site.expect_no_changes();
}

#[test]
fn a_server_that_is_not_active_here_is_listed_restored_and_deleted() {
    let lab = Lab::new();
    let scenario = scenario::two_timelines();
    let (_sshd, site) = filled_site(&lab, &scenario.primary, scenario.primary.barman.version);
    let barman = &site.coexisting;
    let cron = barman.expect(&["cron"]);
    assert!(cron.contains("Skipping inactive server 'main'"), "{cron}");
    let listed = barman.expect(&["list-backups", SERVER]);
    for id in &scenario.backups {
        assert!(listed.contains(id), "{listed}");
        barman.expect(&["show-backup", SERVER, id]);
    }
    assert_restores_both_timelines(&lab, scenario, barman);

    let gone = &scenario.backups[1];
    barman.expect(&["delete", SERVER, gone]);
    assert_eq!(barman.backup_ids(), [scenario.backups[0].clone(), scenario.backups[2].clone()]);
    let plan = site.converge();
    assert!(plan.contains(&format!("+ backup {gone}")), "{plan}");
    assert_eq!(barman.backup_ids(), scenario.backups);
}

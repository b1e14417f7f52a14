//! The way over from Barman's passive node and back, step by step as docs/from-barman.md has it.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use crate::account::ACCOUNT;
use crate::antipode::antipode;
use crate::barman::{Barman, SERVER};
use crate::catalog_compare::{differing_files, told_by};
use crate::converge::{contents, empty_site, filled_site, site_file};
use crate::ground::Lab;
use crate::passive::passive_node_of;
use crate::primary::Primary;
use crate::process::{Finished, wait_until};
use crate::restore::Restore;
use crate::scenario::{self, Scenario, chapters};
use crate::site::Site;
use crate::sshd::{Manners, Sshd};
use crate::tools::BarmanVersion;

/// Runs `antipode ARGUMENTS` at a site; it must succeed.
#[track_caller]
fn expect(site: &Site, arguments: &[&str]) -> Finished {
    let finished = antipode(&site.directory, arguments);
    assert_eq!(finished.code(), 0, "{finished}");
    finished
}

/// Has a site file written from the barman.conf of Barman's passive node.
#[track_caller]
fn init(site: &Site) {
    let conf = site.barman.config.display().to_string();
    let written = expect(site, &["init", "--from-barman-conf", &conf]);
    assert!(written.stderr.contains("antipode plan"), "{written}");
    expect(site, &["validate"]);
    let again = antipode(&site.directory, &["init", "--from-barman-conf", &conf]);
    assert!(again.code() == 1 && again.stderr.contains("antipode.yaml is there already"), "{again}");
}

/// The ids of the backups that a plan adds.
fn added(plan: &str) -> BTreeSet<String> {
    let ids = plan.lines().filter_map(|line| line.trim_start().strip_prefix("+ backup "));
    ids.filter_map(|rest| rest.split_whitespace().next()).map(str::to_owned).collect()
}

/// Runs Barman's passive cron until it has nothing to do.
#[track_caller]
fn run_cron_to_the_end(barman: &Barman, backups: &[String]) {
    wait_until("Barman's cron has nothing to do", || {
        let cron = barman.expect(&["cron"]);
        let is_done = cron.contains("No WAL synchronisation required") && !cron.contains("Start");
        is_done && barman.backup_ids() == backups
    });
}

#[test]
fn a_site_file_from_barman_conf_plans_what_barmans_cron_brings() {
    let scenario = scenario::two_timelines();
    let (theirs, ours) = (Lab::new(), Lab::new());
    let site_of = |lab: &Lab| {
        let sshd = Sshd::start_with(
            &lab.join("sshd"),
            &scenario.primary.barman,
            &Manners { has_shell: true, ..Manners::default() },
        );
        let mut site = Site::new(lab, BarmanVersion::Newest, &scenario.primary, &sshd);
        // Without it sync-wals refuses: "does not match local compression method".
        site.barman.set("compression", "gzip");
        (sshd, site)
    };
    let (_their_sshd, passive) = site_of(&theirs);
    run_cron_to_the_end(&passive.barman, &scenario.backups);
    let (_our_sshd, site) = site_of(&ours);
    init(&site);
    let plan = site.expect_changes();
    assert_eq!(added(&plan), passive.barman.backup_ids().into_iter().collect(), "{plan}");
    site.apply();
    site.expect_no_changes();
    assert_eq!(told_by(&site.barman).wals, told_by(&passive.barman).wals);
    let none: [String; 0] = [];
    assert_eq!(differing_files(&passive.barman, &site.barman), none);
    // And back: the barman.conf as it was.
    let cron = site.barman.expect(&["cron"]);
    assert!(cron.contains("No WAL synchronisation required") && !cron.contains("Start"), "{cron}");

    // Where Barman has been all along, no backup is left to add.
    init(&passive);
    let plan = passive.expect_changes();
    assert_eq!(added(&plan), BTreeSet::new(), "{plan}");
}

#[test]
fn the_newest_barman_lists_and_restores_by_the_written_section() {
    lists_and_restores(scenario::two_timelines());
}

#[test]
fn a_barman_that_hides_inactive_servers_lists_and_restores_by_the_written_section() {
    lists_and_restores(scenario::legacy_layout());
}

#[test]
fn an_old_barman_lists_and_restores_by_the_written_section() {
    lists_and_restores(scenario::oldest_barman());
}

fn lists_and_restores(scenario: &Scenario) {
    let lab = Lab::new();
    let (sshd, site) = filled_site(&lab, &scenario.primary, scenario.primary.barman.version);
    let barman = only_includes(&site);
    declare(&site, &site_file(&site, &sshd), &barman);
    let plan = site.expect_no_changes();
    assert!(plan.contains("has no section for this server") && plan.contains("--write"), "{plan}");

    let directory = site.directory.join("conf.d");
    let written = expect(&site, &["barman-conf", "--write", "conf.d"]);
    assert_eq!(written.stdout, "conf.d/main.conf: written\n", "{written}");
    assert_eq!(written.stderr, "", "{written}");
    let again = expect(&site, &["barman-conf", "--write", "conf.d"]);
    assert_eq!(again.stdout, "conf.d/main.conf: unchanged\n", "{again}");
    let section = fs::read_to_string(directory.join("main.conf")).expect("read the section");
    assert_eq!(expect(&site, &["barman-conf"]).stdout, section);
    assert!(section.contains("compression = gzip"), "{section}");
    let plan = site.expect_no_changes();
    assert!(!plan.contains("warning"), "{plan}");

    assert_barman_reads(&barman, &scenario.backups);
    assert_cron_rests(&site, &barman);
    let restore = Restore::newest(&barman, "latest");
    assert_eq!(chapters(&restore.start(&lab.join("restored"))), scenario.chapters);
}

/// A primary on a path has no ssh command; the section says enough without one.
#[test]
fn a_section_without_a_way_to_the_primary_is_read_by_every_barman() {
    for scenario in [scenario::two_timelines(), scenario::legacy_layout()] {
        let lab = Lab::new();
        let primary: &Primary = &scenario.primary;
        let (sshd, site) = empty_site(&lab, primary, primary.barman.version);
        let barman = only_includes(&site);
        let file = site_file(&site, &sshd);
        let file = file.replace(
            &format!("ssh_command: {}", sshd.command_line()),
            &format!("path: {}", primary.barman.home.display()),
        );
        declare(&site, &file, &barman);
        site.apply();
        expect(&site, &["barman-conf", "--write", "conf.d"]);
        assert_barman_reads(&barman, &scenario.backups);
        assert_cron_rests(&site, &barman);
    }
}

/// A barman.conf of the site that has no server but those of `conf.d`.
fn only_includes(site: &Site) -> Barman {
    let directory = ACCOUNT.make_directory(&site.directory.join("conf.d"));
    let mut barman = site.barman.clone();
    barman.config = site.directory.join("main.conf");
    let text = format!(
        "[barman]\nbarman_home = {home}\nbarman_user = {user}\nlog_file = {config}.log\nlog_level = INFO\n\
         retention_policy = REDUNDANCY 1\nconfiguration_files_directory = {directory}\n",
        home = barman.home.display(),
        user = ACCOUNT.name,
        config = barman.config.display(),
        directory = directory.display(),
    );
    ACCOUNT.write(&barman.config, text);
    barman
}

/// Declares the site with another barman.conf.
fn declare(site: &Site, file: &str, barman: &Barman) {
    let config = |path: &Path| format!("config: {}", path.display());
    site.declare(&file.replace(&config(&site.coexisting.config), &config(&barman.config)));
}

#[track_caller]
fn assert_barman_reads(barman: &Barman, backups: &[String]) {
    assert_eq!(barman.backup_ids(), backups);
    for id in backups {
        let shown = barman.expect(&["show-backup", SERVER, id]);
        assert!(shown.contains("DONE"), "{shown}");
    }
    let check = barman.expect(&["check", SERVER]);
    assert!(!check.contains("FAILED"), "{check}");
    assert!(barman.expect(&["list-server"]).contains("kept by antipode"));
}

/// Barman's cron neither copies nor deletes, although its barman.conf has a retention policy for all servers.
#[track_caller]
fn assert_cron_rests(site: &Site, barman: &Barman) {
    let before = contents(site.catalog());
    for _ in 0..2 {
        let cron = barman.run(&["cron"]);
        assert!(cron.code() == 0 && !cron.stderr.contains("ERROR") && !cron.stdout.contains("Start"), "{cron}");
    }
    assert!(contents(site.catalog()) == before);
}

/// The site of a passive node whose barman.conf deletes: the same is neither copied nor kept.
#[test]
fn a_retention_policy_of_barman_is_kept() {
    let lab = Lab::new();
    let scenario = scenario::two_timelines();
    let primary = scenario.primary.copy_to(&lab.join("primary"));
    // Barman's passive node does not know of an annotation and deletes what is kept; Antipode does not.
    primary.barman.expect(&["keep", "--release", SERVER, scenario.kept_backup()]);
    let (_sshd, mut site) = passive_node_of(&lab, &primary, &scenario.backups);
    site.barman.set("retention_policy", "REDUNDANCY 1");
    site.barman.set("minimum_redundancy", "2");
    init(&site);
    let plan = site.expect_changes();
    let pruned: Vec<&str> = plan.lines().filter(|line| line.trim_start().starts_with("- backup 2")).collect();
    let cron = site.barman.run(&["cron"]);
    let left = site.barman.backup_ids();
    let gone: Vec<&String> = scenario.backups.iter().filter(|id| !left.contains(id)).collect();
    assert_eq!(pruned.len(), gone.len(), "{plan}\n{cron}\nleft: {left:?}");
    assert!(gone.iter().all(|id| pruned.iter().any(|line| line.contains(id.as_str()))), "{plan}\n{cron}");
}

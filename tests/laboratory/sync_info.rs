//! Antipode's own `sync-info` and `list-servers` against Barman's, and in Barman's place at a primary.

use std::fs;
use std::path::Path;

use serde_json::Value;

use crate::account::ACCOUNT;
use crate::antipode;
use crate::barman::{Barman, PASSWORD, SERVER};
use crate::converge::{empty_site, filled_site, site_file};
use crate::ground::Lab;
use crate::passive::synchronise;
use crate::process::{Finished, run};
use crate::scenario::{self, Scenario};
use crate::site::Site;
use crate::sshd::{Manners, Sshd};

/// The program under test where this Barman is installed, with its barman.conf.
fn own(barman: &Barman, arguments: &[&str]) -> Finished {
    let mut command = antipode::command(Path::new("/"), &["-c", &barman.config.display().to_string()]);
    command.env("PATH", format!("{}:/usr/bin:/bin", barman.version.programs().display())).args(arguments);
    run(&mut command)
}

/// Asks both, and compares what they print and how they end.
#[track_caller]
fn assert_same_answer(barman: &Barman, arguments: &[&str]) -> Finished {
    let (theirs, ours) = (barman.run(arguments), own(barman, arguments));
    assert_eq!(ours.code(), theirs.code(), "{ours}\n{theirs}");
    match (serde_json::from_str::<Value>(&theirs.stdout), serde_json::from_str::<Value>(&ours.stdout)) {
        (Ok(theirs), Ok(ours)) => assert_same_json(&redacted(theirs), &ours),
        _ => assert_eq!(ours.stdout, theirs.stdout),
    }
    let message = theirs.stderr.lines().find_map(|line| line.strip_prefix("ERROR: ")).unwrap_or_default();
    assert!(ours.stderr.contains(&message.replace("  ", " ")), "{ours}\n{theirs}");
    assert!(!format!("{ours}").contains(PASSWORD), "{ours}");
    ours
}

#[track_caller]
fn assert_same_json(theirs: &Value, ours: &Value) {
    for key in theirs.as_object().expect("an object").keys().chain(ours.as_object().expect("an object").keys()) {
        if let (Some(Value::Object(_)), Some(Value::Object(_))) = (theirs.get(key), ours.get(key)) {
            assert_same_json(&theirs[key], &ours[key]);
        } else {
            assert_eq!(ours.get(key), theirs.get(key), "{key}");
        }
    }
}

/// Barman's answer without its passwords.
fn redacted(mut answer: Value) -> Value {
    for value in answer["config"].as_object_mut().expect("config").values_mut() {
        if let Value::String(text) = value {
            *text = text.replace(&format!("password={PASSWORD}"), "password=***");
        }
    }
    answer
}

/// A file of the archive, and where its line begins.
fn line(barman: &Barman, number: usize) -> (String, String) {
    let text = fs::read_to_string(barman.xlogdb()).expect("read xlog.db");
    let position: usize = text.lines().take(number).map(|line| line.len() + 1).sum();
    (barman.xlogdb_names()[number].clone(), position.to_string())
}

fn answers_as_barman(scenario: &Scenario) {
    let barman = &scenario.primary.barman;
    assert_same_answer(barman, &["sync-info", SERVER]);
    let (third, position) = line(barman, 2);
    assert_same_answer(barman, &["sync-info", SERVER, &third, &position]);
    assert_same_answer(barman, &["sync-info", SERVER, &third, "7"]);
}

#[test]
fn answers_are_those_of_the_newest_barman() {
    let scenario = scenario::two_timelines();
    answers_as_barman(scenario);
    let barman = &scenario.primary.barman;
    let (last, position) = line(barman, barman.xlogdb_names().len() - 1);
    for arguments in [
        &["sync-info", SERVER, &last][..],
        &["sync-info", SERVER, &last, &position],
        &["sync-info", SERVER, "000000010000000000000000"],
        &["sync-info", SERVER, "0000000F0000000000000000"],
        &["sync-info", SERVER, &last, "0"],
        &["sync-info", SERVER, &last, "-5"],
        &["sync-info", SERVER, &last, "x"],
        &["sync-info", "nosuch"],
        &["sync-info", "all"],
        &["list-servers"],
        &["list-servers", "--minimal"],
    ] {
        assert_same_answer(barman, arguments);
    }
}

#[test]
fn answers_are_those_of_older_barmans() {
    answers_as_barman(scenario::legacy_layout());
    answers_as_barman(scenario::oldest_barman());
}

#[test]
fn answers_about_incremental_backups_are_those_of_barman() {
    answers_as_barman(scenario::incrementals());
}

#[test]
fn settings_and_marks_are_those_of_each_barman() {
    let lab = Lab::new();
    for scenario in [scenario::two_timelines(), scenario::legacy_layout(), scenario::oldest_barman()] {
        let version = scenario.primary.barman.version;
        let home = lab.directory(version.number());
        let barman = Barman::configure(version, &home, &home.join("barman.conf"), []);
        let conf = format!(
            "[barman]\nbarman_home = {home}\nbarman_user = {user}\nlog_file = {home}/log\nparallel_jobs = 4\n\
             retention_policy = recovery window of 4 weeks\nlast_backup_maximum_age = 36 HOURS\n\
             [{SERVER}]\ndescription = of \"zürich\"\nconninfo = host=x password={PASSWORD}\nbackup_method = rsync\n\
             backup_options = concurrent_backup\nssh_command = ssh a@b\narchiver = on\nreuse_backup = link\n\
             minimum_redundancy = 2\nbandwidth_limit = 100\ntablespace_bandwidth_limit = a:1 b:2\nparallel_jobs = x\n\
             errors_directory = {home}/bad\nlast_backup_minimum_size = 5Mi\npre_backup_script = echo hello\n\
             [away]\nactive = off\nprimary_ssh_command = ssh a@b\n\
             [copy]\ndescription = a copy\nprimary_ssh_command = ssh a@b\n\
             [lame]\nbackup_method = postgres\narchiver = on\n",
            home = home.display(),
            user = ACCOUNT.name,
        );
        ACCOUNT.write(&barman.config, conf);
        for arguments in [
            &["sync-info", SERVER][..],
            &["sync-info", "away"],
            &["sync-info", "copy"],
            &["sync-info", "lame"],
            &["list-servers"],
        ] {
            assert_same_answer(&barman, arguments);
        }
    }
}

#[test]
fn a_site_answers_for_its_copies() {
    let lab = Lab::new();
    let scenario = scenario::two_timelines();
    let (_sshd, site) = filled_site(&lab, &scenario.primary, scenario.primary.barman.version);
    assert_same_answer(&site.barman, &["sync-info", SERVER]);
    // Barman says nothing of a server that it is to leave alone.
    assert_eq!(site.coexisting.expect(&["sync-info", SERVER]), "Skipping inactive server 'main'\n");
    let ours = |barman| serde_json::from_str::<Value>(&own(barman, &["sync-info", SERVER]).stdout).expect("JSON");
    let (kept, active) = (ours(&site.coexisting), ours(&site.barman));
    assert_eq!(kept["config"]["active"], false);
    for key in ["backups", "wals", "last_name", "last_position", "version"] {
        assert_eq!(kept[key], active[key], "{key}");
    }
    fs::remove_file(site.barman.xlogdb()).expect("remove xlog.db");
    // Ours does not write the file anew, and so is asked first.
    let ours = own(&site.barman, &["sync-info", SERVER]);
    assert!(!site.barman.xlogdb().exists());
    let theirs: Value = site.barman.sync_info();
    assert_same_json(&theirs, &serde_json::from_str(&ours.stdout).expect("JSON"));
    ACCOUNT.write(&site.barman.xlogdb(), "");
    assert_same_answer(&site.barman, &["sync-info", SERVER, "000000010000000000000002"]);
    ACCOUNT.write(&site.barman.xlogdb(), "junk\n");
    assert_same_answer(&site.barman, &["sync-info", SERVER]);
}

/// Puts the program under test in Barman's place, for those who log in.
pub fn replace_barman(sshd_directory: &Path, barman: &Barman, name: &str) {
    let bin = sshd_directory.join("bin");
    fs::remove_file(bin.join("barman")).expect("remove Barman");
    let program = antipode::program_path();
    let script = format!("#!/bin/sh\nexec {} -c {} \"$@\"\n", program.display(), barman.config.display());
    ACCOUNT.write_program(&bin.join(name), script);
}

/// A plan without the room that there is at the site, which others use as well.
fn without_room(plan: &str) -> String {
    plan.lines()
        .map(|line| line.split_once("; ").filter(|_| line.starts_with("Copies")).map_or(line, |(copies, _)| copies))
        .collect::<Vec<_>>()
        .join("\n")
}

#[test]
fn a_site_has_the_same_plan_from_a_primary_without_barman() {
    let lab = Lab::new();
    let primary = &scenario::two_timelines().primary;
    let (sshd, site) = empty_site(&lab, primary, primary.barman.version);
    let plan = without_room(&site.expect_changes());
    replace_barman(&lab.join("sshd"), &primary.barman, "antipode");
    let declared =
        site_file(&site, &sshd).replace("    ssh_command", "    barman: {command: antipode}\n    ssh_command");
    site.declare(&declared);
    assert_eq!(without_room(&site.expect_changes()), plan);
    site.converge();
    // As a mirror, which asks for the servers.
    let (before, _) = declared.split_once("replicas:").expect("replicas");
    site.declare(&format!("{before}mirrors:\n  - primary: frankfurt\n"));
    site.expect_no_changes();
    // And the answer of the primary, as it came.
    let asked = antipode::antipode(&site.directory, &["sync-info", "--primary", SERVER]);
    let answer: Value = serde_json::from_str(&asked.expect_success()).expect("JSON");
    assert_eq!(answer["backups"].as_object().map(serde_json::Map::len), Some(3));
}

#[test]
fn barmans_passive_node_copies_from_a_primary_without_barman() {
    let lab = Lab::new();
    let scenario = scenario::two_timelines();
    let primary = &scenario.primary;
    let sshd = Sshd::start_with(&lab.join("sshd"), &primary.barman, &Manners { has_shell: true, ..Manners::default() });
    replace_barman(&lab.join("sshd"), &primary.barman, "barman");
    let mut site = Site::new(&lab, primary.barman.version, primary, &sshd);
    site.barman.set("compression", "gzip");
    synchronise(&site, &scenario.backups);
    assert_eq!(site.barman.backup_ids(), scenario.backups);
    for id in &scenario.backups {
        assert_eq!(site.barman.backup_field(id, "status"), "DONE");
    }
    let cron = site.barman.expect(&["cron"]);
    assert!(cron.contains("No WAL synchronisation required"), "{cron}");
}

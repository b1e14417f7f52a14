//! Drills at a site with what real programs wrote: what is good is proved, and what is not is found and named.

use std::fs;
use std::path::Path;

use rustix::process::Signal;
use serde_json::Value;

use crate::antipode::{antipode, start};
use crate::barman::SERVER;
use crate::converge::{contents, filled_site};
use crate::ground::Lab;
use crate::process::{program, run, wait_until};
use crate::scenario::{self, Scenario};
use crate::site::Site;
use crate::sshd::Sshd;
use crate::tools::{BarmanVersion, PostgresRelease};

const CHAPTERS: &str = "select string_agg(chapter, ',' order by first) from (select chapter, min(ctid) as first from ledger \
                        group by chapter) chapters";

/// A site that has everything of a scenario, and asks its drills for the chapters.
fn site_of(lab: &Lab, scenario: &Scenario) -> (Sshd, Site) {
    let (sshd, site) = filled_site(lab, &scenario.primary, BarmanVersion::Newest);
    declare(&site, &sshd, scenario, &scenario.chapters);
    (sshd, site)
}

pub fn declare(site: &Site, sshd: &Sshd, scenario: &Scenario, chapters: &[&str]) {
    let bin_dir = format!("  bin_dir: {}", scenario.primary.cluster.release.programs().display());
    let check = format!("  checks: [{{sql: \"{CHAPTERS}\", expect: \"{}\"}}]", chapters.join(","));
    site.declare_with(sshd, &["drill:", &bin_dir, &check]);
}

/// The exit code of a drill, and what it says as JSON.
#[track_caller]
pub fn drill(site: &Site, more: &[&str]) -> (i32, Value) {
    site.drill(more)
}

impl Site {
    #[track_caller]
    fn drill(&self, more: &[&str]) -> (i32, Value) {
        let drilled = antipode(&self.directory, &[&["drill", SERVER, "--format", "json"], more].concat());
        let told: Value = serde_json::from_str(&drilled.stdout).unwrap_or_else(|_| panic!("{drilled}"));
        // Whatever it came to, nothing is left of it.
        let left = fs::read_dir(self.catalog().join(".antipode/drill")).expect("list what is left");
        let left: Vec<_> = left.map(|entry| entry.expect("an entry").file_name()).collect();
        assert_eq!(left, ["lock"], "{drilled}");
        assert_eq!(told["errors"], serde_json::json!([]), "{drilled}");
        (drilled.code(), told["drills"][0].clone())
    }

    /// One that proves everything.
    #[track_caller]
    fn drill_well(&self, more: &[&str]) -> Value {
        let (code, drill) = self.drill(more);
        assert_eq!((code, &drill["verdict"]), (0, &"proved".into()), "{more:?}: {drill:#}");
        drill
    }
}

/// How many drills are made of each sort: in the long mode as many as somebody says.
fn rounds(usual: usize) -> usize {
    std::env::var("ANTIPODE_DRILLS").ok().and_then(|said| said.parse().ok()).unwrap_or(usual)
}

/// What each step came to: `recovery proved`.
fn steps(drill: &Value) -> Vec<String> {
    let steps = drill["steps"].as_array().expect("steps");
    let text = |step: &Value| format!("{} {}", step["what"].as_str().unwrap(), step["verdict"].as_str().unwrap_or("-"));
    steps.iter().map(text).collect()
}

const ALL_PROVED: [&str; 7] = [
    "way proved",
    "files proved",
    "recovery proved",
    "databases proved",
    "relations proved",
    "check proved",
    "pages proved",
];

#[test]
fn what_is_good_is_proved_to_every_point_and_the_catalog_stays_as_it_is() {
    let lab = Lab::new();
    let scenario = scenario::two_timelines();
    let (sshd, site) = site_of(&lab, scenario);
    let before = contents(site.catalog());
    let drill = site.drill_well(&["--point", "newest"]);
    assert_eq!(steps(&drill), ALL_PROVED, "{drill:#}");
    assert_eq!((&drill["aim"]["timeline"], &drill["aim"]["release"]), (&2.into(), &"15".into()), "{drill:#}");
    assert!(drill["databases"].as_array().unwrap().len() >= 3 && drill["pace"]["segments"].as_u64() > Some(0));
    // An answer that is another than the one that is known.
    declare(&site, &sshd, scenario, &scenario.chapters_of_timeline_1);
    let (code, drill) = site.drill(&["--point", "newest", "--backup", &scenario.backups[0]]);
    assert_eq!((code, &drill["verdict"], &drill["steps"][5]["verdict"]), (2, &"disproved".into(), &"disproved".into()));
    assert!(drill["steps"][5]["told"].as_str().unwrap().ends_with("got opened,uncompressed,compressed,after failover"));
    // At a random point other chapters are there than at the end.
    site.declare_with(&sshd, &["drill: {checks: [{sql: select count(*) > 0 from ledger, expect: t}]}"]);
    for _ in 0..rounds(3) {
        let drill = site.drill_well(&["--point", "random"]);
        assert_eq!(drill["point"], "random");
    }
    assert_eq!(contents(site.catalog()), before);
    let history = antipode(&site.directory, &["history", "--format", "json"]);
    let history: Value = serde_json::from_str(&history.stdout).expect("JSON");
    assert_eq!(
        (&history["runs"][0]["by"]["command"], &history["runs"][0]["replicas"][0]["outcome"]),
        (&"drill".into(), &"done".into())
    );
}

#[test]
fn incremental_backups_of_postgresql_17_are_put_together_and_proved() {
    let lab = Lab::new();
    let scenario = scenario::incrementals();
    let (sshd, site) = site_of(&lab, scenario);
    let drill = site.drill_well(&["--point", "newest", "--backup", &scenario.backups[2]]);
    assert_eq!(
        (steps(&drill), drill["aim"]["backups"].as_array().unwrap().len()),
        (ALL_PROVED.map(str::to_owned).to_vec(), 3)
    );
    site.drill_well(&["--point", "newest"]);
    let bin_dir = format!("drill: {{bin_dir: {}}}", PostgresRelease::Seventeen.programs().display());
    site.declare_with(&sshd, &[&bin_dir]);
    for _ in 0..rounds(2) {
        site.drill_well(&["--point", "random"]);
    }
}

#[test]
fn what_could_not_be_tried_is_no_good_word() {
    let lab = Lab::new();
    let scenario = scenario::two_timelines();
    let (sshd, site) = site_of(&lab, scenario);
    let incremental = PostgresRelease::Seventeen.programs().display().to_string();
    let full = ["drill: {directory: /dev/shm}"];
    for (settings, arguments, said) in [
        (&[][..], &["--bin-dir", incremental.as_str()][..], "is PostgreSQL 17, and the backup is of 15"),
        (&["drill: {user: nobody}"], &[], "`drill.user` of the site file names"),
        (&["drill: {settings: {shared_preload_libraries: nothing_like_it}}"], &[], "is not installed on this host"),
        (
            &["drill: {max_time: 1s, checks: [{sql: select pg_sleep(60), expect: \"\"}]}"],
            &["--point", "newest"],
            "`drill.max_time` is over",
        ),
        (
            &["drill: {checks: [{sql: \"copy (select 1) to '/tmp/written-by-a-drill'\", expect: \"\"}]}"],
            &["--point", "newest"],
            "for writing: Permission denied",
        ),
        (&full, &["--point", "2020-01-01T00:00:00Z"], "every backup that is here ended after that point"),
        (&full, &["--backup", "20200101T000000"], "there is no backup 20200101T000000 here"),
    ] {
        site.declare_with(&sshd, settings);
        let (code, drill) = site.drill(arguments);
        assert_eq!((code, &drill["verdict"]), (1, &"not_run".into()), "{drill:#}");
        assert!(drill.to_string().contains(said), "{said}: {drill:#}");
    }
}

#[test]
fn a_drill_that_is_killed_takes_its_server_with_it_and_the_next_one_cleans_up() {
    let lab = Lab::new();
    let scenario = scenario::two_timelines();
    let (sshd, site) = site_of(&lab, scenario);
    site.declare_with(&sshd, &["drill: {checks: [{sql: select pg_sleep(600), expect: \"\"}]}"]);
    let mut killed = start(&site.directory, &["drill", "--point", "newest"]);
    let directory = site.catalog().join(".antipode/drill");
    let pid = || fs::read_to_string(directory.join("data/postmaster.pid")).ok();
    wait_until("the server of the drill is there", || pid().is_some_and(|pid| pid.contains("ready")));
    let pid = pid().unwrap().lines().next().unwrap().to_owned();
    killed.signal(Signal::KILL);
    killed.wait_for_end();
    wait_until("its server is gone", || !Path::new("/proc").join(&pid).exists());
    assert!(directory.join("data").exists());
    site.declare_with(&sshd, &[]);
    site.drill_well(&["--point", "newest"]);
}

#[test]
fn a_server_of_a_drill_has_no_address_and_reads_nothing_of_the_old_configuration() {
    let lab = Lab::new();
    let scenario = scenario::two_timelines();
    let (sshd, site) = site_of(&lab, scenario);
    let asked = "select string_agg(name || '=' || setting, ' ' order by name) from pg_settings where name in \
                 ('listen_addresses', 'archive_mode', 'primary_conninfo', 'shared_preload_libraries', 'shared_buffers', \
                 'max_logical_replication_workers', 'unix_socket_directories')";
    let expected = "archive_mode=off listen_addresses= max_logical_replication_workers=0 primary_conninfo= \
                    shared_buffers=16384 shared_preload_libraries= unix_socket_directories=.";
    site.declare_with(&sshd, &["drill:", "  checks:", &format!("  - {{sql: \"{asked}\", expect: \"{expected}\"}}")]);
    site.drill_well(&["--point", "newest"]);
}

#[test]
fn reports_are_signed_so_that_public_tools_prove_them() {
    let lab = Lab::new();
    let scenario = scenario::two_timelines();
    let (_sshd, site) = site_of(&lab, scenario);
    let reports = lab.directory("reports");
    let [key, public] = ["key", "key.pub"].map(|name| lab.directory("keys").join(name).display().to_string());
    let made = run(program("minisign").args(["-G", "-W", "-s", &key, "-p", &public]));
    assert!(made.status.success(), "{made}");
    site.drill_well(&["--point", "newest", "--reports", &reports.display().to_string(), "--sign-with", &key]);
    let mut names: Vec<String> = fs::read_dir(&reports)
        .expect("list the reports")
        .map(|entry| entry.expect("an entry").file_name().into_string().expect("a name"))
        .collect();
    names.sort();
    assert_eq!(names.len(), 6, "{names:?}");
    for name in names.iter().filter(|name| !name.ends_with(".minisig")) {
        let path = reports.join(name);
        let verify = || run(program("minisign").args(["-V", "-p", &public, "-m"]).arg(&path));
        assert!(verify().status.success(), "{}", verify());
        let text = fs::read_to_string(&path).expect("read a report");
        fs::write(&path, text.replacen("proved", "proven", 1)).expect("forge a report");
        assert!(!verify().status.success(), "{name} was forged");
    }
}

#[test]
fn whoever_keeps_the_site_makes_drills_by_itself_and_status_tells_of_them() {
    let lab = Lab::new();
    let scenario = scenario::two_timelines();
    let (sshd, site) = site_of(&lab, scenario);
    let check = "drill: {every: 1h, point: newest, checks: [{sql: select 1, expect: \"2\"}]}";
    site.declare_with(&sshd, &[check, "objective: {rto: 1h}"]);
    let status = || {
        let told = antipode(&site.directory, &["status", "--format", "json"]);
        let told: Value = serde_json::from_str(&told.stdout).expect("JSON");
        told["replicas"][0].clone()
    };
    assert_eq!(status()["drilled"], Value::Null);
    let mut keeper = start(&site.directory, &["run"]);
    keeper.wait_until("a drill disproves something", || status()["drilled"]["verdict"] == "disproved");
    assert_eq!(
        (&status()["verdict"], &status()["drilled"]["why"]),
        (&"objective missed".into(), &"select 1: expected 2, got 1".into())
    );
    keeper.signal(Signal::TERM);
    keeper.wait_for_end();
    assert!(keeper.log().contains("drill: disproved: check: select 1: expected 2, got 1"), "{}", keeper.log());
    site.declare_with(&sshd, &["drill: {point: newest}", "objective: {rto: 1h}"]);
    site.drill_well(&[]);
    let drilled = status()["drilled"].clone();
    assert_eq!(
        (&drilled["verdict"], &drilled["kept"], &status()["verdict"]),
        (&"proved".into(), &true.into(), &"in sync".into())
    );
    assert!(drilled["forecast_milliseconds"].as_u64() > Some(0), "{drilled}");
    let restored = antipode(&site.directory, &["restore", SERVER, "restored", "--print"]);
    assert!(
        restored.stdout.contains("until PostgreSQL takes connections, at the pace of the last drill"),
        "{restored}"
    );
}

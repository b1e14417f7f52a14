//! The file of `--metrics`, as commands really write it.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;

use crate::place::Place;
use crate::tools::{printed, promtool};

/// A place with a directory for the file.
struct Watched {
    place: Place,
    file: PathBuf,
}

impl Watched {
    fn new() -> Self {
        let place = Place::new();
        let directory = place.path("textfile");
        fs::create_dir(&directory).unwrap();
        Self { place, file: directory.join("lisbon.prom") }
    }

    fn run(&self, command: &str) -> (i32, String) {
        self.place.antipode(&format!("{command} --metrics {}", self.file.display()))
    }

    #[track_caller]
    fn succeed(&self, command: &str) {
        let (code, said) = self.run(command);
        assert_eq!(code, 0, "{command}: {said}");
    }

    /// What the file says, of which Prometheus' judge has nothing to say.
    #[track_caller]
    fn samples(&self) -> BTreeMap<String, f64> {
        let text = fs::read_to_string(&self.file).unwrap();
        let output = promtool(&["check", "metrics"], &text);
        assert!(output.status.success() && printed(&output).is_empty(), "{}\n{text}", printed(&output));
        let left: Vec<_> = fs::read_dir(self.file.parent().unwrap()).unwrap().map(|entry| entry.unwrap()).collect();
        assert_eq!(left.len(), 1, "{left:?}");
        let samples = text.lines().filter(|line| !line.starts_with('#')).map(|line| {
            let (sample, value) = line.rsplit_once(' ').unwrap();
            (sample.to_owned(), value.parse().unwrap())
        });
        samples.collect()
    }

    fn change_site_file(&self, from: &str, to: &str) {
        let path = self.place.path("antipode.yaml");
        let text = fs::read_to_string(&path).unwrap();
        assert!(text.contains(from));
        fs::write(&path, text.replace(from, to)).unwrap();
    }
}

const MAIN: &str = "site=\"lisbon\",replica=\"main\",primary=\"frankfurt\"";

/// A sample of a command's last run.
fn last(command: &str, result: &str) -> String {
    format!("antipode_last_run_result{{site=\"lisbon\",command=\"{command}\",result=\"{result}\"}}")
}

#[test]
fn a_site_is_told_as_it_stands_at_the_end_of_a_run_and_what_grows_goes_on() {
    let mut watched = Watched::new();
    let (code, _) = watched.run("status");
    assert_eq!(code, 2);
    let before = watched.samples();
    assert_eq!(before[&format!("antipode_replica_verdict{{{MAIN},verdict=\"not recoverable\"}}")], 1.0);
    assert_eq!(before[&last("status", "objective-missed")], 1.0);
    watched.succeed("apply --auto-approve");
    let first = watched.samples();
    assert_eq!(first[&format!("antipode_replica_verdict{{{MAIN},verdict=\"in sync\"}}")], 1.0);
    assert_eq!(first[&last("apply", "done")], 1.0);
    assert_eq!(first[&last("status", "objective-missed")], 1.0, "what a status told of itself stays");
    watched.place.second_day();
    watched.succeed("cron");
    let second = watched.samples();
    let copied = |samples: &BTreeMap<String, f64>| samples[&format!("antipode_replica_copied_bytes_total{{{MAIN}}}")];
    assert!(copied(&first) > 0.0 && copied(&second) > copied(&first), "{first:?} {second:?}");
    assert_eq!(second[&format!("antipode_replica_backups{{{MAIN},state=\"here\"}}")], 2.0);
    for (series, number) in [
        (format!("antipode_replica_applies_total{{{MAIN},result=\"done\"}}"), 2.0),
        (format!("antipode_replica_actions_total{{{MAIN},sort=\"backup\",verb=\"add\",result=\"done\"}}"), 2.0),
        ("antipode_stage_duration_seconds_count{site=\"lisbon\",stage=\"apply\"}".to_owned(), 2.0),
        ("antipode_stage_duration_seconds_count{site=\"lisbon\",stage=\"plan\"}".to_owned(), 2.0),
        (last("cron", "done"), 1.0),
    ] {
        assert_eq!(second[&series], number, "{series}");
    }
}

#[test]
fn everybody_may_read_the_file_whatever_the_umask() {
    let watched = Watched::new();
    watched.place.shell("umask 077; antipode status --metrics textfile/lisbon.prom");
    assert_eq!(fs::metadata(&watched.file).unwrap().permissions().mode() & 0o777, 0o644);
}

#[test]
fn a_run_that_fails_before_it_looks_tells_that_and_nothing_of_how_the_site_stands() {
    let watched = Watched::new();
    watched.succeed("apply --auto-approve");
    let observed = format!("antipode_replica_last_observation_timestamp_seconds{{{MAIN}}}");
    let before = watched.samples()[&observed];
    watched.change_site_file("primary: frankfurt", "primary: frankfort");
    let (code, said) = watched.run("apply --auto-approve");
    assert_eq!(code, 1, "{said}");
    let after = watched.samples();
    assert_eq!((after[&last("apply", "error")], after[&last("apply", "done")]), (1.0, 0.0));
    assert_eq!(after["antipode_site_faults_total{site=\"lisbon\",kind=\"invalid\"}"], 1.0);
    assert_eq!(after[&observed], before, "what was known of the past is not forgotten");
    let tells = |name: &str| after.keys().any(|sample| sample.starts_with(name));
    assert!(!tells("antipode_replica_verdict") && !tells("antipode_observed") && !tells("antipode_objectives"));
}

#[test]
fn a_primary_that_is_gone_is_no_zero() {
    let watched = Watched::new();
    watched.succeed("apply --auto-approve");
    fs::rename(watched.place.path("frankfurt"), watched.place.path("away")).unwrap();
    let (code, _) = watched.run("cron");
    assert_eq!(code, 1);
    let samples = watched.samples();
    assert_eq!(samples[&format!("antipode_replica_observed{{{MAIN}}}")], 0.0);
    assert!(samples[&format!("antipode_replica_faults_total{{{MAIN},kind=\"not_found\"}}")] >= 1.0, "{samples:?}");
    assert_eq!(samples[&format!("antipode_replica_backups{{{MAIN},state=\"here\"}}")], 1.0);
    for unknown in ["lag_segments", "missing", "to_copy_bytes", "backups{MAIN,state=\"at-primary\"}"] {
        let name = format!("antipode_replica_{}", unknown.replace("MAIN", MAIN));
        assert!(!samples.keys().any(|sample| sample.starts_with(&name)), "{name}: {samples:?}");
    }
}

#[test]
fn nothing_stays_of_a_replica_that_left_the_site_file_but_that_it_vanished() {
    let watched = Watched::new();
    watched.succeed("apply --auto-approve");
    watched.change_site_file("main: {primary: frankfurt,", "web: {primary: frankfurt, server: main,");
    watched.succeed("apply --auto-approve");
    let samples = watched.samples();
    let of_main: Vec<&String> = samples.keys().filter(|sample| sample.contains("replica=\"main\"")).collect();
    assert_eq!(of_main, [&format!("antipode_replica_vanished{{{MAIN},cause=\"not-declared\"}}")]);
    assert!(samples.keys().any(|sample| sample.contains("replica=\"web\"")));
}

#[test]
fn a_file_that_cannot_be_written_is_told_and_no_success() {
    let watched = Watched::new();
    let (code, said) = watched.place.antipode("apply --auto-approve --metrics nowhere/lisbon.prom");
    assert!(code == 1 && said.contains("the metrics cannot be written to nowhere/lisbon.prom"), "{code} {said}");
    let (code, said) = watched.place.antipode("apply --auto-approve --json --metrics nowhere/lisbon.prom");
    assert!(code == 1 && said.lines().last().unwrap().contains("\"exit_code\":1"), "{code} {said}");
    let (code, said) = watched.place.antipode("status --metrics lisbon.txt");
    assert!(code == 1 && said.contains("whose name ends in .prom"), "{code} {said}");
    let (code, said) = watched.place.antipode("status main --metrics lisbon.prom");
    assert!(code == 1 && said.contains("cannot be used with"), "{code} {said}");
}

#[test]
fn a_file_of_somebody_else_or_of_another_site_is_left_alone() {
    let watched = Watched::new();
    for (text, told) in [
        ("node_load1 0.5\n", "Antipode did not write"),
        (
            "# HELP antipode_build_info x\nantipode_build_info{site=\"porto\",version=\"0.1.0\"} 1\n",
            "those of site porto",
        ),
    ] {
        fs::write(&watched.file, text).unwrap();
        let (code, said) = watched.run("apply --auto-approve");
        assert!(code == 1 && said.contains(told), "{code} {said}");
        assert_eq!(fs::read_to_string(&watched.file).unwrap(), text);
    }
    fs::write(&watched.file, "").unwrap();
    watched.succeed("apply --auto-approve");
}

#[test]
fn a_saved_plan_that_is_applied_tells_how_the_site_stands_too() {
    let watched = Watched::new();
    for _ in 0..2 {
        let (code, said) = watched.place.antipode("plan -o plan.json");
        assert_eq!(code, 0, "{said}");
        watched.succeed("apply plan.json");
        assert_eq!(watched.samples()[&format!("antipode_replica_verdict{{{MAIN},verdict=\"in sync\"}}")], 1.0);
        fs::remove_file(&watched.file).unwrap();
    }
}

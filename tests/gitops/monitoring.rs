//! The monitoring checks turn the exit codes of `antipode status` into what each system expects.

use std::fs;
use std::path::Path;
use std::process::Command;

use serde_json::Value;

use crate::executable::write_program;
use crate::place::Place;
use crate::tools::{example, root, succeed};

/// Runs a check beside an antipode that ends with a code and says what it was asked.
fn run(directory: &Path, script: &str, arguments: &[&str], code: i32) -> std::process::Output {
    write_program(&directory.join("antipode"), format!("#!/bin/sh\necho \"$*\"\nexit {code}\n"));
    let path = format!("{}:{}", directory.display(), std::env::var("PATH").unwrap());
    let script = root("examples/gitops/monitoring").join(script);
    Command::new(script).args(arguments).env("PATH", path).output().unwrap()
}

#[test]
fn nagios_sees_ok_critical_and_unknown() {
    let directory = tempfile::tempdir().unwrap();
    for (code, expected) in [(0, 0), (2, 2), (1, 3), (3, 3), (130, 3)] {
        let output = run(directory.path(), "check_antipode", &["/etc/antipode/lisbon.yaml"], code);
        assert_eq!(output.status.code(), Some(expected), "{code}");
        let said = String::from_utf8(output.stdout).unwrap();
        assert_eq!(said, "status -f /etc/antipode/lisbon.yaml --color never\n");
    }
}

/// What is written for a site whose antipode answers so.
fn metrics(answer: &str, code: i32) -> String {
    let (directory, written) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    fs::write(directory.path().join("answer"), answer).unwrap();
    let answering = format!("#!/bin/sh\ncat {}\nexit {code}\n", directory.path().join("answer").display());
    write_program(&directory.path().join("antipode"), &answering);
    let path = format!("{}:{}", directory.path().display(), std::env::var("PATH").unwrap());
    let script = root("examples/gitops/monitoring/antipode-metrics");
    let arguments = ["lisbon", written.path().to_str().unwrap()];
    succeed(Command::new(script).args(arguments).env("PATH", path));
    assert_eq!(succeed(Command::new("ls").arg(written.path())), "antipode-lisbon.prom\n");
    fs::read_to_string(written.path().join("antipode-lisbon.prom")).unwrap()
}

/// What a real `antipode status` answers about a site that has everything.
fn answer() -> String {
    let place = Place::new();
    let (code, applied) = place.antipode("apply --auto-approve");
    assert_eq!(code, 0, "{applied}");
    let (code, answer) = place.antipode("status --format json");
    assert_eq!(code, 0, "{answer}");
    answer
}

/// Every sample belongs to a metric that was described before, and none stands twice.
fn assert_well_formed(text: &str) {
    let mut described = Vec::new();
    let mut seen = Vec::new();
    for line in text.lines() {
        if let Some(name) = line.strip_prefix("# TYPE ") {
            described.push(name.strip_suffix(" gauge").unwrap().to_owned());
        } else if !line.starts_with("# HELP ") {
            let (sample, value) = line.rsplit_once(' ').unwrap();
            let (name, labels) = sample.split_once('{').unwrap();
            assert_eq!(described.last().map(String::as_str), Some(name), "{text}");
            assert!(labels.starts_with("site=\"lisbon\"") && labels.ends_with('}'), "{line}");
            assert!(value.parse::<f64>().is_ok() && !seen.contains(&sample), "{line}");
            seen.push(sample);
        }
    }
    described.sort_unstable();
    assert!(described.windows(2).all(|pair| pair[0] != pair[1]), "{described:?}");
}

#[test]
fn prometheus_sees_how_each_replica_stands() {
    let text = metrics(&answer(), 0);
    assert_well_formed(&text);
    let main = "site=\"lisbon\",replica=\"main\",primary=\"frankfurt\"";
    for sample in [
        format!("antipode_replica_verdict{{{main},verdict=\"in sync\"}} 1"),
        format!("antipode_replica_verdict{{{main},verdict=\"behind\"}} 0"),
        format!("antipode_replica_lag_seconds{{{main}}} 0"),
        format!("antipode_replica_objective_rpo_seconds{{{main}}} 900"),
        format!("antipode_replica_objective_kept{{{main}}} 1"),
        format!("antipode_replica_backups{{{main},state=\"here\"}} 1"),
    ] {
        assert!(text.lines().any(|line| line == sample), "{sample} in {text}");
    }
    assert!(text.contains(&format!("antipode_replica_recoverable_to_timestamp_seconds{{{main}}} ")), "{text}");
    for used in example("prometheus/rules.yml").split(|c: char| !(c.is_ascii_alphabetic() || c == '_')) {
        let is_metric = used.starts_with("antipode_");
        assert!(!is_metric || text.contains(&format!("# TYPE {used} gauge\n")), "{used} in {text}");
    }
}

#[test]
fn prometheus_sees_no_sample_of_what_nobody_knows_and_each_verdict_that_there_is() {
    let schema: Value = serde_json::from_str(&fs::read_to_string(root("schemas/status.schema.json")).unwrap()).unwrap();
    let verdicts = schema["$defs"]["Verdict"]["oneOf"].as_array().unwrap();
    let mut answer: Value = serde_json::from_str(&answer()).unwrap();
    for unknown in ["objective", "recovery_window", "lag", "last_apply"] {
        answer["replicas"][0][unknown] = Value::Null;
    }
    for verdict in verdicts {
        answer["replicas"][0]["verdict"] = verdict["const"].clone();
        let text = metrics(&answer.to_string(), 2);
        assert_well_formed(&text);
        assert!(text.contains(&format!("verdict={}}} 1\n", verdict["const"])), "{text}");
        assert_eq!(text.matches("antipode_replica_verdict{").count(), verdicts.len(), "{text}");
        for unknown in ["objective", "recoverable", "lag", "last_apply"] {
            assert!(!text.contains(&format!("antipode_replica_{unknown}_")), "{text}");
        }
    }
}

#[test]
fn prometheus_sees_what_is_kept_and_what_is_known() {
    for (code, kept, known) in [(0, 1, 1), (2, 0, 1), (1, 0, 0)] {
        let text = metrics("", code);
        assert!(text.contains(&format!("\nantipode_objectives_kept{{site=\"lisbon\"}} {kept}\n")), "{text}");
        assert!(text.contains(&format!("\nantipode_status_known{{site=\"lisbon\"}} {known}\n")), "{text}");
    }
}

//! The alert rules: every silence that was staged is told, and nothing when all is well.

use std::fs;

use serde_json::Value;

use crate::tools::{assert_written, printed, promtool, root, text};

const RULES: &str = "examples/prometheus/antipode.rules.yml";
const TESTS: &str = "examples/prometheus/antipode.test.yml";

fn yaml(path: &str) -> Value {
    serde_yaml::from_str(&text(path)).unwrap()
}

fn alerts() -> Vec<String> {
    let rules = yaml(RULES);
    let rules = rules["groups"][0]["rules"].as_array().unwrap();
    rules.iter().map(|rule| rule["alert"].as_str().unwrap().to_owned()).collect()
}

#[test]
fn prometheus_takes_the_rules_which_name_only_series_that_are_written() {
    let output = promtool(&["check", "rules", root(RULES).to_str().unwrap()], "");
    assert!(output.status.success(), "{}", printed(&output));
    assert_written(&text(RULES));
    assert_written(&text(TESTS));
}

#[test]
fn every_staged_silence_fires_and_nothing_fires_when_all_is_well() {
    let output = promtool(&["test", "rules", root(TESTS).to_str().unwrap()], "");
    assert!(output.status.success(), "{}", printed(&output));
}

#[test]
fn no_alert_is_without_a_silence_that_was_staged() {
    let staged = text(TESTS);
    let unstaged: Vec<String> =
        alerts().into_iter().filter(|alert| !staged.contains(&format!("alertname=\"{alert}\""))).collect();
    assert!(unstaged.is_empty(), "{unstaged:?}");
    let scenarios = yaml(TESTS)["tests"].as_array().unwrap().len();
    assert!(scenarios > 12, "{scenarios}");
}

#[test]
fn a_rule_that_sleeps_is_found() {
    let directory = tempfile::tempdir().unwrap();
    let at = |name: &str| directory.path().join(name);
    let sleeping = text(RULES).replace("antipode_replica_observed == 0", "antipode_replica_observed == 2");
    fs::write(at("antipode.rules.yml"), sleeping).unwrap();
    fs::copy(root(TESTS), at("antipode.test.yml")).unwrap();
    let output = promtool(&["test", "rules", at("antipode.test.yml").to_str().unwrap()], "");
    let said = printed(&output);
    assert!(!output.status.success() && said.contains("AntipodePrimaryUnreachable"), "{said}");
}

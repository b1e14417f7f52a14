//! The jobs of the GitLab pipeline.

use std::process::Output;

use serde_json::json;

use super::{IN_SYNC, MARKER, Runner, script};
use crate::tools::{printed, yaml};

fn job(runner: &Runner, job: &str, source: &str, commit: &str) -> Output {
    let pipeline = yaml("gitlab/.gitlab-ci.yml");
    let mut environment = vec![
        ("CI_API_V4_URL", "https://gitlab.example.com/api/v4"),
        ("CI_PROJECT_ID", "5"),
        ("CI_DEFAULT_BRANCH", "main"),
        ("ANTIPODE_TOKEN", "token of the project"),
        ("CI_PIPELINE_SOURCE", source),
        ("CI_COMMIT_SHA", commit),
    ];
    if source == "merge_request_event" {
        environment.push(("CI_MERGE_REQUEST_IID", "7"));
    }
    runner.run(&script(&pipeline, job), &environment)
}

#[track_caller]
fn succeeds(output: &Output) {
    assert!(output.status.success(), "{}\n{}", output.status, printed(output));
}

#[test]
fn what_was_reviewed_is_what_is_applied_on_merge() {
    let runner = Runner::new();
    runner.write_comments(&json!([{"id": 1, "body": "looks good to me"}]));
    for _ in 0..2 {
        succeeds(&job(&runner, "plan", "merge_request_event", "reviewed"));
    }
    let notes = runner.comments();
    assert_eq!(notes.len(), 2, "{notes:?}");
    assert!(notes[1]["body"].as_str().unwrap().starts_with(MARKER));
    runner.keep_artifact("42");

    let output = job(&runner, "apply", "push", "merged");
    succeeds(&output);
    assert!(runner.plan().contains(IN_SYNC));
    let log = std::fs::read_to_string(runner.path("state/log")).unwrap();
    assert!(!log.contains("token of the project"), "the token is in a list of processes: {log}");
}

#[test]
fn a_plan_that_somebody_else_carried_out_meanwhile_is_refused() {
    let runner = Runner::new();
    succeeds(&job(&runner, "plan", "merge_request_event", "reviewed"));
    runner.keep_artifact("42");
    runner.apply_by_hand();
    let output = job(&runner, "apply", "push", "merged");
    assert_eq!(output.status.code(), Some(1));
    assert!(printed(&output).contains("it is stale"), "{}", printed(&output));
}

#[test]
fn a_push_that_no_merge_request_made_applies_nothing() {
    let runner = Runner::new();
    let output = job(&runner, "apply", "push", "elsewhere");
    assert_eq!(output.status.code(), Some(1));
    assert!(printed(&output).contains("There is no reviewed plan for elsewhere"), "{}", printed(&output));
}

#[test]
fn a_run_by_hand_applies_the_plan_of_its_own_pipeline_and_posts_nothing() {
    let runner = Runner::new();
    succeeds(&job(&runner, "plan", "web", "main"));
    succeeds(&job(&runner, "apply", "web", "main"));
    assert!(runner.plan().contains(IN_SYNC));
    assert_eq!(runner.comments(), Vec::<serde_json::Value>::new());
}

#[test]
fn a_mistake_in_the_site_file_ends_the_job() {
    let runner = Runner::new();
    runner.write_site_file(|text| text.replace("replicas:", "replicaz:"));
    let output = job(&runner, "plan", "merge_request_event", "reviewed");
    assert!(!output.status.success());
    assert!(printed(&output).contains("unknown key `replicaz`"));
}

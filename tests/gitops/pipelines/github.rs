//! The steps of the GitHub workflow.

use std::fs;
use std::process::Output;

use serde_json::json;

use super::{IN_SYNC, MARKER, Runner};
use crate::tools::{printed, yaml};

/// Runs a step of a job by its name.
fn step(runner: &Runner, job: &str, name: &str, event: &str, commit: &str) -> Output {
    let workflow = yaml("github/antipode.yml");
    let steps = workflow["jobs"][job]["steps"].as_array().unwrap();
    let step = steps.iter().find(|step| step["name"] == name).unwrap_or_else(|| panic!("no step {name}"));
    assert_eq!(step["shell"], "bash", "without it a pipe hides a failure: {name}");
    // The expressions of the step's environment, as GitHub would fill them in.
    let environment = step["env"].as_object().into_iter().flatten().map(|(name, value)| {
        let value = match value.as_str().unwrap() {
            "${{ github.token }}" => "token of the run",
            "${{ github.event.pull_request.number }}" => "7",
            other => panic!("{other}"),
        };
        (name.as_str(), value)
    });
    let summary = runner.path("state/summary.md");
    let fixed = [
        ("GITHUB_REPOSITORY", "o/r"),
        ("GITHUB_STEP_SUMMARY", summary.to_str().unwrap()),
        ("GITHUB_EVENT_NAME", event),
        ("GITHUB_SHA", commit),
        ("GITHUB_RUN_ID", "43"),
    ];
    let environment: Vec<_> = fixed.into_iter().chain(environment).collect();
    runner.run(step["run"].as_str().unwrap(), &environment)
}

#[track_caller]
fn succeeds(output: &Output) {
    assert!(output.status.success(), "{}\n{}", output.status, printed(output));
}

fn review(runner: &Runner) {
    for name in ["Validate", "Plan", "Comment"] {
        succeeds(&step(runner, "plan", name, "pull_request", "reviewed"));
    }
    runner.keep_artifact("42");
}

fn merge(runner: &Runner) -> Output {
    succeeds(&step(runner, "apply", "Fetch the reviewed plan", "push", "merged"));
    step(runner, "apply", "Apply", "push", "merged")
}

#[test]
fn what_was_reviewed_is_what_is_applied_on_merge() {
    let runner = Runner::new();
    review(&runner);
    let comments = runner.comments();
    let [comment] = comments.as_slice() else { panic!("{comments:?}") };
    let body = comment["body"].as_str().unwrap();
    assert!(body.starts_with(MARKER), "{body}");
    assert!(body.contains("20261122T030000"), "{body}");
    assert_eq!(fs::read_to_string(runner.path("state/summary.md")).unwrap(), body);

    succeeds(&merge(&runner));
    let plan = runner.plan();
    assert!(plan.contains(IN_SYNC), "{plan}");
}

#[test]
fn a_second_push_replaces_the_comment_and_leaves_those_of_people_alone() {
    let runner = Runner::new();
    let theirs = json!({"id": 1, "body": format!("{MARKER}\nlooks odd to me"), "user": {"type": "User"}});
    runner.write_comments(&json!([theirs]));
    review(&runner);
    let first = runner.comments();
    runner.apply_by_hand();
    review(&runner);
    let second = runner.comments();
    assert_eq!((first.len(), second.len()), (2, 2));
    assert_eq!(second[0], theirs);
    assert_ne!(first[1]["body"], second[1]["body"]);
    assert!(second[1]["body"].as_str().unwrap().starts_with(MARKER));
}

#[test]
fn a_plan_that_somebody_else_carried_out_meanwhile_is_refused_and_the_way_on_is_said() {
    let runner = Runner::new();
    review(&runner);
    runner.apply_by_hand();
    let output = merge(&runner);
    let said = printed(&output);
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(said.contains("it is stale") && said.contains("run this workflow by hand"), "{said}");
}

#[test]
fn a_run_by_hand_applies_the_plan_of_that_run() {
    let runner = Runner::new();
    succeeds(&step(&runner, "plan", "Plan", "workflow_dispatch", "main"));
    runner.keep_artifact("43");
    succeeds(&step(&runner, "apply", "Fetch the reviewed plan", "workflow_dispatch", "main"));
    succeeds(&step(&runner, "apply", "Apply", "workflow_dispatch", "main"));
    assert!(runner.plan().contains(IN_SYNC));
}

#[test]
fn a_push_that_no_pull_request_made_applies_nothing() {
    let runner = Runner::new();
    let output = step(&runner, "apply", "Fetch the reviewed plan", "push", "elsewhere");
    assert_eq!(output.status.code(), Some(1));
    assert!(printed(&output).contains("There is no reviewed plan for elsewhere"));
}

#[test]
fn a_mistake_in_the_site_file_is_a_note_at_its_line() {
    let runner = Runner::new();
    runner.write_site_file(|text| text.replace("replicas:", "replicaz:"));
    let output = step(&runner, "plan", "Validate", "pull_request", "reviewed");
    assert_eq!(output.status.code(), Some(1));
    let said = printed(&output);
    assert!(said.contains("::error file=lisbon.yaml,line=6,col=1::unknown key `replicaz`; did you mean"), "{said}");
}

#[test]
fn a_plan_that_cannot_be_made_fails_the_job_and_is_no_plan_with_changes() {
    let runner = Runner::new();
    fs::rename(runner.path("demo/frankfurt"), runner.path("demo/gone")).unwrap();
    let output = step(&runner, "plan", "Plan", "pull_request", "reviewed");
    assert_eq!(output.status.code(), Some(1), "{}", printed(&output));
}

//! `apply --json`: every line is an event of the schema, the plan comes first and the summary last.

use std::collections::BTreeMap;
use std::fs;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use antipode::demo::catalog::SECOND_BACKUP;
use antipode::store::locks::{Lock, LockKind};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

use super::ground::{Ground, TestSite};

fn command(site_file: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_antipode"));
    command.args(["apply", "--json", "-f"]).arg(site_file).args(arguments).stdin(Stdio::null());
    command
}

/// Runs an apply to its end; its events, and its exit code.
fn events(site_file: &Path, arguments: &[&str]) -> (Vec<Value>, i32) {
    let output = command(site_file, arguments).output().unwrap();
    assert_eq!(String::from_utf8_lossy(&output.stderr), "");
    let events = read(&String::from_utf8(output.stdout).unwrap());
    (events, output.status.code().unwrap())
}

/// Reads the lines, each of which must be an event of the schema.
fn read(lines: &str) -> Vec<Value> {
    let schema = Path::new(env!("CARGO_MANIFEST_DIR")).join("schemas/events.schema.json");
    let schema = serde_json::from_str(&fs::read_to_string(schema).unwrap()).unwrap();
    let schema = jsonschema::validator_for(&schema).unwrap();
    let read = |line: &str| -> Value {
        let event = serde_json::from_str(line).unwrap();
        schema.validate(&event).unwrap_or_else(|error| panic!("{error}: {line}"));
        let time: jiff::Timestamp = event["time"].as_str().unwrap().parse().unwrap();
        assert!(event["time"].as_str().unwrap().ends_with('Z') && time.as_second() > 0);
        event
    };
    lines.lines().map(read).collect()
}

fn types(events: &[Value]) -> Vec<&str> {
    events.iter().map(|event| event["type"].as_str().unwrap()).collect()
}

fn of_type<'a>(events: &'a [Value], name: &str) -> Vec<&'a Value> {
    events.iter().filter(|event| event["type"] == name).collect()
}

/// Each step that began ended once, and none ended that had not begun, but for those that were skipped.
fn assert_steps_end(events: &[Value]) {
    let mut running: BTreeMap<&str, usize> = BTreeMap::new();
    for event in events {
        let Some(address) = event["address"].as_str() else { continue };
        let count = running.entry(address).or_default();
        match event["type"].as_str().unwrap() {
            "started" => *count += 1,
            "finished" | "failed" => *count = count.checked_sub(1).unwrap_or_else(|| panic!("{event} had not begun")),
            "skipped" => *count = count.saturating_sub(1),
            _ => assert_eq!(*count, 1, "{event} of what does not run"),
        }
        assert!(*count <= 1, "{event} began twice");
    }
    running.retain(|_, count| *count > 0);
    assert!(running.is_empty(), "{running:?} never ended");
}

fn assert_summary(events: &[Value], expected: &[(&str, u64)]) {
    let summary = events.last().unwrap();
    assert_eq!(summary["type"], "summary");
    assert_eq!(of_type(events, "summary").len(), 1);
    for (key, value) in expected {
        assert_eq!(summary[key], *value, "{key} of {summary}");
    }
}

#[tokio::test]
async fn an_apply_is_told_from_its_plan_to_its_summary() {
    let ground = Ground::new().await;
    let site = ground.empty_site("site");
    let (events, code) = events(&site.file, &["--auto-approve"]);
    assert_eq!(code, 0);
    assert_eq!((types(&events)[0], of_type(&events, "plan").len()), ("plan", 1));
    assert_steps_end(&events);
    let planned = events[0]["actions"].as_array().unwrap();
    assert_eq!(events[0]["totals"]["add"]["backups"], 2);
    let done: Vec<&str> = of_type(&events, "finished").iter().map(|event| event["address"].as_str().unwrap()).collect();
    assert!(planned.iter().all(|action| done.contains(&action["address"].as_str().unwrap())), "{done:?}");
    assert!(planned.iter().all(|action| action["verb"] == "add" && !action["reason"].as_str().unwrap().is_empty()));
    assert_summary(&events, &[("done", planned.len() as u64), ("failed", 0), ("skipped", 0), ("exit_code", 0)]);
    assert!(events.last().unwrap()["bytes"].as_u64().unwrap() > 1 << 20);
    let (again, code) = self::events(&site.file, &["--auto-approve"]);
    assert_eq!((types(&again), code), (vec!["plan", "summary"], 0));
}

#[tokio::test]
async fn a_failure_names_its_action_and_what_to_do() {
    let ground = Ground::new().await;
    let site = ground.empty_site("site");
    fs::create_dir(&site.catalog).unwrap();
    let lock = LockKind::SyncBackup(SECOND_BACKUP.parse().unwrap()).path(&site.catalog, &site.dirs().server);
    let _held = Lock::acquire(&lock, Duration::ZERO).await.unwrap();
    let (events, code) = events(&site.file, &["--auto-approve", "--lock-timeout", "0s"]);
    assert_eq!(code, 4);
    assert_steps_end(&events);
    let failed = of_type(&events, "failed");
    assert_eq!(failed.len(), 1, "{failed:?}");
    assert_eq!(failed[0]["address"], format!("main/backup/{SECOND_BACKUP}"));
    assert!(failed[0]["message"].as_str().unwrap().contains("lock"), "{failed:?}");
    assert_summary(&events, &[("failed", 1), ("exit_code", 4)]);
}

#[tokio::test]
async fn a_limit_is_told_in_the_summary() {
    let ground = Ground::new().await;
    let site = ground.empty_site("site");
    let (events, code) = events(&site.file, &["--auto-approve", "--max-bytes", "3MiB", "--parallelism", "1"]);
    assert_eq!(code, 0);
    assert_steps_end(&events);
    assert_summary(&events, &[("stopped_at", 3 << 20), ("failed", 0), ("exit_code", 0)]);
    assert!(events.last().unwrap()["bytes"].as_u64().unwrap() <= 3 << 20);
}

#[tokio::test]
async fn an_error_is_an_event_and_the_summary_still_comes_last() {
    let ground = Ground::new().await;
    let site = ground.empty_site("site");
    let (unapproved, code) = events(&site.file, &[]);
    assert_eq!((types(&unapproved), code), (vec!["error", "summary"], 1));
    let (unknown, code) = events(&site.file, &["--auto-approve", "--target", "mian"]);
    assert_eq!((types(&unknown), code), (vec!["error", "summary"], 1));
    assert!(unknown[0]["hint"].as_str().unwrap().contains("main"), "{unknown:?}");
    let _lock = site.run_lock("main", Duration::ZERO).await;
    let (locked, code) = events(&site.file, &["--auto-approve", "--lock-timeout", "0s"]);
    assert_eq!((types(&locked), code), (vec!["error", "summary"], 3));
    assert_summary(&locked, &[("done", 0), ("exit_code", 3)]);
}

/// The same site with a line that takes a while.
fn slow(site: &TestSite) -> PathBuf {
    let text = fs::read_to_string(&site.file).unwrap();
    let slow = text.replace("main: {primary: frankfurt}", "main: {primary: frankfurt, transfer: {bandwidth: 1MiB/s}}");
    assert_ne!(text, slow);
    let file = site.file.with_file_name("slow.yaml");
    fs::write(&file, slow).unwrap();
    file
}

fn start(site_file: &Path) -> (Child, impl Iterator<Item = String> + use<>) {
    let mut child = command(site_file, &["--auto-approve"]).stdout(Stdio::piped()).spawn().unwrap();
    let lines = BufReader::new(child.stdout.take().unwrap()).lines().map(Result::unwrap);
    (child, lines)
}

#[tokio::test]
async fn an_interruption_is_told_and_every_step_ends() {
    let ground = Ground::new().await;
    let site = ground.empty_site("site");
    let (mut child, mut lines) = start(&slow(&site));
    let mut text = String::new();
    for line in lines.by_ref() {
        text.push_str(&format!("{line}\n"));
        if line.contains(r#""type":"progress""#) {
            break;
        }
    }
    kill_process(Pid::from_child(&child), Signal::INT).unwrap();
    lines.for_each(|line| text.push_str(&format!("{line}\n")));
    assert_eq!(child.wait().unwrap().code(), Some(130));
    let events = read(&text);
    let progress = of_type(&events, "progress");
    assert!(progress[0]["bytes"].as_u64().unwrap() > 0 && progress[0]["total_bytes"].as_u64().unwrap() > 0);
    assert_eq!(of_type(&events, "interrupted").len(), 1);
    assert_steps_end(&events);
    assert_summary(&events, &[("failed", 0), ("exit_code", 130)]);
    assert!(events.last().unwrap()["skipped"].as_u64().unwrap() > 0);
    site.converge().await;
}

#[tokio::test]
async fn a_reader_that_goes_away_ends_nothing() {
    let ground = Ground::new().await;
    let site = ground.empty_site("site");
    let (mut child, mut lines) = start(&site.file);
    assert!(lines.next().unwrap().contains(r#""type":"plan""#));
    drop(lines);
    assert_eq!(child.wait().unwrap().code(), Some(0));
    assert!(site.plan().await.is_empty());
}

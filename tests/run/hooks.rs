//! Who is told of what happens.

use std::fs;
use std::path::Path;

use serde_json::Value;

use crate::kept::Ground;

/// A site of which everything is told to a file.
fn ground() -> Ground {
    let ground = Ground::new("");
    let hook = format!("['sh -c \"cat >> {}\"']", heard(&ground).display());
    let all = ["failed", "recovered", "applied", "objective_missed"].map(|occasion| format!("{occasion}: {hook}"));
    ground.declare(&format!("objective: {{rpo: 1s, max_silence: none}}}}\non: {{{}", all.join(", ")));
    ground
}

fn heard(ground: &Ground) -> std::path::PathBuf {
    ground.path("heard")
}

/// What was told: each event by its name, with its sentence. All are as their schema says.
fn told(path: &Path) -> Vec<(String, String)> {
    let schema = serde_json::from_str(include_str!("../../schemas/hook.schema.json")).unwrap();
    let schema = jsonschema::validator_for(&schema).unwrap();
    let text = fs::read_to_string(path).unwrap_or_default();
    let event = |line: &str| {
        let event: Value = serde_json::from_str(line).unwrap();
        assert!(schema.is_valid(&event), "{line}");
        assert_eq!(event["by"]["site"], "lisbon");
        let text = |key: &str| event[key].as_str().unwrap().to_owned();
        (text("event"), text("text"))
    };
    // A line that is still being written has no end.
    text.split_inclusive('\n').filter(|line| line.ends_with('\n')).map(event).collect()
}

fn names(path: &Path) -> Vec<String> {
    told(path).into_iter().map(|(name, _)| name).collect()
}

#[test]
fn what_a_running_antipode_does_and_cannot_do_is_told_once() {
    let ground = ground();
    let (heard, there, away) = (heard(&ground), ground.path("frankfurt"), ground.path("away"));
    let has = |name: &str| names(&heard).iter().any(|told| told == name);
    let mut kept = ground.keep();
    kept.until("it is told what was applied", || has("applied"));
    fs::rename(&there, &away).unwrap();
    for reads in 1..=2 {
        // What failed is looked at again when the site file is read again.
        kept.signal("HUP");
        kept.says_so_often("it holds from now on", reads);
    }
    kept.until("a failure and a missed objective are told", || has("failed") && has("objective_missed"));
    fs::rename(&away, &there).unwrap();
    kept.signal("HUP");
    kept.until("its end is told", || has("recovered"));
    kept.signal("TERM");
    assert_eq!(kept.end().code(), Some(0), "{}", kept.log());
    let mut all = told(&heard);
    assert!(all[0].1.starts_with("main at lisbon was changed: ") && all[0].1.contains("1 backup added"), "{all:?}");
    let missed = all.iter().find(|(name, _)| name == "objective_missed").unwrap();
    assert!(missed.1.starts_with("main at lisbon misses its objective: "), "{all:?}");
    all.retain(|(name, _)| name != "applied");
    let mut names: Vec<&str> = all.iter().map(|(name, _)| name.as_str()).collect();
    names.sort_unstable();
    assert_eq!(names, ["failed", "objective_missed", "recovered"], "{all:?}\n{}", kept.log());
}

#[test]
fn a_timer_tells_of_a_failure_once_and_waits_for_who_is_told() {
    let ground = ground();
    let (heard, there, away) = (heard(&ground), ground.path("frankfurt"), ground.path("away"));
    assert_eq!(ground.told(&["apply", "--auto-approve"]).0, 0);
    assert_eq!(names(&heard), ["applied"]);
    fs::rename(&there, &away).unwrap();
    for _ in 0..2 {
        assert_eq!(ground.told(&["cron"]).0, 1);
    }
    assert_eq!(names(&heard), ["applied", "failed"]);
    fs::rename(&away, &there).unwrap();
    assert_eq!(ground.told(&["cron"]).0, 0);
    assert_eq!(names(&heard), ["applied", "failed", "recovered"]);
}

#[test]
fn a_hook_that_fails_is_a_warning() {
    let ground = Ground::new("}\non: {applied: [{command: 'sleep 300', timeout: 1s}, /nowhere/hook]");
    let (code, told) = ground.told(&["apply", "--auto-approve"]);
    assert_eq!(code, 0, "{told}");
    assert!(told.contains("Warning: sleep could not be told: it took longer than 1 s and was killed"), "{told}");
    assert!(told.contains("Warning: /nowhere/hook could not be told: it cannot be started: "), "{told}");
}

//! Clocks that jump: by a year, ahead and back, between two runs, between a plan and its apply, and under a running
//! antipode. Debian's libfaketime makes them.

use std::fs;
use std::path::{Path, PathBuf};

use crate::kept::Ground;

/// A year before the demo's days and after them, and the day after the last one.
const BEHIND: &str = "@2025-11-29 12:00:00";
const RIGHT: &str = "@2026-11-29 12:00:00";
const AHEAD: &str = "@2027-11-29 12:00:00";

/// Whatever is older than a month may be deleted, all of it at once and by itself.
const A_MONTH: &str = "auto: {prune: true}, backups: [{within: 30d}], prune: {unselected: true}, \
                       protect: {min_backups: 1, max_prune: 100%}, objective: {rpo: 365d}";

/// The days of the month that a backup was made on.
const DAYS: [u64; 3] = [25, 26, 27];

fn libfaketime() -> PathBuf {
    let library = PathBuf::from(format!("/usr/lib/{}-linux-gnu/faketime/libfaketime.so.1", std::env::consts::ARCH));
    assert!(library.exists(), "{} is missing: run ./test, which installs it", library.display());
    library
}

/// What makes a program believe another time, and nothing else: its own timers and the times of files stay as they are.
fn clock(set: (&'static str, &str)) -> Vec<(&'static str, String)> {
    let (name, value) = set;
    let on = "1".to_owned();
    vec![
        ("LD_PRELOAD", libfaketime().display().to_string()),
        ("DONT_FAKE_MONOTONIC", on.clone()),
        ("FAKETIME_DONT_FAKE_MONOTONIC", on.clone()),
        ("NO_FAKE_STAT", on.clone()),
        ("FAKETIME_NO_CACHE", on),
        ("TZ", "UTC".to_owned()),
        (name, value.to_owned()),
    ]
}

impl Ground {
    /// Runs a command at a time.
    fn at(&self, time: &str, arguments: &[&str]) -> (i32, String) {
        let environment = clock(("FAKETIME", time));
        let environment: Vec<(&str, &Path)> =
            environment.iter().map(|(name, value)| (*name, Path::new(value))).collect();
        self.told_with(arguments, &environment)
    }

    #[track_caller]
    fn expect_at(&self, time: &str, arguments: &[&str], code: i32) -> String {
        let (ended, told) = self.at(time, arguments);
        assert_eq!(ended, code, "{arguments:?} at {time}: {told}");
        told
    }

    /// Each backup is here, and nothing is to be done, whatever time it is.
    #[track_caller]
    fn has_all(&self) {
        for day in DAYS {
            assert!(self.has(&format!("main/meta/202611{day}T030000-backup.info")), "{day}");
        }
        for time in [BEHIND, RIGHT, AHEAD] {
            self.expect_at(time, &["plan", "--detailed-exitcode"], 0);
        }
        let told = self.expect_at(RIGHT, &["verify", "--all"], 0);
        assert!(told.contains("no damage found"), "{told}");
    }
}

/// A primary with a backup of each day.
fn ground() -> Ground {
    let mut ground = Ground::new(A_MONTH);
    for day in DAYS {
        ground.back_up(day);
    }
    ground
}

#[test]
fn a_clock_that_jumps_between_two_runs_costs_no_backup() {
    let ground = ground();
    ground.expect_at(RIGHT, &["apply", "--auto-approve"], 0);
    ground.has_all();
    for time in [AHEAD, BEHIND, AHEAD, RIGHT] {
        ground.expect_at(time, &["apply", "--auto-approve"], 0);
        ground.has_all();
    }
    let ahead = ground.expect_at(AHEAD, &["plan"], 0);
    assert!(ahead.contains("what is newest at either end is of 2026-11-27"), "{ahead}");
    let behind = ground.expect_at(BEHIND, &["plan"], 0);
    assert!(behind.contains("in the future"), "{behind}");
}

#[test]
fn a_clock_that_jumps_between_a_plan_and_its_apply_costs_no_backup() {
    for time in [AHEAD, BEHIND] {
        let mut ground = Ground::new(A_MONTH);
        ground.back_up(25);
        ground.expect_at(RIGHT, &["apply", "--auto-approve"], 0);
        for day in [26, 27] {
            ground.back_up(day);
        }
        ground.expect_at(RIGHT, &["plan", "-o", "plan.json"], 0);
        ground.expect_at(time, &["apply", "plan.json"], 0);
        ground.has_all();
    }
}

#[test]
fn of_a_copy_from_the_future_nothing_is_said_that_nobody_can_show() {
    let ground = ground();
    ground.expect_at(RIGHT, &["apply", "--auto-approve"], 0);
    let kept = |told: &str| {
        let status: serde_json::Value = serde_json::from_str(&told[..=told.rfind('}').unwrap()]).expect(told);
        status["replicas"][0]["objective"]["kept"].as_bool().expect(told)
    };
    let status = ["status", "--format", "json"];
    assert!(kept(&ground.expect_at(BEHIND, &status, 0)), "the primary shows that it has no more");
    fs::rename(ground.path("frankfurt"), ground.path("elsewhere")).unwrap();
    assert!(kept(&ground.at(RIGHT, &status).1));
    for time in [BEHIND, "@2027-12-29 12:00:00"] {
        assert!(!kept(&ground.expect_at(time, &status, 2)), "{time}");
    }
}

#[test]
fn whoever_keeps_a_site_goes_on_when_its_clock_is_turned_back_or_ahead() {
    let mut ground = Ground::new(A_MONTH);
    let offset = ground.path("offset");
    let turn = {
        let (new, offset) = (ground.path("offset.new"), offset.clone());
        move |by: &str| {
            // One that is half written would be no time.
            fs::write(&new, by).unwrap();
            fs::rename(&new, &offset).unwrap();
        }
    };
    turn("+0");
    let environment = clock(("FAKETIME_TIMESTAMP_FILE", &offset.display().to_string()));
    let environment: Vec<(&str, &str)> = environment.iter().map(|(name, value)| (*name, value.as_str())).collect();
    let mut kept = ground.keep_with(&[], &environment);
    kept.says("main: all that may be done by itself is done");
    for (day, by) in DAYS.into_iter().zip(["-365d", "+365d", "+0"]) {
        turn(by);
        let id = ground.back_up(day);
        let what = format!("a new backup is here, the clock being turned by {by}");
        kept.until(&what, || ground.has(&format!("main/meta/{id}-backup.info")));
    }
    kept.until("nothing is left to do", || ground.at(RIGHT, &["plan", "--detailed-exitcode"]).0 == 0);
    drop(kept);
    ground.has_all();
}

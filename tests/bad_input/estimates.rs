//! What a plan says it copies, beside what crosses the wire then.

use std::fs;

use serde_json::Value;

use crate::bench::Bench;

/// What rsync adds for names and blocks, and what it finds here in files that differ.
const AWAY: std::ops::RangeInclusive<f64> = 0.85..=1.15;

/// The bytes that the plan tells.
fn told(bench: &Bench) -> u64 {
    let planned = bench.antipode(&["plan", "--format", "json"]);
    planned.expect(0);
    let (json, _) = planned.output.split_once("--- stderr").unwrap();
    let plan: Value = serde_json::from_str(json).unwrap();
    plan["totals"]["bytes_to_copy"].as_u64().unwrap_or_else(|| panic!("{planned}"))
}

/// The bytes that crossed the wire in an apply.
fn copied(bench: &Bench, more: &[&str]) -> u64 {
    let applied = bench.antipode(&[&["apply", "--auto-approve", "--json"][..], more].concat());
    let (json, _) = applied.expect(0).output.split_once("--- stderr").unwrap();
    let summary: Value = serde_json::from_str(json.lines().last().unwrap()).unwrap();
    summary["bytes"].as_u64().unwrap_or_else(|| panic!("{applied}"))
}

#[track_caller]
fn tells_truly(bench: &Bench, what: &str) {
    let (told, copied) = (told(bench), copied(bench, &[]));
    #[allow(clippy::cast_precision_loss, reason = "megabytes")]
    let ratio = copied as f64 / told as f64;
    assert!(AWAY.contains(&ratio), "{what}: {copied} of {told} bytes, {ratio:.2}");
    bench.antipode(&["plan", "--detailed-exitcode"]).expect(0);
}

#[test]
fn a_plan_tells_about_what_is_sent_then() {
    let bench = Bench::start();
    tells_truly(&bench, "an empty site");
    for kept in ["20261121T030000", "20261122T030000"] {
        // Some of it is damaged.
        let base = bench.catalog().join("main/base").join(kept).join("data/base");
        fs::remove_dir_all(&base).unwrap();
        tells_truly(&bench, kept);
    }
    fs::remove_dir_all(bench.path("catalog/main/wals/0000000100000000")).unwrap();
    tells_truly(&bench, "WAL that is gone");
}

#[test]
fn what_an_earlier_run_left_is_not_told_again() {
    let bench = Bench::start();
    let all = told(&bench);
    copied(&bench, &["--max-bytes", &(all / 2).to_string()]);
    assert!(told(&bench) < all * 7 / 10, "{} of {all}", told(&bench));
    tells_truly(&bench, "the rest");
}

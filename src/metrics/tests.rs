//! Golden texts of a site in several states, and what holds for every text.

#![allow(clippy::float_cmp, reason = "samples are whole numbers")]

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use jiff::Timestamp;

use super::kept;
use super::ledger::{Ledger, Run, Stage};
use super::series::{self, Kind};
use super::state::State;
use super::text;
use crate::error::{Error, Exit, Kind as ErrorKind, all_kinds};
use crate::events::{Event, Summary};
use crate::observe::inventory::Holds;
use crate::plan::action::Address;
use crate::plan::cost::totals::{Things, Totals};
use crate::plan::status::ongoing::Ongoing;
use crate::plan::status::vanished::{Cause, Vanished};
use crate::plan::status::{SiteStatus, Verdict, status};
use crate::render::tests::situations::{self, Situation};
use crate::schedule::Suspension;
use crate::transport::patience::Wait;

fn standing(situation: &Situation) -> SiteStatus {
    status(&situation.plan, &situation.replicas, &situation.observation, situation.now)
}

fn told(situation: &Situation, status: &SiteStatus) -> String {
    let plans: Vec<_> = situation.plan.replicas.iter().collect();
    let state = State { status, plans: &plans, observed: situation.now, errors: 0 };
    text("lisbon", Some(&state), &Ledger::default()).unwrap()
}

/// The samples of a text, each once.
fn samples(text: &str) -> BTreeMap<&str, f64> {
    let lines: Vec<&str> = text.lines().filter(|line| !line.starts_with('#')).collect();
    let samples: BTreeMap<&str, f64> = lines
        .iter()
        .map(|line| line.rsplit_once(' ').unwrap())
        .map(|(of, value)| (of, value.parse().unwrap()))
        .collect();
    assert_eq!(samples.len(), lines.len(), "a sample stands twice:\n{text}");
    samples
}

/// The text without what is the same in every one.
fn without_headings(text: &str) -> String {
    text.lines()
        .filter(|line| !line.starts_with('#') && !line.contains("build_info"))
        .map(|line| format!("{line}\n"))
        .collect()
}

#[test]
fn a_site_in_several_states() {
    for name in ["catching_up", "drift", "blocked", "unreachable", "out_of_reach", "hostile"] {
        let situation = situations::named(name);
        let text = told(situation, &standing(situation));
        samples(&text);
        insta::with_settings!({ omit_expression => true, prepend_module_to_snapshot => false }, {
            insta::assert_snapshot!(name, without_headings(&text));
        });
    }
}

#[test]
fn every_verdict_is_one_of_a_set_of_which_one_holds() {
    let schema = schemars::schema_for!(Verdict).to_value();
    assert_eq!(schema["oneOf"].as_array().unwrap().len(), Verdict::ALL.len());
    let situation = situations::named("in_sync");
    for verdict in Verdict::ALL {
        let mut status = standing(situation);
        status.replicas[0].verdict = verdict;
        let text = told(situation, &status);
        let of_it = "antipode_replica_verdict{site=\"lisbon\",replica=\"archive\",primary=\"frankfurt\",verdict=\"";
        let set: Vec<(&str, f64)> =
            samples(&text).into_iter().filter_map(|(of, value)| Some((of.strip_prefix(of_it)?, value))).collect();
        assert_eq!(set.len(), Verdict::ALL.len());
        let holds: Vec<&str> = set.iter().filter(|(_, value)| *value > 0.5).map(|(of, _)| *of).collect();
        assert_eq!(holds, [format!("{}\"}}", verdict.words())]);
    }
}

#[test]
fn what_is_in_a_name_cannot_make_another_sample() {
    let situation = situations::named("hostile");
    let text = told(situation, &standing(situation));
    assert!(text.contains(r#"replica="we\"ird <b>@dba ``` $(id) & [x](y) #1""#), "{text}");
    for line in text.lines().filter(|line| !line.starts_with("# ")) {
        assert!(line.starts_with("antipode_") && line.contains("{site=\"lisbon\""), "{line}");
    }
}

#[test]
fn what_nobody_knows_has_no_sample() {
    let text = text("lisbon", None, &Ledger::default()).unwrap();
    assert_eq!(without_headings(&text), "");
    let situation = situations::named("unreachable");
    let text = told(situation, &standing(situation));
    let of = |replica: &str, name: &str| {
        text.lines().any(|line| line.starts_with(&format!("{name}{{site=\"lisbon\",replica=\"{replica}\"")))
    };
    for name in ["antipode_replica_lag_segments", "antipode_replica_missing", "antipode_replica_to_copy_bytes"] {
        assert!(!of("crm", name) && of("main", name), "{name}: {text}");
    }
    assert!(!of("main", "antipode_replica_objective_kept"), "{text}");
}

#[test]
fn what_is_suspended_and_what_waits_for_a_person_is_told() {
    let situation = situations::named("in_sync");
    let mut status = standing(situation);
    for replica in &mut status.replicas {
        let is_main = replica.name.as_str() == "main";
        let since = "2026-11-29T00:00:00Z".parse().ok();
        replica.suspended = is_main.then_some(Suspension { since, until: None, by: None, why: None });
        let prune = Things { backups: 1, wal_segments: 2, ..Things::default() };
        replica.waits_for_person = is_main.then(|| Totals { prune, ..Totals::default() });
    }
    let text = told(situation, &status);
    let main = "site=\"lisbon\",replica=\"main\",primary=\"frankfurt\"";
    let archive = "site=\"lisbon\",replica=\"archive\",primary=\"frankfurt\"";
    for sample in [
        format!("antipode_replica_suspended{{{main}}} 1"),
        format!("antipode_replica_suspended{{{archive}}} 0"),
        format!("antipode_replica_suspended_since_timestamp_seconds{{{main}}} 1795910400"),
        format!("antipode_replica_waiting{{{main},reason=\"approval\"}} 3"),
    ] {
        assert!(text.lines().any(|line| line == sample), "{sample} in {text}");
    }
    assert!(!text.contains("suspended_until"), "{text}");
}

#[test]
fn what_is_copied_no_longer_and_a_run_that_is_at_work_are_told() {
    let situation = situations::named("in_sync");
    let mut status = standing(situation);
    let holds = Holds { directory: "/var/lib/barman/web".into(), backups: Some(2), newest: None };
    status.vanished.push(Vanished {
        name: "web".parse().unwrap(),
        primary: Some("frankfurt".into()),
        cause: Cause::NotDeclared,
        rpo_seconds: Some(900),
        holds,
    });
    let began: Timestamp = "2026-11-29T20:00:00Z".parse().unwrap();
    status.replicas[1].ongoing =
        Some(Ongoing { pid: None, command: None, began, last_progress: began, doing: Vec::new() });
    let text = told(situation, &status);
    for sample in [
        "antipode_replica_vanished{site=\"lisbon\",replica=\"web\",primary=\"frankfurt\",cause=\"not-declared\"} 1",
        "antipode_objectives_kept{site=\"lisbon\"} 0",
        "antipode_replica_run_progress_timestamp_seconds{site=\"lisbon\",replica=\"main\",primary=\"frankfurt\"} 1795982400",
    ] {
        assert!(text.lines().any(|line| line == sample), "{sample} in {text}");
    }
}

/// A ledger of one run over the situation that is catching up, in which the newest backup failed.
fn a_run() -> Ledger {
    let situation = situations::named("catching_up");
    let mut ledger = Ledger::default();
    for replica in &situation.plan.replicas {
        ledger.planned(replica, situation.now);
    }
    ledger.took(Stage::Observe, Duration::from_millis(700));
    ledger.took(Stage::Plan, Duration::from_millis(20));
    let main = situation.plan.replicas.iter().find(|replica| replica.name.as_str() == "main").unwrap();
    let (failed, done): (Vec<Address>, Vec<Address>) =
        main.actions.iter().map(|action| action.address.clone()).partition(|address| address.sort() == "backup");
    let error = Error::new(ErrorKind::Lost, "the line was lost");
    let wait = Wait { waited: Duration::ZERO, pause: Duration::from_secs(1) };
    let (address, primary) = (failed[0].clone(), "frankfurt".to_owned());
    ledger.noticed(&Event::Retrying { address, primary, error: error.clone(), wait });
    let failed = failed.into_iter().map(|address| (address, error.clone())).collect();
    ledger.applied(main, &Summary { done, failed, transferred: 1 << 30, ..Summary::default() });
    ledger.took(Stage::Apply, Duration::from_secs(400));
    ledger.failed(&error);
    let (began, ended) = (situation.now, situation.now + Duration::from_secs(401));
    let took = Duration::from_secs(401);
    ledger.ended(Run { command: "apply", began, ended, took, exit: Exit::PartFailed });
    ledger
}

#[test]
fn what_a_run_came_to() {
    let text = text("lisbon", None, &a_run()).unwrap();
    samples(&text);
    insta::with_settings!({ omit_expression => true, prepend_module_to_snapshot => false }, {
        insta::assert_snapshot!("run", without_headings(&text));
    });
}

#[test]
fn what_grows_goes_on_from_an_earlier_text_and_what_another_command_told_stays() {
    let mut ledger = kept::read(&text("lisbon", None, &a_run()).unwrap()).ledger;
    let mut status = Ledger::default();
    let (began, took) = ("2026-11-30T01:00:00Z".parse().unwrap(), Duration::from_secs(2));
    status.ended(Run { command: "status", began, ended: began, took, exit: Exit::ObjectiveMissed });
    ledger.add(status);
    ledger.add(a_run());
    let text = text("lisbon", None, &ledger).unwrap();
    let samples = samples(&text);
    let main = "{site=\"lisbon\",replica=\"main\",primary=\"frankfurt\"}";
    for (sample, value) in [
        (format!("antipode_replica_copied_bytes_total{main}"), f64::from(2_u32.pow(31))),
        (format!("antipode_replica_last_plan_timestamp_seconds{main}"), 1_795_996_800.0),
        ("antipode_runs_total{site=\"lisbon\",command=\"apply\",result=\"part-failed\"}".to_owned(), 2.0),
        ("antipode_last_run_exit_code{site=\"lisbon\",command=\"status\"}".to_owned(), 2.0),
        ("antipode_last_run_success_timestamp_seconds{site=\"lisbon\",command=\"status\"}".to_owned(), 1_796_000_400.0),
        ("antipode_stage_duration_seconds_bucket{site=\"lisbon\",stage=\"apply\",le=\"900\"}".to_owned(), 2.0),
        ("antipode_stage_duration_seconds_sum{site=\"lisbon\",stage=\"apply\"}".to_owned(), 800.0),
    ] {
        assert_eq!(samples.get(sample.as_str()), Some(&value), "{sample} in {text}");
    }
    assert!(!text.contains("success_timestamp_seconds{site=\"lisbon\",command=\"apply\""), "{text}");
}

#[test]
fn nothing_stays_of_a_replica_that_is_gone_or_has_another_primary() {
    let (main, archive) = ("main".parse().unwrap(), "archive".parse().unwrap());
    let mut ledger = a_run();
    ledger.retain([(&main, "frankfurt"), (&archive, "madrid")]);
    let text = text("lisbon", None, &ledger).unwrap();
    assert!(text.contains("replica=\"main\"") && !text.contains("replica=\"archive\""), "{text}");
    assert!(text.contains("antipode_last_run_exit_code") && text.contains("antipode_site_faults_total"), "{text}");
}

#[test]
fn a_fault_of_every_kind_is_counted_by_its_kind() {
    let mut ledger = Ledger::default();
    for kind in all_kinds() {
        ledger.failed(&Error::new(kind, "no"));
    }
    let text = text("lisbon", None, &ledger).unwrap();
    for kind in all_kinds() {
        assert!(text.contains(&format!("antipode_site_faults_total{{site=\"lisbon\",kind=\"{}\"}} 1\n", kind.label())));
    }
}

#[test]
fn every_series_is_named_once_and_as_prometheus_names_them() {
    let names: BTreeSet<&str> = series::all().map(|series| series.name).collect();
    assert_eq!(names.len(), series::all().count());
    for series in series::all() {
        assert_eq!(series.name.ends_with("_total"), series.kind == Kind::Counter, "{}", series.name);
        assert!(series.labels.first() == Some(&"site") && series.help.ends_with('.'), "{}", series.name);
    }
}

//! Golden files of `status`: how replicas in every situation are told.

use jiff::Timestamp;

use crate::error::{Error, Kind};
use crate::plan::reason::{Blocker, Note, Warning};
use crate::plan::recovery::Recovery;
use crate::plan::recovery::objective::Objective;
use crate::plan::recovery::shortfall::Shortfall;
use crate::plan::status::{BackupCounts, ReplicaStatus, SiteStatus, Verdict};
use crate::plan::tests::build::*;
use crate::plan::{Outcome, Plan, ReplicaPlan};
use crate::render::Style;
use crate::render::status::{Told, status};
use crate::render::status_json::status_json;
use crate::schemas::Name;

fn now() -> Timestamp {
    "2026-11-22T09:30:00Z".parse().unwrap()
}

/// How a replica stands that was planned, or was not.
fn stands(plan: &ReplicaPlan, verdict: Verdict, rpo: Option<u64>) -> ReplicaStatus {
    let is_observed = matches!(plan.outcome, Outcome::Planned | Outcome::Blocked(_));
    let lag = plan.before.lag.filter(|_| is_observed);
    let age = plan.before.to.map(|to| now().as_second() - to.as_second()).and_then(|age| u64::try_from(age).ok());
    let loss = lag.map_or(age, |lag| lag.seconds.and_then(|seconds| u64::try_from(seconds).ok()));
    let known = |n| is_observed.then_some(n);
    ReplicaStatus {
        drilled: None,
        silence: None,
        lacks_room: false,
        name: plan.name.clone(),
        primary: plan.primary.clone(),
        server: plan.server.clone(),
        verdict,
        recovery: Recovery { lag, ..plan.before },
        age,
        objective: rpo.map(|rpo| Objective { rpo, loss, kept: loss.is_some_and(|loss| loss <= rpo) }),
        last_apply: plan.before.window.map(|_| "2026-11-22T09:26:30Z".parse().unwrap()),
        last_apply_is_ahead: false,
        backups: BackupCounts {
            here: plan.before.backups,
            wanted: known(7),
            at_primary: known(9),
            ..BackupCounts::default()
        },
        verified: None,
        damaged: 0,
        ongoing: None,
        suspended: None,
        waits_for_person: None,
    }
}

fn in_sync() -> (ReplicaPlan, ReplicaStatus) {
    let mut plan = replica("archive");
    plan.before.lag = Some(lag(0, 0));
    let status = stands(&plan, Verdict::InSync, Some(900));
    (plan, status)
}

fn behind() -> (ReplicaPlan, ReplicaStatus) {
    let plan = replica("main").behind("2026-11-22 09:12:03", 63, 863).of([
        add(copy("1122", 412 * GIB)),
        wals(range(1, 0x1A440, 0x1A47E), None),
        truncated(range(1, 0x1A307, 0x1A307), 5_242_880),
    ]);
    let status = stands(&plan, Verdict::Behind, Some(900));
    (plan, status)
}

fn missed() -> (ReplicaPlan, ReplicaStatus) {
    let mut plan =
        replica("orders").behind("2026-11-22 09:12:03", 63, 863).of([wals(range(1, 0x1A440, 0x1A47E), None)]);
    plan.warnings = vec![Warning::BehindObjective { lag: Some(863), rpo: 300, mended: true, of_origin: false }];
    plan.notes = vec![Note::KeptHereOnly { count: 3, first: id("1101") }];
    let status = stands(&plan, Verdict::ObjectiveMissed, Some(300));
    (plan, status)
}

fn new_here() -> (ReplicaPlan, ReplicaStatus) {
    let plan = replica("new").new_here().of([create(), add(copy("1122", 12 * GIB))]);
    let status = stands(&plan, Verdict::NotRecoverable, None);
    (plan, status)
}

fn blocked() -> (ReplicaPlan, ReplicaStatus) {
    let mut plan = replica("mixed").behind("2026-11-22 09:25:03", 2, 83);
    plan.outcome = Outcome::Blocked(vec![Blocker::RunHere]);
    let status = stands(&plan, Verdict::Blocked, None);
    (plan, status)
}

fn unreachable(name: &str, rpo: Option<u64>) -> (ReplicaPlan, ReplicaStatus) {
    let mut plan = replica(name);
    plan.primary = "tokyo".into();
    plan.outcome = Outcome::Unobserved(
        Error::new(Kind::Unreachable, "primary tokyo: it refuses connections on port 22\u{1b}[2J")
            .hint("check that sshd runs there"),
    );
    let verdict = if rpo == Some(60) { Verdict::ObjectiveMissed } else { Verdict::PrimaryUnreachable };
    let status = stands(&plan, verdict, rpo);
    (plan, status)
}

fn inactive() -> (ReplicaPlan, ReplicaStatus) {
    let mut plan = replica("retired");
    plan.outcome = Outcome::Inactive("Skipping inactive server 'retired'".into());
    let status = stands(&plan, Verdict::Inactive, None);
    (plan, status)
}

fn unreadable() -> (ReplicaPlan, ReplicaStatus) {
    let mut plan = replica("sealed");
    plan.before = Recovery::default();
    let message = "replica sealed, at the site: /var/lib/barman/sealed cannot be read: Permission denied";
    plan.outcome = Outcome::Unobserved(
        Error::new(Kind::PermissionDenied, message).hint("run as the user that owns the catalog, usually barman"),
    );
    let status = ReplicaStatus { backups: BackupCounts::default(), ..stands(&plan, Verdict::Unreadable, None) };
    (plan, status)
}

fn everything() -> Vec<(ReplicaPlan, ReplicaStatus)> {
    let far = [unreachable("far", Some(3600)), unreachable("farther", Some(60))];
    vec![in_sync(), behind(), blocked(), missed(), new_here(), inactive(), unreadable()]
        .into_iter()
        .chain(far)
        .collect()
}

fn of(replicas: Vec<(ReplicaPlan, ReplicaStatus)>) -> (Plan, SiteStatus) {
    let (plans, statuses) = replicas.into_iter().unzip();
    (
        site(plans),
        SiteStatus {
            site: "lisbon".into(),
            replicas: statuses,
            vanished: Vec::new(),
            detached: Vec::new(),
            keeper: None,
        },
    )
}

fn told(replicas: Vec<(ReplicaPlan, ReplicaStatus)>, quiet: bool, style: Style) -> String {
    let (plan, status_of) = of(replicas);
    status(Told { status: &status_of, plan: &plan, now: now(), quiet }, style)
}

fn golden(name: &str, text: &str) {
    for line in text.lines() {
        assert!(!line.ends_with(' '), "{line:?} ends with a space");
    }
    let text = text.replace('\u{1b}', "␛");
    insta::with_settings!({ omit_expression => true, prepend_module_to_snapshot => false, snapshot_path => "../snapshots" }, {
        insta::assert_snapshot!(name, text);
    });
}

#[test]
fn each_replica_is_a_line() {
    golden("status", &told(everything(), false, Style::default()));
}

#[test]
fn a_narrow_terminal_folds_the_lines() {
    for columns in [60, 80] {
        let text = told(everything(), false, Style { width: Some(columns), ..Style::default() });
        let widest = text.lines().map(crate::render::ink::width).max().unwrap();
        assert!(widest <= usize::from(columns), "{widest} columns:\n{text}");
        golden(&format!("status_{columns}_columns"), &text);
    }
}

#[test]
fn no_width_is_too_small_for_a_status() {
    for columns in 1..200 {
        told(everything(), false, Style { width: Some(columns), verbose: true, ..Style::default() });
    }
}

#[test]
fn colour_adds_nothing_to_a_status_but_colour() {
    let coloured = told(everything(), false, Style { colour: true, ..Style::default() });
    let mut plain = String::new();
    for (i, piece) in coloured.split('\u{1b}').enumerate() {
        plain.push_str(if i == 0 { piece } else { piece.split_once('m').unwrap().1 });
    }
    assert_eq!(plain, told(everything(), false, Style::default()));
}

#[test]
fn verbose_gives_the_reasons() {
    golden("status_verbose", &told(everything(), false, Style { verbose: true, ..Style::default() }));
}

#[test]
fn what_is_lacking_is_named_without_being_asked_for() {
    let (mut plan, _) = in_sync();
    plan.shortfalls = vec![Shortfall::WalGone { count: 2, first: "00000001000001A300000008".parse().unwrap() }];
    plan.warnings = vec![Warning::AppliedAhead("2026-11-24T00:00:00Z".parse().unwrap())];
    let status = stands(&plan, Verdict::Incomplete, None);
    for (verbose, quiet) in [(false, false), (false, true), (true, false)] {
        let text = told(vec![(plan.clone(), status.clone())], quiet, Style { verbose, ..Style::default() });
        for name in ["00000001000001A300000008", "2026-11-24"] {
            assert!(text.contains(name), "{name}, verbose {verbose}, quiet {quiet}:\n{text}");
        }
    }
}

#[test]
fn quiet_leaves_only_those_that_are_not_well() {
    let text = told(everything(), true, Style::default());
    assert!(!text.contains("archive") && !text.contains("in sync"), "{text}");
    assert!(text.contains("orders") && text.contains("tokyo"), "{text}");
    assert_eq!(told(vec![in_sync(), behind()], true, Style::default()), "");
}

#[test]
fn a_site_without_replicas_says_so() {
    let text = told(Vec::new(), false, Style::default());
    assert!(text.ends_with("Status: the site has no replica.\n"), "{text}");
}

#[test]
fn the_json_form_follows_its_schema() {
    let schema = serde_json::from_str(&Name::Status.text()).unwrap();
    let validator = jsonschema::validator_for(&schema).unwrap();
    let (plan, status) = of(everything());
    let errors = [Error::new(Kind::Unreachable, "the mirror of tokyo is not planned").hint("call them")];
    let text = status_json(Told { status: &status, plan: &plan, now: now(), quiet: true }, &errors);
    let json: serde_json::Value = serde_json::from_str(&text).unwrap();
    let mistakes: Vec<String> = validator.iter_errors(&json).map(|error| error.to_string()).collect();
    assert_eq!(mistakes, [""; 0], "{text}");
    assert!(!text.contains("\\u001b"), "what a primary says is made harmless");
    for (told, status) in json["replicas"].as_array().unwrap().iter().zip(&status.replicas) {
        assert_eq!(told["verdict"], status.verdict.words());
    }
    assert_eq!(json["objectives_kept"], false);
    golden("status_json", &text);
}

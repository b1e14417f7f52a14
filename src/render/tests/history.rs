//! What runs over the same situations leave in the journal, and how that is told.

use crate::error::{Error, Kind};
use crate::events::Summary;
use crate::journal::chain::Break;
use crate::journal::tests::{by, run};
use crate::journal::{By, Ended, Failure, History, Outcome, Run, SiteFile, Told};
use crate::plan::{Plan, ReplicaPlan};
use crate::render::{Style, breaks, history, recorded};

use super::situations;

fn told(run: Run) -> Told {
    let Run { began, milliseconds, begun: _, by, errors, replicas } = run;
    Told { line: 1, began, milliseconds: Some(milliseconds), ended: Ended::ByItself, by, errors, replicas }
}

fn text(runs: Vec<Told>, style: Style) -> String {
    history(&History { runs, ..History::default() }, "No run is recorded.", style)
}

/// What a replica came to of which all is done but this many actions, with what became of these.
fn all_but(plan: &ReplicaPlan, rest: usize, fails: impl Fn(usize) -> Option<Error>) -> Summary {
    let mut addresses = plan.actions.iter().map(|action| action.address.clone()).collect::<Vec<_>>();
    let left = addresses.split_off(addresses.len().saturating_sub(rest));
    let failed: Vec<_> =
        left.iter().enumerate().filter_map(|(n, address)| Some((address.clone(), fails(n)?))).collect();
    let skipped = left.into_iter().filter(|address| failed.iter().all(|(failed, _)| failed != address)).collect();
    let transferred = if plan.actions.is_empty() { 0 } else { 3 << 30 };
    Summary { done: addresses, failed, skipped, transferred, ..Summary::default() }
}

/// A plan with many actions.
fn main() -> &'static ReplicaPlan {
    let plan = &situations::named("catching_up").plan;
    plan.replicas.iter().find(|replica| replica.name.as_str() == "main").unwrap()
}

fn done(plan: &Plan) -> Run {
    run(plan.replicas.iter().map(|replica| recorded(replica, &all_but(replica, 0, |_| None))).collect())
}

#[test]
fn a_run_of_every_situation_is_told() {
    situations::golden("history", |situation| text(vec![told(done(&situation.plan))], Style::default()));
}

#[test]
fn what_a_run_leaves_is_short_and_says_how_it_ended() {
    for situation in situations::all() {
        let run = done(&situation.plan);
        for replica in &run.replicas {
            let length = serde_json::to_string(replica).unwrap().len();
            assert!(length < 12_000, "{}: {length} bytes", situation.name);
            let is_well = matches!(replica.outcome, Outcome::Done | Outcome::InSync);
            assert!(is_well || !replica.reasons.is_empty() || !replica.failures.is_empty(), "{}", situation.name);
        }
    }
}

#[test]
fn the_outcome_is_what_became_of_the_actions() {
    let plan = main();
    let of = |summary: Summary| {
        let replica = recorded(plan, &summary);
        (replica.outcome, replica.failed, replica.left)
    };
    let full = |_| Some(Error::new(Kind::NoSpace, "the disk is full"));
    assert_eq!(of(all_but(plan, 0, |_| None)), (Outcome::Done, 0, 0));
    assert_eq!(of(all_but(plan, 2, full)), (Outcome::Failed, 2, 0));
    assert_eq!(of(Summary { interrupted: true, ..all_but(plan, 2, |_| None) }), (Outcome::Interrupted, 0, 2));
    assert_eq!(of(Summary { interrupted: true, ..all_but(plan, 0, |_| None) }), (Outcome::Done, 0, 0));
    assert_eq!(of(Summary { stopped_at: Some(1), ..all_but(plan, 2, |_| None) }), (Outcome::Stopped, 0, 2));
}

/// A run of a person, one that failed, one that was killed, one that is at work, one that was refused.
fn runs() -> Vec<Told> {
    let plan = main();
    let full = |n| (n == 0).then(|| Error::new(Kind::NoSpace, "the disk of /var/lib/barman is full\u{1b}[2J"));
    let failed = recorded(plan, &all_but(plan, 2, full));
    let commit = Some("5d41402abc4b2a76b9719d911017c592".to_owned());
    let person = By {
        sudo_user: Some("alice".to_owned()),
        site_file: SiteFile { commit, ..by("apply").site_file },
        plan: Some("8c6976e5b5410415bde908bd4dee15df".to_owned()),
        ..by("apply")
    };
    let unknown = recorded(plan, &Summary::default()).name;
    let unknown = crate::journal::tests::replica(&unknown, Outcome::Unknown);
    let begun = |ended| Told { milliseconds: None, ended, ..told(run(vec![unknown.clone()])) };
    let stale = Failure { address: None, kind: Kind::Stale, message: "the plan p.json is stale".to_owned() };
    vec![
        begun(Ended::NotYet),
        told(Run { by: person.clone(), milliseconds: 7_384_000, ..run(vec![failed]) }),
        begun(Ended::Unknown),
        told(Run { by: person, milliseconds: 3, errors: vec![stale], ..run(Vec::new()) }),
    ]
}

#[test]
fn who_ran_it_and_how_it_ended_is_told() {
    insta::assert_snapshot!(text(runs(), Style::default()));
    let narrow = text(runs(), Style { width: Some(60), ..Style::default() });
    let below = narrow.lines().filter(|line| line.starts_with(' '));
    assert!(below.clone().count() > 5 && below.clone().all(|line| line.chars().count() <= 60), "{narrow}");
    let coloured = text(runs(), Style { colour: true, ..Style::default() });
    assert!(coloured.contains("\u{1b}[31m") && !coloured.contains("\u{1b}[2J"), "{coloured}");
}

#[test]
fn what_is_not_shown_is_counted() {
    let history = |dropped, cut, later| {
        let of = History { dropped, cut, later, ..History::default() };
        history(&of, "No run of main is recorded.", Style::default())
    };
    assert_eq!(history(0, 0, 0), "No run of main is recorded.\n");
    insta::assert_snapshot!(history(1204, 1, 2), @r"
    No run of main is recorded.

    1 line was cut off by a kill or a full disk.
    Not shown: 2 lines of another version of antipode.
    Earlier than these 1 204 lines were dropped to bound its size.
    ");
}

#[test]
fn each_break_is_told_with_its_place() {
    let all = [
        Break::Missing { from: 3, to: 3 },
        Break::Missing { from: 5, to: 9 },
        Break::Changed { line: 12 },
        Break::Misplaced { line: 14 },
        Break::Foreign { behind: 0 },
        Break::Foreign { behind: 20 },
        Break::CutOff,
        Break::EndUnknown,
    ];
    let told: Vec<String> = all.iter().map(|one| breaks(std::slice::from_ref(one))).collect();
    insta::assert_snapshot!(told.join("\n"), @r"
    line 3 is missing
    lines 5 to 9 are missing
    line 12 is not as it was written
    line 14 is not in its place
    its first line was not written by antipode
    what follows the first 20 lines was not written by antipode
    its last line was cut off
    the note of its end is missing, so that nothing shows whether runs are missing there
    ");
    assert_eq!(breaks(&all[..2]), "line 3 is missing and lines 5 to 9 are missing");
}

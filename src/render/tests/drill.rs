//! What drills came to, as people and programs read it.

use crate::barman::drill::tests::drill;
use crate::barman::drill::{Drill, Step, Verdict, What, verdict};
use crate::render::Style;
use crate::render::drill::{drills, html, junit, sentence};

fn step(what: What, verdict: Option<Verdict>, told: &str) -> Step {
    Step { what, verdict, told: told.to_owned(), milliseconds: 1234 }
}

/// One that proved all, one that disproved something, one that could not be run.
fn three() -> [Drill; 3] {
    let good = drill("2026-11-22T10:00:00Z");
    let mut steps = good.steps.clone();
    steps.push(step(What::Relations, None, "pg_amcheck is not installed"));
    let told = "select count(*) from <orders> & \"more\": expected 42, got 41";
    steps.push(step(What::Check, Some(Verdict::Disproved), told));
    let bad = Drill { replica: "crm".parse().unwrap(), verdict: verdict(&steps), steps, ..good.clone() };
    let steps = vec![step(What::Way, Some(Verdict::NotRun), "there is no backup 20200101T000000 here")];
    let none = Drill {
        replica: "web".parse().unwrap(),
        verdict: verdict(&steps),
        steps,
        aim: None,
        reached: None,
        databases: vec![],
        pace: None,
        ..good.clone()
    };
    [good, bad, none]
}

#[test]
fn each_step_says_what_was_looked_at_and_what_could_not_be_is_no_good_word() {
    insta::assert_snapshot!(drills(&three(), Style::default()));
    let [good, bad, none] = three();
    assert!(
        sentence(&good).starts_with("proved: recovers to 0/14000148, 2026-11-22 09:12:03Z in 1 min 30 s"),
        "{}",
        sentence(&good)
    );
    assert!(sentence(&bad).starts_with("disproved: check: select count(*)"), "{}", sentence(&bad));
    assert!(sentence(&none).starts_with("could not be run: backup and wal: there is no backup"), "{}", sentence(&none));
}

#[test]
fn a_slow_recovery_is_said_against_its_objective() {
    let slow = Drill { rto_seconds: Some(60), ..drill("2026-11-22T10:00:00Z") };
    assert!(
        slow.misses_objective() && sentence(&slow).ends_with("longer than `objective.rto`, 1 min"),
        "{}",
        sentence(&slow)
    );
    assert!(!drill("2026-11-22T10:00:00Z").misses_objective());
}

#[test]
fn what_shows_the_results_of_tests_tells_failures_from_errors() {
    insta::assert_snapshot!(junit(&three()));
}

#[test]
fn the_page_has_everything_and_nothing_of_anybody_is_markup() {
    let page = html(&three());
    assert!(page.contains("select count(*) from &lt;orders&gt; &amp; &quot;more&quot;"), "{page}");
    for words in ["proved", "disproved", "could not be run", "not tried", "000000010000000000000014", "0/14000148"] {
        assert!(page.contains(words), "{words}");
    }
    assert!(!page.contains("<script"));
}

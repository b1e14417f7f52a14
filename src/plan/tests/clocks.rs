//! A clock that is wrong, and rules that go by time.

use jiff::Timestamp;

use super::case::{Case, case};
use crate::plan::reason::Note;
use crate::site::model::{Rule, Selection};

const FOUR: &str = "@18 1/02  @19 1/04  @20 1/06  @21 1/08 | 1/02..0A";

fn at(time: &str) -> Timestamp {
    time.parse().unwrap()
}

/// Backups of two days and the one before them are wanted, and all others may be deleted.
fn two_days(there: &str, here: &str, rule: Rule) -> Case {
    let case = case(there, here).prune_unselected();
    case.with(|case| case.replica.policy.backups = Selection::Union(vec![rule]))
}

fn rules() -> [Rule; 2] {
    [Rule::Within(std::time::Duration::from_secs(2 * 86_400)), Rule::RecoveryWindow { days: 2.try_into().unwrap() }]
}

#[test]
fn a_clock_that_is_ahead_deletes_no_more_than_one_that_is_right() {
    for rule in rules() {
        let right = two_days(FOUR, FOUR, rule).with(|case| case.now = at("2026-11-22T00:00:00Z"));
        let expected = right.actions();
        assert!(expected.iter().any(|words| words.starts_with("-backup 18")), "{expected:?}");
        for time in ["2026-11-23T00:00:00Z", "2027-11-22T00:00:00Z", "2999-01-01T00:00:00Z"] {
            let case = right.clone().with(|case| case.now = at(time));
            assert_eq!(case.actions(), expected, "{rule} at {time}");
        }
    }
}

#[test]
fn a_clock_that_is_behind_deletes_nothing() {
    for rule in rules() {
        for time in ["2026-11-18T00:00:00Z", "2025-11-22T00:00:00Z", "1970-01-01T00:00:00Z"] {
            let case = two_days(FOUR, FOUR, rule).with(|case| case.now = at(time));
            assert_eq!(case.actions(), [""; 0], "{rule} at {time}");
        }
    }
}

#[test]
fn what_a_primary_dates_in_the_future_makes_nothing_old() {
    let rule = rules()[0];
    let expected = two_days(FOUR, FOUR, rule).with(|case| case.now = at("2026-11-22T00:00:00Z")).actions();
    let hostile = two_days(FOUR, FOUR, rule).with(|case| {
        case.now = at("2026-11-22T00:00:00Z");
        for backup in case.primary.backups.values_mut().rev().take(1) {
            backup.facts.end_time = Some(at("2028-01-01T00:00:00Z"));
        }
    });
    assert_eq!(hostile.actions(), expected);
}

#[test]
fn what_only_the_clock_would_let_go_is_told_where_it_is_more_than_a_quiet_day() {
    let case = two_days(FOUR, FOUR, rules()[0]);
    let notes = |time: &str| case.clone().with(|case| case.now = at(time)).plan().notes;
    assert_eq!(notes("2026-11-22T00:00:00Z"), []);
    let newest = at("2026-11-21T22:43:30Z");
    assert_eq!(notes("2027-11-22T00:00:00Z"), [Note::TimeStandsStill { count: 2, newest }]);
    let may_not = case.clone().with(|case| {
        case.replica.policy.prune.unselected = false;
        case.now = at("2027-11-22T00:00:00Z");
    });
    assert!(!may_not.plan().notes.iter().any(|note| matches!(note, Note::TimeStandsStill { .. })));
}

//! What of a plan is done without a person, and what waits.

use std::collections::BTreeMap;

use proptest::prelude::*;

use crate::observe::inventory::{Observation, Observed, ReplicaObservation};
use crate::plan::Plan;
use crate::plan::scope::leave::{Leave, Waiting};
use crate::site::model::Auto;

use super::case::{Case, case, whole, words};
use super::generate::any_case;
use super::properties::{is_all_listed, recoverable_now};

/// What may be done when nobody says otherwise.
const USUAL: Leave = Leave { auto: Auto { add: true, repair: true, prune: false }, backups: true, wals: true };

const EVERYTHING: Leave = Leave { auto: Auto { add: true, repair: true, prune: true }, ..USUAL };

impl Case {
    fn leave(&self, leave: Leave) -> (Plan, Waiting) {
        let primary = Observed::Active(Box::new(self.primary.clone()));
        let ends = ReplicaObservation { primary, replica: self.here.clone() };
        let observation = Observation { replicas: BTreeMap::from([(self.replica.name.clone(), ends)]) };
        whole(self.plan()).with_leave(leave, &observation, self.now)
    }

    /// What is done, and how many backups and segments wait for a person and for a window.
    fn left(&self, leave: Leave) -> (Vec<String>, [u64; 4]) {
        let (plan, Waiting { for_person, for_window }) = self.leave(leave);
        let done = plan.replicas[0].actions.iter().map(words).collect();
        let count = |totals: crate::plan::cost::totals::Totals| {
            let all = [totals.add, totals.repair, totals.update, totals.prune];
            (all.iter().map(|things| things.backups).sum(), all.iter().map(|things| things.wal_segments).sum())
        };
        let ((person_backups, person_wals), (window_backups, window_wals)) = (count(for_person), count(for_window));
        (done, [person_backups, person_wals, window_backups, window_wals])
    }
}

#[test]
fn what_is_deleted_waits_for_a_person_unless_it_is_let_be_done() {
    let here = "@18 1/02  @19 1/04  @20 1/06  @21 1/08 | 1/02..0A";
    let case = case("@18 1/02  @19 1/04  @20 1/06  @21 1/08 | 1/02..0C", here).last(2).prune_unselected();
    let (done, waiting) = case.left(USUAL);
    assert_eq!((done, waiting), (vec!["+wal 1/0B..0C".to_owned()], [2, 4, 0, 0]));
    let (done, waiting) = case.left(EVERYTHING);
    assert_eq!(done, ["+wal 1/0B..0C", "-backup 18", "-backup 19", "-wal 1/02..05"]);
    assert_eq!(waiting, [0; 4]);
}

#[test]
fn what_a_broken_copy_left_is_tidied_up_without_a_person() {
    let mut case = case("@21 1/08 | 1/08..0A", "@21 1/08 | 1/08..0A");
    case.here.staged = BTreeMap::from([(super::notation::id("19"), 5)]);
    assert_eq!(case.left(USUAL), (vec!["-staging 19".to_owned()], [0; 4]));
}

#[test]
fn whatever_needs_what_waits_for_a_person_waits_with_it() {
    let case = case("@21 1/08  @22 1/0A | 1/08..0C", "@21 1/08 | 1/08..09 1/0A=5");
    let nothing_repaired = Leave { auto: Auto { repair: false, ..USUAL.auto }, ..USUAL };
    let (done, [backups, wals, ..]) = case.left(nothing_repaired);
    assert!(!done.iter().any(|words| words.starts_with('~')), "{done:?}");
    assert!(!done.contains(&"+backup 22".to_owned()), "it needs the segment that is repaired: {done:?}");
    assert_eq!((backups, wals > 0), (1, true));
    let nothing_added = Leave { auto: Auto { add: false, ..USUAL.auto }, ..USUAL };
    assert_eq!(case.left(nothing_added).0, ["~wal 1/0A"]);
}

#[test]
fn outside_of_a_window_no_backup_comes_and_wal_does_unless_everything_is_denied() {
    let case = case("@21 1/08  @22 1/0A | 1/08..0C", "@21 1/08 | 1/08..09");
    let (done, waiting) = case.left(Leave { backups: false, ..USUAL });
    assert!(done.iter().all(|words| words.starts_with("+wal")) && !done.is_empty(), "{done:?}");
    assert_eq!(waiting, [0, 0, 1, 0]);
    let (done, [.., backups, wals]) = case.left(Leave { backups: false, wals: false, ..USUAL });
    assert_eq!((done.len(), backups, wals), (0, 1, 3));
}

proptest! {
    #[test]
    fn what_is_done_without_a_person_leaves_nothing_worse(
        case in any_case(), add: bool, repair: bool, prune: bool, backups: bool, wals: bool,
    ) {
        let leave = Leave { auto: Auto { add, repair, prune }, backups, wals };
        let (plan, waiting) = case.leave(leave);
        let after = case.after(&plan.replicas[0]);
        let lost: Vec<_> = recoverable_now(&case).difference(&recoverable_now(&after)).copied().collect();
        prop_assert!(prune || lost.is_empty(), "{lost:?} cannot be recovered any more");
        prop_assert!(is_all_listed(&after) || !is_all_listed(&case), "something is listed that is not here");
        let (whole, _) = case.leave(EVERYTHING);
        let done = plan.replicas[0].actions.len() + plan.replicas[0].left_out;
        prop_assert_eq!(done, whole.replicas[0].actions.len());
        prop_assert_eq!(waiting == Waiting::default(), plan.replicas[0].left_out == 0);
    }
}

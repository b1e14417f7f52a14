//! What of a newer plan is done beside an older one that is being done.

use std::collections::BTreeMap;

use proptest::prelude::*;

use crate::observe::inventory::{Observation, Observed, ReplicaObservation};
use crate::plan::ReplicaPlan;
use crate::plan::action::kinds::Effect;

use super::case::{Case, case, whole, words};
use super::generate::any_case;
use super::properties::is_all_listed;

impl Case {
    /// What of its plan is done beside another one.
    fn beside(&self, running: &ReplicaPlan) -> ReplicaPlan {
        let primary = Observed::Active(Box::new(self.primary.clone()));
        let ends = ReplicaObservation { primary, replica: self.here.clone() };
        let observation = Observation { replicas: BTreeMap::from([(self.replica.name.clone(), ends)]) };
        whole(self.plan()).beside(running, &observation, self.now).replicas.remove(0)
    }
}

/// What is done beside a plan of the first case, when the second one is seen.
fn beside(running: &Case, newer: &Case) -> Vec<String> {
    newer.beside(&running.plan()).actions.iter().map(words).collect()
}

#[test]
fn wal_that_was_archived_since_comes_and_nothing_else_does() {
    let running = case("@21 1/08  @22 1/0A | 1/08..0C", "@21 1/08 | 1/08..09");
    for (there, here, expected) in [
        // What the running plan brings is not brought twice, whether it has come or not.
        ("@21 1/08  @22 1/0A | 1/08..0C", "@21 1/08 | 1/08..09", &[][..]),
        ("@21 1/08  @22 1/0A | 1/08..0E", "@21 1/08 | 1/08..09", &["+wal 1/0D..0E"]),
        ("@21 1/08  @22 1/0A | 1/08..0E", "@21 1/08 | 1/08..0C", &["+wal 1/0D..0E"]),
        // A backup that came since waits, and WAL that it needs does not.
        (
            "@21 1/08  @22 1/0A  @23 1/0E | 1/08..10",
            "@21 1/08 | 1/08..0C",
            &["+wal 1/0D", "+wal 1/0E", "+wal 1/0F..10"],
        ),
        // What is damaged waits for a plan of its own.
        ("@21 1/08  @22 1/0A | 1/08..0D", "@21 1/08 | 1/08 1/09=5 1/0A..0C", &["+wal 1/0D"]),
    ] {
        let mut done = beside(&running, &case(there, here));
        done.sort();
        assert_eq!(done, expected, "{there} | {here}");
    }
}

#[test]
fn nothing_comes_before_there_is_a_place_for_it() {
    let running = case("@22 1/0A | 1/0A..0C", "");
    assert!(running.plan().actions.iter().any(|action| action.change.effect() == Effect::Server));
    let newer = case("@22 1/0A | 1/0A..0E", "").with(|case| case.here.exists = false);
    assert_eq!(beside(&running, &newer), Vec::<String>::new());
    assert_eq!(beside(&running, &case("@22 1/0A | 1/0A..0E", "| 1/0A")), ["+wal 1/0D..0E"]);
}

proptest! {
    #[test]
    fn it_brings_no_file_twice_and_leaves_nothing_worse(running in any_case(), newer in any_case()) {
        let running = running.plan();
        let beside = newer.beside(&running);
        let names = |plan: &ReplicaPlan| -> Vec<_> {
            let batches = plan.actions.iter().filter_map(|action| action.change.effect().shipped());
            batches.flat_map(|batch| batch.names().collect::<Vec<_>>()).collect()
        };
        let brought = names(&running);
        prop_assert!(names(&beside).iter().all(|name| !brought.contains(name)));
        let wanted = names(&newer.plan());
        prop_assert!(names(&beside).iter().all(|name| wanted.contains(name)));
        let after = newer.after(&beside);
        prop_assert!(is_all_listed(&after) || !is_all_listed(&newer), "something is listed that is not here");
        prop_assert!(beside.left_out > 0 || beside.actions == newer.plan().actions);
    }
}

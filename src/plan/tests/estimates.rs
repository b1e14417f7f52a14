//! How long copying is said to take.

use std::time::Duration;

use crate::barman::last_apply::{LastApply, Measured};
use crate::plan::cost::estimate::{Basis, Estimate, Pace, of_action, of_plan};
use crate::plan::{Plan, ReplicaPlan};

use super::case::{Case, case, whole};

const MIB: u64 = 1 << 20;

/// 16 segments are missing: 256 MiB.
fn sixteen_missing() -> Case {
    case("@21 1/08..0A | 1/08..1F", "@21 1/08..0A | 1/08..0F")
}

fn last_apply(mib_per_second: u64) -> LastApply {
    let measured = Measured { bytes: 10 * mib_per_second * MIB, time: Duration::from_secs(10) };
    let ended = "2026-11-29T00:00:00Z".parse().ok();
    LastApply { ended, primary: "frankfurt".to_owned(), measured: Some(measured), site: None }
}

fn estimate(seconds: u64, mib_per_second: u64, basis: Basis) -> Estimate {
    Estimate { seconds, rate: mib_per_second * MIB, basis }
}

#[test]
fn nothing_is_said_when_no_rate_is_known() {
    assert_eq!(of_plan(&whole(sixteen_missing().plan())), None);
}

#[test]
fn nothing_is_said_when_nothing_is_copied() {
    let level = case("@21 1/08..0A | 1/08..1F", "@21 1/08..0A | 1/08..1F").with(|case| case.limit = Some(MIB));
    assert_eq!(of_plan(&whole(level.plan())), None);
}

#[test]
fn a_declared_bandwidth_says_at_least_and_the_lower_one_counts() {
    let case = sixteen_missing().with(|case| case.limit = Some(64 * MIB));
    assert_eq!(of_plan(&whole(case.plan())), Some(estimate(4, 64, Basis::Limit)));
    let case = case.with(|case| case.replica.policy.transfer.bandwidth = Some(32 * MIB));
    assert_eq!(of_plan(&whole(case.plan())), Some(estimate(8, 32, Basis::Limit)));
}

#[test]
fn a_measured_rate_says_about_and_never_more_than_the_bandwidth() {
    let case = sixteen_missing().with(|case| case.here.last_apply = Some(last_apply(16)));
    assert_eq!(of_plan(&whole(case.plan())), Some(estimate(16, 16, Basis::Measured)));
    let case = case.with(|case| case.limit = Some(8 * MIB));
    assert_eq!(of_plan(&whole(case.plan())), Some(estimate(32, 8, Basis::Measured)));
}

#[test]
fn the_rate_of_another_primary_says_nothing() {
    let case = sixteen_missing().with(|case| {
        case.here.last_apply = Some(LastApply { primary: "tokyo".to_owned(), ..last_apply(16) });
    });
    assert_eq!(of_plan(&whole(case.plan())), None);
}

#[test]
fn an_action_knows_its_own_time() {
    let plan = sixteen_missing().with(|case| case.limit = Some(64 * MIB)).plan();
    let pace = plan.target.as_ref().unwrap().pace;
    assert_eq!(
        plan.actions.iter().map(|action| of_action(action, pace)).collect::<Vec<_>>(),
        [Some(estimate(4, 64, Basis::Limit))]
    );
    assert_eq!(of_action(&plan.actions[0], Pace::default()), None);
}

/// 256 MiB of each of two replicas, at these paces.
fn two(first: (&str, Pace), second: (&str, Pace)) -> Plan {
    let replica = |(primary, pace): (&str, Pace)| {
        let mut plan = sixteen_missing().plan();
        plan.target.as_mut().unwrap().pace = pace;
        ReplicaPlan { primary: primary.to_owned(), ..plan }
    };
    Plan { replicas: vec![replica(first), replica(second)], ..whole(sixteen_missing().plan()) }
}

#[test]
fn replicas_copy_beside_each_other_and_share_the_bandwidth_of_their_primary() {
    let limited = |mib: u64| Pace { primary: Some(mib * MIB), ..Pace::default() };
    let apart = two(("frankfurt", limited(64)), ("tokyo", limited(32)));
    assert_eq!(of_plan(&apart), Some(estimate(8, 64, Basis::Limit)));
    let together = two(("frankfurt", limited(64)), ("frankfurt", limited(64)));
    assert_eq!(of_plan(&together), Some(estimate(8, 64, Basis::Limit)));
}

#[test]
fn about_is_said_only_when_every_replica_was_measured() {
    let limited = Pace { primary: Some(64 * MIB), ..Pace::default() };
    let both = Pace { measured: Some(16 * MIB), ..limited };
    assert_eq!(of_plan(&two(("a", both), ("b", both))), Some(estimate(16, 32, Basis::Measured)));
    assert_eq!(of_plan(&two(("a", both), ("b", limited))), Some(estimate(4, 128, Basis::Limit)));
    assert_eq!(of_plan(&two(("a", both), ("b", Pace::default()))), None);
}

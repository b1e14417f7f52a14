//! What does not fit here is not begun.

use std::time::Duration;

use crate::barman::wal::WalName;
use crate::observe::inventory::{Room, Rooms};
use crate::plan::order::graph::Dependency;
use crate::plan::reason::Reason;
use crate::plan::recovery::shortfall::Shortfall;
use crate::plan::scope::Scope;
use crate::plan::status::{Verdict, status};
use crate::plan::{Plan, ReplicaPlan};

use super::case::{Case, case, site, words};
use super::notation::{id, segment};

const MIB: u64 = 1 << 20;

/// Two backups of 100 MiB, and twelve segments of 16.
const TWO: &str = "@20 1/04..05 size=104857600 @21 1/08..0A size=104857600 | 1/04..0F";

/// So many MiB are free of 400, of which 40 are kept for WAL.
fn with_free(case: Case, free: u64) -> Case {
    let room = Room { device: 1, free: free * MIB, size: 400 * MIB, reserve: 0 };
    case.with(|case| case.here.rooms = Some(Rooms { bases: room, wals: room }))
}

fn whole(case: &Case) -> Plan {
    crate::plan::plan(&site(), std::slice::from_ref(&case.replica), &case.observation(), case.now)
}

fn fitted(case: &Case) -> ReplicaPlan {
    whole(case).replicas.remove(0)
}

fn actions(plan: &ReplicaPlan) -> Vec<String> {
    plan.actions.iter().map(words).collect()
}

fn no_room(day: &str, needed: u64, left: u64) -> Shortfall {
    Shortfall::NoRoom { backup: id(day), needed: needed * MIB, left: left * MIB }
}

#[test]
fn an_older_backup_that_does_not_fit_is_not_begun_nor_is_its_wal() {
    let empty = with_free(case(TWO, ""), 330);
    let plan = fitted(&empty);
    assert_eq!(actions(&plan), ["+server", "+backup 21", "+wal 1/08..0A", "+wal 1/0B..0F"]);
    assert_eq!(plan.shortfalls, [no_room("20", 204, 102)]);
    assert_eq!((plan.after.backups, plan.after.is_level()), (1, true));
    assert!(whole(&empty).is_blocked(), "no exit code is good");
    let roomy = with_free(case(TWO, ""), 433);
    assert_eq!(actions(&fitted(&roomy)), roomy.actions(), "it all fits");
    assert_eq!(fitted(&roomy).shortfalls, []);
}

#[test]
fn what_an_interrupted_copy_left_makes_room_before_anything_is_written() {
    let full = with_free(case(TWO, "|"), 200).with(|case| case.here.staged.extend([(id("20"), 90 * MIB)]));
    let plan = fitted(&full);
    assert_eq!(actions(&plan), ["-staging 20", "+backup 21", "+wal 1/08..0A", "+wal 1/0B..0F"]);
    assert_eq!(plan.actions[0].reason, Reason::NoRoom);
    let graph = plan.graph();
    let waits = |edge: &petgraph::graph::Edge<Dependency>| graph[edge.source()].action == 0;
    // The backup begins after it, and each of the two batches.
    assert_eq!(graph.raw_edges().iter().filter(|edge| waits(edge)).count(), 3);
    let roomy = with_free(case(TWO, "|"), 343).with(|case| case.here.staged.extend([(id("20"), 90 * MIB)]));
    assert_eq!(actions(&fitted(&roomy)), roomy.actions(), "it goes on");
}

#[test]
fn wal_comes_as_far_as_there_is_room_and_leaves_some_for_barmans_files() {
    let behind = with_free(case("@21 1/08..0A | 1/08..0F", "@21 1/08..0A | 1/08..0A"), 50);
    let plan = fitted(&behind);
    assert_eq!(actions(&plan), ["+wal 1/0B..0C"]);
    let first = WalName::Segment(segment("1/0D"));
    assert_eq!(plan.shortfalls, [Shortfall::NoRoomForWal { count: 3, first, needed: 48 * MIB, left: 14 * MIB }]);
    assert_eq!(plan.after.lag.unwrap().segments, 3);
}

#[test]
fn nothing_goes_whose_place_is_taken_by_what_does_not_fit() {
    let there = "@20 1/02..03 @21 1/08..0A @22 1/0C..0D size=104857600 | 1/02..0F";
    let rotating = with_free(case(there, "@20 1/02..03 @21 1/08..0A | 1/02..0D"), 100).last(2).prune_unselected();
    assert!(rotating.actions().iter().any(|action| action == "-backup 20"));
    assert_eq!(actions(&fitted(&rotating)), ["+wal 1/0E..0F"]);
    assert_eq!(fitted(&rotating).shortfalls, [no_room("22", 140, 68)]);
}

#[test]
fn what_is_asked_for_alone_has_all_the_room() {
    let empty = with_free(case(TWO, ""), 330);
    let targets = vec!["main/backup/20261120T000000".parse().unwrap()];
    let scope = Scope { targets, ..Scope::default() };
    let replicas = [empty.replica.clone()];
    let part = crate::plan::part(&site(), &replicas, &empty.observation(), &scope, empty.now).unwrap();
    assert_eq!(actions(&part.replicas[0]), ["+server", "+backup 20", "+wal 1/04..05"]);
    assert_eq!(part.replicas[0].shortfalls, []);
}

#[test]
fn a_replica_without_room_for_what_is_wanted_is_not_well_whatever_its_objective() {
    let filled = with_free(case(TWO, "@21 1/08..0A size=104857600 | 1/08..0F"), 100);
    let kept = filled.with(|case| case.replica.policy.rpo = Some(Duration::from_secs(3600)));
    let plan = whole(&kept);
    assert_eq!(actions(&plan.replicas[0]), [""; 0]);
    let status = status(&plan, std::slice::from_ref(&kept.replica), &kept.observation(), kept.now);
    let replica = &status.replicas[0];
    assert_eq!((replica.verdict, replica.objective.unwrap().kept), (Verdict::Incomplete, true));
    assert!(status.is_missed());
}

#[test]
fn a_copy_keeps_room_for_wal_once_something_can_be_recovered() {
    let reserve = |case: &Case| fitted(case).target.unwrap().reserve;
    assert_eq!(reserve(&with_free(case(TWO, ""), 330)), 0);
    assert_eq!(reserve(&with_free(case(TWO, "@21 1/08..0A | 1/08..0F"), 330)), 40 * MIB);
}

//! What waits for what.

use petgraph::algo::{has_path_connecting, is_cyclic_directed};
use petgraph::graph::NodeIndex;

use crate::observe::inventory::XlogFinding;
use crate::plan::ReplicaPlan;
use crate::plan::order::graph::{Dependency, Phase, StepGraph};

use super::case::{Case, case, whole, words};
use super::notation::id;

/// A plan and its graph.
struct Planned {
    plan: ReplicaPlan,
    graph: StepGraph,
}

fn planned(case: &Case) -> Planned {
    let plan = case.plan();
    let graph = whole(plan.clone()).graph();
    assert!(!is_cyclic_directed(&graph));
    Planned { plan, graph }
}

impl Planned {
    fn node(&self, action: &str, phase: Phase) -> NodeIndex {
        let is_it = |node: &NodeIndex| {
            let step = self.graph[*node];
            step.phase == phase && words(&self.plan.actions[step.action]) == action
        };
        self.graph.node_indices().find(is_it).unwrap_or_else(|| panic!("no {phase:?} of {action}"))
    }

    fn whole(&self, action: &str) -> NodeIndex {
        self.node(action, Phase::Whole)
    }

    fn publish(&self, action: &str) -> NodeIndex {
        self.node(action, Phase::Publish)
    }

    fn copy(&self, action: &str) -> NodeIndex {
        self.node(action, Phase::Copy)
    }

    /// Whether the second waits for the first, directly or not.
    fn waits(&self, first: NodeIndex, second: NodeIndex) -> bool {
        has_path_connecting(&self.graph, first, second, None)
    }

    fn edge(&self, from: NodeIndex, to: NodeIndex) -> Option<Dependency> {
        self.graph.find_edge(from, to).map(|edge| self.graph[edge])
    }
}

#[test]
fn a_backup_is_published_after_its_wal_its_histories_and_its_copy() {
    let p = planned(&case("@21 2/08..0A | h2<1/04 h3<2/0C 2/08..0C 3/0C", ""));
    let publish = p.publish("+backup 21");
    for before in [p.copy("+backup 21"), p.whole("+wal 2/08..0A"), p.whole("+history 2")] {
        assert_eq!(p.edge(before, publish), Some(Dependency::Needs));
    }
    for other in [p.whole("+history 3"), p.whole("+wal 2/0B..0C"), p.whole("+wal 3/0C")] {
        assert!(!p.waits(other, publish));
    }
    assert!(!p.waits(p.whole("+wal 2/08..0A"), p.copy("+backup 21")));
    assert_eq!(p.edge(p.whole("+server"), p.copy("+backup 21")), Some(Dependency::Needs));
}

#[test]
fn wal_that_two_backups_need_is_waited_for_by_both() {
    let p = planned(&case("@20 1/02..05  @21 1/04..07 | 1/02..07", "|"));
    for backup in ["+backup 20", "+backup 21"] {
        assert_eq!(p.edge(p.whole("+wal 1/04..07"), p.publish(backup)), Some(Dependency::Needs));
    }
}

#[test]
fn a_repaired_segment_is_waited_for_as_a_missing_one() {
    let p = planned(&case("@21 1/08..0A | 1/08..0A", "| 1/08..0A 1/09=5"));
    assert_eq!(p.edge(p.whole("~wal 1/09"), p.publish("+backup 21")), Some(Dependency::Needs));
}

#[test]
fn a_child_is_published_after_its_parent_and_copied_beside_it() {
    let p = planned(&case("@20 1/02  @21<20 1/08 | 1/02..08", "|"));
    assert_eq!(p.edge(p.publish("+backup 20"), p.publish("+backup 21")), Some(Dependency::Needs));
    assert!(!p.waits(p.publish("+backup 20"), p.copy("+backup 21")));
}

#[test]
fn a_copy_waits_for_the_one_it_takes_files_from_however_that_ends() {
    let p = planned(&case("@20 1/02 files=ab  @21 1/08 files=ab | 1/02..08", "|"));
    assert_eq!(p.edge(p.publish("+backup 21"), p.copy("+backup 20")), Some(Dependency::After));
}

#[test]
fn a_chain_never_waits_for_itself_through_reused_files() {
    let p = planned(&case("@20 1/02 files=a  @21 1/04 files=a  @22<20 1/06 files=a | 1/02..08", "|"));
    assert_eq!(p.edge(p.publish("+backup 20"), p.copy("+backup 22")), Some(Dependency::After));
    assert_eq!(p.edge(p.publish("+backup 20"), p.publish("+backup 22")), Some(Dependency::Needs));
    assert_eq!(p.edge(p.publish("+backup 20"), p.copy("+backup 21")), Some(Dependency::After));
}

#[test]
fn the_groundwork_comes_before_the_first_wal_but_holds_up_no_base() {
    let p = planned(&case("@21 1/08..0A | h2<1/09 1/08..0F", "|").with(|case| {
        case.here.xlogdb.findings = vec![XlogFinding::Missing];
        case.here.sync_wals = None;
    }));
    for groundwork in ["~xlog.db", "~sync-wals.info"] {
        for wal in ["+history 2", "+wal 1/08..0A", "+wal 1/0B..0F"] {
            assert_eq!(p.edge(p.whole(groundwork), p.whole(wal)), Some(Dependency::Needs), "{groundwork} {wal}");
        }
        assert!(!p.waits(p.whole(groundwork), p.copy("+backup 21")));
        assert!(p.waits(p.whole(groundwork), p.publish("+backup 21")));
    }
    assert!(p.waits(p.whole("~xlog.db"), p.whole("~sync-wals.info")));
}

#[test]
fn an_annotation_comes_after_the_publication() {
    let p = planned(&case("@21 1/08 k | 1/08", "|"));
    assert_eq!(p.edge(p.publish("+backup 21"), p.whole("keep 21 full")), Some(Dependency::Needs));
}

#[test]
fn the_parents_metadata_is_repaired_before_a_child_is_added_to_it() {
    let case = case("@20 1/02  @21<20 1/08 | 1/02..08", "@20 1/02 | 1/02..08");
    let p = planned(&case.with(|case| {
        case.here.backups.get_mut(&id("20")).unwrap().published.as_mut().unwrap().is_read = false;
    }));
    assert_eq!(p.edge(p.whole("~info 20"), p.publish("+backup 21")), Some(Dependency::After));
}

#[test]
fn a_prune_comes_last_and_only_after_what_replaces_it() {
    let there = "@21 1/08  @22 1/0A k | h2<1/0B 1/08..0C";
    let here = "@18 1/02  @19<18 1/04  @21 1/08 | 1/02..08";
    let p = planned(&case(there, here).prune_gone());
    let removals = ["-backup 19", "-backup 18", "-wal 1/02..07"];
    for removal in removals {
        for other in ["+history 2", "+wal 1/0A", "+wal 1/0B..0C", "keep 22 full"] {
            assert_eq!(p.edge(p.whole(other), p.whole(removal)), Some(Dependency::Needs), "{other} {removal}");
        }
        assert_eq!(p.edge(p.publish("+backup 22"), p.whole(removal)), Some(Dependency::Needs));
    }
    assert_eq!(p.edge(p.whole("-backup 19"), p.whole("-backup 18")), Some(Dependency::Needs));
    assert_eq!(p.edge(p.whole("-backup 18"), p.whole("-wal 1/02..07")), Some(Dependency::Needs));
}

#[test]
fn what_an_interrupted_copy_left_waits_for_nothing() {
    let p =
        planned(&case("@21 1/08 | 1/08", "@20 1/02 syncing |").with(|case| case.here.staged.extend([(id("19"), 0)])));
    for removal in ["-backup 20", "-staging 19"] {
        assert!(!p.waits(p.publish("+backup 21"), p.whole(removal)));
    }
}

//! Parts of a plan: what comes along, what is left, and what is refused.

use std::collections::{BTreeMap, BTreeSet};

use petgraph::visit::EdgeRef;
use proptest::prelude::*;
use proptest::sample::Index;

use crate::observe::inventory::{Observation, Observed, ReplicaObservation};
use crate::plan::order::graph::Dependency;
use crate::plan::recovery;
use crate::plan::scope::{Pattern, Scope, ScopeError};
use crate::plan::{Outcome, Plan, ReplicaPlan};

use super::case::{Case, case, whole, words};
use super::generate::any_case;
use super::properties::{is_all_listed, recoverable_now, removed};

fn patterns(texts: &[&str]) -> Vec<Pattern> {
    texts.iter().map(|text| text.parse().unwrap()).collect()
}

impl Case {
    fn narrow(&self, targets: Vec<Pattern>, excluded: Vec<Pattern>) -> Result<Plan, ScopeError> {
        let primary = Observed::Active(Box::new(self.primary.clone()));
        let ends = ReplicaObservation { primary, replica: self.here.clone() };
        let observation = Observation { replicas: BTreeMap::from([(self.replica.name.clone(), ends)]) };
        whole(self.plan()).narrow(
            &Scope { targets, excluded },
            std::slice::from_ref(&self.replica),
            &observation,
            self.now,
        )
    }

    /// The actions that are left, and how many are left out.
    fn part(&self, targets: &[&str], excluded: &[&str]) -> (Vec<String>, usize) {
        let plan = self.narrow(patterns(targets), patterns(excluded)).unwrap();
        (all_words(&plan.replicas[0]), plan.left_out())
    }

    fn refusal(&self, targets: &[&str], excluded: &[&str]) -> ScopeError {
        self.narrow(patterns(targets), patterns(excluded)).unwrap_err()
    }
}

fn all_words(plan: &ReplicaPlan) -> Vec<String> {
    plan.actions.iter().map(words).collect()
}

/// Two backups that are missing with their WAL and a history, and a broken list.
fn catching_up() -> Case {
    case("@20 1/01..03 @21 1/05..06 | 1/01..0A h2<1/08", "| 1/02").with(|case| {
        case.here.xlogdb.findings = vec![crate::observe::inventory::XlogFinding::Doubled(3)];
    })
}

#[test]
fn a_target_comes_with_all_that_it_needs() {
    let case = catching_up();
    assert_eq!(case.actions().len(), 9, "{:?}", case.actions());
    let (actions, left_out) = case.part(&["main/backup/20261121T000000"], &[]);
    assert_eq!(actions, ["~xlog.db", "+backup 21", "+wal 1/05..06"]);
    assert_eq!(left_out, 6);
    assert_eq!(case.part(&["main/xlog.db"], &[]).0, ["~xlog.db"]);
    let (backups, _) = case.part(&["main/backup"], &[]);
    assert_eq!(backups, ["~xlog.db", "+backup 21", "+wal 1/05..06", "+backup 20", "+wal 1/01", "+wal 1/03"]);
}

#[test]
fn what_is_excluded_goes_with_all_that_needs_it() {
    let case = catching_up();
    let (actions, left_out) = case.part(&[], &["main/wal/000000010000000000000003"]);
    assert!(!actions.contains(&"+backup 20".to_owned()) && actions.contains(&"+backup 21".to_owned()), "{actions:?}");
    assert_eq!(left_out, 2);
    assert_eq!(case.part(&[], &["main/xlog.db"]).0, Vec::<String>::new());
    assert_eq!(case.part(&["main/backup"], &["main/backup/20261120T000000"]).0.len(), 3);
}

#[test]
fn of_a_batch_only_what_is_named_is_left() {
    let case = case("| 1/01..0A 1/04.backup", "|");
    assert_eq!(case.actions(), ["+wal 1/01..0A"]);
    let name = |number: u32| format!("main/wal/0000000100000000000000{number:02X}");
    assert_eq!(case.part(&[&name(4)], &[]).0, ["+wal 1/04"]);
    assert_eq!(case.part(&[&format!("{}..06", name(4)), &name(7)], &[]).0, ["+wal 1/04..07"]);
    assert_eq!(case.part(&[], &[&name(4)]).0, ["+wal 1/01..03", "+wal 1/05..0A"]);
    assert_eq!(case.part(&[], &[&format!("{}..FF", name(9))]).0, ["+wal 1/01..08"]);
    let plan = case.narrow(patterns(&[&name(4)]), Vec::new()).unwrap();
    assert_eq!(plan.replicas[0].actions[0].address.as_str(), name(4));
    assert_eq!(plan.left_out(), 1);
}

#[test]
fn a_whole_batch_comes_when_a_target_needs_it() {
    let case = case("@21 1/01..04 | 1/01..0A", "|");
    let (actions, _) = case.part(&["main/backup", "main/wal/000000010000000000000009"], &[]);
    assert_eq!(actions, ["+backup 21", "+wal 1/01..04", "+wal 1/09"]);
}

#[test]
fn a_target_that_needs_what_is_excluded_is_refused() {
    let refusal = catching_up().refusal(&["main/backup/20261121T000000"], &["main/wal"]);
    let said = refusal.to_string();
    assert!(said.starts_with("main/backup/20261121T000000 needs main/wal/"), "{said}");
    assert!(said.ends_with("which --exclude main/wal leaves out"), "{said}");
    // All of the target is excluded by name: then it is simply not wanted.
    assert_eq!(catching_up().part(&["main/backup"], &["main/backup"]).0, Vec::<String>::new());
}

#[test]
fn what_is_as_it_should_be_is_nothing_to_do() {
    let case = case("@21 1/01..02 @22 1/04..05 | 1/01..05 h2<1/04", "@21 1/01..02 | 1/01..02 h2<1/04");
    for text in ["main/backup/20261121T000000", "main/wal/000000010000000000000001", "main/history/00000002"] {
        let plan = case.narrow(patterns(&[text]), Vec::new()).unwrap();
        assert!(plan.is_empty(), "{text}: {:?}", all_words(&plan.replicas[0]));
    }
    assert!(case.part(&["main/keep"], &[]).0.is_empty());
}

#[test]
fn what_does_not_exist_is_refused_with_what_is_near() {
    let case = catching_up();
    let ScopeError::Unknown { near, .. } = case.refusal(&["main/backup/20261112T000000"], &[]) else { panic!() };
    assert_eq!(near[..2], ["main/backup/20261121T000000", "main/backup/20261120T000000"]);
    let ScopeError::Unknown { near, .. } = case.refusal(&["main/bakcup"], &[]) else { panic!() };
    assert_eq!(near, ["main/backup"]);
    let ScopeError::NoReplica { near, .. } = case.refusal(&[], &["mian"]) else { panic!() };
    assert_eq!(near, ["main"]);
    // A mistyped sort of thing, with an id that the primary has.
    let ScopeError::Unknown { near, .. } = case.refusal(&["main/bakcup/20261120T000000"], &[]) else { panic!() };
    assert_eq!(near[0], "main/backup/20261120T000000");
    let unwanted = case.last(1).refusal(&["main/backup/20261120T000000"], &[]);
    assert!(matches!(unwanted, ScopeError::Unwanted { .. }), "{unwanted}");
}

#[test]
fn a_part_promises_only_what_it_brings() {
    let case = case("@20 1/01..02 @21 1/04..05 | 1/01..08", "@20 1/01..02 | 1/01..02");
    let all = case.plan();
    let plan = case.narrow(patterns(&["main/backup"]), Vec::new()).unwrap();
    let (part, end) = (&plan.replicas[0], |plan: &ReplicaPlan| plan.after.window.unwrap().end.number);
    assert_eq!((end(&all), end(part)), (8, 5));
    assert!(!part.after.is_level());
}

/// Some of the actions of a plan by their addresses, and sometimes a part of a batch.
fn chosen(plan: &ReplicaPlan, choice: &[Index]) -> Vec<Pattern> {
    let addresses: Vec<String> = plan
        .actions
        .iter()
        .flat_map(|action| {
            let address = action.address.to_string();
            let first = address.split_once("..").map(|(first, _)| first.to_owned());
            std::iter::once(address).chain(first)
        })
        .collect();
    if addresses.is_empty() {
        return Vec::new();
    }
    choice.iter().map(|index| index.get(&addresses).parse().unwrap()).collect()
}

proptest! {
    #[test]
    fn all_as_a_target_is_the_plan(case in any_case()) {
        let plan = case.plan();
        let mut all = chosen(&plan, &[]);
        all.extend(plan.actions.iter().map(|action| action.address.as_str().parse::<Pattern>().unwrap()));
        for targets in [patterns(&["main"]), all] {
            let part = case.narrow(targets, Vec::new()).unwrap();
            prop_assert_eq!(&part.replicas[0], &plan);
        }
    }

    #[test]
    fn a_part_has_all_that_its_actions_need(
        case in any_case(),
        targets in prop::collection::vec(any::<Index>(), 0..3),
        excluded in prop::collection::vec(any::<Index>(), 0..3),
    ) {
        let plan = case.plan();
        let Ok(part) = case.narrow(chosen(&plan, &targets), chosen(&plan, &excluded)) else { return Ok(()) };
        let kept: BTreeSet<&str> = part.replicas[0].actions.iter().map(|action| action.address.as_str()).collect();
        let full = whole(plan.clone());
        let graph = full.graph();
        let address = |node: petgraph::graph::NodeIndex| plan.actions[graph[node].action].address.as_str();
        for edge in graph.edge_references().filter(|edge| *edge.weight() == Dependency::Needs) {
            let (needed, needing) = (address(edge.source()), address(edge.target()));
            // Of a batch that was cut, the part that a backup needs is there: the next property says so.
            let is_cut = |address: &str| address.contains("/wal/");
            prop_assert!(!kept.contains(needing) || kept.contains(needed) || is_cut(needed), "{needing} {needed}");
        }
        prop_assert_eq!(part.is_empty() && part.left_out() == 0, plan.actions.is_empty());
    }

    #[test]
    fn after_a_part_recovery_is_what_it_said_and_the_rest_can_be_done(
        case in any_case(),
        targets in prop::collection::vec(any::<Index>(), 1..4),
    ) {
        let plan = case.plan();
        let Ok(part) = case.narrow(chosen(&plan, &targets), Vec::new()) else { return Ok(()) };
        let after = case.after(&part.replicas[0]);
        let (said, next) = (part.replicas[0].after, after.plan());
        prop_assert_eq!(next.before.backups, said.backups);
        let is_told = is_all_listed(&case);
        if is_told {
            prop_assert_eq!(next.before, said);
        }
        prop_assume!(!matches!(next.outcome, Outcome::Blocked(_)));
        // Two applies may delete what one may not: `protect.max_prune` is for each plan.
        let pruned = &removed(&part.replicas[0]) | &removed(&next);
        let (rest, all) = (after.after(&next), case.after(&plan));
        let lacking = &recoverable_now(&all) - &recoverable_now(&rest);
        prop_assert!(lacking.is_subset(&pruned), "{lacking:?} of {pruned:?}");
        if pruned == removed(&plan) && is_told {
            let (rest, all) = (rest.plan().before, all.plan().before);
            prop_assert_eq!((rest.window, rest.backups), (all.window, all.backups));
        }
    }

    #[test]
    fn what_all_actions_bring_is_what_the_plan_says(case in any_case()) {
        let plan = case.plan();
        prop_assume!(plan.target.is_some());
        let said = recovery::with(&case.primary, &case.here, &plan.actions, case.now);
        prop_assert_eq!((said.window, said.backups, said.lag), (plan.after.window, plan.after.backups, plan.after.lag));
    }
}

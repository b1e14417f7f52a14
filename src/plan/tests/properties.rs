//! What holds for every plan, whatever both ends have and whatever is wanted.

use std::collections::{BTreeMap, BTreeSet};

use petgraph::algo::is_cyclic_directed;
use proptest::prelude::*;

use crate::barman::ids::BackupId;
use crate::observe::wal_files::{WalFile, wal_files};
use crate::plan::action::Change;
use crate::plan::reason::Reason;
use crate::plan::recovery::window::{Segments, recoverable};
use crate::plan::{Outcome, ReplicaPlan};

use super::case::{Case, whole, words};
use super::generate::any_case;

pub fn removed(plan: &ReplicaPlan) -> BTreeSet<BackupId> {
    let removed = |action: &crate::plan::action::Action| match action.change {
        Change::RemoveBackup { id, .. } => Some(id),
        _ => None,
    };
    plan.actions.iter().filter_map(removed).collect()
}

/// The backups whose backup.info a person lets say something else.
fn accepted(plan: &ReplicaPlan) -> BTreeSet<BackupId> {
    let accepted = |action: &crate::plan::action::Action| match (&action.change, &action.reason) {
        (Change::UpdateInfo { id, .. }, Reason::InfoAccepted(_)) => Some(*id),
        _ => None,
    };
    plan.actions.iter().filter_map(accepted).collect()
}

/// The backups that can be recovered now.
pub fn recoverable_now(case: &Case) -> BTreeSet<BackupId> {
    let facts: Vec<_> = case.here.published().filter(|facts| case.here.is_whole(facts.id)).collect();
    let mut segments = Segments::of_sizes(facts.iter().map(|facts| facts.segment_size));
    let intact = wal_files(Some(&case.primary), &case.here).filter(WalFile::is_intact);
    segments.extend(intact.filter_map(|file| file.name.segment()));
    recoverable(facts, &segments).into_keys().collect()
}

/// Whether somebody lists every segment that is here.
pub fn is_all_listed(case: &Case) -> bool {
    let mut files = wal_files(Some(&case.primary), &case.here);
    files.all(|file| file.here.is_none() || file.there.is_some() || file.line.is_some())
}

fn all_words(plan: &ReplicaPlan) -> Vec<String> {
    plan.actions.iter().map(words).collect()
}

proptest! {
    #[test]
    fn after_an_apply_the_next_plan_is_empty(case in any_case()) {
        let next = case.after(&case.plan()).plan();
        prop_assert!(next.actions.is_empty(), "{:?}", all_words(&next));
    }

    #[test]
    fn after_an_apply_recovery_is_what_the_plan_said(case in any_case()) {
        let plan = case.plan();
        let next = case.after(&plan).plan().before;
        prop_assert_eq!(next.backups, plan.after.backups);
        // When a segment was archived that only the site has, nobody may know before it is listed.
        if is_all_listed(&case) {
            prop_assert_eq!(next, plan.after);
        }
    }

    #[test]
    fn what_was_recoverable_and_is_kept_stays_recoverable(case in any_case()) {
        let plan = case.plan();
        let after = case.after(&plan);
        let still = recoverable_now(&after);
        let lost = &removed(&plan) | &accepted(&plan);
        for id in recoverable_now(&case).difference(&lost) {
            prop_assert!(still.contains(id), "{id} after {:?}", all_words(&plan));
        }
    }

    #[test]
    fn nothing_good_is_replaced_unasked(mut case in any_case()) {
        case.replica.policy.accept.clear();
        let plan = case.plan();
        for action in &plan.actions {
            match &action.change {
                Change::RepairWals(batch) => {
                    let replaced = batch.entries.iter().find(|entry| case.here.whole.contains_key(&entry.name));
                    prop_assert!(replaced.is_none(), "{replaced:?} in {}", action.address);
                }
                Change::UpdateInfo { id, from, to } if case.here.published().any(|facts| facts.id == *id) => {
                    prop_assert_eq!(from.repaired().restore_conflicts(to), [""; 0], "{}", action.address);
                }
                _ => {}
            }
        }
    }

    #[test]
    fn recovery_reaches_less_only_where_the_plan_says_so(case in any_case()) {
        let plan = case.plan();
        let prunes = plan.actions.iter().any(|action| matches!(action.change, Change::RemoveBackup { .. }));
        let accepts = plan.actions.iter().any(|action| matches!(
            action.reason,
            Reason::Accepted { .. } | Reason::InfoAccepted(_)
        ));
        if !prunes && !accepts {
            prop_assert!(plan.after.backups >= plan.before.backups, "{:?}", all_words(&plan));
        }
    }

    #[test]
    fn nothing_protected_is_removed(case in any_case()) {
        let plan = case.plan();
        let removed = removed(&plan);
        let after = case.after(&plan);
        for id in &removed {
            let local = &case.here.backups[id];
            prop_assert!(local.keep.is_none(), "{id} is kept");
            let is_published = case.here.published().any(|facts| facts.id == *id);
            let is_kept = case.primary.backups.get(id).is_some_and(|backup| backup.keep.is_some());
            prop_assert!(!is_published || !is_kept, "{id} is kept at the primary");
            let mut children = after.here.published().filter(|facts| facts.parent == Some(*id));
            prop_assert!(children.next().is_none(), "{id} has children");
        }
        if removed.iter().any(|id| case.here.published().any(|facts| facts.id == *id)) {
            prop_assert!(after.plan().before.full_backups >= case.replica.policy.protect.min_backups as usize);
        }
    }

    #[test]
    fn nothing_is_removed_where_nothing_is_allowed(mut case in any_case()) {
        case.replica.policy.prune.unselected = false;
        case.replica.policy.prune.gone_at_primary = false;
        let plan = case.plan();
        let published: BTreeSet<BackupId> = case.here.published().map(|facts| facts.id).collect();
        prop_assert!(removed(&plan).is_disjoint(&published));
        let removes_wals = plan.actions.iter().any(|action| matches!(action.change, Change::RemoveWals { .. }));
        prop_assert!(!removes_wals);
    }

    #[test]
    fn the_same_input_gives_the_same_plan(case in any_case()) {
        prop_assert_eq!(case.plan(), case.clone().plan());
    }

    #[test]
    fn addresses_are_unique_and_only_a_plan_has_actions(case in any_case()) {
        let plan = case.plan();
        let addresses: BTreeSet<_> = plan.actions.iter().map(|action| &action.address).collect();
        prop_assert_eq!(addresses.len(), plan.actions.len(), "{:?}", all_words(&plan));
        prop_assert_eq!(plan.target.is_some(), plan.outcome == Outcome::Planned);
        prop_assert!(plan.target.is_some() || plan.actions.is_empty());
    }

    #[test]
    fn the_graph_has_no_cycle_and_follows_the_order(case in any_case()) {
        let plan = case.plan();
        let graph = whole(plan.clone()).graph();
        prop_assert!(!is_cyclic_directed(&graph));
        let copies: BTreeMap<BackupId, usize> = plan
            .actions
            .iter()
            .enumerate()
            .filter_map(|(i, action)| match &action.change { Change::AddBackup(copy) => Some((copy.id, i)), _ => None })
            .collect();
        for (i, action) in plan.actions.iter().enumerate() {
            let Change::AddBackup(copy) = &action.change else { continue };
            let parent = copy.parent.and_then(|parent| copies.get(&parent));
            prop_assert!(parent.is_none_or(|parent| *parent < i), "a child comes before its parent");
        }
    }
}

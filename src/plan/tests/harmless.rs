//! What makes no saved plan stale: time, drift that it is not about, and a primary that moved on.

use std::time::Duration;

use jiff::ToSpan;
use proptest::prelude::*;

use crate::barman::keep::Keep;
use crate::barman::wal::{Segment, Timeline, WalName};
use crate::barman::wal_entry::Mtime;
use crate::observe::inventory::{BaseKind, PrimaryBackup};
use crate::plan::saved::stale::Refusal;
use crate::site::model::{Prune, Rule, Selection};

use super::case::{Case, case};
use super::generate::any_case;
use super::notation::{self, entry, id, info, segment};
use super::stale::said;

const BOTH: &str = "@18 1/02  @19 1/04  @20 1/06  @21 1/08 | 1/02..0A";

/// A plan is accepted after a change.
#[track_caller]
fn accepted(planned: &Case, change: impl FnOnce(&mut Case)) {
    assert!(!planned.plan().actions.is_empty());
    assert_eq!(said(planned, &planned.clone().with(change)), "");
}

#[test]
fn time_alone_makes_no_plan_stale() {
    let within = |case: Case| {
        case.with(|case| {
            case.replica.policy.backups = Selection::Union(vec![Rule::Within(Duration::from_secs(86400))]);
        })
    };
    // By every clock: time is counted from the newest WAL.
    let later = |case: &mut Case| {
        case.now += (24 * 365).hours();
        #[expect(clippy::cast_precision_loss)]
        let mtime = Mtime::new(case.now.as_second() as f64).unwrap();
        notation::edit(&mut case.primary.wals, |lines| lines.last_mut().unwrap().mtime = mtime);
    };
    accepted(&within(case(BOTH, "@21 1/08 | 1/08..0A")), later);
    accepted(&within(case(BOTH, BOTH)).prune_unselected(), later);
}

#[test]
fn what_no_action_is_about_may_drift() {
    let planned = case("@20 1/06  @21 1/08 | 1/06..0C", "@20 1/06 | 1/06..0A");
    let doubled = crate::observe::inventory::XlogFinding::Doubled(1);
    accepted(&planned, |case| case.here.xlogdb.findings = vec![doubled]);
    accepted(&planned, |case| case.here.sync_wals = None);
    accepted(&planned, |case| case.here.backups.get_mut(&id("20")).unwrap().keep = Some(Keep::Full));
    accepted(&planned, |case| case.here.rooms = Some(notation::rooms(1)));
    accepted(&planned, |case| case.here.wals.extend([(WalName::Segment(segment("1/02")), 5)]));
    accepted(&planned, |case| case.primary.notes.push("WARNING: slow disk".to_owned()));
    accepted(&planned, |case| drop(case.primary.backups.remove(&id("20"))));
    accepted(&planned, |case| case.replica.policy.rpo = Some(Duration::from_secs(1)));
    accepted(&planned, |case| case.replica.policy.transfer.bandwidth = Some(1));
}

/// The primary archives more WAL, and takes another backup that may build on its newest.
fn move_on(case: &mut Case, is_incremental: bool) {
    let size = crate::plan::wal::segment_size::of(&case.primary, &case.here);
    let newest = case.primary.backups.keys().next_back().copied();
    for number in 30..33 {
        let name = WalName::Segment(Segment::from_number(Timeline(4), number, size).unwrap());
        case.primary.wals.push(entry(name, 9));
        case.primary.last = Some((name, 6));
    }
    let mut facts = notation::Backup::parse("29 4/1E").facts();
    facts.segment_size = size;
    facts.parent = newest.filter(|_| is_incremental);
    if let Some(parent) = facts.parent.and_then(|parent| case.primary.backups.get_mut(&parent)) {
        parent.info = info(&parent.facts, &[id("29")]);
    }
    let new = PrimaryBackup {
        info: info(&facts, &[]),
        facts,
        base: BaseKind::Files,
        keep: None,
        going_away: false,
        manifest: None,
    };
    case.primary.backups.insert(id("29"), new);
}

proptest! {
    #[test]
    fn a_plan_is_not_stale_in_the_situation_that_it_was_made_for(case in any_case()) {
        prop_assert_eq!(case.refuses(&case.saved()), None);
    }

    #[test]
    fn a_primary_that_moved_on_makes_no_plan_stale(case in any_case(), is_incremental in any::<bool>()) {
        let saved = case.saved();
        let moved = case.with(|case| move_on(case, is_incremental));
        prop_assert_eq!(moved.refuses(&saved), None);
    }

    #[test]
    fn a_plan_that_was_applied_is_stale(case in any_case()) {
        let saved = case.saved();
        let after = case.after(&saved.plan.replicas[0]);
        let refusal = after.refuses(&saved);
        let is_stale = matches!(&refusal, Some(Refusal::Stale(_)));
        prop_assert_eq!(is_stale, !saved.plan.is_empty(), "{:?}", refusal);
    }

    /// Each action by itself: what it does undoes what it relies on.
    #[test]
    fn every_action_relies_on_something_that_it_changes(mut case in any_case()) {
        // A line that is added for a file which then goes leaves the list as it was.
        case.replica.policy.prune = Prune { unselected: false, gone_at_primary: false };
        let saved = case.saved();
        let after = case.after(&saved.plan.replicas[0]).observation();
        let planned = &saved.plan.replicas[0];
        let ends = &after.replicas[&case.replica.name];
        let grounds = crate::plan::saved::preconditions::Grounds::new(planned, &case.replica, ends, case.now).unwrap();
        for action in &planned.actions {
            let now = grounds.of(action);
            let was = saved.preconditions.of_action(&action.address);
            let changed = now.iter().zip(was).any(|(now, was)| now.value != was.value);
            prop_assert!(changed, "{action:?}");
        }
    }
}

//! What is deleted, and what never is.

use crate::plan::reason::{Blocker, HeldPrune, Note, Reason, Warning};
use crate::site::model::{Rule, Selection, WalsFrom};

use super::case::case;
use super::notation::id;

const FOUR: &str = "@18 1/02  @19 1/04  @20 1/06  @21 1/08 | 1/02..0A";

#[test]
fn nothing_is_deleted_unless_it_is_allowed() {
    let case = case(FOUR, FOUR).last(1);
    assert_eq!(case.actions(), [""; 0]);
    assert_eq!(case.plan().notes, [Note::Unselected(3)]);
}

#[test]
fn what_the_selection_leaves_out_is_deleted_oldest_first_and_then_its_wal() {
    let case = case(FOUR, FOUR).last(2).prune_unselected();
    assert_eq!(case.actions(), ["-backup 18", "-backup 19", "-wal 1/02..05"]);
    assert_eq!(case.reason("-backup 18"), Reason::Unselected("`last: 2`".to_owned()));
    assert_eq!(case.reason("-wal 1/02..05"), Reason::NoBackupNeedsIt);
    assert_eq!(case.after(&case.plan()).actions(), [""; 0]);
}

#[test]
fn what_is_gone_at_the_primary_is_deleted_only_where_that_is_allowed() {
    let case = case("@20 1/06  @21 1/08 | 1/06..0A", FOUR);
    assert_eq!(case.actions(), [""; 0]);
    let case = case.prune_gone();
    assert_eq!(case.actions(), ["-backup 18", "-backup 19", "-wal 1/02..05"]);
    assert_eq!(case.reason("-backup 18"), Reason::GoneAtPrimary);
}

#[test]
fn what_is_about_to_go_uses_up_no_place_in_the_selection() {
    let case = case("@18 1/02  @21 1/08 | 1/02..0A", FOUR).last(2).prune_gone().prune_unselected();
    assert_eq!(case.actions(), ["-backup 19", "-backup 20"]);
}

#[test]
fn a_kept_backup_is_never_deleted() {
    let kept = "@18 1/02 s  @19 1/04  @20 1/06  @21 1/08 | 1/02..0A";
    for (there, here) in [(FOUR, kept), (kept, FOUR), ("@21 1/08 | 1/08..0A", kept)] {
        let actions = case(there, here).last(1).prune_unselected().prune_gone().actions();
        let removed: Vec<_> = actions.iter().filter(|words| words.starts_with('-')).collect();
        assert_eq!(removed, ["-backup 19", "-backup 20", "-wal 1/03..07"], "{there} {here}");
    }
}

#[test]
fn children_go_before_their_parents_and_chains_one_by_one() {
    let chains = "@16 1/01  @17<16 1/02  @18 1/03  @19<17 1/04  @20<18 1/05  @21 1/08 | 1/01..0A";
    let case = case(chains, chains).last(1).prune_unselected();
    assert_eq!(case.actions(), ["-backup 19", "-backup 17", "-backup 16", "-backup 20", "-backup 18", "-wal 1/01..07"]);
}

#[test]
fn a_parent_stays_as_long_as_its_child() {
    let here = "@18 1/02  @19<18 1/04 k  @20 1/06  @21 1/08 | 1/02..0A";
    let case = case("@20 1/06  @21 1/08 | 1/02..0A", here).prune_gone().prune_unselected();
    assert_eq!(case.actions(), [""; 0]);
}

#[test]
fn more_than_one_plan_may_delete_waits_for_a_person_whole() {
    let case = case(FOUR, FOUR).last(1).prune_unselected();
    for (percent, most) in [(0, 1), (25, 1), (50, 2), (74, 2), (75, 3), (100, 4)] {
        let case = case.clone().with(|case| case.replica.policy.protect.max_prune_percent = percent);
        let plan = case.plan();
        if most < 3 {
            let held = HeldPrune { count: 3, first: id("18"), most };
            assert_eq!((case.actions(), plan.warnings), (vec![], vec![Warning::PruneHeld(held)]), "{percent}");
            // It is told once, and what stays asks for its WAL as any other backup does.
            assert_eq!((plan.notes, plan.after.backups), (vec![], 4), "{percent}");
        } else {
            assert_eq!(case.actions().len(), 4, "{percent}: three backups, and their WAL");
            assert_eq!(case.after(&plan).actions(), [""; 0], "{percent}");
        }
    }
}

#[test]
fn what_waits_for_a_person_is_not_let_go_by_backups_that_this_plan_brings() {
    let there = "@20 1/06  @21 1/08  @22 1/0A  @23 1/0C | 1/06..0E";
    let here = "@16 1/01  @17 1/02  @18 1/03  @19 1/04 | 1/01..05";
    let case = case(there, here).last(4).prune_unselected().prune_gone();
    for (percent, goes) in [(49, false), (50, true)] {
        let case = case.clone().with(|case| case.replica.policy.protect.max_prune_percent = percent);
        let plan = case.plan();
        assert_eq!(case.actions().contains(&"-backup 16".to_owned()), goes, "{percent}: {:?}", case.actions());
        assert_eq!(case.after(&plan).actions(), [""; 0], "{percent}");
    }
}

#[test]
fn one_backup_may_go_whatever_the_share_is() {
    let case = case(FOUR, FOUR).last(3).prune_unselected();
    let case = case.with(|case| case.replica.policy.protect.max_prune_percent = 0);
    assert_eq!(case.actions(), ["-backup 18", "-wal 1/02..03"]);
}

#[test]
fn too_few_recoverable_backups_left_is_an_error() {
    let case = case(FOUR, FOUR).last(1).prune_unselected().with(|case| case.replica.policy.protect.min_backups = 2);
    assert_eq!(case.blockers(), [Blocker::TooFewLeft { left: 1, minimum: 2 }]);
    assert_eq!(case.actions(), [""; 0]);
    assert_eq!(case.plan().before, case.plan().after);
}

#[test]
fn a_backup_with_a_gap_is_not_counted_as_left() {
    let gap = "@20 1/04..05  @21 1/08 | 1/04..0A -1/08";
    let case = case(gap, gap).last(1).prune_unselected();
    assert_eq!(case.blockers(), [Blocker::TooFewLeft { left: 0, minimum: 1 }]);
}

#[test]
fn a_copy_of_the_same_plan_counts_as_left() {
    let case = case(FOUR, "@18 1/02 | 1/02..0A").last(1).prune_unselected();
    assert_eq!(case.actions(), ["+backup 21", "-backup 18", "-wal 1/02..07"]);
}

#[test]
fn wal_that_a_kept_backup_needs_stays() {
    let here = "@18 1/02..03 s  @19 1/04  @21 1/08 | 1/01..0A";
    let case = case(here, here).last(1).prune_unselected();
    assert_eq!(case.actions(), ["-backup 19", "-wal 1/01", "-wal 1/04..07"]);
    let only = case.wals_from(WalsFrom::BackupsOnly);
    assert_eq!(only.actions(), ["-backup 19", "-wal 1/01", "-wal 1/04..07", "-wal 1/09..0A"]);
}

#[test]
fn wal_of_a_timeline_older_than_every_backup_goes_and_its_history_stays() {
    let both = "@21 3/08 | h2<1/04 h3<2/06 1/02..04 2/04..06 3/06..0A";
    let case = case(both, both).prune_unselected();
    assert_eq!(case.actions(), ["-wal 1/02..04", "-wal 2/04..06", "-wal 3/06..07"]);
    assert_eq!(case.after(&case.plan()).actions(), [""; 0]);
}

#[test]
fn no_wal_goes_while_a_backup_does_not_say_what_it_needs() {
    let both = "@20 s  @21 1/08 | 1/01..0A";
    assert_eq!(case(both, both).prune_unselected().actions(), [""; 0]);
    let without_backups = case("@21 1/08 started | 1/01..0A", "| 1/01..0A").wals_from(WalsFrom::BackupsOnly);
    assert_eq!(without_backups.prune_unselected().actions(), [""; 0]);
}

#[test]
fn a_damaged_backup_that_the_primary_no_longer_has_takes_no_good_ones_place() {
    let there = "@18 1/02  @19 1/04  @20 1/06 | 1/02..0A";
    let here = "@18 1/02  @19 1/04  @20 1/06  @21 1/08 damaged | 1/02..0A";
    for case in [case(there, here), case("| 1/02..0A", here)] {
        let case = case.last(2).prune_unselected();
        // The two that are whole, and what is left of the other.
        assert_eq!(case.actions(), ["-backup 18", "-wal 1/02..03"]);
    }
    // It is as good as any while the primary can mend it.
    let mended = case("@18 1/02  @19 1/04  @20 1/06  @21 1/08 | 1/02..0A", here).last(2).prune_unselected();
    assert_eq!(mended.actions(), ["~backup 21", "-backup 18", "-backup 19", "-wal 1/02..05"]);
}

#[test]
fn a_damaged_backup_begins_no_window() {
    let here = "@18 1/02  @19 1/04 damaged  @29 1/08 | 1/02..0A";
    let week = Rule::Within(std::time::Duration::from_secs(7 * 24 * 60 * 60));
    let case = case("@29 1/08 | 1/02..0A", here).prune_unselected();
    let case = case.with(|case| case.replica.policy.backups = Selection::Union(vec![week]));
    assert_eq!(case.actions(), [""; 0]);
}

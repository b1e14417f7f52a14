//! Which backups are copied, adopted, repaired and cleaned up.

use std::collections::BTreeMap;

use jiff::Timestamp;

use crate::barman::backup_info::Status;
use crate::barman::damage::{Seen, Spoilt};
use crate::observe::inventory::{BaseState, Mark};
use crate::plan::action::{BackupCopy, Change};
use crate::plan::reason::{Note, Reason};
use crate::plan::recovery::shortfall::Shortfall;

use super::case::{Case, case};
use super::notation::id;

const ONE: &str = "@21 1/08..0A | 1/08..0F";
const TWO: &str = "@21 1/08..0A  @22 1/0C..0D | 1/08..0F";

/// The copies of a plan.
fn copies(case: &Case) -> Vec<BackupCopy> {
    let copy = |action: crate::plan::action::Action| match action.change {
        Change::AddBackup(copy) | Change::RepairBackup(copy) => Some(*copy),
        _ => None,
    };
    case.plan().actions.into_iter().filter_map(copy).collect()
}

#[test]
fn an_empty_site_gets_everything() {
    let case = case(TWO, "");
    assert_eq!(
        case.actions(),
        ["+server", "+backup 22", "+wal 1/0C..0D", "+wal 1/0E..0F", "+backup 21", "+wal 1/08..0A", "+wal 1/0B"]
    );
    assert_eq!(case.reason("+backup 22"), Reason::MissingHere);
    assert_eq!(case.reason("+wal 1/0C..0D"), Reason::NeededBy(id("22")));
    assert_eq!(case.reason("+wal 1/0E..0F"), Reason::MissingHere);
    assert_eq!(case.after(&case.plan()).actions(), [""; 0]);
}

#[test]
fn addresses_are_readable_and_stable() {
    let plan = case(TWO, "").plan();
    let addresses: Vec<&str> = plan.actions.iter().map(|action| action.address.as_str()).collect();
    assert_eq!(
        addresses,
        [
            "main/server",
            "main/backup/20261122T000000",
            "main/wal/00000001000000000000000C..0D",
            "main/wal/00000001000000000000000E..0F",
            "main/backup/20261121T000000",
            "main/wal/000000010000000000000008..0A",
            "main/wal/00000001000000000000000B",
        ]
    );
}

#[test]
fn a_primary_without_anything_only_makes_the_server() {
    assert_eq!(case("", "").actions(), ["+server"]);
    assert_eq!(case("", "|").actions(), [""; 0]);
}

#[test]
fn a_site_in_sync_needs_nothing() {
    let case = case(TWO, TWO);
    let plan = case.plan();
    assert_eq!(case.actions(), [""; 0]);
    assert_eq!((plan.notes, plan.warnings), (vec![], vec![]));
    assert_eq!(plan.before, plan.after);
    assert_eq!(plan.after.backups, 2);
    assert!(plan.after.is_level());
}

#[test]
fn a_missing_backup_is_copied() {
    let case = case(TWO, "@21 1/08..0A | 1/08..0F");
    assert_eq!(case.actions(), ["+backup 22"]);
    assert_eq!(copies(&case)[0].needed.map(|range| (range.first, range.last)), Some((0x0C, 0x0D)));
}

#[test]
fn what_barman_left_unfinished_is_adopted() {
    for (here, status) in [("@21 syncing |", Status::Syncing), ("@21 failed |", Status::Failed)] {
        let case = case(ONE, here);
        assert_eq!(case.reason("+backup 21"), Reason::Interrupted(status));
        assert!(copies(&case)[0].adopt);
        assert_eq!(case.after(&case.plan()).actions(), [""; 0]);
    }
    let unpublished = case(ONE, "@21 bare |");
    assert_eq!(unpublished.reason("+backup 21"), Reason::Unpublished);
    assert!(copies(&unpublished)[0].adopt);
}

#[test]
fn a_failed_backup_without_a_base_is_copied_anew() {
    let copies = copies(&case(ONE, "@21 failed absent |"));
    assert!(!copies[0].adopt);
}

#[test]
fn a_copy_that_an_earlier_run_began_is_resumed() {
    let case = case(ONE, "|").with(|case| case.here.staged.extend([(id("21"), 0)]));
    assert!(copies(&case)[0].resume);
}

#[test]
fn zombies_of_backups_gone_at_the_primary_are_cleaned_up() {
    for status in ["syncing", "failed", "started"] {
        let case = case(ONE, &format!("@20 1/02..03 {status}  @21 1/08..0A | 1/08..0F"));
        assert_eq!(case.actions(), ["-backup 20"], "{status}");
        assert_eq!(case.reason("-backup 20"), Reason::InterruptedAndGone);
    }
}

#[test]
fn what_may_be_whole_is_not_cleaned_up_as_a_zombie() {
    for word in ["waiting", "bare"] {
        let case = case(ONE, &format!("@20 1/02..03 {word}  @21 1/08..0A | 1/08..0F"));
        assert_eq!(case.plan().notes, [Note::OrphanedBase(id("20"))], "{word}");
        assert_eq!(case.actions(), [""; 0], "{word}");
        assert_eq!(case.prune_gone().actions(), ["-backup 20"], "{word}");
    }
}

#[test]
fn a_kept_zombie_and_the_parent_of_a_living_backup_stay() {
    let kept = case(ONE, "@20 1/02..03 syncing k  @21 1/08..0A | 1/08..0F");
    assert_eq!(kept.actions(), [""; 0]);
    let parent = case("|1/08..0F", "@20 1/02..03 syncing  @21<20 1/08..0A | 1/08..0F");
    assert_eq!(parent.actions(), [""; 0]);
    assert!(parent.plan().notes.contains(&Note::OrphanedBase(id("20"))));
}

#[test]
fn an_interrupted_copy_that_is_not_selected_is_cleaned_up() {
    let here = "@21 1/08..0A syncing  @22 1/0C..0D | 1/0C..0F";
    let case = case(TWO, here).last(1);
    assert_eq!(case.actions(), ["-backup 21"]);
    assert_eq!(case.reason("-backup 21"), Reason::InterruptedAndUnselected);
}

#[test]
fn a_bare_base_that_is_not_selected_is_deleted_only_where_that_is_allowed() {
    let case = case(TWO, "@21 1/08..0A bare  @22 1/0C..0D | 1/0C..0F").last(1);
    assert_eq!(case.actions(), [""; 0]);
    assert_eq!(case.plan().notes, [Note::OrphanedBase(id("21"))]);
    assert_eq!(case.prune_unselected().actions(), ["-backup 21"]);
}

#[test]
fn staging_of_no_more_use_is_removed() {
    let case = case(TWO, "@22 1/0C..0D | 1/0C..0F")
        .last(1)
        .with(|case| case.here.staged.extend([(id("20"), 0), (id("21"), 0)]));
    assert_eq!(case.actions(), ["-staging 20", "-staging 21"]);
    assert_eq!(case.reason("-staging 20"), Reason::InterruptedAndGone);
    assert_eq!(case.reason("-staging 21"), Reason::InterruptedAndUnselected);
}

#[test]
fn the_staging_of_a_repair_is_resumed_and_not_removed() {
    let case = case(ONE, "@21 1/08..0A damaged | 1/08..0F").with(|case| case.here.staged.extend([(id("21"), 0)]));
    assert_eq!(case.actions(), ["~backup 21"]);
    assert!(copies(&case)[0].resume);
}

#[test]
fn the_staging_of_what_is_damaged_at_the_primary_for_a_while_stays() {
    for here in ["@20 1/05..06 | 1/05..0F", "@20 1/05..06  @21 1/08..0A damaged | 1/05..0F"] {
        let staged = case("@20 1/05..06  @21 1/08..0A | 1/05..0F", here).with(|case| {
            case.here.staged.extend([(id("21"), 90)]);
            case.primary.pedigree.insert(Mark::Damaged(id("21")));
            case.primary.set_damaged_apart();
        });
        assert_eq!(staged.actions(), [""; 0], "{here}");
    }
}

#[test]
fn damaged_files_are_repaired() {
    let damaged = case(ONE, "@21 1/08..0A damaged | 1/08..0F");
    assert_eq!(damaged.actions(), ["~backup 21"]);
    let reason = Reason::FilesDamaged(vec!["data/base/1/2".into()]);
    assert_eq!(damaged.reason("~backup 21"), reason);
    assert_eq!(damaged.plan().before.backups, 0);
    assert_eq!(damaged.plan().after.backups, 1);
    let absent = case(ONE, "@21 1/08..0A absent | 1/08..0F");
    assert_eq!(absent.reason("~backup 21"), Reason::FilesDamaged(vec!["data".into()]));
}

#[test]
fn files_that_were_read_and_are_not_what_was_written_are_repaired_and_told_why() {
    let read = case(ONE, "@21 1/08..0A damaged | 1/08..0F").with(|case| {
        let seen = Seen { size: 8192, inode: 1, modified: 0 };
        let (why, found) = ("block 17: its checksum is 3, not 4".to_owned(), Timestamp::UNIX_EPOCH);
        let spoilt = Spoilt { why, found, seen, is_shared: false };
        case.here.damage.bases.insert(id("21"), BTreeMap::from([("data/base/1/2".into(), spoilt)]));
    });
    let why = "data/base/1/2: block 17: its checksum is 3, not 4".to_owned();
    assert_eq!(read.reason("~backup 21"), Reason::FilesDisproved { files: vec!["data/base/1/2".into()], why });
}

#[test]
fn a_repair_copies_what_is_damaged_and_not_what_is_whole() {
    let there = "@21 1/08 files=abc size=5000 | 1/08";
    let damaged = case(there, "@21 1/08 damaged | 1/08").with(|case| {
        let files = vec!["data/a".into(), "data/c".into()];
        case.here.backups.get_mut(&id("21")).unwrap().base = BaseState::Damaged { files };
    });
    assert_eq!(copies(&damaged)[0].size, 200);
    assert_eq!(copies(&case(there, "@21 1/08 absent | 1/08"))[0].size, 5000);
}

#[test]
fn links_to_tablespaces_are_made_where_no_repair_makes_them() {
    let unlinked = |case: &mut Case| case.here.backups.get_mut(&id("21")).unwrap().unlinked = vec![16384, 16385];
    let case_of = |here: &str| case(ONE, here).with(unlinked);
    let linked = case_of("@21 1/08..0A | 1/08..0F");
    assert_eq!(linked.actions(), ["~tablespaces 21"]);
    assert_eq!(linked.reason("~tablespaces 21"), Reason::Unlinked(2));
    assert_eq!(linked.after(&linked.plan()).actions(), [""; 0]);
    assert_eq!(case_of("@21 1/08..0A damaged | 1/08..0F").actions(), ["~backup 21"]);
}

#[test]
fn damage_that_the_primary_cannot_repair_is_warned_of() {
    let case = case("| 1/08..0F", "@21 1/08..0A damaged  @22 1/0C..0D absent | 1/08..0F");
    assert_eq!(case.actions(), [""; 0]);
    assert_eq!(
        case.plan().shortfalls,
        [
            Shortfall::BackupDamaged { backup: id("22"), files: 0 },
            Shortfall::BackupDamaged { backup: id("21"), files: 1 }
        ]
    );
}

#[test]
fn what_vanished_at_the_primary_stays() {
    let case = case("@22 1/0C..0D | 1/0C..0F", TWO);
    assert_eq!(case.actions(), [""; 0]);
    assert_eq!(case.plan().notes, [Note::KeptHereOnly { count: 1, first: id("21") }]);
}

#[test]
fn a_backup_that_waits_for_wals_is_noted() {
    let case = case("@21 1/08..0A  @22 1/0E..10 waiting | 1/08..0F", ONE);
    assert_eq!(case.actions(), [""; 0]);
    assert_eq!(case.plan().notes, [Note::NotDone { backup: id("22"), status: Status::WaitingForWals }]);
}

#[test]
fn a_backup_that_was_never_finished_is_noted_as_given_up() {
    let given_up = |backup, status| Note::GivenUp { backup: id(backup), status };
    for (status, word) in [(Status::Started, "started"), (Status::Empty, "empty")] {
        let earlier = case(&format!("@20 1/05..06 {word}  @21 1/08..0A | 1/08..0F"), ONE);
        assert_eq!(earlier.plan().notes, [given_up("20", status)]);
        let later = case(&format!("@21 1/08..0A  @26 1/0C..0D {word} | 1/08..0F"), ONE);
        assert_eq!(later.plan().notes, [Note::NotDone { backup: id("26"), status }], "it may still be taken");
    }
    let failed = case("@20 1/05..06 failed  @21 1/08..0A | 1/08..0F", ONE);
    assert_eq!(failed.plan().notes, [Note::NotDone { backup: id("20"), status: Status::Failed }]);
}

#[test]
fn a_backup_that_is_going_away_is_never_shipped() {
    let case = case("@21 1/08..0A leaving  @22 1/0C..0D | 1/08..0F", "|");
    assert_eq!(case.actions(), ["+backup 22", "+wal 1/0C..0D", "+wal 1/0E..0F"]);
    assert_eq!(case.plan().notes, [Note::GoingAway(id("21"))]);
}

#[test]
fn a_cloud_snapshot_is_noted_and_its_wal_is_shipped() {
    let case = case("@21 1/08..0A snapshot  @22 1/0C..0D | 1/07..0F", "|");
    assert_eq!(case.actions(), ["+backup 22", "+wal 1/0C..0D", "+wal 1/0E..0F", "+wal 1/08..0B"]);
    assert_eq!(case.plan().notes, [Note::CloudSnapshot(id("21"))]);
}

#[test]
fn children_follow_and_a_parent_comes_before_its_child() {
    let there = "@20 1/02..03  @21 1/08..0A  @22<20 1/0C..0D | 1/02..0F";
    let case = case(there, "|");
    let backups: Vec<String> = case.actions().into_iter().filter(|words| words.contains("backup")).collect();
    assert_eq!(backups, ["+backup 20", "+backup 22", "+backup 21"]);
    assert_eq!(case.after(&case.plan()).actions(), [""; 0]);
}

#[test]
fn a_child_without_its_parent_is_never_copied() {
    let case = case("@21<20 1/08..0A  @22 1/0C..0D | 1/08..0F", "|");
    assert!(!case.actions().contains(&"+backup 21".to_owned()));
    assert_eq!(case.plan().shortfalls, [Shortfall::ParentMissing { backup: id("21"), parent: id("20") }]);
}

#[test]
fn a_child_of_a_backup_that_only_the_site_has_is_copied() {
    let case = case("@21<20 1/08..0A | 1/02..0F", "@20 1/02..03 | 1/02..0F");
    assert_eq!(case.actions(), ["+backup 21"]);
}

#[test]
fn a_raised_retention_plans_older_backups_with_their_wal() {
    let there = "@20 1/02..03  @21 1/08..0A  @22 1/0C..0D | 1/01..0F";
    let case = case(there, "@22 1/0C..0D | 1/0C..0F").last(2);
    assert_eq!(case.actions(), ["+backup 21", "+wal 1/08..0A", "+wal 1/0B"]);
}

#[test]
fn a_backup_that_the_selection_leaves_out_is_never_copied() {
    assert_eq!(case(TWO, "|").last(1).actions(), ["+backup 22", "+wal 1/0C..0D", "+wal 1/0E..0F"]);
}

#[test]
fn a_selection_may_outlive_the_primarys_own() {
    let here = "@18 1/02  @19 1/04  @20 1/06  @21 1/08 | 1/02..0F";
    let case = case("@21 1/08  @22 1/0C | 1/08..0F", here).last(4).prune_unselected();
    assert_eq!(case.actions(), ["+backup 22", "-backup 18", "-wal 1/02..03"]);
    let damaged = case.with(|case| case.here.backups.get_mut(&id("20")).unwrap().base = BaseState::Absent);
    // One that is lost takes no place, so that an older one keeps its own.
    assert_eq!(damaged.actions(), ["+backup 22"]);
}

#[test]
fn files_are_reused_from_the_nearest_backup_that_is_whole() {
    let there = "@20 1/06 files=abc  @21 1/08 files=abcd  @22 1/0C files=abcde | 1/06..0F";
    let both = case(there, "@20 1/06 files=abc  @21 1/08 files=abcd | 1/06..0F");
    let reuse = copies(&both)[0].reuse.clone().unwrap();
    assert_eq!((reuse.from, reuse.bytes), (id("21"), 400));
    assert_eq!(reuse.files[0].to_str(), Some("data/a"));
    let damaged = case(there, "@20 1/06 files=abc  @21 1/08 damaged | 1/06..0F");
    assert_eq!(copies(&damaged)[0].reuse.as_ref().map(|reuse| reuse.from), Some(id("20")));
    let nothing = both.with(|case| case.replica.policy.transfer.reuse = crate::site::model::Reuse::None);
    assert_eq!(copies(&nothing)[0].reuse, None);
}

#[test]
fn a_backup_that_only_the_site_has_is_reused_by_its_own_manifest() {
    let case = case("@22 1/0C files=ab | 1/0C..0F", "@20 1/06 files=ac | 1/06..0F");
    let reuse = copies(&case)[0].reuse.clone().unwrap();
    assert_eq!((reuse.from, reuse.bytes), (id("20"), 100));
}

#[test]
fn on_an_empty_site_older_backups_reuse_from_the_newer_one_just_planned() {
    let case = case("@20 1/06 files=abc  @21 1/08  @22 1/0C files=bcd | 1/06..0F", "");
    let reused: Vec<_> = copies(&case).into_iter().map(|copy| (copy.id, copy.reuse.map(|reuse| reuse.from))).collect();
    assert_eq!(reused, [(id("22"), None), (id("21"), None), (id("20"), Some(id("22")))]);
}

#[test]
fn what_the_primary_says_is_damaged_there_is_not_copied_and_named_and_takes_nothing_from_here() {
    let damage = |day: &'static str| {
        move |case: &mut Case| {
            case.primary.pedigree.insert(Mark::Damaged(id(day)));
            case.primary.set_damaged_apart();
        }
    };
    let there = "@20 1/05..06 @21 1/08..0A @22 1/0C..0D | 1/05..1F";
    let case_of = |here| case(there, here).with(damage("22"));
    let new = case_of("");
    assert!(!new.actions().iter().any(|action| action == "+backup 22"), "{:?}", new.actions());
    assert_eq!(new.plan().shortfalls, [Shortfall::DamagedThere { backup: id("22") }]);
    let plan = new.plan();
    assert_eq!(new.after(&plan).actions(), [""; 0]);
    // Good here it stays, and nobody misses it; damaged here as well it has nothing to be repaired with.
    let whole = case_of(there).prune_gone();
    assert_eq!((whole.actions(), whole.plan().shortfalls), (vec![], vec![]));
    let both = case_of(there).with(|case| {
        let files = vec!["data/base/1/2".into()];
        case.here.backups.get_mut(&id("22")).unwrap().base = BaseState::Damaged { files };
    });
    assert_eq!(
        (both.actions(), both.plan().shortfalls),
        (vec![], vec![Shortfall::BackupDamaged { backup: id("22"), files: 1 }])
    );
    // Not wanted it is not missed either.
    assert_eq!(case(there, "").with(damage("20")).last(1).plan().shortfalls, []);
}

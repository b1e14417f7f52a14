//! What is good here and differs at the primary waits for a person; what is broken here, and what Barman changes in the
//! life of a backup, does not.

use crate::barman::compression::Compression;
use crate::barman::wal::{Segment, WalName};
use crate::barman::wal_entry::{Mtime, WalEntry};
use crate::observe::inventory::WholeWal;
use crate::plan::action::Change;
use crate::plan::held::{Difference, HeldFile, HeldKey};
use crate::plan::reason::{Note, Reason};
use crate::plan::recovery::shortfall::Shortfall;
use crate::plan::status::Verdict;

use super::case::{Case, case};
use super::metadata::set;
use super::notation::{edit, id, segment};

const ONE: &str = "@21 1/08..0A | 1/08..0F";
const SEGMENT: u64 = 16 << 20;

/// Says of a segment here that it was read and found whole.
fn whole(case: &mut Case, names: &str, compression: Option<Compression>) {
    for name in case.here.wals.names().filter(|name| name.to_string().ends_with(names)) {
        case.here.whole.insert(name, WholeWal::Read { compression });
    }
}

/// Lets the primary's of these things replace what is here.
fn accept(case: &mut Case, addresses: &[&str]) {
    case.replica.policy.accept = addresses.iter().map(|address| address.parse().unwrap()).collect();
}

/// What is held, by its addresses.
fn held(case: &Case) -> Vec<String> {
    case.plan().held.iter().map(|held| held.address.to_string()).collect()
}

fn wal(name: &str) -> WalName {
    WalName::Segment(segment(name))
}

#[test]
fn a_whole_segment_that_is_shorter_at_the_primary_is_held_and_the_rest_is_planned() {
    let there = "@21 1/08..0A | 1/08..12 1/09=5242880 1/0C=7";
    let case = case(there, ONE).with(|case| {
        whole(case, "09", None);
        whole(case, "0C", None);
    });
    assert_eq!(case.actions(), ["+wal 1/10..12"]);
    assert_eq!(held(&case), ["main/wal/000000010000000000000009", "main/wal/00000001000000000000000C"]);
    let plan = case.plan();
    let file = HeldFile { name: wal("1/09"), here: SEGMENT, there: 5_242_880 };
    assert!(matches!(&plan.held[0].what, Difference::Wals { files, .. } if *files == [file]), "{:?}", plan.held);
    assert_eq!((plan.before.backups, plan.after.backups), (1, 1));
    assert!(super::case::whole(plan).is_blocked());
    let next = case.after(&case.plan());
    assert_eq!(next.actions(), [""; 0]);
    assert_eq!(held(&next), held(&case));
}

#[test]
fn a_backup_of_which_wal_is_another_here_waits_with_what_builds_on_it_and_takes_nobodys_place() {
    let there = "@21 1/08..0A @22 1/0C..0D @23<22 1/10..11 @24 1/12..13 | 1/08..13 1/0D=7";
    let here = "@21 1/08..0A | 1/08..0F";
    let whole_here = |case: &mut Case| whole(case, "0D", None);
    let case_of = || case(there, here).with(whole_here);
    let plan = case_of().plan();
    assert_eq!(case_of().actions(), ["+backup 24", "+wal 1/12..13", "+wal 1/10..11"]);
    let waits = |day| Shortfall::WalHeld { backup: id(day), first: wal("1/0D") };
    assert_eq!(plan.shortfalls, [waits("22"), waits("23")]);
    assert_eq!(held(&case_of()), ["main/wal/00000001000000000000000D"]);
    let next = case_of().after(&plan);
    assert_eq!((next.actions(), next.plan().shortfalls), (vec![], plan.shortfalls));

    let replacing =
        case("@21 1/08..0A @22 1/0C..0D | 1/08..0F 1/0D=7", here).with(whole_here).last(1).prune_unselected();
    assert_eq!((replacing.actions(), replacing.plan().after.backups), (vec![], 1), "what stays for it is not deleted");
    let accepted = case_of().with(|case| accept(case, &["main/wal"]));
    assert_eq!(accepted.plan().shortfalls, []);
    assert_eq!(accepted.plan().after.backups, 4);
    // One that is here already rests on what is here.
    let both = case("@21 1/08..0A | 1/08..0F 1/09=7", "@21 1/08..0A | 1/08..0F").with(|case| whole(case, "09", None));
    assert_eq!((both.plan().shortfalls, both.plan().before.backups), (vec![], 1));
}

#[test]
fn a_backup_waits_for_wal_of_the_same_size_that_was_archived_at_another_time() {
    let archived = |case: &mut Case| {
        edit(&mut case.here.xlogdb.entries, |lines| {
            let line = lines.iter_mut().find(|line| line.name == wal("1/0D")).unwrap();
            line.mtime = Mtime::new(line.mtime.seconds() - 600.0).unwrap();
        });
    };
    let here = "@21 1/08..0A | 1/08..0F";
    let both = case("@21 1/08..0A @22 1/0C..0D | 1/08..0F", here).with(archived);
    assert_eq!((both.actions(), held(&both)), (vec![], vec!["main/wal/00000001000000000000000D".to_owned()]));
    assert_eq!(both.plan().shortfalls, [Shortfall::WalHeld { backup: id("22"), first: wal("1/0D") }]);
    let accepted = both.with(|case| accept(case, &["main/wal/00000001000000000000000D"]));
    assert_eq!(accepted.reason("~wal 1/0D"), Reason::Accepted { here: SEGMENT, there: SEGMENT, files: 1 });
    assert!(accepted.actions().contains(&"+backup 22".to_owned()), "{:?}", accepted.actions());
    let next = accepted.after(&accepted.plan()).with(|case| case.replica.policy.accept.clear());
    assert_eq!((next.actions(), held(&next), next.plan().shortfalls), (vec![], vec![], vec![]));
    // As long as no backup needs it, the line keeps what it tells.
    let alone = case("@21 1/08..0A | 1/08..0F", here).with(archived);
    assert_eq!((alone.actions(), held(&alone)), (vec![], vec![]));
}

#[test]
fn segments_in_a_row_are_held_together() {
    let case = case("@21 1/08..0A | 1/08..0F 1/09..0B=7", ONE).with(|case| {
        for name in ["09", "0A", "0B"] {
            whole(case, name, None);
        }
    });
    assert_eq!(held(&case), ["main/wal/000000010000000000000009..0B"]);
}

#[test]
fn a_broken_segment_is_repaired_beside_a_whole_one_that_is_held() {
    let case =
        case("@21 1/08..0A | 1/08..0F 1/09=7", "@21 1/08..0A | 1/08..0F 1/0A=5").with(|case| whole(case, "09", None));
    assert_eq!(case.actions(), ["~wal 1/0A"]);
    assert_eq!(held(&case), ["main/wal/000000010000000000000009"]);
}

#[test]
fn what_is_accepted_is_replaced_and_says_so() {
    for address in ["main", "main/wal", "main/wal/000000010000000000000009", "main/wal/000000010000000000000008..0A"] {
        let case = case("@21 1/08..0A | 1/08..0F 1/09=7", ONE).with(|case| {
            whole(case, "09", None);
            accept(case, &[address]);
        });
        assert_eq!(case.actions(), ["~wal 1/09"], "{address}");
        assert_eq!(case.reason("~wal 1/09"), Reason::Accepted { here: SEGMENT, there: 7, files: 1 });
        assert_eq!(held(&case), [""; 0]);
        assert_eq!(case.after(&case.plan()).actions(), [""; 0]);
    }
    let other = case("@21 1/08..0A | 1/08..0F 1/09=7", ONE).with(|case| {
        whole(case, "09", None);
        accept(case, &["main/wal/00000001000000000000000A"]);
    });
    assert_eq!((other.actions().len(), held(&other).len()), (0, 1));
}

#[test]
fn a_segment_that_the_primary_compressed_later_stays_as_it_is_with_a_note() {
    let compressed = |case: &mut Case| {
        let second = case.primary.wals.iter().nth(1).unwrap();
        let second = WalEntry { compression: Some("zstd".parse().unwrap()), ..second };
        case.primary.wals = std::mem::take(&mut case.primary.wals).with([second].into_iter().collect());
    };
    for here in [None, Some(Compression::Gzip)] {
        let case = case("@21 1/08..0A | 1/08..0F 1/09=999", ONE).with(compressed).with(|case| whole(case, "09", here));
        assert_eq!((case.actions(), held(&case)), (vec![], vec![]), "{here:?}");
        assert_eq!(case.plan().notes, [Note::OtherForm { count: 1, first: wal("1/09") }]);
        assert_eq!(case.plan().after.backups, 1);
    }
    let same = case("@21 1/08..0A | 1/08..0F 1/09=999", ONE)
        .with(compressed)
        .with(|case| whole(case, "09", Some(Compression::Zstd)));
    assert_eq!(held(&same), ["main/wal/000000010000000000000009"]);
}

#[test]
fn a_segment_that_is_compressed_here_and_plain_there_stays() {
    let case = case("@21 1/08..0A | 1/08..0F", "@21 1/08..0A | 1/08..0F 1/09=999")
        .with(|case| whole(case, "09", Some(Compression::Gzip)));
    assert_eq!((case.actions(), held(&case)), (vec![], vec![]));
}

#[test]
fn a_readable_history_file_that_differs_is_held_until_it_is_accepted() {
    let there = "@21 2/08..0A | h2<1/02=50 2/08..0F";
    let case = case(there, "@21 2/08..0A | h2<1/02 2/08..0F");
    assert_eq!((case.actions(), held(&case)), (vec![], vec!["main/history/00000002".to_owned()]));
    let accepted = case.with(|case| accept(case, &["main/history/00000002"]));
    assert_eq!(accepted.reason("~history 2"), Reason::Accepted { here: 42, there: 50, files: 1 });
    assert_eq!((held(&accepted), accepted.after(&accepted.plan()).actions()), (vec![], vec![]));
}

#[test]
fn what_a_restore_rests_on_is_held_with_both_values() {
    for (key, value) in [
        ("begin_wal", "000000010000000000000009"),
        ("end_wal", "00000001000000000000000B"),
        ("timeline", "2"),
        ("systemid", "8"),
        ("xlog_segment_size", "1048576"),
        ("parent_backup_id", "20261120T000000"),
        ("backup_label", "'START WAL LOCATION: 0/9000028\\n'"),
    ] {
        let case = case(ONE, ONE).with(|case| set(case, "21", key, value));
        assert_eq!((case.actions(), held(&case)), (vec![], vec![format!("main/info/{}", id("21"))]), "{key}");
        let plan = case.plan();
        let Difference::Info { keys, .. } = &plan.held[0].what else { panic!("{:?}", plan.held) };
        let [HeldKey { key: named, here, there }] = keys.as_slice() else { panic!("{keys:?}") };
        assert_eq!((named.as_str(), here.as_str()), (key, value));
        let said = case.primary.backups[&id("21")].info.get(key);
        assert_eq!(there.as_deref(), said);
        let accepted = case.with(|case| accept(case, &["main/info/20261121T000000"]));
        assert!(matches!(accepted.reason("~info 21"), Reason::InfoAccepted(_)));
        assert_eq!((held(&accepted), accepted.after(&accepted.plan()).actions()), (vec![], vec![]), "{key}");
    }
}

#[test]
fn what_barman_changes_in_the_life_of_a_backup_is_followed_beside_what_is_held() {
    let case = case(ONE, ONE).with(|case| {
        set(case, "21", "size", "999");
        set(case, "21", "end_wal", "00000001000000000000000B");
    });
    assert_eq!(case.reason("~info 21"), Reason::InfoDiffers(vec!["size".to_owned()]));
    let plan = case.plan();
    let Change::UpdateInfo { to, .. } = &plan.actions[0].change else { panic!("{:?}", plan.actions) };
    assert_eq!((to.get("size"), to.get("end_wal")), (Some("1000"), Some("00000001000000000000000B")));
    let next = case.after(&plan);
    assert_eq!((next.actions(), held(&next)), (vec![], vec!["main/info/20261121T000000".to_owned()]));
}

#[test]
fn the_wal_of_a_held_backup_is_what_it_says_here() {
    // There it ends later, in a segment that nobody has.
    let case = case("@21 1/08..12 | 1/08..0F", ONE).with(|case| case.primary.last = None);
    assert_eq!(held(&case), ["main/info/20261121T000000"]);
    assert_eq!((case.plan().before.backups, case.plan().after.backups), (1, 1));
    let end = Segment::from_number(segment("1/0A").timeline, 0x0A, super::notation::SIZE);
    assert_eq!(case.here.published().next().unwrap().end_wal, end);
}

#[test]
fn a_damaged_base_is_not_mended_with_the_files_of_a_backup_that_is_held() {
    let case = case("@21 1/08..0B | 1/08..0F", "@21 1/08..0A damaged | 1/08..0F");
    assert_eq!((case.actions(), held(&case).len(), case.plan().after.backups), (vec![], 1, 0));
}

#[test]
fn a_good_backup_is_not_made_less_because_the_primary_calls_it_failed() {
    for status in ["failed", "empty", "started", "leaving"] {
        let case = case(&format!("@21 1/08..0C {status} | 1/08..0F"), ONE);
        assert_eq!((case.actions(), held(&case), case.plan().after.backups), (vec![], vec![], 1), "{status}");
    }
}

#[test]
fn a_replica_with_something_held_is_blocked_and_never_in_sync() {
    let case = case(ONE, ONE).with(|case| set(case, "21", "end_wal", "00000001000000000000000B"));
    let plan = super::case::whole(case.plan());
    let status = crate::plan::status::status(&plan, std::slice::from_ref(&case.replica), &case.observation(), case.now);
    assert_eq!(status.replicas[0].verdict, Verdict::Blocked);
}

#[test]
fn an_accepted_change_is_recorded_in_a_saved_plan_and_survives_it() {
    let case = case("@21 1/08..0A | 1/08..0F 1/09=7", ONE).with(|case| {
        whole(case, "09", None);
        set(case, "21", "end_wal", "00000001000000000000000B");
        accept(case, &["main/wal/000000010000000000000009"]);
    });
    let saved = case.saved();
    let read = crate::plan_file::read(&crate::plan_file::write(&saved).unwrap()).unwrap();
    assert_eq!(read.plan.replicas[0].held, case.plan().held);
    assert!(matches!(read.plan.replicas[0].actions[0].reason, Reason::Accepted { .. }));
    // Who applies it need not say so again.
    let unsaid = case.clone().with(|case| accept(case, &[]));
    assert_eq!(unsaid.refuses(&saved), None);
    let moved = case.with(|case| case.here.wals.extend([(wal("1/09"), 5)]));
    assert!(moved.refuses(&saved).is_some());
}

#[test]
fn backups_that_only_the_site_has_are_named_until_they_are_kept() {
    let gone = case("| 1/02..0F", "@20 1/02..03 @21 1/08..0A | 1/02..0F");
    assert_eq!(gone.plan().notes, [Note::KeptHereOnly { count: 2, first: id("20") }]);
    let kept = case("| 1/02..0F", "@20 1/02..03 k @21 1/08..0A k | 1/02..0F");
    assert_eq!(kept.plan().notes, []);
}

#[test]
fn consent_to_what_does_not_wait_is_told_and_refused_where_it_is_given_for_one_run() {
    let case = case("@21 1/08..0A | 1/08..0F 1/09=7", ONE).with(|case| {
        whole(case, "09", None);
        set(case, "21", "end_wal", "00000001000000000000000B");
    });
    let consents = [
        ("main", true),
        ("main/wal", true),
        ("main/wal/000000010000000000000009", true),
        ("main/wal/000000010000000000000008..0A", true),
        ("main/info/20261121T000000", true),
        ("main/wal/00000001000000000000000A", false),
        ("main/info/20261122T000000", false),
        ("main/history", false),
        ("main/backup/20261121T000000", false),
    ];
    for (address, waits) in consents {
        let case = case.clone().with(|case| accept(case, &[address]));
        let told = case.plan().notes == [Note::AcceptsNothing(address.to_owned())];
        assert_eq!(told, !waits, "{address}: {:?}", case.plan().notes);
        let refused = super::case::whole(case.plan()).check_accepted(&case.replica.policy.accept);
        assert_eq!(refused.is_ok(), waits, "{address}: {refused:?}");
    }
    // Once it has been replaced, nothing waits any more.
    let done = case.with(|case| accept(case, &["main"]));
    assert_eq!(done.after(&done.plan()).plan().notes, [Note::AcceptsNothing("main".to_owned())]);
}

#[test]
fn consent_that_is_about_no_part_of_the_plan_is_refused() {
    let plan = super::case::whole(case(ONE, ONE).plan());
    let refused = plan.check_accepted(&["other/wal".parse().unwrap()]).unwrap_err();
    assert_eq!(refused.to_string(), "--accept other/wal is about nothing that waits for a person; nothing was changed");
}

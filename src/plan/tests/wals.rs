//! Which WAL is shipped, and in which order. Names of tests are rows of the list of Barman's failings.

use jiff::Timestamp;

use crate::barman::damage::{Seen, Spoilt};
use crate::barman::ids::{ServerName, SystemId};
use crate::barman::wal::{SegmentSize, Timeline, WalName};
use crate::barman::wal_entry::WalEntry;
use crate::barman::wal_set::WalRange;
use crate::observe::inventory::{Undescribed, Unsound, WholeWal};
use crate::observe::wal_files::{Span, wal_files, wal_spans};
use crate::plan::action::Change;
use crate::plan::reason::{Note, Reason};
use crate::plan::recovery::shortfall::Shortfall;
use crate::site::model::WalsFrom;

use super::case::{Case, case, words};
use super::notation::{Backup, edit, id, segment};

fn wal(word: &str) -> WalName {
    WalName::Segment(segment(word))
}

fn server() -> ServerName {
    "main".parse().unwrap()
}

const ONE: &str = "@21 1/08..0A | 1/08..0F";

#[test]
fn wals_missing_in_the_middle_are_planned() {
    let case = case(ONE, "@21 1/08..0A | 1/08..0F -1/09 -1/0C..0D");
    assert_eq!(case.actions(), ["+wal 1/09", "+wal 1/0C..0D"]);
    assert_eq!(case.reason("+wal 1/09"), Reason::NeededBy(id("21")));
    assert_eq!(case.reason("+wal 1/0C..0D"), Reason::MissingHere);
    assert_eq!(case.plan().before.backups, 0);
    assert_eq!(case.plan().after.backups, 1);
}

#[test]
fn a_truncated_wal_under_its_final_name_is_shipped_again() {
    let case = case(ONE, "@21 1/08..0A | 1/08..0F 1/09=5 1/0C=7");
    assert_eq!(case.actions(), ["~wal 1/09", "~wal 1/0C"]);
    assert_eq!(case.reason("~wal 1/09"), Reason::SizeDiffers { here: 5, there: 16 << 20, files: 1 });
    assert_eq!(case.plan().before.backups, 0);
}

#[test]
fn wal_that_is_damaged_here_is_shipped_again_whatever_its_size() {
    let damaged = |case: &mut Case| {
        case.here.unsound.insert(wal("1/09"), Unsound::Damaged);
    };
    let mended = case(ONE, "@21 1/08..0A | 1/08..0F").with(damaged);
    assert_eq!(mended.actions(), ["~wal 1/09"]);
    assert_eq!(mended.reason("~wal 1/09"), Reason::ContentDamaged { files: 1 });
    assert_eq!((mended.plan().before.backups, mended.plan().after.backups), (0, 1));
    let lost = case(ONE, "@21 1/08..0A | 1/08..0F").with(damaged).with(|case| {
        case.primary.gone.insert(wal("1/09"));
    });
    assert_eq!((lost.actions(), lost.plan().after.backups), (vec![], 0));
    let told = lost.plan().shortfalls;
    assert!(told.contains(&Shortfall::WalDamaged { count: 1, first: wal("1/09") }), "{told:?}");
}

#[test]
fn wal_that_was_read_and_is_not_what_was_written_is_shipped_again_and_told_why() {
    let read = |names: &[&str], is_shared| {
        case(ONE, "@21 1/08..0A | 1/08..0F").with(|case| {
            for name in names {
                let seen = Seen { size: 16 << 20, inode: 1, modified: 0 };
                let why = format!("page {} is no page of WAL", &name[2..]);
                let spoilt = Spoilt { why, found: Timestamp::UNIX_EPOCH, seen, is_shared };
                case.here.damage.wals.insert(wal(name), spoilt);
                case.here.unsound.insert(wal(name), Unsound::Damaged);
            }
        })
    };
    let one = read(&["1/09"], false);
    let why = "page 09 is no page of WAL".to_owned();
    assert_eq!(one.reason("~wal 1/09"), Reason::ContentDisproved { files: 1, why });
    let why = format!("{}: page 08 is no page of WAL; what the primary sent in its place is damaged too", wal("1/08"));
    assert_eq!(read(&["1/08", "1/09"], true).reason("~wal 1/08..09"), Reason::ContentDisproved { files: 2, why });
}

#[test]
fn what_nobody_can_look_into_is_unproven_where_a_list_says_why_and_damaged_elsewhere() {
    let encrypted = |entries: &mut Vec<WalEntry>| {
        for entry in entries.iter_mut() {
            entry.encryption = Some("gpg".parse().unwrap());
        }
    };
    let opaque = case(ONE, "@21 1/08..0A | 1/08..0F").with(|case| {
        case.here.unsound.insert(wal("1/09"), Unsound::Opaque);
    });
    assert_eq!(opaque.actions(), ["~wal 1/09"]);
    let hidden = opaque.with(|case| {
        edit(&mut case.primary.wals, encrypted);
        edit(&mut case.here.xlogdb.entries, encrypted);
    });
    assert_eq!((hidden.actions(), hidden.plan().after.backups), (vec![], 1));
    assert_eq!(hidden.plan().notes, [Note::Unproven { count: 1, first: wal("1/09") }]);
    let comes = case(ONE, "@21 1/08..0A | 1/08..0D").with(|case| {
        edit(&mut case.primary.wals, encrypted);
        edit(&mut case.here.xlogdb.entries, encrypted);
    });
    assert_eq!(comes.actions(), ["+wal 1/0E..0F"]);
    assert_eq!(comes.plan().notes, [Note::Unproven { count: 2, first: wal("1/0E") }]);
}

#[test]
fn segments_are_passed_as_a_whole_where_nothing_sets_one_apart() {
    let settled = |case: &Case| -> u64 {
        let count = |span| if let Span::Settled(settled) = span { settled.count() } else { 0 };
        wal_spans(Some(&case.primary), &case.here).map(count).sum()
    };
    let same = case(ONE, "@21 1/08..0A | 1/08..0F");
    assert_eq!(settled(&same), 8);
    let odd: [fn(&mut Case); 8] = [
        |case| case.primary.gone.extend([wal("1/09")]),
        |case| case.primary.undescribed.extend([(wal("1/09"), Undescribed::NotListed)]),
        |case| edit(&mut case.primary.wals, |wals| wals[1].size = 5),
        |case| edit(&mut case.here.xlogdb.entries, |lines| lines[1].encryption = "gpg".parse().ok()),
        |case| case.here.wals.insert(wal("1/09"), 5),
        |case| case.here.whole.extend([(wal("1/09"), WholeWal::Opaque)]),
        |case| case.here.unsound.insert(wal("1/09"), Unsound::Damaged),
        |case| case.here.unsound.extend((8..16).map(|n| (wal(&format!("1/{n:02X}")), Unsound::Opaque))),
    ];
    for (number, change) in odd.into_iter().enumerate() {
        let case = same.clone().with(change);
        assert_eq!(settled(&case), 0, "{number}");
        let names: Vec<WalName> = wal_files(Some(&case.primary), &case.here).map(|file| file.name).collect();
        assert_eq!(names, case.here.wals.names().collect::<Vec<_>>(), "{number}");
    }
}

#[test]
fn a_late_segment_of_an_old_timeline_is_planned() {
    let there = "@21 1/08..0A | 1/08..12 h2<1/0F 2/0F..1F";
    let case = case(there, "@21 1/08..0A | 1/08..0F h2<1/0F 2/0F..1F");
    assert_eq!(case.actions(), ["+wal 1/10..12"]);
}

#[test]
fn every_history_file_is_planned_even_when_no_list_names_it() {
    let there = "@21 3/08..0A | h2<1/02 h3<2/05 3/08..0F";
    let case = case(there, "@21 3/08..0A | 3/08..0F").with(|case| {
        edit(&mut case.primary.wals, |wals| {
            wals.remove(0);
        });
    });
    assert_eq!(case.actions(), ["+history 2", "+history 3"]);
    assert_eq!(case.after(&case.plan()).actions(), [""; 0]);
}

#[test]
fn a_history_file_that_tells_nothing_is_shipped_again() {
    let case = case("@21 2/08..0A | h2<1/02 2/08..0F", "@21 2/08..0A | h2<1/02=5 2/08..0F")
        .with(|case| case.here.histories.values_mut().for_each(|history| history.ancestors.clear()));
    assert_eq!(case.reason("~history 2"), Reason::SizeDiffers { here: 5, there: 42, files: 1 });
    assert_eq!(case.actions(), ["~history 2"]);
}

#[test]
fn a_compression_change_is_no_obstacle() {
    let compressed = |entry: &mut WalEntry| entry.compression = Some("zstd".parse().unwrap());
    let case = case("@21 1/08..0A | 1/08..0B 1/0C..0F=999", "@21 1/08..0A | 1/08..0B")
        .with(|case| edit(&mut case.primary.wals, |wals| wals.iter_mut().skip(4).for_each(compressed)));
    assert_eq!(case.actions(), ["+wal 1/0C..0F"]);
}

#[test]
fn a_missing_source_file_leaves_the_others_planned() {
    let case = case("@21 1/08..0A | 1/08..0F ?1/0D", "@21 1/08..0A | 1/08..0A");
    assert_eq!(case.actions(), ["+wal 1/0B..0C", "+wal 1/0E..0F"]);
    let gone = WalName::Segment(segment("1/0D"));
    assert_eq!(case.plan().shortfalls, [Shortfall::WalGone { count: 1, first: gone }]);
}

#[test]
fn wal_gone_at_both_ends_is_named_and_no_action() {
    let there = "@21 1/08..0C  @22 1/0E..0F | 1/08..0F -1/0A ?1/0B";
    let case = case(there, "@21 1/08..0C  @22 1/0E..0F | 1/08..0F -1/0A..0B");
    assert_eq!(case.actions(), [""; 0]);
    let range = WalRange { timeline: Timeline(1), first: 0x0A, last: 0x0B };
    assert_eq!(case.plan().shortfalls, [Shortfall::WalMissing { backup: id("21"), ranges: vec![range] }]);
    assert_eq!(case.plan().after.backups, 1);
}

#[test]
fn a_segment_broken_here_and_gone_there_is_noted() {
    for there in ["@21 1/08..0A | 1/08..0F -1/09", "@21 1/08..0A | 1/08..0F ?1/09"] {
        let case = case(there, "@21 1/08..0A | 1/08..0F 1/09=5");
        assert_eq!(case.actions(), [""; 0], "{there}");
        let range = WalRange { timeline: Timeline(1), first: 9, last: 9 };
        let broken = Shortfall::WalDamaged { count: 1, first: WalName::Segment(segment("1/09")) };
        let gone = Shortfall::WalMissing { backup: id("21"), ranges: vec![range] };
        assert_eq!(case.plan().shortfalls, [gone, broken], "{there}");
        assert_eq!(case.plan().after.backups, 0, "{there}");
    }
}

#[test]
fn an_empty_segment_at_the_primary_never_replaces_one_here() {
    let there = "@21 1/08..0A | 1/08..0F 1/09=0 h2<1/0C=0";
    let whole = case(there, "@21 1/08..0A | 1/08..0F h2<1/0C").with(|case| {
        let size = |line: &mut WalEntry| line.size = case.here.wals.get(line.name).unwrap();
        edit(&mut case.here.xlogdb.entries, |lines| lines.iter_mut().for_each(size));
    });
    assert_eq!(whole.actions(), [""; 0]);
    let damage = Note::EmptyThere { count: 2, first: wal("1/09") };
    assert_eq!((whole.plan().notes, whole.plan().after.backups), (vec![damage], 1));
    let missing = case(there, "@21 1/08..0A | 1/08..0F -1/09");
    assert_eq!(missing.actions(), [""; 0]);
    assert_eq!(missing.plan().after.backups, 0);
}

#[test]
fn labels_and_partial_files_go_with_their_segment() {
    let there = "@21 1/08..0A | 1/08..0F 1/08.backup 1/0C.backup 1/0F.partial";
    assert_eq!(case(there, "@21 1/08..0A | ").actions(), ["+wal 1/08..0A", "+wal 1/0B..0F"]);
    let segments = case(there, "@21 1/08..0A | 1/08..0F");
    assert_eq!(
        segments.actions(),
        ["+wal 000000010000000000000008.00000028.backup", "+wal 00000001000000000000000C.00000028.backup"]
    );
    let Change::AddWals(batch) = &segments.plan().actions[1].change.clone() else { panic!() };
    assert_eq!((batch.range, batch.entries.len()), (None, 2));
}

#[test]
fn a_standalone_keep_needs_its_begin_to_end_only() {
    let there = "@20 1/02..03 s  @21 1/08..0A | 1/01..0F";
    assert_eq!(
        case(there, "|").actions(),
        ["+backup 21", "+wal 1/08..0A", "+wal 1/0B..0F", "+backup 20", "keep 20 standalone", "+wal 1/02..03"]
    );
}

#[test]
fn wal_is_kept_from_where_the_policy_says() {
    let there = "@20 1/02..03  @21 1/08..0A | 1/01..0F";
    let wals = |from| {
        let actions = case(there, "|").wals_from(from).actions();
        actions.into_iter().filter(|words| words.contains("wal ")).collect::<Vec<_>>().join(" ")
    };
    assert_eq!(wals(WalsFrom::OldestBackup), "+wal 1/08..0A +wal 1/0B..0F +wal 1/02..03 +wal 1/04..07");
    assert_eq!(wals(WalsFrom::NewestBackup), "+wal 1/08..0A +wal 1/0B..0F +wal 1/02..03");
    assert_eq!(wals(WalsFrom::BackupsOnly), "+wal 1/08..0A +wal 1/02..03");
}

#[test]
fn without_a_backup_everything_is_shipped() {
    assert_eq!(case("@21 1/08..0A started | 1/01..0F", "|").actions(), ["+wal 1/01..0F"]);
}

#[test]
fn a_backup_that_does_not_say_where_it_begins_gets_everything() {
    let there = "@20  @21 1/08..0A | 1/01..0F";
    let case = case(there, "@20  @21 1/08..0A | 1/08..0F");
    assert_eq!(case.actions(), ["+wal 1/01..07"]);
    assert_eq!(case.plan().before.backups, 1);
}

#[test]
fn newest_recoverable_point_first() {
    let there = "@20 1/02..03  @21 1/06..07  @22 1/0A..0B | 1/02..0D h2<1/0D 2/0D..0E";
    assert_eq!(
        case(there, "").actions(),
        [
            "+server",
            "+history 2",
            "+backup 22",
            "+wal 1/0A..0B",
            "+wal 1/0C..0D",
            "+wal 2/0D..0E",
            "+backup 21",
            "+wal 1/06..07",
            "+wal 1/08..09",
            "+backup 20",
            "+wal 1/02..03",
            "+wal 1/04..05",
        ]
    );
}

#[test]
fn repairs_come_before_additions_of_the_same_stage() {
    let there = "@20 1/02..03  @21 1/06..07 | 1/01..0D";
    let case = case(there, "@20 1/02..03  @21 1/06..07 | 1/02..0D 1/03=5 1/07=5 1/0A=5 -1/06 -1/0C");
    assert_eq!(case.actions(), ["~wal 1/07", "+wal 1/06", "~wal 1/0A", "+wal 1/0C", "~wal 1/03"]);
}

#[test]
fn a_chain_is_shipped_before_what_lies_between() {
    let there = "@20 1/02..03  @21 1/06..07  @22<20 1/0A..0B | 1/02..0D";
    assert_eq!(
        case(there, "|").actions(),
        [
            "+backup 20",
            "+wal 1/02..03",
            "+backup 22",
            "+wal 1/0A..0B",
            "+wal 1/0C..0D",
            "+backup 21",
            "+wal 1/06..07",
            "+wal 1/08..09",
            "+wal 1/04..05",
        ]
    );
}

#[test]
fn overlapping_backups_share_their_wal() {
    let case = case("@20 1/02..05  @21 1/04..07 | 1/02..07", "|");
    assert_eq!(case.actions(), ["+backup 21", "+wal 1/04..07", "+backup 20", "+wal 1/02..03"]);
}

#[test]
fn a_backup_on_an_older_timeline_than_the_newest_wal_keeps_its_order() {
    let there = "@21 1/08..0A  @22 2/0C..0D | 1/08..0F h2<1/0B 2/0B..10";
    let case = case(there, "|");
    assert_eq!(
        case.actions(),
        [
            "+history 2",
            "+backup 22",
            "+wal 2/0C..0D",
            "+wal 2/0E..10",
            "+backup 21",
            "+wal 1/08..0A",
            "+wal 1/0B..0F",
            "+wal 2/0B",
        ]
    );
    let end = case.plan().after.window.unwrap();
    assert_eq!((end.oldest, end.end.timeline, end.end.number), (id("21"), Timeline(2), 0x10));
}

#[test]
fn segments_of_another_size_are_shipped_under_addresses_of_their_own() {
    // 64 MiB: no log has a segment 40, which a cluster before it with 16 MiB left behind.
    let case = case("@21 1/08..0A  @22 2/0C..0D | 1/08..0A 1/40..42 2/0C..0E", "|").with(|case| {
        let newest = case.primary.backups.get_mut(&id("22")).unwrap();
        newest.facts.segment_size = SegmentSize::new(64 << 20).unwrap();
    });
    let plan = case.plan();
    let planned: Vec<String> = plan.actions.iter().map(words).collect();
    assert_eq!(
        planned,
        ["+backup 22", "+wal 2/0C..0D", "+wal 2/0E", "+backup 21", "+wal 1/08..0A", "+wal 000000010000000000000040"]
    );
    assert_eq!(plan.after.backups, 2);
    assert_eq!(case.after(&plan).actions(), [""; 0]);
}

#[test]
fn wal_that_the_primary_does_not_list_is_shipped_and_named() {
    let case = case("@21 1/08..0A | 1/08..0F 1/0B..0C=5!", "@21 1/08..0A | 1/08..0A");
    assert_eq!(case.actions(), ["+wal 1/0B..0F"]);
    let note = Note::NotListedThere { server: server(), count: 2, first: wal("1/0B") };
    assert_eq!(case.plan().notes, std::slice::from_ref(&note));
    let Change::AddWals(batch) = case.plan().actions.remove(0).change else { panic!("no batch") };
    assert_eq!(batch.undescribed.into_iter().collect::<Vec<_>>(), [wal("1/0B"), wal("1/0C")]);
    // What it is was told by the files themselves: the primary's list has nothing to say against that.
    let mut after = case.after(&case.plan());
    edit(&mut after.here.xlogdb.entries, |lines| {
        lines.iter_mut().filter(|e| e.size == 5).for_each(|e| e.compression = "gzip".parse().ok());
    });
    assert_eq!((after.actions().len(), after.plan().notes), (0, vec![note]));
}

#[test]
fn wal_of_another_size_than_listed_is_shipped_as_it_is_on_the_disk() {
    let note = |first| Note::OtherSizeThere { server: server(), count: 1, first, listed: 16 << 20, on_disk: 5 };
    let there = "@21 1/08..0A | 1/08..0D 1/0C=5<16777216";
    let case = case(there, "@21 1/08..0A | 1/08..0A");
    assert_eq!((case.actions(), case.plan().notes), (vec!["+wal 1/0B..0D".to_owned()], vec![note(wal("1/0C"))]));
    // What was shipped before the primary compressed it is as good, and a piece of it is not.
    assert_eq!(super::case::case(there, "@21 1/08..0A | 1/08..0D").actions(), [""; 0]);
    assert_eq!(super::case::case(there, "@21 1/08..0A | 1/08..0D 1/0C=7").actions(), ["~wal 1/0C"]);
    let only_needed = case.wals_from(WalsFrom::BackupsOnly);
    assert_eq!(only_needed.plan().notes, [], "nobody wants that file");
}

#[test]
fn what_is_empty_at_the_primary_is_damage_there_listed_or_not() {
    for empty in ["1/0C=0", "1/0C=0!", "1/0C=0<16777216"] {
        let case = case(&format!("@21 1/08..0A | 1/08..0D {empty}"), "@21 1/08..0A | 1/08..0A");
        assert_eq!(case.actions(), ["+wal 1/0B", "+wal 1/0D"], "{empty}");
        assert_eq!(case.plan().notes, [Note::EmptyThere { count: 1, first: wal("1/0C") }], "{empty}");
    }
}

#[test]
fn without_a_backup_the_archive_tells_the_size_of_the_segments() {
    let sizes = |case: &Case| {
        let target = case.plan().target.unwrap();
        (target.segment_size.bytes() >> 20, target.segment_sizes.iter().map(|s| s.bytes() >> 20).collect::<Vec<_>>())
    };
    let of_64_mib = case("| 1/08..0A=67108864", "|");
    assert_eq!(sizes(&of_64_mib), (64, vec![64]));
    let compressed = |case: &mut Case| edit(&mut case.primary.wals, |wals| wals[0].compression = "gzip".parse().ok());
    assert_eq!(sizes(&of_64_mib.clone().with(compressed)), (64, vec![64]), "those that are stored as they are tell");
    for unknown in ["| 1/08=67108864 1/09=1048576", "| 1/08..0A=5", "| h2<1/08 1/09.partial=67108864", "|"] {
        assert_eq!(sizes(&case(unknown, "|")), (16, vec![]), "{unknown}");
    }
    assert_eq!(sizes(&case("| ?1/08=67108864", "| 1/09")), (16, vec![16]), "what is gone tells nothing");
    assert_eq!(sizes(&case("@21 1/08 | 1/08..0A=67108864", "|")), (16, vec![16]), "a backup knows better");
}

#[test]
fn an_accepted_system_may_have_segments_of_any_size_until_a_backup_tells() {
    let case = case("@21 1/08 | 1/08..0A", "@21 1/08 | 1/08..0A");
    let accepting = |mut case: Case| {
        case.replica.policy.accept_systems.insert(SystemId(9));
        case.plan().target.unwrap().segment_sizes
    };
    assert_eq!(accepting(case.clone()), []);
    let with_one = case.with(|case| {
        let backup = Backup::parse("22 2/0A system=9");
        let mut there = case.primary.backups[&id("21")].clone();
        there.facts = backup.facts();
        there.facts.segment_size = SegmentSize::new(64 << 20).unwrap();
        case.primary.backups.insert(id("22"), there);
    });
    assert_eq!(accepting(with_one), [SegmentSize::DEFAULT, SegmentSize::new(64 << 20).unwrap()]);
}

#[test]
fn the_lag_is_what_the_primary_has_past_the_window() {
    let case = case(ONE, "@21 1/08..0A | 1/08..0B 1/0D..0F");
    let lag = case.plan().before.lag.unwrap();
    assert_eq!((lag.segments, lag.bytes, lag.seconds), (4, 4 * (16 << 20), Some(4)));
    assert!(case.plan().after.is_level());
    assert_eq!(case.actions(), ["+wal 1/0C"]);
}

#[test]
fn a_gap_ends_the_window() {
    let plan = case("@20 1/02..03  @21 1/06..07 | 1/02..0D -1/05", "|").plan();
    let window = plan.after.window.unwrap();
    assert_eq!((window.oldest, window.end.number), (id("21"), 0x0D));
    assert_eq!(segment("1/0D").number(window.segment_size), Some(window.end.number));
    assert_eq!(plan.after.backups, 2);
}

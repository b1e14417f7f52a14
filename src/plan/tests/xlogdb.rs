//! xlog.db and sync-wals.info.

use std::collections::BTreeSet;

use crate::barman::version::BarmanVersion;
use crate::barman::wal::WalName;
use crate::observe::inventory::XlogFinding;
use crate::plan::action::Change;
use crate::plan::reason::Reason;

use super::case::{Case, case};
use super::notation::{edit, segment};

const ONE: &str = "@21 1/08..0A | 1/08..0F";

/// A site in sync but for its xlog.db.
fn with_xlogdb(change: impl FnOnce(&mut Case)) -> Case {
    case(ONE, ONE).with(change)
}

/// What is found to be wrong; that it is the only action, and that it helps.
fn findings(case: &Case) -> Vec<XlogFinding> {
    assert_eq!(case.actions(), ["~xlog.db"]);
    assert_eq!(case.after(&case.plan()).actions(), [""; 0]);
    match case.reason("~xlog.db") {
        Reason::XlogDb(findings) => findings,
        other => panic!("{other:?}"),
    }
}

#[test]
fn an_xlogdb_that_is_missing_is_made_before_anything_else() {
    let case = case(ONE, "@21 1/08..0A |").with(|case| {
        case.here.xlogdb.findings = vec![XlogFinding::Missing];
        case.here.sync_wals = None;
    });
    assert_eq!(case.actions(), ["~xlog.db", "~sync-wals.info", "+wal 1/08..0A", "+wal 1/0B..0F"]);
    assert_eq!(case.reason("~xlog.db"), Reason::XlogDb(vec![XlogFinding::Missing]));
}

#[test]
fn of_a_missing_xlogdb_nothing_else_is_said() {
    let case = with_xlogdb(|case| {
        case.here.xlogdb.findings = vec![XlogFinding::Missing];
        edit(&mut case.here.xlogdb.entries, Vec::clear);
    });
    assert_eq!(findings(&case), [XlogFinding::Missing]);
}

#[test]
fn doubled_and_unsorted_lines_are_drift_and_repaired() {
    let wrong = vec![XlogFinding::Unsorted(3), XlogFinding::Doubled(131)];
    let case = with_xlogdb(|case| case.here.xlogdb.findings.clone_from(&wrong));
    assert_eq!(findings(&case), wrong);
    let Change::RepairXlogDb { entries } = &case.plan().actions[0].change.clone() else { panic!() };
    assert!(entries.iter().copied().eq(case.primary.wals.iter()));
}

#[test]
fn a_file_without_a_line_is_listed() {
    let case = with_xlogdb(|case| edit(&mut case.here.xlogdb.entries, |lines| drop(lines.drain(2..4))));
    assert_eq!(findings(&case), [XlogFinding::NotListed(2)]);
}

#[test]
fn a_line_without_a_file_goes_unless_the_file_comes() {
    let coming = case(ONE, ONE).with(|case| {
        case.here.wals.remove(WalName::Segment(segment("1/0C")));
    });
    assert_eq!(coming.actions(), ["+wal 1/0C"]);
    let gone = case("@21 1/08..0A | 1/08..0F ?1/0C h2<1/0F=0", "@21 1/08..0A | 1/08..0F h2<1/0F").with(|case| {
        let is_left = |name: WalName| name.segment().is_some_and(|left| left != segment("1/0C"));
        case.here.wals = case.here.wals.iter().filter(|(name, _)| is_left(*name)).collect();
        case.here.histories.clear();
    });
    assert_eq!(findings(&gone), [XlogFinding::NotOnDisk(2)]);
}

#[test]
fn a_line_that_disagrees_with_the_primary_is_rewritten() {
    let case = with_xlogdb(|case| edit(&mut case.here.xlogdb.entries, |lines| lines[1].size = 5));
    assert_eq!(findings(&case), [XlogFinding::Differs(1)]);
}

#[test]
fn a_file_that_only_the_site_has_keeps_its_line() {
    let case = case("@21 1/08..0A | 1/09..0F", "@21 1/08..0A | 1/08..0F")
        .with(|case| edit(&mut case.here.xlogdb.entries, |lines| lines[0].compression = "gzip".parse().ok()));
    assert_eq!(case.actions(), [""; 0]);
    let repaired = case.clone().with(|case| case.here.xlogdb.findings = vec![XlogFinding::Doubled(1)]);
    assert_eq!(repaired.after(&repaired.plan()).here.xlogdb.entries, case.here.xlogdb.entries);
}

#[test]
fn a_barman_that_knows_no_encryption_lists_none() {
    let encrypt = |case: &mut Case| {
        edit(&mut case.primary.wals, |wals| wals.iter_mut().for_each(|entry| entry.encryption = "gpg".parse().ok()));
    };
    let old = with_xlogdb(encrypt).with(|case| {
        case.here.barman = BarmanVersion::new(3, 13, 3);
        let name = "main".parse().unwrap();
        let info = &case.primary.backups.values().next().unwrap().info;
        let info = info.for_site(&name, case.here.barman, &BTreeSet::new());
        case.here.backups.values_mut().for_each(|local| local.published.as_mut().unwrap().info = info.clone());
    });
    assert_eq!(old.actions(), [""; 0]);
    assert_eq!(findings(&with_xlogdb(encrypt)), [XlogFinding::Differs(8)]);
}

#[test]
fn an_absent_or_broken_sync_wals_info_is_rebuilt() {
    let case = case(ONE, ONE).with(|case| case.here.sync_wals = None);
    assert_eq!(case.actions(), ["~sync-wals.info"]);
    assert_eq!(case.reason("~sync-wals.info"), Reason::SyncWalsBroken);
    assert_eq!(case.after(&case.plan()).actions(), [""; 0]);
}

#[test]
fn a_sync_wals_info_that_is_behind_is_rewritten_before_the_first_wal() {
    let case = case(ONE, "@21 1/08..0A | 1/08..0E")
        .with(|case| case.here.sync_wals = Some((WalName::Segment(segment("1/0E")), 384)));
    assert_eq!(case.actions(), ["~sync-wals.info", "+wal 1/0F"]);
    assert_eq!(case.reason("~sync-wals.info"), Reason::SyncWalsBehind);
}

#[test]
fn a_position_of_0_is_written_as_1() {
    let case = case("@21 1/08 | 1/08", "");
    let last = (WalName::Segment(segment("1/08")), 1);
    assert_eq!(case.primary.last.map(|(_, position)| position), Some(0));
    assert_eq!(case.plan().target.and_then(|target| target.sync_wals), Some(last));
    assert_eq!(case.after(&case.plan()).actions(), [""; 0]);
}

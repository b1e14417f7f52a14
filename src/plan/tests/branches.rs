//! Branches: which one is judged, what is said of the others, and what none of them has.

use std::time::Duration;

use crate::barman::ids::SystemId;
use crate::barman::wal::{Timeline, WalName};
use crate::barman::wal_entry::Mtime;
use crate::barman::wal_entry::WalEntry;
use crate::barman::wal_set::WalRange;
use crate::plan::Outcome;
use crate::plan::reason::{Note, Warning};
use crate::plan::recovery::OtherBranch;
use crate::plan::recovery::shortfall::Shortfall;
use crate::plan::status::Verdict;
use crate::site::model::WalsFrom;

use super::case::{Case, case};
use super::notation::{id, segment};

impl Case {
    /// Says at both ends that a segment was archived so many seconds after the notation's first one.
    fn archived(self, word: &str, seconds: f64) -> Self {
        let (name, time) = (WalName::Segment(segment(word)), Mtime::new(1_795_300_000.0 + seconds).unwrap());
        self.with(|case| {
            for list in [&mut case.primary.wals, &mut case.here.xlogdb.entries] {
                let archived = list.get(name).map(|entry| WalEntry { mtime: time, ..entry });
                *list = std::mem::take(list).with(archived.into_iter().collect());
            }
        })
    }
}

fn end(case: &Case) -> (u32, u64) {
    let end = case.plan().before.window.unwrap().end;
    (end.timeline.0, end.number)
}

/// A live timeline 2 with a hole, and an abandoned timeline 3 that left it.
fn dead_branch() -> Case {
    let both = "@21 2/08..0A | 2/08..1F -2/17 h2<1/02 h3<2/10 3/10..12";
    case(both, both).archived("3/10", 2012.0).archived("3/11", 2013.0).archived("3/12", 2014.0)
}

#[test]
fn an_abandoned_branch_with_a_higher_timeline_does_not_hide_the_one_that_grows() {
    let case = dead_branch();
    assert_eq!(end(&case), (2, 0x16));
    let plan = case.plan();
    assert_eq!(plan.before.lag.unwrap().segments, 8);
    let hole = WalRange { timeline: Timeline(2), first: 0x17, last: 0x17 };
    assert_eq!(plan.shortfalls, [Shortfall::WalHole { timeline: Timeline(2), ranges: vec![hole] }]);
    let others = plan.notes.iter().filter_map(|note| match note {
        Note::OtherBranch(other) => Some((other.timeline, other.reached.is_some())),
        _ => None,
    });
    assert_eq!(others.collect::<Vec<_>>(), [(Timeline(3), true)]);
    let judged = case.with(|case| case.replica.policy.rpo = Some(Duration::from_secs(5))).status();
    assert_eq!(judged.verdict, Verdict::ObjectiveMissed);
}

#[test]
fn a_branch_that_grew_last_is_judged_whatever_its_number() {
    let both = "@21 1/08..0A | 1/08..1F h2<1/0C 2/0C..0E";
    assert_eq!(end(&case(both, both)), (2, 0x0E));
    assert_eq!(end(&case(both, both).archived("1/1F", 3000.0)), (1, 0x1F));
    let without_history = both.replace("h2<1/0C ", "");
    let alone = case(both, &without_history);
    assert_eq!(end(&alone), (1, 0x0C), "without its history file nobody gets there");
    assert_eq!(alone.plan().after.window.unwrap().end.timeline, Timeline(2));
}

#[test]
fn a_timeline_that_is_continued_is_no_branch_of_its_own() {
    let both = "@21 1/08..0A | 1/08..0C h2<1/0C 2/0C..0E";
    let plan = case(both, both).plan();
    assert!(!plan.notes.iter().any(|note| matches!(note, Note::OtherBranch(_))), "{:?}", plan.notes);
    assert!(plan.is_in_sync() && plan.before.is_level());
}

/// Timeline 3 of one system, and timeline 1 of the one that it was upgraded to.
const UPGRADED: &str = "@20 3/01..02  @22 1/09..0A system=8 | 3/01..06 1/08..12";

fn accepting(there: &str, here: &str) -> Case {
    case(there, here).with(|case| case.replica.policy.accept_systems.extend([SystemId(8)]))
}

#[test]
fn after_an_upgrade_the_new_system_is_judged_and_the_old_one_told() {
    let case = accepting(UPGRADED, UPGRADED).archived("1/12", 9000.0);
    let plan = case.plan();
    assert_eq!(end(&case), (1, 0x12));
    assert_eq!(plan.before.window.unwrap().oldest, id("22"));
    assert!(plan.is_in_sync() && plan.before.is_level(), "{:?}", plan.shortfalls);
    assert!(plan.notes.iter().any(|note| matches!(note, Note::OtherBranch(OtherBranch { timeline: Timeline(3), .. }))));
}

#[test]
fn two_clusters_on_one_timeline_are_not_joined() {
    let both = "@20 1/01..02  @22 1/09..0A system=8 | 1/01..12";
    let case = accepting(both, both);
    assert_eq!((end(&case), case.plan().before.window.unwrap().oldest), ((1, 0x12), id("22")));
    let old = "@20 1/01..02 | 1/01..12";
    let window = accepting(both, old).plan().before;
    assert_eq!(window.window.unwrap().end.number, 2, "what follows may be of either");
    assert!(window.lag.unwrap().segments > 0);
}

#[test]
fn a_branch_to_which_no_backup_leads_is_named() {
    let both = "@20 3/01..02 | 3/01..06 1/08..12";
    let case = accepting(both, both).archived("1/12", 9000.0);
    assert_eq!(case.plan().shortfalls, [Shortfall::NoBackup { timeline: Timeline(1) }]);
    assert_eq!(case.plan().before.lag.unwrap().segments, 11);
    assert_eq!(case.status().verdict, Verdict::Incomplete);
}

#[test]
fn what_is_not_wanted_never_blocks() {
    let pruned = accepting(UPGRADED, "@22 1/09..0A system=8 | 1/09..12").last(1);
    assert_eq!(pruned.plan().outcome, Outcome::Planned);
    assert!(!pruned.actions().iter().any(|action| action.contains("3/")), "{:?}", pruned.actions());
    let fresh = accepting(UPGRADED, "").last(1);
    assert_eq!(fresh.plan().outcome, Outcome::Planned);
    assert!(!fresh.actions().iter().any(|action| action.contains("3/")), "{:?}", fresh.actions());
    assert_eq!(fresh.after(&fresh.plan()).actions(), [""; 0]);
}

#[test]
fn an_accepted_successor_does_not_make_its_predecessor_a_stranger() {
    let holds_the_successor = accepting(UPGRADED, "@22 1/09..0A system=8 | 1/09..12");
    assert_eq!(holds_the_successor.plan().outcome, Outcome::Planned);
    let reinitialised = format!("@25 1/02..03 system=9 {UPGRADED}");
    let case = accepting(&reinitialised, "@22 1/09..0A system=8 | 1/09..12");
    assert!(matches!(case.plan().outcome, Outcome::Blocked(_)), "a system that came later is one");
}

#[test]
fn with_backups_only_an_idle_site_is_in_sync() {
    let case = case("@21 1/08..0A | 1/08..1F", "@21 1/08..0A | 1/08..0A").wals_from(WalsFrom::BackupsOnly);
    assert_eq!(case.status().verdict, Verdict::InSync);
    assert!(case.clone().plan().before.lag.unwrap().segments > 0, "what is not wanted is behind all the same");
    let promised = case.with(|case| case.replica.policy.rpo = Some(Duration::from_secs(5)));
    assert_eq!(promised.status().verdict, Verdict::ObjectiveMissed);
}

#[test]
fn a_window_never_ends_before_its_backup_did() {
    let recovery = case("@21 1/08..0A | 1/08..0F", "@21 1/08..0A | 1/08..0A").plan().before;
    assert!(recovery.to >= recovery.from && recovery.from.is_some(), "{recovery:?}");
}

#[test]
fn a_time_in_the_future_shows_nothing() {
    let both = "@21 1/08..0A | 1/08..0F";
    let ahead = |seconds: i64| {
        let case = case(both, both).with(|case| case.replica.policy.rpo = Some(Duration::from_secs(900)));
        let newest = case.primary.wals.last().unwrap().mtime.seconds();
        #[expect(clippy::cast_possible_truncation)]
        let newest = jiff::Timestamp::from_second(newest as i64).unwrap();
        let mut case = case.with(|case| case.now = newest - jiff::SignedDuration::from_secs(seconds));
        for backup in case.here.backups.values_mut() {
            backup.published.as_mut().unwrap().facts.end_time = None;
        }
        case
    };
    let status = ahead(7200).unreachable();
    assert_eq!((status.verdict, status.age), (Verdict::ObjectiveMissed, None));
    let warnings = ahead(7200).plan().warnings;
    assert!(warnings.iter().any(|warning| matches!(warning, Warning::DatedAhead { count: 8, .. })), "{warnings:?}");
    assert_eq!(ahead(5).unreachable().verdict, Verdict::PrimaryUnreachable, "clocks differ a little");
}

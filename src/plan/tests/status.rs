//! The verdict on a replica, in every situation.

use std::time::Duration;

use jiff::Timestamp;

use crate::barman::ids::SystemId;
use crate::barman::last_apply::LastApply;
use crate::error::{Error, Kind};
use crate::observe::inventory::{Mark, Observation, Observed, Origin, ReplicaObservation};
use crate::plan::reason::{Note, Warning};
use crate::plan::status::{BackupCounts, ReplicaStatus, Verdict, status};
use crate::schedule::Suspension;

use super::case::{Case, case, whole};
use super::notation::id;

const PRIMARY: &str = "@21 1/08..0A | 1/08..1F";
/// The last 16 segments are missing, each a second after the one before it.
const BEHIND: &str = "@21 1/08..0A | 1/08..0F";

impl Case {
    fn rpo(self, seconds: u64) -> Self {
        self.with(|case| case.replica.policy.rpo = Some(Duration::from_secs(seconds)))
    }

    fn max_silence(self, seconds: u64) -> Self {
        self.with(|case| case.replica.policy.max_silence = Some(Duration::from_secs(seconds)))
    }

    pub fn status(&self) -> ReplicaStatus {
        self.status_as(Observed::Active(Box::new(self.primary.clone())))
    }

    pub fn unreachable(&self) -> ReplicaStatus {
        self.status_as(Observed::Failed(Error::new(Kind::Unreachable, "no route to host")))
    }

    fn inactive(&self) -> ReplicaStatus {
        self.status_as(Observed::Inactive("Skipping inactive server 'main'".to_owned()))
    }

    fn status_as(&self, primary: Observed) -> ReplicaStatus {
        let observed = ReplicaObservation { primary, replica: self.here.clone() };
        let plan = whole(crate::plan::replica::plan(&self.replica, None, &observed, self.now));
        let observation = Observation { replicas: [(self.replica.name.clone(), observed)].into() };
        let mut status = status(&plan, std::slice::from_ref(&self.replica), &observation, self.now);
        status.replicas.remove(0)
    }

    /// Looks so many seconds after the newest WAL here was archived.
    fn seconds_later(self, seconds: i64) -> Self {
        let to = self.unreachable().recovery.to.unwrap();
        self.with(|case| case.now = to + jiff::SignedDuration::from_secs(seconds))
    }
}

#[test]
fn with_the_primary_at_hand_the_lag_decides() {
    for (here, rpo, expected) in [
        (PRIMARY, None, Verdict::InSync),
        (PRIMARY, Some(0), Verdict::InSync),
        (BEHIND, None, Verdict::Behind),
        (BEHIND, Some(16), Verdict::Behind),
        (BEHIND, Some(15), Verdict::ObjectiveMissed),
        ("", None, Verdict::NotRecoverable),
        ("", Some(3600), Verdict::NotRecoverable),
        ("@21 1/08..0A | 1/08..09", None, Verdict::NotRecoverable),
        ("@21 1/08..0A damaged | 1/08..1F", None, Verdict::NotRecoverable),
    ] {
        let case = case(PRIMARY, here);
        let case = if let Some(rpo) = rpo { case.rpo(rpo) } else { case };
        assert_eq!(case.status().verdict, expected, "{here:?} {rpo:?}");
    }
}

/// A replica that is level with a primary which is a copy itself, 900 s after the newest WAL was archived, and when that was.
fn level_with_a_copy() -> (Case, i64) {
    let case = case(PRIMARY, PRIMARY).seconds_later(900).with(|case| {
        let passive = case.here.backups[&id("21")].published.as_ref().unwrap().info.clone();
        case.primary.backups.get_mut(&id("21")).unwrap().info = passive;
    });
    let to = case.unreachable().recovery.to.unwrap().as_second();
    (case, to)
}

#[test]
fn in_a_row_of_sites_what_is_known_of_the_origin_decides() {
    let (copy, to) = level_with_a_copy();
    let at_most = |case: Case, seconds: u64| {
        assert_eq!(case.clone().rpo(seconds).status().verdict, Verdict::InSync, "{seconds}");
        let less = case.rpo(seconds - 1).status();
        assert_eq!(less.verdict, Verdict::ObjectiveMissed, "{seconds}");
        assert_eq!(less.objective.unwrap().loss, Some(seconds));
    };
    // Nobody tells of it: the age of the newest WAL bounds what would be lost.
    at_most(copy.clone(), 900);
    let seeing = |newest: &str, archived: i64, seen: i64| {
        let (newest, archived, seen) = (newest.parse().unwrap(), to + archived, to + seen);
        copy.clone().with(|case| case.primary.pedigree.extend([Mark::Origin(Origin { seen, newest, archived })]))
    };
    let here = "00000001000000000000001F";
    assert_eq!(seeing(here, 0, 900).rpo(0).status().verdict, Verdict::InSync);
    at_most(seeing(here, 0, 840), 60);
    at_most(seeing("000000010000000000000021", 300, 900), 300);
    at_most(seeing("000000010000000000000021", 300, 800), 400);
    // What lies in the future shows nothing.
    at_most(seeing(here, 0, 5_000), 900);
    // It takes backups of its own: it is the origin, whatever it was.
    let own = case(PRIMARY, PRIMARY).seconds_later(900).rpo(0).status();
    assert_eq!((own.verdict, own.recovery.origin), (Verdict::InSync, None));
}

#[test]
fn how_far_a_primary_has_come_is_its_newest_segment_by_time_and_the_minute_of_the_look() {
    let (case, to) = level_with_a_copy();
    let come = case.primary.has_come(case.now).unwrap();
    assert_eq!((come.newest.to_string().as_str(), come.archived), ("00000001000000000000001F", to));
    assert!(come.seen % 60 == 0 && (0..60).contains(&(case.now.as_second() - come.seen)));
    // Times in the future say nothing.
    let earlier = jiff::Timestamp::from_second(to - 61).unwrap();
    assert_ne!(case.primary.has_come(earlier).map(|come| come.archived), Some(to));
}

#[test]
fn whatever_is_to_be_done_makes_a_replica_behind() {
    let older = "@20 1/02..03 @21 1/08..0A | 1/02..1F";
    assert_eq!(case(older, "@21 1/08..0A | 1/08..1F").status().verdict, Verdict::Behind);
    assert_eq!(case("@21 1/08..0A k | 1/08..1F", PRIMARY).status().verdict, Verdict::Behind);
}

#[test]
fn a_gap_that_the_primary_cannot_fill_makes_a_replica_incomplete() {
    let gap = case("@21 1/08..0A | 1/08..1F ?1/10", "@21 1/08..0A | 1/08..1F -1/10");
    assert_eq!(gap.actions(), [""; 0]);
    assert_eq!(gap.status().verdict, Verdict::Incomplete);
    assert!(gap.status().is_missed() && !gap.clone().rpo(3600).status().is_missed());
    assert_eq!(gap.rpo(5).status().verdict, Verdict::ObjectiveMissed);
}

#[test]
fn a_blocked_replica_is_blocked_as_long_as_its_objective_is_kept() {
    let there = "@21 1/08..0A  @22 1/10..12 system=8 | 1/08..1F";
    let blocked = case(there, BEHIND);
    assert_eq!(blocked.status().verdict, Verdict::Blocked);
    // What follows the backup may be of either system.
    assert_eq!(blocked.clone().rpo(21).status().verdict, Verdict::Blocked);
    assert_eq!(blocked.clone().rpo(20).status().verdict, Verdict::ObjectiveMissed);
    let accepted = blocked.with(|case| case.replica.policy.accept_systems.extend([SystemId(8)]));
    assert_eq!(accepted.status().verdict, Verdict::Behind);
}

#[test]
fn without_the_primary_the_age_of_the_newest_wal_decides() {
    let case = case(PRIMARY, BEHIND).seconds_later(900);
    let alone = case.unreachable();
    assert_eq!((alone.verdict, alone.recovery.lag, alone.age), (Verdict::PrimaryUnreachable, None, Some(900)));
    assert!(alone.recovery.window.is_some());
    assert_eq!(case.clone().rpo(900).unreachable().verdict, Verdict::PrimaryUnreachable);
    assert_eq!(case.clone().rpo(899).unreachable().verdict, Verdict::ObjectiveMissed);
    assert_eq!(case.clone().rpo(899).unreachable().objective.map(|o| (o.loss, o.kept)), Some((Some(900), false)));
    assert_eq!(self::case(PRIMARY, "").unreachable().verdict, Verdict::NotRecoverable);
    assert_eq!(self::case(PRIMARY, "").rpo(5).unreachable().objective.map(|o| (o.loss, o.kept)), Some((None, false)));
}

#[test]
fn an_inactive_server_is_judged_by_what_is_here_of_it() {
    let case = case(PRIMARY, BEHIND).seconds_later(900);
    assert_eq!(case.inactive().verdict, Verdict::Inactive);
    assert_eq!(case.clone().rpo(899).inactive().verdict, Verdict::ObjectiveMissed);
    assert_eq!(self::case(PRIMARY, "").rpo(5).inactive().verdict, Verdict::Inactive);
    assert_eq!(self::case(PRIMARY, "| 1/08").inactive().verdict, Verdict::NotRecoverable);
}

#[test]
fn nothing_is_promised_of_an_inactive_server_of_which_nothing_was_copied() {
    let empty = case(PRIMARY, "").rpo(5).max_silence(5).inactive();
    assert_eq!((empty.verdict, empty.objective, empty.silence), (Verdict::Inactive, None, None));
    assert!(!empty.is_missed());
}

#[test]
fn a_replica_of_which_nothing_is_heard_for_too_long_is_not_well_without_any_other_objective() {
    let seconds = |status: ReplicaStatus| (status.verdict, status.silence.unwrap().silent, status.is_missed());
    let silent = |most| case(PRIMARY, BEHIND).seconds_later(900).max_silence(most);
    assert_eq!(seconds(silent(900).unreachable()), (Verdict::PrimaryUnreachable, Some(900), false));
    assert_eq!(seconds(silent(899).unreachable()), (Verdict::ObjectiveMissed, Some(900), true));
    // The primary answers, and nothing of it arrives.
    assert_eq!(seconds(silent(899).status()), (Verdict::ObjectiveMissed, Some(900), true));
    // It is level with it, its Barman says that there is nothing, or an apply did all there was to do.
    let level = case(PRIMARY, PRIMARY).seconds_later(900).max_silence(899);
    assert_eq!(seconds(level.status()), (Verdict::InSync, Some(0), false));
    assert_eq!(seconds(silent(899).inactive()), (Verdict::Inactive, Some(0), false));
    let applied = silent(899).with(|case| {
        let ended = Some(case.now - jiff::SignedDuration::from_secs(60));
        case.here.last_apply = Some(LastApply { ended, primary: String::new(), measured: None, site: None });
    });
    assert_eq!(seconds(applied.unreachable()), (Verdict::PrimaryUnreachable, Some(60), false));
}

#[test]
fn a_catalog_that_cannot_be_read_is_neither_kept_nor_missed() {
    let case = case(PRIMARY, "").rpo(5).with(|case| case.here.unreadable = true);
    assert_eq!(case.unreachable().verdict, Verdict::Unreadable);
    assert!(!Verdict::Unreadable.is_well());
}

#[test]
fn a_clock_that_runs_behind_the_primary_makes_no_negative_age() {
    assert_eq!(case(PRIMARY, BEHIND).seconds_later(-5).unreachable().age, Some(0));
}

#[test]
fn backups_are_counted_here_wanted_and_at_the_primary() {
    let there = "@19 1/01 @20 1/02..03 @21 1/08..0A @22 1/10 waiting | 1/01..1F";
    let here = "@20 1/02..03 @21 1/08..0A damaged | 1/02..1F";
    let case = case(there, here).last(2);
    assert_eq!(
        case.status().backups,
        BackupCounts { here: 1, wanted: Some(2), at_primary: Some(3), ..BackupCounts::default() }
    );
    assert_eq!(
        case.unreachable().backups,
        BackupCounts { here: 1, wanted: None, at_primary: None, ..BackupCounts::default() }
    );
}

#[test]
fn what_was_not_looked_at_now_is_counted_with_the_oldest_look_at_what_is_whole() {
    let (early, late): (Timestamp, Timestamp) =
        ("2026-11-20T00:00:00Z".parse().unwrap(), "2026-11-21T00:00:00Z".parse().unwrap());
    let here = "@19 1/01 @20 1/02..03 @21 1/08..0A damaged | 1/01..1F";
    let case = case("@19 1/01 @20 1/02..03 @21 1/08..0A | 1/01..1F", here).with(|case| {
        for (backup, at) in case.here.backups.values_mut().zip([late, early, "2026-01-01T00:00:00Z".parse().unwrap()]) {
            backup.looked_at = Some(at);
        }
    });
    let backups = case.status().backups;
    assert_eq!((backups.here, backups.looked_at_earlier, backups.oldest_look), (2, 2, Some(early)));
    assert_eq!(case.unreachable().backups.looked_at_earlier, 2);
}

#[test]
fn the_last_successful_apply_is_told_with_and_without_the_primary() {
    let ended = "2026-11-29T00:00:00Z".parse().unwrap();
    let last = LastApply { ended: Some(ended), primary: "frankfurt".to_owned(), measured: None, site: None };
    let case = case(PRIMARY, PRIMARY).with(|case| case.here.last_apply = Some(last));
    assert_eq!(case.status().last_apply, Some(ended));
    assert_eq!(case.unreachable().last_apply, Some(ended));
}

#[test]
fn what_a_plan_rests_on_is_told_to_the_minute() {
    let looked_at = "2026-11-29T00:00:59Z".parse().ok();
    let case = case(PRIMARY, PRIMARY).with(|case| case.here.wals_looked_at = looked_at);
    let told = Note::LookedEarlier { since: "2026-11-29T00:00:00Z".parse().unwrap() };
    assert_eq!(case.plan().notes, [told]);
}

#[test]
fn what_is_suspended_is_never_well_and_its_objective_is_judged_all_the_same() {
    let suspended = |case: Case| {
        case.with(|case| {
            case.here.suspended = Some(Suspension { since: None, until: None, by: Some("anna".to_owned()), why: None });
        })
    };
    assert_eq!(suspended(case(PRIMARY, PRIMARY)).status().verdict, Verdict::Suspended);
    assert!(!Verdict::Suspended.is_well());
    assert_eq!(suspended(case(PRIMARY, PRIMARY)).unreachable().verdict, Verdict::Suspended);
    assert_eq!(suspended(case(PRIMARY, BEHIND)).rpo(15).status().verdict, Verdict::ObjectiveMissed);
    assert_eq!(suspended(case(PRIMARY, "")).status().verdict, Verdict::NotRecoverable);
    let warnings = suspended(case(PRIMARY, BEHIND)).plan().warnings;
    assert!(matches!(warnings.as_slice(), [Warning::Suspended(_), ..]), "{warnings:?}");
}

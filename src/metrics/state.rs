//! How a site stands, as samples. What nobody knows has none.

#![deny(clippy::wildcard_enum_match_arm)]

use std::collections::BTreeMap;
use std::time::Duration;

use jiff::Timestamp;

use crate::barman::drill;
use crate::barman::wal_set::WalRange;
use crate::plan::action::words::Verb;
use crate::plan::cost::totals::{Things, Totals};
use crate::plan::reason::{Note, Warning};
use crate::plan::recovery::origin::Origin;
use crate::plan::recovery::shortfall::Shortfall;
use crate::plan::status::vanished::{Cause, Vanished};
use crate::plan::status::{ReplicaStatus, SiteStatus, Verdict};
use crate::plan::{Outcome, ReplicaPlan};

use super::exposition::{Exposition, count, moment, truth};
use super::series::{self, Series};

/// How a site stands, and what is known of it besides.
#[derive(Debug, Clone, Copy)]
pub struct State<'a> {
    /// How each replica stands.
    pub status: &'a SiteStatus,
    /// The plans that this was told from.
    pub plans: &'a [&'a ReplicaPlan],
    /// When all of them were looked at.
    pub observed: Timestamp,
    /// How many mirrors could not be resolved.
    pub errors: usize,
}

/// Adds the samples of how a site stands.
pub fn add(state: &State<'_>, to: &mut Exposition<'_>) {
    to.number(series::OBSERVED, &[], moment(state.observed));
    to.number(series::OBJECTIVES_KEPT, &[], truth(!state.status.is_missed()));
    to.number(series::SITE_ERRORS, &[], count(state.errors as u64));
    for Vanished { name, primary, cause, .. } in &state.status.vanished {
        let cause = match cause {
            Cause::GoneAtPrimary => "gone-at-primary",
            Cause::NotDeclared => "not-declared",
            Cause::Nobodys => "nobodys",
        };
        to.number(series::VANISHED, &[name.as_str(), primary.as_deref().unwrap_or_default(), cause], 1.0);
    }
    for status in &state.status.replicas {
        let mut replica = OfReplica { status, to };
        replica.verdict();
        replica.recovery();
        replica.origin();
        replica.objectives();
        replica.backups();
        replica.run();
        replica.verified();
        replica.drilled();
        if let Some(plan) = state.plans.iter().find(|plan| plan.name == status.name) {
            replica.plan(plan);
        }
        replica.kept();
    }
}

/// The samples of one replica.
struct OfReplica<'a, 'b, 'c> {
    status: &'a ReplicaStatus,
    to: &'b mut Exposition<'c>,
}

impl OfReplica<'_, '_, '_> {
    fn one(&mut self, series: Series, number: f64) {
        self.to.number(series, &[self.status.name.as_str(), &self.status.primary], number);
    }

    fn labelled(&mut self, series: Series, label: &str, number: f64) {
        self.to.number(series, &[self.status.name.as_str(), &self.status.primary, label], number);
    }

    fn maybe(&mut self, series: Series, number: Option<f64>) {
        if let Some(number) = number {
            self.one(series, number);
        }
    }

    fn verdict(&mut self) {
        for verdict in Verdict::ALL {
            self.labelled(series::VERDICT, verdict.words(), truth(verdict == self.status.verdict));
        }
    }

    fn recovery(&mut self) {
        let recovery = self.status.recovery;
        if recovery.window.is_some() {
            self.maybe(series::WINDOW_START, recovery.from.map(moment));
            self.maybe(series::WINDOW_END, recovery.to.map(moment));
        }
        let Some(lag) = recovery.lag else { return };
        self.one(series::LAG_SEGMENTS, count(lag.segments));
        self.one(series::LAG_BYTES, count(lag.bytes));
        self.maybe(series::LAG_SECONDS, lag.seconds.and_then(|seconds| u64::try_from(seconds).ok()).map(count));
    }

    fn origin(&mut self) {
        let Some(Origin::Seen(seen)) = self.status.recovery.origin else { return };
        self.one(series::ORIGIN_SEEN, moment(seen.at));
        self.maybe(series::ORIGIN_LAG, seen.seconds.map(count));
    }

    fn objectives(&mut self) {
        if let Some(objective) = self.status.objective {
            self.one(series::RPO, count(objective.rpo));
            self.maybe(series::LOSS, objective.loss.map(count));
            self.one(series::OBJECTIVE_KEPT, truth(objective.kept));
        }
        if let Some(silence) = self.status.silence {
            self.one(series::SILENCE_LIMIT, count(silence.most));
            self.maybe(series::SILENCE, silence.silent.map(count));
            self.one(series::SILENCE_KEPT, truth(silence.kept));
        }
        self.maybe(series::LAST_APPLY, self.status.last_apply.map(moment));
    }

    fn backups(&mut self) {
        let backups = self.status.backups;
        for (state, number) in [
            ("here", Some(backups.here)),
            ("recoverable", Some(self.status.recovery.backups)),
            ("wanted", backups.wanted),
            ("at-primary", backups.at_primary),
        ] {
            if let Some(number) = number {
                self.labelled(series::BACKUPS, state, count(number as u64));
            }
        }
        let oldest = backups.oldest_look.into_iter().chain(backups.wals_looked_at).min();
        self.maybe(series::OLDEST_LOOK, oldest.map(moment));
    }

    fn run(&mut self) {
        if let Some(run) = &self.status.ongoing {
            let (began, progress) = (moment(run.began), moment(run.last_progress));
            self.one(series::RUN_STARTED, began);
            self.one(series::RUN_PROGRESS, progress);
        }
    }

    /// How far what is here was read. That nothing is damaged, only reading shows.
    fn verified(&mut self) {
        let damaged = self.status.damaged;
        if self.status.verified.is_some() || damaged > 0 {
            self.one(series::DISPROVED, count(damaged));
        }
        let Some(verified) = self.status.verified else { return };
        self.maybe(series::OLDEST_READ, verified.oldest.map(moment));
        self.one(series::HERE_BYTES, count(verified.files.bytes));
        self.one(series::UNREAD_BYTES, count(verified.unread.bytes));
        self.one(series::UNPROVEN_BYTES, count(verified.unproven.bytes));
        self.one(series::UNCHANGED_BYTES, count(verified.unchanged.bytes));
    }

    /// What drills showed of it.
    fn drilled(&mut self) {
        let Some(drilled) = &self.status.drilled else { return };
        for (verdict, words) in [
            (drill::Verdict::Proved, "proved"),
            (drill::Verdict::NotRun, "not-run"),
            (drill::Verdict::Disproved, "disproved"),
        ] {
            self.labelled(series::DRILLED, words, truth(verdict == drilled.verdict));
        }
        let seconds = |milliseconds: u64| Duration::from_millis(milliseconds).as_secs_f64();
        self.one(series::DRILL_DISPROVED, truth(drilled.disproved));
        self.one(series::LAST_DRILL, moment(drilled.at));
        self.maybe(series::LAST_PROVED, drilled.proved_at.map(moment));
        self.maybe(series::RECOVERY_TIME, drilled.recovery_milliseconds.map(seconds));
        self.maybe(series::RECOVERY_FORECAST, drilled.forecast_milliseconds.map(seconds));
        self.maybe(series::RTO, drilled.rto_seconds.map(count));
    }

    /// What a plan says of it. Where nothing could be planned, it is not known what is missing.
    fn plan(&mut self, plan: &ReplicaPlan) {
        let (is_observed, is_planned) = match plan.outcome {
            Outcome::Planned => (true, true),
            Outcome::Inactive(_) | Outcome::Blocked(_) => (true, false),
            Outcome::Unobserved(_) => (false, false),
        };
        self.one(series::IS_OBSERVED, truth(is_observed));
        self.lacking(plan, is_planned);
        if let Outcome::Blocked(blockers) = &plan.outcome {
            self.labelled(series::WAITING, "blocked", count(blockers.len() as u64));
        }
        if is_planned {
            self.labelled(series::WAITING, "blocked", 0.0);
            self.waiting(plan);
            self.planned(plan);
        }
        if let Some(target) = &plan.target {
            self.maybe(series::FREE, target.free.map(count));
            self.one(series::RESERVED, count(target.reserve));
        }
    }

    fn waiting(&mut self, plan: &ReplicaPlan) {
        let unpruned = plan.warnings.iter().map(|warning| match warning {
            Warning::PruneHeld(held) => held.count,
            Warning::Suspended(_)
            | Warning::PassiveCron
            | Warning::NotConfigured { .. }
            | Warning::OwnRetention(_)
            | Warning::BehindObjective { .. }
            | Warning::DatedAhead { .. }
            | Warning::AppliedAhead(_)
            | Warning::RefusedBefore { .. }
            | Warning::NotLookedAt
            | Warning::Inactive => 0,
        });
        for (reason, number) in [("held", plan.held.len()), ("prune", unpruned.sum())] {
            self.labelled(series::WAITING, reason, count(number as u64));
        }
    }

    /// What is lacking. That nothing is, only a plan shows.
    fn lacking(&mut self, plan: &ReplicaPlan, is_planned: bool) {
        let mut by_cause = BTreeMap::from(CAUSES.map(|cause| (cause, 0_u64)));
        for shortfall in &plan.shortfalls {
            let (cause, number) = lacking(shortfall);
            let sum = by_cause.entry(cause).or_default();
            *sum = sum.saturating_add(number);
        }
        for (cause, number) in by_cause.into_iter().filter(|(_, number)| is_planned || *number > 0) {
            self.labelled(series::LACKING, cause, count(number));
        }
    }

    fn planned(&mut self, plan: &ReplicaPlan) {
        let totals = Totals::of_replica(plan);
        for (series, things) in [(series::MISSING, totals.add), (series::DAMAGED, totals.repair)] {
            for (sort, number) in sorts(things) {
                self.labelled(series, sort, count(number));
            }
        }
        let unproven = plan.notes.iter().map(|note| if let Note::Unproven { count, .. } = note { *count } else { 0 });
        self.one(series::UNPROVEN, count(unproven.sum()));
        for verb in Verb::ALL {
            let number = plan.actions.iter().filter(|action| action.verb() == verb).count();
            self.labelled(series::PLANNED, verb.as_str(), count(number as u64));
        }
        self.one(series::TO_COPY, count(totals.bytes_to_copy));
        let reused = plan.actions.iter().map(|action| action.change.traffic().bytes_reused);
        self.one(series::TO_REUSE, count(reused.fold(0, u64::saturating_add)));
    }

    /// What whoever keeps the site does, and does not.
    fn kept(&mut self) {
        let suspension = self.status.suspended.as_ref();
        self.one(series::SUSPENDED, truth(suspension.is_some()));
        self.maybe(series::SUSPENDED_SINCE, suspension.and_then(|suspension| suspension.since).map(moment));
        self.maybe(series::SUSPENDED_UNTIL, suspension.and_then(|suspension| suspension.until).map(moment));
        if let Some(waits) = self.status.waits_for_person {
            let things = [waits.add, waits.repair, waits.update, waits.prune];
            self.labelled(series::WAITING, "approval", count(things.iter().map(Things::total).sum()));
        }
    }
}

/// What can be wrong with what no apply brings.
const CAUSES: [&str; 7] = ["damaged", "gone", "held", "no-backup", "no-room", "parent", "unreadable"];

/// What is wrong with something that no apply brings, and how many things it is.
fn lacking(shortfall: &Shortfall) -> (&'static str, u64) {
    let segments = |ranges: &[WalRange]| ranges.iter().map(|range| range.count()).fold(0, u64::saturating_add);
    match shortfall {
        Shortfall::BackupDamaged { .. } | Shortfall::DamagedThere { .. } => ("damaged", 1),
        Shortfall::WalDamaged { count, .. } => ("damaged", *count),
        Shortfall::WalMissing { ranges, .. } | Shortfall::WalHole { ranges, .. } => ("gone", segments(ranges)),
        Shortfall::WalGone { count, .. } => ("gone", *count),
        Shortfall::WalHeld { .. } => ("held", 1),
        Shortfall::NoBackup { .. } => ("no-backup", 1),
        Shortfall::NoRoom { .. } => ("no-room", 1),
        Shortfall::NoRoomForWal { count, .. } => ("no-room", *count),
        Shortfall::ParentMissing { .. } | Shortfall::ParentNotRecoverable { .. } => ("parent", 1),
        Shortfall::BackupUnreadable { .. } | Shortfall::WalUnknown { .. } => ("unreadable", 1),
    }
}

/// Things by the sort of what they are.
fn sorts(things: Things) -> [(&'static str, u64); 4] {
    let wals = things.wal_segments + things.wal_files;
    let rest = things.total() - things.backups - wals - things.history_files;
    [("backup", things.backups), ("wal", wals), ("history", things.history_files), ("other", rest)]
}

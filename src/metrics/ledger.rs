//! A running record: what the observations, plans and applies so far came to.
//!
//! A controller keeps one for as long as it lives. A command feeds one with its run and adds it to what its file holds
//! already ([`read`](super::kept::read)), so that what only grows goes on growing and what another command knows stays.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use jiff::Timestamp;

use crate::barman::ids::ServerName;
use crate::error::{Error, Exit, Kind};
use crate::events::{Event, Summary};
use crate::plan::action::Address;
use crate::plan::{Outcome, ReplicaPlan};

use super::durations::Durations;
use super::exposition::{Exposition, Value, count, moment, truth};
use super::series::{self, Series};

/// A running record.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Ledger {
    samples: BTreeMap<Key, Value>,
}

/// The name of a series, and the values of its labels behind `site`.
type Key = (&'static str, Vec<String>);

/// What is timed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stage {
    /// Looking at both ends.
    Observe,
    /// Working out what is to be done.
    Plan,
    /// Doing it.
    Apply,
}

impl Stage {
    /// Its label.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Observe => "observe",
            Self::Plan => "plan",
            Self::Apply => "apply",
        }
    }
}

/// A run of a command from its beginning to its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Run {
    /// The command.
    pub command: &'static str,
    /// When it began.
    pub began: Timestamp,
    /// When it ended.
    pub ended: Timestamp,
    /// How long it took by a clock that nobody sets.
    pub took: Duration,
    /// How it ended.
    pub exit: Exit,
}

/// What is wrong with a line that is waited for.
const LINE: [Kind; 2] = [Kind::Lost, Kind::Unreachable];

/// How applies end.
const RESULTS: [&str; 4] = ["done", "failed", "interrupted", "limited"];

/// How runs end.
const EXITS: [Exit; 9] = [
    Exit::Done,
    Exit::Error,
    Exit::Changes,
    Exit::Misused,
    Exit::ObjectiveMissed,
    Exit::Locked,
    Exit::PartFailed,
    Exit::Interrupted,
    Exit::Terminated,
];

impl Ledger {
    /// Takes note of the plan of a replica, and of how it was observed for it.
    pub fn planned(&mut self, plan: &ReplicaPlan, now: Timestamp) {
        self.observed(plan, now);
        if plan.outcome == Outcome::Planned {
            self.set(series::LAST_PLAN, &[plan.name.as_str(), &plan.primary], moment(now));
        }
    }

    /// Takes note of how a replica was observed, as what was worked out from that tells.
    pub fn observed(&mut self, plan: &ReplicaPlan, now: Timestamp) {
        let of = [plan.name.as_str(), plan.primary.as_str()];
        // What grows is known from its beginning, or the first growth would be seen by nobody.
        for series in [series::COPIED, series::REUSED] {
            self.grow(series, &of, 0.0);
        }
        for (series, kinds) in [(series::RETRIES, LINE.as_slice()), (series::FAULTS, &[Kind::Lost, Kind::NoSpace])] {
            for kind in kinds {
                self.grow(series, &[of[0], of[1], kind.label()], 0.0);
            }
        }
        for sort in ["backup", "wal"] {
            for result in ["done", "failed"] {
                self.grow(series::ACTIONS, &[of[0], of[1], sort, "add", result], 0.0);
            }
        }
        match &plan.outcome {
            Outcome::Unobserved(error) => self.fault(of, error.kind),
            Outcome::Blocked(_) | Outcome::Inactive(_) | Outcome::Planned => {
                self.set(series::LAST_OBSERVATION, &of, moment(now));
            }
        }
    }

    /// Takes note of how long something took.
    pub fn took(&mut self, stage: Stage, duration: Duration) {
        self.time(series::STAGE_DURATION, &[stage.as_str()], duration);
    }

    /// Takes note of what happens during an apply.
    pub fn noticed(&mut self, event: &Event) {
        match event {
            Event::Retrying { address, primary, error, .. } => {
                self.grow(series::RETRIES, &[address.replica(), primary, error.kind.label()], 1.0);
            }
            Event::Started { .. }
            | Event::Finished { .. }
            | Event::Failed { .. }
            | Event::Skipped { .. }
            | Event::Interrupted => {}
        }
    }

    /// Takes note of what an apply of a replica came to.
    pub fn applied(&mut self, plan: &ReplicaPlan, summary: &Summary) {
        let of = [plan.name.as_str(), plan.primary.as_str()];
        let result = match summary {
            Summary { failed, .. } if !failed.is_empty() => "failed",
            Summary { interrupted: true, .. } => "interrupted",
            Summary { stopped_at: Some(_), .. } => "limited",
            _ => "done",
        };
        for one in RESULTS {
            self.set(series::APPLY_RESULT, &[of[0], of[1], one], truth(one == result));
            self.grow(series::APPLIES, &[of[0], of[1], one], truth(one == result));
        }
        self.grow(series::COPIED, &of, count(summary.transferred));
        self.actions(plan, "done", &summary.done);
        self.actions(plan, "skipped", &summary.skipped);
        for (address, error) in &summary.failed {
            self.actions(plan, "failed", std::slice::from_ref(address));
            self.fault(of, error.kind);
        }
        let done: BTreeSet<&Address> = summary.done.iter().collect();
        let actions = plan.actions.iter().filter(|action| done.contains(&action.address));
        let reused = actions.map(|action| action.change.traffic().bytes_reused).fold(0, u64::saturating_add);
        self.grow(series::REUSED, &of, count(reused));
    }

    /// Takes note of an error that no replica alone is to blame for.
    pub fn failed(&mut self, error: &Error) {
        self.grow(series::SITE_FAULTS, &[error.kind.label()], 1.0);
    }

    /// Takes note of a run that ended.
    pub fn ended(&mut self, run: Run) {
        let (Run { command, began, ended, took, exit }, result) = (run, result(run.exit));
        for one in EXITS.map(self::result) {
            self.set(series::RUN_RESULT, &[command, one], truth(one == result));
            self.grow(series::RUNS, &[command, one], 0.0);
        }
        self.grow(series::RUNS, &[command, result], 1.0);
        self.time(series::RUN_DURATION, &[command], took);
        self.set(series::RUN_EXIT_CODE, &[command], count(u64::from(exit.code())));
        self.set(series::RUN_BEGAN, &[command], moment(began));
        self.set(series::RUN_ENDED, &[command], moment(ended));
        if matches!(exit, Exit::Done | Exit::Changes | Exit::ObjectiveMissed) {
            self.set(series::RUN_SUCCEEDED, &[command], moment(ended));
        }
    }

    /// Forgets every replica but these, with their primaries.
    pub fn retain<'a>(&mut self, replicas: impl IntoIterator<Item = (&'a ServerName, &'a str)>) {
        let known: BTreeSet<(&str, &str)> =
            replicas.into_iter().map(|(name, primary)| (name.as_str(), primary)).collect();
        self.samples.retain(|(name, labels), _| {
            let is_of_replica = series(name).is_some_and(|series| series.labels.get(1) == Some(&"replica"));
            let of = labels.first().zip(labels.get(1)).map(|(name, primary)| (name.as_str(), primary.as_str()));
            !is_of_replica || of.is_some_and(|of| known.contains(&of))
        });
    }

    /// Adds a later record to this one: what grows is summed, and of the rest the later word counts.
    pub fn add(&mut self, later: Self) {
        for (key, value) in later.samples {
            match (self.samples.get_mut(&key), value) {
                (Some(Value::Durations(mine)), Value::Durations(theirs)) => mine.merge(&theirs),
                (Some(Value::Number(mine)), Value::Number(theirs)) if is_counter(key.0) => *mine += theirs,
                (Some(mine), theirs) => *mine = theirs,
                (None, theirs) => drop(self.samples.insert(key, theirs)),
            }
        }
    }

    /// Adds its samples.
    pub fn expose(&self, to: &mut Exposition<'_>) {
        for ((name, labels), value) in &self.samples {
            let labels: Vec<&str> = labels.iter().map(String::as_str).collect();
            if let Some(series) = series(name) {
                to.add(series, &labels, *value);
            }
        }
    }

    /// Puts a sample in its place, as it was read; `labels` are the values of those behind `site`.
    pub(super) fn put(&mut self, series: Series, labels: Vec<String>, value: Value) {
        self.samples.insert((series.name, labels), value);
    }

    fn actions(&mut self, plan: &ReplicaPlan, result: &str, addresses: &[Address]) {
        let actions = plan.actions.iter().filter(|action| addresses.contains(&action.address));
        let labels: Vec<(String, &str)> =
            actions.map(|action| (action.address.sort().to_owned(), action.verb().as_str())).collect();
        for (sort, verb) in labels {
            self.grow(series::ACTIONS, &[plan.name.as_str(), &plan.primary, &sort, verb, result], 1.0);
        }
    }

    fn fault(&mut self, [name, primary]: [&str; 2], kind: Kind) {
        self.grow(series::FAULTS, &[name, primary, kind.label()], 1.0);
    }

    fn set(&mut self, series: Series, labels: &[&str], number: f64) {
        self.samples.insert(key(series, labels), Value::Number(number));
    }

    fn grow(&mut self, series: Series, labels: &[&str], by: f64) {
        if let Value::Number(number) = self.samples.entry(key(series, labels)).or_insert(Value::Number(0.0)) {
            *number += by;
        }
    }

    fn time(&mut self, series: Series, labels: &[&str], duration: Duration) {
        let durations = self.samples.entry(key(series, labels)).or_insert(Value::Durations(Durations::default()));
        if let Value::Durations(durations) = durations {
            durations.add(duration);
        }
    }
}

fn key(series: Series, labels: &[&str]) -> Key {
    (series.name, labels.iter().map(|label| (*label).to_owned()).collect())
}

fn series(name: &str) -> Option<Series> {
    series::RECORD.iter().copied().find(|series| series.name == name)
}

fn is_counter(name: &str) -> bool {
    series(name).is_some_and(|series| series.kind == series::Kind::Counter)
}

/// How a run ended, as a label.
fn result(exit: Exit) -> &'static str {
    match exit {
        Exit::Done => "done",
        Exit::Error => "error",
        Exit::Changes => "changes",
        Exit::Misused => "misused",
        Exit::ObjectiveMissed => "objective-missed",
        Exit::Disproved => "disproved",
        Exit::Locked => "locked",
        Exit::PartFailed => "part-failed",
        Exit::Interrupted => "interrupted",
        Exit::Terminated => "terminated",
        Exit::StopsRecovery => "stops-recovery",
    }
}

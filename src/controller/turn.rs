//! A turn: the replicas of one primary that are due are looked at together, and each goes on by itself.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use jiff::Timestamp;
use tokio::sync::mpsc::{UnboundedSender, unbounded_channel};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::barman::ids::ServerName;
use crate::cycle::{Round, Session};
use crate::error::{Error, Retry};
use crate::observe::Purpose;
use crate::observe::inventory::{Observation, ReplicaObservation};
use crate::plan::scope::leave::{Leave, Waiting};
use crate::plan::status::status;
use crate::plan::{Outcome, Plan};
use crate::site::model::Replica;

use super::Follower;
use super::standing::{Applied, Report};

/// How long a lock of Barman's is waited for: its own cron is done in a minute.
const LOCK_TIMEOUT: Duration = Duration::from_secs(90);

/// The replicas of one primary that are due.
pub struct Turn {
    /// The session that they are of.
    pub session: Arc<Session>,
    /// Each with what may be done of its plan, and what ends its apply.
    pub due: Vec<(Replica, Leave, CancellationToken)>,
    /// Who follows.
    pub follower: Arc<dyn Follower>,
    /// Where a report of each is sent.
    pub reports: UnboundedSender<Report>,
}

/// One of them, for as long as its turn lasts.
struct One {
    session: Session,
    replica: Replica,
    leave: Leave,
    /// No other run is at work on it; `None` where it is suspended: it is looked at, and nothing is done.
    round: Option<Round>,
    observed_in: Duration,
    now: Timestamp,
    follower: Arc<dyn Follower>,
}

impl Turn {
    /// Takes the turn. A report of each replica is sent, whatever happens.
    pub async fn take(self) {
        let (due, reports) = (self.due.iter().map(|(replica, ..)| replica.name.clone()), self.reports.clone());
        let mut missing: Vec<ServerName> = due.collect();
        if let Err(error) = self.look_at_all(&mut missing).await {
            for replica in missing {
                let _nobody_listens = reports.send(Report::failed(replica, error.clone()));
            }
        }
    }

    /// `missing` keeps the names of those of which nobody reports.
    async fn look_at_all(self, missing: &mut Vec<ServerName>) -> Result<(), Error> {
        let Self { session, due, follower, reports } = self;
        let is_due = |name: &ServerName| due.iter().any(|(replica, ..)| replica.name == *name);
        let locking = session.lock(is_due, Duration::ZERO)?;
        let suspended = locking.suspended.clone();
        let mut round = locking.all().await?;
        for (replica, busy) in &round.busy {
            missing.retain(|name| name != replica);
            let _nobody_listens = reports.send(Report::failed(replica.clone(), busy.clone()));
        }
        let (now, begin) = (Timestamp::now(), Instant::now());
        let looked_at = due.iter().map(|(replica, ..)| replica);
        let looked_at: Vec<&Replica> =
            looked_at.filter(|replica| round.has(&replica.name) || suspended.contains_key(&replica.name)).collect();
        let (each, mut observed) = unbounded_channel::<(ServerName, ReplicaObservation)>();
        let told = |name, observation| drop(each.send((name, observation)));
        let purpose = Purpose::Plan { refresh: false };
        let mut going_on = JoinSet::new();
        let mut go_on = |missing: &mut Vec<ServerName>, name: ServerName, observation| {
            let Some((replica, leave, cancel)) = due.iter().find(|(replica, ..)| replica.name == name) else { return };
            missing.retain(|missing| *missing != name);
            let one = One {
                session: session.again(cancel.clone()),
                replica: replica.clone(),
                leave: *leave,
                round: (!suspended.contains_key(&name)).then(|| round.of_one(&name)),
                observed_in: begin.elapsed(),
                now,
                follower: Arc::clone(&follower),
            };
            let reports = reports.clone();
            going_on.spawn(async move { drop(reports.send(one.go_on(name, observation).await)) });
        };
        {
            let mut observing = std::pin::pin!(session.observe_each(looked_at.iter().copied(), purpose, now, &told));
            let ended = loop {
                tokio::select! {
                    biased;
                    Some((name, observation)) = observed.recv() => go_on(missing, name, observation),
                    ended = &mut observing => break ended,
                }
            };
            while let Ok((name, observation)) = observed.try_recv() {
                go_on(missing, name, observation);
            }
            ended?;
        }
        // What is dropped is ended in the middle.
        while going_on.join_next().await.is_some() {}
        Ok(())
    }
}

impl One {
    /// Plans it, and does what may be done.
    async fn go_on(self, name: ServerName, observed: ReplicaObservation) -> Report {
        let observation = Observation { replicas: BTreeMap::from([(name.clone(), observed)]) };
        let plan = self.session.cycle(&self.replica).plan(&observation, self.now);
        let status = status(&plan, std::slice::from_ref(&self.replica), &observation, self.now);
        let (plan, waiting) = plan.with_leave(self.leave, &observation, self.now);
        let unplanned = unplanned(&plan);
        let observed_in = self.observed_in;
        let (applied, failure) = match self.apply(plan).await {
            Ok(applied) => {
                let failed = applied.as_ref().and_then(|applied| worst(&applied.summary.failed));
                (applied, unplanned.or(failed))
            }
            Err(error) => (None, Some(error)),
        };
        let stopped = applied.as_ref().is_some_and(|applied| applied.summary.interrupted);
        Report {
            replica: name,
            ended: Timestamp::now(),
            observed_in,
            status: status.replicas.into_iter().next().map(Box::new),
            applied: applied.map(Box::new),
            waiting,
            failure: failure.filter(|_| !stopped),
            stopped,
        }
    }

    /// Does what a plan says; `None` where that is nothing.
    async fn apply(self, plan: Plan) -> Result<Option<Applied>, Error> {
        let Some(round) = self.round else { return Ok(None) };
        if plan.is_empty() {
            return self.session.idle(&plan, round).await.map(|()| None);
        }
        let begin = Instant::now();
        let summary = {
            let listener = self.follower.apply(&plan);
            self.session.apply(&plan, round, LOCK_TIMEOUT, &*listener).await?
        };
        Ok(Some(Applied { plan, summary, elapsed: begin.elapsed() }))
    }
}

/// Why nothing was planned.
fn unplanned(plan: &Plan) -> Option<Error> {
    plan.replicas.iter().find_map(|replica| match &replica.outcome {
        Outcome::Unobserved(error) => Some(error.clone()),
        Outcome::Planned | Outcome::Inactive(_) | Outcome::Blocked(_) => None,
    })
}

/// What failed that is worth most: what a person must see to, before what passes by itself.
fn worst<A>(failed: &[(A, Error)]) -> Option<Error> {
    let rank = |error: &Error| match error.kind.retry() {
        Retry::Person => 0,
        Retry::Line => 1,
        Retry::NextRun => 2,
        Retry::Holder => 3,
    };
    failed.iter().map(|(_, error)| error).min_by_key(|error| rank(error)).cloned()
}

impl Report {
    /// Of a replica that could not be looked at.
    fn failed(replica: ServerName, failure: Error) -> Self {
        Self {
            replica,
            ended: Timestamp::now(),
            observed_in: Duration::ZERO,
            status: None,
            applied: None,
            waiting: Waiting::default(),
            failure: Some(failure),
            stopped: false,
        }
    }
}

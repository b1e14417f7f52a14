//! A turn: the replicas of one primary that are due are looked at together, and each goes on by itself.

use std::collections::BTreeMap;
use std::pin::pin;
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures::FutureExt;
use futures::future::FusedFuture;
use jiff::Timestamp;
use tokio::sync::mpsc::{UnboundedSender, unbounded_channel};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::barman::ids::ServerName;
use crate::cycle::{Round, Session};
use crate::error::{Error, Kind, Retry};
use crate::events::Summary;
use crate::observe::Purpose;
use crate::observe::inventory::{Observation, ReplicaObservation};
use crate::plan::scope::leave::Leave;
use crate::plan::{Outcome, Plan};
use crate::site::model::Replica;

use super::Follower;
use super::look::Look;
use super::meanwhile::Meanwhile;
use super::standing::{Applied, Report};

/// How long a lock of Barman's is waited for: its own cron is done in a minute.
const LOCK_TIMEOUT: Duration = Duration::from_secs(90);

/// The replicas of one primary that are due.
pub struct Turn {
    /// The session that they are of.
    pub session: Arc<Session>,
    /// Each of them.
    pub due: Vec<Due>,
    /// Who follows.
    pub follower: Arc<dyn Follower>,
    /// Where a report of each is sent.
    pub reports: UnboundedSender<Report>,
}

/// A replica that is due.
pub struct Due {
    /// The replica.
    pub replica: Replica,
    /// What may be done of its plan.
    pub leave: Leave,
    /// What ends its apply.
    pub ends: Ends,
}

/// What ends an apply.
#[derive(Clone)]
pub struct Ends {
    /// Ends it at once.
    pub cancel: CancellationToken,
    /// Lets no more bases begin.
    pub closing: CancellationToken,
}

/// One of them, for as long as its turn lasts.
struct One {
    session: Session,
    replica: Replica,
    leave: Leave,
    closing: CancellationToken,
    /// No other run is at work on it; `None` where it is suspended: it is looked at, and nothing is done.
    round: Option<Round>,
    observed_in: Duration,
    now: Timestamp,
    follower: Arc<dyn Follower>,
}

impl Turn {
    /// Takes the turn. A report of each replica is sent, whatever happens.
    pub async fn take(self) {
        let mut reports = Reports {
            missing: self.due.iter().map(|due| due.replica.name.clone()).collect(),
            to: self.reports.clone(),
        };
        let ended = self.look_at_all(&mut reports).await;
        let broken = || Error::new(Kind::Internal, "its turn broke off in the middle; please report it");
        let why = ended.err().unwrap_or_else(broken);
        for replica in std::mem::take(&mut reports.missing) {
            reports.send(Report::failed(replica, why.clone()));
        }
    }

    async fn look_at_all(self, reports: &mut Reports) -> Result<(), Error> {
        let Self { session, due, follower, .. } = self;
        let is_due = |name: &ServerName| due.iter().any(|due| due.replica.name == *name);
        let locking = session.lock(is_due, Duration::ZERO)?;
        let suspended = locking.suspended.clone();
        let mut round = locking.all().await?;
        for (replica, busy) in std::mem::take(&mut round.busy) {
            reports.send(Report::failed(replica, busy));
        }
        let (now, begin) = (Timestamp::now(), Instant::now());
        let may_be_looked_at = |name: &ServerName| round.has(name) || suspended.contains_key(name);
        let looked_at: Vec<&Replica> =
            due.iter().map(|due| &due.replica).filter(|replica| may_be_looked_at(&replica.name)).collect();
        let (each, mut observed) = unbounded_channel::<(ServerName, ReplicaObservation)>();
        let told = |name, observation| drop(each.send((name, observation)));
        let mut going_on = JoinSet::new();
        let mut observing = pin!(session.observe_each(looked_at, Purpose::Plan { refresh: false }, now, &told).fuse());
        let mut ended = Ok(());
        loop {
            let is_observing = !observing.is_terminated();
            tokio::select! {
                biased;
                Some(report) = going_on.join_next() => {
                    // One that broke off is reported when all are done.
                    if let Ok(report) = report {
                        reports.send(report);
                    }
                }
                Some((name, observation)) = observed.recv(), if is_observing || !observed.is_empty() => {
                    let Some(Due { replica, leave, ends }) = due.iter().find(|due| due.replica.name == name) else {
                        continue;
                    };
                    let one = One {
                        session: session.again(ends.cancel.clone()),
                        replica: replica.clone(),
                        leave: *leave,
                        closing: ends.closing.clone(),
                        round: (!suspended.contains_key(&name)).then(|| round.of_one(&name)),
                        observed_in: begin.elapsed(),
                        now,
                        follower: Arc::clone(&follower),
                    };
                    going_on.spawn(one.go_on(observation));
                }
                done = &mut observing, if is_observing => ended = done,
                else => return ended,
            }
        }
    }
}

/// Where reports are sent, and of which replicas none was.
struct Reports {
    missing: Vec<ServerName>,
    to: UnboundedSender<Report>,
}

impl Reports {
    fn send(&mut self, report: Report) {
        self.missing.retain(|name| *name != report.replica);
        // When the controller has ended nobody listens.
        let _unheard = self.to.send(report);
    }
}

impl One {
    /// Plans it, and does what may be done.
    async fn go_on(self, observed: ReplicaObservation) -> Report {
        let name = self.replica.name.clone();
        let observation = Observation { replicas: BTreeMap::from([(name.clone(), observed)]) };
        let look = Look { observation: &observation, at: self.now, took: self.observed_in };
        let plan = look.plan(&self.session, &self.replica, self.leave, &*self.follower);
        // What it is made from is not needed any more, and a copy may take days.
        drop(observation);
        let unplanned = unplanned(&plan);
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
            applied: applied.map(Box::new),
            failure: failure.filter(|_| !stopped),
            stopped,
        }
    }

    /// Does what a plan says; `None` where that is nothing.
    async fn apply(self, plan: Plan) -> Result<Option<Applied>, Error> {
        let Self { session, follower, replica, closing, .. } = self;
        let Some(round) = self.round else { return Ok(None) };
        if plan.is_empty() {
            return follower.recorded(&plan, session.idle(&plan, round).boxed()).await.map(|_| None);
        }
        let begin = Instant::now();
        let each = {
            let listener = follower.apply(&plan);
            let meanwhile = Meanwhile { session: &session, replica: &replica, follower: &*follower, closing: &closing };
            let work = session.apply(&plan, round, LOCK_TIMEOUT, &*listener, Some(&meanwhile));
            follower.recorded(&plan, work.boxed()).await?
        };
        let summary = each.into_values().fold(Summary::default(), Summary::and);
        Ok(Some(Applied { plan, summary, elapsed: begin.elapsed() }))
    }
}

/// Why nothing was planned.
pub fn unplanned(plan: &Plan) -> Option<Error> {
    plan.replicas.iter().find_map(|replica| match &replica.outcome {
        Outcome::Unobserved(error) => Some(error.clone()),
        Outcome::Planned | Outcome::Inactive(_) | Outcome::Blocked(_) => None,
    })
}

/// What failed that is worth most: what a person must see to, before what passes by itself.
pub fn worst<A>(failed: &[(A, Error)]) -> Option<Error> {
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
    pub fn failed(replica: ServerName, failure: Error) -> Self {
        Self { replica, ended: Timestamp::now(), applied: None, failure: Some(failure), stopped: false }
    }
}

//! Drills by whoever keeps a site: one at a time, of a replica with which all is well.

use std::collections::BTreeMap;
use std::env;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use tokio::task::{JoinError, JoinSet};
use tokio_util::sync::CancellationToken;

use crate::barman::drill::{Drill, Verdict};
use crate::barman::ids::ServerName;
use crate::cycle::Session;
use crate::drill::{Terms, drill, keep};
use crate::error::{Error, Kind};
use crate::observe::catalog;
use crate::schedule::later;
use crate::site::model::Replica;
use crate::transport::ByteCounter;

/// How soon one goes on that was interrupted.
const SOON: Duration = Duration::from_secs(10 * 60);
/// How soon one is tried again that could not be run, unless it is due sooner.
const AGAIN: Duration = Duration::from_secs(6 * 3600);

/// A drill that was made.
pub struct Drilled {
    /// The replica.
    pub replica: Replica,
    /// What it came to.
    pub outcome: Result<Drill, Error>,
    /// Why that could not be kept.
    pub unkept: Option<Error>,
}

/// What is drilled, and when it is next.
#[derive(Default)]
pub struct Drilling {
    /// The one at work, and what ends it.
    at_work: Option<(ServerName, CancellationToken)>,
    task: JoinSet<Drilled>,
    due: BTreeMap<ServerName, Timestamp>,
}

impl Drilling {
    /// Begins with a replica, if it is due and no other is at work.
    pub fn begin(&mut self, session: &Session, replica: &Replica, cancel: CancellationToken, now: Timestamp) {
        let Some(every) = replica.policy.drill.every else { return };
        if self.at_work.is_some() {
            return;
        }
        let due = *self.due.entry(replica.name.clone()).or_insert_with(|| due(session, replica, every, now));
        if due > now {
            return;
        }
        self.at_work = Some((replica.name.clone(), cancel.clone()));
        let (session, replica) = (session.again(cancel.clone()), replica.clone());
        self.task.spawn_blocking(move || {
            let (outcome, unkept) = match make(&session, &replica, &cancel) {
                Ok((drill, unkept)) => (Ok(drill), unkept),
                Err(error) => (Err(error), None),
            };
            Drilled { replica, outcome, unkept }
        });
    }

    /// Ends the one at work, if it is of this replica.
    pub fn stop(&self, replica: &ServerName) {
        if let Some((name, cancel)) = &self.at_work
            && name == replica
        {
            cancel.cancel();
        }
    }

    /// The next one that is done; waits as long as none is at work.
    pub async fn done(&mut self) -> Option<Result<Drilled, JoinError>> {
        self.task.join_next().await
    }

    /// Hears of one that is done, and when its replica is next.
    pub fn heard(&mut self, done: Result<Drilled, JoinError>, now: Timestamp) -> Option<Drilled> {
        let (name, _) = self.at_work.take()?;
        let Ok(drilled) = done else {
            self.due.insert(name, later(now, AGAIN));
            return None;
        };
        let every = drilled.replica.policy.drill.every.unwrap_or(AGAIN);
        let pause = match &drilled.outcome {
            Ok(drill) if drill.verdict != Verdict::NotRun => every,
            Err(error) if matches!(error.kind, Kind::Interrupted | Kind::Busy) => every.min(SOON),
            Ok(_) | Err(_) => every.min(AGAIN),
        };
        self.due.insert(name, later(now, pause));
        Some(drilled)
    }

    /// The clock was turned back, or the site file says something else: when each replica is due is asked again.
    pub fn forget_times(&mut self) {
        self.due.clear();
    }

    /// The replica that is due for the longest of these.
    pub fn next<'r>(&self, replicas: impl Iterator<Item = &'r Replica>) -> Option<&'r Replica> {
        let wants = replicas.filter(|replica| replica.policy.drill.every.is_some());
        wants.min_by_key(|replica| self.due.get(&replica.name).copied().unwrap_or(Timestamp::MIN))
    }
}

/// When a replica is due, by the note of its last drill. A time in the future shows nothing.
fn due(session: &Session, replica: &Replica, every: Duration, now: Timestamp) -> Timestamp {
    let store = session.site_conf().and_then(|conf| conf.store(&replica.name));
    let drills = store.map(|store| catalog::drills(store.as_ref())).unwrap_or_default();
    drills.last_tried().map(|drill| drill.began).filter(|began| *began <= now).map_or(now, |began| later(began, every))
}

fn make(session: &Session, replica: &Replica, cancel: &CancellationToken) -> Result<(Drill, Option<Error>), Error> {
    let (conf, policy) = (session.site_conf()?, &replica.policy);
    let store = conf.store(&replica.name)?;
    let program = env::current_exe().map_err(|error| Error::io("cannot tell where antipode is", error))?;
    let (counter, go_on) = (ByteCounter::default(), || !cancel.is_cancelled());
    let (rules, running) =
        ((&policy.drill, policy.rto), (program.as_path(), &counter, &go_on as &(dyn Fn() -> bool + Sync)));
    let terms = Terms::of(&session.site, &conf, &replica.name, rules, running)?;
    let drill = drill(Arc::as_ref(&store), &terms)?;
    let unkept = keep(store.as_ref(), drill.clone()).err().map(Error::from);
    Ok((drill, unkept))
}

//! Verification by whoever keeps a site: as it goes, one replica at a time, and never where an apply is at work.

use std::collections::BTreeMap;
use std::num::NonZero;
use std::sync::Arc;
use std::time::{Duration, Instant};

use jiff::Timestamp;
use tokio::task::{JoinError, JoinSet};
use tokio_util::sync::CancellationToken;

use crate::barman::ids::{ServerName, SystemId};
use crate::cycle::Session;
use crate::error::{Error, Kind};
use crate::schedule::later;
use crate::scrub::schedule::Asked;
use crate::scrub::{Ended, Outcome, Progress, Terms, scrub};
use crate::site::model::Replica;

/// How long it reads at a time, before another replica has its turn.
const SLICE: Duration = Duration::from_secs(10 * 60);
/// How soon it goes on where there was not time enough for all.
const SOON: Duration = Duration::from_secs(60);
/// How often there is a share to be read, and how soon what failed is tried again.
const PAUSE: Duration = Duration::from_secs(60 * 60);

/// What a verification came to.
pub struct Scrubbed {
    /// The replica.
    pub replica: ServerName,
    /// What it came to.
    pub outcome: Result<Outcome, Error>,
}

/// What is verified, and when it is next.
#[derive(Default)]
pub struct Scrubbing {
    /// The one at work, and what ends it.
    at_work: Option<(ServerName, CancellationToken)>,
    task: JoinSet<Scrubbed>,
    due: BTreeMap<ServerName, Timestamp>,
}

impl Scrubbing {
    /// Begins with a replica, if it is due and no other is at work.
    pub fn begin(&mut self, session: &Session, replica: &Replica, cancel: CancellationToken, now: Timestamp) {
        let Some(every) = session.site.verify.every else { return };
        let is_due = self.due.get(&replica.name).is_none_or(|due| *due <= now);
        if self.at_work.is_some() || !is_due {
            return;
        }
        self.at_work = Some((replica.name.clone(), cancel.clone()));
        let (name, bandwidth) = (replica.name.clone(), session.site.verify.bandwidth);
        let systems: Vec<SystemId> = replica.policy.accept_systems.iter().copied().collect();
        let store = session.site_conf().and_then(|conf| conf.store(&name)).map_err(Error::from);
        self.task.spawn_blocking(move || {
            let until = Instant::now() + SLICE;
            let go_on = || !cancel.is_cancelled() && Instant::now() < until;
            let asked = Asked::Share(every);
            let terms = Terms {
                asked,
                every,
                bandwidth,
                streams: NonZero::new(1),
                go_on: &go_on,
                progress: &Progress::default(),
                systems: &systems,
                now,
            };
            let outcome = store.and_then(|store| Ok(scrub(Arc::as_ref(&store), &name, &terms)?));
            Scrubbed { replica: name, outcome }
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
    pub async fn done(&mut self) -> Option<Result<Scrubbed, JoinError>> {
        self.task.join_next().await
    }

    /// Hears of one that is done: what it came to, and when its replica is next.
    pub fn heard(&mut self, done: Result<Scrubbed, JoinError>, now: Timestamp) -> Option<Scrubbed> {
        let (name, _) = self.at_work.take()?;
        let broken = |error: JoinError| Error::new(Kind::Internal, format!("the verification broke off: {error}"));
        let scrubbed = done.unwrap_or_else(|error| Scrubbed { replica: name.clone(), outcome: Err(broken(error)) });
        let is_cut_short = matches!(&scrubbed.outcome, Ok(outcome) if outcome.ended == Ended::OutOfTime);
        self.due.insert(name, later(now, if is_cut_short { SOON } else { PAUSE }));
        Some(scrubbed)
    }

    /// The clock was turned back: each replica is due now.
    pub fn forget_times(&mut self) {
        self.due.clear();
    }

    /// The replica that was not verified for the longest of these.
    pub fn next<'r>(&self, replicas: impl Iterator<Item = &'r Replica>) -> Option<&'r Replica> {
        replicas.min_by_key(|replica| self.due.get(&replica.name).copied().unwrap_or(Timestamp::MIN))
    }
}

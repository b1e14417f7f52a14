//! What is done for a replica while an apply of it goes on: it is looked at on its schedule, and WAL that was archived since
//! is brought. A base takes hours to be copied; what would be lost meanwhile is to stay as little as ever.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use async_trait::async_trait;
use futures::FutureExt;
use jiff::Timestamp;
use tokio_util::sync::CancellationToken;

use crate::cycle::{Beside, Companion, Session};
use crate::error::Error;
use crate::events::Summary;
use crate::observe::Purpose;
use crate::plan::Plan;
use crate::plan::scope::leave::Leave;
use crate::schedule::regime;
use crate::site::model::Replica;

use super::look::Look;
use super::standing::{Applied, Report};
use super::turn::{unplanned, worst};
use super::{Follower, pause};

/// Goes along with the apply of a replica.
pub struct Meanwhile<'a> {
    /// The session that the apply is of.
    pub session: &'a Session,
    /// The replica.
    pub replica: &'a Replica,
    /// Who follows.
    pub follower: &'a dyn Follower,
    /// Fires when a window closes, and what is copied may end.
    pub closing: &'a CancellationToken,
}

#[async_trait]
impl Companion for Meanwhile<'_> {
    fn closing(&self) -> &CancellationToken {
        self.closing
    }

    async fn go_along(&self, beside: &Beside<'_>, ended: CancellationToken) {
        let name = self.replica.name.as_str();
        let scheduled = |now| self.replica.policy.schedule.next(name, now);
        let (mut due, mut failures, mut told) = (scheduled(Timestamp::now()), 0_u32, None::<String>);
        loop {
            let wait = due.map_or(Duration::MAX, |due| {
                Duration::try_from(due.duration_since(Timestamp::now())).unwrap_or_default()
            });
            tokio::select! {
                () = ended.cancelled() => return,
                () = tokio::time::sleep(wait) => {}
            }
            let looked = self.look(beside, &ended).await;
            if ended.is_cancelled() {
                return;
            }
            let now = Timestamp::now();
            due = match looked {
                Ok(()) => {
                    (failures, told) = (0, None);
                    scheduled(now)
                }
                Err(error) => {
                    failures = failures.saturating_add(1);
                    let again = pause::again(name, error.kind, failures, now, scheduled(now));
                    // One that goes on is told once.
                    if told.replace(error.message.clone()).as_ref() != Some(&error.message) {
                        self.follower.meanwhile(&Report::failed(self.replica.name.clone(), error));
                    }
                    Some(again)
                }
            };
        }
    }
}

impl Meanwhile<'_> {
    /// Looks at both ends, and brings what was archived since.
    async fn look(&self, beside: &Beside<'_>, ended: &CancellationToken) -> Result<(), Error> {
        let (at, begin) = (Timestamp::now(), Instant::now());
        let session = self.session.again(ended.clone());
        let observation = session.observe([self.replica], Purpose::Plan { refresh: false }, at).await?;
        let look = Look { observation: &observation, at, took: begin.elapsed() };
        let plan = look.plan(&session, self.replica, self.leave(at), self.follower);
        if let Some(error) = unplanned(&plan) {
            return Err(error);
        }
        let plan = plan.beside(beside.running, &observation, at);
        drop(observation);
        if plan.is_empty() { Ok(()) } else { self.bring(beside, plan).await }
    }

    /// What may be done now, by the windows that are open now.
    fn leave(&self, now: Timestamp) -> Leave {
        let Replica { primary, policy, .. } = self.replica;
        let windows = self.session.site.primaries.get(primary).map(|primary| primary.windows.as_slice());
        let regime = regime(windows.unwrap_or_default(), None, now);
        Leave { auto: policy.auto, backups: regime.backups, wals: regime.wals }
    }

    async fn bring(&self, beside: &Beside<'_>, plan: Plan) -> Result<(), Error> {
        let begin = Instant::now();
        let listener = self.follower.apply(&plan);
        let work = async {
            let mut done = BTreeMap::new();
            for replica in &plan.replicas {
                done.insert(replica.name.clone(), beside.carry_out(replica, &*listener).await);
            }
            Ok(done)
        };
        let done = self.follower.recorded(&plan, work.boxed()).await?;
        let summary = done.into_values().fold(Summary::default(), Summary::and);
        let (failure, stopped) = (worst(&summary.failed), summary.interrupted);
        let applied = Applied { plan, summary, elapsed: begin.elapsed() };
        let replica = self.replica.name.clone();
        let applied = Some(Box::new(applied));
        self.follower.meanwhile(&Report { replica, ended: Timestamp::now(), applied, failure: None, stopped });
        failure.map_or(Ok(()), Err)
    }
}

//! The cycle of one replica: both its ends are observed, the difference is planned, the plan is applied.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures::FutureExt;
use jiff::Timestamp;
use tokio_util::sync::CancellationToken;

use crate::apply::{self, Companion, Means, RunLock, Share};
use crate::barman::last_apply::SiteNote;
use crate::error::{Error, Kind};
use crate::events::{Listener, Summary};
use crate::observe::inventory::Observation;
use crate::observe::{self, Each, Purpose, Terms, Turns};
use crate::plan::scope::{Scope, ScopeError};
use crate::plan::{self, Plan, ReplicaPlan, backup};
use crate::site::model::{Primary, Replica, Site};
use crate::transport::patience::Patience;

use super::lines::{Calls, Way};

/// A replica with all that its cycle needs. It owns that, so that it goes on when and for as long as somebody wants it to.
#[derive(Clone)]
pub struct Cycle {
    /// What is wanted.
    pub site: Arc<Site>,
    /// The replica.
    pub replica: Replica,
    /// Calls its primary.
    pub calls: Arc<Calls>,
    /// What bounds the observations of all replicas together.
    pub turns: Arc<Turns>,
    /// Fires when it is interrupted.
    pub cancel: CancellationToken,
}

/// What an apply is given by whoever runs it.
pub struct Grant<'a> {
    /// The run's own lock and with it the replica's catalog, which is held until the end.
    pub run_lock: RunLock,
    /// What is shared with the applies of other replicas.
    pub share: Share,
    /// How long a busy lock of Barman's is waited for.
    pub lock_timeout: Duration,
    /// Who goes along with it, if somebody does.
    pub companion: Option<&'a dyn Companion>,
}

impl Cycle {
    /// The primary, as the site declares it.
    pub fn primary(&self) -> Result<&Primary, Error> {
        let name = &self.replica.primary;
        let undeclared = || Error::new(Kind::Internal, format!("primary {name}: the site does not declare it"));
        self.site.primaries.get(name).ok_or_else(undeclared)
    }

    /// The way to the primary, or why there is none.
    pub async fn way(&self) -> Result<Way, Error> {
        self.calls.to(self.primary()?).await
    }

    /// Observes both ends.
    pub async fn observe(&self, purpose: Purpose, now: Timestamp) -> Result<Observation, Error> {
        let terms = Terms { purpose, turns: &self.turns, now, cancel: &self.cancel };
        observe(&self.site, &[&self.replica], &self.calls, terms).await
    }

    /// What is to be done, given what both ends have.
    pub fn plan(&self, observation: &Observation, now: Timestamp) -> Plan {
        plan::plan(&self.site, std::slice::from_ref(&self.replica), observation, now)
    }

    /// The part of it that is in a scope.
    pub fn plan_part(&self, observation: &Observation, scope: &Scope, now: Timestamp) -> Result<Plan, ScopeError> {
        plan::part(&self.site, std::slice::from_ref(&self.replica), observation, scope, now)
    }

    /// Does what a plan says.
    pub async fn apply(&self, plan: &ReplicaPlan, grant: Grant<'_>, listener: &dyn Listener) -> Summary {
        let way = self.way().await;
        let Grant { run_lock, share, lock_timeout, companion } = grant;
        let means = Means {
            site: SiteNote { name: self.site.name.clone(), file: self.site.file.clone() },
            replica: &self.replica,
            connection: way.as_ref().map(Way::connection).map_err(Clone::clone),
            lock_timeout,
            patience: Patience::APPLYING,
            run_lock,
            share,
            companion,
        };
        apply::apply(plan, means, listener, &self.cancel).await
    }
}

/// Observes both ends of replicas. Of each primary, none waits for the call of another one.
pub async fn observe(
    site: &Site,
    replicas: &[&Replica],
    calls: &Calls,
    terms: Terms<'_>,
) -> Result<Observation, Error> {
    let all = Mutex::new(BTreeMap::new());
    let each = |name, observed| {
        // Nothing in here can panic half-way.
        all.lock().unwrap_or_else(PoisonError::into_inner).insert(name, observed);
    };
    observe_each(site, replicas, calls, terms, &each).await?;
    Ok(Observation { replicas: all.into_inner().unwrap_or_else(PoisonError::into_inner) })
}

/// The same, for somebody who goes on with each replica as soon as it is observed.
pub async fn observe_each(
    site: &Site,
    replicas: &[&Replica],
    calls: &Calls,
    terms: Terms<'_>,
    each: Each<'_>,
) -> Result<(), Error> {
    let Terms { now, cancel, .. } = terms;
    let call = |primary: &Primary| {
        let primary = primary.clone();
        async move { calls.to(&primary).await.map(|way| way.patient().clone()) }.boxed()
    };
    let each = |name, observed| {
        if !cancel.is_cancelled() {
            each(name, observed);
        }
    };
    observe::observe(site, replicas.iter().copied(), &call, &backup::to_copy(now), terms, &each).await?;
    uninterrupted(cancel)
}

/// Half an observation would read as a primary that cannot be reached.
fn uninterrupted(cancel: &CancellationToken) -> Result<(), Error> {
    if cancel.is_cancelled() {
        return Err(Error::new(Kind::Interrupted, "interrupted while both ends were observed; nothing was changed"));
    }
    Ok(())
}

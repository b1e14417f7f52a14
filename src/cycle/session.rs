//! A site whose primaries were called: from what is wanted to a plan.

use std::collections::BTreeMap;
use std::sync::{Arc, Once};
use std::time::{Duration, Instant};

use futures::future::join_all;
use jiff::Timestamp;
use tokio_util::sync::CancellationToken;

use crate::apply::{Limits, Shared};
use crate::barman::ids::ServerName;
use crate::error::{Error, Kind};
use crate::observe::inventory::Observation;
use crate::observe::{self, Each, Purpose, SiteConf, SiteConfError, Terms, Turns};
use crate::plan::saved::{SavedPlan, SiteFile};
use crate::plan::scope::Scope;
use crate::plan::status::vanished::{Unclaimed, unclaimed};
use crate::plan::{self, Plan};
use crate::schedule::Suspension;
use crate::site::mirror;
use crate::site::model::{Primary, Replica, Site};
use crate::site::pattern::Pattern;
use crate::site::suggest::near;
use crate::store::suspended::{suspension, suspension_or_doubt};
use crate::transport::Teller;
use crate::transport::bandwidth::Bandwidths;

use super::lines::{Calls, Lines};
use super::replica::{self, Cycle};
use super::round::{Locking, Round};

/// A plan, and what it was made from.
pub struct Planned {
    /// The plan.
    pub plan: Plan,
    /// What both ends of every replica have.
    pub observation: Observation,
    /// The time that it was made for.
    pub now: Timestamp,
    /// How long both ends were looked at.
    pub observing: Duration,
    /// How long it took to work it out.
    pub planning: Duration,
}

/// One command over a site: the cycles of its replicas side by side.
pub struct Session {
    /// What is wanted.
    pub site: Arc<Site>,
    /// The replicas that the file names and those that its mirrors stand for.
    pub replicas: Vec<Replica>,
    /// What went wrong with mirrors: which of their servers are not planned, and why.
    pub unresolved: Vec<Error>,
    lines: Arc<Lines>,
    calls: Arc<Calls>,
    turns: Arc<Turns>,
    /// The servers of each primary that is mirrored, as far as they are known.
    servers: BTreeMap<String, Vec<ServerName>>,
    /// Why a primary that is mirrored did not say which servers it has.
    silent: BTreeMap<String, Error>,
    bandwidths: Arc<Bandwidths>,
    /// What all its applies share.
    pub(super) shared: Arc<Shared>,
    /// Whether it was told that the run is interrupted.
    pub(super) interruption: Once,
    /// Whether a plan fetches anew what earlier plans kept of the primaries.
    pub refresh: bool,
    /// Fires when the run is interrupted.
    pub cancel: CancellationToken,
}

impl Session {
    /// Asks the primaries that are mirrored which servers they have. The others are called when they are needed.
    pub async fn open(site: &Site, cancel: &CancellationToken, told: Teller) -> Self {
        Self::open_telling(site, cancel, told, |_| ()).await
    }

    /// The same, telling which primaries are waited for when they take a while.
    pub async fn open_telling(
        site: &Site,
        cancel: &CancellationToken,
        told: Teller,
        waits: impl Fn(&Primary) + Send + Sync + 'static,
    ) -> Self {
        let (lines, bandwidths) = (Arc::new(Lines::new(cancel, told, waits)), Arc::<Bandwidths>::default());
        let mut session = Self {
            site: Arc::new(site.clone()),
            replicas: Vec::new(),
            unresolved: Vec::new(),
            calls: Arc::new(Calls::over(Arc::clone(&lines))),
            turns: Arc::new(Turns::sharing(Arc::clone(&bandwidths))),
            lines,
            servers: BTreeMap::new(),
            silent: BTreeMap::new(),
            shared: Arc::new(Shared::new(Limits::default(), Arc::clone(&bandwidths))),
            bandwidths,
            interruption: Once::new(),
            refresh: false,
            cancel: cancel.clone(),
        };
        session.ask_mirrored().await;
        session.resolve();
        session
    }

    /// A session that goes on where this one is: the lines that are open, the bandwidth and the slots are shared. Of the
    /// primaries that are mirrored it asks which servers they have now.
    pub async fn following(&self, site: Site) -> Self {
        let mut session = Self { site: Arc::new(site), servers: BTreeMap::new(), ..self.again(self.cancel.clone()) };
        session.silent.clear();
        session.ask_mirrored().await;
        session.resolve();
        session
    }

    /// The same session at another time, which ends by itself: primaries that did not answer are called again.
    #[must_use]
    pub fn again(&self, cancel: CancellationToken) -> Self {
        Self {
            site: Arc::clone(&self.site),
            replicas: self.replicas.clone(),
            unresolved: self.unresolved.clone(),
            calls: Arc::new(Calls::over(Arc::clone(&self.lines))),
            turns: Arc::clone(&self.turns),
            lines: Arc::clone(&self.lines),
            servers: self.servers.clone(),
            silent: self.silent.clone(),
            bandwidths: Arc::clone(&self.bandwidths),
            shared: Arc::clone(&self.shared),
            interruption: Once::new(),
            refresh: self.refresh,
            cancel,
        }
    }

    /// The same with other bandwidths of primaries, in bytes per second; they hold for what runs, too. `None` where they
    /// are these.
    #[must_use]
    pub fn with_bandwidths<'a>(&self, limits: impl Iterator<Item = (&'a str, Option<u64>)>) -> Option<Self> {
        let mut site = (*self.site).clone();
        for (name, limit) in limits {
            if let Some(primary) = site.primaries.get_mut(name) {
                primary.bandwidth = limit;
                self.bandwidths.of(primary);
            }
        }
        (site != *self.site).then(|| Self { site: Arc::new(site), ..self.again(self.cancel.clone()) })
    }

    async fn ask_mirrored(&mut self) {
        let mirrored = self.site.primaries.values().filter(|p| self.site.mirrors.iter().any(|m| m.primary == p.name));
        let questions = mirrored.map(|primary| async {
            let answer = match self.calls.to(primary).await {
                Ok(way) => observe::servers(primary, way.patient()).await,
                Err(error) => Err(error),
            };
            (primary.name.clone(), answer)
        });
        for (primary, answer) in join_all(questions).await {
            match answer {
                Ok(answer) => {
                    self.servers.insert(primary, answer.names);
                }
                Err(error) => {
                    let error = error.of(format_args!("the mirror of {primary} is not planned"));
                    self.silent.insert(primary, error);
                }
            }
        }
    }

    fn resolve(&mut self) {
        let resolution = mirror::resolve(&self.site, &self.servers);
        self.replicas = resolution.replicas.into_values().collect();
        let clashes = resolution.clashes.iter();
        let clashes = clashes.map(|clash| Error::new(Kind::Invalid, clash.to_string()).hint(clash.proposal()));
        self.unresolved = self.silent.values().cloned().chain(clashes).collect();
    }

    /// Why mirrored primaries did not say which servers they have.
    pub fn silent(&self) -> impl Iterator<Item = &Error> {
        self.silent.values()
    }

    /// Where a mirrored primary did not answer, goes by the replicas of it that earlier applies left here.
    pub fn mirror_what_is_here(&mut self) -> Result<(), Error> {
        if self.silent.is_empty() {
            return Ok(());
        }
        let here = observe::copied_here(&self.site.catalog.path).map_err(Error::from)?;
        let silent: Vec<String> = self.silent.keys().cloned().collect();
        for (primary, names) in mirror::left_by(&self.site, &self.servers, &silent, &here) {
            self.silent.remove(&primary);
            self.servers.insert(primary, names);
        }
        self.resolve();
        Ok(())
    }

    /// Lets the primaries' replace these things, although they are good here.
    pub fn accept(&mut self, accepted: &[Pattern]) -> Result<(), Error> {
        Scope { targets: accepted.to_vec(), ..Scope::default() }.check_names(&self.replicas)?;
        self.replicas = std::mem::take(&mut self.replicas).into_iter().map(|r| r.accepting(accepted)).collect();
        Ok(())
    }

    /// Lets its applies do so much at a time, and in all. To be said before there is one.
    pub fn limit(&mut self, limits: Limits) {
        self.shared = Arc::new(Shared::new(limits, Arc::clone(&self.bandwidths)));
    }

    /// Takes the runs' own locks of all replicas that are concerned and not suspended, waiting for each that is busy as long
    /// as this. Where the system does not let it be read what is suspended, that is an error.
    pub fn lock(&self, is_concerned: impl Fn(&ServerName) -> bool, timeout: Duration) -> Result<Locking<'_>, Error> {
        let barman = self.site_conf()?;
        let concerned = self.replicas.iter().map(|replica| &replica.name).filter(|name| is_concerned(name));
        let (home, now) = (&self.site.catalog.path, Timestamp::now());
        let said = concerned.clone().map(|name| Ok(suspension(home, name)?.map(|said| (name.clone(), said))));
        let said = said.collect::<Result<Vec<_>, Error>>()?.into_iter().flatten();
        let suspended: BTreeMap<_, _> = said.filter(|(_, suspension)| suspension.holds(now)).collect();
        let free = concerned.filter(|name| !suspended.contains_key(name));
        let stores = free.map(|name| Ok((name.clone(), barman.store(name)?)));
        let mut locking = Locking::of(stores.collect::<Result<Vec<_>, SiteConfError>>()?, timeout, &self.cancel);
        locking.suspended = suspended;
        Ok(locking)
    }

    /// Those of these replicas that are left alone for now.
    pub fn suspended<'a>(&self, replicas: impl Iterator<Item = &'a ServerName>) -> BTreeMap<ServerName, Suspension> {
        let (home, now) = (&self.site.catalog.path, Timestamp::now());
        let said = replicas.filter_map(|name| Some((name.clone(), suspension_or_doubt(home, name)?)));
        said.filter(|(_, suspension)| suspension.holds(now)).collect()
    }

    /// Observes both ends of every replica that a scope concerns, and plans that part.
    pub async fn plan(&self, scope: &Scope) -> Result<Planned, Error> {
        self.plan_among(scope, |_| true).await
    }

    /// The same of the replicas of a round.
    pub async fn plan_round(&self, scope: &Scope, round: &Round) -> Result<Planned, Error> {
        self.plan_among(scope, |name| round.has(name)).await
    }

    async fn plan_among(&self, scope: &Scope, is_among: impl Fn(&ServerName) -> bool) -> Result<Planned, Error> {
        let (now, begin) = (Timestamp::now(), Instant::now());
        scope.check_names(&self.replicas)?;
        let is_concerned = |replica: &&Replica| scope.concerns(&replica.name) && is_among(&replica.name);
        let concerned = self.replicas.iter().filter(is_concerned);
        let observation = self.observe(concerned, Purpose::Plan { refresh: self.refresh }, now).await?;
        let observing = begin.elapsed();
        let scope = scope.among(&is_among);
        let mut plan = plan::part(&self.site, &self.replicas, &observation, &scope, now)?;
        if scope.is_everything() {
            let Unclaimed { vanished, detached } = self.unclaimed()?;
            (plan.vanished, plan.detached) = (vanished, detached);
        }
        Ok(Planned { plan, observation, now, observing, planning: begin.elapsed().saturating_sub(observing) })
    }

    /// The servers that are copied no longer, with what is here of them.
    pub fn unclaimed(&self) -> Result<Unclaimed, Error> {
        let is_claimed = |name: &ServerName| self.replicas.iter().any(|replica| replica.name == *name);
        let here = observe::unclaimed(&self.site, is_claimed)?;
        Ok(unclaimed(&self.site, &self.replicas, &self.servers, here))
    }

    /// A plan with all that it relies on, as it is saved.
    pub fn to_save(&self, planned: &Planned, site_file: SiteFile) -> SavedPlan {
        let Planned { plan, observation, now, .. } = planned;
        SavedPlan::new(plan.clone(), site_file, &self.site, &self.replicas, observation, *now)
    }

    /// Observes both ends of replicas.
    pub async fn observe(
        &self,
        replicas: impl IntoIterator<Item = &Replica>,
        purpose: Purpose,
        now: Timestamp,
    ) -> Result<Observation, Error> {
        let replicas: Vec<&Replica> = replicas.into_iter().collect();
        let terms = Terms { purpose, turns: &self.turns, now, cancel: &self.cancel };
        replica::observe(&self.site, &replicas, &self.calls, terms).await
    }

    /// The same, for somebody who goes on with each replica as soon as it is observed.
    pub async fn observe_each(
        &self,
        replicas: impl IntoIterator<Item = &Replica>,
        purpose: Purpose,
        now: Timestamp,
        each: Each<'_>,
    ) -> Result<(), Error> {
        let replicas: Vec<&Replica> = replicas.into_iter().collect();
        let terms = Terms { purpose, turns: &self.turns, now, cancel: &self.cancel };
        replica::observe_each(&self.site, &replicas, &self.calls, terms, each).await
    }

    /// The cycle of a replica.
    pub fn cycle(&self, replica: &Replica) -> Cycle {
        let (site, calls, turns) = (Arc::clone(&self.site), Arc::clone(&self.calls), Arc::clone(&self.turns));
        Cycle { site, replica: replica.clone(), calls, turns, cancel: self.cancel.clone() }
    }

    /// The replica with this name.
    pub fn replica(&self, name: &str) -> Result<&Replica, Error> {
        self.replicas.iter().find(|replica| replica.name.as_str() == name).ok_or_else(|| {
            let names: Vec<&str> = self.replicas.iter().map(|replica| replica.name.as_str()).collect();
            unknown_server(name, &names)
        })
    }

    /// The site's own Barman, which says where each catalog is.
    pub fn site_conf(&self) -> Result<SiteConf, SiteConfError> {
        SiteConf::read(&self.site.catalog)
    }

    /// Hangs up.
    pub async fn close(self) {
        self.hang_up().await;
    }

    /// Closes the lines that are open, whoever uses them.
    pub async fn hang_up(&self) {
        self.lines.close().await;
    }
}

/// No replica has this name; Barman's words.
pub fn unknown_server(name: &str, known: &[&str]) -> Error {
    let error = Error::new(Kind::NotFound, format!("Unknown server '{}'", name.escape_debug()));
    match near(name, known).first() {
        Some(near) => error.hint(format!("did you mean {near}?")),
        None => error.hint("the site file has no replica of this name"),
    }
}

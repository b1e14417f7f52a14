//! A site whose primaries were called: from what is wanted to a plan.

use std::collections::BTreeMap;
use std::env;
use std::path::PathBuf;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use futures::future::join_all;
use jiff::Timestamp;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use crate::apply::RunLock;
use crate::barman::ids::ServerName;
use crate::error::{Error, Kind};
use crate::observe::inventory::Observation;
use crate::observe::{self, Connections, Purpose, SiteConf};
use crate::plan::backup;
use crate::plan::saved::{SavedPlan, SiteFile};
use crate::plan::scope::Scope;
use crate::plan::status::vanished::{Vanished, vanished};
use crate::plan::{self, Plan};
use crate::site::mirror;
use crate::site::model::{Primary, Replica, Site};
use crate::site::pattern::Pattern;
use crate::site::suggest::near;
use crate::transport::{self, Connection, Told};

/// A plan, and what it was made from.
pub struct Planned {
    /// The plan.
    pub plan: Plan,
    /// What both ends of every replica have.
    pub observation: Observation,
    /// The time that it was made for.
    pub now: Timestamp,
}

/// How long a call may take before somebody who waits is told of it.
const A_WHILE: Duration = Duration::from_secs(1);

/// A site whose primaries were called.
pub struct Session {
    /// What is wanted.
    pub site: Arc<Site>,
    /// The replicas that the file names and those that its mirrors stand for.
    pub replicas: Vec<Replica>,
    /// What went wrong with mirrors: which of their servers are not planned, and why.
    pub unresolved: Vec<Error>,
    connections: Connections,
    /// The same, but that what is lost on its way is asked for again.
    patient: Connections,
    /// The servers of each primary that is mirrored, as far as they are known.
    servers: BTreeMap<String, Vec<ServerName>>,
    /// Why a primary that is mirrored did not say which servers it has.
    silent: BTreeMap<String, Error>,
    /// The runs' own locks that are held.
    pub(super) run_locks: BTreeMap<ServerName, RunLock>,
    /// The replicas that another run is at work on. They are passed over.
    pub busy: BTreeMap<ServerName, Error>,
    /// Whether a plan fetches anew what earlier plans kept of the primaries.
    pub refresh: bool,
    /// Fires when the run is interrupted.
    pub cancel: CancellationToken,
}

impl Session {
    /// Calls every primary, and asks those that are mirrored which servers they have.
    pub async fn open(site: &Site, cancel: &CancellationToken, told: Told) -> Self {
        Self::open_telling(site, cancel, told, |_| ()).await
    }

    /// The same, telling which primaries are waited for when they take a while.
    pub async fn open_telling(site: &Site, cancel: &CancellationToken, told: Told, waits: impl Fn(&Primary)) -> Self {
        let runtime = runtime_directory();
        let calls = site.primaries.iter().map(|(name, primary)| {
            let runtime = runtime.clone();
            let waits = &waits;
            async move {
                let mut call = pin!(transport::open(primary, &runtime, cancel));
                let answer = match timeout(A_WHILE, &mut call).await {
                    Ok(answer) => answer,
                    Err(_elapsed) => {
                        waits(primary);
                        call.await
                    }
                };
                (name.clone(), answer)
            }
        });
        let connections: Connections = join_all(calls).await.into_iter().collect();
        let patiently = |(name, call): (&String, &Result<Connection, Error>)| {
            let connection = call.as_ref().map_err(Clone::clone);
            let patient =
                |connection: &Connection| Some(connection.patient(site.primaries.get(name)?, cancel, told.clone()));
            Some((name.clone(), connection.map(patient).transpose()?))
        };
        let patient = connections.iter().filter_map(patiently).collect();
        let mut session = Self {
            site: Arc::new(site.clone()),
            replicas: Vec::new(),
            unresolved: Vec::new(),
            connections,
            patient,
            servers: BTreeMap::new(),
            silent: BTreeMap::new(),
            run_locks: BTreeMap::new(),
            busy: BTreeMap::new(),
            refresh: false,
            cancel: cancel.clone(),
        };
        session.ask_mirrored().await;
        session.resolve();
        session
    }

    async fn ask_mirrored(&mut self) {
        let mirrored = self.site.primaries.values().filter(|p| self.site.mirrors.iter().any(|m| m.primary == p.name));
        for primary in mirrored {
            let answer = match self.patient.get(&primary.name) {
                Some(Ok(connection)) => observe::servers(primary, connection).await,
                Some(Err(error)) => Err(error.clone().with_reason()),
                None => continue,
            };
            match answer {
                Ok(answer) => {
                    self.servers.insert(primary.name.clone(), answer.names);
                }
                Err(error) => {
                    let error = error.of(format_args!("the mirror of {} is not planned", primary.name));
                    self.silent.insert(primary.name.clone(), error);
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

    /// Observes both ends of every replica and plans.
    pub async fn plan(&self) -> Result<Plan, Error> {
        self.plan_part(&Scope::default()).await
    }

    /// Observes both ends of every replica that a scope concerns, and plans that part.
    pub async fn plan_part(&self, scope: &Scope) -> Result<Plan, Error> {
        self.planned(scope).await.map(|planned| planned.plan)
    }

    /// The same, with what the plan was made from.
    pub async fn planned(&self, scope: &Scope) -> Result<Planned, Error> {
        let now = Timestamp::now();
        scope.check_names(&self.replicas)?;
        let is_free = |name: &ServerName| !self.busy.contains_key(name);
        let concerned = self.replicas.iter().filter(|replica| scope.concerns(&replica.name) && is_free(&replica.name));
        let observation = self.observe(concerned, Purpose::Plan { refresh: self.refresh }, now).await?;
        let mut plan = plan::plan(&self.site, &self.replicas, &observation, now);
        plan.vanished = self.vanished()?;
        let plan = plan.narrow(&scope.among(is_free), &self.replicas, &observation, now)?;
        Ok(Planned { plan, observation, now })
    }

    /// The servers that are copied no longer, with what is here of them.
    pub fn vanished(&self) -> Result<Vec<Vanished>, Error> {
        let is_claimed = |name: &ServerName| self.replicas.iter().any(|replica| replica.name == *name);
        let here = observe::unclaimed(&self.site, is_claimed)?;
        Ok(vanished(&self.site, &self.replicas, &self.servers, here))
    }

    /// A plan with all that it relies on, as it is saved.
    pub fn to_save(&self, planned: &Planned, site_file: SiteFile) -> SavedPlan {
        let Planned { plan, observation, now } = planned;
        SavedPlan::new(plan.clone(), site_file, &self.site, &self.replicas, observation, *now)
    }

    /// Observes both ends of replicas.
    pub async fn observe(
        &self,
        replicas: impl IntoIterator<Item = &Replica>,
        purpose: Purpose,
        now: Timestamp,
    ) -> Result<Observation, Error> {
        let observation =
            observe::observe(&self.site, replicas, &self.patient, &backup::to_copy(now), purpose, &self.cancel).await?;
        if self.cancel.is_cancelled() {
            // Half an observation would read as a primary that cannot be reached.
            return Err(Error::new(
                Kind::Interrupted,
                "interrupted while both ends were observed; nothing was changed",
            ));
        }
        Ok(observation)
    }

    /// The replica with this name.
    pub fn replica(&self, name: &str) -> Result<&Replica, Error> {
        self.replicas.iter().find(|replica| replica.name.as_str() == name).ok_or_else(|| {
            let names: Vec<&str> = self.replicas.iter().map(|replica| replica.name.as_str()).collect();
            unknown_server(name, &names)
        })
    }

    /// The way to one primary, for questions.
    pub fn connection(&self, primary: &str) -> Result<&Connection, Error> {
        match self.patient.get(primary) {
            Some(Ok(connection)) => Ok(connection),
            Some(Err(error)) => Err(error.clone().with_reason()),
            None => Err(Error::new(Kind::Internal, format!("primary {primary}: it was not called"))),
        }
    }

    /// The ways to the primaries that answered.
    pub fn open_connections(&self) -> BTreeMap<String, Connection> {
        let open = self.connections.iter().filter_map(|(name, call)| Some((name.clone(), call.as_ref().ok()?.clone())));
        open.collect()
    }

    /// Where the site's Barman keeps its locks.
    pub fn lock_directory(&self) -> Result<PathBuf, Error> {
        lock_directory(&self.site)
    }

    /// Hangs up.
    pub async fn close(self) {
        join_all(self.connections.values().filter_map(|call| call.as_ref().ok()).map(Connection::close)).await;
    }
}

/// Where a site's Barman keeps its locks.
pub fn lock_directory(site: &Site) -> Result<PathBuf, Error> {
    SiteConf::read(&site.catalog.path, site.catalog.config.as_deref())
        .and_then(|barman| barman.lock_directory())
        .map_err(Error::from)
}

/// No replica has this name; Barman's words.
pub fn unknown_server(name: &str, known: &[&str]) -> Error {
    let error = Error::new(Kind::NotFound, format!("Unknown server '{}'", name.escape_debug()));
    match near(name, known).first() {
        Some(near) => error.hint(format!("did you mean {near}?")),
        None => error.hint("the site file has no replica of this name"),
    }
}

/// Where the sockets of ssh are made: their paths must be short.
fn runtime_directory() -> PathBuf {
    let ours = env::var_os("XDG_RUNTIME_DIR").map(PathBuf::from).filter(|path| path.is_dir());
    ours.unwrap_or_else(|| PathBuf::from("/tmp"))
}

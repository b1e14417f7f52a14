//! From a site file to a plan: the data flow of the whole program, with its effects.

use std::collections::BTreeMap;
use std::env;
use std::path::PathBuf;

use futures::future::join_all;
use jiff::Timestamp;
use tokio_util::sync::CancellationToken;

use crate::barman::ids::ServerName;
use crate::error::CommandError;
use crate::observe::inventory::Observation;
use crate::observe::{self, Connections, SiteBarman};
use crate::plan::file::{SavedPlan, SiteFile};
use crate::plan::{self, Plan};
use crate::site::mirror;
use crate::site::model::{Replica, Site};
use crate::transport::{self, Connection};

/// A site whose primaries were called.
pub struct Session<'a> {
    /// What is wanted.
    pub site: &'a Site,
    /// The replicas that the file names and those that its mirrors stand for.
    pub replicas: Vec<Replica>,
    /// What went wrong with mirrors: which of their servers are not planned, and why.
    pub unresolved: Vec<CommandError>,
    connections: Connections,
    /// Fires when the run is interrupted.
    pub cancel: &'a CancellationToken,
}

/// Both ends of replicas, as they were at one time.
pub struct Moment {
    /// What was observed.
    pub observation: Observation,
    /// When.
    pub now: Timestamp,
}

impl<'a> Session<'a> {
    /// Calls every primary, and asks those that are mirrored which servers they have.
    pub async fn open(site: &'a Site, cancel: &'a CancellationToken) -> Self {
        let runtime = runtime_directory();
        let calls = site.primaries.iter().map(|(name, primary)| {
            let runtime = runtime.clone();
            async move { (name.clone(), transport::open(primary, &runtime, cancel).await) }
        });
        let connections = join_all(calls).await.into_iter().collect();
        let mut session = Self { site, replicas: Vec::new(), unresolved: Vec::new(), connections, cancel };
        session.resolve_mirrors().await;
        session
    }

    async fn resolve_mirrors(&mut self) {
        let mut servers: BTreeMap<String, Vec<ServerName>> = BTreeMap::new();
        let mirrored = self.site.primaries.values().filter(|p| self.site.mirrors.iter().any(|m| m.primary == p.name));
        for primary in mirrored {
            let answer = match self.connections.get(&primary.name) {
                Some(Ok(connection)) => observe::servers(primary, connection).await,
                Some(Err(error)) => Err(error.clone().into()),
                None => continue,
            };
            match answer {
                Ok(answer) => {
                    servers.insert(primary.name.clone(), answer.names);
                }
                Err(failure) => {
                    let message = format!("the mirror of {} is not planned: {failure}", primary.name);
                    self.unresolved.push(CommandError { hint: failure.hint, ..CommandError::new(message) });
                }
            }
        }
        let resolution = mirror::resolve(self.site, &servers);
        self.replicas = resolution.replicas.into_values().collect();
        let clashes = resolution.clashes.iter();
        self.unresolved.extend(clashes.map(|clash| CommandError::new(clash.to_string()).hint(clash.proposal())));
    }

    /// Observes both ends of every replica and plans.
    pub async fn plan(&self) -> Result<Plan, CommandError> {
        Ok(self.plan_of(&self.observe(|_| true).await?))
    }

    /// Observes both ends of every replica, and plans with all that a saved plan holds.
    pub async fn plan_to_save(&self, site_file: SiteFile) -> Result<SavedPlan, CommandError> {
        let moment = self.observe(|_| true).await?;
        let plan = self.plan_of(&moment);
        Ok(SavedPlan::new(plan, site_file, self.site, &self.replicas, &moment.observation, moment.now))
    }

    /// What there is to do about what was observed.
    fn plan_of(&self, moment: &Moment) -> Plan {
        plan::plan(&self.site.name, &self.site.catalog.path, &self.replicas, &moment.observation, moment.now)
    }

    /// Observes both ends of the replicas that are of interest.
    pub async fn observe(&self, of_interest: impl Fn(&Replica) -> bool) -> Result<Moment, CommandError> {
        let now = Timestamp::now();
        let replicas = self.replicas.iter().filter(|replica| of_interest(replica));
        let observation = observe::observe(self.site, replicas, &self.connections, now, self.cancel)
            .await
            .map_err(|error| CommandError::new(error.to_string()))?;
        if self.cancel.is_cancelled() {
            // Half an observation would read as a primary that cannot be reached.
            return Err(CommandError::new("interrupted while both ends were observed; nothing was changed"));
        }
        Ok(Moment { observation, now })
    }

    /// The ways to the primaries that answered.
    pub fn open_connections(&self) -> BTreeMap<String, Connection> {
        let open = self.connections.iter().filter_map(|(name, call)| Some((name.clone(), call.as_ref().ok()?.clone())));
        open.collect()
    }

    /// Where the site's Barman keeps its locks.
    pub fn lock_directory(&self) -> Result<PathBuf, CommandError> {
        let config = self.site.catalog.config.as_deref();
        SiteBarman::read(&self.site.catalog.path, config)
            .and_then(|barman| barman.lock_directory())
            .map_err(|error| CommandError::new(error.to_string()))
    }

    /// Hangs up.
    pub async fn close(self) {
        join_all(self.connections.values().filter_map(|call| call.as_ref().ok()).map(Connection::close)).await;
    }
}

/// Where the sockets of ssh are made: their paths must be short.
fn runtime_directory() -> PathBuf {
    let ours = env::var_os("XDG_RUNTIME_DIR").map(PathBuf::from).filter(|path| path.is_dir());
    ours.unwrap_or_else(|| PathBuf::from("/tmp"))
}

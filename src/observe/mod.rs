//! Observe: what the primary has and what the site holds, as plain data.
//!
//! ```text
//! catalog ──────► replica ─┐
//! (files here)             ├─► what to copy ──► primary, closer ──► Observation
//! sync-info, or ► primary ─┘
//! a catalog
//! ```
//!
//! Both ends of a replica are asked at the same time, and all replicas are. What cannot be observed is told where it
//! belongs: the other replicas are observed all the same. Nothing here changes anything, at either end,
//! but for what a plan keeps in our own directory at the site: manifests and lists of the primary ([`primary`]), and which
//! WAL files and bases here were looked at ([`catalog::starts`], [`catalog::looks`]).

pub mod catalog;
pub mod compression;
mod facts;
mod history;
pub mod inventory;
pub mod own_catalog;
pub mod primary;
mod replica;
pub mod servers;
pub mod site_barman;
pub mod version;
pub mod wal_files;
mod whole;

use std::collections::{BTreeMap, BTreeSet};
use std::num::NonZero;

use futures::future::join_all;
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;

use crate::barman::ids::BackupId;
use crate::barman::layout::ServerDirs;
use crate::barman::version::BarmanVersion;
use crate::error::{Error, Kind};
use crate::site::model::{Primary, Replica, Site};
use crate::store::{CatalogError, Posix, Store};
use crate::transport::Connection;

use catalog::{Depth, ServerOnDisk};
use inventory::{Observation, Observed, PrimaryInventory, ReplicaInventory, ReplicaObservation, SiteBarman};
use primary::Source;

pub use replica::local_backup;
pub use servers::{Servers, copied_here, servers, unclaimed};
pub use site_barman::{SiteConf, SiteConfError, read_conf};

/// Catalogs that are read at the same time: each uses several threads of its own.
const CATALOGS_AT_ONCE: usize = 2;

/// What each primary answered when it was called, by its name in the site file.
pub type Connections = BTreeMap<String, Result<Connection, Error>>;

/// Tells which backups a replica will copy, given what both ends have: these are looked at more closely.
pub type ToCopy<'a> = &'a (dyn Fn(&Replica, &PrimaryInventory, &ReplicaInventory) -> BTreeSet<BackupId> + Sync);

/// What an observation is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Purpose {
    /// A plan that may be applied: everything that an apply can use is looked at.
    Plan {
        /// Whether the manifests that earlier plans fetched are fetched anew.
        refresh: bool,
    },
    /// A look at how the replicas stand, which changes nothing.
    Status {
        /// How closely the bases here are looked at.
        depth: Depth,
    },
}

/// Observes both ends of every replica.
///
/// `replicas` holds those that the site file names and those that its mirrors stand for; the backups `to_copy` for one
/// are looked at more closely. Only a barman.conf that cannot be used is an error, as then nobody knows where anything
/// is.
pub async fn observe<'a>(
    site: &Site,
    replicas: impl IntoIterator<Item = &'a Replica>,
    connections: &Connections,
    to_copy: ToCopy<'_>,
    purpose: Purpose,
    cancel: &CancellationToken,
) -> Result<Observation, SiteConfError> {
    let barman = SiteConf::read(&site.catalog.path, site.catalog.config.as_deref())?;
    let installed = match site.catalog.barman {
        Some(_) => None,
        None => version::installed().await,
    };
    let asking = site.primaries.values().map(|p| (p.name.as_str(), Semaphore::new(streams(p)))).collect();
    let reading = Semaphore::new(CATALOGS_AT_ONCE);
    let observer = Observer { site, barman, installed, connections, asking, reading, to_copy, purpose, cancel };
    let observer = &observer;
    let both_ends = replicas.into_iter().map(|replica| async move {
        let ends = observer.replica(replica).await?;
        Ok((replica.name.clone(), ends))
    });
    let replicas = join_all(both_ends).await.into_iter().collect::<Result<_, SiteConfError>>()?;
    Ok(Observation { replicas })
}

/// What a replica holds as the site alone tells, looked at exactly as for a plan. It blocks for as long as the disk takes.
pub fn look_here(
    store: &dyn Store,
    dirs: ServerDirs,
    version: BarmanVersion,
    depth: Depth,
) -> Result<ReplicaInventory, CatalogError> {
    let disk = ServerOnDisk::read(store, &dirs.server, depth)?;
    Ok(replica::inventory(disk, store, dirs, SiteBarman::default(), version))
}

fn streams(primary: &Primary) -> usize {
    usize::try_from(NonZero::get(primary.streams)).unwrap_or(1)
}

/// What all replicas of a site share while they are observed.
struct Observer<'a> {
    site: &'a Site,
    barman: SiteConf,
    /// The version of the Barman that is installed here.
    installed: Option<BarmanVersion>,
    connections: &'a Connections,
    /// Bounds the `sync-info` that run at the same time, by primary: each takes memory there.
    asking: BTreeMap<&'a str, Semaphore>,
    reading: Semaphore,
    to_copy: ToCopy<'a>,
    purpose: Purpose,
    cancel: &'a CancellationToken,
}

impl Observer<'_> {
    async fn replica(&self, replica: &Replica) -> Result<ReplicaObservation, SiteConfError> {
        let (dirs, own) = self.barman.server(&replica.name)?;
        let source = self.source(replica);
        let (disk, answer) = tokio::join!(self.read_catalog(&dirs), self.ask(replica, source.as_ref()));
        let observed = match disk {
            Ok(disk) => self.compare(replica, source.as_ref().ok(), answer, disk, dirs, own).await,
            Err(error) => {
                let error = error.of(format_args!("replica {}, at the site", replica.name));
                let nothing = self.inventory(ServerOnDisk::default(), dirs, own, &answer);
                let replica = ReplicaInventory { unreadable: true, ..nothing };
                ReplicaObservation { primary: Observed::Failed(error), replica }
            }
        };
        Ok(observed)
    }

    /// The way to a replica's primary.
    fn source<'s>(&'s self, replica: &'s Replica) -> Result<Source<'s>, Error> {
        let name = &replica.primary;
        let unknown = || Error::new(Kind::Internal, format!("primary {name}: it was not called"));
        let primary = self.site.primaries.get(name).ok_or_else(unknown)?;
        let connection = self.connections.get(name).ok_or_else(unknown)?.as_ref();
        let connection = connection.map_err(|error| error.clone().with_reason())?;
        Ok(Source { primary, connection, server: &replica.server, purpose: self.purpose, cancel: self.cancel })
    }

    async fn read_catalog(&self, dirs: &ServerDirs) -> Result<ServerOnDisk, Error> {
        let dirs = dirs.clone();
        // A semaphore that is never closed always gives its permit.
        let _permit = self.reading.acquire().await;
        let (depth, is_kept) = match self.purpose {
            Purpose::Plan { .. } => (Depth::Everything, true),
            // A status leaves the catalog as it is.
            Purpose::Status { depth } => (depth, false),
        };
        let disk = tokio::task::spawn_blocking(move || {
            let store = Posix::new(dirs.clone());
            let disk = ServerOnDisk::read(&store, &dirs.server, depth)?;
            if is_kept {
                disk.remembered.keep(&store);
                disk.backups.looks.keep(&store);
            }
            Ok::<_, CatalogError>(disk)
        });
        Ok(disk.await??)
    }

    async fn ask(&self, replica: &Replica, source: Result<&Source<'_>, &Error>) -> Observed {
        match source {
            Err(error) => Observed::Failed(error.clone()),
            Ok(source) => {
                let _permit = match self.asking.get(replica.primary.as_str()) {
                    Some(semaphore) => semaphore.acquire().await.ok(),
                    None => None,
                };
                source.ask().await
            }
        }
    }

    /// Completes what the two ends said, given what the other said.
    async fn compare(
        &self,
        replica: &Replica,
        source: Option<&Source<'_>>,
        answer: Observed,
        disk: ServerOnDisk,
        dirs: ServerDirs,
        own: SiteBarman,
    ) -> ReplicaObservation {
        let mut here = self.inventory(disk, dirs, own, &answer);
        let primary = match (answer, source) {
            (Observed::Active(mut there), Some(source)) => {
                match self.look_closer(replica, source, &mut there, &mut here).await {
                    Ok(()) => Observed::Active(there),
                    Err(error) => Observed::Failed(error),
                }
            }
            (answer, _) => answer,
        };
        ReplicaObservation { primary, replica: here }
    }

    async fn look_closer(
        &self,
        replica: &Replica,
        source: &Source<'_>,
        there: &mut PrimaryInventory,
        here: &mut ReplicaInventory,
    ) -> Result<(), Error> {
        source.complete(there, here).await?;
        self.look_at_differing(there, here).await?;
        if matches!(self.purpose, Purpose::Status { .. }) {
            // Manifests only tell what a copy would share with other backups.
            return Ok(());
        }
        let to_copy = (self.to_copy)(replica, there, here);
        let store = Posix::new(here.directories.clone());
        replica::read_reuse_manifests(here, &store, &to_copy)?;
        source.look_closer(there, here, &to_copy).await
    }

    /// Finds out which of the WAL files here are whole although the primary's have another size.
    async fn look_at_differing(&self, there: &PrimaryInventory, here: &mut ReplicaInventory) -> Result<(), Error> {
        let differing = whole::differing(there, here);
        if !differing.is_empty() {
            // A semaphore that is never closed always gives its permit.
            let _permit = self.reading.acquire().await;
            let store = Posix::new(here.directories.clone());
            whole::note(here, tokio::task::spawn_blocking(move || whole::read(&store, &differing)).await??);
        }
        Ok(())
    }

    fn inventory(&self, disk: ServerOnDisk, dirs: ServerDirs, own: SiteBarman, answer: &Observed) -> ReplicaInventory {
        let primary = match answer {
            Observed::Active(there) => there.barman,
            Observed::Inactive(_) | Observed::Failed(_) => None,
        };
        let signs = version::VersionSigns {
            declared: self.site.catalog.barman,
            installed: self.installed,
            disk: disk.version_bounds(),
            primary,
        };
        replica::inventory(disk, &Posix::new(dirs.clone()), dirs, own, signs.decide())
    }
}

#[cfg(test)]
mod tests;

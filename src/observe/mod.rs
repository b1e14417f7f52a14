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
//! WAL files and bases here were looked at ([`catalog::looks`]).

pub mod catalog;
pub mod compression;
mod facts;
mod history;
pub mod inventory;
mod other_site;
pub mod own_catalog;
pub mod primary;
mod replica;
pub mod servers;
pub mod site_barman;
mod turns;
pub mod version;
pub mod wal_files;
mod whole;

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use futures::FutureExt;
use futures::future::{BoxFuture, join_all};
use jiff::Timestamp;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use crate::barman::ids::{BackupId, ServerName};
use crate::barman::layout::ServerDirs;
use crate::barman::version::BarmanVersion;
use crate::error::{Error, Kind};
use crate::site::model::{Primary, Replica, Site};
use crate::store::pedigree::{self, inherited};
use crate::store::suspended::suspension_or_doubt;
use crate::store::{CatalogError, Store, home};
use crate::transport::Connection;
use crate::transport::bandwidth::Bandwidth;

use catalog::{Depth, Looking, ServerOnDisk};
use inventory::{
    BaseState, CatalogName, LocalBackup, Mark, Observed, PrimaryInventory, ReplicaInventory, ReplicaObservation,
    SiteBarman,
};
use primary::memory::Memory;
use primary::{Answer, FetchedLists, Known, PrimaryServer, watch};
use version::Believing;

pub use replica::local_backup;
pub use servers::{Servers, copied_here, servers, unclaimed};
pub use site_barman::{SiteConf, SiteConfError, is_missing, read_conf};
pub use turns::Turns;

/// How long what is remembered may take to be read: it is a small file.
const A_MOMENT: Duration = Duration::from_secs(2);

/// Calls a primary: all who call it get the same answer.
pub type Call<'a> = &'a (dyn Fn(&Primary) -> BoxFuture<'a, Result<Connection, Error>> + Sync);

/// Tells which backups a replica will copy, given what both ends have: these are looked at more closely.
pub type ToCopy<'a> = &'a (dyn Fn(&Replica, &PrimaryInventory, &ReplicaInventory) -> BTreeSet<BackupId> + Sync);

/// What an observation is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Purpose {
    /// A plan that may be applied: everything that an apply can use is looked at.
    Plan {
        /// Whether nothing is believed of what earlier plans fetched or looked at.
        refresh: bool,
    },
    /// A look at how the replicas stand, which changes nothing.
    Status {
        /// How closely the bases here are looked at.
        depth: Depth,
    },
}

/// Hears of each replica's observation, as soon as it is made.
pub type Each<'a> = &'a (dyn Fn(ServerName, ReplicaObservation) + Sync);

/// Observes both ends of every replica.
///
/// `replicas` holds those that the site file names and those that its mirrors stand for; the backups `to_copy` for one
/// are looked at more closely. Only a barman.conf that cannot be used is an error, as then nobody knows where anything
/// is.
pub async fn observe<'a>(
    site: &Site,
    replicas: impl IntoIterator<Item = &'a Replica>,
    call: Call<'_>,
    to_copy: ToCopy<'_>,
    terms: Terms<'_>,
    each: Each<'_>,
) -> Result<(), SiteConfError> {
    let barman = SiteConf::read(&site.catalog)?;
    let name = name_of_catalog(&site.catalog.path, terms.purpose);
    let observer = Observer { site, call, to_copy, terms, missing_conf: barman.missing.clone(), name };
    let mut by_primary: BTreeMap<&str, Vec<AtSite<'_>>> = BTreeMap::new();
    for replica in replicas {
        let ((dirs, own), store) = (barman.server(&replica.name)?, barman.store(&replica.name)?);
        by_primary.entry(&replica.primary).or_default().push(AtSite { replica, dirs, store, own });
    }
    let installed = observer.installed().shared();
    let observed =
        by_primary.iter().map(|(primary, at_site)| observer.replicas_of(primary, at_site, installed.clone(), each));
    join_all(observed).await;
    Ok(())
}

/// What the catalog here is called. One that has servers, and so can be the primary of somebody, is given a name by its first
/// plan; an empty one by its first apply.
fn name_of_catalog(home: &Path, purpose: Purpose) -> Option<CatalogName> {
    let has_servers = || home::servers(home).is_ok_and(|servers| !servers.is_empty());
    match (pedigree::name_of(home), purpose) {
        // Where it cannot be written, nobody can make a copy either.
        (None, Purpose::Plan { .. }) if has_servers() => pedigree::name(home).ok(),
        (name, _) => name,
    }
}

/// What a replica holds as the site alone tells, and nothing is believed of what was looked at before. It blocks for as
/// long as the disk takes.
pub fn look_here(
    store: &dyn Store,
    dirs: ServerDirs,
    version: BarmanVersion,
    depth: Depth,
) -> Result<ReplicaInventory, CatalogError> {
    let disk = ServerOnDisk::read(store, &dirs.server, Looking::at(depth))?;
    disk.keep(store);
    Ok(replica::inventory(disk, store, dirs, SiteBarman::default(), version))
}

/// How it is looked.
#[derive(Clone, Copy)]
pub struct Terms<'a> {
    /// What for.
    pub purpose: Purpose,
    /// What bounds this observation together with others.
    pub turns: &'a Turns,
    /// The time of the observation, by the clock here.
    pub now: Timestamp,
    /// Ends it when it fires.
    pub cancel: &'a CancellationToken,
}

/// What all replicas of a site share while they are observed.
struct Observer<'a, 'c> {
    site: &'a Site,
    call: Call<'c>,
    to_copy: ToCopy<'a>,
    terms: Terms<'a>,
    /// The barman.conf that the site file names and that does not exist.
    missing_conf: Option<PathBuf>,
    /// What the catalog here is called.
    name: Option<CatalogName>,
}

/// A replica, and where it is at the site.
struct AtSite<'r> {
    replica: &'r Replica,
    dirs: ServerDirs,
    store: Arc<dyn Store>,
    own: SiteBarman,
}

/// The way to a primary, and what is known of its servers before they are asked.
#[derive(Clone)]
struct Watched<'s> {
    primary: &'s Primary,
    connection: Connection,
    bandwidth: Arc<Bandwidth>,
    /// By the names of their replicas. Each of these gets what is watched, and none a copy of what is known of the others.
    known: Arc<BTreeMap<&'s ServerName, Known>>,
}

impl Observer<'_, '_> {
    /// The version of the Barman that is installed here, where it is not said for which one to write.
    async fn installed(&self) -> Option<BarmanVersion> {
        match self.site.catalog.barman {
            Some(_) => None,
            None => version::remembered(&self.site.catalog.path, self.believing()).await,
        }
    }

    /// Observes the replicas of one primary. Their primary is called once, and none waits for another's disk here.
    async fn replicas_of(
        &self,
        primary: &str,
        at_site: &[AtSite<'_>],
        installed: impl Future<Output = Option<BarmanVersion>> + Clone,
        each: Each<'_>,
    ) {
        let watched = self.watch(primary, at_site).shared();
        let observed = at_site.iter().map(|at_site| async {
            let mut observation = self.replica(at_site, watched.clone(), installed.clone()).await;
            other_site::note(self.site, &at_site.replica.name, &mut observation.replica);
            each(at_site.replica.name.clone(), observation);
        });
        join_all(observed).await;
    }

    /// Calls a primary, and looks once at all its servers of which something is remembered.
    async fn watch<'s>(&'s self, primary: &str, at_site: &'s [AtSite<'_>]) -> Result<Watched<'s>, Error> {
        let undeclared = || Error::new(Kind::Internal, format!("primary {primary}: the site does not declare it"));
        let primary = self.site.primaries.get(primary).ok_or_else(undeclared)?;
        let memories = join_all(at_site.iter().map(|at_site| self.remembered(primary, at_site)));
        let (connection, mut memories) = tokio::join!((self.call)(primary), memories);
        let connection = connection.map_err(Error::with_reason)?;
        let places = watch::supposed_places(&memories, at_site.iter().map(|at_site| &at_site.replica.server));
        if self.terms.purpose == (Purpose::Plan { refresh: true }) {
            memories.fill(None);
        }
        let seen = watch::look(&connection, &memories, self.terms.now).await.map_err(Error::with_reason)?;
        let known = memories.into_iter().zip(seen).zip(places);
        let known = known.map(|((memory, seen), supposed)| Known { memory, seen, supposed });
        let known: BTreeMap<_, _> = at_site.iter().map(|at_site| &at_site.replica.name).zip(known).collect();
        let bandwidth = self.terms.turns.bandwidth(primary);
        Ok(Watched { primary, connection, bandwidth, known: Arc::new(known) })
    }

    /// What earlier runs learnt of a server. A disk that does not tell soon is not waited for: it delays no other server.
    async fn remembered(&self, primary: &Primary, at_site: &AtSite<'_>) -> Option<Memory> {
        let (store, primary) = (Arc::clone(&at_site.store), primary.clone());
        let server = at_site.replica.server.clone();
        let read = tokio::task::spawn_blocking(move || Memory::read(store.as_ref(), &primary, &server));
        timeout(A_MOMENT, read).await.ok()?.ok()?
    }

    async fn replica(
        &self,
        at_site: &AtSite<'_>,
        watched: impl Future<Output = Result<Watched<'_>, Error>>,
        installed: impl Future<Output = Option<BarmanVersion>>,
    ) -> ReplicaObservation {
        let asked = async {
            let watched = watched.await?;
            let known = watched.known.get(&at_site.replica.name).cloned();
            let known = known.ok_or_else(|| Error::new(Kind::Internal, "a replica of this primary was not watched"))?;
            let Answer { observed, lists } = self.ask(&self.server_of(at_site, &watched), &known).await;
            Ok((watched, known, lists, observed))
        };
        let (disk, asked, installed) = tokio::join!(self.read_catalog(at_site), asked, installed);
        let barman = match &asked {
            Ok((.., Observed::Active(there))) => there.barman,
            Ok((.., Observed::Inactive(_) | Observed::Failed(_))) | Err(_) => None,
        };
        let (disk, unreadable) = match disk {
            Ok(disk) => (disk, None),
            Err(error) => (ServerOnDisk::default(), Some(error)),
        };
        let signs = version::VersionSigns {
            declared: self.site.catalog.barman,
            installed,
            disk: disk.version_bounds(),
            primary: barman,
        };
        let (dirs, store) = (at_site.dirs.clone(), at_site.store.as_ref());
        let mut here = replica::inventory(disk, store, dirs, at_site.own.clone(), signs.decide());
        here.suspended = suspension_or_doubt(&self.site.catalog.path, &at_site.replica.name)
            .filter(|suspension| suspension.holds(self.terms.now));
        // A site without Barman needs no barman.conf, and one with Barman has it somewhere.
        here.notes.extend(self.missing_conf.as_ref().filter(|_| installed.is_some()).map(|conf| {
            format!(
                "Barman is installed here, and {}, which `catalog.config` names, does not exist: its default places are \
                 used; name the file that it reads",
                conf.display()
            )
        }));
        let primary = match (unreadable, asked) {
            (Some(error), _) => {
                here.unreadable = true;
                Observed::Failed(error.of(format_args!("replica {}, at the site", here.directories.server)))
            }
            (None, Err(error)) => Observed::Failed(error),
            (None, Ok((watched, known, lists, Observed::Active(mut there)))) => {
                let server_there = self.server_of(at_site, &watched);
                match self.look_closer(at_site, &server_there, (known, lists), &mut there, &mut here).await {
                    Ok(()) => Observed::Active(there),
                    Err(error) => Observed::Failed(error),
                }
            }
            (None, Ok((.., observed))) => observed,
        };
        ReplicaObservation { primary, replica: here }
    }

    /// The way to a replica's primary.
    fn server_of<'s>(&'s self, at_site: &'s AtSite<'_>, watched: &'s Watched<'_>) -> PrimaryServer<'s> {
        let Watched { primary, connection, bandwidth, .. } = watched;
        let Terms { purpose, now, cancel, .. } = self.terms;
        let (server, store) = (&at_site.replica.server, &at_site.store);
        PrimaryServer { primary, connection, bandwidth, server, store, purpose, now, cancel }
    }

    /// What is believed of what earlier runs were told by the Barman here.
    fn believing(&self) -> Believing {
        let Terms { purpose, now, .. } = self.terms;
        let for_long = match purpose {
            Purpose::Plan { refresh: true } => Duration::ZERO,
            Purpose::Plan { refresh: false } | Purpose::Status { .. } => self.site.catalog.deep_every,
        };
        Believing { for_long, keeps: matches!(purpose, Purpose::Plan { .. }), now }
    }

    async fn read_catalog(&self, at_site: &AtSite<'_>) -> Result<ServerOnDisk, Error> {
        let (store, server) = (Arc::clone(&at_site.store), at_site.dirs.server.clone());
        let _turn = self.terms.turns.to_read().await;
        let looking = match self.terms.purpose {
            Purpose::Plan { refresh } => Looking {
                depth: if refresh { Depth::Everything } else { Depth::Changed },
                believed_for: Some(self.site.catalog.deep_every),
                is_kept: true,
            },
            // A status leaves the catalog as it is, and refutes earlier looks.
            Purpose::Status { depth } => Looking::at(depth),
        };
        let disk = tokio::task::spawn_blocking(move || {
            let store = store.as_ref();
            let disk = ServerOnDisk::read(store, &server, looking)?;
            disk.keep(store);
            Ok::<_, CatalogError>(disk)
        });
        Ok(disk.await??)
    }

    async fn ask(&self, server_there: &PrimaryServer<'_>, known: &Known) -> Answer {
        let _turn = self.terms.turns.to_ask(server_there.primary).await;
        server_there.ask(known).await
    }

    async fn look_closer(
        &self,
        at_site: &AtSite<'_>,
        server_there: &PrimaryServer<'_>,
        (known, lists): (Known, Option<FetchedLists>),
        there: &mut PrimaryInventory,
        here: &mut ReplicaInventory,
    ) -> Result<(), Error> {
        let before = known.memory.clone();
        let learnt = server_there.complete(there, here, known, lists).await?;
        self.compare_pedigrees(at_site, server_there, there, here).await?;
        there.set_damaged_apart();
        self.look_at_differing(&at_site.store, there, here).await?;
        let to_copy = (self.to_copy)(at_site.replica, there, here);
        if matches!(self.terms.purpose, Purpose::Status { .. }) {
            // Manifests only tell what a copy would share with other backups: whether that decides on what fits.
            if !is_tight(there, here, &to_copy) {
                return Ok(());
            }
        } else if before.as_ref() != Some(&learnt) {
            let store = Arc::clone(&at_site.store);
            tokio::task::spawn_blocking(move || learnt.keep(store.as_ref())).await?;
        }
        replica::read_reuse_manifests(here, at_site.store.as_ref(), &to_copy)?;
        server_there.look_closer(there, here, &to_copy).await
    }

    /// Finds out whether the primary's catalog is this one, and notes what the replica descends from.
    async fn compare_pedigrees(
        &self,
        at_site: &AtSite<'_>,
        server_there: &PrimaryServer<'_>,
        there: &mut PrimaryInventory,
        here: &mut ReplicaInventory,
    ) -> Result<(), Error> {
        let (home, dirs, server) = (&self.site.catalog.path, &at_site.dirs, &at_site.replica.server);
        here.name = self.name;
        let Some(name) = self.name.filter(|_| matches!(self.terms.purpose, Purpose::Plan { .. })) else {
            return Ok(());
        };
        let origin = if there.is_copy() { there.origin() } else { there.has_come(self.terms.now) };
        let is_damaged = |local: &LocalBackup| matches!(local.base, BaseState::Damaged { .. });
        let damaged: Vec<BackupId> =
            here.backups.iter().filter(|(_, local)| is_damaged(local)).map(|(id, _)| *id).collect();
        let note = |name, there: &PrimaryInventory| {
            pedigree::note(dirs, &inherited(name, server, &there.pedigree, origin, damaged.iter().copied()))
        };
        if !there.pedigree.contains(&Mark::Catalog(name)) {
            // Without it a site that copies from here to where we copy from does not see it.
            return note(name, there).or(Ok(()));
        }
        // One of the two was made by copying the other with all its files, or they are one: then both have the new name.
        let renamed = pedigree::rename(home, name).and_then(|renamed| note(renamed, there).map(|()| renamed));
        let Ok(renamed) = renamed else { return Ok(()) };
        here.name = Some(renamed);
        if server_there.is_called(there, renamed).await? {
            there.pedigree.insert(Mark::Catalog(renamed));
        }
        Ok(())
    }

    /// Finds out which of the WAL files here are whole although the primary's have another size.
    async fn look_at_differing(
        &self,
        store: &Arc<dyn Store>,
        there: &PrimaryInventory,
        here: &mut ReplicaInventory,
    ) -> Result<(), Error> {
        let differing = whole::differing(there, here);
        if !differing.is_empty() {
            let _turn = self.terms.turns.to_read().await;
            let store = Arc::clone(store);
            whole::note(here, tokio::task::spawn_blocking(move || whole::read(store.as_ref(), &differing)).await??);
        }
        Ok(())
    }
}

/// Whether what is to come may not fit here if all of it takes room of its own, beside what a plan keeps for WAL to come:
/// that is never more than what the primary archived, four segments, or a tenth of the file system.
fn is_tight(there: &PrimaryInventory, here: &ReplicaInventory, to_copy: &BTreeSet<BackupId>) -> bool {
    let Some(rooms) = here.rooms.filter(|_| !to_copy.is_empty()) else { return false };
    let archived = there.wals.iter().map(|entry| entry.size).fold(0, u64::saturating_add);
    let bases = to_copy.iter().filter_map(|id| there.backups.get(id)?.facts.size);
    let missing = there.wals.iter().filter(|entry| !here.wals.contains(entry.name)).map(|entry| entry.size);
    let kept = archived.max(64 << 20).min(rooms.bases.size / 10);
    bases.chain(missing).fold(kept, u64::saturating_add) > rooms.bases.free
}

#[cfg(test)]
mod tests;

//! The primary's end of a replica.
//!
//! First one look at all that is remembered of all its servers ([`watch`]). Then [`PrimaryServer::ask`]: `sync-info`, unless that
//! look shows that its answer would be the remembered one; or one reading of a catalog that this host can see. Before it
//! xlog.db is fetched, where it is or is supposed to be: with that `sync-info` tells of new WAL only ([`lists`]). Then what
//! every plan needs and sync-info does not tell, or not all of it: the archive, history files and annotations, as far as
//! they moved ([`PrimaryServer::complete`]). At last what only those need who copy a backup: [`PrimaryServer::look_closer`]. Where
//! nothing moved, all servers together pay for the first look alone.
//!
//! | what changes at the primary | is noticed by |
//! | --- | --- |
//! | a backup comes, goes, changes its status or anything else in its backup.info | the look: name, size and time of that file |
//! | a backup is kept, or kept no longer, or marked for deletion | the look: that annotation |
//! | WAL is archived, deleted or compressed | the look: the time of its directory, and of xlog.db |
//! | a line of xlog.db changes | the look: its size and time, and then its content |
//! | a history file comes, goes or changes | the look: its name and size |
//! | a WAL file is written to in place, its size changed | `refresh_after`, unless its directory or its lines change too |
//! | the server is renamed or its directories are moved | the look, where nothing is any more where it was |
//! | `active`, the version of Barman, other settings | `refresh_after` |

mod annotations;
mod archive;
mod fetched;
mod lists;
mod manifests;
pub mod memory;
mod path;
pub mod sights;
mod sync_info;
pub mod watch;

pub use lists::FetchedLists;
pub use sync_info::refused;

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use tokio_util::sync::CancellationToken;

use crate::barman::backup_info::BackupInfo;
use crate::barman::ids::{BackupId, ServerName};
use crate::barman::layout::ServerDirs;
use crate::error::{Error, Kind, Retry};
use crate::site::model::{Access, Primary};
use crate::transport::bandwidth::Bandwidth;
use crate::transport::{BarmanCommands, Connection, Look};

use super::Purpose;
use super::facts::base_kind;
use super::inventory::{BackupFacts, BaseKind, Observed, PrimaryBackup, PrimaryInventory, ReplicaInventory};
use crate::store::Store;
use crate::store::cache::{Cache, Cached, Use};
use crate::store::pedigree::{self, CatalogName, Mark};
use fetched::Fetcher;
use memory::Memory;
use sights::{Beside, Sights, View};

/// One server of a primary, and the way to it.
#[derive(Clone, Copy)]
pub struct PrimaryServer<'a> {
    /// The primary.
    pub primary: &'a Primary,
    /// The way to it.
    pub connection: &'a Connection,
    /// What all copies from it may use together.
    pub bandwidth: &'a Arc<Bandwidth>,
    /// The server's name there.
    pub server: &'a ServerName,
    /// The catalog of its replica, where what it sends is kept to be read again.
    pub store: &'a Arc<dyn Store>,
    /// What it is asked for.
    pub purpose: Purpose,
    /// When it is asked, by the clock here.
    pub now: Timestamp,
    /// Ends every transfer when it fires.
    pub cancel: &'a CancellationToken,
}

/// What is known of a server before it is asked anything.
#[derive(Debug, Clone)]
pub struct Known {
    /// What earlier runs learnt.
    pub memory: Option<Memory>,
    /// What is seen now of all that is remembered.
    pub seen: Option<Sights>,
    /// Where its files may be; nothing but what is asked for first depends on it.
    pub supposed: ServerDirs,
}

/// What a primary says of itself.
pub struct Answer {
    /// What it said, or said before.
    pub observed: Observed,
    /// The list after whose last line it was asked for WAL, where it was.
    pub lists: Option<FetchedLists>,
}

impl Known {
    /// What is remembered, where the primary would say the same.
    fn right(&self, now: Timestamp, refresh_after: Duration) -> Option<&Memory> {
        let (memory, seen) = (self.memory.as_ref()?, self.seen.as_ref()?);
        memory.is_right(seen, now, refresh_after).then_some(memory)
    }
}

impl PrimaryServer<'_> {
    /// What the primary says of itself; what it said before, where that is right.
    pub async fn ask(&self, known: &Known) -> Answer {
        let answer = match (&self.connection.commands, &self.primary.access) {
            (Some(commands), _) => match known.right(self.now, self.primary.refresh_after) {
                Some(memory) => Ok(Answer::of(memory.inventory())),
                None => self.ask_barman(commands.as_ref(), known).await,
            },
            (None, Access::Path(home)) => path::read(home, self.server).await.map(Answer::of),
            (None, Access::Ssh { .. }) => Err(Error::new(Kind::Internal, "the connection runs no commands")),
        };
        answer.unwrap_or_else(|error| Answer { observed: Observed::Failed(self.failed(error)), lists: None })
    }

    async fn ask_barman(&self, commands: &dyn BarmanCommands, known: &Known) -> Result<Answer, Error> {
        let lists = match self.fetch_lists(known).await {
            Ok(lists) => Some(lists).filter(|lists| lists.last().is_some()),
            Err(error) if error.kind.retry() == Retry::Line || error.kind == Kind::Interrupted => return Err(error),
            Err(error) => {
                tracing::debug!("sync-info is asked for all WAL: {error}");
                None
            }
        };
        let after = lists.as_ref().and_then(FetchedLists::last);
        let observed = sync_info::ask(commands, self.server, after).await?;
        Ok(Answer { observed, lists })
    }

    /// The list where it was seen, or else where it may be.
    async fn fetch_lists(&self, known: &Known) -> Result<FetchedLists, Error> {
        let (fetcher, cache) = (self.fetcher(), self.cache(Cached::Lists).await?);
        match (&known.memory, &known.seen) {
            (Some(memory), Some(seen)) => {
                let dirs = &memory.directories;
                FetchedLists::fetch(&fetcher, dirs, cache, &seen.lists, memory.keeps_list(seen)).await
            }
            _ => FetchedLists::suppose(&fetcher, &known.supposed, cache).await,
        }
    }

    /// Adds the archive and the history files, and the annotations, which sync-info does not know, given the list that
    /// it was asked with. What was learnt is for the next run.
    pub async fn complete(
        &self,
        there: &mut PrimaryInventory,
        here: &ReplicaInventory,
        known: Known,
        lists: Option<FetchedLists>,
    ) -> Result<Memory, Error> {
        self.add_what_is_seen(there, here, known, lists).await.map_err(|error| self.failed(error))
    }

    async fn add_what_is_seen(
        &self,
        there: &mut PrimaryInventory,
        here: &ReplicaInventory,
        known: Known,
        lists: Option<FetchedLists>,
    ) -> Result<Memory, Error> {
        let is_new = known.right(self.now, self.primary.refresh_after).is_none();
        let Known { memory, seen, .. } = known;
        let before = memory.filter(|memory| memory.directories == there.directories);
        let (seen, looked_at, was_seen_first) = match (seen, &before) {
            (Some(seen), Some(before)) => (seen, before.ids().copied().collect(), true),
            _ => (self.look(there, before.as_ref()).await?, there.backups.keys().copied().collect(), false),
        };
        there.pedigree.clone_from(&seen.pedigree);
        let fetcher = self.fetcher();
        let lists = self.lists_of(there, lists, &seen, before.as_ref()).await?;
        let archive = archive::add(&fetcher, there, here, lists, &seen, before.as_ref()).await?;
        if is_new && self.connection.commands.is_some() {
            annotations::add(&fetcher, there, &seen, &looked_at).await?;
        }
        let memory = match before.filter(|_| !is_new) {
            Some(memory) => memory,
            None => Memory::of(there, self.primary, self.now, was_seen_first && seen.are_backups_settled()),
        };
        Ok(memory.with(seen, archive))
    }

    /// The lists where they were seen. Where there is none any more, sync-info is asked for all that it was not asked for.
    async fn lists_of(
        &self,
        there: &mut PrimaryInventory,
        asked_with: Option<FetchedLists>,
        seen: &Sights,
        before: Option<&Memory>,
    ) -> Result<FetchedLists, Error> {
        let (fetcher, dirs) = (self.fetcher(), &there.directories);
        let Some(lists) = asked_with else {
            let cache = self.cache(Cached::Lists).await?;
            let is_kept = before.is_some_and(|before| before.keeps_list(seen));
            return FetchedLists::fetch(&fetcher, dirs, cache, &seen.lists, is_kept).await;
        };
        let lists = lists.settle(&fetcher, dirs, &seen.lists).await?;
        if lists.has_none()
            && let Some(commands) = &self.connection.commands
            && let Observed::Active(all) = sync_info::ask(commands.as_ref(), self.server, None).await?
        {
            (there.wals, there.last) = (all.wals, all.last);
        }
        Ok(lists)
    }

    /// What is seen of a server.
    async fn look(&self, there: &PrimaryInventory, before: Option<&Memory>) -> Result<Sights, Error> {
        let dirs = &there.directories;
        let plain = || sights::look_for(dirs, there.backups.keys());
        let look = sights::from_below(sights::with_pedigree(plain(), dirs));
        let sights = |look: &Look, entries| {
            View::new(&look.from, entries, self.now).of(dirs, before.map(|before| &before.sights))
        };
        let alone = async |beside| {
            let look = sights::from_below(plain());
            let entries = self.connection.files.look(&look).await?;
            Ok(sights(&look, entries).beside(beside))
        };
        if before.is_some_and(|before| before.sights.beside == Beside::Nothing) {
            return alone(Beside::Nothing).await;
        }
        match self.connection.files.look(&look).await {
            Ok(entries) => Ok(sights(&look, entries).beside(Beside::All)),
            // The primary's user need not be the one that an Antipode there runs as.
            Err(error) if error.kind == Kind::PermissionDenied => alone(Beside::Servers).await,
            Err(error) if error.kind == Kind::Refused => alone(Beside::Nothing).await,
            Err(error) => Err(error),
        }
    }

    /// Whether the primary's catalog has this name.
    pub async fn is_called(&self, there: &PrimaryInventory, name: CatalogName) -> Result<bool, Error> {
        let dirs = &there.directories;
        let look = Look { from: PathBuf::from("/"), names: Vec::new(), directories: pedigree::directories(dirs) };
        let look = sights::from_below(look);
        let entries = self.connection.files.look(&look).await.map_err(|error| self.failed(error))?;
        Ok(View::new(&look.from, entries, self.now).of(dirs, None).pedigree.contains(&Mark::Catalog(name)))
    }

    /// Adds what is only worth knowing of backups that are copied: the manifests of those that may share files with
    /// one that is here.
    pub async fn look_closer(
        &self,
        there: &mut PrimaryInventory,
        here: &ReplicaInventory,
        to_copy: &BTreeSet<BackupId>,
    ) -> Result<(), Error> {
        // Files are shared with a backup that is here, or with another one that comes.
        let are_shared = to_copy.len() > 1 || here.backups.values().any(|local| local.manifest.is_some());
        let wanted = if are_shared { to_copy.clone() } else { BTreeSet::new() };
        let cache = self.cache(Cached::Manifests).await?;
        manifests::add(&self.fetcher(), there, &wanted, cache).await.map_err(|error| self.failed(error))
    }

    async fn cache(&self, kept: Cached) -> Result<Option<Cache>, Error> {
        let purpose = match self.purpose {
            Purpose::Plan { refresh: true } => Use::Refresh,
            Purpose::Plan { refresh: false } => Use::Keep,
            Purpose::Status { .. } => Use::Read,
        };
        let store = Arc::clone(self.store);
        let cache = tokio::task::spawn_blocking(move || store.cache(kept, purpose));
        cache.await.map_err(|stopped| self.failed(stopped.into()))
    }

    fn fetcher(&self) -> Fetcher<'_> {
        Fetcher { files: self.connection.files.as_ref(), cancel: self.cancel, bandwidth: self.bandwidth }
    }

    fn failed(&self, error: Error) -> Error {
        let error = error.with_reason();
        let name = format!("primary {}", self.primary.name);
        if error.message.starts_with(&name) {
            return error;
        }
        error.of(format_args!("{name}, server {}", self.server))
    }
}

impl Answer {
    fn of(inventory: PrimaryInventory) -> Self {
        Self { observed: Observed::Active(Box::new(inventory)), lists: None }
    }
}

/// A backup at a primary; what is wrong with its metadata keeps this one back and no other.
fn primary_backup(id: BackupId, info: BackupInfo, notes: &mut Vec<String>) -> PrimaryBackup {
    let (facts, base) = match BackupFacts::read(id, &info) {
        Ok(facts) => (facts, base_kind(&info)),
        Err(error) => {
            notes.push(left_alone(id, &error));
            (BackupFacts::of_readable(id, &info), BaseKind::Unreadable)
        }
    };
    PrimaryBackup { facts, info, base, keep: None, going_away: false, manifest: None }
}

/// What is said of a backup whose metadata at the primary makes no sense.
fn left_alone(id: BackupId, why: &dyn std::fmt::Display) -> String {
    format!("backup {id} is left alone until its backup.info there is repaired: {why}")
}

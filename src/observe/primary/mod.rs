//! The primary's end of a replica.
//!
//! First [`Source::ask`]: one `sync-info`, or one reading of a catalog that this host can see. Then what every plan needs
//! and sync-info does not tell, or not all of it: the archive, history files and annotations ([`Source::complete`]). At
//! last what only those need who copy a backup: [`Source::look_closer`]. A site in sync pays for the first two alone.

mod annotations;
mod archive;
mod fetched;
mod lists;
mod manifests;
mod path;
mod sync_info;

pub use sync_info::refused;

use std::collections::BTreeSet;

use tokio_util::sync::CancellationToken;

use crate::barman::backup_info::BackupInfo;
use crate::barman::ids::{BackupId, ServerName};
use crate::error::{Error, Kind};
use crate::site::model::{Access, Primary};
use crate::transport::Connection;

use super::Purpose;
use super::facts::base_kind;
use super::inventory::{BackupFacts, BaseKind, Observed, PrimaryBackup, PrimaryInventory, ReplicaInventory};
use crate::store::cache::{Cache, Cached, Use};
use fetched::Fetcher;

/// One server of a primary, and the way to it.
#[derive(Clone, Copy)]
pub struct Source<'a> {
    /// The primary.
    pub primary: &'a Primary,
    /// The way to it.
    pub connection: &'a Connection,
    /// The server's name there.
    pub server: &'a ServerName,
    /// What it is asked for.
    pub purpose: Purpose,
    /// Ends every transfer when it fires.
    pub cancel: &'a CancellationToken,
}

impl Source<'_> {
    /// What the primary says of itself.
    pub async fn ask(&self) -> Observed {
        let answer = match (&self.connection.commands, &self.primary.access) {
            (Some(commands), _) => sync_info::ask(commands.as_ref(), self.server).await,
            (None, Access::Path(home)) => path::read(home, self.server).await.map(active),
            (None, Access::Ssh { .. }) => Err(Error::new(Kind::Internal, "the connection runs no commands")),
        };
        answer.unwrap_or_else(|error| Observed::Failed(self.failed(error)))
    }

    /// Adds the archive and the history files, and the annotations, which sync-info does not know.
    pub async fn complete(&self, there: &mut PrimaryInventory, here: &ReplicaInventory) -> Result<(), Error> {
        let fetcher = self.fetcher();
        let cache = self.cache(here, Cached::Lists).await?;
        archive::add(&fetcher, there, here, cache).await.map_err(|error| self.failed(error))?;
        if self.connection.commands.is_none() {
            return Ok(());
        }
        annotations::add(&fetcher, there).await.map_err(|error| self.failed(error))
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
        let cache = self.cache(here, Cached::Manifests).await?;
        manifests::add(&self.fetcher(), there, &wanted, cache).await.map_err(|error| self.failed(error))
    }

    async fn cache(&self, here: &ReplicaInventory, kept: Cached) -> Result<Option<Cache>, Error> {
        let purpose = match self.purpose {
            Purpose::Plan { refresh: true } => Use::Refresh,
            Purpose::Plan { refresh: false } => Use::Keep,
            Purpose::Status { .. } => Use::Read,
        };
        let dirs = here.directories.clone();
        let cache = tokio::task::spawn_blocking(move || Cache::open(&dirs, kept, purpose));
        cache.await.map_err(|stopped| self.failed(stopped.into()))
    }

    fn fetcher(&self) -> Fetcher<'_> {
        Fetcher { files: self.connection.files.as_ref(), cancel: self.cancel, bandwidth: self.primary.bandwidth }
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

fn active(inventory: PrimaryInventory) -> Observed {
    Observed::Active(Box::new(inventory))
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

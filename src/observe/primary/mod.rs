//! The primary's end of a replica.
//!
//! First [`Source::ask`]: one `sync-info`, or one reading of a catalog that this host can see. Then what sync-info
//! leaves out and every plan needs: history files and annotations, a handful of names ([`Source::complete`]). At last
//! what only those need who copy something: [`Source::look_closer`]. A site in sync pays for the first two alone.

mod annotations;
mod archive;
mod cache;
mod fetched;
mod manifests;
mod path;
mod sync_info;

pub use sync_info::refused;

use std::collections::BTreeSet;

use tokio_util::sync::CancellationToken;

use crate::barman::backup_info::BackupInfo;
use crate::barman::ids::{BackupId, ServerName};
use crate::plan::lacking::Lacking;
use crate::site::model::{Access, Primary};
use crate::transport::Connection;

use super::Purpose;
use super::facts::base_kind;
use super::failure::Failure;
use super::inventory::{BackupFacts, BaseKind, Observed, PrimaryBackup, PrimaryInventory, ReplicaInventory};
use cache::Cache;
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
            (None, Access::Ssh { .. }) => Err(Failure::new("the connection runs no commands")),
        };
        answer.unwrap_or_else(|failure| self.failed(failure).into())
    }

    /// Adds the history files, which sync-info leaves out in part, and the annotations, which it does not know.
    pub async fn complete(&self, there: &mut PrimaryInventory, here: &ReplicaInventory) -> Result<(), Failure> {
        if self.connection.commands.is_none() {
            return Ok(());
        }
        let fetcher = self.fetcher();
        archive::add_histories(&fetcher, there, here).await.map_err(|failure| self.failed(failure))?;
        annotations::add(&fetcher, there).await.map_err(|failure| self.failed(failure))
    }

    /// Adds what is only worth knowing of that which is copied: whether the WAL is really there, and the manifests of
    /// backups that may share files with one that is here.
    pub async fn look_closer(
        &self,
        there: &mut PrimaryInventory,
        here: &ReplicaInventory,
        lacking: &Lacking,
    ) -> Result<(), Failure> {
        let fetcher = self.fetcher();
        if self.connection.commands.is_some() {
            let gone = archive::gone(&fetcher, &there.directories.wals_directory, &lacking.wals).await;
            there.gone = gone.map_err(|failure| self.failed(failure))?;
        }
        let Purpose::Plan { refresh } = self.purpose else { return Ok(()) };
        // Files are shared with a backup that is here, or with another one that comes.
        let are_shared = lacking.backups.len() > 1 || here.backups.values().any(|local| local.manifest.is_some());
        let wanted = if are_shared { lacking.backups.clone() } else { BTreeSet::new() };
        let dirs = here.directories.clone();
        let cache = tokio::task::spawn_blocking(move || Cache::open(&dirs, refresh));
        let cache = cache.await.map_err(|stopped| self.failed(stopped.into()))?;
        manifests::add(&fetcher, there, &wanted, cache).await.map_err(|failure| self.failed(failure))
    }

    fn fetcher(&self) -> Fetcher<'_> {
        Fetcher { files: self.connection.files.as_ref(), cancel: self.cancel, bandwidth: self.primary.bandwidth }
    }

    fn failed(&self, failure: Failure) -> Failure {
        let name = format!("primary {}", self.primary.name);
        if failure.message.starts_with(&name) {
            return failure;
        }
        failure.of(format_args!("{name}, server {}", self.server))
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

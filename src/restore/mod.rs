//! Restoring a backup into a directory of this host: its files, put together where it is incremental, and proved; and what
//! PostgreSQL has to know to replay WAL from the replica. Nothing of the catalog is changed, and neither the primary nor a
//! Barman is needed.
//!
//! ```text
//! plan::recovery::way ─► files or combine ─► settings ─► a directory in which PostgreSQL starts
//!   which backup,          its files, proved    restore_command,
//!   which WAL              by the manifest      target, recovery.signal
//! ```

pub mod barman_line;
pub mod combine;
pub mod files;
pub mod finish;
pub mod mark;
pub mod programs;
pub mod settings;

use std::collections::BTreeMap;
use std::path::PathBuf;

use crate::barman::ids::BackupId;
use crate::error::{Error, Kind};
use crate::store::Store;
use crate::store::locks::{Lock, LockKind};

/// Where a backup is restored to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Places {
    /// The data directory.
    pub data: PathBuf,
    /// The directory of each tablespace, by its object id.
    pub tablespaces: BTreeMap<u32, PathBuf>,
}

/// Keeps others from deleting backups meanwhile. A catalog that takes no lock, as it is mounted for reading only, is deleted
/// from by nobody either.
pub fn hold(store: &dyn Store, chain: &[BackupId]) -> Result<Vec<Lock>, Error> {
    let mut held = Vec::new();
    for id in chain {
        match store.try_lock(LockKind::BackupId(*id)).map_err(Error::from) {
            Ok(lock) => held.push(lock),
            Err(error) if error.kind == Kind::Busy => return Err(error),
            Err(error) => tracing::info!("backup {id} is not locked: {error}"),
        }
    }
    Ok(held)
}

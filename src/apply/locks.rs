//! The locks of a server that are held for a whole run: its own, and Barman's.

use std::fs;
use std::io;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::barman::ids::ServerName;
use crate::error::{Error, Kind};
use crate::store::locks::{Lock, LockError, LockKind};
use crate::store::posix::places::OWN_DIRECTORY;

use super::ongoing;
use super::pulse::Pulse;
use super::replica_run::{HeldLock, ReplicaRun};
use crate::store::posix::durable;

/// The runs' own locks of a catalog, one for each server. They lie in the catalog's own directory and not in the server's:
/// that is there only when something was copied.
#[derive(Debug, Clone)]
pub struct RunLocks {
    catalog: PathBuf,
}

/// Keeps a second Antipode from the same server, until it is dropped.
#[derive(Debug)]
pub struct RunLock {
    pulse: Pulse,
    _lock: Lock,
}

impl RunLock {
    /// Where the run notes its progress on the server.
    pub fn pulse(&self) -> &Pulse {
        &self.pulse
    }
}

/// A catalog, or a server of it, cannot be worked on.
#[derive(Debug, thiserror::Error)]
pub enum RunLockError {
    /// Another Antipode works on the server.
    #[error("another antipode works on {server}: {source}")]
    Busy {
        /// Its name at the site.
        server: ServerName,
        /// Who holds its lock.
        source: LockError,
    },
    /// The catalog belongs to somebody else.
    #[error("the catalog {} belongs to user id {owner}, and this is user id {us}: run as its owner, as Barman does", catalog.display())]
    Owner {
        /// `barman_home`
        catalog: PathBuf,
        /// The id of the user that it belongs to.
        owner: u32,
        /// The id of the user that this runs as.
        us: u32,
    },
    /// The catalog cannot be written.
    #[error("the catalog {} cannot be written: {source}", catalog.display())]
    Io {
        /// `barman_home`
        catalog: PathBuf,
        /// What the system said.
        source: io::Error,
    },
}

impl From<RunLockError> for Error {
    fn from(error: RunLockError) -> Self {
        let kind = match &error {
            RunLockError::Busy { .. } => Kind::Locked,
            RunLockError::Owner { .. } => Kind::PermissionDenied,
            RunLockError::Io { source, .. } => Kind::from(source),
        };
        let hint = advice(&error, kind);
        Self { hint: hint.map(str::to_owned), ..Self::new(kind, error.to_string()) }.because(error)
    }
}

/// What to do about a catalog that cannot be written.
fn advice(error: &RunLockError, kind: Kind) -> Option<&'static str> {
    match (error, kind) {
        (RunLockError::Busy { .. } | RunLockError::Owner { .. }, _) => None,
        (_, Kind::ReadOnly) => Some("mount its file system writable; `antipode plan` works as it is"),
        (_, Kind::PermissionDenied) => Some("run as the user that owns the catalog"),
        (_, Kind::NoSpace) => Some("free space on its file system and apply again"),
        (_, Kind::NotFound) => Some("make the directory above it, or correct `catalog.path`"),
        _ => None,
    }
}

impl RunLocks {
    /// Those of a catalog, which is made if only its last directory is missing. One of somebody else is refused.
    pub fn of(catalog: &Path) -> Result<Self, RunLockError> {
        let io = |source| RunLockError::Io { catalog: catalog.to_owned(), source };
        if !catalog.exists() {
            fs::create_dir(catalog).map_err(io)?;
        }
        let (owner, us) = (catalog.metadata().map_err(io)?.uid(), rustix::process::geteuid().as_raw());
        if owner != us {
            return Err(RunLockError::Owner { catalog: catalog.to_owned(), owner, us });
        }
        let own = catalog.join(OWN_DIRECTORY);
        durable::create_directory(&own).map_err(io)?;
        fs::set_permissions(&own, fs::Permissions::from_mode(0o700)).map_err(io)?;
        Ok(Self { catalog: catalog.to_owned() })
    }

    /// Takes the lock of a server, waiting while another run has it.
    pub async fn acquire(&self, server: &ServerName, patience: Duration) -> Result<RunLock, RunLockError> {
        match Lock::acquire(&ongoing::lock(&self.catalog, server), patience).await {
            Ok(lock) => Ok(RunLock { pulse: Pulse::of(&self.catalog, server), _lock: lock }),
            Err(source @ LockError::Busy { .. }) => Err(RunLockError::Busy { server: server.clone(), source }),
            Err(LockError::Io { source, .. }) => Err(RunLockError::Io { catalog: self.catalog.clone(), source }),
        }
    }
}

/// Takes Barman's locks of a server for the whole run: its cron then skips the server, and a `sync-wals` waits.
pub async fn server(run: &ReplicaRun<'_>) -> Result<[HeldLock; 2], Error> {
    let busy = |error: Error| match error.kind {
        Kind::Busy => Error { kind: Kind::Locked, ..error },
        _ => error,
    };
    let cron = run.lock(LockKind::Cron).await.map_err(busy)?;
    let sync_wal = run.lock(LockKind::SyncWal).await.map_err(busy)?;
    Ok([cron, sync_wal])
}

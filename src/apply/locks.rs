//! The locks of a server that are held for a whole run: its own, and Barman's.

use std::sync::Arc;
use std::time::Duration;

use crate::barman::ids::ServerName;
use crate::error::{Error, Kind};
use crate::store::Store;
use crate::store::locks::{self, Lock, LockError, LockKind};

use super::replica_run::{HeldLock, ReplicaRun};

/// A server that no other Antipode works on, until this is dropped.
pub struct RunLock {
    store: Arc<dyn Store>,
    _lock: Lock,
}

impl RunLock {
    /// Takes the run's own lock of a server, waiting while another run has it; one that has it for longer is an error of the
    /// kind `Locked`.
    pub async fn take(store: Arc<dyn Store>, server: &ServerName, patience: Duration) -> Result<Self, Error> {
        match locks::acquire(store.as_ref(), LockKind::Run, patience).await {
            Ok(lock) => Ok(Self { store, _lock: lock }),
            Err(busy @ LockError::Busy { .. }) => {
                Err(Error::new(Kind::Locked, format!("another antipode works on {server}: {busy}")).because(busy))
            }
            Err(error) => Err(error.into()),
        }
    }

    /// The catalog of the server.
    pub fn store(&self) -> &Arc<dyn Store> {
        &self.store
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

//! What a run that was killed left half-done and no plan speaks of: deletions to finish, temporary files of transfers.

use std::sync::Arc;

use tokio_util::sync::CancellationToken;

use crate::error::Error;
use crate::plan::ReplicaPlan;
use crate::store::{ChangeError, Place, Store, arrivals};
use crate::transport::{blocking, paths};

use super::replica_run::ReplicaRun;

/// Removes the temporary files of killed runs. The server is locked, and nothing is written there yet.
pub async fn clear(run: &ReplicaRun<'_>) -> Result<(), Error> {
    let (store, arrivals) = (Arc::clone(&run.store), run.local(Place::Arrivals));
    blocking(move || {
        store.tidy()?;
        arrivals::forget_gone(store.as_ref())?;
        let removed = paths::remove_stale_scratch(&arrivals);
        Ok(removed.map_err(ChangeError::doing("remove temporary files of", &arrivals))?)
    })
    .await
}

/// Finishes the deletions of killed runs, until an interruption. It is a matter of our own directories, and so of the
/// run's own lock alone. What cannot be deleted is left to the next run.
pub async fn sweep(plan: &ReplicaPlan, store: Arc<dyn Store>, cancel: &CancellationToken) {
    let cancel = cancel.clone();
    if let Err(error) = blocking(move || Ok(store.sweep(&|| !cancel.is_cancelled())?)).await {
        tracing::warn!(replica = %plan.name, "what an earlier apply left to be deleted stays: {error}");
    }
}

/// Takes away the note that nobody copies the server any more, as it is copied again.
pub async fn attach(plan: &ReplicaPlan, store: Arc<dyn Store>) {
    let attached = blocking(move || {
        if store.has(Place::Detached)? {
            store.remove(Place::Detached.into())?;
        }
        Ok(())
    });
    if let Err(error) = attached.await {
        tracing::warn!(replica = %plan.name, "it is copied again, and the note that it is detached stays: {error}");
    }
}

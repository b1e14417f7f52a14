//! What a run that was killed left half-done and no plan speaks of: deletions to finish, temporary files of transfers.

use std::sync::Arc;

use futures::future::join_all;
use tokio_util::sync::CancellationToken;

use crate::plan::Plan;
use crate::store::{ChangeError, Place};
use crate::transport::paths;

use super::Stores;
use super::replica_run::{ReplicaRun, blocking};
use crate::events::Failure;

/// Removes the temporary files of killed runs. The server is locked, and nothing is written there yet.
pub async fn clear(run: &ReplicaRun<'_>) -> Result<(), Failure> {
    let (store, arrivals) = (Arc::clone(&run.store), run.local(Place::Arrivals));
    blocking(move || {
        store.tidy()?;
        let removed = paths::remove_stale_scratch(&arrivals);
        Ok(removed.map_err(ChangeError::doing("remove temporary files of", &arrivals))?)
    })
    .await
}

/// Finishes the deletions of killed runs, of all replicas at the same time, until an interruption. It is a matter of our
/// own directories, and so of the run's own lock alone. What cannot be deleted is left to the next run.
pub async fn sweep(plan: &Plan, stores: Stores<'_>, cancel: &CancellationToken) {
    let sweeps = plan.replicas.iter().filter_map(|replica| {
        let store = stores(&replica.target.as_ref()?.here);
        Some(async move {
            let cancel = cancel.clone();
            let swept = blocking(move || Ok(store.sweep(&|| !cancel.is_cancelled())?)).await;
            if let Err(failure) = swept {
                tracing::warn!(replica = %replica.name, "what an earlier apply left to be deleted stays: {failure}");
            }
        })
    });
    join_all(sweeps).await;
}

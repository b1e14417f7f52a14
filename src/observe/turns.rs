//! What observations share, whoever makes them and whenever they begin: how many do the same thing at a time, and what they
//! may use of a primary's bandwidth.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::site::model::Primary;
use crate::transport::bandwidth::{Bandwidth, Bandwidths};

/// Catalogs that are read at the same time: each uses several threads of its own.
const CATALOGS_AT_ONCE: usize = 2;

/// The turns of observations. It outlives each of them, so that those of different replicas and of different times are
/// bounded together.
#[derive(Debug)]
pub struct Turns {
    /// Those who run `sync-info`, by the primary's name and its streams: each takes memory there.
    asking: Mutex<BTreeMap<(String, u32), Arc<Semaphore>>>,
    reading: Arc<Semaphore>,
    bandwidths: Arc<Bandwidths>,
}

/// A turn, until it is dropped.
pub type Turn = Option<OwnedSemaphorePermit>;

impl Default for Turns {
    fn default() -> Self {
        Self::sharing(Arc::default())
    }
}

impl Turns {
    /// All are free. The bandwidths are those that copies of the primaries use too.
    pub fn sharing(bandwidths: Arc<Bandwidths>) -> Self {
        Self { asking: Mutex::default(), reading: Arc::new(Semaphore::new(CATALOGS_AT_ONCE)), bandwidths }
    }

    /// What all copies from a primary may use together.
    pub fn bandwidth(&self, primary: &Primary) -> Arc<Bandwidth> {
        self.bandwidths.of(primary)
    }

    /// Waits for the turn to ask a primary something that takes memory there.
    pub async fn to_ask(&self, primary: &Primary) -> Turn {
        let streams = primary.streams.get();
        let turns = {
            // Nothing in here can panic half-way.
            let mut asking = self.asking.lock().unwrap_or_else(PoisonError::into_inner);
            let new = || Arc::new(Semaphore::new(usize::try_from(streams).unwrap_or(1)));
            Arc::clone(asking.entry((primary.name.clone(), streams)).or_insert_with(new))
        };
        // A semaphore that is never closed always gives its permit.
        turns.acquire_owned().await.ok()
    }

    /// Waits for the turn to read a catalog here.
    pub async fn to_read(&self) -> Turn {
        Arc::clone(&self.reading).acquire_owned().await.ok()
    }
}

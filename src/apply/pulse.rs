//! How an apply shows others that it goes on: a note beside the run's own lock, whose time is that of the last progress.
//!
//! What arrives and ends is noted there, beside what somebody else is told.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crate::events::{Event, Listener};
use crate::plan::action::Address;
use crate::store::{Place, Store};
use crate::transport::ByteCounter;

/// How often it is looked whether bytes arrived.
const EVERY: Duration = Duration::from_secs(5);

/// Notes that the run goes on. A catalog that takes no note, as its disk is full by now, only leaves others without it.
pub fn beat(store: &dyn Store) {
    if let Err(error) = store.write(Place::Progress, b"") {
        tracing::debug!("the progress is not noted: {error}");
    }
}

/// Passes events on, and notes progress.
pub struct Beating<'a> {
    told: &'a dyn Listener,
    store: Arc<dyn Store>,
    running: Mutex<BTreeMap<Address, Arriving>>,
}

/// What arrives for one step.
struct Arriving {
    counter: ByteCounter,
    seen: u64,
}

impl Arriving {
    /// Whether more is here than when it was last asked.
    fn has_grown(&mut self) -> bool {
        let bytes = self.counter.get();
        std::mem::replace(&mut self.seen, bytes) != bytes
    }
}

impl<'a> Beating<'a> {
    /// Begins to note.
    pub fn new(told: &'a dyn Listener, store: Arc<dyn Store>) -> Self {
        beat(store.as_ref());
        Self { told, store, running: Mutex::default() }
    }

    /// Notes what arrives, as long as it is polled.
    pub async fn watch(&self) -> Infallible {
        loop {
            tokio::time::sleep(EVERY).await;
            // All of them, so that none is taken for progress the next time.
            if self.running().values_mut().filter_map(|step| step.has_grown().then_some(())).count() > 0 {
                beat(self.store.as_ref());
            }
        }
    }

    fn running(&self) -> MutexGuard<'_, BTreeMap<Address, Arriving>> {
        // Inserting and removing cannot leave the map half-changed.
        self.running.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Listener for Beating<'_> {
    fn notice(&self, event: &Event) {
        match event {
            Event::Started { address, counter, .. } => {
                let step = Arriving { counter: counter.clone(), seen: counter.get() };
                self.running().insert(address.clone(), step);
                beat(self.store.as_ref());
            }
            Event::Finished { address, .. } | Event::Failed { address, .. } | Event::Skipped { address, .. } => {
                self.running().remove(address);
                beat(self.store.as_ref());
            }
            // To try again is no progress.
            Event::Retrying { .. } | Event::Interrupted => {}
        }
        self.told.notice(event);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_are_progress_once() {
        let counter = ByteCounter::default();
        let mut step = Arriving { counter: counter.clone(), seen: 0 };
        assert!(!step.has_grown());
        counter.add(5);
        assert!(step.has_grown() && !step.has_grown());
    }
}

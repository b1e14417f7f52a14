//! How an apply shows others that it goes on: a note beside the run's own lock, whose time is that of the last progress,
//! and which has the steps that run.
//!
//! What arrives and ends is noted there, beside what somebody else is told.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::events::{Event, Listener, Running};
use crate::plan::action::Address;
use crate::plan::status::ongoing::Doing;
use crate::store::{Place, Store};

/// How often it is looked whether bytes arrived.
const EVERY: Duration = Duration::from_secs(5);

/// More steps than these are not noted.
const STEPS: usize = 16;

/// What a run notes of itself.
#[derive(Debug, Serialize, Deserialize)]
pub struct Note {
    /// The id of its process.
    pub pid: u32,
    /// What it does.
    pub doing: Vec<Doing>,
}

/// Notes that the run goes on, and what it does. A catalog that takes no note, as its disk is full by now, only leaves
/// others without it.
pub fn beat(store: &dyn Store, doing: Vec<Doing>) {
    let note = serde_json::to_vec(&Note { pid: std::process::id(), doing }).unwrap_or_default();
    if let Err(error) = store.write(Place::Progress, &note) {
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
    step: Running,
    seen: u64,
}

impl Arriving {
    /// Whether more is here than when it was last asked.
    fn has_grown(&mut self) -> bool {
        let bytes = self.step.counter.get();
        std::mem::replace(&mut self.seen, bytes) != bytes
    }
}

impl<'a> Beating<'a> {
    /// Begins to note.
    pub fn new(told: &'a dyn Listener, store: Arc<dyn Store>) -> Self {
        beat(store.as_ref(), Vec::new());
        Self { told, store, running: Mutex::default() }
    }

    /// Notes what runs.
    fn beat(&self) {
        let running = self.running().values().take(STEPS).map(|arriving| arriving.step.doing()).collect();
        beat(self.store.as_ref(), running);
    }

    /// Notes what arrives, as long as it is polled.
    pub async fn watch(&self) -> Infallible {
        loop {
            tokio::time::sleep(EVERY).await;
            // All of them, so that none is taken for progress the next time.
            if self.running().values_mut().filter_map(|step| step.has_grown().then_some(())).count() > 0 {
                self.beat();
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
            Event::Started { address, deed, total, counter } => {
                let step = Running::since(Timestamp::now(), address, *deed, *total, counter);
                self.running().insert(address.clone(), Arriving { step, seen: counter.get() });
                self.beat();
            }
            Event::Finished { address, .. } | Event::Failed { address, .. } | Event::Skipped { address, .. } => {
                self.running().remove(address);
                self.beat();
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
    use crate::plan::action::words::Deed;
    use crate::transport::ByteCounter;

    #[test]
    fn bytes_are_progress_once() {
        let counter = ByteCounter::default();
        let (address, deed) = ("main/xlog.db".parse().unwrap(), Deed::new("copy", "copying", "copied"));
        let step = Running::since(Timestamp::UNIX_EPOCH, &address, deed, 5, &counter);
        let mut step = Arriving { step, seen: 0 };
        assert!(!step.has_grown());
        counter.add(5);
        assert!(step.has_grown() && !step.has_grown());
    }
}

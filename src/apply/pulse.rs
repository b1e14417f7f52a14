//! How an apply shows others that it goes on: a file beside the run's own lock, whose time is that of the last progress.
//!
//! What arrives and ends is noted there, beside what somebody else is told.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

use crate::barman::ids::ServerName;
use crate::events::{Event, Listener};
use crate::plan::action::Address;
use crate::store::posix::places::OWN_DIRECTORY;
use crate::transport::ByteCounter;

/// How often it is looked whether bytes arrived.
const EVERY: Duration = Duration::from_secs(5);

/// Where a run notes its progress on a server.
#[derive(Debug, Clone)]
pub struct Pulse(PathBuf);

impl Pulse {
    /// That of a server of a catalog.
    pub fn of(catalog: &Path, server: &ServerName) -> Self {
        Self(catalog.join(OWN_DIRECTORY).join(format!("{server}.progress")))
    }

    /// The file.
    pub fn path(&self) -> &Path {
        &self.0
    }

    /// The run goes on. A catalog that takes no note, as its disk is full by now, only leaves others without it.
    pub fn beat(&self) {
        let noted = File::options().write(true).create(true).truncate(false).open(&self.0);
        if let Err(error) = noted.and_then(|file| file.set_modified(SystemTime::now())) {
            tracing::debug!("the progress cannot be noted in {}: {error}", self.0.display());
        }
    }
}

/// Passes events on, and notes progress.
pub struct Beating<'a> {
    told: &'a dyn Listener,
    pulse: Pulse,
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
    pub fn new(told: &'a dyn Listener, pulse: Pulse) -> Self {
        pulse.beat();
        Self { told, pulse, running: Mutex::default() }
    }

    /// Notes what arrives, as long as it is polled.
    pub async fn watch(&self) -> Infallible {
        loop {
            tokio::time::sleep(EVERY).await;
            // All of them, so that none is taken for progress the next time.
            if self.running().values_mut().filter_map(|step| step.has_grown().then_some(())).count() > 0 {
                self.pulse.beat();
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
                self.pulse.beat();
            }
            Event::Finished { address, .. } | Event::Failed { address, .. } | Event::Skipped { address, .. } => {
                self.running().remove(address);
                self.pulse.beat();
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

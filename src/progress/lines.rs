//! Plain lines: one when something begins or ends, and one every ten seconds while it goes on.

use std::collections::BTreeMap;
use std::io::Write;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio::task::JoinHandle;

use crate::apply::events::{Event, Observer};
use crate::plan::action::Address;
use crate::render::units;
use crate::transport::ByteCounter;

/// How often something that goes on is told again.
const EVERY: Duration = Duration::from_secs(10);

/// Tells events as lines on stderr.
pub struct Lines {
    running: Running,
    ticker: JoinHandle<()>,
}

type Running = Arc<Mutex<BTreeMap<Address, Transfer>>>;

struct Transfer {
    since: Instant,
    doing: &'static str,
    total: u64,
    counter: ByteCounter,
}

impl Lines {
    /// Begins to tell. Needs a tokio runtime.
    pub fn new() -> Self {
        let running = Running::default();
        let watched = Arc::clone(&running);
        let ticker = tokio::spawn(async move {
            loop {
                tokio::time::sleep(EVERY).await;
                for (address, transfer) in lock(&watched).iter().filter(|(_, t)| t.since.elapsed() >= EVERY) {
                    tell(&still(address, transfer));
                }
            }
        });
        Self { running, ticker }
    }
}

impl Default for Lines {
    fn default() -> Self {
        Self::new()
    }
}

impl Drop for Lines {
    fn drop(&mut self) {
        self.ticker.abort();
    }
}

impl Observer for Lines {
    fn notice(&self, event: &Event) {
        match event {
            Event::Started { address, deed, total, counter } => {
                let transfer =
                    Transfer { since: Instant::now(), doing: deed.doing, total: *total, counter: counter.clone() };
                lock(&self.running).insert(address.clone(), transfer);
            }
            Event::Finished { address, .. } | Event::Failed { address, .. } | Event::Skipped { address, .. } => {
                lock(&self.running).remove(address);
            }
            Event::Retrying { .. } | Event::Interrupted => {}
        }
        tell(&super::line(event));
    }
}

fn still(address: &Address, transfer: &Transfer) -> String {
    let elapsed = units::duration(transfer.since.elapsed().as_secs());
    let doing = transfer.doing;
    match (transfer.counter.get(), transfer.total) {
        (_, 0) => format!("{address}: still {doing}... [{elapsed}]"),
        (done, total) => {
            format!("{address}: still {doing}... [{elapsed}, {} of {}]", units::bytes(done), units::bytes(total))
        }
    }
}

fn lock(running: &Running) -> MutexGuard<'_, BTreeMap<Address, Transfer>> {
    // A map of what is shown: even half-changed it only misleads a reader for a moment.
    running.lock().unwrap_or_else(PoisonError::into_inner)
}

fn tell(line: &str) {
    // Whoever closed stderr does not want to be told.
    let _ = writeln!(std::io::stderr(), "{line}");
}

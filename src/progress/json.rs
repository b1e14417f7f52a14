//! An apply as programs follow it: one JSON event a line, on stdout or in a file.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use jiff::Timestamp;

use crate::error::{Error, Exit};
use crate::events::{Event, Listener, Summary};
use crate::plan::Plan;
use crate::plan::action::Address;
use crate::stdout;
use crate::transport::ByteCounter;

use super::record::{Happening, Outcome, Record};
use super::running::{Running, arrived};

/// How often a step that brings bytes is told of.
const EVERY: Duration = Duration::from_secs(1);
/// How often a step is told of of which nothing arrives.
const SILENT: u64 = 10;

/// Where lines go.
type Tell = Arc<dyn Fn(Happening) + Send + Sync>;

/// Tells events as lines of JSON.
pub struct Json {
    tell: Tell,
    began: Instant,
    running: Running<Step>,
    outcome: Mutex<Outcome>,
}

/// What is kept of a step that runs.
struct Step {
    since: Instant,
    total: u64,
    counter: ByteCounter,
    told: u64,
    /// Ticks since it was told of.
    silent: u64,
}

impl Json {
    /// Begins to tell on stdout. Needs a tokio runtime.
    pub fn on_stdout() -> Self {
        Self::by(stdout::print_bytes)
    }

    /// Begins to tell by this, which gets a line at a time with its end. Needs a tokio runtime.
    pub fn by(write: impl Fn(&[u8]) + Send + Sync + 'static) -> Self {
        Self::telling(Arc::new(move |what| write(&line(what))))
    }

    fn telling(tell: Tell) -> Self {
        let told = Arc::clone(&tell);
        let running = Running::new(EVERY, move |address, step: &mut Step| {
            if let Some(progress) = step.tick(address) {
                told(progress);
            }
        });
        Self { tell, began: Instant::now(), running, outcome: Mutex::default() }
    }

    /// Tells what will be done.
    pub fn plan(&self, plan: &Plan) {
        (self.tell)(Happening::plan(plan));
    }

    /// Tells of an error that no action is to blame for.
    pub fn error(&self, error: &Error) {
        (self.tell)(Happening::error(error));
    }

    /// Adds what the actions of a plan came to, for the last line.
    pub fn done(&self, summary: &Summary) {
        // Nothing in here can panic half-way.
        let mut outcome = self.outcome.lock().unwrap_or_else(PoisonError::into_inner);
        outcome.done += summary.done.len();
        outcome.failed += summary.failed.len();
        outcome.skipped += summary.skipped.len();
        outcome.bytes = outcome.bytes.saturating_add(summary.transferred);
        outcome.stopped_at = outcome.stopped_at.or(summary.stopped_at);
    }

    /// Tells what it all came to: the last line.
    pub fn end(self, exit: Exit) {
        let outcome = self.outcome.into_inner().unwrap_or_else(PoisonError::into_inner);
        (self.tell)(Happening::Summary(Outcome { seconds: self.began.elapsed().as_secs(), ..outcome }.with_exit(exit)));
    }
}

impl Step {
    fn tick(&mut self, address: &Address) -> Option<Happening> {
        let bytes = arrived(&self.counter, self.total);
        self.silent += 1;
        if bytes == self.told && self.silent < SILENT {
            return None;
        }
        (self.told, self.silent) = (bytes, 0);
        let seconds = self.since.elapsed().as_secs();
        Some(Happening::Progress { address: address.to_string(), bytes, total_bytes: self.total, seconds })
    }
}

impl Listener for Json {
    fn notice(&self, event: &Event) {
        let what = match event {
            Event::Started { address, deed, total, counter } => {
                let (since, counter) = (Instant::now(), counter.clone());
                // Told before it can be ticked.
                (self.tell)(Happening::Started {
                    address: address.to_string(),
                    doing: deed.doing.to_owned(),
                    total_bytes: *total,
                });
                self.running.begin(address, Step { since, total: *total, counter, told: 0, silent: 0 });
                return;
            }
            Event::Retrying { address, primary, error, wait } => Happening::Retrying {
                address: address.to_string(),
                primary: primary.clone(),
                kind: error.kind,
                message: crate::render::clean(&error.message),
                waited_seconds: wait.waited.as_secs(),
                pause_seconds: wait.pause.as_secs(),
            },
            Event::Finished { address, deed, elapsed, transferred } => {
                self.running.end(address);
                let (done, seconds) = (deed.done.to_owned(), elapsed.as_secs());
                Happening::Finished { address: address.to_string(), done, bytes: *transferred, seconds }
            }
            Event::Failed { address, error } => {
                self.running.end(address);
                Happening::failed(address, error)
            }
            Event::Skipped { address, because } => {
                self.running.end(address);
                Happening::Skipped { address: address.to_string(), reason: because.clone() }
            }
            Event::Interrupted => Happening::Interrupted,
        };
        (self.tell)(what);
    }
}

fn line(what: Happening) -> Vec<u8> {
    // Texts and numbers are all that it holds.
    let mut line = serde_json::to_vec(&Record::new(Timestamp::now().to_string(), what)).unwrap_or_default();
    line.push(b'\n');
    line
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_step_is_told_of_when_bytes_arrive_and_now_and_then_when_none_do() {
        let address: Address = "main/backup/20261122T092435".parse().unwrap();
        let counter = ByteCounter::default();
        let mut step = Step { since: Instant::now(), total: 9, counter: counter.clone(), told: 0, silent: 0 };
        let told: Vec<u64> = (1..=2 * SILENT).filter(|_| step.tick(&address).is_some()).collect();
        assert_eq!(told, [SILENT, 2 * SILENT]);
        counter.add(5);
        let Some(Happening::Progress { bytes: 5, total_bytes: 9, .. }) = step.tick(&address) else { panic!() };
        assert!(step.tick(&address).is_none());
        counter.add(5);
        let Some(Happening::Progress { bytes: 9, total_bytes: 9, .. }) = step.tick(&address) else { panic!() };
    }
}

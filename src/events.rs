//! What happens during an apply, as values: progress bars, plain lines and JSON are made of these.

use std::time::Duration;

use jiff::Timestamp;

use crate::error::Error;
use crate::plan::action::Address;
use crate::plan::action::words::Deed;
use crate::plan::status::ongoing::Doing;
use crate::transport::ByteCounter;
use crate::transport::patience::Wait;

/// A step that runs, for whoever asks how far it is.
#[derive(Debug, Clone)]
pub struct Running {
    what: String,
    total: u64,
    began: Timestamp,
    /// Grows as its bytes arrive.
    pub counter: ByteCounter,
}

impl Running {
    /// One that began then.
    pub fn since(began: Timestamp, address: &Address, deed: Deed, total: u64, counter: &ByteCounter) -> Self {
        Self { what: deed.at_work_on(address), total, began, counter: counter.clone() }
    }

    /// How far it is.
    pub fn doing(&self) -> Doing {
        let arrived = self.counter.get().min(self.total);
        Doing { what: self.what.clone(), arrived, total: self.total, began: self.began }
    }
}

/// Something that happened.
#[derive(Debug, Clone)]
pub enum Event {
    /// A step began.
    Started {
        /// Its action.
        address: Address,
        /// What is being done to it.
        deed: Deed,
        /// Bytes that it will bring, as far as they are known; 0 for a step that brings none.
        total: u64,
        /// Grows as they arrive.
        counter: ByteCounter,
    },
    /// Something failed that is worth trying again.
    Retrying {
        /// The action.
        address: Address,
        /// The primary whose line is waited for.
        primary: String,
        /// What failed.
        error: Error,
        /// How long nothing has arrived, and how long until it is tried again.
        wait: Wait,
    },
    /// A step ended well.
    Finished {
        /// Its action.
        address: Address,
        /// What was done to it.
        deed: Deed,
        /// How long it took.
        elapsed: Duration,
        /// Bytes that crossed the wire.
        transferred: u64,
    },
    /// A step failed.
    Failed {
        /// Its action.
        address: Address,
        /// What happened.
        error: Error,
    },
    /// A step was not begun, because of what it depends on, or because the run was interrupted.
    Skipped {
        /// Its action.
        address: Address,
        /// Why.
        because: String,
    },
    /// Nothing new is started any more.
    Interrupted,
}

/// Receives events; called from many tasks.
pub trait Listener: Send + Sync {
    /// Takes note of an event.
    fn notice(&self, event: &Event);
}

impl<O: Listener + ?Sized> Listener for &O {
    fn notice(&self, event: &Event) {
        (**self).notice(event);
    }
}

/// Takes note of nothing.
#[derive(Debug, Clone, Copy)]
pub struct Nobody;

impl Listener for Nobody {
    fn notice(&self, _event: &Event) {}
}

/// What an apply came to, or several.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Summary {
    /// Actions that were done.
    pub done: Vec<Address>,
    /// Actions that failed, with their failures.
    pub failed: Vec<(Address, Error)>,
    /// Actions that were not begun or not finished.
    pub skipped: Vec<Address>,
    /// Bytes that crossed the wire.
    pub transferred: u64,
    /// Whether the run was interrupted.
    pub interrupted: bool,
    /// The `--max-bytes` that left actions for the next run.
    pub stopped_at: Option<u64>,
    /// Whether a window closed, and left bases for another time.
    pub window_closed: bool,
}

impl Summary {
    /// What this and another apply came to together.
    #[must_use]
    pub fn and(mut self, other: Self) -> Self {
        self.done.extend(other.done);
        self.failed.extend(other.failed);
        self.skipped.extend(other.skipped);
        Self {
            transferred: self.transferred.saturating_add(other.transferred),
            interrupted: self.interrupted || other.interrupted,
            stopped_at: self.stopped_at.or(other.stopped_at),
            window_closed: self.window_closed || other.window_closed,
            ..self
        }
    }
}

//! The steps that run, with what somebody who tells of them keeps of each, and a ticker that looks at them.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::task::JoinHandle;

use crate::plan::action::Address;
use crate::transport::ByteCounter;

/// What is kept of each step that runs.
pub struct Running<T> {
    steps: Steps<T>,
    ticker: JoinHandle<()>,
}

type Steps<T> = Arc<Mutex<BTreeMap<Address, T>>>;

impl<T: Send + 'static> Running<T> {
    /// No steps yet; `tick` gets each of those to come, time and again. Needs a tokio runtime.
    pub fn new(every: Duration, tick: impl Fn(&Address, &mut T) + Send + 'static) -> Self {
        let steps = Steps::<T>::default();
        let watched = Arc::clone(&steps);
        let ticker = tokio::spawn(async move {
            loop {
                tokio::time::sleep(every).await;
                lock(&watched).iter_mut().for_each(|(address, step)| tick(address, step));
            }
        });
        Self { steps, ticker }
    }

    /// A step began.
    pub fn begin(&self, address: &Address, step: T) {
        lock(&self.steps).insert(address.clone(), step);
    }

    /// A step ended.
    pub fn end(&self, address: &Address) -> Option<T> {
        lock(&self.steps).remove(address)
    }
}

/// How far a step is that brings `total` bytes, as far as is known. A copy that is tried again counts once more what it goes
/// on with, and the primary may have more than was planned; neither is shown as more than all.
pub fn arrived(counter: &ByteCounter, total: u64) -> u64 {
    counter.get().min(total)
}

impl<T> Drop for Running<T> {
    fn drop(&mut self) {
        self.ticker.abort();
    }
}

fn lock<T>(steps: &Steps<T>) -> MutexGuard<'_, BTreeMap<Address, T>> {
    // A map of what is shown: even half-changed it only misleads a reader for a moment.
    steps.lock().unwrap_or_else(PoisonError::into_inner)
}

//! How fast the bytes of a replica arrive during an apply.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crate::barman::last_apply::Measured;

/// Adds up bytes, and the time during which at least one transfer runs: transfers beside each other count once.
#[derive(Debug, Default)]
pub struct Meter(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    running: usize,
    /// When the first of those that run began.
    since: Option<Instant>,
    time: Duration,
    bytes: u64,
}

/// A transfer that runs until this is dropped.
pub struct Running<'a>(&'a Meter);

impl Meter {
    /// A transfer begins.
    pub fn begin(&self) -> Running<'_> {
        let mut state = self.state();
        state.running += 1;
        state.since.get_or_insert_with(Instant::now);
        Running(self)
    }

    /// Bytes crossed the wire.
    pub fn add(&self, bytes: u64) {
        let mut state = self.state();
        state.bytes = state.bytes.saturating_add(bytes);
    }

    /// All that arrived so far.
    pub fn measured(&self) -> Measured {
        let state = self.state();
        Measured { bytes: state.bytes, time: state.time }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // Nothing in here can panic half-way.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Running<'_> {
    fn drop(&mut self) {
        let mut state = self.0.state();
        state.running = state.running.saturating_sub(1);
        if state.running == 0
            && let Some(since) = state.since.take()
        {
            state.time += since.elapsed();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn transfers_beside_each_other_count_once_and_pauses_not_at_all() {
        let meter = Meter::default();
        let begin = Instant::now();
        let (first, second) = (meter.begin(), meter.begin());
        std::thread::sleep(Duration::from_millis(30));
        drop(first);
        assert_eq!(meter.measured().time, Duration::ZERO, "one still runs");
        drop(second);
        let both = begin.elapsed();
        std::thread::sleep(Duration::from_millis(60));
        drop(meter.begin());
        meter.add(5);
        meter.add(6);
        let measured = meter.measured();
        assert_eq!(measured.bytes, 11);
        assert!(measured.time >= Duration::from_millis(30), "{measured:?}");
        assert!(measured.time < both + Duration::from_millis(50), "{measured:?} of {both:?}");
    }
}

//! A limit of bytes per second.

use std::time::{Duration, Instant};

/// The longest sleep, so that an interruption is noticed.
const NAP: Duration = Duration::from_millis(100);

/// Says when the next bytes may go.
#[derive(Debug)]
pub(super) struct Bucket {
    rate: Option<u64>,
    started: Instant,
    sent: u64,
}

impl Bucket {
    /// `None` is unlimited.
    pub(super) fn new(rate: Option<u64>) -> Self {
        Self { rate: rate.map(|rate| rate.max(1)), started: Instant::now(), sent: 0 }
    }

    /// How much to copy at once: an eighth of a second's worth.
    pub(super) fn chunk(&self, at_most: u64) -> u64 {
        self.rate.map_or(at_most, |rate| (rate / 8).clamp(1, at_most))
    }

    /// Notes bytes that went, and sleeps until the rate allows more; ends early when `stop` says so.
    pub(super) fn pace(&mut self, bytes: u64, stop: impl Fn() -> bool) {
        let Some(rate) = self.rate else { return };
        self.sent += bytes;
        let due = Duration::from_millis(self.sent.saturating_mul(1000) / rate);
        while let Some(wait) = due.checked_sub(self.started.elapsed()).filter(|wait| !wait.is_zero()) {
            if stop() {
                return;
            }
            std::thread::sleep(wait.min(NAP));
        }
    }
}

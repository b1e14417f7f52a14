//! How fast the bytes of a replica arrive during an apply.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use crate::barman::last_apply::Measured;

/// Adds up the bytes that transfers brought, and the time during which at least one of these ran: transfers beside each
/// other count once, and one that failed not at all.
#[derive(Debug, Default)]
pub struct Meter(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    /// When transfers ran that brought what they were to bring: in order, none touching another.
    spans: Vec<(Instant, Instant)>,
    bytes: u64,
}

/// A transfer that runs.
pub struct Running<'a> {
    meter: &'a Meter,
    since: Instant,
}

impl Meter {
    /// A transfer begins.
    pub fn begin(&self) -> Running<'_> {
        Running { meter: self, since: Instant::now() }
    }

    /// All that arrived so far.
    pub fn measured(&self) -> Measured {
        let state = self.state();
        let time = state.spans.iter().map(|(since, until)| until.duration_since(*since)).sum();
        Measured { bytes: state.bytes, time }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // Nothing in here can panic half-way.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Running<'_> {
    /// It ended well, and so many bytes crossed the wire.
    pub fn brought(self, bytes: u64) {
        let mut state = self.meter.state();
        state.bytes = state.bytes.saturating_add(bytes);
        // Spans end one after the other, so that only the last ones can touch this one.
        let (mut since, until) = (self.since, Instant::now());
        while let Some((earlier, _)) = state.spans.pop_if(|(_, end)| *end >= since) {
            since = since.min(earlier);
        }
        state.spans.push((since, until));
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn transfers_beside_each_other_count_once_and_pauses_and_failures_not_at_all() {
        let meter = Meter::default();
        let pause = || std::thread::sleep(Duration::from_millis(20));
        let begin = Instant::now();
        let (first, second) = (meter.begin(), meter.begin());
        pause();
        first.brought(5);
        pause();
        second.brought(6);
        let both = begin.elapsed();
        assert_eq!(meter.state().spans.len(), 1);
        // One that never says that it ended well.
        let _failed = meter.begin();
        pause();
        let third = meter.begin();
        pause();
        third.brought(7);
        let measured = meter.measured();
        assert_eq!((measured.bytes, meter.state().spans.len()), (18, 2));
        assert!(measured.time >= Duration::from_millis(60), "{measured:?}");
        assert!(measured.time + Duration::from_millis(20) <= begin.elapsed(), "{measured:?} of {both:?}");
    }
}

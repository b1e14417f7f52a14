//! How fast the bytes of a replica arrive during an apply.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crate::barman::last_apply::Measured;
use crate::plan::cost::streams::{Load, TELLING};

/// Adds up the bytes that transfers brought, and the time during which at least one of these ran: transfers beside each
/// other count once, and one that failed not at all.
#[derive(Debug, Default)]
pub struct Meter(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    /// When transfers ran that brought what they were to bring: in order, none touching another.
    spans: Vec<(Instant, Instant)>,
    bytes: u64,
    /// How many run now.
    running: usize,
    /// The last ones that tell what a stream brings, the newest first: as many as ran when that one ended.
    last: VecDeque<Ended>,
}

/// A transfer that brought what it was to bring.
#[derive(Debug, Clone, Copy)]
struct Ended {
    bytes: u64,
    time: Duration,
    /// How many ran until it ended, this one included.
    beside: usize,
}

/// What these brought, the newest first; `None` of none.
fn load(last: &VecDeque<Ended>) -> Option<Load> {
    let streams = last.front()?.beside;
    let (bytes, time) = last
        .iter()
        .fold((0, Duration::ZERO), |(bytes, time), ended| (u64::saturating_add(bytes, ended.bytes), time + ended.time));
    let each = u128::from(bytes) * 1_000_000 / time.as_micros().max(1);
    Some(Load { streams, each: u64::try_from(each).unwrap_or(u64::MAX) })
}

/// A transfer that runs.
pub struct Running<'a> {
    meter: &'a Meter,
    since: Instant,
}

impl Meter {
    /// A transfer begins.
    pub fn begin(&self) -> Running<'_> {
        self.state().running += 1;
        Running { meter: self, since: Instant::now() }
    }

    /// What the last transfers brought, as many as ran at the same time; `None` when none was long enough to tell.
    pub fn load(&self) -> Option<Load> {
        load(&self.state().last)
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
        if bytes >= TELLING {
            let beside = state.running;
            state.last.push_front(Ended { bytes, time: self.since.elapsed(), beside });
            state.last.truncate(beside);
        }
        // Spans end one after the other, so that only the last ones can touch this one.
        let (mut since, until) = (self.since, Instant::now());
        while let Some((earlier, _)) = state.spans.pop_if(|(_, end)| *end >= since) {
            since = since.min(earlier);
        }
        state.spans.push((since, until));
    }
}

impl Drop for Running<'_> {
    fn drop(&mut self) {
        self.meter.state().running -= 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_transfers_tell_what_each_of_so_many_brings() {
        let ended = |bytes, seconds, beside| Ended { bytes, time: Duration::from_secs(seconds), beside };
        for (last, expected) in [
            (vec![], None),
            (vec![ended(60, 3, 1)], Some((1, 20))),
            (vec![ended(60, 3, 2), ended(20, 1, 2)], Some((2, 20))),
            (vec![ended(60, 6, 3), ended(20, 2, 2)], Some((3, 10))),
            (vec![ended(60, 0, 1)], Some((1, 60_000_000))),
        ] {
            let told = last.iter().copied().collect();
            assert_eq!(load(&told), expected.map(|(streams, each)| Load { streams, each }), "{last:?}");
        }
    }

    #[test]
    fn as_many_of_the_last_tell_as_ran_and_short_ones_and_failures_do_not() {
        let meter = Meter::default();
        let [first, second, third] = [meter.begin(), meter.begin(), meter.begin()];
        first.brought(TELLING - 1);
        assert_eq!(meter.load(), None);
        second.brought(TELLING);
        assert_eq!(meter.load().map(|load| load.streams), Some(2));
        drop(third);
        meter.begin().brought(TELLING);
        let state = meter.state();
        assert_eq!((state.running, state.last.len(), state.last[0].beside), (0, 1, 1));
    }

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

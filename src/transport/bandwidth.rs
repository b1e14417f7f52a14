//! What of a primary's bandwidth each transfer may use, so that all of them together keep it.
//!
//! rsync is told its limit when it starts. So a transfer gets an equal part of what all get that can run beside it by
//! then: those of the applies that are under way, and no more at a time than there are streams. When an apply ends, the
//! transfers that start later get more. When one begins, those that run may have more than their part. A transfer that
//! finds less than half of its own then asks them to give way: they end, keeping what arrived, and go on with less. So
//! neither is the limit exceeded, nor does a replica wait for the long copy of another.

use std::collections::BTreeMap;
use std::num::NonZeroU64;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

/// The bandwidth of a primary, shared by the transfers of all its replicas.
#[derive(Debug, Default)]
pub struct Bandwidth {
    state: Mutex<State>,
    /// A transfer has ended.
    freed: Notify,
}

#[derive(Debug, Default)]
struct State {
    /// Bytes per second; `None` is unlimited.
    limit: Option<u64>,
    /// Transfers that run at the same time at the most.
    streams: usize,
    /// Transfers that can run at the same time, by the number of their apply.
    expected: BTreeMap<u64, usize>,
    /// Those that run, by their numbers.
    running: BTreeMap<u64, Running>,
    started: u64,
}

#[derive(Debug)]
struct Running {
    bytes: u64,
    give_way: CancellationToken,
}

/// What one transfer may use, for as long as it runs.
#[derive(Debug)]
pub struct Rate {
    /// Bytes per second; `None` is unlimited.
    pub bytes: Option<u64>,
    /// Fires when the transfer is to end, and to begin again with less.
    pub give_way: CancellationToken,
    bandwidth: Arc<Bandwidth>,
    number: u64,
}

impl Bandwidth {
    /// From now on it is this one, for so many transfers at a time.
    pub fn set_limit(&self, limit: Option<u64>, streams: usize) {
        let mut state = self.state();
        (state.limit, state.streams) = (limit, streams);
        drop(state);
        self.freed.notify_waiters();
    }

    /// An apply begins, with so many transfers that can run at the same time.
    pub fn expect(&self, apply: u64, transfers: usize) {
        self.state().expected.insert(apply, transfers);
    }

    /// An apply has ended.
    pub fn forget(&self, apply: u64) {
        self.state().expected.remove(&apply);
    }

    /// A transfer begins, which may itself use no more than `most`. It waits until it may use at least half of its part.
    pub async fn start(self: &Arc<Self>, most: Option<u64>) -> Rate {
        loop {
            let freed = self.freed.notified();
            if let Some(rate) = self.try_start(most) {
                return rate;
            }
            freed.await;
        }
    }

    fn try_start(self: &Arc<Self>, most: Option<u64>) -> Option<Rate> {
        let mut state = self.state();
        let bytes = match state.limit {
            Some(limit) => Some(state.free(limit, most)?),
            None => most,
        };
        let (number, give_way) = (state.started, CancellationToken::new());
        state.started += 1;
        state.running.insert(number, Running { bytes: bytes.unwrap_or(0), give_way: give_way.clone() });
        Some(Rate { bytes, give_way, bandwidth: Arc::clone(self), number })
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // Nothing in here can panic half-way.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// What a transfer may use now. When that is too little, those that have more than their part are asked to give way.
    fn free(&self, limit: u64, most: Option<u64>) -> Option<u64> {
        let part = part(limit, self.expected.values().sum::<usize>().min(self.streams));
        let wanted = most.map_or(part, |most| part.min(most)).max(1);
        let left = limit.saturating_sub(self.running.values().map(|running| running.bytes).sum());
        if left >= wanted.div_ceil(2) {
            return Some(wanted.min(left));
        }
        self.running.values().filter(|running| running.bytes > part).for_each(|running| running.give_way.cancel());
        None
    }
}

/// The part of a limit that each of so many gets; never nothing.
pub fn part(limit: u64, of: usize) -> u64 {
    let of = u64::try_from(of).ok().and_then(NonZeroU64::new).unwrap_or(NonZeroU64::MIN);
    (limit / of).max(1)
}

impl Drop for Rate {
    fn drop(&mut self) {
        self.bandwidth.state().running.remove(&self.number);
        self.bandwidth.freed.notify_waiters();
    }
}

#[cfg(test)]
mod tests {
    use futures::FutureExt;

    use super::*;

    fn bandwidth(limit: u64, streams: usize) -> Arc<Bandwidth> {
        let bandwidth = Arc::new(Bandwidth::default());
        bandwidth.set_limit(Some(limit), streams);
        bandwidth
    }

    fn start(bandwidth: &Arc<Bandwidth>, most: Option<u64>) -> Rate {
        bandwidth.start(most).now_or_never().expect("it need not wait")
    }

    #[test]
    fn a_transfer_that_is_alone_has_all_of_it() {
        let all = bandwidth(800, 4);
        all.expect(1, 1);
        assert_eq!(start(&all, None).bytes, Some(800));
        assert_eq!(start(&all, Some(300)).bytes, Some(300));
        let unlimited = Arc::new(Bandwidth::default());
        assert_eq!((start(&unlimited, None).bytes, start(&unlimited, Some(300)).bytes), (None, Some(300)));
    }

    #[test]
    fn transfers_that_can_run_beside_each_other_share_it_and_no_more_run_than_there_are_streams() {
        let shared = bandwidth(800, 4);
        shared.expect(1, 2);
        assert_eq!(start(&shared, None).bytes, Some(400));
        shared.expect(2, 7);
        let rates: Vec<Rate> = (0..4).map(|_| start(&shared, None)).collect();
        assert!(rates.iter().all(|rate| rate.bytes == Some(200)), "{rates:?}");
        assert!(shared.start(None).now_or_never().is_none(), "nothing is left");
        assert_eq!(start(&bandwidth(1, 4), None).bytes, Some(1), "a part is never nothing");
    }

    #[test]
    fn what_starts_after_another_apply_has_ended_gets_more() {
        let shared = bandwidth(800, 4);
        shared.expect(1, 1);
        shared.expect(2, 1);
        let (first, second) = (start(&shared, None), start(&shared, None));
        assert_eq!((first.bytes, second.bytes), (Some(400), Some(400)));
        drop(second);
        shared.forget(2);
        assert_eq!(start(&shared, None).bytes, Some(400), "what the first does not use");
        drop(first);
        assert_eq!(start(&shared, None).bytes, Some(800));
    }

    #[tokio::test]
    async fn what_has_more_than_its_part_gives_way_to_an_apply_that_begins() {
        let shared = bandwidth(800, 4);
        shared.expect(1, 1);
        let alone = start(&shared, None);
        shared.expect(2, 1);
        let waiting = tokio::spawn({
            let shared = Arc::clone(&shared);
            async move { shared.start(None).await }
        });
        alone.give_way.cancelled().await;
        assert!(!waiting.is_finished(), "the limit is never exceeded");
        drop(alone);
        let other = waiting.await.unwrap();
        let again = start(&shared, None);
        assert_eq!((other.bytes, again.bytes), (Some(400), Some(400)));
        // A third finds enough for a beginning once one of the two has ended, and lets the other be.
        shared.expect(3, 1);
        drop(again);
        let third = start(&shared, None);
        assert_eq!((third.bytes, start(&shared, None).bytes), (Some(266), Some(134)));
        assert!(!other.give_way.is_cancelled());
    }
}

//! What of a primary's bandwidth each transfer may use, so that all of them together keep it.
//!
//! rsync is told its limit when it starts. So a transfer gets an equal part of what all get that can run beside it by
//! then: those of the [`Claim`]s that there are, and no more at a time than there are streams. When a claim is given up, the
//! transfers that start later get more. When one is made, those that run may have more than their part. A transfer that
//! finds less than half of its own then asks them to give way: they end, keeping what arrived, and go on with less. So
//! neither is the limit exceeded, nor does a replica wait for the long copy of another.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::num::NonZeroU64;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use crate::error::{Error, Kind};
use crate::site::model::Primary;

/// The bandwidth of each primary, for all that is transferred from it, whenever and for whatever that is.
#[derive(Debug, Default)]
pub struct Bandwidths {
    /// By the primary's name.
    primaries: Mutex<BTreeMap<String, Arc<Bandwidth>>>,
}

impl Bandwidths {
    /// That of a primary, with the limits that are declared of it by now.
    pub fn of(&self, primary: &Primary) -> Arc<Bandwidth> {
        let bandwidth = {
            // Nothing in here can panic half-way.
            let mut primaries = self.primaries.lock().unwrap_or_else(PoisonError::into_inner);
            Arc::clone(primaries.entry(primary.name.clone()).or_default())
        };
        bandwidth.set_limit(primary.bandwidth, usize::try_from(primary.streams.get()).unwrap_or(usize::MAX));
        bandwidth
    }
}

/// The bandwidth of a primary, shared by all that is transferred from it.
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
    /// Transfers that can run at the same time, by the number of their claim.
    claims: BTreeMap<u64, usize>,
    /// Those that run, by their numbers.
    running: BTreeMap<u64, Running>,
    /// Claims and transfers so far.
    numbered: u64,
}

#[derive(Debug)]
struct Running {
    bytes: u64,
    give_way: CancellationToken,
}

/// The claim of somebody who transfers, such as an apply, until it is dropped.
#[derive(Debug)]
pub struct Claim {
    bandwidth: Arc<Bandwidth>,
    number: u64,
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
    fn set_limit(&self, limit: Option<u64>, streams: usize) {
        let mut state = self.state();
        (state.limit, state.streams) = (limit, streams);
        drop(state);
        self.freed.notify_waiters();
    }

    /// In bytes per second; `None` is unlimited.
    pub fn limit(&self) -> Option<u64> {
        self.state().limit
    }

    /// Somebody is going to transfer, with so many transfers that can run at the same time.
    pub fn claim(self: &Arc<Self>, transfers: usize) -> Claim {
        let mut state = self.state();
        let number = state.number();
        state.claims.insert(number, transfers);
        drop(state);
        Claim { bandwidth: Arc::clone(self), number }
    }

    fn try_start(self: &Arc<Self>, most: Option<u64>) -> Option<Rate> {
        let mut state = self.state();
        let bytes = match state.limit {
            Some(limit) => Some(state.free(limit, most)?),
            None => most,
        };
        let (number, give_way) = (state.number(), CancellationToken::new());
        state.running.insert(number, Running { bytes: bytes.unwrap_or(0), give_way: give_way.clone() });
        Some(Rate { bytes, give_way, bandwidth: Arc::clone(self), number })
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // Nothing in here can panic half-way.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Claim {
    /// From now on so many transfers can run at the same time.
    pub fn expect(&self, transfers: usize) {
        self.bandwidth.state().claims.insert(self.number, transfers);
    }

    /// A transfer begins, which may itself use no more than `most`. It waits until it may use at least half of its part.
    pub async fn start(&self, most: Option<u64>) -> Rate {
        loop {
            let freed = self.bandwidth.freed.notified();
            if let Some(rate) = self.bandwidth.try_start(most) {
                return rate;
            }
            freed.await;
        }
    }

    /// Transfers with as many bytes per second as it is told, at most `most`; and goes on with less when it was cut off to
    /// give way. `cancel` ends it.
    pub async fn transfer<T, A: Future<Output = Result<T, Error>>>(
        &self,
        most: Option<u64>,
        cancel: &CancellationToken,
        mut transfer: impl FnMut(Option<u64>, CancellationToken) -> A,
    ) -> Result<T, Error> {
        loop {
            let rate = tokio::select! {
                rate = self.start(most) => rate,
                () = cancel.cancelled() => return Err(Error::interrupted()),
            };
            let cut_off = cancel.child_token();
            let end = async {
                rate.give_way.cancelled().await;
                cut_off.cancel();
                std::future::pending::<Infallible>().await
            };
            let ended = tokio::select! {
                ended = transfer(rate.bytes, cut_off.clone()) => ended,
                never = end => match never {},
            };
            let gave_way = rate.give_way.is_cancelled() && !cancel.is_cancelled();
            match ended {
                Err(error) if gave_way && error.kind == Kind::Interrupted => {}
                ended => return ended,
            }
        }
    }
}

impl State {
    /// A number that nothing else has.
    fn number(&mut self) -> u64 {
        self.numbered += 1;
        self.numbered
    }

    /// What a transfer may use now. When that is too little, those that have more than their part are asked to give way.
    fn free(&self, limit: u64, most: Option<u64>) -> Option<u64> {
        let part = part(limit, self.claims.values().sum::<usize>().min(self.streams));
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

impl Drop for Claim {
    fn drop(&mut self) {
        self.bandwidth.state().claims.remove(&self.number);
    }
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

    fn start(claim: &Claim, most: Option<u64>) -> Rate {
        claim.start(most).now_or_never().expect("it need not wait")
    }

    #[test]
    fn a_transfer_that_is_alone_has_all_of_it() {
        let all = bandwidth(800, 4).claim(1);
        assert_eq!(start(&all, None).bytes, Some(800));
        assert_eq!(start(&all, Some(300)).bytes, Some(300));
        let unlimited = Arc::new(Bandwidth::default()).claim(1);
        assert_eq!((start(&unlimited, None).bytes, start(&unlimited, Some(300)).bytes), (None, Some(300)));
    }

    #[test]
    fn transfers_that_can_run_beside_each_other_share_it_and_no_more_run_than_there_are_streams() {
        let shared = bandwidth(800, 4);
        let first = shared.claim(2);
        assert_eq!(start(&first, None).bytes, Some(400));
        let second = shared.claim(7);
        let rates: Vec<Rate> = [&first, &second, &first, &second].map(|claim| start(claim, None)).into();
        assert!(rates.iter().all(|rate| rate.bytes == Some(200)), "{rates:?}");
        assert!(first.start(None).now_or_never().is_none(), "nothing is left");
        assert_eq!(start(&bandwidth(1, 4).claim(4), None).bytes, Some(1), "a part is never nothing");
    }

    #[test]
    fn what_starts_after_another_claim_was_given_up_gets_more() {
        let shared = bandwidth(800, 4);
        let (one, other) = (shared.claim(1), shared.claim(1));
        let (first, second) = (start(&one, None), start(&other, None));
        assert_eq!((first.bytes, second.bytes), (Some(400), Some(400)));
        drop((second, other));
        assert_eq!(start(&one, None).bytes, Some(400), "what the first does not use");
        drop(first);
        assert_eq!(start(&one, None).bytes, Some(800));
    }

    #[tokio::test]
    async fn what_has_more_than_its_part_gives_way_to_a_claim_that_is_made() {
        let shared = bandwidth(800, 4);
        let (first, second) = (shared.claim(1), Arc::new(shared.claim(0)));
        let alone = start(&first, None);
        second.expect(1);
        let waiting = tokio::spawn({
            let second = Arc::clone(&second);
            async move { second.start(None).await }
        });
        alone.give_way.cancelled().await;
        assert!(!waiting.is_finished(), "the limit is never exceeded");
        drop(alone);
        let other = waiting.await.unwrap();
        let again = start(&first, None);
        assert_eq!((other.bytes, again.bytes), (Some(400), Some(400)));
        // A third finds enough for a beginning once one of the two has ended, and lets the other be.
        let third = shared.claim(1);
        drop(again);
        let begun = start(&third, None);
        assert_eq!((begun.bytes, start(&first, None).bytes), (Some(266), Some(134)));
        assert!(!other.give_way.is_cancelled());
    }
}

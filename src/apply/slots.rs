//! A limit on how many transfers or steps run at the same time, where the most urgent one waiting goes next.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::oneshot;

/// How urgent a step is, smallest first: by its place in its replica's plan, so that all replicas become recoverable
/// before any is filled up, and among equals by the apply that began first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Urgency {
    /// The place of its action in the plan of its replica.
    pub place: usize,
    /// The number of the apply that it is of. No other apply has it.
    pub apply: u64,
}

/// A number of slots. Unlike a semaphore it serves by urgency instead of by arrival, so that the WAL of the newest
/// backup never queues behind the base of an older one.
#[derive(Debug, Clone)]
pub struct Slots(Arc<Mutex<State>>);

#[derive(Debug)]
struct State {
    limit: usize,
    taken: usize,
    arrivals: u64,
    waiting: BTreeMap<(Urgency, u64), oneshot::Sender<Slot>>,
}

/// A slot that is free again when it is dropped.
#[derive(Debug)]
pub struct Slot(Option<Slots>);

impl Slots {
    /// This many slots, all free.
    pub fn new(limit: usize) -> Self {
        Self(Arc::new(Mutex::new(State { limit, taken: 0, arrivals: 0, waiting: BTreeMap::new() })))
    }

    /// From now on there are this many. Of more that are taken, none is taken away.
    pub fn set_limit(&self, limit: usize) {
        self.state().limit = limit;
        self.serve();
    }

    /// Waits for a slot, in the line since this call.
    pub fn acquire(&self, urgency: Urgency) -> impl Future<Output = Slot> + use<> {
        let (sender, receiver) = oneshot::channel();
        {
            let mut state = self.state();
            state.arrivals += 1;
            let key = (urgency, state.arrivals);
            state.waiting.insert(key, sender);
        }
        self.serve();
        let slots = self.clone();
        async move {
            let slot = receiver.await;
            // A sender is only ever dropped together with the slots themselves, which are kept alive here.
            drop(slots);
            slot.unwrap_or(Slot(None))
        }
    }

    /// Gives free slots to those who wait, the most urgent first.
    fn serve(&self) {
        loop {
            let next = {
                let mut state = self.state();
                if state.taken >= state.limit {
                    return;
                }
                let Some((_, sender)) = state.waiting.pop_first() else { return };
                state.taken += 1;
                sender
            };
            if let Err(mut refused) = next.send(Slot(Some(self.clone()))) {
                // Whoever waited has given up; its slot must not come back here as a drop within this.
                refused.0 = None;
                self.state().taken -= 1;
            }
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // Nothing in here can panic half-way, so a poisoned state is still a consistent one.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        let Some(slots) = self.0.take() else { return };
        slots.state().taken -= 1;
        slots.serve();
    }
}

#[cfg(test)]
mod tests {
    use futures::FutureExt;

    use super::*;

    fn urgency(place: usize) -> Urgency {
        Urgency { place, apply: 0 }
    }

    #[tokio::test(start_paused = true)]
    async fn the_most_urgent_one_goes_next() {
        let slots = Slots::new(1);
        let mut held = slots.acquire(urgency(0)).await;
        let mut waiting: Vec<_> = [3, 1, 2].map(|place| (place, slots.acquire(urgency(place)).boxed())).into();
        for expected in [1, 2, 3] {
            drop(held);
            let served = waiting.iter_mut().enumerate().find_map(|(at, (_, slot))| Some((at, slot.now_or_never()?)));
            let (at, slot) = served.unwrap();
            assert_eq!(waiting.remove(at).0, expected);
            assert!(waiting.iter_mut().all(|(_, slot)| slot.now_or_never().is_none()), "one slot, one of them");
            held = slot;
        }
    }

    #[tokio::test]
    async fn among_equals_the_apply_that_began_first_goes_first() {
        let slots = Slots::new(1);
        let held = slots.acquire(urgency(0)).await;
        let [mut later, mut earlier] = [8, 7].map(|apply| slots.acquire(Urgency { place: 1, apply }).boxed());
        drop(held);
        assert!(earlier.as_mut().now_or_never().is_some());
        assert!(later.as_mut().now_or_never().is_some(), "when the other is done with it");
    }

    #[tokio::test(start_paused = true)]
    async fn a_slot_that_nobody_waits_for_any_more_is_not_lost() {
        let slots = Slots::new(1);
        let held = slots.acquire(urgency(0)).await;
        drop(slots.acquire(urgency(1)));
        drop(held);
        drop(slots.acquire(urgency(2)).await);
        // Nor is one that was given to somebody who has gone meanwhile.
        drop(slots.acquire(urgency(3)));
        drop(slots.acquire(urgency(4)).await);
    }

    #[tokio::test]
    async fn another_number_of_slots_holds_for_those_who_wait_and_takes_nothing_away() {
        let slots = Slots::new(1);
        let first = slots.acquire(urgency(0)).await;
        let mut second = slots.acquire(urgency(1)).boxed();
        assert!(second.as_mut().now_or_never().is_none());
        slots.set_limit(2);
        let second = second.now_or_never().unwrap();
        slots.set_limit(1);
        drop(first);
        let mut third = slots.acquire(urgency(2)).boxed();
        assert!(third.as_mut().now_or_never().is_none(), "the second still has the only one");
        drop(second);
        assert!(third.now_or_never().is_some());
    }
}

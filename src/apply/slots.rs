//! A limit on how many transfers run at the same time, where the most urgent one waiting goes next.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::oneshot;

/// How urgent a transfer is: its place in the plan, smallest first.
pub type Urgency = (usize, usize);

/// A number of slots. Unlike a semaphore it serves by urgency instead of by arrival, so that the WAL of the newest
/// backup never queues behind the base of an older one.
#[derive(Debug, Clone)]
pub struct Slots(Arc<Mutex<State>>);

#[derive(Debug)]
struct State {
    free: usize,
    arrivals: u64,
    waiting: BTreeMap<(Urgency, u64), oneshot::Sender<Slot>>,
}

/// A slot that is free again when it is dropped.
#[derive(Debug)]
pub struct Slot(Option<Slots>);

impl Slots {
    /// This many slots, all free.
    pub fn new(count: usize) -> Self {
        Self(Arc::new(Mutex::new(State { free: count, arrivals: 0, waiting: BTreeMap::new() })))
    }

    /// Waits for a slot.
    pub async fn acquire(&self, urgency: Urgency) -> Slot {
        let receiver = {
            let mut state = self.state();
            if state.free > 0 {
                state.free -= 1;
                return Slot(Some(self.clone()));
            }
            let (sender, receiver) = oneshot::channel();
            state.arrivals += 1;
            let key = (urgency, state.arrivals);
            state.waiting.insert(key, sender);
            receiver
        };
        match receiver.await {
            Ok(slot) => slot,
            // A sender is only ever dropped together with the slots themselves, which `self` keeps alive.
            Err(_) => Slot(None),
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
        loop {
            let next = {
                let mut state = slots.state();
                let Some((_, sender)) = state.waiting.pop_first() else {
                    state.free += 1;
                    return;
                };
                sender
            };
            match next.send(Slot(Some(slots.clone()))) {
                Ok(()) => return,
                // Whoever waited has given up; its slot must not come back here as a drop within a drop.
                Err(mut refused) => refused.0 = None,
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[tokio::test(start_paused = true)]
    async fn the_most_urgent_one_goes_next() {
        let slots = Slots::new(1);
        let held = slots.acquire((0, 0)).await;
        let order = Arc::new(Mutex::new(Vec::new()));
        let mut tasks = tokio::task::JoinSet::new();
        for urgency in [(3, 0), (1, 0), (2, 0)] {
            let (slots, order) = (slots.clone(), order.clone());
            tasks.spawn(async move {
                let _slot = slots.acquire(urgency).await;
                order.lock().unwrap().push(urgency.0);
            });
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
        drop(held);
        tasks.join_all().await;
        assert_eq!(*order.lock().unwrap(), [1, 2, 3]);
    }

    #[tokio::test(start_paused = true)]
    async fn a_slot_that_nobody_waits_for_any_more_is_not_lost() {
        let slots = Slots::new(1);
        let held = slots.acquire((0, 0)).await;
        let gave_up = tokio::time::timeout(Duration::from_millis(5), slots.acquire((1, 0))).await;
        assert!(gave_up.is_err());
        drop(held);
        drop(slots.acquire((2, 0)).await);
        drop(slots.acquire((3, 0)).await);
    }
}

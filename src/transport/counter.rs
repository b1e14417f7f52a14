//! The bytes of a transfer, counted as they arrive.

use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Is called with all that arrived so far, whenever that grows.
type Listener = Box<dyn FnMut(u64) + Send>;

/// Counts the bytes that arrived, for progress and for limits.
#[derive(Debug, Clone, Default)]
pub struct ByteCounter(Arc<Counted>);

#[derive(Default)]
struct Counted {
    bytes: AtomicU64,
    listener: Mutex<Option<Listener>>,
}

/// Somebody listens to a counter until this is dropped.
#[must_use]
#[derive(Debug)]
pub struct Listening<'a>(&'a ByteCounter);

impl ByteCounter {
    /// Adds bytes that arrived. Who listens has heard of them when this returns.
    pub fn add(&self, bytes: u64) {
        let all = self.0.bytes.fetch_add(bytes, Ordering::Relaxed) + bytes;
        if let Some(listener) = self.listener().as_mut() {
            listener(all);
        }
    }

    /// All that arrived so far.
    pub fn get(&self) -> u64 {
        self.0.bytes.load(Ordering::Relaxed)
    }

    /// Whether it counts the same bytes.
    pub fn is_same(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }

    /// Lets one listener be told of each growth, in the place of an earlier one: sooner than anybody who looks from time
    /// to time could know.
    pub fn listen(&self, listener: impl FnMut(u64) + Send + 'static) -> Listening<'_> {
        *self.listener() = Some(Box::new(listener));
        Listening(self)
    }

    fn listener(&self) -> MutexGuard<'_, Option<Listener>> {
        self.0.listener.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Listening<'_> {
    fn drop(&mut self) {
        *self.0.listener() = None;
    }
}

impl fmt::Debug for Counted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Counted").field("bytes", &self.bytes).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_listens_hears_of_each_growth_until_it_stops_listening() {
        let (counter, heard) = (ByteCounter::default(), Arc::new(Mutex::new(Vec::new())));
        counter.add(1);
        let told = Arc::clone(&heard);
        let listening = counter.listen(move |all| told.lock().unwrap().push(all));
        counter.clone().add(2);
        counter.add(3);
        drop(listening);
        counter.add(4);
        assert_eq!((heard.lock().unwrap().as_slice(), counter.get()), (&[3, 6][..], 10));
    }
}

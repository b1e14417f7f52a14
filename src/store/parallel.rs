//! The same question to many files at once: what a disk answers slowly, it answers in parallel.

use std::num::NonZero;
use std::sync::LazyLock;
use std::thread;

use rayon::prelude::*;
use rayon::{ThreadPool, ThreadPoolBuilder};

/// More threads do not make one file system faster.
const MAX_THREADS: usize = 8;

/// Threads that mostly wait for a disk, and so more than there are processors; all catalogs that are read at the same
/// time share them. Where the system gives none, rayon's own are used.
static READERS: LazyLock<Option<ThreadPool>> = LazyLock::new(|| {
    let threads = thread::available_parallelism().map_or(2, NonZero::get).saturating_mul(2).min(MAX_THREADS);
    ThreadPoolBuilder::new().num_threads(threads).thread_name(|n| format!("reader-{n}")).build().ok()
});

/// Calls a function that reads a little for each item; the results are in the order of the items.
pub fn map<T: Sync, R: Send>(items: &[T], call: impl Fn(&T) -> R + Sync + Send) -> Vec<R> {
    let work = || items.par_iter().map(&call).collect();
    match READERS.as_ref() {
        Some(readers) => readers.install(work),
        None => work(),
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn results_are_in_the_order_of_the_items() {
        let items: Vec<u32> = (0..1000).collect();
        assert_eq!(super::map(&items, |item| item * 2), items.iter().map(|item| item * 2).collect::<Vec<_>>());
        assert_eq!(super::map(&[0; 0], |item: &u32| *item), [0; 0]);
    }
}

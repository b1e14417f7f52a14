//! Which replicas a command works on together: those whose runs' own locks it gets at the same time.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use futures::future::{BoxFuture, FutureExt};
use futures::stream::{FuturesUnordered, StreamExt};
use tokio_util::sync::CancellationToken;

use crate::apply::RunLock;
use crate::barman::ids::ServerName;
use crate::error::{Error, Kind};
use crate::schedule::Suspension;
use crate::store::Store;

/// Replicas that are planned and applied together. No other run is at work on them until their applies have ended, or this
/// is dropped.
#[derive(Default)]
pub struct Round {
    pub(super) locks: BTreeMap<ServerName, RunLock>,
    /// The replicas that another run was at work on for as long as they were waited for. They are passed over.
    pub busy: BTreeMap<ServerName, Error>,
}

impl Round {
    /// Whether a replica is among those that can be worked on.
    pub fn has(&self, replica: &ServerName) -> bool {
        self.locks.contains_key(replica)
    }

    /// Whether nothing can be worked on.
    pub fn is_empty(&self) -> bool {
        self.locks.is_empty()
    }

    /// Takes a replica out of it, as a round of its own.
    #[must_use]
    pub fn of_one(&mut self, replica: &ServerName) -> Self {
        Self { locks: self.locks.remove_entry(replica).into_iter().collect(), busy: BTreeMap::new() }
    }

    fn add(&mut self, Answer { replica, lock }: Answer) -> Result<(), Error> {
        match lock {
            Ok(lock) => drop(self.locks.insert(replica, lock)),
            Err(busy) if busy.kind == Kind::Locked => drop(self.busy.insert(replica, busy)),
            Err(error) => return Err(error),
        }
        Ok(())
    }
}

/// What became of one lock.
struct Answer {
    replica: ServerName,
    lock: Result<RunLock, Error>,
}

/// Takes the runs' own locks of replicas: those that are free at once, and each of the others as soon as it is.
pub struct Locking<'a> {
    /// The replicas that are left alone for now: their locks are not taken.
    pub suspended: BTreeMap<ServerName, Suspension>,
    waiting: FuturesUnordered<BoxFuture<'static, Answer>>,
    cancel: &'a CancellationToken,
}

impl<'a> Locking<'a> {
    /// Of these replicas, each with its catalog; one that is busy is given up after a while. Nothing is taken yet.
    pub fn of(
        replicas: impl IntoIterator<Item = (ServerName, Arc<dyn Store>)>,
        patience: Duration,
        cancel: &'a CancellationToken,
    ) -> Self {
        let take = |(replica, store)| {
            async move {
                let lock = RunLock::take(store, &replica, patience).await;
                Answer { replica, lock }
            }
            .boxed()
        };
        Self { suspended: BTreeMap::new(), waiting: replicas.into_iter().map(take).collect(), cancel }
    }

    /// Those that need not be waited for, or else the next one that is free or given up; `None` when there is no other.
    pub async fn next(&mut self) -> Result<Option<Round>, Error> {
        let first = tokio::select! {
            first = self.waiting.next() => first,
            () = self.cancel.cancelled() => {
                let what = "interrupted while another antipode was waited for; what that works on was left as it was";
                return Err(Error::new(Kind::Interrupted, what));
            }
        };
        let (mut round, mut next) = (Round::default(), first);
        if next.is_none() {
            return Ok(None);
        }
        while let Some(answer) = next {
            round.add(answer)?;
            next = self.waiting.next().now_or_never().flatten();
        }
        Ok(Some(round))
    }

    /// All of them, when each is free or given up.
    pub async fn all(mut self) -> Result<Round, Error> {
        let mut all = Round::default();
        while let Some(Round { locks, busy }) = self.next().await? {
            all.locks.extend(locks);
            all.busy.extend(busy);
        }
        Ok(all)
    }
}

#[cfg(test)]
mod tests {
    use tempfile::TempDir;

    use super::*;
    use crate::barman::layout::ServerDirs;
    use crate::store::{Posix, home};

    const PATIENCE: Duration = Duration::from_secs(30);

    fn catalog() -> TempDir {
        let catalog = tempfile::tempdir().unwrap();
        home::prepare(catalog.path()).unwrap();
        catalog
    }

    fn replica(catalog: &TempDir, name: &str) -> (ServerName, Arc<dyn Store>) {
        let name: ServerName = name.parse().unwrap();
        let store = Posix::new(ServerDirs::of_catalog(catalog.path(), name.clone()));
        (name, Arc::new(store))
    }

    async fn hold(catalog: &TempDir, name: &str) -> Result<RunLock, Error> {
        let (name, store) = replica(catalog, name);
        RunLock::take(store, &name, Duration::ZERO).await
    }

    fn names(of: &BTreeMap<ServerName, impl Sized>) -> Vec<&str> {
        of.keys().map(ServerName::as_str).collect()
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_free_goes_on_at_once_and_what_is_busy_as_soon_as_it_is_free_or_given_up() {
        let (catalog, never) = (catalog(), CancellationToken::new());
        let (late, stays) = (hold(&catalog, "late").await.unwrap(), hold(&catalog, "stays").await.unwrap());
        let replicas = ["a", "late", "stays", "z"].map(|name| replica(&catalog, name));
        let mut locking = Locking::of(replicas, PATIENCE, &never);
        let first = locking.next().now_or_never().expect("nothing is waited for").unwrap().unwrap();
        assert_eq!((names(&first.locks), names(&first.busy)), (vec!["a", "z"], vec![]));
        assert!(locking.next().now_or_never().is_none());
        drop(late);
        let second = locking.next().await.unwrap().unwrap();
        assert_eq!((names(&second.locks), names(&second.busy)), (vec!["late"], vec![]));
        let third = locking.next().await.unwrap().unwrap();
        assert_eq!((names(&third.locks), names(&third.busy)), (vec![], vec!["stays"]));
        assert_eq!(third.busy.values().next().unwrap().kind, Kind::Locked);
        assert!(locking.next().await.unwrap().is_none());
        let again = hold(&catalog, "late").await.err().expect("a round holds its locks");
        assert_eq!(again.kind, Kind::Locked);
        drop((second, stays));
        assert!(hold(&catalog, "late").await.is_ok());
    }

    #[tokio::test(start_paused = true)]
    async fn whoever_wants_all_together_waits_for_them() {
        let (catalog, never) = (catalog(), CancellationToken::new());
        let held = hold(&catalog, "late").await.unwrap();
        let replicas = ["a", "late"].map(|name| replica(&catalog, name));
        let mut all = Box::pin(Locking::of(replicas, PATIENCE, &never).all());
        assert!((&mut all).now_or_never().is_none());
        drop(held);
        assert_eq!(names(&all.await.unwrap().locks), ["a", "late"]);
    }
}

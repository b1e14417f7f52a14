//! A way to the primary on which one call goes wrong.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use antipode::error::{Error, Kind};
use antipode::transport::{ByteCounter, Fetch, Fetched, Files, Look, Part, RemoteEntry, RemoteFile, What};
use async_trait::async_trait;
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

/// How far the call gets before it fails.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reach {
    /// Nothing arrives.
    Nothing,
    /// Some of the files arrive.
    Half,
    /// Everything arrives, and the answer is lost.
    Everything,
}

/// Fails one call.
pub struct Faulty {
    /// Only calls about a directory whose path ends so count.
    about: &'static str,
    /// Those that are still to succeed.
    before: AtomicUsize,
    reach: Reach,
    kind: Kind,
    inner: Mutex<Option<Arc<dyn Files>>>,
    transferred: AtomicU64,
}

impl Faulty {
    /// The call after this many fails.
    pub fn new(before: usize, reach: Reach, kind: Kind) -> Arc<Self> {
        Arc::new(Self {
            about: "",
            before: AtomicUsize::new(before),
            reach,
            kind,
            inner: Mutex::default(),
            transferred: AtomicU64::default(),
        })
    }

    /// The call fails that copies files of this base, after those that list it and copy its directories.
    pub fn copying(base: &'static str, reach: Reach, kind: Kind) -> Arc<Self> {
        let faulty = Self { about: base, ..Arc::into_inner(Self::new(2, reach, kind)).unwrap() };
        Arc::new(faulty)
    }

    /// Stands before another way to the same primary.
    pub fn around(self: &Arc<Self>, inner: Arc<dyn Files>) -> Arc<Self> {
        *self.inner.lock().unwrap() = Some(inner);
        Arc::clone(self)
    }

    /// Whether the call was made that failed.
    pub fn has_failed(&self) -> bool {
        self.before.load(Ordering::SeqCst) == usize::MAX
    }

    /// Bytes that arrived, also of calls that failed.
    pub fn transferred(&self) -> u64 {
        self.transferred.load(Ordering::SeqCst)
    }

    fn inner(&self) -> Arc<dyn Files> {
        Arc::clone(self.inner.lock().unwrap().as_ref().unwrap())
    }

    /// Counts down to the call that fails, and then on to `usize::MAX`, which no later call reaches.
    fn fails_now(&self, directory: &Path) -> bool {
        if !directory.to_string_lossy().ends_with(self.about) {
            return false;
        }
        let count_down = |before: usize| if before == usize::MAX { None } else { Some(before.wrapping_sub(1)) };
        self.before.fetch_update(Ordering::SeqCst, Ordering::SeqCst, count_down) == Ok(0)
    }

    fn error(&self) -> Error {
        Error::new(self.kind, format!("primary frankfurt: the call failed: {}", self.kind.label()))
    }

    async fn pass_on(
        &self,
        request: &Fetch,
        counter: &ByteCounter,
        cancel: &CancellationToken,
    ) -> Result<Fetched, Error> {
        let fetched = self.inner().fetch(request, counter, cancel).await?;
        self.transferred.fetch_add(fetched.transferred, Ordering::SeqCst);
        Ok(fetched)
    }
}

#[async_trait]
impl Files for Faulty {
    async fn list(&self, directory: &Path) -> Result<Vec<RemoteFile>, Error> {
        if self.fails_now(directory) { Err(self.error()) } else { self.inner().list(directory).await }
    }

    async fn look(&self, request: &Look) -> Result<Vec<RemoteEntry>, Error> {
        if self.fails_now(&request.from) { Err(self.error()) } else { self.inner().look(request).await }
    }

    async fn fetch(
        &self,
        request: &Fetch,
        counter: &ByteCounter,
        cancel: &CancellationToken,
    ) -> Result<Fetched, Error> {
        if !self.fails_now(&request.from) {
            return self.pass_on(request, counter, cancel).await;
        }
        match self.reach {
            Reach::Nothing => {}
            Reach::Half => {
                self.pass_on(&Fetch { what: half(&request.what), ..request.clone() }, counter, cancel).await?;
            }
            Reach::Everything => {
                self.pass_on(request, counter, cancel).await?;
            }
        }
        Err(self.error())
    }
}

/// A way to the primary on which files of a base are waited for until somebody opens it.
pub struct Gate {
    inner: Mutex<Option<Arc<dyn Files>>>,
    waiting: Notify,
    opened: CancellationToken,
}

impl Gate {
    /// It is shut.
    pub fn shut() -> Arc<Self> {
        Arc::new(Self { inner: Mutex::default(), waiting: Notify::new(), opened: CancellationToken::new() })
    }

    /// Stands before another way to the same primary.
    pub fn around(self: &Arc<Self>, inner: Arc<dyn Files>) -> Arc<Self> {
        *self.inner.lock().unwrap() = Some(inner);
        Arc::clone(self)
    }

    /// Waits until files of a base are asked for.
    pub async fn is_asked(&self) {
        self.waiting.notified().await;
    }

    /// Lets them come from now on.
    pub fn open(&self) {
        self.opened.cancel();
    }

    fn inner(&self) -> Arc<dyn Files> {
        Arc::clone(self.inner.lock().unwrap().as_ref().unwrap())
    }
}

#[async_trait]
impl Files for Gate {
    async fn list(&self, directory: &Path) -> Result<Vec<RemoteFile>, Error> {
        self.inner().list(directory).await
    }

    async fn look(&self, request: &Look) -> Result<Vec<RemoteEntry>, Error> {
        self.inner().look(request).await
    }

    async fn fetch(
        &self,
        request: &Fetch,
        counter: &ByteCounter,
        cancel: &CancellationToken,
    ) -> Result<Fetched, Error> {
        if request.from.parent().is_some_and(|parent| parent.ends_with("base")) {
            self.waiting.notify_one();
            self.opened.cancelled().await;
        }
        self.inner().fetch(request, counter, cancel).await
    }
}

/// Some of the files.
fn half(what: &What) -> What {
    match what {
        What::Files { paths, flatten } => {
            let paths: Vec<PathBuf> = paths.iter().take(paths.len() / 2).cloned().collect();
            What::Files { paths, flatten: *flatten }
        }
        What::Directories { exclude } => What::Directories { exclude: and_base(exclude) },
        What::Part(part) => {
            let bytes = part.bytes.start..part.bytes.start.midpoint(part.bytes.end).max(part.bytes.start + 1);
            What::Part(Part { bytes, ..part.clone() })
        }
    }
}

fn and_base(exclude: &[PathBuf]) -> Vec<PathBuf> {
    exclude.iter().cloned().chain([PathBuf::from("data/base")]).collect()
}

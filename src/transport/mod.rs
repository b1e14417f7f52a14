//! What Antipode can ask of a primary, and nothing else.
//!
//! Every effect on a primary goes through the two traits below: [`BarmanCommands`] runs
//! `barman sync-info` and `barman list-servers --minimal`, [`Files`] lists and copies files
//! (`rsync --server --sender`). Nothing here writes to a primary.

pub mod error;

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use async_trait::async_trait;
use tokio_util::sync::CancellationToken;

use crate::barman::ids::ServerName;
pub use error::{TransportError, TransportErrorKind};

/// An open way to one primary, shared by all its replicas.
#[derive(Clone)]
pub struct Connection {
    /// Runs Barman there; `None` for a catalog on a file system of this machine, which is read directly.
    pub commands: Option<Arc<dyn BarmanCommands>>,
    /// Lists and copies files.
    pub files: Arc<dyn Files>,
}

/// Runs Barman's own commands at a primary.
#[async_trait]
pub trait BarmanCommands: Send + Sync {
    /// The standard output of `barman sync-info SERVER`, as it came: banners and noise included.
    ///
    /// A non-zero exit is an error that carries the end of stderr; an exit of 0 proves nothing about the form.
    async fn sync_info(&self, server: &ServerName) -> Result<Vec<u8>, TransportError>;

    /// The standard output of `barman list-servers --minimal`, as it came.
    async fn list_servers(&self) -> Result<Vec<u8>, TransportError>;
}

/// Lists and copies files of a primary.
#[async_trait]
pub trait Files: Send + Sync {
    /// Lists regular files below a directory, in the order of their paths.
    ///
    /// Names that are not valid UTF-8, or contain control characters, are an error.
    async fn list(&self, request: &List) -> Result<Vec<RemoteFile>, TransportError>;

    /// Copies files into a directory that exists. Each appears under its name only when it is whole.
    ///
    /// What is there already with the right size and time of modification is not copied again, and a large file
    /// that was cut off goes on where it stopped. `counter` grows as bytes arrive. When `cancel` fires the transfer
    /// ends, its partial files stay, and the error's kind is `Cancelled`.
    async fn fetch(
        &self,
        request: &Fetch,
        counter: &ByteCounter,
        cancel: &CancellationToken,
    ) -> Result<Fetched, TransportError>;
}

/// Which files to list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct List {
    /// The directory at the primary, absolute.
    pub directory: PathBuf,
    /// Whether to descend into directories.
    pub recursive: bool,
    /// Only files whose name matches one of these (rsync patterns such as `*.history`); empty: all.
    pub only: Vec<String>,
}

/// A regular file at a primary.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct RemoteFile {
    /// Relative to the directory that was listed.
    pub path: PathBuf,
    /// In bytes.
    pub size: u64,
}

/// A copy from a directory at the primary into one at the site.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fetch {
    /// The directory at the primary, absolute.
    pub from: PathBuf,
    /// The directory here, absolute; it exists.
    pub into: PathBuf,
    /// What of it.
    pub what: What,
    /// A directory here that holds older versions under the same relative names: what did not change within a file
    /// is read from it instead of from the primary. Never modified, never linked to.
    pub basis: Option<PathBuf>,
    /// Bytes per second; `None` is unlimited.
    pub bandwidth: Option<u64>,
}

/// What of a directory to copy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum What {
    /// These files, by their paths relative to the directory. They land flat or nested as `flatten` says.
    Files {
        /// Relative paths.
        paths: Vec<PathBuf>,
        /// Whether each lands directly in `into`, under its last component.
        flatten: bool,
    },
    /// The whole tree with its directories, symbolic links, modes and times, but for what these rsync patterns exclude.
    Tree {
        /// Anchored patterns such as `/backup.info`.
        exclude: Vec<String>,
    },
}

/// What a copy did.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Fetched {
    /// Bytes that crossed the wire.
    pub transferred: u64,
    /// Of the files asked for by name, those that the primary does not have (any more).
    pub missing: Vec<PathBuf>,
}

/// Counts the bytes that arrived, for progress.
#[derive(Debug, Clone, Default)]
pub struct ByteCounter(Arc<AtomicU64>);

impl ByteCounter {
    /// Adds bytes that arrived.
    pub fn add(&self, bytes: u64) {
        self.0.fetch_add(bytes, Ordering::Relaxed);
    }

    /// All that arrived so far.
    pub fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

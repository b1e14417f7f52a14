//! Small files of a primary, fetched to be read: into a private directory that is gone afterwards, or into the cache.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use tokio_util::sync::CancellationToken;

use crate::observe::catalog::files;
use crate::observe::failure::Failure;
use crate::transport::{
    ByteCounter, Compare, Fetch, Fetched, Files, PrivateDir, TransportError, TransportErrorKind, What,
};

use super::cache::Cache;

/// Fetches files that are read.
pub struct Fetcher<'a> {
    /// The primary's files.
    pub files: &'a dyn Files,
    /// Ends a transfer when it fires.
    pub cancel: &'a CancellationToken,
    /// Bytes per second; `None` is unlimited.
    pub bandwidth: Option<u64>,
}

/// Files that were fetched, until this is dropped.
#[derive(Default)]
pub struct FetchedFiles {
    /// `None` when nothing was asked for.
    directory: Option<Directory>,
    /// What the primary does not have.
    missing: BTreeSet<PathBuf>,
}

/// A directory that is readable for this user alone.
enum Directory {
    Private(PrivateDir),
    Kept(Cache),
}

impl Fetcher<'_> {
    /// Fetches files by their paths below a directory; those that are not there are left out.
    pub async fn fetch(&self, from: &Path, paths: Vec<PathBuf>) -> Result<FetchedFiles, Failure> {
        if paths.is_empty() {
            return Ok(FetchedFiles::default());
        }
        let scratch = std::env::temp_dir();
        let directory = PrivateDir::make_in(&scratch).map_err(|error| {
            Failure::new(format!("no private directory can be made in {}: {error}", scratch.display()))
                .hint("set TMPDIR to a directory that can be written")
        })?;
        let fetched = self.fetch_into(directory.path(), from, paths).await?;
        Ok(FetchedFiles::new(Directory::Private(directory), fetched))
    }

    /// The same, but for what the cache has as the primary has it. A cache that takes no files is emptied and done
    /// without.
    pub async fn fetch_cached(
        &self,
        from: &Path,
        paths: Vec<PathBuf>,
        cache: Option<Cache>,
    ) -> Result<FetchedFiles, Failure> {
        let Some(cache) = cache else { return self.fetch(from, paths).await };
        if paths.is_empty() {
            return Ok(FetchedFiles::new(Directory::Kept(cache), Fetched::default()));
        }
        match self.fetch_into(cache.directory(), from, paths.clone()).await {
            Ok(fetched) => Ok(FetchedFiles::new(Directory::Kept(cache), fetched)),
            Err(error) if may_come_from_here(error.kind) => {
                let emptied = cache.keep_only(&BTreeSet::new());
                tracing::debug!(?emptied, "the cache of manifests takes no files: {error}");
                self.fetch(from, paths).await
            }
            Err(error) => Err(error.into()),
        }
    }

    async fn fetch_into(&self, into: &Path, from: &Path, paths: Vec<PathBuf>) -> Result<Fetched, TransportError> {
        let request = Fetch {
            from: from.to_owned(),
            into: into.to_owned(),
            what: What::Files { paths, flatten: false },
            basis: None,
            compare: Compare::Times,
            bandwidth: self.bandwidth,
        };
        self.files.fetch(&request, &ByteCounter::default(), self.cancel).await
    }
}

/// Whether a transfer may have failed for what is in the directory that it goes to, or for its file system.
fn may_come_from_here(kind: TransportErrorKind) -> bool {
    use TransportErrorKind::{NoSpace, NotFound, Other, PermissionDenied, ReadOnly, Untrusted};
    matches!(kind, NotFound | PermissionDenied | NoSpace | ReadOnly | Untrusted | Other)
}

impl FetchedFiles {
    fn new(directory: Directory, fetched: Fetched) -> Self {
        Self { directory: Some(directory), missing: fetched.missing.into_iter().collect() }
    }

    /// The content of a file, up to `limit` bytes; `None` when the primary does not have it as a regular file.
    pub fn read(&self, path: &Path, limit: u64) -> Option<Vec<u8>> {
        let directory = match self.directory.as_ref()? {
            Directory::Private(directory) => directory.path(),
            Directory::Kept(cache) => cache.directory(),
        };
        // The cache may still have what the primary lost.
        let is_there = !self.missing.contains(path);
        is_there.then(|| files::read(&directory.join(path), limit).ok().flatten())?
    }

    /// The cache that the files are in, if they are in one.
    pub fn cache(&self) -> Option<&Cache> {
        match &self.directory {
            Some(Directory::Kept(cache)) => Some(cache),
            Some(Directory::Private(_)) | None => None,
        }
    }
}

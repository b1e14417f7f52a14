//! Small files of a primary, fetched to be read: into a private directory that is gone afterwards, or into the cache.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use tokio_util::sync::CancellationToken;

use crate::error::{Error, Kind};
use crate::transport::bandwidth::Bandwidth;
use crate::transport::{ByteCounter, Compare, Fetch, Fetched, Files, Limit, PrivateDir, What};

use crate::store::File;
use crate::store::cache::Cache;
use crate::store::posix::files;

/// Fetches files that are read.
pub struct Fetcher<'a> {
    /// The primary's files.
    pub files: &'a dyn Files,
    /// Ends a transfer when it fires.
    pub cancel: &'a CancellationToken,
    /// What all copies from the primary may use together.
    pub bandwidth: &'a Arc<Bandwidth>,
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

/// Files could not be fetched.
#[derive(Debug)]
pub enum FetchError {
    /// The transfer failed.
    Transport(Error),
    /// What came has no place here.
    Here(Error),
}

impl FetchError {
    /// Whether the directory is not there at the primary.
    pub fn is_absent(&self) -> bool {
        matches!(self, Self::Transport(error) if error.kind == Kind::NotFound)
    }
}

impl From<FetchError> for Error {
    fn from(error: FetchError) -> Self {
        match error {
            FetchError::Transport(error) | FetchError::Here(error) => error,
        }
    }
}

impl Fetcher<'_> {
    /// Fetches files of at most `largest` bytes by their paths below a directory; those that are not there are left out.
    pub async fn fetch(&self, from: &Path, paths: Vec<PathBuf>, largest: u64) -> Result<FetchedFiles, FetchError> {
        self.fetch_privately(from, paths, largest, None).await
    }

    async fn fetch_privately(
        &self,
        from: &Path,
        paths: Vec<PathBuf>,
        largest: u64,
        basis: Option<&Path>,
    ) -> Result<FetchedFiles, FetchError> {
        if paths.is_empty() {
            return Ok(FetchedFiles::default());
        }
        let scratch = std::env::temp_dir();
        let directory = PrivateDir::make_in(&scratch).map_err(|error| {
            let message = format!("no private directory can be made in {}: {error}", scratch.display());
            let error = Error::new(Kind::from(&error), message).because(error);
            FetchError::Here(error.hint("set TMPDIR to a directory that can be written"))
        })?;
        let fetched = self.fetch_into(directory.path(), from, paths, largest, basis).await?;
        Ok(FetchedFiles::new(Directory::Private(directory), fetched))
    }

    /// The same, but for what the cache has as the primary has it. A cache that takes no files is emptied and done
    /// without; into one that must stay as it is, nothing is fetched.
    pub async fn fetch_cached(
        &self,
        from: &Path,
        paths: Vec<PathBuf>,
        largest: u64,
        cache: Option<Cache>,
    ) -> Result<FetchedFiles, FetchError> {
        let Some(cache) = cache else { return self.fetch(from, paths, largest).await };
        if cache.is_read_only() {
            return self.fetch_privately(from, paths, largest, Some(cache.directory())).await;
        }
        if paths.is_empty() {
            return Ok(FetchedFiles::kept(cache));
        }
        match self.fetch_into(cache.directory(), from, paths.clone(), largest, None).await {
            Ok(fetched) => Ok(FetchedFiles::new(Directory::Kept(cache), fetched)),
            Err(FetchError::Transport(error)) if may_come_from_here(error.kind) => {
                let emptied = cache.keep_only(|_| false);
                tracing::debug!(?emptied, "a cache takes no files: {error}");
                self.fetch(from, paths, largest).await
            }
            Err(error) => Err(error),
        }
    }

    async fn fetch_into(
        &self,
        into: &Path,
        from: &Path,
        paths: Vec<PathBuf>,
        largest: u64,
        basis: Option<&Path>,
    ) -> Result<Fetched, FetchError> {
        let limit = Limit::of_files(paths.len(), largest);
        let request = Fetch {
            from: from.to_owned(),
            into: into.to_owned(),
            what: What::Files { paths, flatten: false },
            basis: basis.map(Path::to_owned),
            compare: Compare::Times,
            bandwidth: self.bandwidth.limit(),
            taps: self.bandwidth.tap().map_err(FetchError::Here)?.into_iter().collect(),
            compress: false,
            limit,
        };
        let fetched = self.files.fetch(&request, &ByteCounter::default(), self.cancel).await;
        fetched.map_err(FetchError::Transport)
    }
}

/// Whether a transfer may have failed for what is in the directory that it goes to, or for its file system.
fn may_come_from_here(kind: Kind) -> bool {
    use Kind::{NoSpace, NotFound, Other, PermissionDenied, ReadOnly, Untrusted};
    matches!(kind, NotFound | PermissionDenied | NoSpace | ReadOnly | Untrusted | Other)
}

impl FetchedFiles {
    fn new(directory: Directory, fetched: Fetched) -> Self {
        Self { directory: Some(directory), missing: fetched.missing.into_iter().collect() }
    }

    /// Files that the cache has as the primary has them.
    pub fn kept(cache: Cache) -> Self {
        Self::new(Directory::Kept(cache), Fetched::default())
    }

    /// Fetches the same files once more; whether anything of them is new.
    pub async fn fetch_again(
        &mut self,
        fetcher: &Fetcher<'_>,
        from: &Path,
        paths: Vec<PathBuf>,
        largest: u64,
    ) -> Result<bool, FetchError> {
        let Some(directory) = &self.directory else { return Ok(false) };
        let fetched = fetcher.fetch_into(directory.path(), from, paths, largest, None).await?;
        let missing: BTreeSet<PathBuf> = fetched.missing.into_iter().collect();
        let is_new = fetched.transferred > 0 || missing != self.missing;
        self.missing = missing;
        Ok(is_new)
    }

    /// Whether a file came with this size and time of modification, in whole seconds since 1970; `None`: whether none did.
    pub fn has(&self, path: &Path, wanted: Option<(u64, i64)>) -> bool {
        let directory = self.directory.as_ref().filter(|_| !self.missing.contains(path));
        let here = directory.map(|directory| directory.path().join(path));
        match wanted {
            Some((size, mtime)) => here.is_some_and(|here| files::is_like(&here, size, mtime)),
            None => here.is_none_or(|here| !here.exists()),
        }
    }

    /// The content of a file, up to `limit` bytes; `None` when the primary does not have it as a regular file.
    pub fn read(&self, path: &Path, limit: u64) -> Option<Vec<u8>> {
        let directory = self.directory.as_ref()?.path();
        // The cache may still have what the primary lost.
        let is_there = !self.missing.contains(path);
        is_there.then(|| files::read(&directory.join(path), limit).ok().flatten())?
    }

    /// A file for reading; `None` when the primary does not have it as a regular file.
    pub fn open(&self, path: &Path) -> Option<File> {
        let directory = self.directory.as_ref().filter(|_| !self.missing.contains(path))?;
        files::open(&directory.path().join(path)).ok().flatten()
    }

    /// The cache that the files are in, if they are in one.
    pub fn cache(&self) -> Option<&Cache> {
        match &self.directory {
            Some(Directory::Kept(cache)) => Some(cache),
            Some(Directory::Private(_)) | None => None,
        }
    }
}

impl Directory {
    fn path(&self) -> &Path {
        match self {
            Self::Private(directory) => directory.path(),
            Self::Kept(cache) => cache.directory(),
        }
    }
}

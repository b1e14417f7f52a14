//! Small files of a primary, fetched into a private directory that is gone when they are read.

use std::path::{Path, PathBuf};

use tempfile::TempDir;
use tokio_util::sync::CancellationToken;

use crate::observe::catalog::files;
use crate::observe::failure::Failure;
use crate::transport::{ByteCounter, Fetch, Files, What};

/// Fetches files that are read and not kept.
pub struct Fetcher<'a> {
    /// The primary's files.
    pub files: &'a dyn Files,
    /// Ends a transfer when it fires.
    pub cancel: &'a CancellationToken,
    /// Bytes per second; `None` is unlimited.
    pub bandwidth: Option<u64>,
}

/// Files that were fetched, until this is dropped.
pub struct FetchedFiles {
    /// Readable for this user alone; `None` when nothing was asked for.
    directory: Option<TempDir>,
}

impl Fetcher<'_> {
    /// Fetches files by their paths below a directory; those that are not there are left out.
    pub async fn fetch(&self, from: &Path, paths: Vec<PathBuf>) -> Result<FetchedFiles, Failure> {
        if paths.is_empty() {
            return Ok(FetchedFiles { directory: None });
        }
        let scratch = std::env::temp_dir();
        let directory = TempDir::with_prefix("antipode-").map_err(|error| {
            Failure::new(format!("no private directory can be made in {}: {error}", scratch.display()))
                .hint("set TMPDIR to a directory that can be written")
        })?;
        let request = Fetch {
            from: from.to_owned(),
            into: directory.path().to_owned(),
            what: What::Files { paths, flatten: false },
            basis: None,
            bandwidth: self.bandwidth,
        };
        self.files.fetch(&request, &ByteCounter::default(), self.cancel).await?;
        Ok(FetchedFiles { directory: Some(directory) })
    }
}

impl FetchedFiles {
    /// The content of a file, up to `limit` bytes; `None` when the primary does not have it as a regular file.
    pub fn read(&self, path: &Path, limit: u64) -> Option<Vec<u8>> {
        files::read(&self.directory.as_ref()?.path().join(path), limit).ok().flatten()
    }
}

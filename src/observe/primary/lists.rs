//! The primary's xlog.db, fetched as a file: under either of its names, from wherever Barman keeps it.
//!
//! It stays in our own directory of the server ([`crate::store::cache`]), so that the next fetch brings only what changed. What
//! came may have been written while it was read: a last line without an end is not one yet. What it came to is noted beside
//! it ([`ListMemory`]).
//!
//! It is fetched before `sync-info` is asked: with the last line of it at hand Barman need not tell of all WAL, which takes
//! it a minute and 200 MB for a million files. Of a server of which nothing is known it is looked for where it may be
//! ([`FetchedLists::suppose`]). What came is the list where a look at the right place then shows the same sizes and times
//! ([`FetchedLists::settle`]).

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use crate::barman::layout::{Layout, ServerDirs};
use crate::barman::wal::WalName;
use crate::barman::wal_list::WalList;
use crate::barman::xlogdb::memory::ListMemory;
use crate::error::{Error, Kind};
use crate::observe::catalog::xlogdb::XlogDbFile;

use super::archive::MAX_FILES;
use super::fetched::{FetchedFiles, Fetcher};
use super::sights::Sight;
use crate::store::cache::{Cache, NOTE};

/// The longest list that is read: more than the lines of as many files as an archive may have.
const MAX_SIZE: u64 = 320 << 20;

/// More than what is remembered of the longest list.
const MAX_NOTE: u64 = MAX_SIZE;

/// What Barman's own readers stumble over.
const FAULT: &str = "its xlog.db has lines that are doubled, out of order or unreadable; `barman rebuild-xlogdb` there \
                     repairs it";

/// What a list says.
pub struct ListRead {
    /// Its lines.
    pub entries: WalList,
    /// The name on its last line, and where that begins.
    pub last: Option<(WalName, u64)>,
    /// What is wrong with it, in a sentence.
    pub fault: Option<String>,
}

/// The lists that a primary has, until this is dropped.
pub struct FetchedLists {
    /// The directory at the primary.
    from: PathBuf,
    /// The names that the list may have; that of newer Barmans first.
    names: Vec<PathBuf>,
    files: FetchedFiles,
    /// Whether they were seen before they were fetched: any later change shows in what is seen next.
    were_seen: bool,
    /// What the list says; `None` where the primary has none, or once it was taken.
    list: Option<ListRead>,
}

impl FetchedLists {
    /// Fetches what was seen, but for what is kept here as it was seen.
    pub async fn fetch(
        fetcher: &Fetcher<'_>,
        dirs: &ServerDirs,
        cache: Option<Cache>,
        seen: &BTreeMap<PathBuf, Sight>,
        is_kept: bool,
    ) -> Result<Self, Error> {
        let (from, mut names) = (dirs.xlogdb_directory.clone(), names(dirs));
        names.retain(|name| seen.contains_key(name));
        if seen.is_empty() {
            return Ok(Self { from, names, files: FetchedFiles::default(), were_seen: true, list: None });
        }
        check_sizes(seen)?;
        let is_here = |cache: &Cache| seen.iter().all(|(name, sight)| cache.has(name, sight.size, sight.mtime));
        let cache = match cache {
            Some(cache) if is_kept && is_here(&cache) => {
                return Self::read_first(from, names, FetchedFiles::kept(cache), true).await;
            }
            cache => cache,
        };
        let files = match fetcher.fetch_cached(&from, seen.keys().cloned().collect(), MAX_SIZE, cache).await {
            // Barman makes the directory when the first WAL arrives.
            Err(error) if error.is_absent() => FetchedFiles::default(),
            files => files?,
        };
        let is_list = |name: &str| name == NOTE || names.iter().any(|list| list == Path::new(name));
        if let Some(Err(error)) = files.cache().map(|cache| cache.keep_only(is_list)) {
            tracing::debug!("the cache of lists keeps more than it should: {error}");
        }
        Self::read_first(from, names, files, true).await
    }

    /// Fetches what there is at a place that may be the right one.
    pub async fn suppose(fetcher: &Fetcher<'_>, dirs: &ServerDirs, cache: Option<Cache>) -> Result<Self, Error> {
        let (from, names) = (dirs.xlogdb_directory.clone(), names(dirs));
        let files = fetcher.fetch_cached(&from, names.clone(), MAX_SIZE, cache).await?;
        Self::read_first(from, names, files, false).await
    }

    /// The lists of the place that turned out to be the right one, given what is seen there: these, where they are that,
    /// or what is fetched now.
    pub async fn settle(
        self,
        fetcher: &Fetcher<'_>,
        dirs: &ServerDirs,
        seen: &BTreeMap<PathBuf, Sight>,
    ) -> Result<Self, Error> {
        let (from, names) = (dirs.xlogdb_directory.clone(), names(dirs));
        let is_here = |name: &PathBuf| self.files.has(name, seen.get(name).map(|sight| (sight.size, sight.mtime)));
        if names.iter().all(is_here) {
            return Ok(Self { from, names, ..self });
        }
        check_sizes(seen)?;
        let mut files = self.files;
        if seen.is_empty() {
            files = FetchedFiles::default();
        } else {
            files.fetch_again(fetcher, &from, names.clone(), MAX_SIZE).await?;
        }
        Self::read_first(from, names, files, true).await
    }

    async fn read_first(
        from: PathBuf,
        names: Vec<PathBuf>,
        files: FetchedFiles,
        were_seen: bool,
    ) -> Result<Self, Error> {
        let mut lists = Self { from, names, files, were_seen, list: None };
        lists.list = lists.read().await?;
        Ok(lists)
    }

    /// Whether what the list says stays here for the next run, which sees whether it changed.
    pub fn are_kept(&self) -> bool {
        self.were_seen && self.files.cache().is_some_and(|cache| !cache.is_read_only())
    }

    /// The name on the last line, and where that begins.
    pub fn last(&self) -> Option<(WalName, u64)> {
        self.list.as_ref()?.last
    }

    /// Whether the primary has none.
    pub fn has_none(&self) -> bool {
        self.list.is_none()
    }

    /// What the list says; `None` where the primary has none.
    pub fn take(&mut self) -> Option<ListRead> {
        self.list.take()
    }

    async fn read(&mut self) -> Result<Option<ListRead>, Error> {
        let (files, names) = (std::mem::take(&mut self.files), self.names.clone());
        let (files, read) = tokio::task::spawn_blocking(move || {
            let read = read_any(&files, &names);
            (files, read)
        })
        .await?;
        self.files = files;
        read
    }

    /// The same, if the primary has changed it meanwhile.
    pub async fn read_again(&mut self, fetcher: &Fetcher<'_>) -> Result<Option<ListRead>, Error> {
        let is_new = self.files.fetch_again(fetcher, &self.from, self.names.clone(), MAX_SIZE).await?;
        if is_new { self.read().await } else { Ok(None) }
    }
}

/// The names that the list of a server may have; that of newer Barmans first.
fn names(dirs: &ServerDirs) -> Vec<PathBuf> {
    let name = |layout: Layout| layout.xlogdb(dirs).file_name().map(PathBuf::from);
    Layout::readable().into_iter().filter_map(name).collect()
}

/// What the first of these lists says that is there.
fn read_any(files: &FetchedFiles, names: &[PathBuf]) -> Result<Option<ListRead>, Error> {
    let Some(mut bytes) = names.iter().find_map(|name| files.read(name, MAX_SIZE + 1)) else { return Ok(None) };
    if bytes.len() as u64 > MAX_SIZE {
        return Err(too_long(&format!("has more than {} MiB", MAX_SIZE >> 20)));
    }
    let cache = files.cache();
    let is_kept = cache.is_some_and(|cache| !cache.is_read_only());
    let mut memory = ListMemory::new(cache.and_then(|cache| cache.noted(MAX_NOTE)), is_kept);
    let read = lines(&mut bytes, &mut memory);
    if let Some((cache, renewed)) = cache.zip(memory.renewed())
        && let Err(error) = cache.note(renewed)
    {
        tracing::debug!("what the list came to is not remembered: {error}");
    }
    read.map(Some)
}

fn lines(bytes: &mut Vec<u8>, memory: &mut ListMemory) -> Result<ListRead, Error> {
    bytes.truncate(bytes.iter().rposition(|byte| *byte == b'\n').map_or(0, |end| end + 1));
    let count = memchr::memchr_iter(b'\n', bytes).count();
    if count > MAX_FILES {
        return Err(too_long(&format!("has {count} lines")));
    }
    let list = XlogDbFile::of(bytes, memory.parse(bytes));
    Ok(ListRead { fault: list.is_faulty().then(|| FAULT.to_owned()), last: list.last, entries: list.entries })
}

/// Refuses a list that is too long, before any of it comes.
fn check_sizes(seen: &BTreeMap<PathBuf, Sight>) -> Result<(), Error> {
    if seen.values().any(|sight| sight.size > MAX_SIZE) {
        return Err(too_long(&format!("has more than {} MiB", MAX_SIZE >> 20)));
    }
    Ok(())
}

fn too_long(what: &str) -> Error {
    Error::new(Kind::Untrusted, format!("its xlog.db {what}, and no more is read"))
        .hint("see what wrote it; `barman rebuild-xlogdb` at the primary makes it anew")
}

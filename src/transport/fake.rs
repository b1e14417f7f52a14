//! A primary for tests: files in memory, scripted answers, and faults on demand.
//!
//! ```ignore
//! let primary = FakePrimary::new().file("/barman/main/wals/x", b"bytes").fault(Fault::CutAfter(3));
//! let connection = primary.connect();
//! ```

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::fs;
use std::io::{Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard};

use async_trait::async_trait;
use tokio_util::sync::CancellationToken;

use super::parts;
use super::paths::{PARTIAL_DIR, landing};
use super::{
    BarmanCommands, ByteCounter, Connection, Fetch, Fetched, Files, Look, Part, RemoteEntry, RemoteFile, What,
};
use crate::barman::ids::ServerName;
use crate::barman::wal::WalName;
use crate::error::{Error, Kind};

/// What goes wrong in one call. Each fault is used up by the next call it fits; a fault pushed K times fails K times.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fault {
    /// The line is cut after this many bytes of a copy; the file in work stays as a partial one.
    CutAfter(u64),
    /// The file system here is full after this many bytes of a copy.
    FullAfter(u64),
    /// Nothing comes until the copy is cancelled.
    Hang,
    /// The next listing, command or copy fails with this.
    Fail(Kind),
}

/// A scripted primary; clones are the same one.
#[derive(Debug, Clone, Default)]
pub struct FakePrimary(Arc<Mutex<State>>);

#[derive(Debug, Default)]
struct State {
    files: BTreeMap<PathBuf, Vec<u8>>,
    /// Where a login begins.
    home: PathBuf,
    /// The seconds on the clock there.
    now: i64,
    /// When files and directories changed that did not do so at 0.
    changed: BTreeMap<PathBuf, i64>,
    sync_info: BTreeMap<String, Vec<u8>>,
    list_servers: Vec<u8>,
    faults: VecDeque<Fault>,
    calls: Vec<String>,
    brought: Vec<PathBuf>,
    taps: Vec<Vec<PathBuf>>,
}

impl FakePrimary {
    /// Without files and answers.
    pub fn new() -> Self {
        Self::default()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap()
    }

    /// Adds or replaces a file, by its absolute path.
    #[must_use]
    pub fn file(self, path: impl Into<PathBuf>, content: impl Into<Vec<u8>>) -> Self {
        let path = path.into();
        let mut state = self.state();
        let is_new = state.files.insert(path.clone(), content.into()).is_none();
        state.note_change(&path, is_new);
        drop(state);
        self
    }

    /// Sets where a login begins.
    #[must_use]
    pub fn home(self, home: impl Into<PathBuf>) -> Self {
        self.state().home = home.into();
        self
    }

    /// Sets the answer of `sync-info` for a server.
    #[must_use]
    pub fn sync_info(self, server: &str, answer: impl Into<Vec<u8>>) -> Self {
        self.state().sync_info.insert(server.to_owned(), answer.into());
        self
    }

    /// Sets the answer of `list-servers --minimal`.
    #[must_use]
    pub fn list_servers(self, answer: impl Into<Vec<u8>>) -> Self {
        self.state().list_servers = answer.into();
        self
    }

    /// Adds a fault after those that are still to come.
    #[must_use]
    pub fn fault(self, fault: Fault) -> Self {
        self.state().faults.push_back(fault);
        self
    }

    /// Loses a file.
    pub fn lose(&self, path: impl AsRef<Path>) {
        let mut state = self.state();
        state.files.remove(path.as_ref());
        state.note_change(path.as_ref(), true);
    }

    /// Whether it has a file.
    pub fn has(&self, path: impl AsRef<Path>) -> bool {
        self.state().files.contains_key(path.as_ref())
    }

    /// What is in a file that it has.
    pub fn content(&self, path: impl AsRef<Path>) -> Vec<u8> {
        self.state().files[path.as_ref()].clone()
    }

    /// Lets time pass there.
    pub fn pass(&self, seconds: i64) {
        self.state().now += seconds;
    }

    /// Every call so far, such as `sync-info main`, `list /d` or `fetch /d`.
    pub fn calls(&self) -> Vec<String> {
        self.state().calls.clone()
    }

    /// Every file that was brought whole so far, in order.
    pub fn brought(&self) -> Vec<PathBuf> {
        self.state().brought.clone()
    }

    /// The taps of each copy so far, in order.
    pub fn taps(&self) -> Vec<Vec<PathBuf>> {
        self.state().taps.clone()
    }

    /// A connection to it.
    pub fn connect(&self) -> Connection {
        Connection { commands: Some(Arc::new(self.clone())), files: Arc::new(self.clone()), line: Arc::default() }
    }

    /// Notes a call, and takes the next fault.
    fn call(&self, what: String) -> Option<Fault> {
        let mut state = self.state();
        state.calls.push(what);
        state.faults.pop_front()
    }

    fn simple_call(&self, what: String) -> Result<(), Error> {
        match self.call(what) {
            Some(Fault::Fail(kind)) => Err(scripted(kind)),
            Some(Fault::CutAfter(_) | Fault::Hang) => Err(scripted(Kind::Lost)),
            Some(Fault::FullAfter(_)) | None => Ok(()),
        }
    }

    /// Gives a file here the time that it has there.
    fn date(&self, here: &Path, there: &Path) {
        let mtime = u64::try_from(self.state().mtime(there)).unwrap();
        let file = fs::File::options().write(true).open(here).unwrap();
        file.set_modified(std::time::UNIX_EPOCH + std::time::Duration::from_secs(mtime)).unwrap();
    }

    /// Brings a part of a file, or so many bytes of it before what happens then.
    fn part(
        &self,
        request: &Fetch,
        part: &Part,
        content: Option<&Vec<u8>>,
        (budget, end): (u64, Kind),
        counter: &ByteCounter,
    ) -> Result<Fetched, Error> {
        let Some(content) = content else {
            return Ok(Fetched { missing: vec![part.path.clone()], ..Fetched::default() });
        };
        let mut file = parts::open(part, &request.into).unwrap();
        let begins = file.seek(SeekFrom::End(0)).unwrap();
        let ends = part.bytes.end.min(content.len() as u64).min(begins.saturating_add(budget)).max(begins);
        file.write_all(&content[usize::try_from(begins).unwrap()..usize::try_from(ends).unwrap()]).unwrap();
        counter.add(ends - part.bytes.start);
        if ends < part.bytes.end && ends < content.len() as u64 {
            return Err(scripted(end));
        }
        let landing = request.into.join(landing(&part.path, true));
        self.date(&landing, &request.from.join(&part.path));
        Ok(Fetched { transferred: ends - begins, ..Fetched::default() })
    }

    /// Paths relative to a directory with their contents.
    fn below(&self, directory: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
        let state = self.state();
        let relative = |(path, content): (&PathBuf, &Vec<u8>)| {
            Some((path.strip_prefix(directory).ok()?.to_owned(), content.clone()))
        };
        state.files.iter().filter_map(relative).collect()
    }
}

impl State {
    fn note_change(&mut self, path: &Path, is_of_directory: bool) {
        let now = self.now;
        self.changed.extend(path.parent().filter(|_| is_of_directory).map(|parent| (parent.to_owned(), now)));
        self.changed.insert(path.to_owned(), now);
    }

    fn mtime(&self, path: &Path) -> i64 {
        self.changed.get(path).copied().unwrap_or_default()
    }

    /// What is under a name.
    fn entry(&self, from: &Path, path: &Path) -> Option<RemoteEntry> {
        let at = from.join(path);
        let size = self.files.get(&at).map(|content| content.len() as u64);
        let is_directory = size.is_none() && self.files.keys().any(|file| file.starts_with(&at));
        let mtime = self.mtime(&at);
        let entry = RemoteEntry { path: path.to_owned(), size: size.unwrap_or(0), mtime, is_directory };
        (size.is_some() || is_directory).then_some(entry)
    }
}

/// The same answer with WAL of later names only; `None` where it is no JSON.
fn wal_after(answer: &[u8], last: WalName) -> Option<Vec<u8>> {
    let mut answer: serde_json::Value = serde_json::from_slice(answer).ok()?;
    let is_later = |wal: &serde_json::Value| wal["name"].as_str().is_some_and(|name| *name > *last.to_string());
    answer.get_mut("wals")?.as_array_mut()?.retain(is_later);
    serde_json::to_vec(&answer).ok()
}

fn scripted(kind: Kind) -> Error {
    Error::new(kind, format!("scripted: {}", kind.label()))
}

#[async_trait]
impl BarmanCommands for FakePrimary {
    async fn sync_info(&self, server: &ServerName, after: Option<(WalName, u64)>) -> Result<Vec<u8>, Error> {
        let arguments = after.map(|(name, position)| format!(" {name} {position}")).unwrap_or_default();
        self.simple_call(format!("sync-info {server}{arguments}"))?;
        let answer = self.state().sync_info.get(server.as_str()).cloned();
        let answer = answer.ok_or_else(|| scripted(Kind::CommandFailed))?;
        Ok(after.and_then(|(name, _)| wal_after(&answer, name)).unwrap_or(answer))
    }

    async fn list_servers(&self) -> Result<Vec<u8>, Error> {
        self.simple_call("list-servers".to_owned())?;
        Ok(self.state().list_servers.clone())
    }
}

#[async_trait]
impl Files for FakePrimary {
    async fn list(&self, directory: &Path) -> Result<Vec<RemoteFile>, Error> {
        self.simple_call(format!("list {}", directory.display()))?;
        let files = self.below(directory);
        if files.is_empty() {
            return Err(scripted(Kind::NotFound));
        }
        let state = self.state();
        let mtime = |path: &Path| state.mtime(&directory.join(path));
        let file =
            |(path, content): (PathBuf, Vec<u8>)| RemoteFile { mtime: mtime(&path), size: content.len() as u64, path };
        Ok(files.into_iter().map(file).collect())
    }

    async fn look(&self, request: &Look) -> Result<Vec<RemoteEntry>, Error> {
        self.simple_call(format!("look {}", request.from.display()))?;
        let state = self.state();
        let mut names: BTreeSet<PathBuf> = request.names.iter().cloned().collect();
        for directory in &request.directories {
            names.insert(directory.clone());
            let at = request.from.join(directory);
            let below = state.files.keys().filter_map(|file| file.strip_prefix(&at).ok()?.components().next());
            names.extend(below.map(|name| directory.join(name)));
        }
        Ok(names.iter().filter_map(|name| state.entry(&request.from, name)).collect())
    }

    async fn fetch(
        &self,
        request: &Fetch,
        counter: &ByteCounter,
        cancel: &CancellationToken,
    ) -> Result<Fetched, Error> {
        let (mut budget, end) = match self.call(format!("fetch {}", request.from.display())) {
            Some(Fault::Fail(kind)) => return Err(scripted(kind)),
            Some(Fault::Hang) => {
                cancel.cancelled().await;
                return Err(Error::interrupted());
            }
            Some(Fault::CutAfter(bytes)) => (bytes, Kind::Lost),
            Some(Fault::FullAfter(bytes)) => (bytes, Kind::NoSpace),
            None => (u64::MAX, Kind::Other),
        };
        self.state().taps.push(request.taps.clone());
        let from = match request.from.strip_prefix(".") {
            Ok(below) => self.state().home.join(below),
            Err(_) => request.from.clone(),
        };
        let there = self.below(&from);
        if let What::Part(part) = &request.what {
            return self.part(request, part, there.get(&part.path), (budget, end), counter);
        }
        let (paths, flatten): (Vec<PathBuf>, bool) = match &request.what {
            What::Files { paths, flatten } => (paths.clone(), *flatten),
            // The fake has files only, and makes their directories as they come.
            What::Directories { .. } | What::Part(_) => (Vec::new(), false),
        };
        let mut fetched = Fetched::default();
        for path in paths {
            if cancel.is_cancelled() {
                return Err(Error::interrupted());
            }
            let Some(content) = there.get(&path) else {
                fetched.missing.push(path);
                continue;
            };
            let target = request.into.join(landing(&path, flatten));
            if fs::read(&target).is_ok_and(|present| present == *content) {
                self.date(&target, &from.join(&path));
                continue;
            }
            let length = (content.len() as u64).min(budget);
            budget -= length;
            counter.add(length);
            fetched.transferred += length;
            if length < content.len() as u64 {
                let kept = usize::try_from(length).unwrap_or(usize::MAX);
                write(
                    &target.with_file_name(PARTIAL_DIR).join(target.file_name().unwrap_or_default()),
                    &content[..kept],
                );
                return Err(scripted(end));
            }
            write(&target, content);
            self.date(&target, &from.join(&path));
            self.state().brought.push(from.join(&path));
        }
        Ok(fetched)
    }
}

fn write(path: &Path, content: &[u8]) {
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, content).unwrap();
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::transport::{Compare, Limit};

    #[tokio::test]
    async fn a_cut_line_leaves_a_partial_file_and_the_next_call_works() {
        let into = tempfile::tempdir().unwrap();
        let primary = FakePrimary::new().file("/s/wals/a", "12345").file("/s/wals/b", "678").fault(Fault::CutAfter(6));
        let connection = primary.connect();
        let what = What::Files { paths: ["a", "b", "c"].map(PathBuf::from).to_vec(), flatten: true };
        let request = Fetch {
            from: "/s/wals".into(),
            into: into.path().into(),
            what,
            basis: None,
            compare: Compare::Times,
            bandwidth: None,
            taps: Vec::new(),
            compress: false,
            limit: Limit::of([1 << 40]),
        };
        let (counter, cancel) = (ByteCounter::default(), CancellationToken::new());
        let error = connection.files.fetch(&request, &counter, &cancel).await.unwrap_err();
        assert_eq!((error.kind, counter.get()), (Kind::Lost, 6));
        assert_eq!(fs::read(into.path().join(PARTIAL_DIR).join("b")).unwrap(), b"6");
        let fetched = connection.files.fetch(&request, &counter, &cancel).await.unwrap();
        assert_eq!((fetched.transferred, fetched.missing), (3, vec![PathBuf::from("c")]));
        assert_eq!(primary.calls(), ["fetch /s/wals", "fetch /s/wals"]);
    }
}

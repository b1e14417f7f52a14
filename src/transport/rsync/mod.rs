//! Files over ssh: the system's rsync through an open master.
//!
//! What rsync gives and is relied on: each file is written under a temporary name and renamed when its checksum agrees;
//! a file that was cut off is kept aside (`--partial-dir`) and finished by the next copy. What is not left to it: links
//! that lead out of the directory, names, and what an exit code means.

mod arguments;
mod listing;
mod outcome;
mod progress;
pub(super) mod trust;
mod version;

use std::ffi::OsString;
use std::fs::{self, Permissions};
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::Arc;
use std::time::{Duration, Instant};

use async_trait::async_trait;
use tempfile::TempDir;
use tokio::process::Command;
use tokio::sync::OnceCell;
use tokio_util::sync::CancellationToken;

use crate::error::{Error, Kind};
use crate::site::model::Primary;

use super::activity::Allowance;
use super::paths::{self, SCRATCH_PREFIX};
use super::patience::Line;
use super::process::{self, Ended, How, Task};
use super::ssh::{Lease, Masters};
use super::{
    ByteCounter, Compare, Fetch, Fetched, Files, Look, Part, RemoteEntry, RemoteFile, What, blocking, check_room,
    parts, taps,
};
use arguments::{HALVES, Way, fetch_arguments, list_arguments, look_arguments};
use listing::Listing;
use outcome::{Asked, judge};
use progress::Progress;
use version::Version;

/// Lists and copies files of a primary.
pub(super) struct RsyncFiles {
    masters: Arc<Masters>,
    idle: Duration,
    version: OnceCell<Version>,
    line: Arc<Line>,
}

impl RsyncFiles {
    /// Files through these connections.
    pub(super) fn new(primary: &Primary, masters: Arc<Masters>, line: Arc<Line>) -> Self {
        Self { masters, idle: primary.timeouts.idle, version: OnceCell::new(), line }
    }

    fn primary(&self) -> &str {
        self.masters.primary()
    }

    async fn way(&self, lease: &Lease, directory: &Path) -> Result<Way, Error> {
        let version = *self.version.get_or_try_init(version::local).await?;
        if !version.can_name(directory) {
            let (primary, directory) = (self.primary(), directory.display().to_string());
            let what = "the rsync of this machine cannot name a directory that has a backtick";
            let message = format!("primary {primary}: {what}: {}", directory.escape_debug());
            return Err(Error::new(Kind::ProgramTooOld, message).hint("upgrade rsync here to 3.5.0 or newer"));
        }
        Ok(Way { remote_shell: lease.remote_shell(), idle: self.idle, version })
    }

    /// The way of a copy, whose bytes pass through us where there are limits.
    async fn way_of_copy(&self, lease: &Lease, request: &Fetch) -> Result<Way, Error> {
        let way = self.way(lease, &request.from).await?;
        if request.taps.is_empty() {
            return Ok(way);
        }
        Ok(Way { remote_shell: taps::letting_through(&request.taps, &way.remote_shell), ..way })
    }

    /// Runs what only lists. When its first line came is noted: it tells of the line's delay.
    async fn list_into(
        &self,
        listing: &mut Listing<'_>,
        lease: &Lease,
        arguments: Vec<OsString>,
        input: Vec<u8>,
    ) -> Result<Ended, Error> {
        let (silence, cancel) = (self.silence(Compare::Times), self.masters.cancel());
        let (begun, mut has_answered) = (Instant::now(), false);
        let read = |bytes: &[u8]| {
            if !std::mem::replace(&mut has_answered, true) {
                self.line.has_answered(begun.elapsed());
            }
            listing.read(bytes);
        };
        self.run(lease, rsync().args(arguments), Task { input, scratch: None, silence, cancel }, read).await
    }

    /// Lists all below a directory, but for the directories in it that a pattern matches.
    async fn list_without(&self, directory: &Path, passed_over: Option<&str>) -> Result<Vec<RemoteFile>, Error> {
        paths::check_directory(self.primary(), directory)?;
        let lease = self.masters.lease().await?;
        let way = self.way(&lease, directory).await?;
        let mut listing = Listing::of_files(self.primary());
        let arguments = list_arguments(directory, passed_over, &way);
        let ended = self.list_into(&mut listing, &lease, arguments, Vec::new()).await?;
        let asked = Asked { primary: self.primary(), directory, paths: &[] };
        judge(&ended, asked)?;
        listing.files()
    }

    /// Brings a part of a file: rsync appends to what is here, and the system lets the file grow to the end of the part.
    async fn fetch_part(
        &self,
        request: &Fetch,
        part: &Part,
        counter: &ByteCounter,
        cancel: &CancellationToken,
    ) -> Result<Fetched, Error> {
        let (primary, checked, opened) = (self.primary().to_owned(), request.clone(), part.clone());
        let file = blocking(move || {
            check_fetch(&primary, &checked)?;
            parts::open(&opened, &checked.into).map_err(|error| not_kept(&checked.into, &error))
        })
        .await?;
        let length = || file.metadata().map_err(|error| not_kept(&request.into, &error)).map(|found| found.len());
        let begins = length()?;
        let lease = self.lease_for_copy(cancel).await?;
        let way = self.way_of_copy(&lease, request).await?;
        let mut progress = Progress::behind(counter, part.bytes.start);
        progress.came(begins - part.bytes.start);
        let input = names(std::slice::from_ref(&part.path), b"\0");
        let task = Task { input, scratch: None, silence: self.silence(Compare::Times), cancel };
        let mut command = within(part.bytes.end);
        command.args(fetch_arguments(request, &way, None));
        let ended = self.run(&lease, &mut command, task, |bytes| progress.read(bytes)).await?;
        let ends = length()?;
        progress.came(ends.saturating_sub(part.bytes.start));
        let fetched = Fetched { transferred: ends.saturating_sub(begins), ..Fetched::default() };
        if ends >= part.bytes.end && ended.how == How::Exited(TOO_LARGE) {
            return Ok(fetched);
        }
        let paths = std::slice::from_ref(&part.path);
        let mut missing = judge(&ended, Asked { primary: self.primary(), directory: &request.from, paths })?;
        if ends < part.bytes.end && missing.is_empty() {
            // It is no regular file, or a shorter one than it was.
            missing.push(part.path.clone());
        }
        Ok(Fetched { missing, ..fetched })
    }

    async fn lease_for_copy(&self, cancel: &CancellationToken) -> Result<Lease, Error> {
        tokio::select! {
            biased;
            () = cancel.cancelled() => Err(Error::interrupted()),
            lease = self.masters.lease_for_copy() => lease,
        }
    }

    fn silence(&self, compare: Compare) -> Allowance {
        Allowance { idle: self.idle, greetings_count: compare == Compare::Content }
    }

    async fn run(
        &self,
        lease: &Lease,
        command: &mut Command,
        task: Task<'_>,
        on_output: impl FnMut(&[u8]) + Send,
    ) -> Result<Ended, Error> {
        // Either interruption ends it: of the whole connection, or of this transfer.
        let either = task.cancel.child_token();
        let task = Task { cancel: &either, ..task };
        let running = process::run(command, task, on_output);
        let run_cancel = self.masters.cancel();
        let relay = async {
            run_cancel.cancelled().await;
            either.cancel();
            std::future::pending::<()>().await;
        };
        let ended = tokio::select! { ended = running => ended, () = relay => return Err(Error::interrupted()) };
        let ended = ended.map_err(|error| version::not_runnable(&error))?;
        if ended.how == How::Silent {
            // The line itself may be what is frozen.
            lease.retire();
        }
        Ok(ended)
    }
}

#[async_trait]
impl Files for RsyncFiles {
    async fn list(&self, directory: &Path) -> Result<Vec<RemoteFile>, Error> {
        self.list_without(directory, None).await
    }

    async fn list_wide(&self, directory: &Path) -> Result<Vec<RemoteFile>, Error> {
        let [first, second] = HALVES.map(|half| self.list_without(directory, Some(half)));
        let (mut files, others) = tokio::try_join!(first, second)?;
        files.extend(others);
        // What lies beside the directories is in both.
        files.sort();
        files.dedup();
        check_room(self.primary(), files.len())?;
        Ok(files)
    }

    async fn look(&self, request: &Look) -> Result<Vec<RemoteEntry>, Error> {
        paths::check_directory(self.primary(), &request.from)?;
        paths::check_relative(self.primary(), &request.names)?;
        paths::check_relative(self.primary(), &request.directories)?;
        let lease = self.masters.lease().await?;
        let way = self.way(&lease, &request.from).await?;
        let mut listing = Listing::of_entries(self.primary());
        let mut input = names(&request.names, b"\0");
        // With a slash at its end a directory is what is in it.
        input.extend(names(&request.directories, b"/\0"));
        let arguments = look_arguments(request, &way);
        let ended = self.list_into(&mut listing, &lease, arguments, input).await?;
        let asked = Asked { primary: self.primary(), directory: &request.from, paths: &[] };
        judge(&ended, asked)?;
        listing.entries()
    }

    async fn fetch(
        &self,
        request: &Fetch,
        counter: &ByteCounter,
        cancel: &CancellationToken,
    ) -> Result<Fetched, Error> {
        if let What::Part(part) = &request.what {
            return self.fetch_part(request, part, counter, cancel).await;
        }
        let (primary, checked) = (self.primary().to_owned(), request.clone());
        let scratch = blocking(move || {
            check_fetch(&primary, &checked)?;
            scratch_in(&checked.into)
        })
        .await?;
        let lease = self.lease_for_copy(cancel).await?;
        let way = self.way_of_copy(&lease, request).await?;
        let arguments = fetch_arguments(request, &way, Some(scratch.path()));
        let end = cancel.child_token();
        let mut progress = Progress::at_most(counter, request.limit.all, end.clone());
        let (input, silence) = (files_from(&request.what), self.silence(request.compare));
        let task = Task { input, scratch: Some(scratch), silence, cancel: &end };
        let mut command = within(request.limit.largest);
        let ended = self.run(&lease, command.args(arguments), task, |bytes| progress.read(bytes)).await?;
        if progress.is_exceeded() && !cancel.is_cancelled() {
            return Err(request.limit.exceeded(self.primary(), &request.from));
        }
        let paths = match &request.what {
            What::Files { paths, .. } => paths.as_slice(),
            What::Directories { .. } | What::Part(_) => &[],
        };
        let missing = judge(&ended, Asked { primary: self.primary(), directory: &request.from, paths })?;
        let fetched = Fetched { transferred: progress.received(), missing, refused: progress.into_refused() };
        let request = request.clone();
        blocking(move || look_again(&request, fetched)).await
    }

    async fn close(&self) {
        self.masters.close().await;
    }
}

/// What could let a copy write outside its directory, or cannot work at all.
fn check_fetch(primary: &str, request: &Fetch) -> Result<(), Error> {
    paths::check_source(primary, &request.from)?;
    if !request.into.is_dir() {
        return Err(here(Kind::NotFound, &request.into, "the directory does not exist"));
    }
    let (wanted, flatten) = match &request.what {
        What::Files { paths, flatten } => (paths.as_slice(), *flatten),
        What::Part(part) => (std::slice::from_ref(&part.path), true),
        What::Directories { .. } => return Ok(()),
    };
    paths::check_relative(primary, wanted)?;
    if !flatten && let Some(link) = paths::link_on_the_way(&request.into, wanted) {
        let link = request.into.join(link);
        return Err(here(Kind::Untrusted, &link, "a file would be written through this symbolic link"));
    }
    Ok(())
}

/// Does not believe rsync's silence: a file that is not here is missing, a link that leads out is removed.
fn look_again(request: &Fetch, mut fetched: Fetched) -> Result<Fetched, Error> {
    match &request.what {
        What::Files { paths, flatten } => {
            // rsync skips what is not a regular file, and exits with 0.
            let absent = |path: &&PathBuf| {
                let landed = request.into.join(paths::landing(path, *flatten));
                !fs::symlink_metadata(landed).is_ok_and(|metadata| metadata.is_file())
            };
            fetched.missing.extend(paths.iter().filter(absent).cloned());
        }
        What::Part(_) => {}
        What::Directories { .. } => {
            let removed = paths::remove_escaping_links(&request.into)
                .map_err(|error| here(Kind::from(&error), &request.into, &error.to_string()))?;
            fetched.refused.extend(removed);
        }
    }
    for list in [&mut fetched.missing, &mut fetched.refused] {
        list.sort();
        list.dedup();
    }
    Ok(fetched)
}

/// A private directory for rsync's temporary files: what a kill leaves there is found again.
fn scratch_in(directory: &Path) -> Result<TempDir, Error> {
    tempfile::Builder::new()
        .prefix(SCRATCH_PREFIX)
        .permissions(Permissions::from_mode(0o700))
        .tempdir_in(directory)
        .map_err(|error| not_kept(directory, &error))
}

/// What `--files-from` reads: the names, each with a NUL behind it.
fn files_from(what: &What) -> Vec<u8> {
    let What::Files { paths, .. } = what else { return Vec::new() };
    names(paths, b"\0")
}

fn names(paths: &[PathBuf], end: &[u8]) -> Vec<u8> {
    paths.iter().flat_map(|path| [path.as_os_str().as_bytes(), end].concat()).collect()
}

/// An error about a path at the site.
fn here(kind: Kind, path: &Path, what: &str) -> Error {
    Error::new(kind, format!("{}: {what}", path.display()))
}

/// Nothing can be written into a directory here.
fn not_kept(directory: &Path, error: &io::Error) -> Error {
    here(Kind::from(error), directory, &error.to_string())
}

/// rsync's exit code for a file that cannot be written, such as one that is as large as it may be.
const TOO_LARGE: i32 = 11;

/// rsync, which can write no file beyond this size, but to the next 512 bytes: what it writes to then fails, and it ends.
fn within(size: u64) -> Command {
    let mut command = cleaned(Command::new("sh"));
    // The signal would end it before it says anything, with a core dump.
    command.args(["-c", r#"trap "" XFSZ; ulimit -f "$0"; exec rsync "$@""#, &size.div_ceil(512).to_string()]);
    command
}

/// rsync, with nothing of the environment that changes what it does.
fn rsync() -> Command {
    cleaned(Command::new("rsync"))
}

fn cleaned(mut command: Command) -> Command {
    for variable in
        ["RSYNC_RSH", "RSYNC_OLD_ARGS", "RSYNC_PROTECT_ARGS", "RSYNC_PARTIAL_DIR", "RSYNC_ICONV", "RSYNC_MAX_ALLOC"]
    {
        command.env_remove(variable);
    }
    // A listing has times without a zone.
    command.env("LC_ALL", "C").env("TZ", "UTC0").stdin(Stdio::null());
    command
}

//! Copies single entries of a catalog.
//!
//! A file grows in `.antipode-partial/NAME` beside its final name and is renamed when it is whole. When it is
//! interrupted it is stamped with the source's time: with that stamp the next copy goes on at its end, without it (after
//! a crash) it starts anew.

use std::fs::{self, File, FileTimes, OpenOptions, Permissions};
use std::io::{self, Read, Seek, SeekFrom};
use std::ops::Range;
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use rustix::fs::{Mode, OFlags, open, openat};

use super::failure;
use crate::error::Error;
use crate::transport::paths::{PARTIAL_DIR, link_stays_inside};
use crate::transport::taps::Taps;
use crate::transport::{ByteCounter, Compare, Fetch, Fetched, Part, parts};

/// Between two looks at the interruption.
const CHUNK: u64 = 8 << 20;

/// What is read of two files at a time to compare them.
const COMPARED: usize = 1 << 20;

/// The longest sleep, so that an interruption is noticed.
const NAP: Duration = Duration::from_millis(100);

/// What a file and a directory come with: who else may read them here is decided when they are whole.
const FILE: u32 = 0o600;
const DIRECTORY: u32 = 0o700;

/// Copies entries one after the other, and keeps the account.
pub(super) struct Copier<'a> {
    primary: &'a str,
    request: &'a Fetch,
    counter: &'a ByteCounter,
    stop: Box<dyn Fn() -> bool + 'a>,
    bucket: Bucket,
    taps: Taps,
    done: Fetched,
    /// Bytes of all files so far.
    come: u64,
}

impl<'a> Copier<'a> {
    /// A copier for one request; it ends when `stop` says so.
    pub(super) fn new(
        primary: &'a str,
        request: &'a Fetch,
        counter: &'a ByteCounter,
        stop: impl Fn() -> bool + 'a,
    ) -> Result<Self, Error> {
        // Tells a directory that is missing from files that are.
        fs::read_dir(&request.from).map_err(|error| failure(primary, &request.from, &error))?;
        let taps = Taps::open(&request.taps).map_err(|error| failure(primary, &request.into, &error))?;
        let (stop, bucket) = (Box::new(stop), Bucket::new(request.bandwidth));
        Ok(Self { primary, request, counter, stop, bucket, taps, done: Fetched::default(), come: 0 })
    }

    /// What was done.
    pub(super) fn finish(mut self) -> Fetched {
        self.done.missing.sort();
        self.done.refused.sort();
        self.done
    }

    /// Notes an entry that is gone.
    pub(super) fn vanished(&mut self, path: PathBuf) {
        self.done.missing.push(path);
    }

    /// Makes a directory; its time follows when it is full.
    pub(super) fn directory(&self, path: &Path) -> Result<(), Error> {
        let target = self.request.into.join(path);
        let made = match fs::symlink_metadata(&target) {
            Ok(metadata) if metadata.is_dir() => Ok(()),
            Ok(_) => fs::remove_file(&target).and_then(|()| fs::create_dir(&target)),
            Err(_) => fs::create_dir(&target),
        };
        made.and_then(|()| fs::set_permissions(&target, Permissions::from_mode(DIRECTORY)))
            .map_err(|error| failure(self.primary, &target, &error))
    }

    /// Gives a directory the time of the source.
    pub(super) fn directory_times(&self, path: &Path) -> Result<(), Error> {
        let target = self.request.into.join(path);
        let Ok(modified) = fs::symlink_metadata(self.request.from.join(path)).and_then(|metadata| metadata.modified())
        else {
            return Ok(());
        };
        File::open(&target)
            .and_then(|directory| directory.set_times(FileTimes::new().set_modified(modified)))
            .map_err(|error| failure(self.primary, &target, &error))
    }

    /// Makes a symbolic link, unless it points out of the tree.
    pub(super) fn link(&mut self, path: &Path) -> Result<(), Error> {
        let target = self.request.into.join(path);
        let Ok(points_to) = fs::read_link(self.request.from.join(path)) else {
            self.vanished(path.to_owned());
            return Ok(());
        };
        if !link_stays_inside(path, &points_to) {
            self.done.refused.push(path.to_owned());
            return Ok(());
        }
        if fs::read_link(&target).is_ok_and(|present| present == points_to) {
            return Ok(());
        }
        match fs::remove_file(&target) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ => std::os::unix::fs::symlink(&points_to, &target),
        }
        .map_err(|error| failure(self.primary, &target, &error))
    }

    /// Copies a file to its place below the target directory.
    pub(super) fn file(&mut self, path: &Path, landing: &Path) -> Result<(), Error> {
        if (self.stop)() {
            return Err(Error::interrupted());
        }
        let target = self.request.into.join(landing);
        let source = open_below(&self.request.from, path)
            .map_err(|error| failure(self.primary, &self.request.from.join(path), &error))?;
        let Some(source) = source else {
            self.vanished(path.to_owned());
            return Ok(());
        };
        let wanted = Stamp::of(&source).map_err(|error| failure(self.primary, path, &error))?;
        let limit = self.request.limit;
        if limit.skips && wanted.size > limit.largest {
            self.vanished(path.to_owned());
            return Ok(());
        }
        self.come = self.come.saturating_add(wanted.size);
        if wanted.size > limit.largest || self.come > limit.all {
            return Err(limit.exceeded(self.primary, &self.request.from.join(path)));
        }
        match self.is_here(&source, &target, &wanted) {
            Ok(true) => return Ok(()),
            Ok(false) => {}
            Err(error) => return Err(failure(self.primary, &target, &error)),
        }
        // The same file of an older backup is read from here.
        let basis = self.request.basis.as_ref().and_then(|basis| open_below(basis, landing).ok().flatten());
        let basis = basis.filter(|basis| basis.metadata().is_ok_and(|metadata| wanted.is_of(&metadata)));
        let from_primary = basis.is_none();
        match self.grow(basis.unwrap_or(source), &target, &wanted, from_primary) {
            Ok(true) => Ok(()),
            Ok(false) => Err(Error::interrupted()),
            Err(error) => Err(failure(self.primary, &target, &error)),
        }
    }

    /// Copies a part of a file; what there is of it here stays.
    pub(super) fn part(&mut self, part: &Part) -> Result<(), Error> {
        let source = open_below(&self.request.from, &part.path)
            .map_err(|error| failure(self.primary, &self.request.from.join(&part.path), &error))?;
        let Some(source) = source else {
            self.vanished(part.path.clone());
            return Ok(());
        };
        match self.append(source, part) {
            Ok(true) => Ok(()),
            Ok(false) => Err(Error::interrupted()),
            Err(error) => Err(failure(self.primary, &self.request.into, &error)),
        }
    }

    /// Whether it came to its end.
    fn append(&mut self, mut source: File, part: &Part) -> io::Result<bool> {
        let (mut file, wanted) = (parts::open(part, &self.request.into)?, Stamp::of(&source)?);
        let begins = file.seek(SeekFrom::End(0))?;
        source.seek(SeekFrom::Start(begins))?;
        self.counter.add(begins - part.bytes.start);
        if !self.pour(&source, &mut file, begins..part.bytes.end, true)? {
            return Ok(false);
        }
        if part.bytes.end == part.size {
            wanted.put_on(&file)?;
        }
        Ok(true)
    }

    /// Whether a file is here already, judged as the request asks for.
    fn is_here(&self, source: &File, target: &Path, wanted: &Stamp) -> io::Result<bool> {
        let Ok(found) = fs::symlink_metadata(target) else { return Ok(false) };
        if !found.is_file() || found.len() != wanted.size {
            return Ok(false);
        }
        if self.request.compare == Compare::Times {
            return Ok(wanted.is_of(&found));
        }
        let here = File::open(target)?;
        if self.common(source, &here, wanted.size)? < wanted.size {
            return Ok(false);
        }
        here.set_times(FileTimes::new().set_modified(wanted.modified))?;
        Ok(true)
    }

    /// How many bytes two files have in common from their starts, up to `length`; fewer when it was interrupted.
    fn common(&self, a: &File, b: &File, length: u64) -> io::Result<u64> {
        let (mut a, mut b) = (a.try_clone()?, b.try_clone()?);
        a.rewind()?;
        b.rewind()?;
        let (mut ours, mut theirs) = (vec![0; COMPARED], vec![0; COMPARED]);
        let mut common = 0;
        while common < length && !(self.stop)() {
            let chunk = usize::try_from(length - common).unwrap_or(COMPARED).min(COMPARED);
            let (ours, theirs) = (&mut ours[..chunk], &mut theirs[..chunk]);
            a.read_exact(ours)?;
            b.read_exact(theirs)?;
            let same = || ours.iter().zip(theirs.iter()).take_while(|(a, b)| a == b).count();
            let equal = if ours == theirs { chunk } else { same() };
            common += equal as u64;
            if equal < chunk {
                break;
            }
        }
        Ok(common)
    }

    /// Copies into the partial file and renames it; `false` when it was interrupted.
    fn grow(&mut self, mut source: File, target: &Path, wanted: &Stamp, from_primary: bool) -> io::Result<bool> {
        let partial = partial_path(target)?;
        let mut file = open_partial(&partial)?;
        let metadata = file.metadata()?;
        let mut length = metadata.len();
        if length > wanted.size || metadata.modified()? != wanted.modified {
            file.set_len(0)?;
            length = 0;
        }
        if self.request.compare == Compare::Content && length > 0 {
            length = self.common(&source, &file, length)?;
            file.set_len(length)?;
        }
        source.seek(SeekFrom::Start(length))?;
        file.seek(SeekFrom::Start(length))?;
        self.counter.add(length);
        if !self.pour(&source, &mut file, length..wanted.size, from_primary)? {
            file.set_times(FileTimes::new().set_modified(wanted.modified))?;
            return Ok(false);
        }
        wanted.put_on(&file)?;
        fs::rename(&partial, target)?;
        if let Some(directory) = partial.parent() {
            let _others_are_in_it = fs::remove_dir(directory);
        }
        Ok(true)
    }

    /// Copies from where two files are to the end of these bytes; `false` when it was interrupted.
    fn pour(&mut self, source: &File, file: &mut File, bytes: Range<u64>, from_primary: bool) -> io::Result<bool> {
        let mut length = bytes.start;
        while length < bytes.end {
            if (self.stop)() {
                return Ok(false);
            }
            // `io::copy` between files is copy_file_range: shared blocks where the file system has them.
            let mut chunk = self.bucket.chunk(CHUNK).min(bytes.end - length);
            if from_primary {
                chunk = self.taps.draw(chunk)?;
            }
            let copied = io::copy(&mut source.take(chunk), file)?;
            if copied == 0 {
                return Err(io::Error::new(io::ErrorKind::UnexpectedEof, "it became shorter while it was copied"));
            }
            length += copied;
            self.counter.add(copied);
            if from_primary {
                self.done.transferred += copied;
                self.bucket.pace(copied, &self.stop);
            }
        }
        Ok(true)
    }
}

fn partial_path(target: &Path) -> io::Result<PathBuf> {
    let name = target.file_name().ok_or(io::ErrorKind::InvalidInput)?;
    Ok(target.with_file_name(PARTIAL_DIR).join(name))
}

/// Opens a partial file, or makes it with its directory.
fn open_partial(path: &Path) -> io::Result<File> {
    let open = || OpenOptions::new().create(true).truncate(false).read(true).write(true).open(path);
    let directory = path.parent().unwrap_or(path);
    // Another copy into this directory may remove the empty partial directory at any moment between these.
    for _ in 0..1000 {
        match open() {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            result => return result,
        }
        match fs::DirBuilder::new().recursive(true).mode(DIRECTORY).create(directory) {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
            _ => {}
        }
    }
    open()
}

/// What tells that two files are the same, as rsync does.
struct Stamp {
    size: u64,
    modified: std::time::SystemTime,
}

impl Stamp {
    fn of(file: &File) -> io::Result<Self> {
        let metadata = file.metadata()?;
        Ok(Self { size: metadata.len(), modified: metadata.modified()? })
    }

    /// Gives a file of ours its mode, and the time.
    fn put_on(&self, file: &File) -> io::Result<()> {
        file.set_permissions(Permissions::from_mode(FILE))?;
        file.set_times(FileTimes::new().set_modified(self.modified))
    }

    fn is_of(&self, metadata: &fs::Metadata) -> bool {
        metadata.len() == self.size && metadata.modified().is_ok_and(|modified| modified == self.modified)
    }
}

/// A regular file below a directory for reading, without following any symbolic link on the way; `None` when it is not
/// there, or is no regular file, as rsync skips it.
fn open_below(root: &Path, path: &Path) -> io::Result<Option<File>> {
    let directory = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let mut here = open(root, directory, Mode::empty())?;
    if let Some(parent) = path.parent() {
        for name in parent.components() {
            here = match openat(&here, name.as_os_str(), directory | OFlags::NOFOLLOW, Mode::empty()) {
                Ok(next) => next,
                Err(errno) => return not_there(errno),
            };
        }
    }
    let Some(name) = path.file_name() else { return Ok(None) };
    // NONBLOCK: opening a FIFO must not wait for a writer.
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let file = match openat(&here, name, flags, Mode::empty()) {
        Ok(file) => File::from(file),
        Err(errno) => return not_there(errno),
    };
    Ok(file.metadata()?.is_file().then_some(file))
}

fn not_there(errno: rustix::io::Errno) -> io::Result<Option<File>> {
    use rustix::io::Errno;
    match errno {
        // LOOP and NOTDIR: a link where a file or directory should be. NXIO: a socket.
        Errno::NOENT | Errno::LOOP | Errno::NOTDIR | Errno::NXIO => Ok(None),
        other => Err(other.into()),
    }
}

/// A limit of bytes per second: says when the next bytes may go.
#[derive(Debug)]
struct Bucket {
    rate: Option<u64>,
    started: Instant,
    sent: u64,
}

impl Bucket {
    /// `None` is unlimited.
    fn new(rate: Option<u64>) -> Self {
        Self { rate: rate.map(|rate| rate.max(1)), started: Instant::now(), sent: 0 }
    }

    /// How much to copy at once: an eighth of a second's worth.
    fn chunk(&self, at_most: u64) -> u64 {
        self.rate.map_or(at_most, |rate| (rate / 8).clamp(1, at_most))
    }

    /// Notes bytes that went, and sleeps until the rate allows more; ends early when `stop` says so.
    fn pace(&mut self, bytes: u64, stop: impl Fn() -> bool) {
        let Some(rate) = self.rate else { return };
        self.sent += bytes;
        let due = Duration::from_millis(self.sent.saturating_mul(1000) / rate);
        while let Some(wait) = due.checked_sub(self.started.elapsed()).filter(|wait| !wait.is_zero()) {
            if stop() {
                return;
            }
            std::thread::sleep(wait.min(NAP));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_lands_in_a_directory_that_was_not_there() {
        let target = tempfile::tempdir().unwrap();
        let partial = partial_path(&target.path().join("ID/data/backup_manifest")).unwrap();
        open_partial(&partial).unwrap();
        assert!(partial.is_file());
    }

    #[test]
    fn copies_into_one_directory_do_not_take_the_partial_directory_from_each_other() {
        let target = tempfile::tempdir().unwrap();
        std::thread::scope(|scope| {
            for thread in 0..3 {
                let directory = target.path();
                scope.spawn(move || {
                    for number in 0..2000 {
                        let partial = partial_path(&directory.join(format!("{thread}-{number}"))).unwrap();
                        drop(open_partial(&partial).unwrap());
                        fs::remove_file(&partial).unwrap();
                        let _others_are_in_it = fs::remove_dir(partial.parent().unwrap());
                    }
                });
            }
        });
    }
}

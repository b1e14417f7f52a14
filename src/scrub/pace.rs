//! Reading as fast as it is allowed, until it is to end.

use std::io::{self, Read, Seek, SeekFrom};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::thread::sleep;
use std::time::{Duration, Instant};

use crate::store::{File, GoOn, reading};
use crate::verify::base::Through;

/// What is forgotten at a time of a file that was read.
const FORGOTTEN_AT_ONCE: u64 = 32 << 20;
/// Files that are smaller stay where they are: forgetting them takes longer than reading them.
const REMEMBERED: u64 = 256 << 10;
/// How long it sleeps at a time, so that it hears soon that it is to end.
const NAP: Duration = Duration::from_millis(200);

/// How far a verification is, for whoever watches it.
#[derive(Debug, Default)]
pub struct Progress {
    chosen: AtomicU64,
    read: AtomicU64,
}

impl Progress {
    /// Bytes that were read, of how many that were chosen. What is read in two ways counts twice, so that these may be more.
    pub fn get(&self) -> (u64, u64) {
        (self.read.load(Ordering::Relaxed), self.chosen.load(Ordering::Relaxed))
    }

    pub(super) fn choose(&self, bytes: u64) {
        self.chosen.store(bytes, Ordering::Relaxed);
    }
}

/// How fast all files together are read, and until when.
pub struct Pace<'a> {
    go_on: GoOn<'a>,
    progress: &'a Progress,
    /// Bytes per second, and when what was read until now will have been paid for.
    limit: Option<(u64, Mutex<Instant>)>,
}

impl<'a> Pace<'a> {
    /// Not faster than so many bytes per second, until `go_on` says no.
    pub fn new(bandwidth: Option<u64>, progress: &'a Progress, go_on: GoOn<'a>) -> Self {
        Self { go_on, progress, limit: bandwidth.map(|limit| (limit.max(1), Mutex::new(Instant::now()))) }
    }

    /// Whether there is still time.
    pub fn goes_on(&self) -> bool {
        (self.go_on)()
    }

    /// What is asked by whoever reads for long.
    pub fn go_on(&self) -> GoOn<'a> {
        self.go_on
    }

    /// Waits until so many bytes more may be read.
    fn pay(&self, bytes: usize) {
        let Some((limit, paid)) = &self.limit else { return };
        let until = {
            let mut paid = paid.lock().unwrap_or_else(PoisonError::into_inner);
            let begin = (*paid).max(Instant::now());
            let nanoseconds = (bytes as u128 * 1_000_000_000) / u128::from(*limit);
            *paid = begin + Duration::from_nanos(u64::try_from(nanoseconds).unwrap_or(u64::MAX));
            begin
        };
        while let Some(left) = until.checked_duration_since(Instant::now()).filter(|left| !left.is_zero()) {
            if !self.goes_on() {
                return;
            }
            sleep(left.min(NAP));
        }
    }

    /// A file from its beginning on, at this pace.
    pub fn of<'f>(&'f self, file: &'f File) -> io::Result<Paced<'f>> {
        let mut from = file;
        from.seek(SeekFrom::Start(0))?;
        reading::begin(file);
        Ok(Paced { file, pace: self, read: 0, forgotten: 0 })
    }
}

impl Through for Pace<'_> {
    fn read<'f>(&'f self, file: &'f File) -> io::Result<Box<dyn Read + 'f>> {
        Ok(Box::new(self.of(file)?))
    }
}

/// A file that is read at a pace. It is forgotten as it was read.
pub struct Paced<'f> {
    file: &'f File,
    pace: &'f Pace<'f>,
    read: u64,
    forgotten: u64,
}

impl Read for Paced<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if !self.pace.goes_on() {
            return Err(io::Error::other("there is no more time"));
        }
        let mut file = self.file;
        let read = file.read(buffer)?;
        self.pace.progress.read.fetch_add(read as u64, Ordering::Relaxed);
        self.pace.pay(read);
        self.read += read as u64;
        if self.read - self.forgotten >= FORGOTTEN_AT_ONCE {
            reading::forget(self.file, self.read);
            self.forgotten = self.read;
        }
        Ok(read)
    }
}

impl Drop for Paced<'_> {
    fn drop(&mut self) {
        if self.read - self.forgotten > REMEMBERED {
            reading::forget(self.file, self.read);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    fn file() -> File {
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(&vec![7; 100_000]).unwrap();
        file
    }

    #[test]
    fn a_file_is_read_whole_from_its_beginning_or_not_when_there_is_no_time() {
        let (file, mut bytes) = (file(), Vec::new());
        let progress = Progress::default();
        let pace = Pace::new(None, &progress, &|| true);
        pace.of(&file).unwrap().read_to_end(&mut bytes).unwrap();
        assert_eq!(bytes, vec![7; 100_000]);
        assert_eq!(progress.get(), (100_000, 0));
        let pace = Pace::new(None, &progress, &|| false);
        assert!(pace.of(&file).unwrap().read(&mut bytes).is_err());
    }

    #[test]
    fn no_more_is_read_in_a_second_than_is_allowed() {
        let file = file();
        let progress = Progress::default();
        let pace = Pace::new(Some(200_000), &progress, &|| true);
        let begin = Instant::now();
        for _ in 0..2 {
            io::copy(&mut pace.of(&file).unwrap(), &mut io::sink()).unwrap();
        }
        // The first bytes are read at once, and the last are not waited for.
        assert!(begin.elapsed() > Duration::from_millis(700), "{:?}", begin.elapsed());
    }
}

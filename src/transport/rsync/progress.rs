//! What `rsync --info=progress2,stats1,name1` prints on the way.

use std::path::PathBuf;

use tokio_util::sync::CancellationToken;

use crate::transport::ByteCounter;

/// A longer line is none that is understood here.
const LINE_LIMIT: usize = 64 * 1024;

/// Reads rsync's stdout as it comes.
///
/// Its lines: `  5275648   5%    4.90MB/s    0:00:18`, each ended by a carriage return;
/// `sent 119 bytes  received 3000953 bytes  6002144.00 bytes/sec`; `ignoring unsafe symlink "evil" -> "/etc"`.
#[derive(Debug)]
pub(super) struct Progress<'a> {
    counter: &'a ByteCounter,
    /// What of the file came before this copy, and is counted by rsync too.
    before: u64,
    counted: u64,
    received: u64,
    refused: Vec<PathBuf>,
    line: Vec<u8>,
    /// How many bytes may come, and what ends the copy that brings more.
    limit: Option<(u64, CancellationToken)>,
}

impl<'a> Progress<'a> {
    /// Counts from here on.
    pub(super) fn new(counter: &'a ByteCounter) -> Self {
        Self { counter, before: 0, counted: 0, received: 0, refused: Vec::new(), line: Vec::new(), limit: None }
    }

    /// The same for a copy that is ended when more comes than this.
    pub(super) fn at_most(counter: &'a ByteCounter, bytes: u64, end: CancellationToken) -> Self {
        Self { limit: Some((bytes, end)), ..Self::new(counter) }
    }

    /// Whether more came than may.
    pub(super) fn is_exceeded(&self) -> bool {
        self.limit.as_ref().is_some_and(|(most, _)| self.counted > *most)
    }

    /// The same for a copy that appends to a file that has so many bytes already.
    pub(super) fn behind(counter: &'a ByteCounter, before: u64) -> Self {
        Self { before, ..Self::new(counter) }
    }

    /// So many bytes came in all, as far as that was not told.
    pub(super) fn came(&mut self, bytes: u64) {
        self.counter.add(bytes.saturating_sub(self.counted));
        self.counted = self.counted.max(bytes);
        if let Some((most, end)) = &self.limit
            && bytes > *most
        {
            end.cancel();
        }
    }

    /// Takes what came.
    pub(super) fn read(&mut self, bytes: &[u8]) {
        for byte in bytes {
            match byte {
                b'\r' | b'\n' => self.end_of_line(),
                byte if self.line.len() < LINE_LIMIT => self.line.push(*byte),
                _ => {}
            }
        }
    }

    /// Bytes that crossed the wire, known at the end.
    pub(super) fn received(&self) -> u64 {
        self.received
    }

    /// Links that were left out.
    pub(super) fn into_refused(self) -> Vec<PathBuf> {
        self.refused
    }

    fn end_of_line(&mut self) {
        let line = String::from_utf8_lossy(&self.line);
        if let Some(bytes) = progress(&line) {
            // Total so far; it may stand still, and never falls.
            self.came(bytes.saturating_sub(self.before));
        } else if let Some(bytes) = received(&line) {
            self.received = bytes;
        } else if let Some(link) = refused(&line) {
            self.refused.push(link);
        }
        self.line.clear();
    }
}

fn progress(line: &str) -> Option<u64> {
    let mut words = line.split_whitespace();
    let bytes = words.next()?.parse().ok()?;
    words.next()?.strip_suffix('%')?.parse::<u8>().ok()?;
    Some(bytes)
}

fn received(line: &str) -> Option<u64> {
    let (_, rest) = line.strip_prefix("sent ")?.split_once(" bytes  received ")?;
    rest.split_once(' ')?.0.parse().ok()
}

fn refused(line: &str) -> Option<PathBuf> {
    let (path, _leads_to) = line.strip_prefix("ignoring unsafe symlink \"")?.split_once("\" -> \"")?;
    Some(path.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn progress_is_counted_whatever_the_pieces_it_comes_in() {
        let output = b"ignoring unsafe symlink \"d/evil\" -> \"/etc\"\n\r              0   0%    0.00kB/s    0:00:00  \
            \r        3000000  99%  158.95MB/s    0:00:00 (xfr#1, to-chk=5/6)\r        3000003 100%  98.66MB/s    0:00:00\n\
            \nsent 119 bytes  received 3000953 bytes  6002144.00 bytes/sec\ntotal size is 3000007  speedup is 1.00\n";
        for size in [1, 7, output.len()] {
            let counter = ByteCounter::default();
            let mut progress = Progress::new(&counter);
            output.chunks(size).for_each(|piece| progress.read(piece));
            assert_eq!((counter.get(), progress.received()), (3_000_003, 3_000_953));
            assert_eq!(progress.into_refused(), [PathBuf::from("d/evil")]);
        }
    }
}

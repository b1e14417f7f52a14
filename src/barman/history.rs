//! Timeline history files, `00000002.history` (PostgreSQL `timeline.c`).

use super::wal::{Lsn, SegmentSize, Timeline};

/// A history file as it is in the archive, and the ancestry that it tells.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HistoryFile {
    /// The timeline whose history it is.
    pub timeline: Timeline,
    /// Its size in the archive, in bytes.
    pub size: u64,
    /// Each earlier timeline, oldest first, with the position at which the next one left it.
    /// Empty when the file is compressed or encrypted in a way that cannot be read here.
    pub ancestors: Vec<(Timeline, Lsn)>,
}

impl HistoryFile {
    /// Reads the lines `timeline TAB position TAB reason`; comments, and lines that say something else, are passed over.
    pub fn parse(timeline: Timeline, size: u64, text: &[u8]) -> Self {
        let ancestors = String::from_utf8_lossy(text)
            .lines()
            .filter_map(|line| {
                let mut fields = line.split_whitespace();
                let timeline = fields.next()?.parse().ok().map(Timeline)?;
                Some((timeline, fields.next()?.parse().ok()?))
            })
            .collect();
        Self { timeline, size, ancestors }
    }

    /// The timeline that this one left, and the number of the segment in which it did.
    pub fn parent(&self, size: SegmentSize) -> Option<(Timeline, u64)> {
        let (timeline, switch) = self.ancestors.last()?;
        Some((*timeline, switch.0 / size.bytes()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ancestors_are_read_oldest_first() {
        let text =
            b"1\t0/A0000D8\tno recovery target specified\n\n# a comment\n2\t0/C000000\tbefore 2026-11-22 09:00:00+00\n";
        let history = HistoryFile::parse(Timeline(3), 80, text);
        assert_eq!(history.ancestors, vec![(Timeline(1), Lsn(0xA00_00D8)), (Timeline(2), Lsn(0xC00_0000))]);
        assert_eq!(history.parent(SegmentSize::DEFAULT), Some((Timeline(2), 12)));
    }

    #[test]
    fn a_file_that_cannot_be_read_tells_no_ancestry() {
        assert_eq!(HistoryFile::parse(Timeline(2), 3, b"\x1f\x8b\x08").ancestors, vec![]);
    }
}

//! A small primary catalog: one server, two backups, a promotion between them.
//!
//! It is what Barman 3.19.1 keeps of a PostgreSQL 15 with WAL segments of 1 MiB. In the middle of the first day
//! somebody switches `compression = gzip` on; on the second the standby is promoted and timeline 2 begins.
//! The bytes are the same wherever and whenever it is written, but for the target of one absolute link.

use std::fs;
use std::io;
use std::ops::RangeInclusive;
use std::path::Path;
use std::time::Duration;

use jiff::Timestamp;

use crate::barman::identity::Identity;
use crate::barman::ids::{BackupId, SystemId};
use crate::barman::keep::Keep;
use crate::barman::layout::{Layout, ServerDirs};
use crate::barman::version::BarmanVersion;
use crate::barman::wal::{Lsn, Segment, SegmentSize, Timeline, WalName};
use crate::barman::wal_entry::{Mtime, WalEntry};
use crate::barman::xlogdb::XlogDb;

use super::base::Base;
use super::files::{parsed, write as write_file};
use super::wal;

/// The version of Barman that the catalog is of.
pub const BARMAN: BarmanVersion = BarmanVersion::new(3, 19, 1);
/// The PostgreSQL system that it is of.
pub const SYSTEM: SystemId = SystemId(7_432_190_876_543_210_987);
/// Where in its first segment a backup begins: behind the long page header.
pub const BACKUP_OFFSET: u32 = 40;

/// The backup of the first day, on timeline 1; it is kept.
pub const FIRST_BACKUP: &str = "20261121T030000";
/// The backup of the second day, on timeline 2.
pub const SECOND_BACKUP: &str = "20261122T030000";

const OLD: Timeline = Timeline(1);
const NEW: Timeline = Timeline(2);
const HOUR: Duration = Duration::from_secs(60 * 60);
const FIVE_MINUTES: Duration = Duration::from_secs(5 * 60);

/// What was written.
#[derive(Debug, Clone, PartialEq)]
pub struct Made {
    /// Where everything is.
    pub directories: ServerDirs,
    /// The backups, oldest first.
    pub backups: Vec<BackupId>,
    /// The archive: sorted by name, as xlog.db lists it.
    pub wals: Vec<WalEntry>,
}

/// Writes both days of the catalog into `home`, which becomes the primary's `barman_home`.
pub fn write(home: &Path) -> io::Result<Made> {
    let mut primary = PrimaryCatalog::create(home, "main")?;
    primary.first_day()?;
    primary.second_day()
}

/// How a WAL file is stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stored {
    /// As PostgreSQL archived it.
    Plain,
    /// By `compression = gzip`.
    Gzip,
}

/// A primary catalog that is being filled.
#[derive(Debug)]
pub struct PrimaryCatalog {
    directories: ServerDirs,
    segment_size: SegmentSize,
    largest_relation: usize,
    backups: Vec<BackupId>,
    wals: Vec<WalEntry>,
}

impl PrimaryCatalog {
    /// An empty catalog of one server in a directory that may exist.
    pub fn create(home: &Path, server: &str) -> io::Result<Self> {
        let directories = ServerDirs::of_catalog(home, parsed(server)?);
        for directory in [
            &directories.basebackups_directory,
            &directories.wals_directory,
            &directories.meta_directory,
            &directories.backup_directory.join("incoming"),
            &directories.backup_directory.join("streaming"),
            &directories.backup_directory.join("errors"),
        ] {
            fs::create_dir_all(directory)?;
        }
        let identity = Identity { systemid: SYSTEM, version: "15".to_owned() };
        write_file(&directories.identity(), &identity.write(), parsed("2026-11-20T10:00:00Z")?)?;
        let segment_size = SegmentSize::new(1 << 20).unwrap_or_default();
        let largest_relation = usize::MAX;
        Ok(Self { directories, segment_size, largest_relation, backups: Vec::new(), wals: Vec::new() })
    }

    /// The same with backups in which no relation has more bytes: a whole number of pages.
    #[must_use]
    pub fn with_relations_up_to(self, largest_relation: usize) -> Self {
        Self { largest_relation, ..self }
    }

    /// A backup on timeline 1, kept, and the WAL around it. Compression is switched on after it.
    pub fn first_day(&mut self) -> io::Result<Made> {
        self.segments(OLD, 0x01..=0x02, "2026-11-21T01:10:00Z", HOUR, Stored::Plain)?;
        self.segments(OLD, 0x03..=0x04, "2026-11-21T03:04:00Z", FIVE_MINUTES, Stored::Plain)?;
        self.backup(FIRST_BACKUP, OLD, 0x03..=0x04, "2026-11-21T03:08:51Z", Stored::Plain)?;
        self.keep(FIRST_BACKUP, Keep::Full)?;
        self.segments(OLD, 0x05..=0x06, "2026-11-21T04:00:00Z", HOUR, Stored::Plain)?;
        self.segments(OLD, 0x07..=0x0A, "2026-11-21T06:00:00Z", HOUR, Stored::Gzip)?;
        self.made()
    }

    /// A promotion to timeline 2 in the middle of a segment, and a backup there.
    pub fn second_day(&mut self) -> io::Result<Made> {
        self.segments(OLD, 0x0B..=0x0F, "2026-11-21T19:00:00Z", HOUR, Stored::Gzip)?;
        self.promotion(0x10, "2026-11-22T00:31:07Z")?;
        self.segments(NEW, 0x10..=0x12, "2026-11-22T00:36:00Z", HOUR, Stored::Gzip)?;
        self.segments(NEW, 0x13..=0x14, "2026-11-22T03:03:00Z", FIVE_MINUTES, Stored::Gzip)?;
        self.backup(SECOND_BACKUP, NEW, 0x13..=0x14, "2026-11-22T03:07:42Z", Stored::Gzip)?;
        self.segments(NEW, 0x15..=0x18, "2026-11-22T04:00:00Z", HOUR, Stored::Gzip)?;
        self.made()
    }

    /// Archives segments by their numbers, the first at `from`.
    pub fn segments(
        &mut self,
        timeline: Timeline,
        numbers: RangeInclusive<u64>,
        from: &str,
        every: Duration,
        stored: Stored,
    ) -> io::Result<()> {
        let mut archived: Timestamp = parsed(from)?;
        for number in numbers {
            let segment = self.segment(timeline, number)?;
            self.archive(WalName::Segment(segment), self.content(segment)?, archived, stored)?;
            archived += every;
        }
        Ok(())
    }

    /// Ends timeline 1 in a segment: its `.partial`, and the history of timeline 2.
    pub fn promotion(&mut self, number: u64, at: &str) -> io::Result<()> {
        let at = parsed(at)?;
        let last = self.segment(OLD, number)?;
        let switch = Lsn(number * self.segment_size.bytes() + 0x28C0);
        let history = format!("{OLD}\t{switch}\tno recovery target specified\n");
        self.archive(WalName::Partial(last), self.content(last)?, at, Stored::Gzip)?;
        self.archive(WalName::History(NEW), history.into_bytes(), at, Stored::Gzip)
    }

    /// Makes a backup, which begins when its id says, with the backup history file that it leaves in the archive.
    pub fn backup(
        &mut self,
        id: &str,
        timeline: Timeline,
        segments: RangeInclusive<u64>,
        end_time: &str,
        stored: Stored,
    ) -> io::Result<()> {
        let begin_time = jiff::civil::DateTime::strptime("%Y%m%dT%H%M%S", id)
            .and_then(|civil| jiff::tz::Offset::UTC.to_timestamp(civil))
            .map_err(io::Error::other)?;
        let base = Base {
            id: parsed(id)?,
            system: SYSTEM,
            begin: self.segment(timeline, *segments.start())?,
            end: self.segment(timeline, *segments.end())?,
            segment_size: self.segment_size,
            begin_time,
            end_time: parsed(end_time)?,
            filled: parsed("2026-11-20T10:00:00Z")?,
            largest_relation: self.largest_relation,
        };
        base.write(&self.directories)?;
        self.backups.push(base.id);
        let label = WalName::BackupLabel { segment: base.begin, offset: BACKUP_OFFSET };
        self.archive(label, base.history()?.into_bytes(), base.end_time, stored)
    }

    /// Marks a backup as one to keep.
    pub fn keep(&self, id: &str, keep: Keep) -> io::Result<()> {
        fs::write(Layout::NEWEST.keep(&self.directories, parsed(id)?), keep.write())
    }

    /// Stores a file in the archive and lists it.
    fn archive(&mut self, name: WalName, content: Vec<u8>, archived: Timestamp, stored: Stored) -> io::Result<()> {
        let (content, compression) = match stored {
            Stored::Plain => (content, None),
            Stored::Gzip => (wal::gzip(&content)?, Some(parsed("gzip")?)),
        };
        write_file(&self.directories.wal(name), &content, archived)?;
        // Times of ours are whole seconds, and far below what a float holds exactly.
        #[expect(clippy::cast_precision_loss)]
        let mtime = Mtime::new(archived.as_second() as f64).ok_or_else(|| io::Error::other("no such time"))?;
        self.wals.push(WalEntry { name, size: content.len() as u64, mtime, compression, encryption: None });
        Ok(())
    }

    /// Writes xlog.db for all that was archived, and tells what is there.
    pub fn made(&self) -> io::Result<Made> {
        let xlogdb = XlogDb::new(self.wals.iter().copied());
        fs::write(Layout::NEWEST.xlogdb(&self.directories), xlogdb.write(BARMAN))?;
        Ok(Made {
            directories: self.directories.clone(),
            backups: self.backups.clone(),
            wals: xlogdb.entries().iter().collect(),
        })
    }

    fn segment(&self, timeline: Timeline, number: u64) -> io::Result<Segment> {
        Segment::from_number(timeline, number, self.segment_size).ok_or_else(|| io::Error::other("no such segment"))
    }

    fn content(&self, segment: Segment) -> io::Result<Vec<u8>> {
        wal::segment(SYSTEM, segment, self.segment_size).ok_or_else(|| io::Error::other("no such segment"))
    }
}

#[cfg(test)]
mod tests;

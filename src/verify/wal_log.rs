//! The log in a WAL segment, read to its end (PostgreSQL `access/xlogreader.c`, `access/xlogrecord.h`).
//!
//! The rule that is held here: a segment is whole when every page follows the one before it, and every record has its own
//! checksum, up to where the next segment goes on, or to the switch that ended it early. Zeros that no switch explains are
//! a hole, at which recovery would end.
//!
//! A record that reaches over the end of a segment has its checksum in two files, and neither proves it alone: what one has
//! of it is handed out ([`Crossing`]), and is proved with the first pages of the next.

use std::io::{self, Read};

use crate::barman::wal::{Lsn, Timeline, WalName};

use super::wal_header::WalHeader;

/// `SizeOfXLogShortPHD`, and that of the first page of a segment.
const SHORT_HEADER: usize = 24;
const LONG_HEADER: usize = 40;
/// `XLP_FIRST_IS_CONTRECORD`: the page goes on with a record.
const CONTINUES: u16 = 0x0001;
/// `XLP_LONG_HEADER`
const IS_LONG: u16 = 0x0002;
/// `XLP_FIRST_IS_OVERWRITE_CONTRECORD`: the record before was given up, and another begins.
const OVERWRITES: u16 = 0x0008;
/// `XLP_ALL_FLAGS`
const FLAGS: u16 = 0x000F;
/// `SizeOfXLogRecord`
const RECORD_HEADER: usize = 24;
/// Where the checksum of a record stands in its header, behind all that it covers there.
const CRC_AT: usize = 20;
/// `XLOG_PAGE_MAGIC` of PostgreSQL 9.5, the first with records of this form and with CRC-32C.
const FIRST_WITH_CRC32C: u16 = 0xD087;
/// What is read at a time; a multiple of every size of a page.
const READ_AT_ONCE: usize = 1 << 20;
/// Sizes that a page may have (`XLOG_BLCKSZ`).
const PAGE_SIZES: [u32; 7] = [1 << 10, 1 << 11, 1 << 12, 1 << 13, 1 << 14, 1 << 15, 1 << 16];

/// What is wrong with the log in a segment, and at which byte of the segment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum LogFault {
    /// It does not begin with a page.
    #[error("it does not begin as WAL does")]
    NoStart,
    /// It ends before a segment does.
    #[error("it ends after {0} bytes, in the middle of the segment")]
    CutOff(u64),
    /// It is longer than a segment.
    #[error("it is longer than a segment of {0} bytes")]
    TooLong(u64),
    /// There is no page where one must be.
    #[error("page {0} is no page of WAL")]
    NoPage(u64),
    /// A page is of another place in the log.
    #[error("page {page} is of {found}, not of {expected}")]
    OtherPlace {
        /// Its number in the segment.
        page: u64,
        /// What it says.
        found: Lsn,
        /// What it must say.
        expected: Lsn,
    },
    /// A page is of a timeline that cannot be there.
    #[error("page {page} is of timeline {found}")]
    OtherTimeline {
        /// Its number in the segment.
        page: u64,
        /// What it says.
        found: Timeline,
    },
    /// A page does not go on with the record that the page before begins.
    #[error("page {0} does not go on where the page before ends")]
    NotContinued(u64),
    /// What stands where a record begins is none.
    #[error("there is no record at {0}, where one must begin")]
    NoRecord(Lsn),
    /// The bytes of a record are not those that were written.
    #[error("the record at {0} does not have its checksum")]
    Checksum(Lsn),
    /// There are zeros, and no switch of segments before them.
    #[error("the log ends at {0}, in the middle of the segment")]
    Hole(Lsn),
    /// Behind the end of the log there is something else than zeros.
    #[error("page {0} holds something behind the end of the log")]
    NotEmpty(u64),
}

impl LogFault {
    /// Whether there is a log before it.
    pub fn is_after_start(self) -> bool {
        !matches!(self, Self::NoStart | Self::TooLong(_))
    }
}

/// Reads what a segment consists of, uncompressed, to its end. Errors are those of the reader.
pub fn walk(name: WalName, reader: impl Read) -> io::Result<Result<(), LogFault>> {
    Ok(walk_to_crossing(name, reader)?.map(|_| ()))
}

/// The same, and the record that it ends in, where it does.
pub fn walk_to_crossing(name: WalName, mut reader: impl Read) -> io::Result<Result<Option<Crossing>, LogFault>> {
    let (WalName::Segment(segment) | WalName::Partial(segment)) = name else { return Ok(Err(LogFault::NoStart)) };
    let mut buffer = vec![0; READ_AT_ONCE];
    let mut filled = fill(&mut reader, &mut buffer)?;
    let first = buffer.get(..filled).and_then(WalHeader::parse);
    let Some(header) = first.filter(|header| PAGE_SIZES.contains(&header.block_size)) else {
        return Ok(Err(LogFault::NoStart));
    };
    let (size, whole) = (header.block_size as usize, u64::from(header.segment_size));
    let mut log = Log::new(header, segment.timeline);
    let mut length = 0;
    while filled > 0 {
        let read = buffer.get(..filled).unwrap_or_default();
        length += filled as u64;
        if length > whole {
            return Ok(Err(LogFault::TooLong(whole)));
        }
        for page in read.chunks_exact(size) {
            if let Err(fault) = log.page(page) {
                return Ok(Err(fault));
            }
        }
        if filled < buffer.len() {
            break;
        }
        filled = fill(&mut reader, &mut buffer)?;
    }
    if matches!(name, WalName::Partial(_)) {
        return Ok(Ok(None));
    }
    Ok(if length == whole { log.end().map(|()| log.crossing()) } else { Err(LogFault::CutOff(length)) })
}

/// What a segment has of a record that ends in the next one.
#[derive(Debug, Clone, Copy)]
pub struct Crossing {
    record: Record,
    /// The beginning of its segment.
    start: WalHeader,
    named: Timeline,
    /// Of its last page.
    timeline: Timeline,
}

/// What two segments that follow each other say of the record between them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Meeting {
    /// It has its checksum, or was given up when the server came up again.
    Whole,
    /// The other is not the one that follows, or is damaged itself, or does not have all of it either.
    Unknown,
    /// One of the two is not what was written.
    Broken(LogFault),
}

impl Crossing {
    /// Reads the next segment, uncompressed, as far as the record goes. Errors are those of the reader.
    pub fn meet(self, mut next: impl Read) -> io::Result<Meeting> {
        let size = self.start.block_size as usize;
        let begin = Lsn(self.start.address.0.saturating_add(self.start.segment_size.into()));
        let start = WalHeader { address: begin, ..self.start };
        let (timeline, state) = (self.timeline, State::Record(self.record));
        let mut log = Log { start, named: self.named, timeline, number: 0, state };
        let mut page = vec![0; size];
        while fill(&mut next, &mut page)? == size {
            let number = log.number;
            let same_system = || WalHeader::parse(&page).is_some_and(|header| header.system == self.start.system);
            let length = if number == 0 { LONG_HEADER } else { SHORT_HEADER };
            let Some((header, body)) = page.split_at_checked(length).filter(|_| number > 0 || same_system()) else {
                return Ok(Meeting::Unknown);
            };
            let address = Lsn(begin.0 + number * size as u64);
            let Ok((flags, rest)) = log.check_header(header, number, address) else { return Ok(Meeting::Unknown) };
            match log.enter(number, flags, rest) {
                Err(fault) => return Ok(Meeting::Broken(fault)),
                Ok(()) => log.number += 1,
            }
            let State::Record(record) = log.state else { return Ok(Meeting::Whole) };
            let (record, _) = record.read(body);
            if record.left == 0 {
                return Ok(record.end().map_or_else(Meeting::Broken, |_| Meeting::Whole));
            }
            log.state = State::Record(record);
        }
        Ok(Meeting::Unknown)
    }
}

/// Reads as much as there is, up to the length of the buffer.
fn fill(reader: &mut impl Read, buffer: &mut [u8]) -> io::Result<usize> {
    let mut filled = 0;
    while let Some(rest) = buffer.get_mut(filled..).filter(|rest| !rest.is_empty()) {
        match reader.read(rest) {
            Ok(0) => break,
            Ok(read) => filled += read,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(filled)
}

/// Where in a log one is.
#[derive(Debug, Clone, Copy)]
enum State {
    /// In a record that begins in the segment before: so many bytes of it are still to come.
    Rest(u64),
    /// Between two records.
    Between,
    /// In a record.
    Record(Record),
    /// Behind the end of the log, which the segment has by a switch.
    Switched,
    /// Behind the end of the log, which nothing explains.
    Ended(Lsn),
}

/// A record of which not all was read yet.
#[derive(Debug, Clone, Copy)]
struct Record {
    at: Lsn,
    header: [u8; RECORD_HEADER],
    /// How much of the header was read.
    have: usize,
    /// How much is still to come, what lacks of the header included.
    left: u64,
    /// Of what was read of the content.
    crc: u32,
}

struct Log {
    start: WalHeader,
    /// The timeline that the segment is named for.
    named: Timeline,
    /// Of the last page.
    timeline: Timeline,
    /// The number of the page that comes next.
    number: u64,
    state: State,
}

impl Log {
    fn new(start: WalHeader, named: Timeline) -> Self {
        Self { start, named, timeline: Timeline(0), number: 0, state: State::Between }
    }

    fn has_checksums(&self) -> bool {
        self.start.magic >= FIRST_WITH_CRC32C
    }

    fn end(&self) -> Result<(), LogFault> {
        match self.state {
            State::Ended(at) => Err(LogFault::Hole(at)),
            State::Rest(_) | State::Between | State::Record(_) | State::Switched => Ok(()),
        }
    }

    fn crossing(&self) -> Option<Crossing> {
        let State::Record(record) = self.state else { return None };
        Some(Crossing { record, start: self.start, named: self.named, timeline: self.timeline })
    }

    fn page(&mut self, page: &[u8]) -> Result<(), LogFault> {
        let (number, address) = (self.number, self.start.address.0 + self.number * page.len() as u64);
        self.number += 1;
        let header_length = if number == 0 { LONG_HEADER } else { SHORT_HEADER };
        let (header, body) = page.split_at_checked(header_length).ok_or(LogFault::NoPage(number))?;
        let is_over = matches!(self.state, State::Switched | State::Ended(_));
        if is_zeros(header) {
            // Before PostgreSQL 11 what lies behind a switch has headers, since then it is zeros.
            return match self.state {
                State::Between if is_zeros(body) => {
                    self.state = State::Ended(Lsn(address));
                    Ok(())
                }
                _ if !is_over => Err(LogFault::NoPage(number)),
                _ if is_zeros(body) => Ok(()),
                _ => Err(LogFault::NotEmpty(number)),
            };
        }
        let (flags, rest) = self.check_header(header, number, Lsn(address))?;
        if !self.has_checksums() {
            return Ok(());
        }
        if is_over {
            return if is_zeros(body) { Ok(()) } else { Err(LogFault::NotEmpty(number)) };
        }
        self.enter(number, flags, rest)?;
        self.records(body, address + header_length as u64)
    }

    /// The flags of a page, and what is left of a record that it goes on with.
    fn check_header(&mut self, header: &[u8], number: u64, expected: Lsn) -> Result<(u16, u64), LogFault> {
        let no_page = LogFault::NoPage(number);
        let short = |at: usize| Some(u16::from_le_bytes(header.get(at..at + 2)?.try_into().ok()?));
        let long = |at: usize| Some(u32::from_le_bytes(header.get(at..at + 4)?.try_into().ok()?));
        let (magic, flags) = (short(0).ok_or(no_page)?, short(2).ok_or(no_page)?);
        let (timeline, rest) = (Timeline(long(4).ok_or(no_page)?), long(16).ok_or(no_page)?);
        let address = header.get(8..16).and_then(|bytes| bytes.try_into().ok()).map(u64::from_le_bytes);
        let found = Lsn(address.ok_or(no_page)?);
        if magic != self.start.magic || flags & !FLAGS != 0 || (flags & IS_LONG != 0) != (number == 0) {
            return Err(no_page);
        }
        if found != expected {
            return Err(LogFault::OtherPlace { page: number, found, expected });
        }
        // The first segment of a timeline begins with pages of the one before.
        if timeline < self.timeline || timeline > self.named {
            return Err(LogFault::OtherTimeline { page: number, found: timeline });
        }
        self.timeline = timeline;
        Ok((flags, u64::from(rest)))
    }

    /// Whether a page begins as the one before ended.
    fn enter(&mut self, number: u64, flags: u16, rest: u64) -> Result<(), LogFault> {
        let continues = flags & CONTINUES != 0;
        let expected = match self.state {
            State::Rest(left) => left,
            State::Record(record) => record.left,
            State::Between | State::Switched | State::Ended(_) => 0,
        };
        if number == 0 && continues && expected == 0 {
            self.state = State::Rest(rest);
        } else if expected > 0 && flags & OVERWRITES != 0 {
            self.state = State::Between;
        } else if continues != (expected > 0) || rest != expected {
            return Err(LogFault::NotContinued(number));
        }
        Ok(())
    }

    /// Reads the records of a page; `address` is that of its first byte behind the header.
    fn records(&mut self, body: &[u8], address: u64) -> Result<(), LogFault> {
        let mut at = 0;
        while let Some(rest) = body.get(at..).filter(|rest| !rest.is_empty()) {
            match self.state {
                State::Rest(left) => {
                    let taken = taken(left, rest);
                    at = (at + taken).next_multiple_of(8);
                    let left = left - taken as u64;
                    self.state = if left == 0 { State::Between } else { State::Rest(left) };
                }
                State::Between => {
                    let begin = Lsn(address + at as u64);
                    let length = rest.get(..4).and_then(|length| length.try_into().ok()).map_or(0, u32::from_le_bytes);
                    if length == 0 {
                        self.state = State::Ended(begin);
                    } else if (length as usize) < RECORD_HEADER {
                        return Err(LogFault::NoRecord(begin));
                    } else {
                        let header = [0; RECORD_HEADER];
                        self.state =
                            State::Record(Record { at: begin, header, have: 0, left: u64::from(length), crc: 0 });
                    }
                }
                State::Record(record) => {
                    let (record, taken) = record.read(rest);
                    at += taken;
                    self.state = State::Record(record);
                    if record.left == 0 {
                        self.state = record.end()?;
                        at = at.next_multiple_of(8);
                    }
                }
                State::Switched | State::Ended(_) if is_zeros(rest) => break,
                State::Switched => return Err(LogFault::NotEmpty(self.number - 1)),
                State::Ended(begin) => return Err(LogFault::NoRecord(begin)),
            }
        }
        Ok(())
    }
}

impl Record {
    /// With what comes next of it, and how many bytes that is.
    fn read(mut self, bytes: &[u8]) -> (Self, usize) {
        let taken = taken(self.left, bytes);
        let bytes = bytes.get(..taken).unwrap_or_default();
        let of_header = bytes.len().min(RECORD_HEADER - self.have);
        let (header, content) = bytes.split_at(of_header);
        if let Some(into) = self.header.get_mut(self.have..self.have + of_header) {
            into.copy_from_slice(header);
        }
        self.have += of_header;
        if !content.is_empty() {
            self.crc = crc32c::crc32c_append(self.crc, content);
        }
        self.left -= taken as u64;
        (self, taken)
    }

    /// What follows it, when its bytes are those that were written.
    fn end(&self) -> Result<State, LogFault> {
        let (covered, stored) = self.header.split_at(CRC_AT);
        if crc32c::crc32c_append(self.crc, covered).to_le_bytes() != stored {
            return Err(LogFault::Checksum(self.at));
        }
        // `RM_XLOG_ID` with `XLOG_SWITCH`.
        let [info, manager] = [16, 17].map(|at| self.header.get(at).copied().unwrap_or_default());
        Ok(if manager == 0 && info & 0xF0 == 0x40 { State::Switched } else { State::Between })
    }
}

fn taken(left: u64, bytes: &[u8]) -> usize {
    usize::try_from(left).unwrap_or(usize::MAX).min(bytes.len())
}

fn is_zeros(bytes: &[u8]) -> bool {
    bytes.iter().all(|byte| *byte == 0)
}

#[cfg(test)]
pub(crate) mod tests;

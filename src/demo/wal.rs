//! WAL segments as PostgreSQL 15 writes them, with records that say nothing (`access/xlog_internal.h`,
//! `access/xlogrecord.h`).

use std::io::{self, Write};

use flate2::Compression;
use flate2::write::GzEncoder;

use crate::barman::ids::SystemId;
use crate::barman::wal::{Segment, SegmentSize};

use super::files::noise;

/// `XLOG_PAGE_MAGIC` of PostgreSQL 15.
const MAGIC: u16 = 0xD110;
/// `XLP_LONG_HEADER`: the first page of a segment names system and sizes.
const LONG_HEADER: u16 = 0x0002;
/// `XLOG_BLCKSZ`
const PAGE: usize = 8192;
/// The length of a record's header.
const RECORD_HEADER: usize = 24;
/// A record that does nothing (`XLOG_NOOP`).
const NOOP: u8 = 0x20;
/// The record behind which the rest of a segment is empty (`XLOG_SWITCH`).
const SWITCH: u8 = 0x40;
/// Pages that hold records; the rest of a segment is zeros, as after `pg_switch_wal()`.
const FEWEST_PAGES: usize = 2;

/// A segment of a system; `None` when the name does not exist for this segment size.
pub fn segment(system: SystemId, segment: Segment, size: SegmentSize) -> Option<Vec<u8>> {
    let start = segment.number(size)?.checked_mul(size.bytes())?;
    // Some segments were filled more than others before they were switched.
    let used = FEWEST_PAGES + usize::try_from(segment.seg % 4).ok()?;
    let mut content = vec![0; usize::try_from(size.bytes()).ok()?];
    let addresses = (start..).step_by(PAGE);
    for (number, (page, address)) in content.chunks_exact_mut(PAGE).zip(addresses).take(used).enumerate() {
        let header = header(system, segment, address, (address == start).then_some(size));
        let room = PAGE - header.len() - if number + 1 == used { RECORD_HEADER } else { 0 };
        let said = record(NOOP, &noise(address ^ u64::from(segment.timeline.0), room - RECORD_HEADER));
        page.copy_from_slice(&[header, said, vec![0; PAGE]].concat()[..PAGE]);
        if number + 1 == used {
            page[PAGE - RECORD_HEADER..].copy_from_slice(&record(SWITCH, &[]));
        }
    }
    Some(content)
}

/// A record of the log itself, with its checksum: of the content, then of the header.
fn record(info: u8, content: &[u8]) -> Vec<u8> {
    let length = RECORD_HEADER + content.len();
    let mut bytes: Vec<u8> = length.to_le_bytes().into_iter().take(4).collect();
    // No transaction, and nothing of the record before.
    bytes.extend([0; 12]);
    bytes.extend([info, 0, 0, 0]);
    let crc = crc32c::crc32c_append(crc32c::crc32c(content), &bytes);
    bytes.extend(crc.to_le_bytes());
    bytes.extend(content);
    bytes
}

/// A page header; the long form on the first page of a segment.
fn header(system: SystemId, segment: Segment, address: u64, long: Option<SegmentSize>) -> Vec<u8> {
    let flags = if long.is_some() { LONG_HEADER } else { 0 };
    let mut bytes = Vec::from(MAGIC.to_le_bytes());
    bytes.extend(flags.to_le_bytes());
    bytes.extend(segment.timeline.0.to_le_bytes());
    bytes.extend(address.to_le_bytes());
    // No record goes on from the page before; four bytes align what follows.
    bytes.extend([0; 8]);
    if let Some(size) = long {
        bytes.extend(system.0.to_le_bytes());
        bytes.extend(size.bytes().to_le_bytes().into_iter().take(4));
        bytes.extend(PAGE.to_le_bytes().into_iter().take(4));
    }
    bytes
}

/// The same bytes as Barman stores them with `compression = gzip`.
pub fn gzip(content: &[u8]) -> io::Result<Vec<u8>> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(content)?;
    encoder.finish()
}

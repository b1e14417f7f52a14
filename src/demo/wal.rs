//! WAL segments as PostgreSQL 15 writes them, as far as page headers go (`access/xlog_internal.h`).

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
/// Pages that hold records; the rest of a segment is zeros, as after `pg_switch_wal()`.
const FEWEST_PAGES: usize = 2;

/// A segment of a system; `None` when the name does not exist for this segment size.
pub fn segment(system: SystemId, segment: Segment, size: SegmentSize) -> Option<Vec<u8>> {
    let start = segment.number(size)?.checked_mul(size.bytes())?;
    // Some segments were filled more than others before they were switched.
    let used = FEWEST_PAGES + usize::try_from(segment.seg % 4).ok()?;
    let mut content = vec![0; usize::try_from(size.bytes()).ok()?];
    let addresses = (start..).step_by(PAGE);
    for (page, address) in content.chunks_exact_mut(PAGE).zip(addresses).take(used) {
        let header = header(system, segment, address, (address == start).then_some(size));
        let records = noise(address ^ u64::from(segment.timeline.0), PAGE - header.len());
        page.copy_from_slice(&[header, records].concat());
    }
    Some(content)
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

//! WAL segments as plain bytes, written and read without the program's own code.
//!
//! The format is PostgreSQL's (`access/xlog_internal.h`, `XLogLongPageHeaderData`), on a little-endian machine.

use std::collections::HashMap;
use std::io::{Cursor, Read, Write};
use std::sync::{Arc, LazyLock, Mutex};

use lz4_flex::frame::{BlockSize, FrameEncoder, FrameInfo};

use super::system::System;

/// `XLOG_BLCKSZ`
const PAGE: usize = 8192;
/// `XLP_LONG_HEADER`
const LONG_HEADER: u16 = 2;

/// The place of a segment: its timeline and its number, of the size that its system has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Place {
    pub timeline: u32,
    pub number: u64,
}

impl Place {
    /// The name of the segment.
    pub fn name(self, size: u64) -> String {
        let in_a_log = (1 << 32) / size;
        format!("{:08X}{:08X}{:08X}", self.timeline, self.number / in_a_log, self.number % in_a_log)
    }

    /// The place that a name is of; `None` for a name that is no segment's, or of no segment of this size.
    pub fn of_name(name: &str, size: u64) -> Option<Self> {
        let part = |from: usize| u32::from_str_radix(name.get(from..from + 8)?, 16).ok();
        let is_segment = name.len() == 24 && name.bytes().all(|byte| byte.is_ascii_hexdigit());
        let in_a_log = (1 << 32) / size;
        let (timeline, log, seg) = (part(0)?, u64::from(part(8)?), u64::from(part(16)?));
        (is_segment && seg < in_a_log).then(|| Self { timeline, number: log * in_a_log + seg })
    }
}

/// How a file of the archive is stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Packing {
    Plain,
    Gzip,
    Bzip2,
    Xz,
    Zstd,
    Lz4,
}

impl Packing {
    /// Barman's word for it, as xlog.db has it.
    pub fn word(self) -> &'static str {
        match self {
            Self::Plain => "None",
            Self::Gzip => "gzip",
            Self::Bzip2 => "bzip2",
            Self::Xz => "xz",
            Self::Zstd => "zstd",
            Self::Lz4 => "lz4",
        }
    }

    /// Stores bytes this way.
    pub fn pack(self, bytes: &[u8]) -> Vec<u8> {
        match self {
            Self::Plain => bytes.to_vec(),
            Self::Gzip => {
                let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
                encoder.write_all(bytes).unwrap();
                encoder.finish().unwrap()
            }
            Self::Bzip2 => {
                let mut encoder = bzip2::write::BzEncoder::new(Vec::new(), bzip2::Compression::fast());
                encoder.write_all(bytes).unwrap();
                encoder.finish().unwrap()
            }
            Self::Xz => {
                let mut encoder = liblzma::write::XzEncoder::new(Vec::new(), 0);
                encoder.write_all(bytes).unwrap();
                encoder.finish().unwrap()
            }
            Self::Zstd => zstd::encode_all(bytes, 1).unwrap(),
            Self::Lz4 => {
                let blocks = FrameInfo::new().block_size(BlockSize::Max64KB);
                let mut encoder = FrameEncoder::with_frame_info(blocks, Vec::new());
                encoder.write_all(bytes).unwrap();
                encoder.finish().unwrap()
            }
        }
    }

    /// How a stored file begins.
    fn magic(self) -> &'static [u8] {
        match self {
            Self::Plain => b"",
            Self::Gzip => b"\x1f\x8b\x08",
            Self::Bzip2 => b"BZh",
            Self::Xz => b"\xfd7zXZ\0",
            Self::Zstd => b"\x28\xb5\x2f\xfd",
            Self::Lz4 => b"\x04\x22\x4d\x18",
        }
    }

    /// How these bytes are stored, by how they begin.
    pub fn of(stored: &[u8]) -> Self {
        let known = [Self::Gzip, Self::Bzip2, Self::Xz, Self::Zstd, Self::Lz4];
        known.into_iter().find(|packing| stored.starts_with(packing.magic())).unwrap_or(Self::Plain)
    }
}

/// The bytes that were stored; an error where they do not decompress.
pub fn unpack(stored: &[u8]) -> Result<Vec<u8>, String> {
    let mut bytes = Vec::new();
    let source = Cursor::new(stored);
    match Packing::of(stored) {
        Packing::Plain => return Ok(stored.to_vec()),
        Packing::Gzip => flate2::read::MultiGzDecoder::new(source).read_to_end(&mut bytes),
        Packing::Bzip2 => bzip2::read::MultiBzDecoder::new(source).read_to_end(&mut bytes),
        Packing::Xz => liblzma::read::XzDecoder::new(source).read_to_end(&mut bytes),
        Packing::Zstd => zstd::stream::read::Decoder::new(source).unwrap().read_to_end(&mut bytes),
        Packing::Lz4 => lz4_flex::frame::FrameDecoder::new(source).read_to_end(&mut bytes),
    }
    .map_err(|error| format!("it does not decompress: {error}"))?;
    Ok(bytes)
}

/// What a segment is made from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Segment {
    pub system: System,
    pub place: Place,
    /// The timeline that its first page names: the one before, in the first segment after a promotion.
    pub header_timeline: u32,
    /// Segments that differ in this alone are of one place and have other records.
    pub flavour: u8,
    pub packing: Packing,
}

impl Segment {
    /// The file as it is stored. The same segment is made once for all cases.
    pub fn stored(self) -> Arc<Vec<u8>> {
        static MADE: LazyLock<Mutex<HashMap<Segment, Arc<Vec<u8>>>>> = LazyLock::new(Mutex::default);
        if let Some(made) = MADE.lock().unwrap().get(&self) {
            return Arc::clone(made);
        }
        let stored = Arc::new(self.packing.pack(&self.bytes()));
        MADE.lock().unwrap().insert(self, Arc::clone(&stored));
        stored
    }

    /// Two pages of records, and zeros as after `pg_switch_wal()`.
    fn bytes(self) -> Vec<u8> {
        let size = self.system.segment_size();
        let mut bytes = vec![0; usize::try_from(size).unwrap()];
        for (index, page) in (0..).zip(bytes.chunks_exact_mut(PAGE).take(2)) {
            let address = self.place.number * size + index * PAGE as u64;
            let long = index == 0;
            let timeline = if long { self.header_timeline } else { self.place.timeline };
            let mut header = Vec::from(self.system.wal_magic().to_le_bytes());
            header.extend((if long { LONG_HEADER } else { 0 }).to_le_bytes());
            header.extend(timeline.to_le_bytes());
            header.extend(address.to_le_bytes());
            header.extend([0; 8]);
            if long {
                header.extend(self.system.id().to_le_bytes());
                header.extend(u32::try_from(size).unwrap().to_le_bytes());
                header.extend(u32::try_from(PAGE).unwrap().to_le_bytes());
            }
            header.extend(records(address, self.place.timeline, self.flavour));
            page[..header.len()].copy_from_slice(&header);
        }
        bytes
    }
}

/// A few bytes that differ from segment to segment.
fn records(address: u64, timeline: u32, flavour: u8) -> Vec<u8> {
    let mut state = (address ^ u64::from(timeline) << 40 ^ u64::from(flavour) << 56) | 1;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state.to_le_bytes()
    };
    (0..16).flat_map(|_| next()).collect()
}

/// Bytes of no sense.
pub fn noise(seed: u64, length: usize) -> Vec<u8> {
    (0..).flat_map(|block| records(seed + block, 77, 7)).take(length).collect()
}

/// What a stored file of the archive is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Header {
    pub system: u64,
    pub timeline: u32,
    pub address: u64,
    pub segment_size: u64,
}

/// What stored segments are, by their bytes.
type Known = HashMap<Vec<u8>, Result<Header, String>>;

/// Reads a stored segment as a whole: it decompresses, begins with a long header, and is as long as that says.
pub fn read(stored: &[u8]) -> Result<Header, String> {
    static READ: LazyLock<Mutex<Known>> = LazyLock::new(Mutex::default);
    // A plain one costs nothing to read, and much to remember.
    if Packing::of(stored) == Packing::Plain {
        return header(stored);
    }
    if let Some(known) = READ.lock().unwrap().get(stored) {
        return known.clone();
    }
    let result = unpack(stored).and_then(|bytes| header(&bytes));
    READ.lock().unwrap().insert(stored.to_vec(), result.clone());
    result
}

fn header(bytes: &[u8]) -> Result<Header, String> {
    let long = |at: usize| bytes.get(at..at + 8).map_or(0, |field| u64::from_le_bytes(field.try_into().unwrap()));
    let int = |at: usize| bytes.get(at..at + 4).map_or(0, |field| u32::from_le_bytes(field.try_into().unwrap()));
    if int(0) & 0xFE00 != 0xD000 || (int(0) >> 16) & u32::from(LONG_HEADER) == 0 {
        return Err("it has no long page header".to_owned());
    }
    let header = Header { system: long(24), timeline: int(4), address: long(8), segment_size: u64::from(int(32)) };
    if header.segment_size != bytes.len() as u64 {
        return Err(format!("it has {} bytes, not {}", bytes.len(), header.segment_size));
    }
    Ok(header)
}

//! The first page of a WAL segment (PostgreSQL `access/xlog_internal.h`, `XLogLongPageHeaderData`).
//!
//! It names the system, the position and the segment size, so that a segment under a wrong name or of another
//! system is found without reading it all. Of a compressed segment only as much is decompressed.

use std::io::{self, Read};

use crate::barman::compression::Compression;
use crate::barman::ids::SystemId;
use crate::barman::wal::{Lsn, Segment, SegmentSize, Timeline, WalName};

use super::wal_form::WalForm;

/// The length of the header up to its last field.
const HEADER_LENGTH: usize = 40;
/// The flag that tells that the header is a long one (`XLP_LONG_HEADER`).
const LONG_HEADER: u16 = 0x0002;
/// What decompressing may take: a hostile xz header can ask for gigabytes, `xz -9` needs 65 MiB.
const XZ_MEMORY: u64 = 256 << 20;

/// What the first page of a segment says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct WalHeader {
    /// The format's number: `0xD110` is PostgreSQL 15, `0xD116` is 17.
    pub magic: u16,
    /// The timeline of the page; after a promotion the first segment starts with pages of the timeline before.
    pub timeline: Timeline,
    /// The position of the page.
    pub address: Lsn,
    /// The system that wrote it.
    pub system: SystemId,
    /// The size of a segment.
    pub segment_size: u32,
    /// The size of a page.
    pub block_size: u32,
}

impl Compression {
    /// A reader of what was compressed. Errors come when it is read, but for xz and zstd also now.
    pub(crate) fn decoder<'a>(self, reader: impl Read + 'a) -> io::Result<Box<dyn Read + 'a>> {
        Ok(match self {
            Self::Gzip => Box::new(flate2::read::MultiGzDecoder::new(reader)),
            Self::Bzip2 => Box::new(bzip2::read::MultiBzDecoder::new(reader)),
            Self::Xz => {
                let stream = liblzma::stream::Stream::new_stream_decoder(XZ_MEMORY, liblzma::stream::CONCATENATED)?;
                Box::new(liblzma::read::XzDecoder::new_stream(reader, stream))
            }
            Self::Zstd => Box::new(zstd::stream::read::Decoder::new(reader)?),
            Self::Lz4 => Box::new(lz4_flex::frame::FrameDecoder::new(reader)),
            Self::Snappy => Box::new(snap::read::FrameDecoder::new(reader)),
        })
    }
}

/// What the beginning of a stored segment is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Start {
    /// A page header.
    Header {
        /// What it says.
        header: WalHeader,
        /// How the file is compressed.
        compression: Option<Compression>,
    },
    /// Compressed, and what comes out is no page header, or nothing comes out: the file is damaged.
    Damaged(Compression),
    /// Encrypted, of a custom compression, or no WAL: it cannot be told which.
    Opaque,
    /// Nothing but zeros, with which no file of any form begins.
    Zeros,
}

impl Start {
    /// Reads the beginning of a stored segment. Errors are those of the reader; damaged data is none.
    pub fn read(mut reader: impl Read) -> io::Result<Self> {
        let magic = read_up_to(&mut reader, Compression::MAGIC_LENGTH)?;
        let whole = io::Cursor::new(&magic).chain(reader);
        let Some(compression) = Compression::detect(&magic) else {
            let page = read_up_to(whole, HEADER_LENGTH)?;
            let is_zeros = !page.is_empty() && page.iter().all(|byte| *byte == 0);
            let otherwise = if is_zeros { Self::Zeros } else { Self::Opaque };
            let header = WalHeader::parse(&page);
            return Ok(header.map_or(otherwise, |header| Self::Header { header, compression: None }));
        };
        let page = compression.decoder(whole).and_then(|decoder| read_up_to(decoder, HEADER_LENGTH));
        match page {
            Ok(page) => Ok(match WalHeader::parse(&page) {
                Some(header) => Self::Header { header, compression: Some(compression) },
                None => Self::Damaged(compression),
            }),
            // Decoders report damage as errors too; only the system's have numbers.
            Err(error) if error.raw_os_error().is_some() => Err(error),
            Err(_) => Ok(Self::Damaged(compression)),
        }
    }
}

impl WalHeader {
    /// Reads a long page header as a little-endian machine writes it.
    pub fn parse(page: &[u8]) -> Option<Self> {
        let header = Self {
            magic: u16::from_le_bytes(field(page, 0)?),
            timeline: Timeline(u32::from_le_bytes(field(page, 4)?)),
            address: Lsn(u64::from_le_bytes(field(page, 8)?)),
            system: SystemId(u64::from_le_bytes(field(page, 24)?)),
            segment_size: u32::from_le_bytes(field(page, 32)?),
            block_size: u32::from_le_bytes(field(page, 36)?),
        };
        let flags = u16::from_le_bytes(field(page, 2)?);
        // Every version counts the lower byte up: 0xD097 is PostgreSQL 10, 0xD118 is 18.
        let known_magic = matches!(header.magic >> 8, 0xD0 | 0xD1);
        (known_magic && flags & LONG_HEADER != 0).then_some(header)
    }
}

fn field<const N: usize>(page: &[u8], at: usize) -> Option<[u8; N]> {
    page.get(at..at + N)?.try_into().ok()
}

fn read_up_to(reader: impl Read, length: usize) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::with_capacity(length);
    reader.take(length as u64).read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// A stored WAL file is not what its name says.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum WalFault {
    /// Its content is another segment.
    #[error("{name} holds the segment at {found} of timeline {timeline}: it is stored under a wrong name")]
    WrongName {
        /// The name that it is stored under.
        name: WalName,
        /// The position in its header.
        found: Lsn,
        /// The timeline in its header.
        timeline: Timeline,
    },
    /// Another PostgreSQL wrote it.
    #[error("{name} is of system {found}, not of {expected}")]
    WrongSystem {
        /// Its name.
        name: WalName,
        /// The system in its header.
        found: SystemId,
        /// The system of the replica.
        expected: SystemId,
    },
    /// Its header speaks of another segment size.
    #[error("{name} is of segments of {found} bytes, not of {}", expected.bytes())]
    WrongSegmentSize {
        /// Its name.
        name: WalName,
        /// The size in its header.
        found: u32,
        /// The size that the backups have.
        expected: SegmentSize,
    },
    /// Its header speaks of a segment size that PostgreSQL does not have.
    #[error("{name} says that it is of segments of {found} bytes, which is no power of two from 1 MiB to 1 GiB")]
    NoSegmentSize {
        /// Its name.
        name: WalName,
        /// The size in its header.
        found: u32,
    },
    /// It is cut off or too long.
    #[error("{name} has {found} bytes, not {}", expected.bytes())]
    WrongLength {
        /// Its name.
        name: WalName,
        /// Its size.
        found: u64,
        /// The size of a segment.
        expected: SegmentSize,
    },
    /// It does not decompress.
    #[error("{name} is damaged: it does not decompress to WAL")]
    Damaged {
        /// Its name.
        name: WalName,
    },
    /// It does not begin as a file of its kind does, and no list says that nobody can look into it.
    #[error("{name} is damaged: it does not begin as {} does", kind(*name))]
    NotWal {
        /// Its name.
        name: WalName,
    },
    /// It begins with zeros.
    #[error("{name} is damaged: it begins with zeros")]
    Zeros {
        /// Its name.
        name: WalName,
    },
    /// A list says that it is stored in another form than it is.
    #[error("{name} is listed as {listed} and is {found}")]
    OtherForm {
        /// Its name.
        name: WalName,
        /// What the list says.
        listed: WalForm,
        /// What it is.
        found: WalForm,
    },
    /// A list says that it is compressed, and it does not begin so.
    #[error("{name} is damaged: it is listed as {listed} and does not begin so")]
    NotCompressed {
        /// Its name.
        name: WalName,
        /// What the list says.
        listed: WalForm,
    },
}

fn kind(name: WalName) -> &'static str {
    match name {
        WalName::Segment(_) | WalName::Partial(_) => "WAL",
        WalName::History(_) => "the history of a timeline",
        WalName::BackupLabel { .. } => "the label of its backup",
    }
}

/// What a stored WAL file must agree with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Expected {
    /// The system of the replica, where it is known.
    pub system: Option<SystemId>,
    /// The size of a segment, where it is known. Otherwise the header tells it, and everything else must agree with that.
    pub segment_size: Option<SegmentSize>,
    /// The form that it is listed in, where it is listed.
    pub form: Option<WalForm>,
}

/// Whether a stored file, of this size and beginning, is the segment that its name says, in the form that it is listed
/// in. Files other than segments have no page header and pass; so does what is listed in a form that nobody can look
/// into.
pub fn check(name: WalName, stored_size: u64, start: &Start, expected: Expected) -> Result<(), WalFault> {
    let (segment, whole) = match name {
        WalName::Segment(segment) => (segment, true),
        WalName::Partial(segment) => (segment, false),
        WalName::History(_) | WalName::BackupLabel { .. } => return Ok(()),
    };
    let (header, compression) = match start {
        Start::Header { header, compression } => (header, compression),
        Start::Damaged(_) | Start::Opaque if expected.form.is_some_and(WalForm::is_hidden) => return Ok(()),
        Start::Damaged(_) => return Err(WalFault::Damaged { name }),
        Start::Zeros => return Err(WalFault::Zeros { name }),
        Start::Opaque => {
            return Err(match expected.form {
                Some(listed @ WalForm::Compressed(_)) => WalFault::NotCompressed { name, listed },
                _ => WalFault::NotWal { name },
            });
        }
    };
    if let Some(system) = expected.system.filter(|system| *system != header.system) {
        return Err(WalFault::WrongSystem { name, found: header.system, expected: system });
    }
    let found = header.segment_size;
    let Some(segment_size) = SegmentSize::new(found.into()) else {
        return Err(WalFault::NoSegmentSize { name, found });
    };
    if let Some(expected) = expected.segment_size.filter(|expected| *expected != segment_size) {
        return Err(WalFault::WrongSegmentSize { name, found, expected });
    }
    if !is_named(segment, header, segment_size) {
        return Err(WalFault::WrongName { name, found: header.address, timeline: header.timeline });
    }
    if whole && compression.is_none() && stored_size != segment_size.bytes() {
        return Err(WalFault::WrongLength { name, found: stored_size, expected: segment_size });
    }
    let found = WalForm::found(*compression);
    match expected.form.filter(|listed| *listed != found && *listed != WalForm::Custom) {
        Some(listed) => Err(WalFault::OtherForm { name, listed, found }),
        None => Ok(()),
    }
}

/// Whether the header's position is that of the name. The first segment of a timeline begins with pages of an
/// earlier one.
fn is_named(segment: Segment, header: &WalHeader, size: SegmentSize) -> bool {
    let address = segment.number(size).and_then(|number| number.checked_mul(size.bytes()));
    address == Some(header.address.0) && header.timeline <= segment.timeline
}

#[cfg(test)]
mod tests;

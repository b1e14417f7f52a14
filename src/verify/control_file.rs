//! `global/pg_control` (PostgreSQL `catalog/pg_control.h`, `ControlFileData`): without a whole one no server starts.
//!
//! Its first four fields have been at the same place in every version. Behind them lies what differs from version to
//! version, then the CRC-32C of all before it, then zeros to the end: so the checksum is found without knowing the
//! version.

use crate::barman::ids::SystemId;

/// The length of the file in every version (`PG_CONTROL_FILE_SIZE`).
pub const LENGTH: usize = 8192;
/// From this number on (PostgreSQL 9.6) the checksum is surely a CRC-32C; 9.4, which has another, shares its number
/// with 9.5.
const FIRST_WITH_CRC32C: u32 = 960;
/// Where PostgreSQL 13 to 16 have the checksum.
const CRC_AT: usize = 288;
/// The pages of a file of a relation (`RELSEG_SIZE`), as PostgreSQL is built unless told otherwise.
const PAGES_PER_FILE: u32 = 131_072;
/// No `ControlFileData` was ever as short as this.
const SHORTEST: usize = 128;

/// The numbers that PostgreSQL's own releases write, with the releases; a fork may write others.
const NUMBERS: [(u32, &[&str]); 11] = [
    (903, &["9.0", "9.1"]),
    (922, &["9.2"]),
    (937, &["9.3"]),
    (942, &["9.4", "9.5"]),
    (960, &["9.6"]),
    (1002, &["10"]),
    (1100, &["11"]),
    (1201, &["12"]),
    (1300, &["13", "14", "15", "16"]),
    (1700, &["17"]),
    (1800, &["18"]),
];

/// What a control file says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ControlFile {
    /// The system that the cluster is of.
    pub system: SystemId,
    /// The number of the file's format, such as 1300.
    pub version: u32,
    /// The number of the system catalogs, such as 202209061.
    pub catalog: u32,
}

/// A file is no control file that a server would start with.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, thiserror::Error)]
pub enum ControlFault {
    /// Its length is another.
    #[error("it has {0} bytes, and a control file has 8192")]
    Length(u64),
    /// What it begins with is none.
    #[error("it is no control file: it begins with other bytes")]
    Foreign,
    /// Its content was changed, or is half written.
    #[error("its checksum does not fit its content")]
    Checksum,
}

impl ControlFile {
    /// Reads a control file as a little-endian machine writes it.
    pub fn parse(bytes: &[u8]) -> Result<Self, ControlFault> {
        if bytes.len() != LENGTH {
            return Err(ControlFault::Length(bytes.len() as u64));
        }
        let file = Self::fields(bytes).filter(Self::is_plausible).ok_or(ControlFault::Foreign)?;
        if file.version >= FIRST_WITH_CRC32C && !has_its_checksum(bytes) {
            return Err(ControlFault::Checksum);
        }
        Ok(file)
    }

    /// The bytes of the file as PostgreSQL 13 to 16 lay it out, with this state of the cluster.
    pub fn write(&self, state: &[u8]) -> Vec<u8> {
        let mut bytes = Vec::from(self.system.0.to_le_bytes());
        bytes.extend(self.version.to_le_bytes());
        bytes.extend(self.catalog.to_le_bytes());
        bytes.extend(state);
        bytes.resize(CRC_AT, 0);
        bytes.extend(crc32c::crc32c(&bytes).to_le_bytes());
        bytes.resize(LENGTH, 0);
        bytes
    }

    /// Whether a release of PostgreSQL (`15`, `9.6`) may have written it.
    pub fn is_of(&self, release: &str) -> bool {
        let known = NUMBERS.iter().find(|(number, _)| *number == self.version);
        known.is_none_or(|(_, releases)| releases.contains(&release))
    }

    fn fields(bytes: &[u8]) -> Option<Self> {
        let number = |at: usize| Some(u32::from_le_bytes(bytes.get(at..at + 4)?.try_into().ok()?));
        let system = SystemId(u64::from_le_bytes(bytes.get(..8)?.try_into().ok()?));
        Some(Self { system, version: number(8)?, catalog: number(12)? })
    }

    /// The numbers grow with the releases and the years: 9.0 began with 903 and 2010.
    fn is_plausible(&self) -> bool {
        self.system.0 != 0
            && (900..10_000).contains(&self.version)
            && (201_000_000..300_000_000).contains(&self.catalog)
    }
}

/// Whether the pages of a cluster have checksums and are of `page_size` bytes, as its control file says; `None` when that
/// does not show.
pub fn has_page_checksums(bytes: &[u8], page_size: usize) -> Option<bool> {
    let version = ControlFile::parse(bytes).ok()?.version;
    let number = |at: usize| Some(u32::from_le_bytes(bytes.get(at..at + 4)?.try_into().ok()?));
    // `floatFormat`, behind which the sizes of a page and of a relation's files stand.
    let float = 1_234_567.0_f64.to_le_bytes();
    let sizes = bytes.windows(float.len()).position(|window| window == float)? + float.len();
    let is_usual = number(sizes)? as usize == page_size && number(sizes + 4)? == PAGES_PER_FILE;
    // `data_checksum_version` is followed by what makes up the difference to the checksum of the file.
    let behind = match version {
        ..=959 => return None,
        960..=1001 => 4,
        1002..=1799 => 36,
        _ => 40,
    };
    let is_on = number(checksum_at(bytes)?.checked_sub(behind)?)?;
    (is_on <= 1).then_some(is_on == 1 && is_usual)
}

/// Whether what comes last before the zeros is the checksum of what comes before it.
fn has_its_checksum(bytes: &[u8]) -> bool {
    checksum_at(bytes).is_some()
}

/// Where the checksum stands.
fn checksum_at(bytes: &[u8]) -> Option<usize> {
    let last = bytes.iter().rposition(|byte| *byte != 0)?;
    // A checksum may end in zeros, and four bytes may align the structure's end.
    let places = [last / 4 * 4, (last / 4 * 4).saturating_sub(4), last / 4 * 4 + 4];
    places.into_iter().filter(|at| *at >= SHORTEST).find(|at| {
        let (Some(covered), Some(stored)) = (bytes.get(..*at), bytes.get(*at..at + 4)) else { return false };
        crc32c::crc32c(covered).to_le_bytes() == stored
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const SYSTEM: SystemId = SystemId(7_712_738_140_155_361_067);

    fn file(version: u32) -> Vec<u8> {
        ControlFile { system: SYSTEM, version, catalog: 202_209_061 }.write(&[7; 200])
    }

    #[test]
    fn a_whole_control_file_tells_its_system_and_version() {
        let read = ControlFile::parse(&file(1300)).unwrap();
        assert_eq!(read, ControlFile { system: SYSTEM, version: 1300, catalog: 202_209_061 });
        for (release, is_of) in [("13", true), ("15", true), ("16", true), ("17", false), ("9.6", false)] {
            assert_eq!(read.is_of(release), is_of, "{release}");
        }
        assert!(ControlFile { version: 1577, ..read }.is_of("15"), "a fork's own number");
    }

    #[test]
    fn what_no_server_starts_with_is_refused() {
        let whole = file(1300);
        let changed = |at: usize| {
            let mut bytes = whole.clone();
            bytes[at] ^= 1;
            bytes
        };
        for (bytes, fault) in [
            (vec![], ControlFault::Length(0)),
            (whole[..512].to_vec(), ControlFault::Length(512)),
            (vec![0; LENGTH], ControlFault::Foreign),
            (vec![0xA7; LENGTH], ControlFault::Foreign),
            (changed(0), ControlFault::Checksum),
            (changed(200), ControlFault::Checksum),
            (changed(CRC_AT), ControlFault::Checksum),
            (changed(5000), ControlFault::Checksum),
        ] {
            assert_eq!(ControlFile::parse(&bytes), Err(fault));
        }
        assert!(
            ControlFile::parse(&{
                let mut old = file(942);
                old[CRC_AT] ^= 1;
                old
            })
            .is_ok(),
            "before 9.5 the checksum is another"
        );
    }
}

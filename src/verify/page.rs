//! The checksums of data pages (PostgreSQL `storage/checksum_impl.h`, `storage/bufpage.h`), where a cluster has them.
//!
//! Only what a page says of itself is proved: not that it is the newest, nor that a file has all its pages.

use std::io::{self, Read};
use std::ops::RangeInclusive;
use std::path::Path;

use crate::barman::wal::Lsn;

/// The size of a page that is known here (`BLCKSZ`); others are unproven.
pub const SIZE: usize = 8192;
/// The pages of a file of a relation (`RELSEG_SIZE`); what is more goes on in a file of the next number.
const PER_FILE: u32 = 131_072;
/// Sums that are computed beside each other.
const SUMS: usize = 32;
/// The prime of the FNV-1a hash that the algorithm is made from.
const PRIME: u32 = 16_777_619;
/// `checksumBaseOffsets`
const OFFSETS: [u32; SUMS] = [
    0x5B1F_36E9,
    0xB852_5960,
    0x02AB_50AA,
    0x1DE6_6D2A,
    0x79FF_467A,
    0x9BB9_F8A3,
    0x217E_7CD2,
    0x83E1_3D2C,
    0xF8D4_474F,
    0xE39E_B970,
    0x42C6_AE16,
    0x9932_16FA,
    0x7B09_3B5D,
    0x98DA_FF3C,
    0xF718_902A,
    0x0B1C_9CDB,
    0xE58F_764B,
    0x1876_36BC,
    0x5D7B_3BB1,
    0xE73D_E7DE,
    0x92BE_C979,
    0xCCA6_C0B2,
    0x304A_0979,
    0x85AA_43D4,
    0x7831_25BB,
    0x6CA8_EAA2,
    0xE407_EAC6,
    0x4B5C_FC3E,
    0x9FBF_8C76,
    0x15CA_20BE,
    0xF2CA_9FD3,
    0x959B_D756,
];

/// What a page shows of itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Shown {
    /// It has its checksum.
    Good,
    /// It was never used, and nothing is in it.
    New,
    /// It was written while the backup was taken, perhaps while it was read: WAL puts it right.
    TooNew,
    /// Its checksum does not fit.
    Bad {
        /// What its bytes come to.
        found: u16,
        /// What it says.
        expected: u16,
    },
}

/// A page that is not what was written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("block {block}: its checksum is {found}, not {expected}")]
pub struct PageFault {
    /// The number of the page in the file.
    pub block: u32,
    /// What its bytes come to.
    pub found: u16,
    /// What it says.
    pub expected: u16,
}

/// What the pages of a file come to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Pages {
    /// The first that is not what was written.
    pub fault: Option<PageFault>,
    /// Whether anything of the file proves nothing.
    pub has_unproven: bool,
}

/// Reads the pages of a file to the end. What was written while the backup was `taken` proves nothing, as it may be half a
/// page. Errors are those of the reader.
pub fn read(path: &Path, taken: Option<&RangeInclusive<Lsn>>, mut reader: impl Read) -> io::Result<Pages> {
    let first = number(path).saturating_mul(PER_FILE);
    let (mut pages, mut buffer) = (Pages::default(), vec![0; 128 * SIZE]);
    let (mut filled, mut block) = (0, 0_u32);
    loop {
        let read = match reader.read(buffer.get_mut(filled..).unwrap_or_default()) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            read => read?,
        };
        filled += read;
        if read > 0 && filled < buffer.len() {
            continue;
        }
        let whole = buffer.get(..filled).unwrap_or_default().chunks_exact(SIZE);
        // The last page of a file that grew while it was copied.
        pages.has_unproven |= !whole.remainder().is_empty();
        for page in whole {
            match shown(page, first.wrapping_add(block), taken) {
                Shown::Good | Shown::New => {}
                Shown::TooNew => pages.has_unproven = true,
                Shown::Bad { found, expected } => {
                    pages.fault = pages.fault.or(Some(PageFault { block, found, expected }));
                }
            }
            block = block.wrapping_add(1);
        }
        if read == 0 {
            return Ok(pages);
        }
        filled = 0;
    }
}

/// Whether a file of a cluster, by its path below PGDATA or below a tablespace's directory, is one of pages: `base/5/1259`,
/// `global/1262_vm`, `PG_15_202209061/5/16384.1`.
pub fn has_pages(path: &Path) -> bool {
    let parts: Option<Vec<&str>> = path.components().map(|part| part.as_os_str().to_str()).collect();
    match parts.as_deref() {
        Some(["global", name]) => is_relation(name),
        Some(["base", database, name]) => is_digits(database) && is_relation(name),
        Some([version, database, name]) => version.starts_with("PG_") && is_digits(database) && is_relation(name),
        _ => false,
    }
}

fn is_relation(name: &str) -> bool {
    let name = name.split_once('.').map_or(name, |(name, segment)| if is_digits(segment) { name } else { "" });
    let name = ["_fsm", "_vm", "_init"].iter().find_map(|fork| name.strip_suffix(fork)).unwrap_or(name);
    is_digits(name)
}

fn is_digits(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit())
}

/// Which of a relation's files it is: `16384.2` is the third.
fn number(path: &Path) -> u32 {
    path.extension().and_then(|number| number.to_str()?.parse().ok()).unwrap_or(0)
}

fn shown(page: &[u8], block: u32, taken: Option<&RangeInclusive<Lsn>>) -> Shown {
    let word = |at: usize| page.get(at..at + 2).and_then(|b| b.try_into().ok()).map_or(0, u16::from_le_bytes);
    let long = |at: usize| page.get(at..at + 4).and_then(|b| b.try_into().ok()).map_or(0, u32::from_le_bytes);
    // `pd_upper`
    if word(14) == 0 && page.iter().all(|byte| *byte == 0) {
        return Shown::New;
    }
    let (expected, found) = (word(8), checksum(page, block));
    if found == expected {
        return Shown::Good;
    }
    let written = Lsn(u64::from(long(0)) << 32 | u64::from(long(4)));
    if taken.is_some_and(|taken| taken.contains(&written)) { Shown::TooNew } else { Shown::Bad { found, expected } }
}

/// The checksum of a page that is the block of this number in its relation.
fn checksum(page: &[u8], block: u32) -> u16 {
    let mut sums = OFFSETS;
    for (row, words) in page.chunks_exact(4 * SUMS).enumerate() {
        for (column, (sum, word)) in sums.iter_mut().zip(words.chunks_exact(4)).enumerate() {
            let word = word.try_into().map_or(0, u32::from_le_bytes);
            // `pd_checksum` counts as zero.
            *sum = mixed(*sum, if row == 0 && column == 2 { word & 0xFFFF_0000 } else { word });
        }
    }
    for _ in 0..2 {
        sums = sums.map(|sum| mixed(sum, 0));
    }
    let all = sums.iter().fold(0, |all, sum| all ^ sum) ^ block;
    u16::try_from(all % 65_535 + 1).unwrap_or(u16::MAX)
}

fn mixed(sum: u32, word: u32) -> u32 {
    let mixed = sum ^ word;
    mixed.wrapping_mul(PRIME) ^ (mixed >> 17)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_of_pages_are_told_by_their_names() {
        for path in
            ["base/5/1259", "base/5/1259_fsm", "base/5/16384.12", "base/5/16384_vm.1", "global/1262", "PG_15_2/5/1"]
        {
            assert!(has_pages(Path::new(path)), "{path}");
        }
        for path in [
            "base/5/PG_VERSION",
            "base/5/pg_filenode.map",
            "global/pg_control",
            "base/5/t3_16384",
            "pg_xact/0000",
            "base/5/1.x",
        ] {
            assert!(!has_pages(Path::new(path)), "{path}");
        }
    }

    /// A page with something in it, as the block of this number.
    fn page(block: u32, written: u64) -> Vec<u8> {
        let mut page: Vec<u8> = (0..SIZE).map(|at| u8::try_from(at * 7 % 251).unwrap()).collect();
        page[..4].copy_from_slice(&u32::try_from(written >> 32).unwrap().to_le_bytes());
        page[4..8].copy_from_slice(&u32::try_from(written & 0xFFFF_FFFF).unwrap().to_le_bytes());
        let sum = checksum(&page, block).to_le_bytes();
        page[8..10].copy_from_slice(&sum);
        page
    }

    #[test]
    fn a_changed_page_is_found_and_one_that_the_log_puts_right_is_not() {
        let second = 131_072;
        let mut file = [page(second, 5), vec![0; SIZE], page(second + 2, 90)].concat();
        let read = |file: &[u8]| super::read(Path::new("base/5/16384.1"), Some(&(Lsn(80)..=Lsn(95))), file).unwrap();
        assert_eq!(read(&file), Pages::default());
        assert_eq!(read(&file[..file.len() - 1]), Pages { fault: None, has_unproven: true });
        file[2 * SIZE + 4000] ^= 1;
        assert_eq!(read(&file), Pages { fault: None, has_unproven: true });
        file[5000] ^= 1;
        let fault = read(&file).fault.unwrap();
        assert_eq!(fault.block, 0);
        assert!(fault.to_string().starts_with("block 0: its checksum is "), "{fault}");
        file[SIZE] = 1;
        assert_eq!(read(&file).fault, Some(fault), "the first is told");
        // A position that is flipped lies behind the end of the backup.
        let mut flipped = page(second, 5);
        flipped[0] ^= 0x10;
        assert!(read(&flipped).fault.is_some());
        let elsewhere = super::read(Path::new("base/5/16384"), None, page(second, 5).as_slice()).unwrap();
        assert!(elsewhere.fault.is_some(), "a page of another place");
    }
}

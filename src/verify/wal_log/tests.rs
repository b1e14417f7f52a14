use proptest::prelude::*;

use super::*;
use crate::barman::ids::SystemId;
use crate::barman::wal::SegmentSize;
use crate::demo::wal::segment;

const NAME: &str = "000000010000000000000007";

fn name() -> WalName {
    NAME.parse().unwrap()
}

fn whole() -> Vec<u8> {
    segment(SystemId(7), name().segment().unwrap(), SegmentSize::new(1 << 20).unwrap()).unwrap()
}

fn read(bytes: &[u8]) -> Result<(), LogFault> {
    walk(name(), bytes).unwrap()
}

/// A segment of one page of this content behind its header, and of what else it is to have.
fn of_pages(pages: &[(u16, u32, Vec<u8>)]) -> Vec<u8> {
    let mut bytes = whole();
    let start = bytes[..LONG_HEADER].to_vec();
    bytes.fill(0);
    for (number, (flags, rest, body)) in pages.iter().enumerate() {
        let mut page = start.clone();
        page[2..4].copy_from_slice(&(flags | if number == 0 { IS_LONG } else { 0 }).to_le_bytes());
        let address = u64::from_le_bytes(start[8..16].try_into().unwrap()) + number as u64 * 8192;
        page[8..16].copy_from_slice(&address.to_le_bytes());
        page[16..20].copy_from_slice(&rest.to_le_bytes());
        page.truncate(if number == 0 { LONG_HEADER } else { SHORT_HEADER });
        page.extend(body);
        bytes[number * 8192..number * 8192 + page.len()].copy_from_slice(&page);
    }
    bytes
}

fn record(info: u8, content: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::from(u32::try_from(RECORD_HEADER + content.len()).unwrap().to_le_bytes());
    bytes.extend([0; 12]);
    bytes.extend([info, 0, 0, 0]);
    bytes.extend(crc32c::crc32c_append(crc32c::crc32c(content), &bytes).to_le_bytes());
    [&bytes, content].concat()
}

const NOOP: u8 = 0x20;
const SWITCH: u8 = 0x40;

#[test]
fn a_segment_is_whole_and_none_that_is_cut_or_grown() {
    let bytes = whole();
    assert_eq!(read(&bytes), Ok(()));
    assert_eq!(read(&bytes[..bytes.len() / 2]), Err(LogFault::CutOff(1 << 19)));
    assert_eq!(read(&[&bytes[..], &[0; 8192]].concat()), Err(LogFault::TooLong(1 << 20)));
    assert_eq!(read(&[]), Err(LogFault::NoStart));
    let partial: WalName = format!("{NAME}.partial").parse().unwrap();
    assert_eq!(walk(partial, &bytes[..1 << 19]).unwrap(), Ok(()));
}

#[test]
fn zeros_are_a_hole_unless_a_switch_explains_them() {
    let mut bytes = whole();
    bytes[8192..16384].fill(0);
    assert!(matches!(read(&bytes), Err(LogFault::NoPage(_) | LogFault::NotEmpty(_))), "{:?}", read(&bytes));
    let at = Lsn(0x0070_0000 + 40 + 24);
    assert_eq!(read(&of_pages(&[(0, 0, record(NOOP, b""))])), Err(LogFault::Hole(at)));
    assert_eq!(read(&of_pages(&[(0, 0, record(SWITCH, b""))])), Ok(()));
    // As before PostgreSQL 11.
    let empty = || (0, 0, Vec::new());
    assert_eq!(read(&of_pages(&[(0, 0, record(SWITCH, b"")), empty(), empty()])), Ok(()));
    let something = [record(SWITCH, b""), vec![0; 40], vec![1]].concat();
    assert_eq!(read(&of_pages(&[(0, 0, something)])), Err(LogFault::NotEmpty(0)));
}

#[test]
fn a_record_goes_on_over_pages_or_was_given_up() {
    let long = record(NOOP, &[5; 10_000]);
    let (here, there) = long.split_at(8192 - LONG_HEADER);
    let left = u32::try_from(there.len()).unwrap();
    let rest =
        || [there.to_vec(), vec![0; there.len().next_multiple_of(8) - there.len()], record(SWITCH, b"")].concat();
    let begun = || (0, 0, here.to_vec());
    assert_eq!(read(&of_pages(&[begun(), (CONTINUES, left, rest())])), Ok(()));
    for (flags, left, fault) in [(CONTINUES, left + 1, LogFault::NotContinued(1)), (0, 0, LogFault::NotContinued(1))] {
        assert_eq!(read(&of_pages(&[begun(), (flags, left, rest())])), Err(fault));
    }
    assert_eq!(read(&of_pages(&[begun(), (OVERWRITES, 0, record(SWITCH, b""))])), Ok(()));
    let mut changed = rest();
    changed[3] ^= 1;
    let begin = Lsn(0x0070_0000 + 40);
    assert_eq!(read(&of_pages(&[begun(), (CONTINUES, left, changed)])), Err(LogFault::Checksum(begin)));
    // What began in the segment before is known by its length.
    let rest = [vec![9; 12], vec![0; 4], record(SWITCH, b"")].concat();
    assert_eq!(read(&of_pages(&[(CONTINUES, 12, rest)])), Ok(()));
}

#[test]
fn a_page_of_another_place_or_time_is_found() {
    let bytes = whole();
    let changed = |at: usize, with: u8| {
        let mut bytes = bytes.clone();
        bytes[8192 + at] ^= with;
        read(&bytes)
    };
    let (found, expected) = (Lsn(0x0070_2001), Lsn(0x0070_2000));
    assert_eq!(changed(8, 1), Err(LogFault::OtherPlace { page: 1, found, expected }));
    assert_eq!(changed(4, 2), Err(LogFault::OtherTimeline { page: 1, found: Timeline(3) }));
    assert_eq!(changed(0, 1), Err(LogFault::NoPage(1)));
    assert_eq!(changed(2, 1), Err(LogFault::NotContinued(1)));
}

proptest! {
    /// But for what fills a header up to eight bytes.
    #[test]
    fn a_bit_that_is_flipped_anywhere_in_the_log_is_found(at in 0..2 * 8192_usize, bit in 0..8_u8) {
        let in_page = at % 8192;
        prop_assume!(!(20..24).contains(&in_page));
        // `XLP_BKP_REMOVABLE`, the mark of a record that was given up, the system and the sizes of the first page prove
        // nothing by themselves.
        prop_assume!(!(in_page == 2 && (bit == 2 || bit == 3)) && !(24..40).contains(&at));
        let mut bytes = whole();
        bytes[at] ^= 1 << bit;
        prop_assert!(read(&bytes).is_err());
    }

    #[test]
    fn nothing_that_is_read_is_too_much(bytes in proptest::collection::vec(any::<u8>(), 0..40_000), keeps in 0..200_usize) {
        let mut bytes = bytes;
        let length = keeps.min(bytes.len());
        bytes[..length].copy_from_slice(&whole()[..length]);
        prop_assert!(read(&bytes).is_err());
    }
}

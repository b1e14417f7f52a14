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

/// Two segments that follow each other, the first of which one record fills and goes on in the other by so many bytes.
fn crossing(beyond: usize) -> [Vec<u8>; 2] {
    crossing_at(SystemId(7), 7, beyond)
}

/// The same of a system, from a segment of this number on.
pub(crate) fn crossing_at(system: SystemId, number: u64, beyond: usize) -> [Vec<u8>; 2] {
    let mut start = whole()[..LONG_HEADER].to_vec();
    start[8..16].copy_from_slice(&(number << 20).to_le_bytes());
    start[24..32].copy_from_slice(&system.0.to_le_bytes());
    let (pages, page) = ((1 << 20) / 8192, 8192);
    let room = pages * page - LONG_HEADER - (pages - 1) * SHORT_HEADER;
    let content: Vec<u8> = (0..room + beyond - RECORD_HEADER).map(|at| u8::try_from(at % 251).unwrap()).collect();
    let long = record(NOOP, &content);
    let padded = vec![0; long.len().next_multiple_of(8) - long.len()];
    let stream = [&long[..], &padded, &record(SWITCH, b"")].concat();
    let (mut bytes, mut at) = (Vec::new(), 0);
    while bytes.len() < 2 * pages * page {
        let number = bytes.len() / page;
        let is_first = number % pages == 0;
        let rest = if at > 0 { long.len().saturating_sub(at) } else { 0 };
        let mut header = start.clone();
        let flags = if rest > 0 { CONTINUES } else { 0 } | if is_first { IS_LONG } else { 0 };
        header[2..4].copy_from_slice(&flags.to_le_bytes());
        let address = u64::from_le_bytes(start[8..16].try_into().unwrap()) + bytes.len() as u64;
        header[8..16].copy_from_slice(&address.to_le_bytes());
        header[16..20].copy_from_slice(&u32::try_from(rest).unwrap().to_le_bytes());
        header.truncate(if is_first { LONG_HEADER } else { SHORT_HEADER });
        let taken = (page - header.len()).min(stream.len() - at);
        let empty = vec![0; page - header.len() - taken];
        // Behind the switch there are zeros, without a header.
        bytes.extend(if taken == 0 { vec![0; page] } else { [&header, &stream[at..at + taken], &empty].concat() });
        at += taken;
    }
    let next = bytes.split_off(pages * page);
    [bytes, next]
}

fn crossing_of(first: &[u8]) -> Crossing {
    walk_to_crossing(name(), first).unwrap().unwrap().expect("a record that goes on")
}

#[test]
fn a_record_that_reaches_over_the_end_of_a_segment_is_proved_with_the_next_one() {
    for beyond in [1, 5000, 20_000] {
        let [first, next] = crossing(beyond);
        let following: WalName = "000000010000000000000008".parse().unwrap();
        assert_eq!((read(&first), walk(following, &next[..]).unwrap()), (Ok(()), Ok(())), "{beyond}");
        assert_eq!(crossing_of(&first).meet(&next[..]).unwrap(), Meeting::Whole, "{beyond}");
    }
    let [first, next] = crossing(20_000);
    let met = |next: &[u8]| crossing_of(&first).meet(next).unwrap();
    let begin = Lsn(0x0070_0000 + 40);
    let changed = |at: usize, with: u8| {
        let mut next = next.clone();
        next[at] ^= with;
        met(&next)
    };
    assert_eq!(changed(8192 + 100, 1), Meeting::Broken(LogFault::Checksum(begin)));
    assert_eq!(changed(16, 1), Meeting::Broken(LogFault::NotContinued(0)));
    assert_eq!(changed(2, 1), Meeting::Broken(LogFault::NotContinued(0)));
    // It was given up when the server came up again.
    assert_eq!(changed(2, 1 | 8), Meeting::Whole);
    // Another place, another system, no page at all, and not all of it: it is not the one that follows.
    for other in [changed(8, 1), changed(24, 1), met(&[0; 16384]), met(&next[..8192]), met(&first), met(&[])] {
        assert_eq!(other, Meeting::Unknown);
    }
    let mut first = first;
    first[900_000] ^= 1;
    assert_eq!(crossing_of(&first).meet(&next[..]).unwrap(), Meeting::Broken(LogFault::Checksum(begin)));
    assert!(walk_to_crossing(name(), &whole()[..]).unwrap().unwrap().is_none());
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

    /// But for what fills a header up to eight bytes, and what names no place by itself.
    #[test]
    fn a_bit_that_is_flipped_in_what_a_record_has_of_the_next_segment_never_leaves_it_whole(
        at in 0..5000_usize,
        bit in 0..8_u8,
    ) {
        let says_nothing = at == 2 && bit > 0 || (20..24).contains(&at) || (32..40).contains(&at);
        prop_assume!(!says_nothing);
        let [first, mut next] = crossing(8000);
        next[at] ^= 1 << bit;
        prop_assert!(crossing_of(&first).meet(&next[..]).unwrap() != Meeting::Whole);
    }

    #[test]
    fn whatever_follows_is_no_panic(bytes in proptest::collection::vec(any::<u8>(), 0..20_000), keeps in 0..40_usize) {
        let [first, next] = crossing(9000);
        let kept = keeps.min(bytes.len());
        let bytes = [&next[..kept], &bytes[kept..]].concat();
        prop_assert!(crossing_of(&first).meet(&bytes[..]).unwrap() != Meeting::Whole);
    }

    #[test]
    fn nothing_that_is_read_is_too_much(bytes in proptest::collection::vec(any::<u8>(), 0..40_000), keeps in 0..200_usize) {
        let mut bytes = bytes;
        let length = keeps.min(bytes.len());
        bytes[..length].copy_from_slice(&whole()[..length]);
        prop_assert!(read(&bytes).is_err());
    }
}

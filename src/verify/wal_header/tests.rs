use std::io::Write;

use proptest::prelude::*;

use super::*;
use crate::verify::checksum::decode_hex;

/// The first 48 bytes of segments that PostgreSQL wrote: name, hexadecimal bytes, magic, system.
const REAL: [(&str, &str, u16, u64); 3] = [
    (
        "000000010000000000000002",
        "10d1020001000000000000020000000000000000000000003aa6d8c8d7e6026b00000001002000003200000000000000",
        0xD110,
        0x6b02_e6d7_c8d8_a63a,
    ),
    // The first segment after a promotion: its first page is of timeline 1 and continues no record.
    (
        "000000020000000000000006",
        "10d1060001000000000000060000000000000000000000003aa6d8c8d7e6026b00000001002000007200000000000000",
        0xD110,
        0x6b02_e6d7_c8d8_a63a,
    ),
    (
        "00000002000000000000000B",
        "16d10600010000000000000b000000000000000000000000257d37301ee7026b00000001002000007200000000000000",
        0xD116,
        7_710_979_628_855_688_485,
    ),
];

const SIZE: SegmentSize = SegmentSize::DEFAULT;

fn name(text: &str) -> WalName {
    text.parse().unwrap()
}

fn page(hex: &str) -> Vec<u8> {
    let mut page = decode_hex(hex).unwrap();
    page.resize(100_000, 0);
    page
}

fn compress(compression: Compression, bytes: &[u8]) -> Vec<u8> {
    match compression {
        Compression::Gzip => {
            let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
            encoder.write_all(bytes).unwrap();
            encoder.finish().unwrap()
        }
        Compression::Bzip2 => {
            let mut encoder = bzip2::write::BzEncoder::new(Vec::new(), bzip2::Compression::default());
            encoder.write_all(bytes).unwrap();
            encoder.finish().unwrap()
        }
        Compression::Xz => {
            let mut encoder = liblzma::write::XzEncoder::new(Vec::new(), 0);
            encoder.write_all(bytes).unwrap();
            encoder.finish().unwrap()
        }
        Compression::Zstd => zstd::stream::encode_all(bytes, 0).unwrap(),
        Compression::Lz4 => {
            let mut encoder = lz4_flex::frame::FrameEncoder::new(Vec::new());
            encoder.write_all(bytes).unwrap();
            encoder.finish().unwrap()
        }
        Compression::Snappy => {
            let mut encoder = snap::write::FrameEncoder::new(Vec::new());
            encoder.write_all(bytes).unwrap();
            encoder.into_inner().unwrap()
        }
    }
}

#[test]
fn real_headers_are_read_and_pass() {
    for (file, hex, magic, system) in REAL {
        let Start::Header { header, compression: None } = Start::read(page(hex).as_slice()).unwrap() else {
            panic!("no header in {file}")
        };
        assert_eq!((header.magic, header.system, header.block_size), (magic, SystemId(system), 8192));
        let expected = Expected { system: Some(SystemId(system)), segment_size: Some(SIZE), form: None };
        let start = Start::Header { header, compression: None };
        assert_eq!(check(name(file), SIZE.bytes(), &start, expected), Ok(()));
        assert_eq!(check(name(&format!("{file}.partial")), 5, &start, expected), Ok(()));
    }
}

#[test]
fn every_compression_of_barman_is_looked_into() {
    let page = page(REAL[0].1);
    for compression in Compression::ALL {
        let stored = compress(compression, &page);
        let start = Start::read(stored.as_slice()).unwrap();
        assert!(matches!(start, Start::Header { compression: Some(found), .. } if found == compression), "{start:?}");
        let cut = stored.get(..Compression::MAGIC_LENGTH + 2).unwrap();
        assert_eq!(Start::read(cut).unwrap(), Start::Damaged(compression), "{compression:?}");
        let empty = Start::read(compress(compression, b"no WAL").as_slice()).unwrap();
        assert_eq!(empty, Start::Damaged(compression));
    }
}

#[test]
fn faults_are_told_apart() {
    let system = SystemId(REAL[0].3);
    let expected = Expected { system: Some(system), segment_size: Some(SIZE), form: None };
    let start = Start::read(page(REAL[0].1).as_slice()).unwrap();
    let fault = |file: &str, size, expected| check(name(file), size, &start, expected).unwrap_err();
    let file = REAL[0].0;

    let cut = fault(file, 5_242_880, expected);
    assert_eq!(cut.to_string(), "000000010000000000000002 has 5242880 bytes, not 16777216");
    let renamed = fault("000000010000000000000003", SIZE.bytes(), expected);
    assert!(matches!(renamed, WalFault::WrongName { found: Lsn(0x200_0000), .. }));
    let foreign = fault(file, SIZE.bytes(), Expected { system: Some(SystemId(1)), ..expected });
    assert_eq!(foreign, WalFault::WrongSystem { name: name(file), found: system, expected: SystemId(1) });
    let other_size = fault(file, SIZE.bytes(), Expected { segment_size: SegmentSize::new(64 << 20), ..expected });
    assert!(matches!(other_size, WalFault::WrongSegmentSize { .. }));
    let damaged = check(name(file), 1, &Start::Damaged(Compression::Gzip), expected);
    assert_eq!(damaged, Err(WalFault::Damaged { name: name(file) }));
}

#[test]
fn where_no_size_is_known_the_header_must_agree_with_itself_and_the_name() {
    let Some(header) = WalHeader::parse(&page(REAL[0].1)) else { panic!("no header") };
    let expected = Expected { system: None, segment_size: None, form: None };
    let check = |file: &str, stored, segment_size| {
        let start = Start::Header { header: WalHeader { segment_size, ..header }, compression: None };
        check(name(file), stored, &start, expected)
    };
    let (file, real) = (REAL[0].0, header.segment_size);
    assert_eq!(check(file, SIZE.bytes(), real), Ok(()));
    assert!(matches!(check(file, SIZE.bytes() / 2, real), Err(WalFault::WrongLength { .. })));
    // The same position has another name where segments have another size.
    assert!(matches!(check(file, SIZE.bytes() * 4, real * 4), Err(WalFault::WrongName { .. })));
    for impossible in [0, real + 1, 1 << 31] {
        assert!(matches!(check(file, impossible.into(), impossible), Err(WalFault::NoSegmentSize { .. })));
    }
}

#[test]
fn a_header_of_a_later_timeline_is_under_a_wrong_name() {
    let Some(mut header) = WalHeader::parse(&page(REAL[0].1)) else { panic!("no header") };
    header.timeline = Timeline(7);
    let start = Start::Header { header, compression: None };
    let result =
        check(name(REAL[0].0), SIZE.bytes(), &start, Expected { system: None, segment_size: Some(SIZE), form: None });
    assert!(matches!(result, Err(WalFault::WrongName { .. })));
}

#[test]
fn what_cannot_be_looked_into_passes_only_where_a_list_says_so() {
    let start = Start::read(&b"\x85\x02\x0c encrypted by gpg, or anything else"[..]).unwrap();
    assert_eq!(start, Start::Opaque);
    assert_eq!(Start::read(&b""[..]).unwrap(), Start::Opaque);
    let file = name(REAL[0].0);
    let gzip = WalForm::Compressed(Compression::Gzip);
    let check = |start, form| {
        let expected = Expected { system: Some(SystemId(1)), segment_size: Some(SIZE), form };
        check(file, SIZE.bytes(), &start, expected)
    };
    for form in [WalForm::Encrypted, WalForm::Custom] {
        assert_eq!(check(start, Some(form)), Ok(()));
        assert_eq!(
            check(Start::Damaged(Compression::Zstd), Some(form)),
            Ok(()),
            "{form} may begin like another format"
        );
        assert_eq!(check(Start::Zeros, Some(form)), Err(WalFault::Zeros { name: file }));
    }
    assert_eq!(check(start, None), Err(WalFault::NotWal { name: file }));
    assert_eq!(check(start, Some(WalForm::Plain)), Err(WalFault::NotWal { name: file }));
    assert_eq!(check(start, Some(gzip)), Err(WalFault::NotCompressed { name: file, listed: gzip }));
    assert_eq!(
        check(Start::read(&[0_u8; 100][..]).unwrap(), Some(WalForm::Plain)),
        Err(WalFault::Zeros { name: file })
    );
}

#[test]
fn what_a_list_says_must_be_what_the_bytes_are() {
    let page = page(REAL[0].1);
    let file = name(REAL[0].0);
    let all = Compression::ALL.into_iter().map(Some).chain([None]);
    for found in all.clone() {
        let stored = found.map_or_else(|| page.clone(), |compression| compress(compression, &page));
        let start = Start::read(stored.as_slice()).unwrap();
        let check = |form| {
            let expected = Expected { system: None, segment_size: Some(SIZE), form: Some(form) };
            check(file, SIZE.bytes(), &start, expected)
        };
        for listed in all.clone().map(WalForm::found).chain([WalForm::Encrypted]) {
            let expected = if listed == WalForm::found(found) {
                Ok(())
            } else {
                Err(WalFault::OtherForm { name: file, listed, found: WalForm::found(found) })
            };
            assert_eq!(check(listed), expected);
        }
        assert_eq!(check(WalForm::Custom), Ok(()), "only its owner knows what it is");
    }
}

proptest! {
    #[test]
    fn any_bytes_are_looked_into(magic in 0..6_usize, bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        let _ = Start::read(bytes.as_slice());
        let compressed = [Compression::ALL[magic].magic(), &bytes].concat();
        let _ = Start::read(compressed.as_slice());
    }
}

use std::fs;
use std::io::Write;
use std::os::unix::fs::symlink;
use std::path::Path;

use super::*;
use crate::barman::wal::SegmentSize;
use crate::barman::xlogdb::XlogDb;
use crate::demo::catalog::SYSTEM;
use crate::demo::{files::noise, wal};
use crate::store::posix::files;

const SEGMENT: &str = "000000010000000000000005";
const HISTORY: &[u8] = b"1\t0/A0000D8\tno recovery target specified\n";

/// What a segment of 1 MiB is.
fn segment() -> Vec<u8> {
    let name: WalName = SEGMENT.parse().unwrap();
    wal::segment(SYSTEM, name.segment().unwrap(), SegmentSize::new(1 << 20).unwrap()).unwrap()
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

fn open(path: &Path) -> Option<File> {
    files::open(path).unwrap()
}

/// What is found of bytes that are stored under a name and listed in a form.
fn found(name: &str, form: &str, bytes: &[u8]) -> Result<(), String> {
    let home = tempfile::tempdir().unwrap();
    let path = home.path().join(name);
    fs::write(&path, bytes).unwrap();
    let line = format!("{name}\t{}\t1.5\t{form}\n", bytes.len());
    let entry = XlogDb::parse(line.as_bytes()).entries().last().unwrap();
    let expected = |_: &Start| Expected { system: Some(SYSTEM), segment_size: None, form: None };
    verify(&entry, &open(&path).unwrap(), expected).unwrap().map_err(|fault| fault.to_string())
}

#[test]
fn a_segment_is_what_its_name_and_its_line_say_to_its_end() {
    let whole = segment();
    let packed = gzip(&whole);
    let zeros = vec![0; whole.len()];
    let long: Vec<u8> = [whole.as_slice(), &[1]].concat();
    for (form, good) in [("None\tNone", &whole), ("gzip\tNone", &packed), ("pigz\tNone", &packed)] {
        assert_eq!(found(SEGMENT, form, good), Ok(()), "{form}");
    }
    for hidden in ["custom\tNone", "None\tgpg", "gzip\tgpg"] {
        assert_eq!(found(SEGMENT, hidden, b"\x85\x02\x0c of no sense to us"), Ok(()), "{hidden}");
        assert!(found(SEGMENT, hidden, &zeros).unwrap_err().contains("begins with zeros"), "{hidden}");
    }
    let noise = noise(7, whole.len());
    for (form, bytes, why) in [
        ("None\tNone", zeros.clone(), "begins with zeros"),
        ("None\tNone", noise.clone(), "does not begin as WAL does"),
        ("None\tNone", packed.clone(), "is listed as uncompressed and is gzip"),
        ("gzip\tNone", noise.clone(), "is listed as gzip and does not begin so"),
        ("gzip\tNone", whole.clone(), "is listed as gzip and is uncompressed"),
        ("zstd\tNone", packed.clone(), "is listed as zstd and is gzip"),
        ("None\tgpg", whole.clone(), "is listed as encrypted and is uncompressed"),
        ("gzip\tNone", gzip(&zeros), "does not decompress to WAL"),
        ("gzip\tNone", gzip(&whole[..whole.len() / 2]), "does not decompress to WAL"),
        ("gzip\tNone", gzip(&long), "does not decompress to WAL"),
        ("gzip\tNone", packed[..packed.len() - 9].to_vec(), "does not decompress to WAL"),
        ("None\tNone", whole[..whole.len() / 2].to_vec(), "has 524288 bytes, not 1048576"),
    ] {
        let fault = found(SEGMENT, form, &bytes).unwrap_err();
        assert!(fault.starts_with(SEGMENT) && fault.contains(why), "{form}: {fault}");
    }
}

#[test]
fn what_is_longer_than_a_segment_could_be_is_not_read() {
    let home = tempfile::tempdir().unwrap();
    let path = home.path().join(SEGMENT);
    // Members of nothing, which decompress without an end and come to nothing.
    let packed = [gzip(&segment()), gzip(b"").repeat(200_000)].concat();
    assert!(packed.len() > 3 << 20);
    fs::write(&path, &packed).unwrap();
    assert_eq!(read_to_the_end(SEGMENT.parse().unwrap(), &open(&path).unwrap()).unwrap(), None);
    assert!(found(SEGMENT, "gzip\tNone", &packed).is_err());
}

#[test]
fn history_files_and_labels_are_what_their_names_say() {
    let label = format!("START WAL LOCATION: 0/500028 (file {SEGMENT})\nSTOP WAL LOCATION: 0/600000\n");
    let label_name = format!("{SEGMENT}.00000028.backup");
    let history = |form, bytes: &[u8]| found("00000002.history", form, bytes);
    let told = |form, bytes: &[u8]| found(&label_name, form, bytes);
    assert_eq!((history("None\tNone", HISTORY), history("gzip\tNone", &gzip(HISTORY))), (Ok(()), Ok(())));
    assert_eq!((told("None\tNone", label.as_bytes()), told("gzip\tNone", &gzip(label.as_bytes()))), (Ok(()), Ok(())));
    for hidden in ["custom\tNone", "None\tgpg"] {
        assert_eq!((history(hidden, b"\x85\x02"), told(hidden, b"\x85\x02")), (Ok(()), Ok(())));
    }
    let cut = gzip(HISTORY);
    let later = b"2\t0/A0000D8\tthe timeline is its own ancestor\n";
    for (form, bytes) in [
        ("None\tNone", &b"no history\n"[..]),
        ("None\tNone", &[0; 42]),
        ("None\tNone", b""),
        ("None\tNone", later),
        ("None\tNone", &cut),
        ("gzip\tNone", &cut[..cut.len() - 9]),
        ("gzip\tNone", HISTORY),
    ] {
        assert!(history(form, bytes).unwrap_err().contains("as the history of a timeline does"), "{form} {bytes:?}");
    }
    let other = label.replace(SEGMENT, "000000010000000000000006");
    for (form, bytes) in [("None\tNone", other.as_bytes()), ("None\tNone", &[0; 90]), ("gzip\tNone", label.as_bytes())]
    {
        assert!(told(form, bytes).unwrap_err().contains("as the label of its backup does"), "{form}");
    }
}

#[test]
fn links_and_pipes_are_no_wal_and_are_not_waited_for() {
    let home = tempfile::tempdir().unwrap();
    let (link, pipe) = (home.path().join("link"), home.path().join("pipe"));
    fs::write(home.path().join("file"), segment()).unwrap();
    symlink("file", &link).unwrap();
    rustix::fs::mknodat(rustix::fs::CWD, &pipe, rustix::fs::FileType::Fifo, 0o600.into(), 0).unwrap();
    for path in [link, pipe] {
        assert!(open(&path).is_none(), "{}", path.display());
    }
}

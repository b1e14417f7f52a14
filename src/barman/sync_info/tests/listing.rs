use super::super::listing::{Known, Listing, ListingError};
use crate::barman::backup_info::BackupInfo;
use crate::barman::ids::BackupId;
use crate::barman::version::BarmanVersion;
use std::collections::BTreeMap;

const NEW: BarmanVersion = BarmanVersion::new(3, 19, 1);

/// Lines of 20 bytes more than their names.
fn file(names: &[&str]) -> String {
    names.iter().map(|name| format!("{name}\t1\t1.0\tNone\tNone\n")).collect()
}

const NAMES: [&str; 4] =
    ["000000010000000000000002", "000000010000000000000004", "00000002.history", "000000020000000000000005"];

fn backups(begin_wal: &str) -> BTreeMap<BackupId, BackupInfo> {
    let info = |text: &str| BackupInfo::parse(text.as_bytes()).unwrap();
    [
        ("20261122T000001".parse().unwrap(), info(&format!("begin_wal={begin_wal}\n"))),
        ("20261122T000002".parse().unwrap(), info("begin_wal=000000010000000000000001\n")),
    ]
    .into()
}

fn listed(text: &str, known: Option<(&str, Option<u64>)>) -> Result<Vec<String>, String> {
    let known = known.map(|(name, position)| Known { name, position });
    let listing = Listing::read(text.as_bytes(), 0, known, &backups("000000010000000000000004"), NEW);
    let listing = listing.map_err(|error| error.to_string())?;
    Ok(names(&listing))
}

fn names(listing: &Listing<'_>) -> Vec<String> {
    let mut names = Vec::new();
    listing.for_each(|words| names.push(String::from_utf8(words.name.to_vec()).unwrap()));
    names
}

#[test]
fn without_a_known_file_the_first_backup_begins_the_list() {
    let text = file(&NAMES);
    assert_eq!(listed(&text, None).unwrap(), NAMES[1..]);
    for backups in [BTreeMap::new(), backups("None")] {
        let listing = Listing::read(text.as_bytes(), 0, None, &backups, NEW).unwrap();
        assert_eq!(names(&listing).len(), 4);
        assert_eq!(listing.last_name().unwrap().to_string(), NAMES[3]);
        assert_eq!(listing.last_position(), file(&NAMES[..3]).len() as u64);
    }
}

#[test]
fn with_a_known_file_all_after_it_are_listed() {
    let text = file(&NAMES);
    assert_eq!(listed(&text, Some((NAMES[0], None))).unwrap(), NAMES[1..]);
    assert_eq!(listed(&text, Some(("000000010000000000000003", Some(7)))).unwrap(), NAMES[1..]);
    assert_eq!(listed(&text, Some((NAMES[3], None))).unwrap(), [""; 0]);
    assert_eq!(listed("", Some((NAMES[3], None))).unwrap(), [""; 0]);
}

#[test]
fn a_known_file_that_is_out_of_range_is_refused() {
    let text = file(&NAMES);
    let older = listed(&text, Some(("000000010000000000000001", None))).unwrap_err();
    assert_eq!(
        older,
        "last_wal '000000010000000000000001' is older than the first available wal '000000010000000000000002'"
    );
    let newer = listed(&text, Some(("000000020000000000000006", None))).unwrap_err();
    assert_eq!(
        newer,
        "last_wal '000000020000000000000006' is newer than the last available wal '000000020000000000000005'"
    );
}

#[test]
fn the_end_of_a_file_is_as_good_as_the_whole() {
    let text = file(&NAMES);
    let offset = file(&NAMES[..2]).len();
    let tail = &text.as_bytes()[offset..];
    let known = Known { name: NAMES[2], position: Some(offset as u64) };
    assert!(known.begins(tail) && !known.begins(&text.as_bytes()[offset + 1..]) && !known.begins(b""));
    let listing = Listing::read(tail, offset as u64, Some(known), &BTreeMap::new(), NEW).unwrap();
    assert_eq!(names(&listing), NAMES[3..]);
    assert_eq!(listing.last_position(), file(&NAMES[..3]).len() as u64);
}

#[test]
fn a_line_that_barman_fails_on_is_an_error() {
    let good = file(&NAMES[..1]);
    for bad in ["garbage line\n", "\n", "000000010000000000000004\tx\t1.0\tNone\n", "000000010000000000000004\t1\n"] {
        let text = format!("{good}{bad}");
        let error = Listing::read(text.as_bytes(), 0, None, &BTreeMap::new(), NEW).unwrap_err();
        assert!(matches!(error, ListingError::Unreadable { line: 2, .. }), "{bad:?}: {error}");
    }
    // Five fields are too many before 3.14; a line break at the end may be missing.
    let old = BarmanVersion::new(3, 12, 1);
    assert!(Listing::read(good.as_bytes(), 0, None, &BTreeMap::new(), old).is_err());
    assert!(Listing::read(good.trim_end().as_bytes(), 0, None, &BTreeMap::new(), NEW).is_ok());
}

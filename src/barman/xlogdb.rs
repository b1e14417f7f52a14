//! xlog.db: the list of the files in a WAL archive (Barman `infofile.py`, `to_xlogdb_line` and `from_xlogdb_line`).
//!
//! Lines of `name TAB size TAB mtime TAB compression TAB encryption`, sorted by byte and without duplicates. The
//! last field exists from Barman 3.14 on, and a line with it ends every command of an older one; the oldest files
//! lack compression too.

pub mod memory;

use std::fmt::Write as _;
use std::str::FromStr;

use rayon::prelude::*;

use super::ids::InvalidId;
use super::python_float::push_python_repr;
use super::version::BarmanVersion;
use super::wal::WalName;
use super::wal_entry::{CodecName, WalEntry};
use super::wal_list::WalList;

/// The first version that reads a fifth field.
pub const FIVE_FIELDS: BarmanVersion = BarmanVersion::new(3, 14, 0);

/// How many bytes one processor reads at a time.
pub(super) const PART: usize = 256 << 10;
/// How many of these parts are in hand at a time: what they become is then put in its place.
const PARTS: usize = 16;

/// The content of an xlog.db.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct XlogDb {
    entries: WalList,
    /// What was wrong with the file that this was read from, in its order.
    problems: Vec<Problem>,
    /// How many lines of that file had a fifth field.
    five_fields: u64,
}

/// Something in an xlog.db that makes Barman fail, or miss WAL, or delete too much.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// The line in the file, counted from 1.
    pub line: u64,
    /// What is wrong with it.
    pub kind: ProblemKind,
}

/// What is wrong with a line of xlog.db.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ProblemKind {
    /// Barman fails on such a line.
    #[error("the line is empty")]
    Empty,
    /// Barman fails on such a line.
    #[error("not a line of Barman: {0:?}")]
    Garbage(String),
    /// Readers stop at the first name past the one that they look for.
    #[error("{0} comes after a name that sorts behind it")]
    Unsorted(WalName),
    /// The same line again.
    #[error("{0} is listed twice")]
    Doubled(WalName),
    /// The same file with other values; the last line counts.
    #[error("{0} is listed twice, with different values")]
    Contradicted(WalName),
}

impl XlogDb {
    /// A list of these files; of several with one name the last counts.
    pub fn new(entries: impl IntoIterator<Item = WalEntry>) -> Self {
        let numbered = (1..).zip(entries).collect();
        Self { entries: sort_unique(numbered, &mut Vec::new()), ..Self::default() }
    }

    /// Reads an xlog.db. Nothing in it is an error: what Barman could not read is left out and listed.
    pub fn parse(bytes: &[u8]) -> Self {
        Self::default().followed_by(bytes).unwrap_or_else(|| Self::parse_faulty(bytes))
    }

    /// A list in order with the lines that follow it; `None` where one of these is no entry, or does not sort behind the one
    /// before it.
    fn followed_by(mut self, bytes: &[u8]) -> Option<Self> {
        for parts in parts(bytes, PART).chunks(PARTS) {
            let read: Vec<(WalList, u64)> = parts.par_iter().map(|part| parse_part(part)).collect::<Option<_>>()?;
            for (entries, five_fields) in read {
                self.entries.append(entries).then_some(())?;
                self.five_fields += five_fields;
            }
        }
        Some(self)
    }

    fn parse_faulty(bytes: &[u8]) -> Self {
        let mut problems = Vec::new();
        let mut numbered = Vec::with_capacity(bytes.len() / 48);
        for (line, text) in (1..).zip(lines(bytes)) {
            match parse_line(text) {
                Ok(entry) => numbered.push((line, entry)),
                Err(kind) => problems.push(Problem { line, kind }),
            }
        }
        let entries = sort_unique(numbered, &mut problems);
        problems.sort_by_key(|problem| problem.line);
        let five_fields = lines(bytes).filter(|line| field_count(line) == 5).count() as u64;
        Self { entries, problems, five_fields }
    }

    /// The file for a Barman of this version.
    pub fn write(&self, version: BarmanVersion) -> Vec<u8> {
        let parts = self.entries.map_parts(|entries| {
            let mut text = String::new();
            entries.for_each(|entry| push_line(&mut text, &entry, version));
            text
        });
        parts.concat().into_bytes()
    }

    /// The files.
    pub fn entries(&self) -> &WalList {
        &self.entries
    }

    /// The files.
    pub fn into_entries(self) -> WalList {
        self.entries
    }

    /// The file with this name.
    pub fn get(&self, name: WalName) -> Option<WalEntry> {
        self.entries.get(name)
    }

    /// What was wrong with the file, in the order of its lines.
    pub fn problems(&self) -> &[Problem] {
        &self.problems
    }

    /// How many lines of the file had a fifth field, whatever was in it.
    pub fn five_fields(&self) -> u64 {
        self.five_fields
    }

    /// The same list with these files added or replaced, and without its problems.
    #[must_use]
    pub fn with(self, added: impl IntoIterator<Item = WalEntry>) -> Self {
        Self { entries: self.entries.with(added.into_iter().collect()), ..Self::default() }
    }

    /// The same list without the files that `gone` names, and without its problems.
    #[must_use]
    pub fn without(self, gone: impl Fn(WalName) -> bool) -> Self {
        let entries = self.entries.iter().filter(|entry| !gone(entry.name)).collect();
        Self { entries, ..Self::default() }
    }
}

impl From<WalList> for XlogDb {
    fn from(entries: WalList) -> Self {
        Self { entries, ..Self::default() }
    }
}

/// Where the last line of an xlog.db begins: the `last_position` of sync-info and of sync-wals.info.
pub fn last_line_offset(bytes: &[u8]) -> Option<u64> {
    let body = bytes.strip_suffix(b"\n").unwrap_or(bytes);
    if bytes.is_empty() {
        return None;
    }
    let start = body.iter().rposition(|b| *b == b'\n').map_or(0, |newline| newline + 1);
    u64::try_from(start).ok()
}

/// The lines of a file; after its last line break there is none.
pub(super) fn lines(bytes: &[u8]) -> impl Iterator<Item = &[u8]> {
    let body = bytes.strip_suffix(b"\n").unwrap_or(bytes);
    let count = if bytes.is_empty() { 0 } else { usize::MAX };
    body.split(|b| *b == b'\n').take(count)
}

/// The bytes of a file in parts of whole lines, each of about so many bytes.
pub(super) fn parts(bytes: &[u8], size: usize) -> Vec<&[u8]> {
    let mut parts = Vec::with_capacity(bytes.len() / size + 1);
    let mut rest = bytes;
    while !rest.is_empty() {
        let newline = rest.iter().skip(size).position(|b| *b == b'\n');
        let end = newline.map_or(rest.len(), |newline| size + newline + 1);
        let (part, behind) = rest.split_at(end);
        parts.push(part);
        rest = behind;
    }
    parts
}

/// The entries of some lines, and how many of these have a fifth field.
fn parse_part(bytes: &[u8]) -> Option<(WalList, u64)> {
    let (mut entries, mut five_fields) = (WalList::default(), 0);
    for line in lines(bytes) {
        let (entry, fields) = parse_fields(line)?;
        entries.push(entry).then_some(())?;
        five_fields += u64::from(fields == 5);
    }
    Some((entries, five_fields))
}

/// Reads one line.
pub(super) fn parse_line(bytes: &[u8]) -> Result<WalEntry, ProblemKind> {
    if let Some((entry, _)) = parse_fields(bytes) {
        return Ok(entry);
    }
    Err(match fields(bytes).next() {
        None => ProblemKind::Empty,
        Some(_) => ProblemKind::Garbage(String::from_utf8_lossy(bytes).chars().take(100).collect()),
    })
}

/// The name that a line begins with.
pub(super) fn name_of(line: &[u8]) -> Option<&str> {
    std::str::from_utf8(fields(line).next()?).ok()
}

/// Whether a file has a line of this name, found by halves. In one that is not sorted a line may be missed, and none is
/// made up.
pub fn has_line(bytes: &[u8], name: WalName) -> bool {
    let mut rest = bytes;
    while !rest.is_empty() {
        let (before, behind) = rest.split_at(rest.len() / 2);
        let begin = before.iter().rposition(|b| *b == b'\n').map_or(0, |newline| newline + 1);
        let end = behind.iter().position(|b| *b == b'\n').map_or(rest.len(), |newline| before.len() + newline + 1);
        let (through, after) = rest.split_at(end);
        let (before, line) = through.split_at(begin);
        match parse_line(line.strip_suffix(b"\n").unwrap_or(line)).map(|entry| entry.name) {
            Ok(found) if found == name => return true,
            Ok(found) if found < name => rest = after,
            Ok(_) => rest = before,
            Err(_) => return false,
        }
    }
    false
}

/// How many fields a line has.
pub fn field_count(line: &[u8]) -> usize {
    fields(line).count()
}

fn fields(line: &[u8]) -> impl Iterator<Item = &[u8]> {
    line.split(u8::is_ascii_whitespace).filter(|field| !field.is_empty())
}

/// An entry, and how many fields it has: as Barman writes them, and else as Barman reads them.
fn parse_fields(line: &[u8]) -> Option<(WalEntry, usize)> {
    entry_of(line.split(|b| *b == b'\t')).or_else(|| entry_of(fields(line)))
}

fn entry_of<'a>(mut fields: impl Iterator<Item = &'a [u8]>) -> Option<(WalEntry, usize)> {
    let (name, size, mtime) = (fields.next()?, fields.next()?, fields.next()?);
    let (compression, encryption) = (fields.next(), fields.next());
    let entry = WalEntry {
        name: WalName::of_bytes(name)?,
        size: parse_field(size)?,
        mtime: parse_field(mtime)?,
        compression: parse_codec(compression).ok()?,
        encryption: parse_codec(encryption).ok()?,
    };
    let count = 3 + usize::from(compression.is_some()) + usize::from(encryption.is_some());
    fields.next().is_none().then_some((entry, count))
}

fn parse_field<T: FromStr>(field: &[u8]) -> Option<T> {
    std::str::from_utf8(field).ok()?.parse().ok()
}

/// A field that may be missing or null.
fn parse_codec(field: Option<&[u8]>) -> Result<Option<CodecName>, InvalidId> {
    // What is no text is as little a name as an empty one.
    let text = |name| std::str::from_utf8(name).unwrap_or_default();
    field.filter(|name| *name != b"None").map(|name| text(name).parse()).transpose()
}

fn push_line(text: &mut String, entry: &WalEntry, version: BarmanVersion) {
    entry.name.push(text);
    // Writing to a String cannot fail.
    let _ = write!(text, "\t{}\t", entry.size);
    push_python_repr(text, entry.mtime.seconds());
    text.extend(["\t", codec(entry.compression.as_ref())]);
    if version >= FIVE_FIELDS {
        text.extend(["\t", codec(entry.encryption.as_ref())]);
    }
    text.push('\n');
}

fn codec(name: Option<&CodecName>) -> &str {
    name.map_or("None", CodecName::as_str)
}

/// Sorts entries that carry their line numbers, keeps the last of each name, and reports what was out of place.
fn sort_unique(mut numbered: Vec<(u64, WalEntry)>, problems: &mut Vec<Problem>) -> WalList {
    let mut highest: Option<WalName> = None;
    for (line, entry) in &numbered {
        if highest.is_some_and(|highest| entry.name < highest) {
            problems.push(Problem { line: *line, kind: ProblemKind::Unsorted(entry.name) });
        }
        highest = highest.max(Some(entry.name));
    }
    // Stable, so that equal names stay in the order of their lines.
    numbered.sort_by_key(|(_, entry)| entry.name);
    let mut entries: Vec<WalEntry> = Vec::with_capacity(numbered.len());
    for (line, entry) in numbered {
        match entries.last_mut().filter(|last| last.name == entry.name) {
            None => entries.push(entry),
            Some(last) => {
                let same = *last == entry;
                let kind = if same { ProblemKind::Doubled } else { ProblemKind::Contradicted }(entry.name);
                problems.push(Problem { line, kind });
                *last = entry;
            }
        }
    }
    entries.into_iter().collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::barman::wal::{Segment, Timeline};
    use crate::barman::wal_entry::Mtime;
    use proptest::prelude::*;

    const OLD: BarmanVersion = BarmanVersion::new(3, 12, 1);
    const NEW: BarmanVersion = BarmanVersion::new(3, 19, 1);

    const FILE: &str = "\
000000010000000000000002\t16777216\t1795352352.2619777\tNone\tNone
000000010000000000000002.00000028.backup\t338\t1795352352.0\tgzip\tgpg
00000001000000000000000B.partial\t16662\t1795352368.9579782\tzstd\tNone
00000002.history\t87\t1795352368.9515858\tNone\tNone
";

    #[test]
    fn a_file_is_written_as_it_was_read() {
        let db = XlogDb::parse(FILE.as_bytes());
        assert_eq!(db.problems(), []);
        assert_eq!(String::from_utf8(db.write(NEW)).unwrap(), FILE);
    }

    #[test]
    fn a_barman_before_3_14_gets_four_fields() {
        let text = String::from_utf8(XlogDb::parse(FILE.as_bytes()).write(OLD)).unwrap();
        assert!(text.lines().all(|line| line.split('\t').count() == 4), "{text}");
    }

    #[test]
    fn three_fields_are_read() {
        let db = XlogDb::parse(b"000000010000000000000002\t16777216\t1795352352.5\n");
        assert_eq!(db.problems(), []);
        assert_eq!(db.write(OLD), b"000000010000000000000002\t16777216\t1795352352.5\tNone\n");
    }

    #[test]
    fn problems_name_their_lines_and_the_rest_is_read() {
        let line = |name: &str, size: u32| format!("{name}\t{size}\t1.0\tNone\tNone\n");
        let (a, b) = ("00000001000000000000000A", "00000001000000000000000B");
        let file = [line(b, 1), "\n".into(), line(a, 1), line(a, 1), line(b, 2), "x y z\n".into()].concat();
        let db = XlogDb::parse(file.as_bytes());
        let problems: Vec<_> = db.problems().iter().map(|p| format!("{}: {}", p.line, p.kind)).collect();
        assert_eq!(
            problems,
            [
                "2: the line is empty",
                "3: 00000001000000000000000A comes after a name that sorts behind it",
                "4: 00000001000000000000000A comes after a name that sorts behind it",
                "4: 00000001000000000000000A is listed twice",
                "5: 00000001000000000000000B is listed twice, with different values",
                "6: not a line of Barman: \"x y z\"",
            ]
        );
        assert_eq!(db.write(NEW), [line(a, 1), line(b, 2)].concat().into_bytes());
    }

    #[test]
    fn hostile_lines_are_garbage() {
        for line in [
            "../../etc/passwd\t1\t1.0\tNone\tNone",
            "000000010000000000000002\t-1\t1.0\tNone",
            "000000010000000000000002\t1\tnan\tNone",
            "000000010000000000000002\t1\t1.0\tNone\tNone\tmore",
            "000000010000000000000002",
        ] {
            let db = XlogDb::parse(line.as_bytes());
            assert!(matches!(db.problems(), [Problem { line: 1, kind: ProblemKind::Garbage(_) }]), "{line}");
        }
    }

    #[test]
    fn the_last_line_is_found() {
        for (text, offset) in [("", None), ("a\n", Some(0)), ("a\nbc\n", Some(2)), ("a\nbc", Some(2))] {
            assert_eq!(last_line_offset(text.as_bytes()), offset, "{text:?}");
        }
    }

    #[test]
    fn files_are_added_and_removed_by_name() {
        let db = XlogDb::parse(FILE.as_bytes());
        let first = db.entries().iter().next().unwrap();
        let changed = WalEntry { size: 1, ..first };
        let db = db.with([changed]).without(|name| matches!(name, WalName::History(_)));
        assert_eq!(db.entries().len(), 3);
        assert_eq!(db.get(first.name), Some(changed));
    }

    /// More lines than all processors take at a time.
    #[test]
    fn long_lists_are_read_and_written_in_their_order() {
        let line =
            |n: u32| format!("00000001{:08X}{:08X}\t16777216\t1795352352.2619777\tgzip\tNone\n", n / 256, n % 256);
        let file = (0..70_000).map(line).collect::<Vec<_>>().concat();
        let db = XlogDb::parse(file.as_bytes());
        assert_eq!((db.problems(), db.entries().len()), (&[][..], 70_000));
        assert_eq!(db.write(NEW), file.as_bytes());
        let late = XlogDb::parse((file.clone() + &line(7)).as_bytes());
        assert!(matches!(late.problems(), [Problem { line: 70_001, .. }, Problem { line: 70_001, .. }]));
        assert_eq!(late.write(NEW), file.as_bytes());
    }

    #[test]
    fn parts_are_whole_lines_and_all_of_them() {
        for text in ["", "a", "a\n", "ab\ncd\nef", "\n\nabcdef\ng\n"] {
            for size in 1..9 {
                let parts = parts(text.as_bytes(), size);
                assert_eq!(parts.concat(), text.as_bytes());
                let (_, before) = parts.split_last().unwrap_or((&&[][..], &[]));
                assert!(before.iter().all(|part| part.ends_with(b"\n") && part.len() > size), "{text:?} by {size}");
            }
        }
    }

    fn any_entry() -> impl Strategy<Value = WalEntry> {
        let codec = prop::option::of("[a-z0-9]{1,15}".prop_map(|name| name.parse().unwrap()));
        let mtime = any::<f64>().prop_filter_map("finite", Mtime::new);
        (1..4_u32, 0..3_u32, 0..40_u32, any::<u64>(), mtime, codec.clone(), codec).prop_map(
            |(timeline, log, seg, size, mtime, compression, encryption)| WalEntry {
                name: WalName::Segment(Segment { timeline: Timeline(timeline), log, seg }),
                size,
                mtime,
                compression,
                encryption,
            },
        )
    }

    proptest! {
        #[test]
        fn lists_are_read_as_they_are_written(entries in prop::collection::vec(any_entry(), 0..40)) {
            let db = XlogDb::new(entries);
            let bytes = db.write(NEW);
            let read = XlogDb::parse(&bytes);
            prop_assert_eq!((read.entries(), read.problems()), (db.entries(), &[][..]));
            prop_assert_eq!(read.five_fields(), db.entries().len() as u64);
            prop_assert_eq!(XlogDb::parse(&db.write(OLD)).five_fields(), 0);
            prop_assert_eq!(XlogDb::parse_faulty(&bytes), read);
        }

        #[test]
        fn a_line_is_found_by_halves_where_there_is_one(
            entries in prop::collection::vec(any_entry(), 0..40),
            wanted in any_entry(),
        ) {
            let db = XlogDb::new(entries.iter().copied());
            let bytes = db.write(NEW);
            for name in entries.iter().map(|entry| entry.name).chain([wanted.name]) {
                prop_assert_eq!(has_line(&bytes, name), db.get(name).is_some());
            }
            let orderless: Vec<u8> = entries.iter().flat_map(|entry| XlogDb::new([*entry]).write(NEW)).collect();
            prop_assert!(!has_line(&orderless, wanted.name) || db.get(wanted.name).is_some());
        }

        #[test]
        fn what_is_added_replaces_what_has_its_name(
            old in prop::collection::vec(any_entry(), 0..40),
            new in prop::collection::vec(any_entry(), 0..40),
        ) {
            let all = XlogDb::new(old.iter().chain(&new).copied());
            prop_assert_eq!(XlogDb::new(old).with(new), all);
        }

        #[test]
        fn any_bytes_are_read(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            let _ = XlogDb::parse(&bytes);
            let _ = last_line_offset(&bytes);
        }
    }
}

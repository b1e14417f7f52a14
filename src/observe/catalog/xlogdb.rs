//! xlog.db under either of its names, and what is wrong with the one that Barman reads.

use std::collections::BTreeMap;

use crate::barman::layout::Layout;
use crate::barman::version::BarmanVersion;
use crate::barman::wal::WalName;
use crate::barman::wal_entry::WalEntry;
use crate::barman::wal_list::WalList;
use crate::barman::xlogdb::memory::ListMemory;
use crate::barman::xlogdb::{FIVE_FIELDS, ProblemKind, XlogDb, last_line_offset};
use crate::observe::inventory::XlogDbState;
use crate::observe::inventory::XlogFinding;
use crate::store::{CatalogError, Place, Store, parallel, xlogdb};
use crate::verify::wal_file;

/// xlog.db as it was found.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct XlogDbFiles {
    /// `S-xlog.db`, of Barman 3.13.0 and later.
    pub named: Option<XlogDbFile>,
    /// `xlog.db`, of those before.
    pub plain: Option<XlogDbFile>,
}

/// One xlog.db.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct XlogDbFile {
    /// Its lines.
    pub entries: WalList,
    /// The name on its last line, and where that begins.
    pub last: Option<(WalName, u64)>,
    /// Lines that are no entry.
    pub unreadable: u64,
    /// Lines that stand behind one with a greater name.
    pub unsorted: u64,
    /// Lines whose name is there already.
    pub doubled: u64,
    /// Lines with a fifth field, which ends every Barman before 3.14.
    pub five_fields: u64,
}

impl XlogDbFiles {
    /// Reads both files, where they are.
    pub fn read(store: &dyn Store) -> Result<Self, CatalogError> {
        Self::recall(store, &mut ListMemory::default())
    }

    /// The same, without the lines that are remembered of the first of them.
    pub fn recall(store: &dyn Store, memory: &mut ListMemory) -> Result<Self, CatalogError> {
        let [named, plain] = Layout::readable().map(|layout| xlogdb::bytes(store, layout));
        let mut first = Some(memory);
        let mut file = |bytes: Vec<u8>| match first.take() {
            Some(memory) => XlogDbFile::of(&bytes, memory.parse(&bytes)),
            None => XlogDbFile::parse(&bytes),
        };
        Ok(Self { named: named?.map(&mut file), plain: plain?.map(&mut file) })
    }

    /// The list, whatever its name: the newer name wins.
    pub fn any(&self) -> Option<&XlogDbFile> {
        self.named.as_ref().or(self.plain.as_ref())
    }

    /// Whether a line has five fields.
    pub fn has_five_fields(&self) -> bool {
        self.named.iter().chain(&self.plain).any(|file| file.five_fields > 0)
    }

    /// What a Barman of this version has in hand.
    pub fn into_state(self, version: BarmanVersion) -> XlogDbState {
        let reads_named = Layout::of(version).names_xlogdb();
        let (expected, other) = if reads_named { (self.named, self.plain) } else { (self.plain, self.named) };
        let mut findings = Vec::new();
        let file = match (expected, other) {
            (Some(file), _) => file,
            (None, Some(file)) => {
                findings.push(XlogFinding::OtherName);
                file
            }
            (None, None) => {
                return XlogDbState { entries: WalList::default(), findings: vec![XlogFinding::Missing] };
            }
        };
        findings.extend(file.findings(version));
        XlogDbState { entries: file.entries, findings }
    }
}

impl XlogDbFile {
    /// Reads one from its bytes.
    pub fn parse(bytes: &[u8]) -> Self {
        Self::of(bytes, XlogDb::parse(bytes))
    }

    /// What is known of one, given its bytes and what they say.
    pub fn of(bytes: &[u8], db: XlogDb) -> Self {
        let count = |wanted: fn(&ProblemKind) -> bool| {
            db.problems().iter().filter(|problem| wanted(&problem.kind)).count() as u64
        };
        let offset = last_line_offset(bytes);
        Self {
            last: offset.and_then(|offset| Some((name_at(bytes, offset)?, offset))),
            unreadable: count(|kind| matches!(kind, ProblemKind::Empty | ProblemKind::Garbage(_))),
            unsorted: count(|kind| matches!(kind, ProblemKind::Unsorted(_))),
            doubled: count(|kind| matches!(kind, ProblemKind::Doubled(_) | ProblemKind::Contradicted(_))),
            five_fields: db.five_fields(),
            entries: db.into_entries(),
        }
    }

    /// Whether Barman's own readers stumble over it.
    pub fn is_faulty(&self) -> bool {
        self.disordered() > 0
    }

    /// How many lines are none, or not in their place.
    pub fn disordered(&self) -> u64 {
        self.unreadable + self.unsorted + self.doubled
    }

    fn findings(&self, version: BarmanVersion) -> impl Iterator<Item = XlogFinding> {
        let too_many = if version < FIVE_FIELDS { self.five_fields } else { 0 };
        let counted = [
            (too_many, XlogFinding::TooManyFields(too_many)),
            (self.unreadable, XlogFinding::Unreadable(self.unreadable)),
            (self.unsorted, XlogFinding::Unsorted(self.unsorted)),
            (self.doubled, XlogFinding::Doubled(self.doubled)),
        ];
        counted.into_iter().filter(|(count, _)| *count > 0).map(|(_, finding)| finding)
    }
}

/// WAL files of the archive, each described by itself. Whoever took one away meanwhile, it is left out.
pub fn described(store: &dyn Store, names: &[WalName]) -> Result<BTreeMap<WalName, WalEntry>, CatalogError> {
    let mut found = BTreeMap::new();
    for described in parallel::map(names, |name| describe(store, Place::Wal(*name), *name)) {
        found.extend(described?.map(|entry| (entry.name, entry)));
    }
    Ok(found)
}

/// A WAL file, described by itself; `None` when there is none.
pub fn describe(store: &dyn Store, place: Place, name: WalName) -> Result<Option<WalEntry>, CatalogError> {
    let Some(file) = store.open(place.into())? else { return Ok(None) };
    let described = wal_file::describe(name, &file).map(Some);
    described.map_err(|source| CatalogError { path: store.local(place.into()), source })
}

fn name_at(bytes: &[u8], offset: u64) -> Option<WalName> {
    let line = bytes.get(usize::try_from(offset).ok()?..)?;
    let name = line.split(u8::is_ascii_whitespace).next()?;
    std::str::from_utf8(name).ok()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    const A: &str = "00000001000000000000000A";
    const B: &str = "00000001000000000000000B";

    fn findings(named: Option<&str>, plain: Option<&str>, version: &str) -> Vec<XlogFinding> {
        let file = |text: &str| XlogDbFile::parse(text.as_bytes());
        let files = XlogDbFiles { named: named.map(file), plain: plain.map(file) };
        files.into_state(version.parse().unwrap()).findings
    }

    #[test]
    fn the_name_must_be_that_of_the_version() {
        let line = format!("{A}\t1\t1.0\tNone\n");
        assert_eq!(findings(None, None, "3.19.1"), [XlogFinding::Missing]);
        assert_eq!(findings(None, Some(&line), "3.19.1"), [XlogFinding::OtherName]);
        assert_eq!(findings(Some(&line), None, "3.12.1"), [XlogFinding::OtherName]);
        assert_eq!(findings(Some(&line), Some("junk"), "3.19.1"), []);
    }

    #[test]
    fn five_fields_are_too_many_for_an_old_barman() {
        let lines = format!("{A}\t1\t1.0\tNone\tNone\n{B}\t1\t1.0\tNone\n");
        assert_eq!(findings(None, Some(&lines), "3.12.1"), [XlogFinding::TooManyFields(1)]);
        assert_eq!(findings(Some(&lines), None, "3.14"), []);
    }

    #[test]
    fn lines_out_of_place_are_counted() {
        let lines = format!("{B}\t1\t1.0\tNone\n{A}\t1\t1.0\tNone\n{B}\t1\t1.0\tNone\njunk\n\n{A}\t2\t1.0\tNone\n");
        assert_eq!(
            findings(Some(&lines), None, "3.13"),
            [XlogFinding::Unreadable(2), XlogFinding::Unsorted(2), XlogFinding::Doubled(2)]
        );
    }

    #[test]
    fn the_last_line_is_told_with_its_offset() {
        let lines = format!("{A}\t1\t1.0\tNone\n{B}\t1\t1.0\tNone\n");
        let file = XlogDbFile::parse(lines.as_bytes());
        assert_eq!(file.last, Some((B.parse().unwrap(), lines.len() as u64 / 2)));
        assert_eq!(XlogDbFile::parse(b"").last, None);
    }
}

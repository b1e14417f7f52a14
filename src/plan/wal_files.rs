//! The archives at both ends side by side: one pass over three sorted lists, as an archive may hold millions of files.

use crate::barman::wal::WalName;
use crate::barman::wal_entry::WalEntry;
use crate::observe::inventory::{PrimaryInventory, ReplicaInventory};

/// What everybody knows of one WAL file.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct WalFile<'a> {
    /// Its name.
    pub name: WalName,
    /// What the primary archived under it.
    pub there: Option<&'a WalEntry>,
    /// Its bytes on disk here.
    pub here: Option<u64>,
    /// What xlog.db here says of it.
    pub line: Option<&'a WalEntry>,
}

impl WalFile<'_> {
    /// Whether the file here is whole, as far as anybody knows its size. An empty one never is, and who lists it as
    /// empty knows nothing of it.
    pub fn is_intact(&self) -> bool {
        let size = [self.there, self.line].into_iter().flatten().map(|entry| entry.size).find(|size| *size > 0);
        self.here.is_some_and(|here| here > 0 && size.is_none_or(|size| size == here))
    }
}

/// Every WAL file that somebody knows, in the order of the names. Without a primary the site alone is asked.
pub fn wal_files<'a>(
    primary: Option<&'a PrimaryInventory>,
    replica: &'a ReplicaInventory,
) -> impl Iterator<Item = WalFile<'a>> {
    let mut there = primary.map_or(&[][..], |primary| &primary.wals).iter().peekable();
    let mut here = replica.wals.iter().peekable();
    let mut lines = replica.xlogdb.entries.iter().peekable();
    std::iter::from_fn(move || {
        let heads = [there.peek().map(|e| e.name), here.peek().map(|(name, _)| **name), lines.peek().map(|e| e.name)];
        let name = heads.into_iter().flatten().min()?;
        Some(WalFile {
            name,
            there: there.next_if(|entry| entry.name == name),
            here: here.next_if(|(here, _)| **here == name).map(|(_, size)| *size),
            line: lines.next_if(|entry| entry.name == name),
        })
    })
}

/// The entry of a name in a sorted list.
pub fn find(sorted: &[WalEntry], name: WalName) -> Option<&WalEntry> {
    sorted.binary_search_by_key(&name, |entry| entry.name).ok().and_then(|i| sorted.get(i))
}

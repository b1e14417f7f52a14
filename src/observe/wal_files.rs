//! The archives at both ends side by side: one pass over three sorted lists, as an archive may hold millions of files.

use super::inventory::{PrimaryInventory, ReplicaInventory, Undescribed, WholeWal};
use crate::barman::wal::WalName;
use crate::barman::wal_entry::WalEntry;

/// What everybody knows of one WAL file.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct WalFile<'a> {
    /// Its name.
    pub name: WalName,
    /// What the primary archived under it.
    pub there: Option<&'a WalEntry>,
    /// Why the primary's list does not tell what that is.
    pub undescribed: Option<Undescribed>,
    /// Its bytes on disk here.
    pub here: Option<u64>,
    /// What xlog.db here says of it.
    pub line: Option<&'a WalEntry>,
    /// How it is stored here, where it was read because its size is not the primary's, and found whole.
    pub whole: Option<WholeWal>,
}

impl WalFile<'_> {
    /// Whether the file here is whole, as far as anybody knows its size. An empty one never is, and who lists it as
    /// empty knows nothing of it.
    pub fn is_intact(&self) -> bool {
        if self.whole.is_some() || self.is_as_listed() {
            return true;
        }
        let size = [self.there, self.line].into_iter().flatten().map(|entry| entry.size).find(|size| *size > 0);
        self.here.is_some_and(|here| here > 0 && size.is_none_or(|size| size == here))
    }

    /// Whether the file here is what the primary's list says, and the primary changed its own since: it has the same
    /// content in another form.
    pub fn is_as_listed(&self) -> bool {
        let Some(Undescribed::OtherSize { listed }) = self.undescribed else { return false };
        listed > 0 && self.here == Some(listed)
    }
}

/// Every WAL file that somebody knows, in the order of the names. Without a primary the site alone is asked.
pub fn wal_files<'a>(
    primary: Option<&'a PrimaryInventory>,
    replica: &'a ReplicaInventory,
) -> impl Iterator<Item = WalFile<'a>> {
    let mut there = primary.map_or(&[][..], |primary| &primary.wals).iter().peekable();
    let mut undescribed = primary.into_iter().flat_map(|primary| &primary.undescribed).peekable();
    let mut here = replica.wals.iter().peekable();
    let mut lines = replica.xlogdb.entries.iter().peekable();
    std::iter::from_fn(move || {
        let ends = lower(there.peek().map(|entry| entry.name), here.peek().map(|(name, _)| **name));
        let name = lower(ends, lines.peek().map(|entry| entry.name))?;
        Some(WalFile {
            name,
            there: there.next_if(|entry| entry.name == name),
            undescribed: undescribed.next_if(|(undescribed, _)| **undescribed == name).map(|(_, why)| *why),
            here: here.next_if(|(here, _)| **here == name).map(|(_, size)| *size),
            line: lines.next_if(|entry| entry.name == name),
            whole: replica.whole.get(&name).copied(),
        })
    })
}

/// The name that comes first. Mostly both are the same, which is faster to see.
fn lower(a: Option<WalName>, b: Option<WalName>) -> Option<WalName> {
    match (a, b) {
        (Some(a), Some(b)) if a == b => Some(a),
        (Some(a), Some(b)) => Some(a.min(b)),
        (a, b) => a.or(b),
    }
}

/// The entry of a name in a sorted list.
pub fn find(sorted: &[WalEntry], name: WalName) -> Option<&WalEntry> {
    sorted.binary_search_by_key(&name, |entry| entry.name).ok().and_then(|i| sorted.get(i))
}

//! The archives at both ends side by side: one pass over three sorted lists, as an archive may hold millions of files.

use crate::barman::wal::WalName;
use crate::barman::wal_entry::WalEntry;
use crate::barman::xlogdb::FIVE_FIELDS;
use crate::verify::wal_form::WalForm;

use super::inventory::{PrimaryInventory, ReplicaInventory, Undescribed, Unsound, WholeWal};

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
    /// What its beginning here proves.
    pub proof: Proof,
}

/// What is proved of a WAL file here by its beginning.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Proof {
    /// It begins as it should, or is not here.
    Sound,
    /// Nobody can look into it, and a list says why.
    Unproven,
    /// It is damaged.
    Damaged,
}

impl WalFile<'_> {
    /// Whether the file here is whole, as far as anybody knows its size. An empty one never is, and who lists it as
    /// empty knows nothing of it.
    pub fn is_intact(&self) -> bool {
        if self.proof == Proof::Damaged {
            return false;
        }
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
        let there = there.next_if(|entry| entry.name == name);
        let line = lines.next_if(|entry| entry.name == name);
        Some(WalFile {
            name,
            there,
            undescribed: undescribed.next_if(|(undescribed, _)| **undescribed == name).map(|(_, why)| *why),
            here: here.next_if(|(here, _)| **here == name).map(|(_, size)| *size),
            line,
            whole: replica.whole.get(&name).copied(),
            proof: proof(replica, name, there, line),
        })
    })
}

/// What the beginning of a file here proves, given how both ends list it.
fn proof(replica: &ReplicaInventory, name: WalName, there: Option<&WalEntry>, line: Option<&WalEntry>) -> Proof {
    match replica.unsound.get(&name) {
        None => Proof::Sound,
        Some(Unsound::Damaged) => Proof::Damaged,
        Some(Unsound::Opaque) => {
            let is_hidden = there.into_iter().chain(line).any(|entry| WalForm::listed(entry).is_hidden());
            // The lists of older Barmans cannot say that a file is encrypted.
            let is_unsaid = there.is_none() && replica.barman < FIVE_FIELDS;
            if is_hidden || is_unsaid { Proof::Unproven } else { Proof::Damaged }
        }
    }
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

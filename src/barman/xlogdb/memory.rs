//! What the beginning of an xlog.db came to, from one run to the next: a list of a million files mostly is as it was, but
//! for some lines at its end, and putting it together from its lines takes longer than all else that is done with it.
//!
//! The beginning is known by its length and by its CRC-32C, as PostgreSQL's manifests know files: whatever begins with
//! these bytes begins with these files, however it came to be, and no clock is asked. So a memory may be lost, spoilt or
//! that of another list at any moment. A list that is not in order is put together each time.

use crate::barman::wal_list::WalList;

use super::{PART, XlogDb};

/// What a memory begins with: another version of it is none.
const MAGIC: &[u8] = b"antipode: what a list of WAL came to, 1\n";
/// What is read in one part is not worth to be remembered.
const SHORTEST: usize = PART;
/// A list is remembered anew when more than one part of so many is not remembered.
const SPARED: usize = 16;

/// What is remembered of a list.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ListMemory {
    stored: Option<Vec<u8>>,
    is_kept: bool,
    renewed: Option<Vec<u8>>,
}

impl ListMemory {
    /// What an earlier run left, if it did, and whether somebody will keep what this one leaves.
    pub fn new(stored: Option<Vec<u8>>, is_kept: bool) -> Self {
        Self { stored, is_kept, renewed: None }
    }

    /// Reads a list as [`XlogDb::parse`] does, without the lines that are remembered.
    pub fn parse(&mut self, bytes: &[u8]) -> XlogDb {
        let (list, remembered) = match self.stored.take().and_then(|stored| recalled(&stored, bytes)) {
            Some(recalled) => recalled,
            None => (XlogDb::parse(bytes), 0),
        };
        if self.is_kept && bytes.len() > SHORTEST && bytes.len() - remembered > bytes.len() / SPARED {
            self.renewed = form(bytes, &list);
        }
        list
    }

    /// What is to be kept instead of what was, where that is worth it.
    pub fn renewed(&self) -> Option<&[u8]> {
        self.renewed.as_deref()
    }
}

/// `length, sum, lines with five fields, files` behind a sum of these; `None` for a list that is not in order, or to which
/// no line can be added, as its last one has no end.
fn form(bytes: &[u8], list: &XlogDb) -> Option<Vec<u8>> {
    (list.problems.is_empty() && bytes.ends_with(b"\n")).then_some(())?;
    let mut form = Vec::new();
    form.extend((bytes.len() as u64).to_le_bytes());
    form.extend(crc32c::crc32c(bytes).to_le_bytes());
    form.extend(list.five_fields.to_le_bytes());
    list.entries.write(&mut form);
    Some([MAGIC, &crc32c::crc32c(&form).to_le_bytes(), &form].concat())
}

/// The list that these bytes are, and how many of them were remembered; `None` when they begin otherwise, when what
/// follows is not in order, or when the memory is something else, cut off or spoilt.
fn recalled(stored: &[u8], bytes: &[u8]) -> Option<(XlogDb, usize)> {
    let (sum, form) = stored.strip_prefix(MAGIC)?.split_first_chunk()?;
    let (length, rest) = form.split_first_chunk()?;
    let (sum_of_beginning, rest) = rest.split_first_chunk()?;
    let length = usize::try_from(u64::from_le_bytes(*length)).ok()?;
    let (beginning, behind) = bytes.split_at_checked(length)?;
    let is_right = crc32c::crc32c(form) == u32::from_le_bytes(*sum)
        && crc32c::crc32c(beginning) == u32::from_le_bytes(*sum_of_beginning);
    is_right.then_some(())?;
    let (five_fields, mut rest) = rest.split_first_chunk()?;
    let five_fields = u64::from_le_bytes(*five_fields);
    let entries = WalList::read(&mut rest).filter(|_| rest.is_empty())?;
    let list = XlogDb { entries, problems: Vec::new(), five_fields };
    Some((list.followed_by(behind)?, length))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn line(n: u32) -> String {
        let size = if n.is_multiple_of(3) { 16_777_216 } else { n };
        let fifth = if n.is_multiple_of(5) { "" } else { "\tgpg" };
        format!("00000001{:08X}{:08X}\t{size}\t1795352352.{n}\tgzip{fifth}\n", n / 256, n % 256)
    }

    fn file(lines: impl IntoIterator<Item = u32>) -> String {
        lines.into_iter().map(line).collect()
    }

    fn memory_of(bytes: &[u8]) -> Option<Vec<u8>> {
        form(bytes, &XlogDb::parse(bytes))
    }

    /// Some thousand lines more than are read at a time.
    const LONG: u32 = 8000;

    #[test]
    fn a_list_that_begins_as_it_was_is_read_from_there_on() {
        let old = file(0..LONG);
        let mut memory = ListMemory::new(None, true);
        assert_eq!(memory.parse(old.as_bytes()), XlogDb::parse(old.as_bytes()));
        let stored = memory.renewed().unwrap().to_vec();
        for (new, is_renewed) in [
            (old.clone(), false),
            (file(0..=LONG), false),
            (file(0..LONG + LONG / 8), true),
            (file(1..LONG), true),
            (file(0..LONG - 1), true),
            (old.replacen("\t7\t", "\t8\t", 1), true),
            (old.clone() + &line(LONG - 1), false),
            (old.clone() + "junk\n", false),
            (old.clone() + line(LONG).trim_end(), false),
            (file(0..20), false),
        ] {
            let mut memory = ListMemory::new(Some(stored.clone()), true);
            assert_eq!(memory.parse(new.as_bytes()), XlogDb::parse(new.as_bytes()));
            assert_eq!(memory.renewed().is_some(), is_renewed, "{} bytes", new.len());
        }
    }

    #[test]
    fn nothing_is_remembered_of_a_short_list_or_a_faulty_one_or_where_nobody_keeps_it() {
        let long = file(0..LONG);
        for (list, is_kept) in [
            (file(0..20), true),
            (long.clone() + "junk\n", true),
            (long.clone() + &line(3), true),
            (long.clone() + line(LONG).trim_end(), true),
            (long.clone(), false),
        ] {
            let mut memory = ListMemory::new(None, is_kept);
            memory.parse(list.as_bytes());
            assert_eq!(memory.renewed(), None);
        }
    }

    #[test]
    fn a_memory_that_is_cut_off_or_spoilt_is_none() {
        let old = file(0..40);
        let whole = memory_of(old.as_bytes()).unwrap();
        assert_eq!(recalled(&whole, old.as_bytes()), Some((XlogDb::parse(old.as_bytes()), old.len())));
        for length in 0..whole.len() {
            assert_eq!(recalled(&whole[..length], old.as_bytes()), None, "{length}");
        }
        for at in 0..whole.len() {
            let mut spoilt = whole.clone();
            spoilt[at] ^= 4;
            assert_eq!(recalled(&spoilt, old.as_bytes()), None, "{at}");
        }
        assert_eq!(recalled(&[&whole[..], b"x"].concat(), old.as_bytes()), None);
    }

    proptest! {
        #[test]
        fn a_list_is_read_as_without_a_memory(
            old in prop::collection::btree_set(0..60_u32, 0..40),
            new in prop::collection::vec(0..90_u32, 0..20),
            at in any::<prop::sample::Index>(),
            change in prop::option::of((any::<u8>(), any::<bool>())),
        ) {
            let old = file(old);
            let mut bytes = (old.clone() + &file(new)).into_bytes();
            if let Some((byte, is_added)) = change {
                let at = at.index(bytes.len() + 1);
                bytes.splice(at..(at + usize::from(!is_added)).min(bytes.len()), [byte]);
            }
            let mut memory = ListMemory::new(memory_of(old.as_bytes()), true);
            prop_assert_eq!(memory.parse(&bytes), XlogDb::parse(&bytes));
        }
    }
}

//! Whether xlog.db says what is on the disk.

use std::collections::BTreeMap;

use crate::barman::wal::WalName;
use crate::barman::wal_list::WalList;

/// How a line of xlog.db and the disk differ.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Line {
    /// No line names the file.
    Absent,
    /// It has no file.
    WithoutFile,
    /// It has another size than the file.
    OfOtherSize,
}

/// Where they differ, by the names.
pub fn differing(lines: Option<&WalList>, on_disk: impl Iterator<Item = (WalName, u64)>) -> BTreeMap<WalName, Line> {
    // Side by side: there may be a million of either.
    let mut listed = lines.into_iter().flat_map(WalList::iter).map(|entry| (entry.name, entry.size)).peekable();
    let mut on_disk = on_disk.peekable();
    let mut differing = BTreeMap::new();
    loop {
        let names = (listed.peek().map(|(name, _)| *name), on_disk.peek().map(|(name, _)| *name));
        let (name, how) = match names {
            (None, None) => return differing,
            (Some(line), Some(file)) if line == file => {
                let sizes = (listed.next().map(|(_, size)| size), on_disk.next().map(|(_, size)| size));
                (line, (sizes.0 != sizes.1).then_some(Line::OfOtherSize))
            }
            (Some(line), file) if file.is_none_or(|file| line < file) => {
                listed.next();
                (line, Some(Line::WithoutFile))
            }
            (_, Some(file)) | (Some(file), None) => {
                on_disk.next();
                (file, Some(Line::Absent))
            }
        };
        differing.extend(how.map(|how| (name, how)));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::barman::xlogdb::XlogDb;

    #[test]
    fn what_either_has_alone_or_with_another_size_is_told() {
        let name = |number: u32| format!("0000000100000000{number:08X}").parse::<WalName>().unwrap();
        let list: String = [1, 2, 4, 5].map(|number| format!("{}\t7\t1.0\tNone\tNone\n", name(number))).concat();
        let list = XlogDb::parse(list.as_bytes());
        let on_disk = [(name(0), 7), (name(2), 7), (name(3), 7), (name(4), 8)];
        let expected = [
            (0, Line::Absent),
            (1, Line::WithoutFile),
            (3, Line::Absent),
            (4, Line::OfOtherSize),
            (5, Line::WithoutFile),
        ];
        let expected = expected.map(|(number, line)| (name(number), line));
        assert_eq!(differing(Some(list.entries()), on_disk.into_iter()), BTreeMap::from(expected));
        assert_eq!(differing(None, on_disk.into_iter()).len(), 4);
        assert_eq!(differing(Some(list.entries()), std::iter::empty()).len(), 4);
    }
}

//! A list of WAL files, as xlog.db and sync-info give it, in little room: sizes, times and codecs each have a map, and all
//! three have the same runs.

use std::ops::RangeInclusive;

use rayon::prelude::*;

use super::ids::InvalidId;
use super::wal::WalName;
use super::wal_entry::{CodecName, Mtime, WalEntry};
use super::wal_map::{Run, WalMap};

/// How many runs one processor puts into words at a time.
const RUNS: usize = 32;

/// WAL files, sorted by name, each name once.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct WalList {
    sizes: WalMap<u64>,
    mtimes: WalMap<Mtime>,
    codecs: WalMap<Codecs>,
}

/// Files of a list whose names follow each other.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct ListRun<'a> {
    /// Their sizes.
    pub sizes: &'a Run<u64>,
    /// When they were last modified.
    pub mtimes: &'a Run<Mtime>,
    /// How they are compressed, and how they are encrypted.
    pub codecs: &'a Run<Codecs>,
}

/// How a file is compressed, and how it is encrypted.
pub type Codecs = (Option<CodecName>, Option<CodecName>);

impl<'a> ListRun<'a> {
    /// Its files.
    pub fn entries(self) -> impl DoubleEndedIterator<Item = WalEntry> + 'a {
        (0..self.sizes.len()).filter_map(move |at| {
            let ((name, size), (_, mtime)) = (self.sizes.at(at)?, self.mtimes.at(at)?);
            let (_, (compression, encryption)) = self.codecs.at(at)?;
            Some(WalEntry { name, size, mtime, compression, encryption })
        })
    }
}

impl WalList {
    /// How many files there are.
    pub fn len(&self) -> usize {
        self.sizes.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.sizes.is_empty()
    }

    /// The file with this name.
    pub fn get(&self, name: WalName) -> Option<WalEntry> {
        let (size, mtime) = (self.sizes.get(name)?, self.mtimes.get(name)?);
        let (compression, encryption) = self.codecs.get(name)?;
        Some(WalEntry { name, size, mtime, compression, encryption })
    }

    /// The files in the order of their names.
    pub fn iter(&self) -> impl DoubleEndedIterator<Item = WalEntry> {
        self.runs().flat_map(ListRun::entries)
    }

    /// The last file.
    pub fn last(&self) -> Option<WalEntry> {
        self.iter().next_back()
    }

    /// Those with these names and all names between.
    pub fn range(&self, names: RangeInclusive<WalName>) -> impl DoubleEndedIterator<Item = WalEntry> {
        let (start, end) = (*names.start(), *names.end());
        let entries = self.runs_within(names).flat_map(ListRun::entries);
        entries.filter(move |entry| start <= entry.name && entry.name <= end)
    }

    /// The same in runs.
    pub fn runs(&self) -> impl DoubleEndedIterator<Item = ListRun<'_>> {
        zipped(self.sizes.runs(), self.mtimes.runs(), self.codecs.runs())
    }

    /// The runs that have files with these names or names between.
    pub fn runs_within(&self, names: RangeInclusive<WalName>) -> impl DoubleEndedIterator<Item = ListRun<'_>> {
        let (sizes, mtimes) = (self.sizes.runs_within(names.clone()), self.mtimes.runs_within(names.clone()));
        zipped(sizes, mtimes, self.codecs.runs_within(names))
    }

    /// What is made of the files, some at a time, by all processors, in the order of the names.
    pub fn map_parts<T: Send>(&self, make: impl Fn(&mut dyn Iterator<Item = WalEntry>) -> T + Sync) -> Vec<T> {
        let chunks = self.sizes.runs().par_chunks(RUNS).zip(self.mtimes.runs().par_chunks(RUNS));
        let chunks = chunks.zip(self.codecs.runs().par_chunks(RUNS));
        let part = |((sizes, mtimes), codecs)| make(&mut zipped(sizes, mtimes, codecs).flat_map(ListRun::entries));
        chunks.map(part).collect()
    }

    /// The size of each.
    pub fn sizes(&self) -> &WalMap<u64> {
        &self.sizes
    }

    /// When each was last modified.
    pub fn mtimes(&self) -> &WalMap<Mtime> {
        &self.mtimes
    }

    /// Adds a file that sorts behind all others; any other is not added.
    pub fn push(&mut self, entry: WalEntry) -> bool {
        self.sizes.push(entry.name, entry.size)
            && self.mtimes.push(entry.name, entry.mtime)
            && self.codecs.push(entry.name, (entry.compression, entry.encryption))
    }

    /// The same list with these files added or replaced.
    #[must_use]
    pub fn with(mut self, added: Self) -> Self {
        // What is added mostly is the newest.
        let first = added.iter().next().map(|entry| entry.name);
        if self.last().is_none_or(|last| first.is_none_or(|first| last.name < first)) {
            self.append(added);
            return self;
        }
        let mut old = self.iter().filter(|old| added.sizes.get(old.name).is_none()).peekable();
        let mut new = added.iter().peekable();
        let next = || match (old.peek(), new.peek()) {
            (Some(old), Some(first)) if first.name < old.name => new.next(),
            (None, _) => new.next(),
            (Some(_), _) => old.next(),
        };
        std::iter::from_fn(next).collect()
    }

    /// Adds files that sort behind all others; of any others none is added.
    pub fn append(&mut self, other: Self) -> bool {
        self.sizes.append(other.sizes) && self.mtimes.append(other.mtimes) && self.codecs.append(other.codecs)
    }

    /// Appends its form in bytes. [`read`](Self::read) reads it.
    pub fn write(&self, bytes: &mut Vec<u8>) {
        self.sizes.write(bytes, |size| size.to_le_bytes());
        self.mtimes.write(bytes, |mtime| mtime.seconds().to_le_bytes());
        self.codecs.write(bytes, |(compression, encryption)| {
            let mut both = [[0; CODEC]; 2];
            for (into, name) in both.iter_mut().zip([compression, encryption]) {
                let name = name.as_ref().map_or("", CodecName::as_str);
                into.iter_mut().zip(name.bytes()).for_each(|(into, byte)| *into = byte);
            }
            both.as_flattened().try_into().unwrap_or([0; 2 * CODEC])
        });
    }

    /// Reads that form from the beginning of some bytes, and cuts it off them; `None` when they are something else.
    pub fn read(bytes: &mut &[u8]) -> Option<Self> {
        let sizes = WalMap::read(bytes, |size| Some(u64::from_le_bytes(size)))?;
        let mtimes = WalMap::read(bytes, |mtime| Mtime::new(f64::from_le_bytes(mtime)))?;
        let codecs = WalMap::read(bytes, |both: [u8; 2 * CODEC]| {
            let (compression, encryption) = both.split_at(CODEC);
            Some((codec(compression).ok()?, codec(encryption).ok()?))
        })?;
        let are_alike = have_the_same_files(&sizes, &mtimes) && have_the_same_files(&sizes, &codecs);
        are_alike.then_some(Self { sizes, mtimes, codecs })
    }
}

/// How many bytes the name of a codec has in that form: the rest is zero.
const CODEC: usize = 16;

/// A codec, or none.
fn codec(bytes: &[u8]) -> Result<Option<CodecName>, InvalidId> {
    let length = bytes.iter().rposition(|byte| *byte != 0).map_or(0, |last| last + 1);
    // What is no text is as little a name as a byte of zero is.
    let name = bytes.get(..length).map(|name| std::str::from_utf8(name).unwrap_or("\0")).unwrap_or_default();
    if name.is_empty() { Ok(None) } else { name.parse().map(Some) }
}

fn have_the_same_files<A: Copy + PartialEq, B: Copy + PartialEq>(a: &WalMap<A>, b: &WalMap<B>) -> bool {
    let runs = a.runs().iter().map(|run| (run.first(), run.len()));
    runs.eq(b.runs().iter().map(|run| (run.first(), run.len())))
}

fn zipped<'a>(
    sizes: &'a [Run<u64>],
    mtimes: &'a [Run<Mtime>],
    codecs: &'a [Run<Codecs>],
) -> impl DoubleEndedIterator<Item = ListRun<'a>> {
    sizes.iter().zip(mtimes).zip(codecs).map(|((sizes, mtimes), codecs)| ListRun { sizes, mtimes, codecs })
}

impl FromIterator<WalEntry> for WalList {
    /// In any order; of several with one name the last counts.
    fn from_iter<I: IntoIterator<Item = WalEntry>>(entries: I) -> Self {
        let (mut list, mut entries) = (Self::default(), entries.into_iter());
        let Some(late) = entries.find(|entry| !list.push(*entry)) else { return list };
        let mut all: Vec<WalEntry> = list.iter().chain([late]).chain(entries).collect();
        all.sort_by_key(|entry| entry.name);
        let mut sorted = Self::default();
        for entry in all.chunk_by(|a, b| a.name == b.name).filter_map(<[_]>::last) {
            sorted.push(*entry);
        }
        sorted
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use crate::barman::wal::{Segment, Timeline};

    use super::*;

    fn entries() -> impl Strategy<Value = Vec<WalEntry>> {
        let entry = (1..3_u32, 0..2_u32, 0..8_u32, any::<bool>(), 0..3_u64, 0..3_u8, 0..3_usize);
        let entry = entry.prop_map(|(timeline, log, seg, is_label, size, mtime, codec)| {
            let segment = Segment { timeline: Timeline(timeline), log, seg };
            let label = WalName::BackupLabel { segment, offset: 40 };
            WalEntry {
                name: if is_label { label } else { WalName::Segment(segment) },
                size,
                mtime: Mtime::of_seconds(i64::from(mtime)),
                compression: ["gzip", "zstd"].get(codec).map(|name| name.parse().unwrap()),
                encryption: None,
            }
        });
        prop::collection::vec(entry, 0..50)
    }

    proptest! {
        #[test]
        fn it_has_what_was_put_into_it(entries in entries(), wanted in entries()) {
            let model: BTreeMap<WalName, WalEntry> = entries.iter().map(|entry| (entry.name, *entry)).collect();
            let list: WalList = entries.iter().copied().collect();
            prop_assert_eq!(list.iter().collect::<Vec<_>>(), model.values().copied().collect::<Vec<_>>());
            prop_assert_eq!((list.len(), list.last()), (model.len(), model.values().last().copied()));
            let parts = list.map_parts(|entries| entries.collect::<Vec<_>>());
            prop_assert_eq!(parts.concat(), list.iter().collect::<Vec<_>>());
            for WalEntry { name, .. } in wanted {
                prop_assert_eq!(list.get(name), model.get(&name).copied());
                let from_it = model.range(name..).map(|(_, entry)| *entry);
                let last = WalName::Segment(Segment { timeline: Timeline(9), log: 0, seg: 0 });
                prop_assert_eq!(list.range(name..=last).collect::<Vec<_>>(), from_it.collect::<Vec<_>>());
            }
        }

        #[test]
        fn what_is_added_replaces_what_has_its_name(old in entries(), new in entries()) {
            let all: WalList = old.iter().chain(&new).copied().collect();
            prop_assert_eq!(WalList::from_iter(old).with(new.into_iter().collect()), all);
        }

        #[test]
        fn it_is_read_as_it_was_written_or_not_at_all(
            entries in entries(),
            at in any::<prop::sample::Index>(),
            by in 1..255_u8,
        ) {
            let list: WalList = entries.into_iter().collect();
            let mut bytes = Vec::new();
            list.write(&mut bytes);
            let read = |mut bytes: &[u8]| {
                let list = WalList::read(&mut bytes)?;
                bytes.is_empty().then_some(list)
            };
            prop_assert_eq!(read(&bytes), Some(list));
            for length in 0..bytes.len() {
                prop_assert_eq!(read(&bytes[..length]), None);
            }
            let at = at.index(bytes.len());
            bytes[at] ^= by;
            // What is read of anything is sorted, and has the form of what it holds.
            if let Some(read) = read(&bytes) {
                prop_assert_eq!(read.iter().collect::<WalList>(), read);
            }
        }

        #[test]
        fn what_is_appended_sorts_behind(entries in entries(), cut in any::<prop::sample::Index>()) {
            let all: WalList = entries.into_iter().collect();
            let cut = cut.index(all.len() + 1);
            let (mut first, last): (WalList, WalList) = (all.iter().take(cut).collect(), all.iter().skip(cut).collect());
            let (before, is_empty) = (first.clone(), last.is_empty());
            prop_assert!(first.append(last.clone()));
            prop_assert_eq!(&first, &all);
            prop_assert!(is_empty || !first.append(last));
            prop_assert_eq!(first, all);
            prop_assert!(before.last().is_none_or(|last| !before.clone().push(last)));
        }
    }
}

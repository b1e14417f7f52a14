//! What is known of each file of a WAL archive, in little room: a million files are some thousand runs.
//!
//! Whole segments that follow each other within one log are a run, whose names the first one tells; any other file is a
//! run of its own. Of values that are the same throughout a run only one is held. What a map holds decides on its form,
//! so that maps with the same files have the same runs, and are compared run by run.

use std::ops::RangeInclusive;

use super::wal::{Segment, WalName};

/// A value for each of some WAL files, sorted by name, each name once.
#[derive(Debug, Clone, PartialEq)]
pub struct WalMap<V> {
    runs: Vec<Run<V>>,
    len: usize,
}

/// Files whose names follow each other, and their values.
#[derive(Debug, Clone, PartialEq)]
pub struct Run<V> {
    first: WalName,
    values: Values<V>,
}

/// The values of a run, which is never empty. They are held one by one only where they differ.
#[derive(Debug, Clone, PartialEq)]
enum Values<V> {
    Same(V, u32),
    Each(Vec<V>),
}

impl<V> Default for WalMap<V> {
    fn default() -> Self {
        Self { runs: Vec::new(), len: 0 }
    }
}

impl<V: Copy + PartialEq> Values<V> {
    fn len(&self) -> usize {
        match self {
            Self::Same(_, count) => *count as usize,
            Self::Each(values) => values.len(),
        }
    }

    fn get(&self, at: usize) -> Option<V> {
        match self {
            Self::Same(value, count) => (at < *count as usize).then_some(*value),
            Self::Each(values) => values.get(at).copied(),
        }
    }

    fn push(&mut self, value: V) {
        match self {
            Self::Same(same, count) if *same == value => *count += 1,
            Self::Same(same, count) => {
                let mut values = Vec::with_capacity((*count as usize + 1).next_power_of_two());
                values.resize(*count as usize, *same);
                values.push(value);
                *self = Self::Each(values);
            }
            Self::Each(values) => values.push(value),
        }
    }
}

impl<V: Copy + PartialEq> Run<V> {
    /// The name of its first file.
    pub fn first(&self) -> WalName {
        self.first
    }

    /// The name of its last file.
    pub fn last(&self) -> WalName {
        self.name(self.len() - 1)
    }

    /// How many files it has: one at least.
    #[expect(clippy::len_without_is_empty)]
    pub fn len(&self) -> usize {
        self.values.len()
    }

    /// The values that it has, in no order and some perhaps more than once.
    pub fn values(&self) -> &[V] {
        match &self.values {
            Values::Same(value, _) => std::slice::from_ref(value),
            Values::Each(values) => values,
        }
    }

    /// Its files.
    pub fn iter(&self) -> impl DoubleEndedIterator<Item = (WalName, V)> {
        (0..self.len()).filter_map(|at| self.at(at))
    }

    /// One of its files, counted from 0.
    pub fn at(&self, at: usize) -> Option<(WalName, V)> {
        Some((self.name(at), self.values.get(at)?))
    }

    fn name(&self, at: usize) -> WalName {
        match self.first {
            // A run has no more files than a log has segments.
            #[expect(clippy::cast_possible_truncation)]
            WalName::Segment(first) => WalName::Segment(Segment { seg: first.seg + at as u32, ..first }),
            other => other,
        }
    }

    /// Where a file is in it.
    fn place(&self, name: WalName) -> Option<usize> {
        let at = match (self.first, name) {
            (WalName::Segment(first), WalName::Segment(wanted)) => {
                let is_of_log = (first.timeline, first.log) == (wanted.timeline, wanted.log);
                wanted.seg.checked_sub(first.seg).filter(|_| is_of_log)? as usize
            }
            (first, wanted) => (first == wanted).then_some(0)?,
        };
        (at < self.len()).then_some(at)
    }

    /// Whether a file of this name comes next in it.
    fn is_continued_by(&self, name: WalName) -> bool {
        match (self.first, name) {
            (WalName::Segment(first), WalName::Segment(next)) => {
                let seg = u32::try_from(self.len()).ok().and_then(|count| first.seg.checked_add(count));
                (first.timeline, first.log, seg) == (next.timeline, next.log, Some(next.seg))
            }
            _ => false,
        }
    }
}

impl<V: Copy + PartialEq> WalMap<V> {
    /// No files.
    pub fn new() -> Self {
        Self::default()
    }

    /// How many files there are.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// The value of a file.
    pub fn get(&self, name: WalName) -> Option<V> {
        let run = self.runs.get(self.runs.partition_point(|run| run.first <= name).checked_sub(1)?)?;
        run.values.get(run.place(name)?)
    }

    /// Whether there is such a file.
    pub fn contains(&self, name: WalName) -> bool {
        self.get(name).is_some()
    }

    /// The files in the order of their names.
    pub fn iter(&self) -> impl DoubleEndedIterator<Item = (WalName, V)> {
        self.runs.iter().flat_map(Run::iter)
    }

    /// Their names.
    pub fn names(&self) -> impl DoubleEndedIterator<Item = WalName> {
        self.iter().map(|(name, _)| name)
    }

    /// The last file.
    pub fn last(&self) -> Option<(WalName, V)> {
        self.iter().next_back()
    }

    /// The same in runs.
    pub fn runs(&self) -> &[Run<V>] {
        &self.runs
    }

    /// Those with these names and all names between.
    pub fn range(&self, names: RangeInclusive<WalName>) -> impl DoubleEndedIterator<Item = (WalName, V)> {
        let (start, end) = (*names.start(), *names.end());
        let files = self.runs_within(names).iter().flat_map(Run::iter);
        files.filter(move |(name, _)| start <= *name && *name <= end)
    }

    /// The runs that have files with these names or names between.
    pub fn runs_within(&self, names: RangeInclusive<WalName>) -> &[Run<V>] {
        let start = self.runs.partition_point(|run| run.last() < *names.start());
        let end = self.runs.partition_point(|run| run.first <= *names.end());
        self.runs.get(start..end).unwrap_or_default()
    }

    /// Adds a file, or gives it another value. What sorts behind all others is added at once, and for anything else a
    /// part of the map is made anew.
    pub fn insert(&mut self, name: WalName, value: V) {
        if !self.push(name, value) {
            let behind = self.split_off(name);
            self.push(name, value);
            for (next, value) in behind.into_iter().filter(|(next, _)| *next != name) {
                self.push(next, value);
            }
        }
    }

    /// Takes a file out, and tells its value.
    pub fn remove(&mut self, name: WalName) -> Option<V> {
        let value = self.get(name)?;
        for (next, value) in self.split_off(name).into_iter().filter(|(next, _)| *next != name) {
            self.push(next, value);
        }
        Some(value)
    }

    /// Takes out this file and all that sort behind it.
    fn split_off(&mut self, name: WalName) -> Vec<(WalName, V)> {
        let cut = self.runs.partition_point(|run| run.last() < name);
        let tail = self.runs.split_off(cut);
        self.len -= tail.iter().map(Run::len).sum::<usize>();
        let (before, behind) = tail.iter().flat_map(Run::iter).partition(|(file, _)| *file < name);
        let before: Vec<(WalName, V)> = before;
        for (name, value) in before {
            self.push(name, value);
        }
        behind
    }

    /// Adds a file that sorts behind all others; any other is not added.
    pub fn push(&mut self, name: WalName, value: V) -> bool {
        match self.runs.last_mut() {
            Some(run) if run.is_continued_by(name) => run.values.push(value),
            Some(run) if run.last() >= name => return false,
            Some(_) | None => self.runs.push(Run { first: name, values: Values::Same(value, 1) }),
        }
        self.len += 1;
        true
    }

    /// Adds files that sort behind all others; of any others none is added.
    pub fn append(&mut self, other: Self) -> bool {
        let next = other.runs.first().map(Run::first);
        if self.runs.last().zip(next).is_some_and(|(last, next)| last.last() >= next) {
            return false;
        }
        let mut runs = other.runs.into_iter().peekable();
        let continues = |run: &Run<V>| self.runs.last().is_some_and(|last| last.is_continued_by(run.first));
        if let Some(run) = runs.next_if(continues) {
            for (name, value) in run.iter() {
                self.push(name, value);
            }
        }
        for run in runs {
            self.len += run.len();
            self.runs.push(run);
        }
        true
    }

    /// Puts maps together that share no name.
    pub fn joined(parts: impl IntoIterator<Item = Self>) -> Self {
        let mut runs: Vec<Run<V>> = parts.into_iter().flat_map(|part| part.runs).collect();
        runs.sort_by_key(|run| run.first);
        let is_apart = |pair: &[Run<V>]| matches!(pair, [a, b] if a.last() < b.first && !a.is_continued_by(b.first));
        if runs.windows(2).all(is_apart) {
            return Self { len: runs.iter().map(Run::len).sum(), runs };
        }
        runs.iter().flat_map(Run::iter).collect()
    }

    /// What is made of the values, of the files of which something is.
    pub fn filter_map<W: Copy + PartialEq>(&self, make: impl Fn(V) -> Option<W>) -> WalMap<W> {
        let mut map = WalMap::<W>::default();
        for run in &self.runs {
            // What stood between two runs may have been left out.
            let is_continued = map.runs.last().is_some_and(|last| last.is_continued_by(run.first));
            match run.values {
                Values::Same(value, count) if !is_continued => {
                    map.runs
                        .extend(make(value).map(|made| Run { first: run.first, values: Values::Same(made, count) }));
                }
                Values::Same(..) | Values::Each(_) => {
                    for (name, value) in run.iter() {
                        make(value).map(|made| map.push(name, made));
                    }
                }
            }
        }
        map.len = map.runs.iter().map(Run::len).sum();
        map
    }

    /// Appends its form in bytes, given that of a value. [`read`](Self::read) reads it.
    pub fn write<const N: usize>(&self, bytes: &mut Vec<u8>, value: impl Fn(&V) -> [u8; N]) {
        bytes.extend((self.runs.len() as u64).to_le_bytes());
        for run in &self.runs {
            let (kind, segment, offset) = match run.first {
                WalName::Segment(segment) => (0, segment, 0),
                WalName::BackupLabel { segment, offset } => (1, segment, offset),
                WalName::Partial(segment) => (2, segment, 0),
                WalName::History(timeline) => (3, Segment { timeline, log: 0, seg: 0 }, 0),
            };
            let (form, count) = match &run.values {
                Values::Same(_, count) => (0, *count),
                Values::Each(values) => (EACH, u32::try_from(values.len()).unwrap_or(u32::MAX)),
            };
            bytes.push(kind | form);
            for number in [segment.timeline.0, segment.log, segment.seg, offset, count] {
                bytes.extend(number.to_le_bytes());
            }
            run.values().iter().for_each(|each| bytes.extend(value(each)));
        }
    }

    /// Reads that form from the beginning of some bytes, and cuts it off them; `None` when they are something else.
    pub fn read<const N: usize>(bytes: &mut &[u8], value: impl Fn([u8; N]) -> Option<V>) -> Option<Self> {
        let mut map = Self::default();
        for _ in 0..u64::from_le_bytes(take(bytes)?) {
            let [kind] = take(bytes)?;
            let mut number = || take(bytes).map(u32::from_le_bytes);
            let (timeline, log, seg, offset, count) = (number()?, number()?, number()?, number()?, number()?);
            let segment = Segment { timeline: super::wal::Timeline(timeline), log, seg };
            let first = match kind & !EACH {
                0 => WalName::Segment(segment),
                1 => WalName::BackupLabel { segment, offset },
                2 => WalName::Partial(segment),
                3 => WalName::History(segment.timeline),
                _ => return None,
            };
            let has_room = match first {
                WalName::Segment(_) => (1..=MOST).contains(&count) && seg.checked_add(count).is_some(),
                _ => count == 1,
            };
            let is_behind = map.runs.last().is_none_or(|run| run.last() < first && !run.is_continued_by(first));
            if !has_room || !is_behind {
                return None;
            }
            let values = if kind & EACH == 0 {
                Values::Same(value(take(bytes)?)?, count)
            } else {
                let (all, behind) = bytes.split_at_checked((count as usize).checked_mul(N)?)?;
                *bytes = behind;
                let values: Vec<V> = all.as_chunks::<N>().0.iter().map(|each| value(*each)).collect::<Option<_>>()?;
                if values.windows(2).all(|pair| matches!(pair, [a, b] if a == b)) {
                    return None;
                }
                Values::Each(values)
            };
            map.len += count as usize;
            map.runs.push(Run { first, values });
        }
        Some(map)
    }
}

/// How many segments of 1 MiB, the smallest, a log has.
const MOST: u32 = 4096;
/// What is added to the kind of a name where each value follows.
const EACH: u8 = 4;

fn take<const N: usize>(bytes: &mut &[u8]) -> Option<[u8; N]> {
    let (part, behind) = bytes.split_first_chunk()?;
    *bytes = behind;
    Some(*part)
}

impl<V: Copy + PartialEq> FromIterator<(WalName, V)> for WalMap<V> {
    /// In any order; of several with one name the last counts.
    fn from_iter<I: IntoIterator<Item = (WalName, V)>>(files: I) -> Self {
        let (mut map, mut files) = (Self::default(), files.into_iter());
        let Some(late) = files.find(|(name, value)| !map.push(*name, *value)) else { return map };
        let mut all: Vec<(WalName, V)> = map.iter().chain([late]).chain(files).collect();
        all.sort_by_key(|(name, _)| *name);
        let mut sorted = Self::default();
        for (name, value) in all.chunk_by(|(a, _), (b, _)| a == b).filter_map(<[_]>::last) {
            sorted.push(*name, *value);
        }
        sorted
    }
}

impl<V: Copy + PartialEq> Extend<(WalName, V)> for WalMap<V> {
    fn extend<I: IntoIterator<Item = (WalName, V)>>(&mut self, files: I) {
        for (name, value) in files {
            self.insert(name, value);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use crate::barman::wal::Timeline;

    use super::*;

    /// Names that mostly follow each other, and values that mostly are the same.
    fn files() -> impl Strategy<Value = Vec<(WalName, u64)>> {
        let name = (1..3_u32, 0..2_u32, 0..12_u32, 0..12_u8).prop_map(|(timeline, log, seg, kind)| {
            let segment = Segment { timeline: Timeline(timeline), log, seg };
            match kind {
                0 => WalName::History(segment.timeline),
                1 => WalName::Partial(segment),
                2 => WalName::BackupLabel { segment, offset: log },
                _ => WalName::Segment(segment),
            }
        });
        let value = prop_oneof![4 => Just(7_u64), 1 => 0..3_u64];
        prop::collection::vec((name, value), 0..60)
    }

    fn plain(map: &WalMap<u64>) -> Vec<(WalName, u64)> {
        map.iter().collect()
    }

    proptest! {
        #[test]
        fn it_behaves_as_a_plain_map(added in files(), more in files(), wanted in files()) {
            let model: BTreeMap<WalName, u64> = added.iter().copied().collect();
            let mut map: WalMap<u64> = added.iter().copied().collect();
            prop_assert_eq!(plain(&map), model.iter().map(|(name, value)| (*name, *value)).collect::<Vec<_>>());
            prop_assert_eq!((map.len(), map.is_empty()), (model.len(), model.is_empty()));
            for (name, _) in added.iter().chain(&wanted) {
                prop_assert_eq!(map.get(*name), model.get(name).copied());
            }
            for pair in wanted.windows(2) {
                let (a, b) = (pair[0].0.min(pair[1].0), pair[0].0.max(pair[1].0));
                let expected: Vec<_> = model.range(a..=b).map(|(name, value)| (*name, *value)).collect();
                prop_assert_eq!(map.range(a..=b).collect::<Vec<_>>(), expected.clone());
                prop_assert_eq!(map.range(a..=b).rev().collect::<Vec<_>>().len(), expected.len());
            }
            let mut model = model;
            for (name, value) in more {
                prop_assert_eq!(map.remove(name), model.remove(&name));
                if value > 0 {
                    map.insert(name, value);
                    model.insert(name, value);
                }
            }
            // Whatever happened to it, it has the form of what it holds.
            prop_assert_eq!(map, model.into_iter().collect::<WalMap<u64>>());
        }

        #[test]
        fn what_is_made_of_its_values_has_the_form_of_what_it_holds(files in files()) {
            let map: WalMap<u64> = files.into_iter().collect();
            let half = |value: u64| (value > 0).then_some(value / 2);
            let made = map.iter().filter_map(|(name, value)| Some((name, half(value)?)));
            prop_assert_eq!(map.filter_map(half), made.collect::<WalMap<u64>>());
        }

        #[test]
        fn maps_that_share_no_name_are_joined(files in files(), parts in 1..5_usize) {
            let all: WalMap<u64> = files.into_iter().collect();
            let part = |of: usize| all.iter().enumerate().filter(move |(at, _)| at % parts == of).map(|(_, file)| file);
            let joined = WalMap::joined((0..parts).map(|of| part(of).collect::<WalMap<u64>>()));
            prop_assert_eq!(joined, all);
        }

        #[test]
        fn it_is_read_as_it_was_written_or_not_at_all(files in files(), at in any::<prop::sample::Index>(), by in 1..255_u8) {
            let map: WalMap<u64> = files.into_iter().collect();
            let mut bytes = Vec::new();
            map.write(&mut bytes, |value| value.to_le_bytes());
            let read = |mut bytes: &[u8]| {
                let map = WalMap::read(&mut bytes, |value| Some(u64::from_le_bytes(value)))?;
                bytes.is_empty().then_some(map)
            };
            prop_assert_eq!(read(&bytes), Some(map));
            for length in 0..bytes.len() {
                prop_assert_eq!(read(&bytes[..length]), None);
            }
            let at = at.index(bytes.len());
            bytes[at] ^= by;
            // What is read of anything is sorted, and has the form of what it holds.
            if let Some(read) = read(&bytes) {
                prop_assert_eq!(read.iter().collect::<WalMap<u64>>(), read);
            }
        }
    }

    #[test]
    fn a_log_of_equal_segments_is_one_value() {
        let segment = |n: u32| WalName::Segment(Segment { timeline: Timeline(1), log: n / 256, seg: n % 256 });
        let map: WalMap<u64> = (0..100_000).map(|n| (segment(n), 16 << 20)).collect();
        assert_eq!((map.len(), map.runs().len()), (100_000, 391));
        assert!(map.runs().iter().all(|run| run.values() == [16 << 20]));
    }
}

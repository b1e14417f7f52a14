//! Sets of WAL segments as intervals: a million segments are a handful of ranges.

use std::collections::BTreeMap;
use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::wal::{Segment, SegmentSize, Timeline};

/// Consecutive segments of one timeline, both ends included.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(try_from = "AnyRange", deny_unknown_fields)]
pub struct WalRange {
    /// The timeline of every segment in it.
    pub timeline: Timeline,
    /// The first segment's number.
    pub first: u64,
    /// The last segment's number, never below `first`.
    pub last: u64,
}

/// Two ends that may be the wrong way round.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct AnyRange {
    timeline: Timeline,
    first: u64,
    last: u64,
}

impl TryFrom<AnyRange> for WalRange {
    type Error = &'static str;

    fn try_from(AnyRange { timeline, first, last }: AnyRange) -> Result<Self, Self::Error> {
        let is_range = first <= last && last < u64::MAX;
        if is_range {
            Ok(Self { timeline, first, last })
        } else {
            Err("the last segment of a range is before its first")
        }
    }
}

impl WalRange {
    /// How many segments it holds.
    pub fn count(self) -> u64 {
        self.last - self.first + 1
    }

    /// Whether the two have a segment in common.
    pub fn overlaps(self, other: Self) -> bool {
        self.timeline == other.timeline && self.first <= other.last && other.first <= self.last
    }

    /// The names of its ends, as they are for this segment size.
    fn names(self, size: SegmentSize) -> (String, String) {
        let name = |number| {
            Segment::from_number(self.timeline, number, size)
                .map_or_else(|| format!("segment {number}"), |s| s.to_string())
        };
        (name(self.first), name(self.last))
    }

    /// The form for readers: `00000001000001A4000000[10..3F]`, or the name of its only segment.
    pub fn display(self, size: SegmentSize) -> String {
        let (first, last) = self.names(size);
        if self.first == self.last {
            return first;
        }
        let common = common_prefix(&first, &last);
        format!("{}[{}..{}]", &first[..common], &first[common..], &last[common..])
    }

    /// The form for addresses: `00000001000000000000000C..2A`, or the name of its only segment.
    pub fn address(self, size: SegmentSize) -> String {
        let (first, last) = self.names(size);
        if self.first == self.last {
            return first;
        }
        let common = common_prefix(&first, &last);
        format!("{first}..{}", &last[common..])
    }
}

/// The length of the common prefix, rounded down so that what differs is shown in whole bytes.
fn common_prefix(a: &str, b: &str) -> usize {
    let common = a.bytes().zip(b.bytes()).take_while(|(x, y)| x == y).count();
    common - common % 2
}

/// A set of WAL segments: per timeline, disjoint ranges in order that do not touch.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct WalSet {
    ranges: BTreeMap<Timeline, Vec<(u64, u64)>>,
}

impl WalSet {
    /// The empty set.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds every segment of a range.
    pub fn insert(&mut self, range: WalRange) {
        let ranges = self.ranges.entry(range.timeline).or_default();
        let (mut first, mut last) = (range.first, range.last);
        // Segments mostly come in order.
        if let Some(end) = ranges.last_mut().filter(|end| end.0 <= first && end.1.saturating_add(1) >= first) {
            end.1 = end.1.max(last);
            return;
        }
        // Those that touch the new one on either side melt into it.
        let start = ranges.partition_point(|r| r.1.saturating_add(1) < first);
        let end = ranges.partition_point(|r| r.0 <= last.saturating_add(1));
        if start < end {
            first = first.min(ranges[start].0);
            last = last.max(ranges[end - 1].1);
        }
        ranges.splice(start..end, [(first, last)]);
    }

    /// Adds one segment.
    pub fn insert_segment(&mut self, timeline: Timeline, number: u64) {
        self.insert(WalRange { timeline, first: number, last: number });
    }

    /// Whether the segment is in the set.
    pub fn contains(&self, timeline: Timeline, number: u64) -> bool {
        self.range_of(timeline, number).is_some()
    }

    /// The whole range around a segment of the set.
    pub fn range_of(&self, timeline: Timeline, number: u64) -> Option<WalRange> {
        let ranges = self.ranges.get(&timeline)?;
        let (first, last) = *ranges.get(ranges.partition_point(|r| r.1 < number))?;
        (first <= number).then_some(WalRange { timeline, first, last })
    }

    /// The last segment of the set within a range.
    pub fn last_within(&self, range: WalRange) -> Option<u64> {
        let ranges = self.ranges.get(&range.timeline)?;
        let before = ranges.partition_point(|r| r.0 <= range.last).checked_sub(1)?;
        let last = ranges.get(before)?.1.min(range.last);
        (last >= range.first).then_some(last)
    }

    /// The timelines of its segments.
    pub fn timelines(&self) -> impl Iterator<Item = Timeline> + '_ {
        self.ranges.iter().filter(|(_, ranges)| !ranges.is_empty()).map(|(timeline, _)| *timeline)
    }

    /// Its ranges, by timeline and then by number.
    pub fn ranges(&self) -> impl DoubleEndedIterator<Item = WalRange> + '_ {
        self.ranges.iter().flat_map(|(timeline, ranges)| {
            ranges.iter().map(|&(first, last)| WalRange { timeline: *timeline, first, last })
        })
    }

    /// How many segments it holds.
    pub fn count(&self) -> u64 {
        self.ranges().map(WalRange::count).sum()
    }

    /// Whether it holds none.
    pub fn is_empty(&self) -> bool {
        self.ranges().next().is_none()
    }

    /// What is in either.
    #[must_use]
    pub fn union(&self, other: &Self) -> Self {
        let mut all = self.clone();
        all.extend(other.ranges());
        all
    }

    /// What is in this set and not in the other. Linear in the number of ranges.
    #[must_use]
    pub fn difference(&self, other: &Self) -> Self {
        let mut left = Self::new();
        for (timeline, ranges) in &self.ranges {
            let cuts = other.ranges.get(timeline).map_or(&[][..], Vec::as_slice);
            let rest = subtract(ranges, cuts);
            if !rest.is_empty() {
                left.ranges.insert(*timeline, rest);
            }
        }
        left
    }

    /// What is in both.
    #[must_use]
    pub fn intersection(&self, other: &Self) -> Self {
        self.difference(&self.difference(other))
    }
}

impl Extend<WalRange> for WalSet {
    fn extend<I: IntoIterator<Item = WalRange>>(&mut self, ranges: I) {
        for range in ranges {
            self.insert(range);
        }
    }
}

impl FromIterator<WalRange> for WalSet {
    fn from_iter<I: IntoIterator<Item = WalRange>>(ranges: I) -> Self {
        let mut set = Self::new();
        set.extend(ranges);
        set
    }
}

/// Cuts `cuts` out of `ranges`; both are sorted and disjoint.
fn subtract(ranges: &[(u64, u64)], cuts: &[(u64, u64)]) -> Vec<(u64, u64)> {
    let mut rest = Vec::new();
    let mut cuts = cuts.iter().copied().peekable();
    for &(mut first, last) in ranges {
        while cuts.next_if(|cut| cut.1 < first).is_some() {}
        let mut used_up = false;
        while let Some(&(from, to)) = cuts.peek().filter(|cut| cut.0 <= last) {
            if from > first {
                rest.push((first, from - 1));
            }
            if to >= last {
                used_up = true;
                break;
            }
            first = to + 1;
            cuts.next();
        }
        if !used_up {
            rest.push((first, last));
        }
    }
    rest
}

impl fmt::Display for WalSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, range) in self.ranges().enumerate() {
            let separator = if i == 0 { "" } else { " " };
            write!(f, "{separator}{}/{:X}..{:X}", range.timeline, range.first, range.last)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    fn ranges() -> impl Strategy<Value = Vec<WalRange>> {
        let range = (1..3_u32, 0..60_u64, 0..8_u64).prop_map(|(t, first, more)| WalRange {
            timeline: Timeline(t),
            first,
            last: first + more,
        });
        prop::collection::vec(range, 0..12)
    }

    fn model(ranges: &[WalRange]) -> BTreeSet<(Timeline, u64)> {
        ranges.iter().flat_map(|r| (r.first..=r.last).map(|n| (r.timeline, n))).collect()
    }

    fn members(set: &WalSet) -> BTreeSet<(Timeline, u64)> {
        model(&set.ranges().collect::<Vec<_>>())
    }

    proptest! {
        #[test]
        fn it_behaves_as_a_set_of_numbers(a in ranges(), b in ranges()) {
            let (set_a, set_b): (WalSet, WalSet) = (a.iter().copied().collect(), b.iter().copied().collect());
            let (model_a, model_b) = (model(&a), model(&b));
            prop_assert_eq!(members(&set_a), model_a.clone());
            prop_assert_eq!(members(&set_a.difference(&set_b)), &model_a - &model_b);
            prop_assert_eq!(members(&set_a.union(&set_b)), &model_a | &model_b);
            prop_assert_eq!(members(&set_a.intersection(&set_b)), &model_a & &model_b);
            prop_assert_eq!(set_a.count(), model_a.len() as u64);
            for range in b {
                let last = (range.first..=range.last).rev().find(|n| model_a.contains(&(range.timeline, *n)));
                prop_assert_eq!(set_a.last_within(range), last);
            }
            for number in 0..70 {
                prop_assert_eq!(set_a.contains(Timeline(1), number), model_a.contains(&(Timeline(1), number)));
            }
        }

        #[test]
        fn its_ranges_are_in_order_and_never_touch(a in ranges()) {
            let set: WalSet = a.into_iter().collect();
            let ranges: Vec<_> = set.ranges().collect();
            for pair in ranges.windows(2) {
                prop_assert!(pair[0].timeline < pair[1].timeline || pair[0].last + 1 < pair[1].first);
            }
        }
    }

    #[test]
    fn ranges_are_written_as_readers_and_addresses_want_them() {
        let range = |first, last| WalRange { timeline: Timeline(1), first, last };
        let cases = [
            (range(0x1_A410, 0x1_A43F), "00000001000001A4000000[10..3F]", "00000001000001A400000010..3F"),
            (range(0x0C, 0x0C), "00000001000000000000000C", "00000001000000000000000C"),
            (range(0x0FF, 0x101), "00000001000000[00000000FF..0100000001]", "0000000100000000000000FF..0100000001"),
        ];
        for (range, display, address) in cases {
            assert_eq!(range.display(SegmentSize::DEFAULT), display);
            assert_eq!(range.address(SegmentSize::DEFAULT), address);
        }
    }
}

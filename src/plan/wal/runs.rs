//! Consecutive segments put together, as readers and transfers want them.

use crate::barman::wal::{Segment, SegmentSize, Timeline, WalName};
use crate::barman::wal_set::WalRange;

/// The segment that a file is, or belongs to.
pub fn segment_of(name: WalName) -> Option<Segment> {
    match name {
        WalName::Segment(segment) | WalName::Partial(segment) | WalName::BackupLabel { segment, .. } => Some(segment),
        WalName::History(_) => None,
    }
}

/// WAL files that come in order, cut into runs of consecutive segments. A label or partial file goes with its segment;
/// files that have no place in a range are gathered into runs without one.
#[derive(Debug)]
pub struct Runs<T> {
    size: SegmentSize,
    timeline: Option<Timeline>,
    cut: Vec<Run<T>>,
}

/// The segments of a run, and its files.
pub type Run<T> = (Option<WalRange>, Vec<T>);

impl<T> Runs<T> {
    /// No runs yet, of segments of this size.
    pub fn new(size: SegmentSize) -> Self {
        Self { size, timeline: None, cut: Vec::new() }
    }

    /// Adds the file that comes next.
    pub fn push(&mut self, name: WalName, file: T) {
        let is_segment = name.segment().is_some();
        let number = segment_of(name).and_then(|segment| segment.number(self.size));
        let same_timeline = self.timeline.replace(name.timeline()) == Some(name.timeline());
        match (self.cut.last_mut().filter(|_| same_timeline), number) {
            (Some((Some(range), files)), Some(number)) if number == range.last + u64::from(is_segment) => {
                range.last = number;
                files.push(file);
            }
            (Some((None, files)), number) if number.is_none() || !is_segment => files.push(file),
            (_, number) => {
                let range = |first| WalRange { timeline: name.timeline(), first, last: first };
                self.cut.push((number.filter(|_| is_segment).map(range), vec![file]));
            }
        }
    }

    /// The runs, in order.
    pub fn into_runs(self) -> impl Iterator<Item = Run<T>> {
        self.cut.into_iter()
    }
}

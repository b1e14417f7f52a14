//! Up to which point a drill recovers.

use jiff::Timestamp;

use crate::barman::drill::Aim;
use crate::barman::wal::{Lsn, Segment};
use crate::plan::recovery::way::{Target, Way};
use crate::site::drills;

/// What was asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Point {
    /// The end of the WAL.
    Newest,
    /// One of all that the way to the newest leads through, by chance.
    Random,
    /// A time.
    Time(Timestamp),
}

impl From<drills::Point> for Point {
    fn from(point: drills::Point) -> Self {
        match point {
            drills::Point::Newest => Self::Newest,
            drills::Point::Random => Self::Random,
        }
    }
}

impl Point {
    /// As it is reported.
    pub fn words(self) -> String {
        match self {
            Self::Newest => "newest".to_owned(),
            Self::Random => "random".to_owned(),
            Self::Time(time) => time.to_string(),
        }
    }
}

/// The beginning of a segment that recovery passes after the backup is consistent; by `chance` one of them. `None` where there
/// is none, so that only the end is left.
pub fn random(way: &Way<'_>, chance: u64) -> Option<Lsn> {
    let last = way.wals.last()?.last;
    let choice = last.checked_sub(way.consistent).filter(|choice| *choice > 0)?;
    let number = way.consistent + 1 + chance % choice;
    Some(Lsn(number.checked_mul(way.segment_size.bytes())?))
}

/// What a way aims at, and its last segment; `None` for one without WAL.
pub fn aim(way: &Way<'_>, target: Target, release: &str) -> Option<(Aim, Segment)> {
    let last = way.last()?;
    let (lsn, time) = match target {
        Target::Lsn(lsn) => (Some(lsn), None),
        Target::Time(time) => (None, Some(time)),
        Target::Latest | Target::Immediate => (None, None),
    };
    let backups = way.chain.iter().map(|facts| facts.id).collect();
    let aim =
        Aim { backups, release: release.to_owned(), timeline: way.timeline, last_wal: last.to_string(), lsn, time };
    Some((aim, last))
}

/// What is not here, the first segment or the history file, although there are some behind it; `None` where the way leads to the newest of all.
pub fn gap(way: &Way<'_>) -> Option<String> {
    let end = way.wals.last()?;
    if end.timeline == way.newest.timeline && end.last >= way.newest.number {
        return None;
    }
    let segment = Segment::from_number(end.timeline, end.last.checked_add(1)?, way.segment_size)?;
    let history = (end.timeline != way.newest.timeline)
        .then(|| format!(", or the history file of timeline {},", way.newest.timeline));
    Some(format!("{segment}{}", history.unwrap_or_default()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::barman::wal::{SegmentSize, Timeline};
    use crate::barman::wal_set::WalRange;
    use crate::plan::recovery::window;

    fn way(last: u64, newest: (u32, u64)) -> Way<'static> {
        Way {
            chain: vec![],
            timeline: Timeline(1),
            consistent: 6,
            newest: window::Point { timeline: Timeline(newest.0), number: newest.1 },
            wals: vec![WalRange { timeline: Timeline(1), first: 5, last }],
            segment_size: SegmentSize::DEFAULT,
            segments: last - 4,
            bytes: 0,
            reaches: None,
            hidden: None,
        }
    }

    #[test]
    fn a_random_point_is_behind_the_backup_and_before_the_end() {
        for chance in 0..40 {
            let Lsn(lsn) = random(&way(9, (1, 9)), chance).unwrap();
            assert!((7..=9).contains(&(lsn >> 24)) && lsn % (16 << 20) == 0, "{lsn:X}");
        }
        assert_eq!(random(&way(6, (1, 6)), 3), None);
    }

    #[test]
    fn what_is_missing_is_what_the_way_ends_before() {
        assert_eq!(gap(&way(9, (1, 9))), None);
        assert_eq!(gap(&way(9, (1, 11))).unwrap(), "00000001000000000000000A");
        let told = "00000001000000000000000A, or the history file of timeline 2,";
        assert_eq!(gap(&way(9, (2, 9))).unwrap(), told);
    }

    #[test]
    fn an_aim_names_the_last_segment() {
        let (aim, last) = aim(&way(9, (1, 9)), Target::Lsn(Lsn(9 << 24)), "15").unwrap();
        assert_eq!((aim.last_wal.as_str(), aim.lsn, aim.time), ("000000010000000000000009", Some(Lsn(9 << 24)), None));
        assert_eq!(last.seg, 9);
    }
}

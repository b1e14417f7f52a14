//! Where times are on a bar that ends now.

use jiff::Timestamp;

use crate::barman::ids::BackupId;
use crate::plan::status::ReplicaStatus;

/// Parts of a bar's length, from its beginning to now.
pub const LENGTH: i64 = 10_000;

/// A stretch of time as a bar shows it.
#[derive(Debug, Clone, Copy)]
pub struct Scale {
    from: i64,
    to: i64,
}

impl Scale {
    /// Where a time is, in parts of the length.
    pub fn at(self, time: Timestamp) -> i64 {
        let (from, to) = (i128::from(self.from), i128::from(self.to));
        let at = (i128::from(time.as_second()) - from) * i128::from(LENGTH) / (to - from).max(1);
        i64::try_from(at.clamp(0, i128::from(LENGTH))).unwrap_or(LENGTH)
    }
}

/// The oldest thing that a replica has, and the time from that to now; `None` where it has nothing.
pub fn since_oldest(
    status: &ReplicaStatus,
    backups: &[(BackupId, Option<Timestamp>)],
    now: Timestamp,
) -> Option<(Timestamp, Scale)> {
    let oldest = backups.iter().filter_map(|(_, ended)| *ended).chain(status.recovery.from).min()?;
    Some((oldest, Scale { from: oldest.as_second(), to: now.as_second().max(oldest.as_second() + 1) }))
}

/// What can be recovered: from when to when.
pub fn window(status: &ReplicaStatus) -> Option<(Timestamp, Timestamp)> {
    let from = status.recovery.window.and(status.recovery.from)?;
    Some((from, status.recovery.to.unwrap_or(from)))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn every_time_has_a_place_on_the_bar_in_its_order(from in -9_000_000_000_i64..9_000_000_000, length in 1..9_000_000_000_i64, a: i64, b: i64) {
            let time = |second: i64| Timestamp::from_second(second.clamp(-9_000_000_000, 18_000_000_000)).unwrap();
            let scale = Scale { from, to: from + length };
            let (one, other) = (time(a.min(b)), time(a.max(b)));
            prop_assert!((0..=LENGTH).contains(&scale.at(one)));
            prop_assert!(scale.at(one) <= scale.at(other));
            prop_assert_eq!(scale.at(time(from)), 0);
        }
    }
}

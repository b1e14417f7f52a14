//! Durations, counted by their length.

use std::time::Duration;

/// The lengths up to which durations are counted, in seconds: from a look at a quiet primary to the first copy of a large
/// backup.
pub const BOUNDS: [f64; 12] = [0.1, 0.5, 1.0, 5.0, 15.0, 60.0, 300.0, 900.0, 3_600.0, 14_400.0, 43_200.0, 172_800.0];

/// Durations, counted.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Durations {
    /// How many were up to each of [`BOUNDS`].
    pub up_to: [u64; BOUNDS.len()],
    /// How many there were.
    pub count: u64,
    /// Seconds of all of them.
    pub sum: f64,
}

impl Durations {
    /// Counts one.
    pub fn add(&mut self, duration: Duration) {
        let seconds = duration.as_secs_f64();
        for (up_to, bound) in self.up_to.iter_mut().zip(BOUNDS) {
            *up_to = up_to.saturating_add(u64::from(seconds <= bound));
        }
        self.count = self.count.saturating_add(1);
        self.sum += seconds;
    }

    /// Counts those that others counted.
    pub fn merge(&mut self, other: &Self) {
        for (mine, theirs) in self.up_to.iter_mut().zip(other.up_to) {
            *mine = mine.saturating_add(theirs);
        }
        self.count = self.count.saturating_add(other.count);
        self.sum += other.sum;
    }

    /// Whether they can have been counted like this: no bound has more below it than a longer one.
    pub fn is_sound(&self) -> bool {
        let ordered = self.up_to.is_sorted() && self.up_to.last().is_none_or(|last| *last <= self.count);
        ordered && self.sum.is_finite() && self.sum >= 0.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    #[allow(clippy::float_cmp, reason = "the sum is of the same numbers")]
    fn a_duration_counts_up_to_each_bound_that_is_not_below_it() {
        let mut durations = Durations::default();
        for milliseconds in [50, 500, 200_000_000] {
            durations.add(Duration::from_millis(milliseconds));
        }
        assert_eq!(durations.up_to, [1, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2]);
        assert_eq!((durations.count, durations.sum), (3, 200_000.55));
        let before = durations;
        durations.merge(&before);
        assert_eq!((durations.up_to[0], durations.up_to[11], durations.count), (2, 4, 6));
        assert!(durations.is_sound() && !Durations { count: 1, ..durations }.is_sound());
    }
}

//! When things are done by themselves, and when not: how often a replica is looked at, the windows of a primary, and that a
//! replica is left alone for a while.
//!
//! Everything here is computed from values: whoever asks says what time it is.

mod cron_line;
mod outlook;
mod suspension;
mod windows;

pub use cron_line::{CronLine, CronLineError};
pub use outlook::{Load, Outlook};
pub use suspension::Suspension;
pub use windows::{Overrun, Permission, Regime, Window, regime};

use std::hash::{DefaultHasher, Hash, Hasher};
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};

/// How often a replica is looked at, and what is missing is brought.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Schedule {
    /// What it goes by.
    pub beat: Beat,
    /// How much later than that it may be, so that many do not begin at once.
    pub jitter: Duration,
}

/// What a schedule goes by.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Beat {
    /// So long after the last time ended.
    Every(Duration),
    /// At the times of a cron line.
    Cron(Box<CronLine>),
}

impl Default for Schedule {
    /// Every minute, and up to ten seconds later.
    fn default() -> Self {
        Self { beat: Beat::Every(Duration::from_secs(60)), jitter: Duration::from_secs(10) }
    }
}

impl Schedule {
    /// When what is called so is next due, if the last time ended then; `None` where a cron line names no time any more.
    pub fn next(&self, who: &str, after: Timestamp) -> Option<Timestamp> {
        let due = match &self.beat {
            Beat::Every(length) => later(after, *length),
            Beat::Cron(line) => line.next(after)?,
        };
        Some(later(due, self.jitter.mul_f64(fraction(who, due))))
    }
}

/// The time so much later, as far as time goes.
pub fn later(time: Timestamp, length: Duration) -> Timestamp {
    let length = SignedDuration::try_from(length).unwrap_or(SignedDuration::MAX);
    time.saturating_add(length).unwrap_or(Timestamp::MAX)
}

/// A number from 0 to 1 that is another one for everybody and each time, and the same whenever it is asked for.
pub fn fraction(who: &str, when: Timestamp) -> f64 {
    let mut hasher = DefaultHasher::new();
    (who, when.as_nanosecond()).hash(&mut hasher);
    // 32 bits are a number of f64 without loss.
    f64::from((hasher.finish() >> 32) as u32) / f64::from(u32::MAX)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use jiff::tz::TimeZone;
    use proptest::prelude::*;

    use super::*;

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    #[test]
    fn it_is_due_so_long_after_the_last_time_or_when_the_line_says() {
        let every = Schedule { beat: Beat::Every(Duration::from_secs(60)), jitter: Duration::ZERO };
        assert_eq!(every.next("main", at("2026-11-22T09:00:07Z")), Some(at("2026-11-22T09:01:07Z")));
        let line = CronLine::new("*/15 * * * *", TimeZone::UTC).unwrap();
        let cron = Schedule { beat: Beat::Cron(Box::new(line)), jitter: Duration::ZERO };
        assert_eq!(cron.next("main", at("2026-11-22T09:00:00Z")), Some(at("2026-11-22T09:15:00Z")));
        let never =
            Schedule { beat: Beat::Cron(Box::new(CronLine::new("0 0 30 2 *", TimeZone::UTC).unwrap())), ..cron };
        assert_eq!(never.next("main", at("2026-11-22T09:00:00Z")), None);
    }

    #[test]
    fn many_replicas_do_not_begin_at_once() {
        let line = CronLine::new("0 * * * *", TimeZone::UTC).unwrap();
        let schedule = Schedule { beat: Beat::Cron(Box::new(line)), jitter: Duration::from_secs(10) };
        let due = |n: u32| schedule.next(&format!("server-{n}"), at("2026-11-22T09:30:00Z")).unwrap();
        let times: BTreeSet<Timestamp> = (0..100).map(due).collect();
        assert_eq!(times.len(), 100);
        let seconds: BTreeSet<i64> = times.iter().map(|time| time.as_second()).collect();
        assert_eq!(seconds.len(), 10, "they are spread over all of it: {seconds:?}");
    }

    proptest! {
        #[test]
        fn it_is_due_later_than_the_last_time_and_within_the_jitter(
            seconds in 0_i64..4_000_000_000, every in 1_u64..100_000, jitter in 0_u64..1000, who in "[a-z]{1,8}",
        ) {
            let after = Timestamp::from_second(seconds).unwrap();
            let schedule =
                Schedule { beat: Beat::Every(Duration::from_secs(every)), jitter: Duration::from_secs(jitter) };
            let next = schedule.next(&who, after).unwrap();
            prop_assert!(next >= later(after, Duration::from_secs(every)));
            prop_assert!(next <= later(after, Duration::from_secs(every + jitter)));
            prop_assert_eq!(Some(next), schedule.next(&who, after));
        }
    }
}

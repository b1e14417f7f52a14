//! Times that a cron line names, by the clocks of a time zone.

use std::fmt;

use croner::Cron;
use croner::parser::{CronParser, Seconds, Year};
use jiff::Timestamp;
use jiff::tz::TimeZone;

/// The five fields of crontab(5), and the time zone by whose clocks they are meant. Where a clock is put forward or back,
/// it does what Debian's cron does: what the lost hour names comes right after it, and what the doubled hour names once.
#[derive(Clone, PartialEq, Eq)]
pub struct CronLine {
    cron: Cron,
    zone: TimeZone,
}

/// A text is no cron line.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct CronLineError(String);

/// As it was written, and not every minute of it.
impl fmt::Debug for CronLine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "CronLine({:?}, {})", self.cron.as_str(), self.zone.iana_name().unwrap_or("UTC"))
    }
}

impl CronLine {
    /// What a text says: five fields, or a word such as `@daily`.
    pub fn new(text: &str, zone: TimeZone) -> Result<Self, CronLineError> {
        let parser = CronParser::builder().seconds(Seconds::Disallowed).year(Year::Disallowed).build();
        let cron = parser.parse(text).map_err(|error| CronLineError(error.to_string()))?;
        Ok(Self { cron, zone })
    }

    /// The first time after this one; `None` where there is none in our days.
    pub fn next(&self, after: Timestamp) -> Option<Timestamp> {
        let found = self.cron.find_next_occurrence(&after.to_zoned(self.zone.clone()), false);
        found.ok().map(|zoned| zoned.timestamp()).filter(|found| *found > after)
    }

    /// The last time until this one, which may be it; `None` where there was none in our days.
    pub fn last(&self, at: Timestamp) -> Option<Timestamp> {
        let found = self.cron.find_previous_occurrence(&at.to_zoned(self.zone.clone()), true);
        found.ok().map(|zoned| zoned.timestamp()).filter(|found| *found <= at)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    fn lisbon() -> TimeZone {
        TimeZone::get("Europe/Lisbon").unwrap()
    }

    #[test]
    fn a_line_is_meant_by_the_clocks_of_its_zone() {
        let line = CronLine::new("30 2 * * 1-5", lisbon()).unwrap();
        for (after, next) in
            [("2026-11-20T02:30:00Z", "2026-11-23T02:30:00Z"), ("2026-07-20T00:00:00Z", "2026-07-20T01:30:00Z")]
        {
            assert_eq!(line.next(at(after)), Some(at(next)), "{after}");
        }
        assert_eq!(line.last(at("2026-11-22T12:00:00Z")), Some(at("2026-11-20T02:30:00Z")));
        assert_eq!(line.last(at("2026-11-20T02:30:00Z")), Some(at("2026-11-20T02:30:00Z")));
    }

    #[test]
    fn an_hour_that_a_clock_leaves_out_or_repeats_loses_and_doubles_nothing() {
        let daily = CronLine::new("30 1 * * *", lisbon()).unwrap();
        let days = |first: &str, count| {
            std::iter::successors(daily.next(at(first)), |last| daily.next(*last)).take(count).collect::<Vec<_>>()
        };
        // Lisbon's clocks go from 1 to 2 on 29 March 2026, and from 2 to 1 on 25 October.
        let spring = days("2026-03-28T00:00:00Z", 3);
        assert_eq!(spring.len(), 3);
        assert_eq!(spring[0], at("2026-03-28T01:30:00Z"));
        assert!((at("2026-03-29T01:00:00Z")..=at("2026-03-29T01:30:00Z")).contains(&spring[1]), "{spring:?}");
        assert_eq!(spring[2], at("2026-03-30T00:30:00Z"));
        let autumn = days("2026-10-24T12:00:00Z", 2);
        assert_eq!((autumn[0], autumn[1]), (at("2026-10-25T00:30:00Z"), at("2026-10-26T01:30:00Z")));
    }

    #[test]
    fn what_is_no_line_is_refused() {
        for bad in ["", "* * * *", "61 * * * *", "* * * * * *", "every minute", "0 0 * * 9", "0 25 * * *"] {
            assert!(CronLine::new(bad, TimeZone::UTC).is_err(), "{bad:?}");
        }
        assert!(CronLine::new("@daily", TimeZone::UTC).is_ok());
    }

    proptest! {
        #[test]
        fn the_next_time_is_later_and_the_last_one_is_not(
            seconds in 1_500_000_000_i64..3_000_000_000, minute in 0..60_u8, hour in 0..24_u8, step in 1..30_u8,
        ) {
            let now = Timestamp::from_second(seconds).unwrap();
            for text in [format!("{minute} {hour} * * *"), format!("*/{step} * * * *")] {
                let line = CronLine::new(&text, lisbon()).unwrap();
                let (last, next) = (line.last(now).unwrap(), line.next(now).unwrap());
                prop_assert!(last <= now && now < next, "{last} {now} {next}");
                prop_assert_eq!(line.last(next), Some(next));
            }
        }
    }
}

//! When what is to come will be here, given the windows in which it may.

use std::time::Duration;

use jiff::Timestamp;

use super::later;
use super::windows::{Overrun, Regime, Window, regime};

/// More changes of what holds than anybody waits for.
const CHANGES: usize = 10_000;

/// Bytes that are to come from a primary.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Load {
    /// WAL.
    pub wals: u64,
    /// Each backup, in their order.
    pub backups: Vec<u64>,
}

/// The windows of a primary, and its own bandwidth.
#[derive(Debug, Clone, Copy)]
pub struct Outlook<'a> {
    /// Its windows.
    pub windows: &'a [Window],
    /// Bytes per second at the most, whatever window is open.
    pub bandwidth: Option<u64>,
}

impl Outlook<'_> {
    fn regime(self, at: Timestamp) -> Regime {
        regime(self.windows, self.bandwidth, at)
    }

    /// When a backup may next begin to come, from then on; `None` where that is never.
    pub fn opens(self, now: Timestamp) -> Option<Timestamp> {
        self.next(now, |regime| regime.backups)
    }

    fn next(self, now: Timestamp, holds: impl Fn(Regime) -> bool) -> Option<Timestamp> {
        let mut at = now;
        for _ in 0..CHANGES {
            let regime = self.regime(at);
            if holds(regime) {
                return Some(at);
            }
            at = regime.until?;
        }
        None
    }

    /// When all of a load is here, if the line brings so much per second: WAL first, then one backup after the other, each of
    /// which begins when it may and, where the windows let it finish, goes on to its end. `None` where nobody can say, or that is
    /// never.
    pub fn done(self, load: &Load, rate: Option<u64>, now: Timestamp) -> Option<Timestamp> {
        let mut at = self.bring(load.wals, rate, now, |regime| regime.wals)?;
        for bytes in load.backups.iter().filter(|bytes| **bytes > 0) {
            at = self
                .bring(*bytes, rate, self.opens(at)?, |regime| regime.backups || regime.overrun == Overrun::Finish)?;
        }
        Some(at)
    }

    /// When bytes are here that come while something holds.
    fn bring(
        self,
        bytes: u64,
        rate: Option<u64>,
        from: Timestamp,
        comes: impl Fn(Regime) -> bool,
    ) -> Option<Timestamp> {
        let (mut left, mut at) = (bytes, from);
        for _ in 0..CHANGES {
            if left == 0 {
                return Some(at);
            }
            let regime = self.regime(at);
            let rate = if comes(regime) { rate.into_iter().chain(regime.bandwidth).min()? } else { 0 };
            let needed = (rate > 0).then(|| later(at, Duration::from_secs(left.div_ceil(rate))));
            match (needed, regime.until) {
                (Some(needed), until) if until.is_none_or(|until| needed <= until) => return Some(needed),
                (_, None) => return None,
                (_, Some(until)) => {
                    let seconds = u64::try_from(until.duration_since(at).as_secs()).unwrap_or_default();
                    left = left.saturating_sub(rate.saturating_mul(seconds));
                    at = until;
                }
            }
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use jiff::tz::TimeZone;
    use proptest::prelude::*;

    use super::*;
    use crate::schedule::{CronLine, Permission};

    fn window(permission: Permission, line: &str, hours: u64, overrun: Overrun) -> Window {
        let opens = CronLine::new(line, TimeZone::UTC).unwrap();
        Window { permission, opens, duration: Duration::from_secs(3600 * hours), overrun }
    }

    fn at(text: &str) -> Timestamp {
        format!("2026-11-{}:00Z", text.replace(' ', "T")).parse().unwrap()
    }

    /// Bytes that a line of one byte per second brings in so many hours.
    const fn hours(hours: u64) -> u64 {
        3600 * hours
    }

    #[test]
    fn what_may_not_come_waits_for_its_window() {
        let nights = |overrun| [window(Permission::Allow, "0 20 * * *", 10, overrun)];
        let (finish, stop) = (nights(Overrun::Finish), nights(Overrun::Stop));
        for (windows, wals, backups, done) in [
            (&finish, 2, vec![], "23 14:00"),
            (&finish, 0, vec![4], "24 00:00"),
            (&finish, 2, vec![4], "24 00:00"),
            // The second one goes on when the window closes, and the third one waits for the next night.
            (&finish, 0, vec![8, 4, 3], "24 23:00"),
            (&finish, 0, vec![12], "24 08:00"),
            (&stop, 0, vec![12], "24 22:00"),
            (&stop, 0, vec![8, 4], "24 22:00"),
        ] {
            let load = Load { wals: hours(wals), backups: backups.iter().copied().map(hours).collect() };
            let outlook = Outlook { windows, bandwidth: None };
            assert_eq!(outlook.done(&load, Some(1), at("23 12:00")), Some(at(done)), "{wals} {backups:?}");
        }
        let outlook = Outlook { windows: &finish, bandwidth: None };
        assert_eq!(outlook.opens(at("23 12:00")), Some(at("23 20:00")));
        assert_eq!(outlook.opens(at("23 21:00")), Some(at("23 21:00")));
    }

    #[test]
    fn a_window_slows_down_what_comes_while_it_is_open() {
        let day = [window(Permission::Bandwidth(1), "0 8 * * *", 12, Overrun::Finish)];
        let load = Load { wals: 0, backups: vec![hours(10)] };
        for (rate, bandwidth, done) in [
            (Some(2), None, Some("23 21:00")),
            (Some(9), Some(2), Some("23 21:00")),
            (None, Some(2), Some("23 21:00")),
            (Some(1), None, Some("23 22:00")),
            (None, None, None),
        ] {
            let outlook = Outlook { windows: &day, bandwidth };
            assert_eq!(outlook.done(&load, rate, at("23 12:00")), done.map(at), "{rate:?} {bandwidth:?}");
        }
    }

    #[test]
    fn what_never_may_come_is_never_done() {
        let never = [window(Permission::Allow, "0 0 30 2 *", 1, Overrun::Finish)];
        let outlook = Outlook { windows: &never, bandwidth: None };
        let load = Load { wals: 0, backups: vec![1] };
        assert_eq!((outlook.opens(at("23 12:00")), outlook.done(&load, Some(1), at("23 12:00"))), (None, None));
        assert_eq!(outlook.done(&Load::default(), None, at("23 12:00")), Some(at("23 12:00")));
    }

    proptest! {
        #[test]
        fn more_takes_no_less_and_windows_make_nothing_sooner(
            backups in proptest::collection::vec(0..200_000_u64, 0..4), wals in 0..100_000_u64, more in 0..50_000_u64,
            minute in 0..10_080_i64, hour in 0..24_u8, length in 1..20_u64, stops: bool, rate in 1..4_u64,
        ) {
            let overrun = if stops { Overrun::Stop } else { Overrun::Finish };
            let windows = [
                window(Permission::Allow, &format!("0 {hour} * * *"), length, overrun),
                window(Permission::Bandwidth(2), "0 6 * * *", 4, Overrun::Finish),
            ];
            let now = Timestamp::from_second(at("23 00:00").as_second() + minute * 60).unwrap();
            let outlook = Outlook { windows: &windows, bandwidth: None };
            let load = Load { wals, backups };
            let done = outlook.done(&load, Some(rate), now).unwrap();
            let free = Outlook { windows: &[], bandwidth: None }.done(&load, Some(rate), now).unwrap();
            prop_assert!(done >= free && free >= now, "{done} {free}");
            let larger = Load { wals: load.wals + more, ..load };
            prop_assert!(outlook.done(&larger, Some(rate), now).unwrap() >= done );
        }
    }
}

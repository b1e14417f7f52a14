//! Windows of time in which a primary may be copied from, may not, or only so fast.

use std::time::Duration;

use jiff::Timestamp;

use super::{CronLine, later};

/// A window that opens at the times of a cron line, for so long.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Window {
    /// What holds in it.
    pub permission: Permission,
    /// When it opens.
    pub opens: CronLine,
    /// For how long.
    pub duration: Duration,
    /// What becomes of copies that run when they are not allowed any more.
    pub overrun: Overrun,
}

/// What holds while a window is open.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Permission {
    /// Backups may be copied; at other times, unless another such window is open, they may not.
    Allow,
    /// No backup is copied. The newest WAL comes all the same.
    DenyBackups,
    /// Nothing is copied.
    DenyEverything,
    /// All that is copied is so fast at the most, in bytes per second.
    Bandwidth(u64),
}

/// What becomes of copies that run when a window forbids them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Overrun {
    /// They go on to their end.
    #[default]
    Finish,
    /// They end at once, and keep what they have.
    Stop,
}

/// What holds at a time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Regime {
    /// Whether backups may be copied.
    pub backups: bool,
    /// Whether WAL may.
    pub wals: bool,
    /// Bytes per second at the most.
    pub bandwidth: Option<u64>,
    /// What becomes of copies that run and are not allowed.
    pub overrun: Overrun,
    /// When something else may hold; `None` where nothing ever changes.
    pub until: Option<Timestamp>,
}

/// What holds at a time by a primary's windows and its own bandwidth. What denies is stronger than what allows, and the
/// lowest bandwidth holds.
pub fn regime(windows: &[Window], bandwidth: Option<u64>, now: Timestamp) -> Regime {
    let open: Vec<&Window> = windows.iter().filter(|window| window.closes(now).is_some()).collect();
    let is_any = |permission: Permission| open.iter().any(|window| window.permission == permission);
    let needs_leave = windows.iter().any(|window| window.permission == Permission::Allow);
    let everything = is_any(Permission::DenyEverything);
    let backups = !everything && !is_any(Permission::DenyBackups) && (!needs_leave || is_any(Permission::Allow));
    let limits = open.iter().filter_map(|window| match window.permission {
        Permission::Bandwidth(limit) => Some(limit),
        Permission::Allow | Permission::DenyBackups | Permission::DenyEverything => None,
    });
    let stops = |window: &&Window| match window.permission {
        Permission::Allow => needs_leave && !is_any(Permission::Allow) && window.overrun == Overrun::Stop,
        Permission::DenyBackups | Permission::DenyEverything => {
            window.overrun == Overrun::Stop && open.contains(window)
        }
        Permission::Bandwidth(_) => false,
    };
    Regime {
        backups,
        wals: !everything,
        bandwidth: limits.chain(bandwidth).min(),
        overrun: if !backups && windows.iter().any(|window| stops(&window)) { Overrun::Stop } else { Overrun::Finish },
        until: windows.iter().filter_map(|window| window.turns(now)).min(),
    }
}

impl Window {
    /// When it closes, if it is open: it opens again each time that its line names, also while it is open.
    fn closes(&self, now: Timestamp) -> Option<Timestamp> {
        let closes = later(self.opens.last(now)?, self.duration);
        (closes > now).then_some(closes)
    }

    /// When it next opens or closes.
    fn turns(&self, now: Timestamp) -> Option<Timestamp> {
        let closes = self.closes(now);
        closes.into_iter().chain(self.opens.next(now)).min()
    }
}

#[cfg(test)]
mod tests {
    use jiff::tz::TimeZone;
    use proptest::prelude::*;

    use super::*;

    const HOUR: Duration = Duration::from_secs(3600);

    fn window(permission: Permission, line: &str, hours: u32) -> Window {
        let opens = CronLine::new(line, TimeZone::UTC).unwrap();
        Window { permission, opens, duration: HOUR * hours, overrun: Overrun::Finish }
    }

    fn at(clock: &str) -> Timestamp {
        format!("2026-11-23T{clock}:00Z").parse().unwrap()
    }

    #[test]
    fn what_denies_is_stronger_than_what_allows_and_wal_comes_unless_everything_is_denied() {
        let nights = window(Permission::Allow, "0 20 * * *", 10);
        let noon = window(Permission::DenyEverything, "0 12 * * *", 1);
        let late = window(Permission::DenyBackups, "0 22 * * *", 1);
        let all = [nights, noon, late];
        for (clock, backups, wals, until) in [
            ("11:59", false, true, "12:00"),
            ("12:00", false, false, "13:00"),
            ("13:00", false, true, "20:00"),
            ("20:00", true, true, "22:00"),
            ("22:30", false, true, "23:00"),
            ("05:59", true, true, "06:00"),
            ("06:00", false, true, "12:00"),
        ] {
            let regime = regime(&all, None, at(clock));
            assert_eq!((regime.backups, regime.wals), (backups, wals), "{clock}");
            assert_eq!(regime.until, Some(at(until)), "{clock}");
        }
        let none = regime(&[], Some(7), at("12:00"));
        assert_eq!((none.backups, none.wals, none.bandwidth, none.until), (true, true, Some(7), None));
    }

    #[test]
    fn the_lowest_bandwidth_holds() {
        let day = window(Permission::Bandwidth(20), "0 8 * * *", 10);
        let noon = window(Permission::Bandwidth(5), "0 12 * * *", 1);
        for (clock, own, limit) in [
            ("07:00", None, None),
            ("07:00", Some(10), Some(10)),
            ("09:00", None, Some(20)),
            ("09:00", Some(10), Some(10)),
            ("12:30", Some(10), Some(5)),
        ] {
            assert_eq!(regime(&[day.clone(), noon.clone()], own, at(clock)).bandwidth, limit, "{clock} {own:?}");
        }
    }

    #[test]
    fn what_runs_is_stopped_by_the_window_that_says_so_and_only_while_it_may_not_run() {
        let stopping = |permission, line| Window { overrun: Overrun::Stop, ..window(permission, line, 2) };
        let overrun = |windows: &[Window], clock| regime(windows, None, at(clock)).overrun;
        let deny = stopping(Permission::DenyBackups, "0 8 * * *");
        assert_eq!(overrun(std::slice::from_ref(&deny), "08:30"), Overrun::Stop);
        assert_eq!(overrun(&[deny], "10:30"), Overrun::Finish);
        let allow = stopping(Permission::Allow, "0 8 * * *");
        assert_eq!(overrun(std::slice::from_ref(&allow), "08:30"), Overrun::Finish);
        assert_eq!(overrun(&[allow], "10:30"), Overrun::Stop);
        assert_eq!(overrun(&[window(Permission::DenyBackups, "0 8 * * *", 2)], "08:30"), Overrun::Finish);
    }

    proptest! {
        #[test]
        fn nothing_changes_before_it_is_said_to(
            opening in proptest::collection::vec((0..24_u8, 1..30_u32, 0..4_u8), 1..4),
            minute in 0..10_080_i64,
        ) {
            let permissions = [Permission::Allow, Permission::DenyBackups, Permission::DenyEverything, Permission::Bandwidth(9)];
            let windows: Vec<Window> = opening
                .into_iter()
                .map(|(hour, hours, permission)| window(permissions[usize::from(permission)], &format!("0 {hour} * * *"), hours))
                .collect();
            let now = later(at("00:00"), Duration::from_secs(u64::try_from(minute * 60).unwrap()));
            let held = regime(&windows, None, now);
            let until = held.until.unwrap();
            prop_assert!(until > now);
            let just_before = Timestamp::from_second(until.as_second() - 1).unwrap();
            let then = regime(&windows, None, just_before);
            prop_assert_eq!((held.backups, held.wals, held.bandwidth), (then.backups, then.wals, then.bandwidth));
        }
    }
}

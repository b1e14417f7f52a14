//! Lengths of time, times that come again, and Barman's wording of a retention policy.

use std::num::NonZeroU32;
use std::time::Duration;

use jiff::tz::{TimeZone, TimeZoneDatabase};

use super::{Mistake, Scalar, any_case};
use crate::schedule::CronLine;
use crate::site::model::Rule;
use crate::site::suggest::near;

/// The units of a length of time in seconds; a month is 31 days, as in Barman.
///
/// jiff reads these words too, but takes more than a pattern in the schema could say (fractions, signs, `ago`),
/// and it has no fixed month.
const UNITS: [(&str, u64); 19] = [
    ("s", 1),
    ("sec", 1),
    ("second", 1),
    ("seconds", 1),
    ("m", 60),
    ("min", 60),
    ("minute", 60),
    ("minutes", 60),
    ("h", 3600),
    ("hour", 3600),
    ("hours", 3600),
    ("d", 86_400),
    ("day", 86_400),
    ("days", 86_400),
    ("w", 7 * 86_400),
    ("week", 7 * 86_400),
    ("weeks", 7 * 86_400),
    ("month", MONTH),
    ("months", MONTH),
];

const MONTH: u64 = 31 * 86_400;

const LENGTH_HELP: &str = "write numbers with units, as in `15s`, `2m`, `2h 30m`, `30d`, `2w` or `1 month` (31 days)";

/// A length of time, never zero: `15s`, `2h 30m`, `30d`, `2w`, `1 month`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::site) struct Length(pub Duration);

impl Scalar for Length {
    const FORMAT: &'static str = "length-of-time";

    fn pattern() -> String {
        format!("^{}$", length_pattern())
    }

    fn parse(text: &str) -> Result<Self, Mistake> {
        let mistake = |why: String| Mistake::new(format!("`{text}` is not a length of time: {why}"), LENGTH_HELP);
        let mut seconds = 0_u64;
        let mut rest = text;
        while !rest.is_empty() {
            let (number, after) = split_where(rest, |c| !c.is_ascii_digit());
            let after = after.strip_prefix(' ').unwrap_or(after);
            let (unit, after) = split_where(after, |c| !c.is_ascii_alphabetic());
            if number.is_empty() || number.len() > 6 {
                return Err(mistake("a number of at most 6 digits comes before each unit".to_owned()));
            }
            seconds = seconds.saturating_add(
                number.parse::<u64>().unwrap_or(0).saturating_mul(unit_seconds(unit).map_err(mistake)?),
            );
            rest = after.strip_prefix(' ').filter(|rest| !rest.is_empty()).unwrap_or(after);
        }
        if seconds == 0 {
            return Err(mistake("it is zero".to_owned()));
        }
        Ok(Self(Duration::from_secs(seconds)))
    }
}

/// How many seconds a unit has, or what is wrong with it.
fn unit_seconds(unit: &str) -> Result<u64, String> {
    match UNITS.iter().find(|(name, _)| *name == unit) {
        Some((_, seconds)) => Ok(*seconds),
        None if unit.is_empty() => Err("a number has no unit".to_owned()),
        None => Err(format!("`{unit}` is not a unit")),
    }
}

/// At least one number that is not zero must be there: a look-ahead for a digit from 1 to 9.
fn length_pattern() -> String {
    let names: Vec<&str> = UNITS.iter().map(|(name, _)| *name).collect();
    let item = format!("[0-9]{{1,6}} ?({})", names.join("|"));
    format!("(?=.*[1-9]){item}( ?{item})*")
}

fn split_where(text: &str, stop: impl Fn(char) -> bool) -> (&str, &str) {
    text.split_at(text.find(stop).unwrap_or(text.len()))
}

/// How far behind a replica may be, or `none`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::site) struct Objective(pub Option<Duration>);

impl Scalar for Objective {
    const FORMAT: &'static str = "length-of-time-or-none";

    fn pattern() -> String {
        format!("^(none|{})$", length_pattern())
    }

    fn parse(text: &str) -> Result<Self, Mistake> {
        if text == "none" { Ok(Self(None)) } else { Length::parse(text).map(|length| Self(Some(length.0))) }
    }
}

/// How long something is believed that was looked at, or `always` to look at it each time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::site) struct Interval(pub Duration);

impl Default for Interval {
    /// A day.
    fn default() -> Self {
        Self(Duration::from_secs(86_400))
    }
}

impl Scalar for Interval {
    const FORMAT: &'static str = "length-of-time-or-always";

    fn pattern() -> String {
        format!("^(always|{})$", length_pattern())
    }

    fn parse(text: &str) -> Result<Self, Mistake> {
        if text == "always" { Ok(Self(Duration::ZERO)) } else { Length::parse(text).map(|length| Self(length.0)) }
    }
}

/// Within what time each byte here is read again, or `never`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::site) struct ReadEvery(pub Option<Duration>);

impl Default for ReadEvery {
    /// 30 days.
    fn default() -> Self {
        Self(Some(Duration::from_secs(30 * 86_400)))
    }
}

impl Scalar for ReadEvery {
    const FORMAT: &'static str = "length-of-time-or-never";

    fn pattern() -> String {
        format!("^(never|{})$", length_pattern())
    }

    fn parse(text: &str) -> Result<Self, Mistake> {
        if text == "never" { Ok(Self(None)) } else { Length::parse(text).map(|length| Self(Some(length.0))) }
    }
}

/// A cron line, whatever clocks it is meant by.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::site) struct Cron(String);

impl Cron {
    /// What it says by the clocks of a time zone; `None` never, as it was read.
    pub fn in_zone(&self, zone: &Zone) -> Option<CronLine> {
        CronLine::new(&self.0, zone.0.clone()).ok()
    }
}

impl Scalar for Cron {
    const FORMAT: &'static str = "cron-line";

    fn pattern() -> String {
        "^(@[a-z]+|[^ ]+(?: [^ ]+){4})$".to_owned()
    }

    fn parse(text: &str) -> Result<Self, Mistake> {
        let help =
            "write the five fields of a crontab, as in `30 2 * * 1-5` (minute, hour, day, month, weekday), or `@daily`";
        let mistake = |why: String| Mistake::new(format!("`{text}` is not a cron line: {why}"), help);
        let is_spaced = text.split(' ').all(|field| !field.is_empty());
        let line = if is_spaced { CronLine::new(text, TimeZone::UTC) } else { return Err(mistake(SPACES.to_owned())) };
        let line = line.map_err(|error| mistake(error.to_string().trim_end_matches('.').to_owned()))?;
        match line.next(jiff::Timestamp::UNIX_EPOCH) {
            Some(_) => Ok(Self(text.to_owned())),
            None => Err(mistake("no day is ever such a day".to_owned())),
        }
    }
}

/// Where a cron line has them elsewhere.
const SPACES: &str = "one blank stands between two fields";

/// A time zone by its name in the tz database.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::site) struct Zone(TimeZone);

impl Default for Zone {
    fn default() -> Self {
        Self(TimeZone::UTC)
    }
}

impl Scalar for Zone {
    const FORMAT: &'static str = "time-zone";

    fn pattern() -> String {
        "^[A-Za-z][A-Za-z0-9_+/-]{1,63}$".to_owned()
    }

    fn parse(text: &str) -> Result<Self, Mistake> {
        // That of this program: a file is right or wrong on every machine.
        let zones = TimeZoneDatabase::bundled();
        let names = || zones.available().map(|name| name.as_str().to_owned()).collect::<Vec<_>>();
        zones.get(text).map(Self).map_err(|_| {
            let names = names();
            let known: Vec<&str> = names.iter().map(String::as_str).collect();
            let help = match near(text, &known).first() {
                Some(near) => format!("did you mean `{near}`?"),
                None => "write a name of the tz database, such as `Europe/Lisbon` or `UTC`".to_owned(),
            };
            Mistake::new(format!("`{text}` is not a time zone"), help)
        })
    }
}

/// Barman's `retention_policy`: `REDUNDANCY n` or `RECOVERY WINDOW OF n DAYS|WEEKS|MONTHS`, in any case.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::site) struct Retention(pub Rule);

impl Scalar for Retention {
    const FORMAT: &'static str = "barman-retention-policy";

    fn pattern() -> String {
        let number = "[1-9][0-9]{0,4}";
        let units = ["days?", "weeks?", "months?"].map(any_case).join("|");
        let window = ["recovery", "window", "of"].map(any_case).join(" +");
        format!("^ *({} +{number}|{window} +{number} +({units})) *$", any_case("redundancy"))
    }

    fn parse(text: &str) -> Result<Self, Mistake> {
        let mistake = || {
            let help = "write `REDUNDANCY 3` or `RECOVERY WINDOW OF 4 WEEKS` (or DAYS, or MONTHS of 31 days), as in barman.conf";
            Mistake::new(format!("`{text}` is not a retention policy of Barman"), help)
        };
        let lower = text.to_ascii_lowercase();
        let words: Vec<&str> = lower.split(' ').filter(|word| !word.is_empty()).collect();
        let rule = match words.as_slice() {
            ["redundancy", n] => count(n).map(Rule::Redundancy),
            ["recovery", "window", "of", n, unit] => count(n).and_then(|n| window(n, unit)),
            _ => None,
        };
        rule.map(Self).ok_or_else(mistake)
    }
}

/// A number from 1 to 99999 without leading zeros.
fn count(digits: &str) -> Option<NonZeroU32> {
    let plain = digits.len() <= 5 && digits.bytes().all(|b| b.is_ascii_digit()) && !digits.starts_with('0');
    if plain { digits.parse().ok() } else { None }
}

fn window(n: NonZeroU32, unit: &str) -> Option<Rule> {
    let days_each = match unit {
        "day" | "days" => 1,
        "week" | "weeks" => 7,
        "month" | "months" => 31,
        _ => return None,
    };
    NonZeroU32::new(n.get() * days_each).map(|days| Rule::RecoveryWindow { days })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_of_time() {
        let seconds = |text: &str| Length::parse(text).map(|length| length.0.as_secs()).ok();
        assert_eq!(seconds("15s"), Some(15));
        assert_eq!(seconds("2h 30m"), Some(9000));
        assert_eq!(seconds("2h30m"), Some(9000));
        assert_eq!(seconds("2 weeks"), Some(14 * 86_400));
        assert_eq!(seconds("1 month"), Some(31 * 86_400));
        assert_eq!(seconds("2 months 1d"), Some(63 * 86_400));
        for bad in ["", "0s", "15", "1.5h", "-1h", "2x", "h", " 2h", "2h ", "1 month ago", "1234567s", "2  h", "2H"] {
            assert_eq!(seconds(bad), None, "{bad:?}");
        }
    }

    #[test]
    fn what_is_looked_at_always_is_believed_for_no_time() {
        let seconds = |text: &str| Interval::parse(text).map(|interval| interval.0.as_secs()).ok();
        assert_eq!(
            (seconds("always"), seconds("12h"), seconds("0s"), seconds("never")),
            (Some(0), Some(43_200), None, None)
        );
    }

    #[test]
    fn cron_lines_and_the_zones_of_their_clocks() {
        for good in ["30 2 * * 1-5", "*/5 * * * *", "0 0 1 1 *", "@daily", "0 20 * * MON,WED"] {
            assert!(Cron::parse(good).is_ok(), "{good:?}");
        }
        for bad in ["", "* * * *", "0  2 * * *", " 0 2 * * *", "* * * * * *", "0 0 30 2 *", "99 * * * *", "@sometimes"]
        {
            assert!(Cron::parse(bad).is_err(), "{bad:?}");
        }
        assert_eq!(Zone::parse("UTC"), Ok(Zone::default()));
        assert_ne!(Zone::parse("Europe/Lisbon"), Ok(Zone::default()));
        assert_eq!(Zone::parse("Europe/Lisboa").unwrap_err().help, "did you mean `Europe/Lisbon`?");
        assert!(Zone::parse("../etc/passwd").is_err());
    }

    #[test]
    fn retention_policies_as_barman_words_them() {
        let rule = |text: &str| Retention::parse(text).map(|retention| retention.0).ok();
        let days = |days| NonZeroU32::new(days).map(|days| Rule::RecoveryWindow { days });
        assert_eq!(rule("REDUNDANCY 3"), NonZeroU32::new(3).map(Rule::Redundancy));
        assert_eq!(rule("recovery window of 30 days"), days(30));
        assert_eq!(rule("Recovery  Window of 1 WEEK"), days(7));
        assert_eq!(rule("RECOVERY WINDOW OF 2 MONTHS"), days(62));
        for bad in ["", "REDUNDANCY", "REDUNDANCY 0", "RECOVERY WINDOW OF 3", "RECOVERY WINDOW OF 3 YEARS", "30d"] {
            assert_eq!(rule(bad), None, "{bad:?}");
        }
    }
}

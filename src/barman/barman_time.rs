//! The dates of backup.info and of sync-info: Python's `str(datetime)`, `isoformat()` and `ctime()`
//! (Barman `infofile.py`, `load_datetime_tz` and `to_json`).

use std::fmt;
use std::str::FromStr;

use jiff::civil::DateTime;
use jiff::tz::Offset;
use jiff::{SignedDuration, Timestamp};

/// A date as Barman wrote it: with the zone's offset, or without a zone when it came from `ctime()`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BarmanTime {
    civil: DateTime,
    offset: Option<Offset>,
}

/// A text is none of the forms in which Barman writes a date.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not a date such as 2026-11-22 09:24:35.848354+00:00")]
pub struct InvalidTime(String);

impl BarmanTime {
    /// The instant. A date without a zone counts as UTC: whose local time it was, nobody wrote down.
    pub fn timestamp(self) -> Timestamp {
        let offset = self.offset.unwrap_or(Offset::UTC);
        // Out of range only within a day of the years -9999 and 9999.
        offset.to_timestamp(self.civil).unwrap_or(Timestamp::UNIX_EPOCH)
    }

    /// Whether the two may be the same instant. `ctime()` loses both zone and fraction, so that only the
    /// wall clock to the second can be compared when one of them lacks its zone.
    pub fn agrees_with(self, other: Self) -> bool {
        if self.offset.is_some() && other.offset.is_some() {
            return self.timestamp() == other.timestamp();
        }
        let distance = self.civil.duration_until(other.civil).abs();
        distance < SignedDuration::from_secs(1)
    }

    /// Python's `ctime()`: without zone and fraction.
    pub fn ctime(self) -> String {
        self.civil.strftime("%a %b %e %H:%M:%S %Y").to_string()
    }

    /// Python's `isoformat()`.
    pub fn isoformat(self) -> String {
        self.to_string().replacen(' ', "T", 1)
    }

    fn parse_iso(text: &str) -> Option<Self> {
        // A civil date and time has 19 characters; a sign after them starts the offset.
        let (clock, zone) = match text.get(19..)?.find(['+', '-', 'Z', ' ']) {
            Some(at) => text.split_at_checked(19 + at)?,
            None => (text, ""),
        };
        if !clock.starts_with(|c: char| c.is_ascii_digit()) {
            return None;
        }
        let offset = match zone.trim() {
            "" => None,
            "Z" | "UTC" => Some(Offset::UTC),
            zone => Some(parse_offset(zone)?),
        };
        Some(Self { civil: clock.parse().ok()?, offset })
    }

    fn parse_ctime(text: &str) -> Option<Self> {
        let civil = DateTime::strptime("%a %b %d %H:%M:%S %Y", text).ok()?;
        Some(Self { civil, offset: None })
    }
}

/// `+HH:MM`, `+HHMM` or `+HH:MM:SS`.
fn parse_offset(zone: &str) -> Option<Offset> {
    let (sign, clock) = match zone.split_at_checked(1)? {
        ("+", clock) => (1, clock),
        ("-", clock) => (-1, clock),
        _ => return None,
    };
    let digits = clock.replace(':', "");
    if !matches!(digits.len(), 4 | 6) || !digits.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    let pair = |at: usize| digits.get(at..at + 2).and_then(|pair| pair.parse::<i32>().ok());
    let seconds = pair(0)? * 3600 + pair(2)? * 60 + pair(4).unwrap_or(0);
    Offset::from_seconds(sign * seconds).ok()
}

impl FromStr for BarmanTime {
    type Err = InvalidTime;

    fn from_str(text: &str) -> Result<Self, InvalidTime> {
        Self::parse_iso(text)
            .or_else(|| Self::parse_ctime(text))
            .ok_or_else(|| InvalidTime(text.chars().take(80).collect()))
    }
}

impl fmt::Display for BarmanTime {
    /// Python's `str(datetime)`: no fraction when it is zero, no offset when there is no zone.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.civil.date(), self.civil.strftime("%H:%M:%S"))?;
        let micros = self.civil.subsec_nanosecond() / 1000;
        if micros != 0 {
            write!(f, ".{micros:06}")?;
        }
        let Some(offset) = self.offset else { return Ok(()) };
        let sign = if offset.seconds() < 0 { '-' } else { '+' };
        let seconds = offset.seconds().unsigned_abs();
        write!(f, "{sign}{:02}:{:02}", seconds / 3600, seconds / 60 % 60)?;
        if seconds % 60 == 0 { Ok(()) } else { write!(f, ":{:02}", seconds % 60) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn every_form_of_barman_is_read() {
        for (text, written, instant) in [
            ("2026-11-22 09:24:35.848354+00:00", "2026-11-22 09:24:35.848354+00:00", "2026-11-22T09:24:35.848354Z"),
            ("2026-11-22 09:24:35+01:00", "2026-11-22 09:24:35+01:00", "2026-11-22T08:24:35Z"),
            ("2026-11-22T09:24:35.000120-05:30", "2026-11-22 09:24:35.000120-05:30", "2026-11-22T14:54:35.00012Z"),
            ("2026-11-22 09:24:35", "2026-11-22 09:24:35", "2026-11-22T09:24:35Z"),
            ("Sun Nov 22 09:24:35 2026", "2026-11-22 09:24:35", "2026-11-22T09:24:35Z"),
            ("Sun Nov  1 09:24:35 2026", "2026-11-01 09:24:35", "2026-11-01T09:24:35Z"),
            ("1926-01-02 00:00:00+00:19:32", "1926-01-02 00:00:00+00:19:32", "1926-01-01T23:40:28Z"),
        ] {
            let time: BarmanTime = text.parse().unwrap();
            assert_eq!(time.to_string(), written);
            assert_eq!(time.timestamp().to_string(), instant, "{text}");
        }
    }

    #[test]
    fn dates_are_written_as_sync_info_has_them() {
        let time: BarmanTime = "2026-11-01 09:08:07.000120+02:00".parse().unwrap();
        assert_eq!(time.ctime(), "Sun Nov  1 09:08:07 2026");
        assert_eq!(time.isoformat(), "2026-11-01T09:08:07.000120+02:00");
    }

    #[test]
    fn what_is_no_date_is_refused() {
        for text in ["", "None", "now", "2026-11-22", "2026-11-22 25:00:00+00:00", "2026-11-22 09:24:35+x", "2026-11-2"]
        {
            assert!(text.parse::<BarmanTime>().is_err(), "{text:?} was accepted");
        }
    }

    #[test]
    fn a_date_that_lost_zone_and_fraction_still_agrees() {
        let agree = |a: &str, b: &str| a.parse::<BarmanTime>().unwrap().agrees_with(b.parse().unwrap());
        assert!(agree("2026-11-22 09:24:35.848354+00:00", "Sun Nov 22 09:24:35 2026"));
        assert!(agree("2026-11-22 09:24:35+00:00", "2026-11-22 10:24:35+01:00"));
        assert!(!agree("2026-11-22 09:24:35.8+00:00", "2026-11-22 09:24:35+00:00"));
        assert!(!agree("2026-11-22 09:24:36+00:00", "Sun Nov 22 09:24:35 2026"));
    }

    proptest! {
        #[test]
        fn any_text_is_parsed_or_refused(text in ".{0,40}", near in "[0-9 :TZ.+-]{15,35}") {
            for text in [text, near] {
                if let Ok(time) = text.parse::<BarmanTime>() {
                    let _ = time.timestamp();
                    prop_assert!(time.to_string().parse::<BarmanTime>().is_ok());
                }
            }
        }
    }
}

//! The command about runs that were.

use std::time::Duration;

use clap::Args;
use jiff::{Timestamp, civil, tz::TimeZone};

use super::{SiteFile, TextOrJson};
use crate::site;

/// Arguments of `history`.
#[derive(Debug, Clone, Args)]
#[command(
    after_help = "Examples:\n  antipode history\n  antipode history main --since 7d\n  antipode history --since 2026-11-22 --format json\n\nExit codes: 0 the journal is as it was written; 1 it is not, or an error."
)]
pub struct History {
    /// Which site file.
    #[command(flatten)]
    pub site: SiteFile,
    /// Only what runs did to these replicas
    #[arg(value_name = "REPLICA")]
    pub replicas: Vec<String>,
    /// Only runs that began so long ago at the most, such as 12h or 7d, or no earlier than a time: 2026-11-22, or
    /// 2026-11-22T09:30:00Z (UTC)
    #[arg(long, value_name = "TIME", value_parser = parse_since)]
    pub since: Option<Since>,
    /// For people, or for programs
    #[arg(long, value_enum, default_value_t = TextOrJson::Text)]
    pub format: TextOrJson,
}

/// From when on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Since {
    /// So long ago.
    Ago(Duration),
    /// A time.
    At(Timestamp),
}

impl Since {
    /// The time that it is now.
    pub fn time(self, now: Timestamp) -> Timestamp {
        match self {
            Self::Ago(length) => now.saturating_sub(length).unwrap_or(Timestamp::MIN),
            Self::At(time) => time,
        }
    }
}

/// `7d`, `2026-11-22`, `2026-11-22 09:30` or `2026-11-22T09:30:00Z`. A time without a zone is in UTC, as all that is shown.
fn parse_since(text: &str) -> Result<Since, String> {
    if let Ok(length) = site::length_of_time(text) {
        return Ok(Since::Ago(length));
    }
    let time = text.parse::<Timestamp>().ok().or_else(|| {
        let local = text.parse::<civil::DateTime>().ok()?;
        Some(local.to_zoned(TimeZone::UTC).ok()?.timestamp())
    });
    time.map(Since::At).ok_or_else(|| {
        "expected a length of time such as 12h or 7d, or a time such as 2026-11-22 or 2026-11-22T09:30:00Z".to_owned()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_is_read_as_people_write_it() {
        let at = |time: &str| Ok(Since::At(time.parse().unwrap()));
        for (text, since) in [
            ("7d", Ok(Since::Ago(Duration::from_secs(7 * 86_400)))),
            ("2h 30m", Ok(Since::Ago(Duration::from_secs(9000)))),
            ("2026-11-22", at("2026-11-22T00:00:00Z")),
            ("2026-11-22 09:30", at("2026-11-22T09:30:00Z")),
            ("2026-11-22T09:30:00+01:00", at("2026-11-22T08:30:00Z")),
            ("2026-11-22 09:30:00Z", at("2026-11-22T09:30:00Z")),
        ] {
            assert_eq!(parse_since(text), since, "{text}");
        }
        for bad in ["", "7", "0d", "yesterday", "2026-13-01", "-7d"] {
            assert!(parse_since(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_length_is_counted_back_from_now_and_never_too_far() {
        let now: Timestamp = "2026-11-22T09:30:00Z".parse().unwrap();
        let day = Since::Ago(Duration::from_secs(86_400)).time(now);
        assert_eq!(day, "2026-11-21T09:30:00Z".parse().unwrap());
        assert_eq!(Since::Ago(Duration::from_secs(u64::MAX)).time(now), Timestamp::MIN);
    }
}

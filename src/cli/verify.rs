//! The command that reads what is here.

use std::time::Duration;

use clap::{ArgGroup, Args};

use super::plan::{parse_duration, parse_size};
use super::{SiteFile, TextOrJson};
use crate::site;

/// Arguments of `verify`.
#[derive(Debug, Clone, Args)]
#[command(
    group = ArgGroup::new("asked"),
    after_help = "Examples:\n  antipode verify\n  antipode verify main --all --bandwidth 200MiB/s\n  antipode verify --since 7d --max-time 2h\n  antipode verify --sample 5% --format json\n\nExit codes: 0 all that was read, and all that was read before, is what was written; 1 something is damaged, missing or cannot be read, or an error."
)]
pub struct Verify {
    /// Only these replicas
    #[arg(value_name = "REPLICA")]
    pub replicas: Vec<String>,
    /// Which site file.
    #[command(flatten)]
    pub site: SiteFile,
    /// Read everything
    #[arg(long, group = "asked")]
    pub all: bool,
    /// Read what was not read within this time, such as 7d
    #[arg(long, value_name = "LENGTH", group = "asked", value_parser = site::length_of_time)]
    pub since: Option<Duration>,
    /// Read what is new, and by chance this part of the rest
    #[arg(long, value_name = "PERCENT", group = "asked", value_parser = parse_percent)]
    pub sample: Option<f64>,
    /// End after this time, such as 1h; what is left is read by the next verification
    #[arg(long, value_name = "DURATION", value_parser = parse_duration)]
    pub max_time: Option<Duration>,
    /// Read no more than this in a second, such as 50MiB/s [default: as fast as the disk]
    #[arg(long, value_name = "RATE", value_parser = parse_rate)]
    pub bandwidth: Option<u64>,
    /// For people, or for programs
    #[arg(long, value_enum, default_value_t = TextOrJson::Text)]
    pub format: TextOrJson,
}

/// `5%` or `0.5%`
fn parse_percent(text: &str) -> Result<f64, String> {
    let number = text.strip_suffix('%').and_then(|number| number.parse().ok());
    number.filter(|number: &f64| (0.0..=100.0).contains(number)).ok_or_else(|| "expected a form such as 5%".to_owned())
}

/// `50MiB/s`
fn parse_rate(text: &str) -> Result<u64, String> {
    let wrong = || "expected a form such as 50MiB/s".to_owned();
    let bytes = parse_size(text.strip_suffix("/s").ok_or_else(wrong)?).map_err(|_| wrong())?;
    if bytes > 0 { Ok(bytes) } else { Err(wrong()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_and_rates_are_read_as_people_write_them() {
        assert_eq!((parse_percent("5%"), parse_percent("0.5%")), (Ok(5.0), Ok(0.5)));
        assert_eq!(parse_rate("50MiB/s"), Ok(50 << 20));
        for bad in ["", "5", "-1%", "101%", "x%", "NaN%"] {
            assert!(parse_percent(bad).is_err(), "{bad}");
        }
        for bad in ["", "50MiB", "0B/s", "fast/s"] {
            assert!(parse_rate(bad).is_err(), "{bad}");
        }
    }
}

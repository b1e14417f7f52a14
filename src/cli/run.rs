//! The command that keeps a site by itself, and those that keep it from that.

use std::net::SocketAddr;
use std::time::Duration;

use clap::Args;
use jiff::Timestamp;

use super::SiteFile;
use super::plan::parse_duration;

/// Arguments of `run`.
#[derive(Debug, Clone, Args)]
#[command(
    after_help = "Examples:\n  antipode run -f /etc/antipode/lisbon.yaml\n  antipode run --listen 127.0.0.1:9187\n\nSignals: SIGTERM and SIGINT end it cleanly, \
                  SIGHUP reads the site file again.\n\nExit codes: 0 it was asked to end; 3 another one keeps this catalog; 1 an error."
)]
pub struct Run {
    /// Which site file.
    #[command(flatten)]
    pub site: SiteFile,
    /// Answer here with a page for people, /metrics for Prometheus, /healthz and /readyz
    #[arg(long, value_name = "ADDRESS")]
    pub listen: Option<SocketAddr>,
}

/// Arguments of `suspend`.
#[derive(Debug, Clone, Args)]
#[command(
    after_help = "Examples:\n  antipode suspend main\n  antipode suspend main --until 4h --why 'the primary moves house'"
)]
pub struct Suspend {
    /// The replicas
    #[arg(value_name = "REPLICA", required = true)]
    pub replicas: Vec<String>,
    /// Which site file.
    #[command(flatten)]
    pub site: SiteFile,
    /// For how long, or until when; without it until somebody resumes it
    #[arg(long, value_name = "LENGTH|TIME", value_parser = parse_until)]
    pub until: Option<Until>,
    /// Why, for whoever sees that nothing arrives
    #[arg(long, value_name = "TEXT")]
    pub why: Option<String>,
}

/// Arguments of `resume`.
#[derive(Debug, Clone, Args)]
#[command(after_help = "Examples:\n  antipode resume main")]
pub struct Resume {
    /// The replicas
    #[arg(value_name = "REPLICA", required = true)]
    pub replicas: Vec<String>,
    /// Which site file.
    #[command(flatten)]
    pub site: SiteFile,
}

/// Arguments of `detach`.
#[derive(Debug, Clone, Args)]
#[command(
    after_help = "Examples:\n  antipode detach archive\n  antipode detach archive --why 'sold; to be kept until 2030'"
)]
pub struct Detach {
    /// The servers, as plans and statuses name them
    #[arg(value_name = "SERVER", required = true)]
    pub servers: Vec<String>,
    /// Which site file.
    #[command(flatten)]
    pub site: SiteFile,
    /// Why, for whoever finds the copy
    #[arg(long, value_name = "TEXT")]
    pub why: Option<String>,
}

/// When something ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Until {
    /// So much later than now.
    In(Duration),
    /// Then.
    At(Timestamp),
}

fn parse_until(text: &str) -> Result<Until, String> {
    if let Ok(time) = text.parse() {
        return Ok(Until::At(time));
    }
    match parse_duration(text) {
        Ok(length) if !length.is_zero() => Ok(Until::In(length)),
        _ => Err("expected a length such as 4h or 2d, or a time such as 2026-11-23T06:00:00Z".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_end_is_a_length_or_a_time() {
        assert_eq!(parse_until("4h"), Ok(Until::In(Duration::from_secs(14_400))));
        assert_eq!(parse_until("2026-11-23T06:00:00Z"), Ok(Until::At(Timestamp::from_second(1_795_413_600).unwrap())));
        assert_eq!(parse_until("2026-11-23T07:00:00+01:00"), parse_until("2026-11-23T06:00:00Z"));
        for bad in ["", "0s", "-4h", "tomorrow", "06:00", "2026-11-23"] {
            assert!(parse_until(bad).is_err(), "{bad:?}");
        }
    }
}

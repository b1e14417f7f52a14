//! The commands of drills.

use std::ffi::OsString;
use std::path::PathBuf;
use std::str::FromStr;

use clap::{Args, ValueEnum, ValueHint};
use jiff::Timestamp;

use super::SiteFile;

/// Arguments of `drill`.
#[derive(Debug, Clone, Args)]
#[command(
    after_help = "Examples:\n  antipode drill main\n  antipode drill main --point newest\n  antipode drill main --point '2026-11-22 05:00:00+00:00' --format json\n  antipode drill --reports /srv/reports --sign-with /etc/antipode/minisign.key\n\nExit codes: 0 everything was proved; 2 something was tried and is not as it must be; 1 something could not be tried, or an error."
)]
pub struct Drill {
    /// Only these replicas
    #[arg(value_name = "REPLICA")]
    pub replicas: Vec<String>,
    /// Which site file.
    #[command(flatten)]
    pub site: SiteFile,
    /// Up to which point: newest, random, or a time with its zone [default: `drill.point` of the site file, else random]
    #[arg(long, value_name = "POINT")]
    pub point: Option<DrillPoint>,
    /// From this backup [default: the newest one that leads there]
    #[arg(long, value_name = "ID")]
    pub backup: Option<String>,
    /// Where the programs of PostgreSQL are [default: `drill.bin_dir`, else where packages put them]
    #[arg(long, value_name = "DIRECTORY", value_hint = ValueHint::DirPath)]
    pub bin_dir: Option<PathBuf>,
    /// Leave a report of each drill there, as JSON, JUnit and HTML [default: `drill.reports`]
    #[arg(long, value_name = "DIRECTORY", value_hint = ValueHint::DirPath)]
    pub reports: Option<PathBuf>,
    /// Sign the reports with this secret key of minisign, which has no password [default: `drill.sign_with`]
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub sign_with: Option<PathBuf>,
    /// For people, or for programs
    #[arg(long, value_enum, default_value_t = DrillFormat::Text)]
    pub format: DrillFormat,
}

/// How a drill is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum DrillFormat {
    /// For people.
    Text,
    /// For programs.
    Json,
    /// For those that show the results of tests.
    Junit,
    /// A page.
    Html,
}

/// Up to which point.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DrillPoint {
    /// The end of the WAL.
    Newest,
    /// By chance.
    Random,
    /// A time.
    Time(Timestamp),
}

impl FromStr for DrillPoint {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "newest" => Ok(Self::Newest),
            "random" => Ok(Self::Random),
            time => time.parse().map(Self::Time).map_err(|_| {
                "expected newest, random, or a time with its zone, such as 2026-11-22T09:12:03Z".to_owned()
            }),
        }
    }
}

/// Arguments of `drill-server`.
#[derive(Debug, Clone, Args)]
pub struct DrillServer {
    /// The process that it ends with
    #[arg(value_name = "PROCESS")]
    pub parent: i32,
    /// The directory below which it may write
    #[arg(value_name = "GROUND", value_hint = ValueHint::DirPath)]
    pub ground: PathBuf,
    /// The program
    #[arg(value_name = "PROGRAM")]
    pub program: PathBuf,
    /// And its arguments
    #[arg(value_name = "ARGUMENT", trailing_var_arg = true, allow_hyphen_values = true)]
    pub arguments: Vec<OsString>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_point_is_a_word_or_a_time_with_its_zone() {
        for (text, point) in [
            ("newest", DrillPoint::Newest),
            ("random", DrillPoint::Random),
            ("2026-11-22 10:12:03+01", DrillPoint::Time("2026-11-22T09:12:03Z".parse().unwrap())),
        ] {
            assert_eq!(text.parse(), Ok(point), "{text}");
        }
        for wrong in ["", "oldest", "2026-11-22 09:12:03"] {
            assert!(wrong.parse::<DrillPoint>().is_err(), "{wrong}");
        }
    }
}

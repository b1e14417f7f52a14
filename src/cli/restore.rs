//! The commands of the worst day.

use std::path::PathBuf;

use clap::{Args, ValueHint};
use jiff::Timestamp;

use super::SiteFile;
use crate::barman::wal::Lsn;

/// Arguments of `restore`.
#[derive(Debug, Clone, Args)]
#[command(
    after_help = "Examples:\n  antipode restore main restored/data --tablespace side:restored/side\n  antipode restore main restored/data --tablespace side:restored/side --to '2026-11-22 05:00:00+00:00'\n  antipode restore main restored/data --print"
)]
pub struct Restore {
    /// The replica
    #[arg(value_name = "REPLICA")]
    pub replica: String,
    /// The data directory that comes into being: a new or an empty one
    #[arg(value_name = "DIRECTORY", value_hint = ValueHint::DirPath)]
    pub directory: PathBuf,
    /// Which site file.
    #[command(flatten)]
    pub site: SiteFile,
    /// Recover to this time, which has a zone: '2026-11-22 09:12:03+00:00'
    #[arg(long, value_name = "TIME", value_parser = parse_time, conflicts_with_all = ["to_lsn", "immediate"])]
    pub to: Option<Timestamp>,
    /// Recover to this position in the WAL: 1A4/3F000028
    #[arg(long, value_name = "LSN", conflicts_with = "immediate")]
    pub to_lsn: Option<Lsn>,
    /// Recover as far as there is WAL, as is done where nothing else is said
    #[arg(long, conflicts_with_all = ["to", "to_lsn", "immediate"])]
    pub latest: bool,
    /// Recover no further than the backup needs to be consistent
    #[arg(long)]
    pub immediate: bool,
    /// From this backup [default: the newest one that leads to the target]
    #[arg(long, value_name = "ID")]
    pub backup: Option<String>,
    /// Where a tablespace goes; without it, where it was on the old server. May be given several times
    #[arg(long = "tablespace", value_name = "NAME:DIRECTORY", value_parser = parse_tablespace)]
    pub tablespaces: Vec<(String, PathBuf)>,
    /// Where the programs of PostgreSQL are, for a backup that is incremental
    #[arg(long, value_name = "DIRECTORY", value_hint = ValueHint::DirPath)]
    pub bin_dir: Option<PathBuf>,
    /// Restore nothing: say what would be, and print the command of Barman's that does the same
    #[arg(long)]
    pub print: bool,
}

/// Arguments of `restore-wal`.
#[derive(Debug, Clone, Args)]
pub struct RestoreWal {
    /// The WAL archive of a replica
    #[arg(value_name = "ARCHIVE")]
    pub archive: PathBuf,
    /// The file, as PostgreSQL names it
    #[arg(value_name = "NAME")]
    pub name: String,
    /// Where PostgreSQL wants it
    #[arg(value_name = "DESTINATION")]
    pub destination: PathBuf,
    /// A file that gets a line about what came of it
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub note: Option<PathBuf>,
}

fn parse_time(text: &str) -> Result<Timestamp, String> {
    text.parse().map_err(|_| "expected a time with its zone, such as 2026-11-22T09:12:03Z".to_owned())
}

fn parse_tablespace(text: &str) -> Result<(String, PathBuf), String> {
    let parts = text.rsplit_once(':').filter(|(name, directory)| !name.is_empty() && !directory.is_empty());
    let (name, directory) = parts.ok_or("expected NAME:DIRECTORY")?;
    Ok((name.to_owned(), PathBuf::from(directory)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_has_a_zone_and_a_tablespace_a_name_and_a_place() {
        let time: Timestamp = "2026-11-22T09:12:03Z".parse().unwrap();
        for text in ["2026-11-22T09:12:03Z", "2026-11-22 09:12:03+00:00", "2026-11-22 10:12:03+01"] {
            assert_eq!(parse_time(text), Ok(time), "{text}");
        }
        assert!(parse_time("2026-11-22 09:12:03").is_err());
        assert_eq!(parse_tablespace("a:b:/c"), Ok(("a:b".to_owned(), "/c".into())));
        for wrong in ["side", ":/c", "side:"] {
            assert!(parse_tablespace(wrong).is_err(), "{wrong}");
        }
    }
}

//! Commands about plans: made, shown, explained, applied.

use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, ValueEnum, ValueHint};

use super::SiteFile;
use crate::apply::Limits;
use crate::plan::scope::Pattern;

/// The form of an answer that people or programs read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum TextOrJson {
    /// For people.
    #[value(alias = "human")]
    Text,
    /// For programs.
    Json,
}

/// The form of a plan.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// For a terminal or a log.
    Human,
    /// For programs; the same as a saved plan.
    Json,
    /// For a comment on a pull request.
    Markdown,
    /// The graph of its steps, for Graphviz.
    Dot,
    /// The same for Mermaid, which GitHub and GitLab draw in a comment.
    Mermaid,
}

/// How a plan is shown.
#[derive(Debug, Clone, Args)]
pub struct View {
    /// How to print the plan
    #[arg(long, value_enum, default_value_t = Format::Human)]
    pub format: Format,
    /// The most characters that `--format markdown` may take: lines are left out, none is cut, and the verdict stays
    #[arg(
        long,
        value_name = "N",
        value_parser = at_least_one,
        default_value_t = NonZeroUsize::new(60_000).unwrap_or(NonZeroUsize::MAX)
    )]
    pub max_chars: NonZeroUsize,
}

/// Which part of a plan.
#[derive(Debug, Clone, Default, Args)]
pub struct ScopeFlags {
    /// Only this, and what it depends on: an address, or the first parts of one such as `main` or `main/backup`
    #[arg(long = "target", value_name = "ADDRESS")]
    pub targets: Vec<Pattern>,
    /// Not this, and nothing that depends on it
    #[arg(long = "exclude", value_name = "ADDRESS")]
    pub excluded: Vec<Pattern>,
    /// Only what this file names, one address a line; `#` begins a comment
    #[arg(long = "target-file", value_name = "FILE")]
    pub target_files: Vec<PathBuf>,
    /// Not what this file names, one address a line; `#` begins a comment
    #[arg(long = "exclude-file", value_name = "FILE")]
    pub excluded_files: Vec<PathBuf>,
    /// Believe nothing that earlier plans kept or looked at: ask the primaries everything anew, whatever their files show,
    /// and look at every file here
    #[arg(long)]
    pub refresh: bool,
}

/// What a person lets the primary replace.
#[derive(Debug, Clone, Default, Args)]
pub struct Consent {
    /// Let the primary's replace this, although it is good here and differs there: an address that the plan holds, or the
    /// first parts of one
    #[arg(long = "accept", value_name = "ADDRESS")]
    pub accepted: Vec<Pattern>,
}

/// Arguments of `plan`.
#[derive(Debug, Clone, Args)]
#[command(
    after_help = "Examples:\n  antipode plan\n  antipode plan -f /etc/antipode/lisbon.yaml --detailed-exitcode\n  antipode plan -o plan.json --format markdown"
)]
pub struct Plan {
    /// Which site file.
    #[command(flatten)]
    pub site: SiteFile,
    /// Save the plan in this file, for `apply FILE`
    #[arg(short, long, value_name = "FILE")]
    pub output: Option<PathBuf>,
    /// How it is shown.
    #[command(flatten)]
    pub view: View,
    /// Exit with 2 when there are changes
    #[arg(long)]
    pub detailed_exitcode: bool,
    /// Which part.
    #[command(flatten)]
    pub scope: ScopeFlags,
    /// What is accepted.
    #[command(flatten)]
    pub consent: Consent,
}

/// Arguments of `show`.
#[derive(Debug, Clone, Args)]
#[command(after_help = "Examples:\n  antipode show plan.json\n  antipode show plan.json --format markdown")]
pub struct Show {
    /// The saved plan
    #[arg(value_name = "FILE")]
    pub plan: PathBuf,
    /// How it is shown.
    #[command(flatten)]
    pub view: View,
}

/// Arguments of `apply`.
#[derive(Debug, Clone, Args)]
#[command(
    after_help = "Examples:\n  antipode apply\n  antipode apply --auto-approve --lock-timeout 10m\n  antipode apply plan.json"
)]
pub struct Apply {
    /// A saved plan: exactly this is done, without asking
    #[arg(value_name = "PLAN", conflicts_with_all = ["targets", "excluded", "target_files", "excluded_files", "refresh", "accepted"])]
    pub plan: Option<PathBuf>,
    /// Which site file.
    #[command(flatten)]
    pub site: SiteFile,
    /// Do not ask
    #[arg(long)]
    pub auto_approve: bool,
    /// Which part.
    #[command(flatten)]
    pub scope: ScopeFlags,
    /// What is accepted.
    #[command(flatten)]
    pub consent: Consent,
    /// Steps at the same time at the most; transfers keep to the site file's `streams` besides
    #[arg(long, value_name = "N", value_parser = at_least_one, default_value_t = Limits::PARALLELISM)]
    pub parallelism: NonZeroUsize,
    /// Stop cleanly before more than this is copied, such as 50GiB; the next apply goes on
    #[arg(long, value_name = "SIZE", value_parser = parse_size)]
    pub max_bytes: Option<u64>,
    /// How long to wait for a lock that another process holds
    #[arg(long, value_name = "DURATION", default_value = "30s", value_parser = parse_duration)]
    pub lock_timeout: Duration,
    /// Print one JSON event a line instead of text
    #[arg(long)]
    pub json: bool,
    /// Write one JSON event a line to this file, beside the text; what is in it is lost
    #[arg(long, value_name = "FILE", conflicts_with = "json")]
    pub json_into: Option<PathBuf>,
    /// At the end look at the site once more, and write how it stands and what the run came to into this file, `.prom` for
    /// Prometheus' node_exporter
    #[arg(long, value_name = "FILE", value_parser = parse_textfile, value_hint = ValueHint::FilePath)]
    pub metrics: Option<PathBuf>,
}

/// Arguments of `status`.
#[derive(Debug, Clone, Args)]
#[command(
    after_help = "Examples:\n  antipode status\n  antipode status main\n  antipode status -q\n  antipode status --watch\n  antipode status --format json\n\nExit codes: 0 every objective is kept; 2 an objective is missed, a replica is not recoverable, or one without an objective is incomplete; 1 an error."
)]
pub struct Status {
    /// Which site file.
    #[command(flatten)]
    pub site: SiteFile,
    /// Only these replicas
    #[arg(value_name = "REPLICA")]
    pub replicas: Vec<String>,
    /// For people, or for a monitoring system
    #[arg(long, value_enum, default_value_t = TextOrJson::Text)]
    pub format: TextOrJson,
    /// How closely the backups here are looked at; what is not is told as the last plan or apply found it, with the time
    /// [default: everything; with `--watch`, lists]
    #[arg(long, value_enum)]
    pub depth: Option<Depth>,
    /// Go on looking until Ctrl-C, every 10 s or as often as is said, and show on the terminal besides: each recovery
    /// window as a bar in time, what runs, and the last runs
    #[arg(
        long,
        value_name = "EVERY",
        num_args = 0..=1,
        require_equals = true,
        default_missing_value = "10s",
        value_parser = parse_pause,
        conflicts_with_all = ["format", "metrics"]
    )]
    pub watch: Option<Duration>,
    /// Write how the site stands into this file, `.prom` for Prometheus' node_exporter
    #[arg(
        long,
        value_name = "FILE",
        value_parser = parse_textfile,
        value_hint = ValueHint::FilePath,
        conflicts_with = "replicas"
    )]
    pub metrics: Option<PathBuf>,
}

/// How closely a status looks at the backups here.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Depth {
    /// At their metadata and at the lists of WAL.
    Lists,
    /// And at the files of those in whose directories something came, went or was renamed.
    Changed,
    /// And at the files of all others.
    Everything,
}

/// Arguments of `explain`.
#[derive(Debug, Clone, Args)]
#[command(after_help = "Examples:\n  antipode explain main/backup/20261122T030000\n  antipode explain main/xlog.db")]
pub struct Explain {
    /// The action's address, as a plan in JSON or `plan -v` has it
    #[arg(value_name = "ADDRESS")]
    pub address: String,
    /// Which site file.
    #[command(flatten)]
    pub site: SiteFile,
}

/// A file that node_exporter reads: only those whose name ends in `.prom`.
pub(super) fn parse_textfile(text: &str) -> Result<PathBuf, String> {
    let path = PathBuf::from(text);
    let is_read = path.extension().is_some_and(|extension| extension == "prom");
    if is_read { Ok(path) } else { Err("node_exporter reads only files whose name ends in .prom".to_owned()) }
}

/// A length of time as people write it: `30s`, `10m`, `1h 30m`.
pub(super) fn parse_duration(text: &str) -> Result<Duration, String> {
    let length: jiff::SignedDuration = text.parse().map_err(|_| "expected a form such as 30s or 10m".to_owned())?;
    Duration::try_from(length).map_err(|_| "it is negative".to_owned())
}

/// A length of time of a second or more.
fn parse_pause(text: &str) -> Result<Duration, String> {
    let length = parse_duration(text)?;
    if length >= Duration::from_secs(1) { Ok(length) } else { Err("expected 1s or more".to_owned()) }
}

/// A size as people write it: `500MB`, `50GiB`.
pub(super) fn parse_size(text: &str) -> Result<u64, String> {
    let size: bytesize::ByteSize = text.parse().map_err(|_| "expected a form such as 500MiB or 50GiB".to_owned())?;
    Ok(size.as_u64())
}

/// A whole number that is not 0.
fn at_least_one(text: &str) -> Result<NonZeroUsize, String> {
    text.parse().map_err(|_| "expected a whole number from 1 on".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_of_time_are_read_as_people_write_them() {
        assert_eq!(parse_duration("30s"), Ok(Duration::from_secs(30)));
        assert_eq!(parse_duration("1h 30m"), Ok(Duration::from_secs(5400)));
        for bad in ["", "30", "-5s", "soon"] {
            assert!(parse_duration(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_number_that_is_refused_is_asked_for_in_plain_words() {
        assert_eq!(at_least_one("16").map(NonZeroUsize::get), Ok(16));
        for bad in ["", "0", "-1", "1.5", "many"] {
            assert_eq!(at_least_one(bad), Err("expected a whole number from 1 on".to_owned()), "{bad}");
        }
    }

    #[test]
    fn a_file_that_node_exporter_would_pass_over_is_refused() {
        assert_eq!(parse_textfile("/var/lib/x/lisbon.prom"), Ok("/var/lib/x/lisbon.prom".into()));
        for bad in ["lisbon", "lisbon.prom.tmp", "lisbon.PROM", ".prom", "/var/lib/x/"] {
            assert!(parse_textfile(bad).is_err_and(|said| said.contains(".prom")), "{bad}");
        }
    }

    #[test]
    fn sizes_are_read_as_people_write_them() {
        assert_eq!(parse_size("50GiB"), Ok(50 << 30));
        assert_eq!(parse_size("1 MB"), Ok(1_000_000));
        for bad in ["", "many", "-5MiB"] {
            assert!(parse_size(bad).is_err(), "{bad}");
        }
    }
}

//! The command line: types only.

use std::path::PathBuf;
use std::time::Duration;

use clap::builder::Styles;
use clap::builder::styling::AnsiColor;
use clap::{Args, Parser, Subcommand, ValueEnum};

const STYLES: Styles = Styles::styled()
    .header(AnsiColor::Green.on_default().bold())
    .usage(AnsiColor::Green.on_default().bold())
    .literal(AnsiColor::Cyan.on_default().bold())
    .placeholder(AnsiColor::Cyan.on_default());

/// Keeps passive copies of Barman catalogs: declare a site, see the plan, apply it.
#[derive(Debug, Parser)]
#[command(name = "antipode", version, styles = STYLES, max_term_width = 100, infer_subcommands = false)]
#[command(
    after_help = "Exit codes: 0 done or nothing to do; 1 error; 2 `plan --detailed-exitcode` and there are changes;
3 the catalog or a server is locked by another; 4 part of an apply failed; 130 interrupted."
)]
pub struct Cli {
    /// What holds for every command.
    #[command(flatten)]
    pub global: Global,
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// What holds for every command.
#[derive(Debug, Clone, Copy, Args)]
pub struct Global {
    /// When to use colour; `auto` also looks at NO_COLOR
    #[arg(long, value_enum, default_value_t = Color::Auto, global = true, value_name = "WHEN")]
    pub color: Color,
    /// Show plans whole and what is asked of primaries; twice for every command that is run
    #[arg(short, long, action = clap::ArgAction::Count, global = true)]
    pub verbose: u8,
}

/// When to use colour.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Color {
    /// On a terminal.
    Auto,
    /// Always.
    Always,
    /// Never.
    Never,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Show what would change at the site, and why
    #[command(
        after_help = "Examples:\n  antipode plan\n  antipode plan -f /etc/antipode/lisbon.yaml --detailed-exitcode"
    )]
    Plan(Plan),
    /// Show what would change, ask, and do it
    #[command(after_help = "Examples:\n  antipode apply\n  antipode apply --auto-approve --lock-timeout 10m")]
    Apply(Apply),
    /// Check a site file without connecting to anything
    #[command(after_help = "Examples:\n  antipode validate\n  antipode validate -f examples/minimal.yaml")]
    Validate(SiteFile),
    /// Print the JSON Schema of site files, for editors
    Schema,
    /// See the main job on a small catalog made for the occasion; nothing else needs to be installed
    Demo(Demo),
}

/// Which site file.
#[derive(Debug, Clone, Args)]
pub struct SiteFile {
    /// The site file [default: antipode.yaml here, else what ANTIPODE_FILE names]
    #[arg(short, long, value_name = "FILE")]
    pub file: Option<PathBuf>,
}

/// Arguments of `plan`.
#[derive(Debug, Clone, Args)]
pub struct Plan {
    /// Which site file.
    #[command(flatten)]
    pub site: SiteFile,
    /// Exit with 2 when there are changes
    #[arg(long)]
    pub detailed_exitcode: bool,
}

/// Arguments of `apply`.
#[derive(Debug, Clone, Args)]
pub struct Apply {
    /// Which site file.
    #[command(flatten)]
    pub site: SiteFile,
    /// Do not ask
    #[arg(long)]
    pub auto_approve: bool,
    /// How long to wait for a lock that another process holds
    #[arg(long, value_name = "DURATION", default_value = "30s", value_parser = parse_duration)]
    pub lock_timeout: Duration,
}

/// Arguments of `demo`.
#[derive(Debug, Clone, Args)]
pub struct Demo {
    /// Leave the catalogs and the site file in this directory, which must not exist yet
    #[arg(long, value_name = "DIR")]
    pub keep: Option<PathBuf>,
}

/// A length of time as people write it: `30s`, `10m`, `1h 30m`.
fn parse_duration(text: &str) -> Result<Duration, String> {
    let length: jiff::SignedDuration = text.parse().map_err(|_| "expected a form such as 30s or 10m".to_owned())?;
    Duration::try_from(length).map_err(|_| "it is negative".to_owned())
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn lengths_of_time_are_read_as_people_write_them() {
        assert_eq!(parse_duration("30s"), Ok(Duration::from_secs(30)));
        assert_eq!(parse_duration("1h 30m"), Ok(Duration::from_secs(5400)));
        for bad in ["", "30", "-5s", "soon"] {
            assert!(parse_duration(bad).is_err(), "{bad}");
        }
    }
}

//! The command line: types only.

mod barman;
mod declare;
mod documents;
mod plan;

use clap::builder::Styles;
use clap::builder::styling::AnsiColor;
use clap::{Args, Parser, Subcommand, ValueEnum};

pub use barman::{ListServers, NothingToSync, SyncBackup, SyncInfo, SyncWals};
pub use declare::{BarmanConf, Init, SiteFile, Validate};
pub use documents::{Completions, Demo, Man, Schema};
pub use plan::{Apply, Explain, Format, Plan, Scope, Show, Status, TextOrJson, View};

const STYLES: Styles = Styles::styled()
    .header(AnsiColor::Green.on_default().bold())
    .usage(AnsiColor::Green.on_default().bold())
    .literal(AnsiColor::Cyan.on_default().bold())
    .placeholder(AnsiColor::Cyan.on_default());

/// Keeps passive copies of Barman catalogs: declare a site, see the plan, apply it.
#[derive(Debug, Parser)]
#[command(name = "antipode", version, styles = STYLES, max_term_width = 100, infer_subcommands = false)]
#[command(
    after_help = "Exit codes: 0 done or nothing to do; 1 error; 2 `plan --detailed-exitcode` and there are changes,
or `status` and an objective is missed; 3 the catalog or a server is locked by another; 4 part of an apply
failed; 130 interrupted."
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
#[derive(Debug, Clone, Args)]
pub struct Global {
    /// When to use colour; `auto` also looks at NO_COLOR
    #[arg(long, value_enum, default_value_t = Color::Auto, global = true, value_name = "WHEN")]
    pub color: Color,
    /// Show plans whole, and log what is asked of primaries (level `info`); twice for every command that is run
    /// (`debug`). RUST_LOG says more exactly what is logged
    #[arg(short, long, action = clap::ArgAction::Count, global = true)]
    pub verbose: u8,
    /// Print only what went wrong and the summary, no progress; a plan with nothing to do is silent
    #[arg(short, long, global = true, conflicts_with = "verbose")]
    pub quiet: bool,
    /// The form of the log on stderr; a line of JSON has the time too
    #[arg(long, value_enum, default_value_t = TextOrJson::Text, global = true, value_name = "FORM")]
    pub log_format: TextOrJson,
    /// The barman.conf that Barman's own commands read [default: where Barman looks]
    #[arg(short = 'c', long = "config", global = true, value_name = "FILE")]
    pub barman_conf: Option<std::path::PathBuf>,
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
    Plan(Plan),
    /// Show what would change, ask, and do it; or do what a saved plan says
    Apply(Apply),
    /// Show a saved plan
    Show(Show),
    /// Say how each replica stands: what can be recovered, and whether its objective is kept
    Status(Status),
    /// Say why one action is planned: what both ends have, and which line of the site file asks for it
    Explain(Explain),
    /// Check a site file without connecting to anything
    Validate(Validate),
    /// Write a first site file, or one that does what a barman.conf tells Barman's own sync to do
    Init(Init),
    /// Print what the site's barman.conf must say of each replica
    BarmanConf(BarmanConf),
    /// Print a JSON Schema: of site files for editors, of plans and the other machine formats for programs
    Schema(Schema),
    /// Print the completions for a shell
    Completions(Completions),
    /// Write the manual pages into a directory
    Man(Man),
    /// See the main job on a small catalog made for the occasion; nothing else needs to be installed
    Demo(Demo),
    /// Barman's own: what this catalog has of a server, as JSON
    SyncInfo(SyncInfo),
    /// Barman's own: the servers of this host's barman.conf
    ListServers(ListServers),
    /// Barman's own: copy one backup now
    SyncBackup(SyncBackup),
    /// Barman's own: ship the WAL of a server now
    SyncWals(SyncWals),
    /// For a `primary_ssh_command` that keeps Barman's own sync at rest
    #[command(hide = true)]
    NothingToSync(NothingToSync),
    /// Barman's own: one pass over every replica, for a crontab
    Cron(SiteFile),
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }
}

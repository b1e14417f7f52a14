//! Barman's own commands, with Barman's arguments.

use std::path::PathBuf;

use clap::{Args, ValueHint};

use super::SiteFile;
use super::plan::parse_textfile;

/// Arguments of `sync-info`.
#[derive(Debug, Clone, Args)]
#[command(after_help = "Examples:\n  antipode sync-info main\n  antipode sync-info main -c /etc/barman.conf\n  \
                  antipode sync-info main 00000001000000000000000C 512\n  antipode sync-info --primary main -f lisbon.yaml")]
pub struct SyncInfo {
    /// Ask the primary of this replica of the site file, and print its answer as it came
    #[arg(long, conflicts_with = "last_wal")]
    pub primary: bool,
    /// The server
    #[arg(value_name = "SERVER")]
    pub server: String,
    /// List only WAL after this one
    #[arg(value_name = "LAST_WAL")]
    pub last_wal: Option<String>,
    /// The byte of xlog.db at which that one's line begins; only a way to read less
    #[arg(value_name = "LAST_POSITION", allow_negative_numbers = true)]
    pub last_position: Option<String>,
    /// Which site file; only `--primary` needs one.
    #[command(flatten)]
    pub site: SiteFile,
}

/// Arguments of `list-servers`.
#[derive(Debug, Clone, Args)]
pub struct ListServers {
    /// Only the names, one a line
    #[arg(long)]
    pub minimal: bool,
}

/// Arguments of `sync-backup`.
#[derive(Debug, Clone, Args)]
pub struct SyncBackup {
    /// Which site file.
    #[command(flatten)]
    pub site: SiteFile,
    /// The server, by its name at the site
    #[arg(value_name = "SERVER")]
    pub server: String,
    /// The backup's id
    #[arg(value_name = "BACKUP_ID")]
    pub backup: String,
}

/// Arguments of `sync-wals`.
#[derive(Debug, Clone, Args)]
pub struct SyncWals {
    /// Which site file.
    #[command(flatten)]
    pub site: SiteFile,
    /// The server, by its name at the site
    #[arg(value_name = "SERVER")]
    pub server: String,
}

/// Arguments of `cron`.
#[derive(Debug, Clone, Args)]
pub struct Cron {
    /// Which site file.
    #[command(flatten)]
    pub site: SiteFile,
    /// At the end look at the site once more, and write how it stands and what the pass came to into this file, `.prom` for
    /// Prometheus' node_exporter
    #[arg(long, value_name = "FILE", value_parser = parse_textfile, value_hint = ValueHint::FilePath)]
    pub metrics: Option<PathBuf>,
}

/// Arguments of `nothing-to-sync`: what Barman would run at a primary.
#[derive(Debug, Clone, Args)]
pub struct NothingToSync {
    /// The command, and options for ssh before it
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    pub words: Vec<String>,
}

impl NothingToSync {
    /// What Barman takes for the answer of a primary that has nothing. Its `check` runs `true` there, and wants silence.
    pub fn answer(&self) -> &'static str {
        let asks = self.words.iter().any(|word| word.split_whitespace().any(|word| word == "sync-info"));
        if asks { "{\"backups\": {}, \"wals\": [], \"config\": {}}\n" } else { "" }
    }
}

//! Barman's own commands, with Barman's arguments.

use clap::Args;

use super::SiteFile;

/// Arguments of `sync-info`.
#[derive(Debug, Clone, Args)]
#[command(after_help = "Examples:\n  antipode sync-info main\n  antipode sync-info main 00000001000000000000000C 512")]
pub struct SyncInfo {
    /// Ask the site's primary instead of reading the catalog of this host
    #[arg(long)]
    pub primary: bool,
    /// The server
    #[arg(value_name = "SERVER")]
    pub server: String,
    /// List only WAL after this one
    #[arg(value_name = "LAST_WAL")]
    pub last_wal: Option<String>,
    /// Where that one stands in xlog.db
    #[arg(value_name = "LAST_POSITION", requires = "last_wal")]
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

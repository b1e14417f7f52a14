//! Barman's own commands, with Barman's arguments.

use clap::Args;

use super::SiteFile;

/// Arguments of `sync-info`.
#[derive(Debug, Clone, Args)]
#[command(long_about = "Prints what this host's catalog has of a server, as the JSON that `barman sync-info` prints: its backups, its WAL \
files, its configuration. No Barman is needed. A site or a passive Barman can use this host as its primary when this \
program is what it runs there, with `barman: {command: antipode}` in its site file or under the name `barman`.\n\n\
The server is looked up in barman.conf (`-c FILE`, else ~/.barman.conf, /etc/barman.conf, /etc/barman/barman.conf). \
The keys are those of the Barman that is installed here, or else of the one that the catalog's layout is taken for. \
Passwords are masked. Nothing is changed; xlog.db is read under Barman's own lock of it.\n\n\
Exit codes as Barman's: 0, also for a server that is not active (a sentence instead of JSON); 1 for an unknown server, \
or a LAST_WAL before the first or behind the last file of the archive; 2 for a LAST_POSITION that is no positive number.")]
#[command(
    after_help = "Examples:\n  antipode sync-info main\n  antipode -c /etc/barman.conf sync-info main\n  \
                  antipode sync-info main 00000001000000000000000C 512\n  antipode sync-info --primary main -f lisbon.yaml"
)]
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
#[command(long_about = "Lists the servers of this host's barman.conf as Barman does: `name - description`, with (inactive), (Passive) or \
(WARNING: disabled) behind it. With --minimal only the names; that is what the mirrors of a site file ask a primary.")]
#[command(after_help = "Examples:\n  antipode list-servers\n  antipode -c /etc/barman.conf list-servers --minimal")]
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

//! How drills are made: what the site file says of them, and what of PostgreSQL's settings nobody can set for one.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

/// How drills of a replica are made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Drill {
    /// How often the controller makes one; `None`: never by itself.
    pub every: Option<Duration>,
    /// Up to which point, unless a person says otherwise.
    pub point: Point,
    /// Where the programs of PostgreSQL are; `None` is where packages put them.
    pub bin_dir: Option<PathBuf>,
    /// Where the server runs; `None` is in the catalog.
    pub directory: Option<PathBuf>,
    /// The role that looks at it: the first superuser of the cluster.
    pub user: String,
    /// Settings of its server.
    pub settings: BTreeMap<String, String>,
    /// What it is asked.
    pub checks: Vec<Check>,
    /// How long all of it may take.
    pub max_time: Duration,
    /// Where its reports are written.
    pub reports: Option<PathBuf>,
    /// The secret key of minisign by which they are signed.
    pub sign_with: Option<PathBuf>,
}

/// Up to which point a drill recovers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Point {
    /// The end of the WAL.
    Newest,
    /// One of all that the way to the newest leads through, by chance.
    Random,
}

/// A statement, and its answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Check {
    /// The statement.
    pub sql: String,
    /// What psql prints for it, without what is blank before and behind it: columns apart by `|`, a row a line.
    pub expect: String,
    /// The database that is asked; `None` is `postgres`.
    pub database: Option<String>,
}

/// What holds for the server of a drill whatever anybody sets, so that it talks to nobody and lies where it was put.
pub const ALWAYS: [(&str, &str); 26] = [
    ("listen_addresses", ""),
    // Its own data directory, which nobody else may enter.
    ("unix_socket_directories", "."),
    ("ssl", "off"),
    ("archive_mode", "off"),
    ("archive_command", ""),
    ("primary_conninfo", ""),
    ("primary_slot_name", ""),
    ("recovery_end_command", ""),
    ("archive_cleanup_command", ""),
    ("recovery_min_apply_delay", "0"),
    ("recovery_target_action", "promote"),
    // Subscriptions would fetch, and take away, what is meant for the real server.
    ("max_logical_replication_workers", "0"),
    ("max_wal_senders", "0"),
    // Nobody looks before it has recovered, so that it needs no setting of the old server's size.
    ("hot_standby", "off"),
    ("logging_collector", "off"),
    ("log_destination", "stderr"),
    ("log_line_prefix", ""),
    ("log_min_messages", "warning"),
    ("log_timezone", "UTC"),
    ("timezone", "UTC"),
    ("lc_messages", "C"),
    ("external_pid_file", ""),
    ("port", "5432"),
    ("log_error_verbosity", "default"),
    // In its own directory, as all that it writes.
    ("dynamic_shared_memory_type", "mmap"),
    ("temp_tablespaces", ""),
];

/// Where files are, and how far it recovers, which each drill says by itself.
const PLACES: [&str; 6] = ["config_file", "hba_file", "ident_file", "data_directory", "restore_command", "include"];

/// Whether a setting is nobody's to change.
pub fn is_always(name: &str) -> bool {
    ALWAYS.iter().any(|(always, _)| always.eq_ignore_ascii_case(name))
        || PLACES.iter().any(|place| place.eq_ignore_ascii_case(name))
        || name.to_ascii_lowercase().starts_with("recovery_target")
}

/// The same for whoever makes a pattern of it.
pub fn reserved() -> impl Iterator<Item = &'static str> {
    ALWAYS.iter().map(|(name, _)| *name).chain(PLACES)
}

//! Restoring a backup into a directory of this host: its files, put together where it is incremental, and proved; and what
//! PostgreSQL has to know to replay WAL from the replica. Nothing of the catalog is changed, and neither the primary nor a
//! Barman is needed.
//!
//! ```text
//! plan::recovery::way ─► files or combine ─► settings ─► a directory in which PostgreSQL starts
//!   which backup,          its files, proved    restore_command,
//!   which WAL              by the manifest      target, recovery.signal
//! ```

pub mod barman_line;
pub mod combine;
pub mod files;
pub mod finish;
pub mod mark;
pub mod programs;
pub mod settings;

use std::collections::BTreeMap;
use std::path::PathBuf;

/// Where a backup is restored to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Places {
    /// The data directory.
    pub data: PathBuf,
    /// The directory of each tablespace, by its object id.
    pub tablespaces: BTreeMap<u32, PathBuf>,
}

//! The keys of backup.info and the version of Barman that each came with.
//!
//! Found in the sources of Barman 2.10 to 3.19.1, `infofile.py`, class `BackupInfo`. A Barman that meets a key
//! which it does not know ends with exit code 1, whatever the command was.

use crate::barman::version::BarmanVersion;

/// The keys that every Barman since 2.10 knows.
const ALWAYS: [&str; 26] = [
    "backup_label",
    "begin_offset",
    "begin_time",
    "begin_wal",
    "begin_xlog",
    "config_file",
    "copy_stats",
    "deduplicated_size",
    "end_offset",
    "end_time",
    "end_wal",
    "end_xlog",
    "error",
    "hba_file",
    "ident_file",
    "included_files",
    "mode",
    "pgdata",
    "server_name",
    "size",
    "status",
    "systemid",
    "tablespaces",
    "timeline",
    "version",
    "xlog_segment_size",
];

/// The keys that came later, with the first version that knows them.
const LATER: [(&str, BarmanVersion); 9] = [
    ("compression", BarmanVersion::new(3, 0, 0)),
    ("backup_name", BarmanVersion::new(3, 3, 0)),
    ("snapshots_info", BarmanVersion::new(3, 4, 0)),
    ("children_backup_ids", BarmanVersion::new(3, 11, 0)),
    ("cluster_size", BarmanVersion::new(3, 11, 0)),
    ("data_checksums", BarmanVersion::new(3, 11, 0)),
    ("parent_backup_id", BarmanVersion::new(3, 11, 0)),
    ("summarize_wal", BarmanVersion::new(3, 11, 0)),
    ("encryption", BarmanVersion::new(3, 14, 0)),
];

/// The keys that Barman leaves out while they are null (`_hide_if_null`).
const HIDDEN_WHEN_NULL: [&str; 2] = ["backup_name", "snapshots_info"];

/// Every key that this version of Barman reads, in no particular order.
pub fn known_keys(version: BarmanVersion) -> impl Iterator<Item = &'static str> {
    let later = LATER.into_iter().filter(move |(_, since)| *since <= version).map(|(key, _)| key);
    ALWAYS.into_iter().chain(later)
}

/// Whether Barman leaves this key out while it is null.
pub fn is_hidden_when_null(key: &str) -> bool {
    HIDDEN_WHEN_NULL.contains(&key)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_version_knows_as_many_keys_as_its_source_has_fields() {
        for (version, count) in [
            ("2.19", 26),
            ("3.0", 27),
            ("3.3.0", 28),
            ("3.4.1", 29),
            ("3.10.1", 29),
            ("3.11.0", 34),
            ("3.13.3", 34),
            ("3.14.0", 35),
            ("3.19.1", 35),
        ] {
            assert_eq!(known_keys(version.parse().unwrap()).count(), count, "{version}");
        }
    }
}

//! The keys of a server's configuration in sync-info, in Barman's order, and the versions that print each.
//!
//! Found by running 27 versions of Barman from 2.19 to 3.19.1 on made-up files.

use super::kind::ValueKind::{
    self, AbsolutePath, Age, Below, Bool, Computed, InHome, Int, Level, List, Name, Options, SameAs, Size, Slot, Text,
    TextOr, WalCompression, Word,
};
use crate::barman::compression::OF_BACKUPS;
use crate::barman::version::BarmanVersion;

/// Where a key's value may be written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sections {
    /// In the section of the server.
    Server,
    /// There, and in `[barman]` for all.
    Both,
    /// In `[barman]`.
    Global,
}

/// One key.
#[derive(Debug, Clone, Copy)]
pub struct Key {
    /// Its name in barman.conf and in sync-info.
    pub name: &'static str,
    /// What its value means, and what holds without one.
    pub kind: ValueKind,
    /// Where it may be written.
    pub sections: Sections,
    since: BarmanVersion,
    until: Option<BarmanVersion>,
}

impl Key {
    const fn since(self, major: u16, minor: u16, patch: u16) -> Self {
        Self { since: BarmanVersion::new(major, minor, patch), ..self }
    }

    const fn until(self, major: u16, minor: u16, patch: u16) -> Self {
        Self { until: Some(BarmanVersion::new(major, minor, patch)), ..self }
    }
}

const fn key(name: &'static str, kind: ValueKind, sections: Sections) -> Key {
    Key { name, kind, sections, since: BarmanVersion::new(0, 0, 0), until: None }
}

const fn own(name: &'static str, kind: ValueKind) -> Key {
    key(name, kind, Sections::Server)
}

const fn global(name: &'static str, kind: ValueKind) -> Key {
    key(name, kind, Sections::Both)
}

const fn only_global(name: &'static str, kind: ValueKind) -> Key {
    key(name, kind, Sections::Global)
}

/// The keys that this version prints, in its order.
pub fn printed(version: BarmanVersion) -> impl Iterator<Item = &'static Key> {
    KEYS.iter().filter(move |key| key.since <= version && key.until.is_none_or(|end| version < end))
}

/// Whether a server takes the value of a key from `[barman]` when it has none (Barman `config.py`, `BARMAN_KEYS`).
pub fn is_inherited(name: &str) -> bool {
    KEYS.iter().any(|key| key.name == name && key.sections == Sections::Both)
}

const BACKUP_METHODS: &[&str] = &["rsync", "postgres", "local-rsync", "snapshot", "local-to-cloud"];

const KEYS: &[Key] = &[
    own("msg_list", Computed).until(3, 16, 0),
    own("name", Computed).until(3, 16, 0),
    own("barman_home", Computed).until(3, 16, 0),
    own("barman_lock_directory", Computed).until(3, 16, 0),
    only_global("lock_directory_cleanup", Bool(true)).since(3, 10, 0).until(3, 16, 0),
    only_global("config_changes_queue", InHome("cfg_changes.queue")).since(3, 10, 0).until(3, 16, 0),
    own("active", Bool(true)),
    global("archiver", Bool(false)),
    global("archiver_batch_size", Int(Some(0))),
    global("autogenerate_manifest", Bool(false)).since(3, 7, 0),
    global("aws_check_object_lock", Bool(false)).since(3, 19, 0),
    global("aws_encryption", Word(None, &["AES256", "aws:kms"])).since(3, 18, 0),
    global("aws_read_timeout", Int(None)).since(3, 18, 0),
    global("aws_await_snapshots_timeout", Int(Some(3600))).since(3, 11, 0),
    global("aws_snapshot_lock_mode", Text).since(3, 12, 0),
    global("aws_snapshot_lock_duration", Int(None)).since(3, 12, 0),
    global("aws_snapshot_lock_cool_off_period", Int(None)).since(3, 12, 0),
    global("aws_snapshot_lock_expiration_date", Text).since(3, 12, 0),
    global("aws_profile", Text).since(3, 7, 0),
    global("aws_region", Text).since(3, 7, 0),
    global("aws_sse_kms_key_id", Text).since(3, 18, 0),
    global("azure_credential", Text).since(3, 6, 0),
    global("azure_resource_group", Text).since(3, 6, 0),
    global("azure_subscription_id", Text).since(3, 6, 0),
    global("backup_compression", Word(None, &OF_BACKUPS)).since(3, 0, 0),
    global("backup_compression_format", Word(None, &["plain", "tar"])).since(3, 0, 0),
    global("backup_compression_level", Int(None)).since(3, 0, 0),
    global("backup_compression_location", Word(None, &["client", "server"])).since(3, 0, 0),
    global("backup_compression_workers", Int(None)).since(3, 1, 0),
    own("backup_directory", Below("")),
    global("backup_method", Word(Some("rsync"), BACKUP_METHODS)),
    global("backup_options", Options(&["concurrent_backup", "exclusive_backup", "external_configuration"])),
    global("bandwidth_limit", Text),
    global("basebackup_retry_sleep", Int(Some(30))),
    global("basebackup_retry_times", Int(Some(0))),
    own("basebackups_directory", Below("base")),
    global("check_timeout", Int(Some(30))),
    global("cloud_delete_batch_size", Int(None)).since(3, 18, 0),
    global("cloud_staging_directory", AbsolutePath(Some("/tmp/barman/cloud-staging"))).since(3, 18, 0),
    global("cloud_staging_max_size", Size(Some(32_212_254_720))).since(3, 18, 0),
    own("cloud_upload_max_archive_size", Size(Some(107_374_182_400))).since(3, 18, 0),
    own("cloud_upload_min_chunk_size", Size(None)).since(3, 18, 0),
    global("cloud_wal_archive_parallel", Int(Some(0))).since(3, 19, 0),
    global("cloud_wal_restore_parallel", Int(Some(0))).since(3, 19, 0),
    own("cluster", Name).since(3, 10, 0),
    global("compression", WalCompression),
    global("compression_level", Level).since(3, 14, 0),
    own("conninfo", Text),
    global("custom_compression_filter", Text),
    global("custom_decompression_filter", Text),
    global("custom_compression_magic", Text),
    own("description", Text),
    own("disabled", Computed),
    global("encryption", Word(None, &["gpg"])).since(3, 14, 0),
    global("encryption_key_id", Text).since(3, 14, 0),
    global("encryption_passphrase_command", Text).since(3, 14, 0),
    own("errors_directory", Below("errors")),
    global("forward_config_path", Bool(false)),
    global("gcp_project", Text).since(3, 6, 0),
    own("gcp_zone", Text).since(3, 6, 0),
    global("immediate_checkpoint", Bool(false)),
    own("incoming_wals_directory", Below("incoming")),
    own("keepalive_interval", Int(Some(60))).since(3, 11, 0),
    global("last_backup_maximum_age", Age),
    global("last_backup_minimum_size", Size(None)),
    global("last_wal_maximum_age", Age),
    global("combine_mode", Word(Some("copy"), &["copy", "link", "clone", "copy-file-range"])).since(3, 16, 0),
    global("local_staging_path", AbsolutePath(None)).since(3, 11, 0),
    global("max_incoming_wals_queue", Int(None)),
    global("minimum_redundancy", TextOr("0")),
    global("network_compression", Bool(false)),
    global("parallel_jobs", Int(Some(1))),
    global("parallel_jobs_start_batch_period", Int(Some(1))).since(3, 5, 0),
    global("parallel_jobs_start_batch_size", Int(Some(10))).since(3, 5, 0),
    global("path_prefix", Text),
    global("post_archive_retry_script", Text),
    global("post_archive_script", Text),
    global("post_backup_retry_script", Text),
    global("post_backup_script", Text),
    global("post_delete_script", Text),
    global("post_delete_retry_script", Text),
    global("post_recovery_retry_script", Text),
    global("post_recovery_script", Text),
    global("post_wal_delete_script", Text),
    global("post_wal_delete_retry_script", Text),
    global("pre_archive_retry_script", Text),
    global("pre_archive_script", Text),
    global("pre_backup_retry_script", Text),
    global("pre_backup_script", Text),
    global("pre_delete_script", Text),
    global("pre_delete_retry_script", Text),
    global("pre_recovery_retry_script", Text),
    global("pre_recovery_script", Text),
    global("pre_wal_delete_script", Text),
    global("pre_wal_delete_retry_script", Text),
    own("primary_checkpoint_timeout", Int(Some(0))).since(3, 8, 0),
    own("primary_conninfo", Text).since(3, 1, 0),
    global("primary_ssh_command", Text),
    global("recovery_options", Options(&["get-wal", "delta-restore"])),
    global("recovery_staging_path", AbsolutePath(None)).since(3, 0, 0),
    global("create_slot", Word(Some("manual"), &["auto", "manual"])),
    global("retention_policy", Text),
    global("retention_policy_mode", TextOr("auto")),
    global("reuse_backup", Word(None, &["copy", "link", "off"])),
    global("slot_name", Slot),
    own("snapshot_disks", List).since(3, 4, 0),
    global("snapshot_gcp_project", Text).since(3, 4, 0),
    own("snapshot_instance", Text).since(3, 4, 0),
    global("snapshot_provider", Text).since(3, 4, 0),
    own("snapshot_zone", Text).since(3, 4, 0),
    own("ssh_command", Text),
    global("staging_path", AbsolutePath(None)).since(3, 15, 0),
    global("staging_location", Word(Some("local"), &["local", "remote"])).since(3, 15, 0),
    global("streaming_archiver", Bool(false)),
    global("streaming_archiver_batch_size", Int(Some(0))),
    global("streaming_archiver_name", TextOr("barman_receive_wal")),
    global("streaming_backup_name", TextOr("barman_streaming_backup")),
    own("streaming_conninfo", SameAs("conninfo")),
    own("streaming_wals_directory", Below("streaming")),
    global("tablespace_bandwidth_limit", Text),
    own("wal_conninfo", Text).since(3, 10, 0),
    global("wal_retention_policy", TextOr("main")),
    own("wal_streaming_conninfo", Text).since(3, 10, 0),
    own("wals_directory", Below("wals")),
    global("warehousepg_dbid", Int(None)).since(3, 18, 0),
    global("worm_mode", Bool(false)).since(3, 13, 2),
    global("xlogdb_directory", SameAs("wals_directory")).since(3, 13, 0),
    own("name", Computed).since(3, 17, 0),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_version_prints_as_many_keys_as_it_did_when_it_was_run() {
        for (version, count) in [
            ("2.19", 71),
            ("3.0.1", 76),
            ("3.1.0", 78),
            ("3.4.1", 83),
            ("3.5.0", 85),
            ("3.6.0", 90),
            ("3.7.0", 93),
            ("3.9.0", 94),
            ("3.10.1", 99),
            ("3.11.1", 102),
            ("3.12.1", 106),
            ("3.13.0", 107),
            ("3.13.3", 108),
            ("3.14.1", 112),
            ("3.15.0", 114),
            ("3.16.2", 109),
            ("3.17.0", 110),
            ("3.18.0", 119),
            ("3.19.1", 122),
        ] {
            assert_eq!(printed(version.parse().unwrap()).count(), count, "{version}");
        }
    }
}

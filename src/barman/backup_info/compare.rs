//! Whether two backup.info mean the same: what differs is drift.

use std::collections::BTreeSet;

use super::BackupInfo;
use crate::barman::barman_time::BarmanTime;
use crate::barman::python_literal::Literal;

/// What a primary and a site must say differently.
const SITE_SPECIFIC: [&str; 1] = ["mode"];

/// What a restore rests on, and what Barman never changes once a backup is DONE.
const RESTORE_CRITICAL: [&str; 16] = [
    "backup_label",
    "begin_offset",
    "begin_wal",
    "begin_xlog",
    "compression",
    "encryption",
    "end_offset",
    "end_wal",
    "end_xlog",
    "parent_backup_id",
    "pgdata",
    "systemid",
    "tablespaces",
    "timeline",
    "version",
    "xlog_segment_size",
];

impl BackupInfo {
    /// The keys whose meaning differs, sorted. Null and missing are the same, and so are two spellings of one
    /// date or of one Python value.
    pub fn differing_keys(&self, other: &Self) -> Vec<String> {
        let keys: BTreeSet<&str> = self.fields().chain(other.fields()).map(|(key, _)| key).collect();
        let differs = |key: &&str| !SITE_SPECIFIC.contains(key) && !same_value(key, self.get(key), other.get(key));
        keys.into_iter().filter(differs).map(str::to_owned).collect()
    }

    /// The keys that a restore rests on and that say something here, and something else there, sorted. What is null here
    /// may be told by the other: an older Barman wrote fewer keys.
    pub fn restore_conflicts(&self, other: &Self) -> Vec<&'static str> {
        let value = |info: &Self, key: &str| match key {
            "xlog_segment_size" => info.xlog_segment_size().ok().map(|size| size.bytes().to_string()),
            _ => info.get(key).map(str::to_owned),
        };
        let conflicts = |key: &&str| {
            let (ours, theirs) = (value(self, key), value(other, key));
            ours.is_some() && !same_value(key, ours.as_deref(), theirs.as_deref())
        };
        RESTORE_CRITICAL.into_iter().filter(conflicts).collect()
    }

    /// The same file with these keys as the other has them.
    #[must_use]
    pub fn with_values_of<'a>(&self, other: &Self, keys: impl IntoIterator<Item = &'a str>) -> Self {
        let mut info = self.clone();
        for (key, value) in keys.into_iter().filter_map(|key| Some((key, other.get(key)?))) {
            info.set(key, value);
        }
        info
    }
}

fn same_value(key: &str, ours: Option<&str>, theirs: Option<&str>) -> bool {
    let (Some(ours), Some(theirs)) = (ours, theirs) else { return ours == theirs };
    if ours == theirs {
        return true;
    }
    match key {
        "begin_time" | "end_time" => match (ours.parse::<BarmanTime>(), theirs.parse::<BarmanTime>()) {
            (Ok(ours), Ok(theirs)) => ours.agrees_with(theirs),
            _ => false,
        },
        // Their order means nothing: it is that in which they came.
        "children_backup_ids" => ours.split(',').collect::<BTreeSet<_>>() == theirs.split(',').collect(),
        "tablespaces" | "included_files" | "backup_label" | "copy_stats" | "snapshots_info" => {
            match (ours.parse::<Literal>(), theirs.parse::<Literal>()) {
                (Ok(ours), Ok(theirs)) => ours == theirs,
                _ => false,
            }
        }
        _ => false,
    }
}

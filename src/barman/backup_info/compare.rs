//! Whether two backup.info mean the same: what differs is drift.

use std::collections::BTreeSet;

use super::BackupInfo;
use crate::barman::barman_time::BarmanTime;
use crate::barman::python_literal::Literal;

/// What a primary and a site must say differently.
const SITE_SPECIFIC: [&str; 1] = ["mode"];

impl BackupInfo {
    /// The keys whose meaning differs, sorted. Null and missing are the same, and so are two spellings of one
    /// date or of one Python value.
    pub fn differing_keys(&self, other: &Self) -> Vec<String> {
        let keys: BTreeSet<&str> = self.fields().chain(other.fields()).map(|(key, _)| key).collect();
        let differs = |key: &&str| !SITE_SPECIFIC.contains(key) && !same_value(key, self.get(key), other.get(key));
        keys.into_iter().filter(differs).map(str::to_owned).collect()
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

//! A backup of sync-info as the backup.info that its primary has (Barman `infofile.py`, `to_json`).

use super::damage::decode_label;
use super::{BackupInfo, NULL, is_key};
use crate::barman::barman_time::BarmanTime;
use crate::barman::python_literal::Literal;

impl BackupInfo {
    /// Takes one key of the JSON object. `backup_id` is no key of backup.info, and dates are taken from their
    /// `_iso` forms where there are any: `ctime()` has lost zone and fraction.
    pub(in crate::barman) fn set_from_json(&mut self, key: &str, value: &Literal) {
        match key {
            "begin_time_iso" | "end_time_iso" if !value.is_empty() => {
                self.set_time(key.trim_end_matches("_iso"), value);
            }
            "begin_time" | "end_time" if !self.fields.contains_key(key) => self.set_time(key, value),
            "backup_id" | "begin_time_iso" | "end_time_iso" | "begin_time" | "end_time" => {}
            "backup_label" => self.set(key, &label(value)),
            "children_backup_ids" => self.set(key, &joined(value)),
            "tablespaces" => self.set(key, &repr_or_null(&tuples(value))),
            "included_files" | "copy_stats" | "snapshots_info" => self.set(key, &repr_or_null(value)),
            _ if is_key(key) => self.set(key, &plain(value)),
            _ => {}
        }
    }

    fn set_time(&mut self, key: &str, value: &Literal) {
        let text = plain(value);
        match text.parse::<BarmanTime>() {
            Ok(time) => self.set(key, &time.to_string()),
            Err(_) => self.set(key, &text),
        }
    }
}

/// Python's `str()`: strings without quotes, everything else as `repr` has it.
fn plain(value: &Literal) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

/// Barman's `null_repr`, except that a string is taken for a text which was encoded already.
fn repr_or_null(value: &Literal) -> String {
    if value.is_empty() { NULL.to_owned() } else { plain(value) }
}

/// sync-info carries the label as `repr` wrote it, so it is taken over as it is; one that is not encoded at all is.
fn label(value: &Literal) -> String {
    match value {
        Literal::Str(text) if decode_label(text).is_none() => value.to_string(),
        _ => repr_or_null(value),
    }
}

fn joined(value: &Literal) -> String {
    match value.items() {
        Some([]) => NULL.to_owned(),
        Some(ids) => ids.iter().map(plain).collect::<Vec<_>>().join(","),
        None => repr_or_null(value),
    }
}

/// JSON has no tuples: Barman's list of tuples arrives as a list of lists.
fn tuples(value: &Literal) -> Literal {
    match value {
        Literal::List(items) => Literal::List(items.iter().map(tuple).collect()),
        other => other.clone(),
    }
}

fn tuple(item: &Literal) -> Literal {
    match item {
        Literal::List(items) => Literal::Tuple(items.clone()),
        other => other.clone(),
    }
}

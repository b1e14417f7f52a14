//! A backup of sync-info as the backup.info that its primary has, and back (Barman `infofile.py`, `to_json`).

use super::damage::decode_label;
use super::keys::{is_hidden_when_null, known_keys};
use super::{BackupInfo, FieldError, NULL, is_key};
use crate::barman::barman_time::BarmanTime;
use crate::barman::ids::BackupId;
use crate::barman::python_literal::Literal;
use crate::barman::version::BarmanVersion;

/// The first version that gives dates with their zones too.
const ISO_DATES: BarmanVersion = BarmanVersion::new(3, 12, 1);

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

    /// The backup as this version of Barman has it in sync-info: its keys sorted, then what is no key of backup.info.
    pub(in crate::barman) fn to_json(
        &self,
        id: BackupId,
        version: BarmanVersion,
    ) -> Result<Vec<(&'static str, Literal)>, FieldError> {
        let mut keys: Vec<&'static str> = known_keys(version).collect();
        keys.sort_unstable();
        let mut fields = Vec::new();
        for key in keys {
            let value = self.json_value(key)?;
            if value != Literal::None || !is_hidden_when_null(key) {
                fields.push((key, value));
            }
        }
        fields.push(("backup_id", Literal::Str(id.to_string())));
        if version >= ISO_DATES {
            for (key, iso) in [("begin_time", "begin_time_iso"), ("end_time", "end_time_iso")] {
                fields.extend(self.time(key)?.map(|time| (iso, Literal::Str(time.isoformat()))));
            }
        }
        Ok(fields)
    }

    fn json_value(&self, key: &'static str) -> Result<Literal, FieldError> {
        let value = match key {
            "begin_offset" | "end_offset" | "size" | "deduplicated_size" | "cluster_size" | "timeline" | "version" => {
                self.typed(key, "a number")?.map(Literal::Int)
            }
            // Unlike the others it has a default, which a file without the key leaves in force.
            "xlog_segment_size" if !self.fields.contains_key(key) => Some(Literal::Int(16 << 20)),
            "xlog_segment_size" => self.typed(key, "a number")?.map(Literal::Int),
            "begin_time" | "end_time" => self.time(key)?.map(|time| Literal::Str(time.ctime())),
            "tablespaces" | "included_files" | "copy_stats" | "snapshots_info" => self.literal(key)?,
            _ => self.get(key).map(|text| Literal::Str(text.to_owned())),
        };
        Ok(value.unwrap_or(Literal::None))
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

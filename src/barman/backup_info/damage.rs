//! Damage that Barman's own sync leaves in backup.info: values that were encoded twice.
//!
//! sync-info carries `backup_label` and `children_backup_ids` as the texts of the primary's file. Barman's
//! passive takes them for the values and encodes them again (Barman `infofile.py`, `from_json`, up to 3.19.1 at
//! least); a cascade of passives encodes once per site.

use super::{BackupInfo, Literal};
use crate::barman::ids::BackupId;

/// A value of backup.info that was encoded more than once, and what it should be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Damage {
    /// The key in backup.info.
    pub key: &'static str,
    /// The raw text to write instead.
    pub repaired: String,
}

impl BackupInfo {
    /// The damage in this file, in the order of its keys.
    pub fn damages(&self) -> Vec<Damage> {
        let repairs = [
            ("backup_label", repair_label as fn(&str) -> Option<String>),
            ("children_backup_ids", |text| Some(decode_children(text))),
        ];
        let damage = |(key, repair): (&'static str, fn(&str) -> Option<String>)| {
            let value = self.get(key)?;
            let repaired = repair(value)?;
            (repaired != value).then_some(Damage { key, repaired })
        };
        repairs.into_iter().filter_map(damage).collect()
    }

    /// The same file without its damage.
    #[must_use]
    pub fn repaired(&self) -> Self {
        let mut info = self.clone();
        for damage in self.damages() {
            info.set(damage.key, &damage.repaired);
        }
        info
    }
}

/// The raw text that a label should have; `None` when it was not encoded twice.
fn repair_label(raw: &str) -> Option<String> {
    let once = unquote(raw)?;
    // A label that was encoded once is left as it is, even if another Python would quote it differently.
    unquote(&once)?;
    decode_label(raw).map(|label| Literal::Str(label).to_string())
}

/// The label itself, however often it was encoded. `None` when the text is no Python string.
///
/// PostgreSQL's labels start with `START WAL LOCATION`, so that one which still looks quoted is.
pub(super) fn decode_label(raw: &str) -> Option<String> {
    let mut label = unquote(raw)?;
    // Each round is shorter than the one before, so this ends.
    while let Some(inner) = unquote(&label) {
        label = inner;
    }
    Some(label)
}

fn unquote(text: &str) -> Option<String> {
    match text.parse() {
        Ok(Literal::Str(inner)) => Some(inner),
        _ => None,
    }
}

/// The ids joined by commas, however often they were encoded: every further encoding joins single characters,
/// `2,0,2,6,…`. A text that never comes to backup ids is given back as it is.
pub(super) fn decode_children(raw: &str) -> String {
    let mut text = raw.to_owned();
    while !is_id_list(&text) {
        match every_other_character(&text) {
            Some(shorter) => text = shorter,
            None => return raw.to_owned(),
        }
    }
    text
}

fn is_id_list(text: &str) -> bool {
    text.split(',').all(|id| id.parse::<BackupId>().is_ok())
}

/// The characters that commas separate, one by one.
fn every_other_character(text: &str) -> Option<String> {
    let bytes = text.as_bytes();
    let joined = bytes.len() > 1 && text.is_ascii() && bytes.iter().skip(1).step_by(2).all(|b| *b == b',');
    joined.then(|| text.chars().step_by(2).collect())
}

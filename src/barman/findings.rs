//! Our note of what applies found of a server's backups at the primary, in `B/.antipode/findings.json`.
//!
//! A plan compares names, sizes and manifests; what a copy meets is not among them. The note lets the next plan and
//! `status` repeat it. It is a cache: one that is absent, broken or of another version leaves it unsaid until the next
//! copy.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::ids::BackupId;

/// The version of the form.
const VERSION: u32 = 2;

/// What was found of each backup.
pub type Findings = BTreeMap<BackupId, Vec<Finding>>;

/// What was found of a backup at the primary when it was copied last.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Finding {
    /// It was not published: what is wrong with it.
    Refused(String),
    /// It was published without symbolic links that lead out of it.
    LinksLeftOut {
        /// How many.
        count: u64,
        /// The first, below the directory of the backup.
        first: String,
    },
    /// It has files that its manifest does not list.
    Unlisted {
        /// How many.
        count: u64,
        /// The first, below the directory of the backup.
        first: String,
    },
}

impl Finding {
    /// Notes it in the place of another of its sort. What was refused has nothing else that is worth to be told.
    pub fn note(self, of_backup: &mut Vec<Self>) {
        let sort = std::mem::discriminant(&self);
        let is_refused = matches!(self, Self::Refused(_));
        of_backup.retain(|known| !is_refused && std::mem::discriminant(known) != sort);
        of_backup.push(self);
    }
}

/// The form of the file.
#[derive(Serialize, Deserialize)]
struct Form {
    format_version: u32,
    backups: Findings,
}

/// Reads the file; `None` for anything else than what [`write`] makes.
pub fn parse(bytes: &[u8]) -> Option<Findings> {
    let form: Form = serde_json::from_slice(bytes).ok()?;
    (form.format_version == VERSION).then_some(form.backups)
}

/// The file.
pub fn write(findings: &Findings) -> Vec<u8> {
    let form = Form { format_version: VERSION, backups: findings.clone() };
    // Nothing in the form can fail to be written; without it the note would only be unknown.
    let mut bytes = serde_json::to_vec(&form).unwrap_or_default();
    bytes.push(b'\n');
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_sort_of_finding_is_noted_once_and_a_refusal_alone() {
        let links = |count| Finding::LinksLeftOut { count, first: "a".to_owned() };
        let mut noted = Vec::new();
        for finding in [links(1), Finding::Unlisted { count: 1, first: "b".to_owned() }, links(2)] {
            finding.note(&mut noted);
        }
        assert_eq!(noted, [Finding::Unlisted { count: 1, first: "b".to_owned() }, links(2)]);
        let refused = Finding::Refused("it is none".to_owned());
        refused.clone().note(&mut noted);
        assert_eq!(noted, [refused]);
    }

    #[test]
    fn findings_are_read_as_they_are_written_and_nothing_else_is() {
        let findings = Findings::from([
            ("20261121T030000".parse().unwrap(), vec![Finding::Refused("global/pg_control is missing".to_owned())]),
            (
                "20261122T030000".parse().unwrap(),
                vec![
                    Finding::LinksLeftOut { count: 2, first: "data/a.conf".to_owned() },
                    Finding::Unlisted { count: 1, first: "data/x".to_owned() },
                ],
            ),
        ]);
        let text = String::from_utf8(write(&findings)).unwrap();
        assert_eq!(parse(text.as_bytes()), Some(findings));
        for other in ["", "{}", &text[..text.len() / 2], &text.replace("\"format_version\":2", "\"format_version\":1")]
        {
            assert_eq!(parse(other.as_bytes()), None, "{other}");
        }
    }
}

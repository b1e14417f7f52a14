//! From the primary's backup.info to the one that the site stores.

use std::collections::BTreeSet;

use super::keys::{is_hidden_when_null, known_keys};
use super::{BackupInfo, NULL, Status};
use crate::barman::ids::{BackupId, ServerName};
use crate::barman::version::BarmanVersion;

impl BackupInfo {
    /// The backup.info that a site stores for a Barman of this version once the backup is complete there.
    ///
    /// It has exactly the keys which that version knows: an unknown one makes all of its commands fail. Children
    /// that are not present at the site are left out, as Barman follows them when it deletes or lists.
    #[must_use]
    pub fn for_site(&self, server: &ServerName, version: BarmanVersion, present: &BTreeSet<BackupId>) -> Self {
        let source = self.repaired();
        let mut info = Self::default();
        for key in known_keys(version) {
            let value = match key {
                "server_name" => server.as_str(),
                "mode" => "passive",
                "status" => "DONE",
                // A backup that is DONE here has not failed, whatever the primary once noted.
                "error" => NULL,
                "children_backup_ids" => &present_children(&source, present),
                // Barman takes its default when the key is missing, and fails on null.
                "xlog_segment_size" => source.get(key).unwrap_or("16777216"),
                _ => source.get(key).unwrap_or(NULL),
            };
            if value != NULL || !is_hidden_when_null(key) {
                info.set(key, value);
            }
        }
        info
    }

    /// Whether it is of a version of Barman that knows of children.
    pub fn knows_children(&self) -> bool {
        self.fields.contains_key("children_backup_ids")
    }

    /// The same file with these children, in a version of Barman that knows of any.
    #[must_use]
    pub fn with_children(&self, children: &BTreeSet<BackupId>) -> Self {
        let mut info = self.clone();
        if info.knows_children() {
            let ids: Vec<&str> = children.iter().map(BackupId::as_str).collect();
            info.set("children_backup_ids", &joined(&ids));
        }
        info
    }

    /// The same file with another status, for a copy that is marked before it is removed.
    #[must_use]
    pub fn with_status(&self, status: Status) -> Self {
        let mut info = self.clone();
        info.set("status", &status.to_string());
        info
    }
}

fn present_children(source: &BackupInfo, present: &BTreeSet<BackupId>) -> String {
    let children = source.children_backup_ids().unwrap_or_default();
    let kept: Vec<&str> = children.iter().filter(|id| present.contains(*id)).map(BackupId::as_str).collect();
    joined(&kept)
}

fn joined(ids: &[&str]) -> String {
    if ids.is_empty() { NULL.to_owned() } else { ids.join(",") }
}

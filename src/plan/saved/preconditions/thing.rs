//! What is observed of a thing that no action is about.

use std::collections::BTreeSet;

use crate::barman::ids::BackupId;
use crate::barman::wal::{Timeline, WalName};
use crate::observe::inventory::BaseState;

use super::{Grounds, Precondition, Topic, Value};

impl Grounds<'_> {
    /// What is here and at the primary of the thing that an address names; `None` when neither end has it.
    pub fn of_thing(&self, sort: &str, name: Option<&str>) -> Option<Vec<Precondition>> {
        match (sort, name) {
            ("server", None) => Some(vec![self.server()]),
            ("xlog.db", None) => Some(vec![self.xlogdb()]),
            ("sync-wals.info", None) => Some(vec![self.sync_wals()]),
            ("wal", Some(name)) => self.wal(name.parse().ok()?),
            ("history", Some(name)) => self.known_history(name),
            ("backup" | "info" | "keep" | "tablespaces" | "staging", Some(name)) => {
                self.backup(sort, name.parse().ok()?)
            }
            _ => None,
        }
    }

    fn backup(&self, sort: &str, id: BackupId) -> Option<Vec<Precondition>> {
        if !self.ids().contains(&id) {
            return None;
        }
        let mut preconditions = vec![self.backup_here(id), self.backup_there(id)];
        match sort {
            "keep" => preconditions.extend(self.keeps(id)),
            "tablespaces" => preconditions.push(self.unlinked(id)),
            _ => {
                let local = self.here.backups.get(&id).map(|local| &local.base);
                preconditions.extend(local.filter(|base| **base != BaseState::Absent).map(|_| self.files_here(id)));
            }
        }
        Some(preconditions)
    }

    fn wal(&self, name: WalName) -> Option<Vec<Precondition>> {
        let here = self.here.wals.get(name);
        let there = self.there.wals.get(name).filter(|_| !self.there.gone.contains(&name)).map(|entry| entry.size);
        let size = |size: Option<u64>| size.map_or(Value::Absent, Value::Bytes);
        let preconditions =
            || vec![Precondition::here(Topic::WalFile, size(here)), Precondition::there(Topic::WalFile, size(there))];
        (here.is_some() || there.is_some()).then(preconditions)
    }

    fn known_history(&self, name: &str) -> Option<Vec<Precondition>> {
        // An address has one form, so that a shorter number is not taken for something else than the action it means.
        let timeline = Timeline(u32::from_str_radix(name, 16).ok()?);
        let ends = [&self.here.histories, &self.there.histories];
        let is_known = ends.iter().any(|histories| histories.contains_key(&timeline));
        (is_known && format!("{:08X}", timeline.0) == name).then(|| self.history(timeline))
    }

    fn ids(&self) -> BTreeSet<BackupId> {
        self.here.backups.keys().chain(self.there.backups.keys()).chain(self.here.staged.keys()).copied().collect()
    }

    /// The addresses of all backups that either end has.
    pub fn backups(&self) -> Vec<String> {
        self.ids().iter().map(|id| format!("{}/backup/{id}", self.replica.name)).collect()
    }
}

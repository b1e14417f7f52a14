//! What was learnt of a server at its primary, from one run to the next: the answer of `sync-info`, and what was seen of
//! the files that it tells of.
//!
//! It is in our own directory of the server at the site, and may be removed at any moment: then everything is asked again.
//! It is believed as far as a new look at the primary shows what the one before did, and no longer than
//! `refresh_after`: what no file of the catalog shows, the configuration and the version of Barman, is as old as the
//! answer.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::barman::backup_info::BackupInfo;
use crate::barman::ids::{BackupId, ServerName};
use crate::barman::keep::Keep;
use crate::barman::layout::{HashDirectory, ServerDirs};
use crate::barman::version::BarmanVersion;
use crate::barman::wal_list::WalList;
use crate::observe::inventory::{PrimaryBackup, PrimaryInventory};
use crate::site::model::{Access, Primary};
use crate::store::{Place, Store};

use super::primary_backup;
use super::sights::Sights;

/// The version of the form.
const VERSION: u32 = 1;
/// More than is remembered of a hundred thousand backups and of as many directories of WAL.
const MAX_SIZE: u64 = 1 << 30;

/// What is remembered of a server.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Memory {
    format_version: u32,
    /// What was asked; another question has another answer.
    question: String,
    asked_at: Timestamp,
    /// Whether the answer is of what was seen, and of nothing later.
    is_settled: bool,
    barman: Option<BarmanVersion>,
    /// Where the primary has the server's files.
    pub directories: ServerDirs,
    backups: BTreeMap<BackupId, Backup>,
    /// What was seen last.
    pub sights: Sights,
    /// What was learnt of the archive.
    pub archive: Archive,
}

/// What is remembered of a backup.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Backup {
    info: BackupInfo,
    keep: Option<Keep>,
    going_away: bool,
}

/// What is remembered of an archive.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Archive {
    /// Whether xlog.db, as it is kept here, is what was seen.
    pub is_list_kept: bool,
    /// The directories whose files are those that the list has, with the sizes that it has; each with a digest of its
    /// lines.
    pub as_listed: BTreeMap<HashDirectory, u64>,
}

impl Memory {
    /// What earlier runs learnt from a primary; `None` where that cannot be read, or was asked of another one.
    pub fn read(store: &dyn Store, primary: &Primary, server: &ServerName) -> Option<Self> {
        let stored = store.read(Place::Memory, MAX_SIZE).ok().flatten()?;
        let memory: Self = serde_json::from_slice(&stored).ok()?;
        let is_ours = memory.format_version == VERSION && memory.question == question(primary, server);
        is_ours.then_some(memory)
    }

    /// Keeps it for the next run, where our own directory takes it.
    pub fn keep(&self, store: &dyn Store) {
        // Nothing in the form but a path that is no text can fail to be written; without it all would be asked again.
        let written = serde_json::to_vec(self).map_err(|error| error.to_string());
        let kept = written.and_then(|form| store.write(Place::Memory, &form).map_err(|error| error.to_string()));
        if let Err(error) = kept {
            tracing::debug!("what the primary has is not remembered: {error}");
        }
    }

    /// What is known now of a server that was asked just now.
    pub fn of(there: &PrimaryInventory, primary: &Primary, asked_at: Timestamp, is_settled: bool) -> Self {
        let backup = |backup: &PrimaryBackup| Backup {
            info: backup.info.clone(),
            keep: backup.keep,
            going_away: backup.going_away,
        };
        Self {
            format_version: VERSION,
            question: question(primary, &there.directories.server),
            asked_at,
            is_settled,
            barman: there.barman,
            directories: there.directories.clone(),
            backups: there.backups.iter().map(|(id, there)| (*id, backup(there))).collect(),
            sights: Sights::default(),
            archive: Archive::default(),
        }
    }

    /// The same with what was seen now.
    #[must_use]
    pub fn with(self, seen: Sights, archive: Archive) -> Self {
        Self { sights: seen.to_remember(), archive, ..self }
    }

    /// The backups that are remembered.
    pub fn ids(&self) -> impl Iterator<Item = &BackupId> {
        self.backups.keys()
    }

    /// Whether the primary would answer the same, as far as is seen now.
    pub fn is_right(&self, seen: &Sights, now: Timestamp, refresh_after: Duration) -> bool {
        let age = Duration::try_from(now.duration_since(self.asked_at));
        self.is_settled && age.is_ok_and(|age| age < refresh_after) && seen.has_backups_of(&self.sights)
    }

    /// Whether xlog.db, as it is kept here, is what is seen.
    pub fn keeps_list(&self, seen: &Sights) -> bool {
        self.archive.is_list_kept && seen.has_lists_of(&self.sights)
    }

    /// What the primary has, but for its archive.
    pub fn inventory(&self) -> PrimaryInventory {
        let mut notes = Vec::new();
        let mut backups = BTreeMap::new();
        for (id, remembered) in &self.backups {
            let mut backup = primary_backup(*id, remembered.info.clone(), &mut notes);
            (backup.keep, backup.going_away) = (remembered.keep, remembered.going_away);
            backups.insert(*id, backup);
        }
        PrimaryInventory {
            barman: self.barman,
            directories: self.directories.clone(),
            backups,
            wals: WalList::default(),
            gone: BTreeSet::new(),
            undescribed: BTreeMap::new(),
            histories: BTreeMap::new(),
            pedigree: BTreeSet::new(),
            last: None,
            notes,
        }
    }
}

/// Who a primary is, and what is asked of it, as a digest: the way to it may hold a secret.
fn question(primary: &Primary, server: &ServerName) -> String {
    let to = match &primary.access {
        Access::Ssh { words } => words.join(" "),
        Access::Path(home) => home.display().to_string(),
    };
    let config = primary.barman_config.as_deref().unwrap_or_default();
    let question = [to.as_str(), &primary.barman_command.join(" "), config, server.as_str()].join("\n");
    Sha256::digest(question).iter().map(|byte| format!("{byte:02x}")).collect()
}

//! What a plan comes to, counted once.

use schemars::JsonSchema;
use serde::Serialize;

use super::traffic::Traffic;
use crate::plan::action::verb::Verb;
use crate::plan::action::{Action, Change, Plan, ReplicaPlan, WalBatch};
use crate::plan::reason::Reason;

/// Everything that a plan does, counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, JsonSchema)]
#[schemars(deny_unknown_fields)]
pub struct Totals {
    /// What the site does not have.
    pub add: Things,
    /// What is damaged.
    pub repair: Things,
    /// What was right once, and follows the primary.
    pub update: Things,
    /// What is deleted.
    pub prune: Things,
    /// Bytes that come from the primary, as far as manifests and lists tell.
    pub bytes_to_copy: u64,
    /// Whether part of them may be here already, from a copy that was begun or in another backup.
    pub copy_is_upper_bound: bool,
    /// Bytes that are deleted. Backups that share files free less.
    pub bytes_freed: u64,
}

/// Things of each kind, counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, JsonSchema)]
#[schemars(deny_unknown_fields)]
pub struct Things {
    /// Servers, of which the site has nothing so far.
    pub servers: u64,
    /// Backups.
    pub backups: u64,
    /// Whole WAL segments.
    pub wal_segments: u64,
    /// Other files of a WAL archive, such as `.backup` and `.partial`.
    pub wal_files: u64,
    /// History files of timelines.
    pub history_files: u64,
    /// Keep annotations.
    pub keep_annotations: u64,
    /// Barman's own files: backup.info, xlog.db, sync-wals.info.
    pub metadata_files: u64,
    /// What interrupted copies left.
    pub interrupted_copies: u64,
}

impl Totals {
    /// Counts a plan.
    pub fn of(plan: &Plan) -> Self {
        Self::of_some(plan, |_| true)
    }

    /// Counts what is to be done for one replica.
    pub fn of_replica(replica: &ReplicaPlan) -> Self {
        let mut totals = Self::default();
        replica.actions.iter().for_each(|action| totals.count(action));
        totals
    }

    /// Counts the actions of a plan that `wanted` accepts.
    pub fn of_some(plan: &Plan, wanted: impl Fn(&Action) -> bool) -> Self {
        let mut totals = Self::default();
        for action in plan.replicas.iter().flat_map(|replica| &replica.actions).filter(|action| wanted(action)) {
            totals.count(action);
        }
        totals
    }

    fn count(&mut self, action: &Action) {
        let things = match Verb::of(action) {
            Verb::Add => &mut self.add,
            Verb::Repair => &mut self.repair,
            Verb::Update => &mut self.update,
            Verb::Prune => &mut self.prune,
        };
        things.count(action);
        let traffic = Traffic::of(action);
        self.bytes_to_copy = self.bytes_to_copy.saturating_add(traffic.bytes_to_copy);
        self.bytes_freed = self.bytes_freed.saturating_add(traffic.bytes_freed);
        self.copy_is_upper_bound |= match &action.change {
            Change::AddBackup(copy) => copy.adopt || copy.resume,
            Change::RepairBackup(copy) => copy.reuse.is_some(),
            _ => false,
        };
    }
}

impl Things {
    /// How many they are together.
    pub fn total(&self) -> u64 {
        self.servers
            + self.backups
            + self.wal_segments
            + self.wal_files
            + self.history_files
            + self.keep_annotations
            + self.metadata_files
            + self.interrupted_copies
    }

    fn count(&mut self, action: &Action) {
        let was_interrupted = matches!(action.reason, Reason::InterruptedAndGone | Reason::InterruptedAndUnselected);
        match &action.change {
            Change::CreateServer => self.servers += 1,
            Change::RepairXlogDb { .. }
            | Change::RewriteSyncWals { .. }
            | Change::UpdateInfo { .. }
            | Change::LinkTablespaces { .. } => {
                self.metadata_files += 1;
            }
            Change::ShipHistory { .. } => self.history_files += 1,
            Change::AddWals(batch) | Change::RepairWals(batch) => self.count_wals(batch),
            Change::RemoveStaging { .. } => self.interrupted_copies += 1,
            Change::RemoveBackup { .. } if was_interrupted => self.interrupted_copies += 1,
            Change::AddBackup(_) | Change::RepairBackup(_) | Change::RemoveBackup { .. } => self.backups += 1,
            Change::SetKeep { .. } => self.keep_annotations += 1,
            Change::RemoveWals { files, .. } => {
                let segments = files.keys().filter(|name| name.segment().is_some()).count() as u64;
                self.wal_segments += segments;
                self.wal_files += files.len() as u64 - segments;
            }
        }
    }

    fn count_wals(&mut self, batch: &WalBatch) {
        let segments = batch.segments();
        self.wal_segments += segments;
        self.wal_files += batch.entries.len() as u64 - segments;
    }
}

//! What a plan comes to, counted once.

use schemars::JsonSchema;
use serde::Serialize;

use crate::barman::wal::WalName;
use crate::plan::action::Action;
use crate::plan::action::words::Verb;
use crate::plan::{Plan, ReplicaPlan};

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

    /// Counts one action more.
    pub fn count(&mut self, action: &Action) {
        let things = match action.verb() {
            Verb::Add => &mut self.add,
            Verb::Repair => &mut self.repair,
            Verb::Update => &mut self.update,
            Verb::Prune => &mut self.prune,
        };
        *things = things.with(action.change.things(&action.reason));
        let traffic = action.change.traffic();
        self.bytes_to_copy = self.bytes_to_copy.saturating_add(traffic.bytes_to_copy);
        self.bytes_freed = self.bytes_freed.saturating_add(traffic.bytes_freed);
        self.copy_is_upper_bound |= traffic.is_upper_bound;
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

    /// WAL files: whole segments, and others.
    pub fn wals(names: impl Iterator<Item = WalName>) -> Self {
        names.fold(Self::default(), |mut things, name| {
            *(if name.segment().is_some() { &mut things.wal_segments } else { &mut things.wal_files }) += 1;
            things
        })
    }

    /// These and others.
    fn with(self, other: Self) -> Self {
        Self {
            servers: self.servers + other.servers,
            backups: self.backups + other.backups,
            wal_segments: self.wal_segments + other.wal_segments,
            wal_files: self.wal_files + other.wal_files,
            history_files: self.history_files + other.history_files,
            keep_annotations: self.keep_annotations + other.keep_annotations,
            metadata_files: self.metadata_files + other.metadata_files,
            interrupted_copies: self.interrupted_copies + other.interrupted_copies,
        }
    }
}

//! Everything that is asked of a change whatever its kind: what it does to the catalog, what it costs, what it waits for,
//! what it is addressed by and what it is called.
//!
//! Each question is answered for every kind by name, so that a new kind is asked all of them before anything compiles.
//! Besides this file only those tell one kind from another who make a change, note what it relies on, do it, look
//! whether it is done, or phrase its reason; each of them answers for every kind too.

#![deny(clippy::wildcard_enum_match_arm)]

use std::collections::BTreeMap;

use crate::barman::backup_info::BackupInfo;
use crate::barman::ids::BackupId;
use crate::barman::keep::Keep;
use crate::barman::wal::{Timeline, WalName};
use crate::barman::wal_set::WalRange;
use crate::plan::cost::totals::Things;
use crate::plan::order::graph::Phase;
use crate::plan::reason::Reason;

use super::address::{Address, Names, Sort};
use super::words::{Deed, Verb};
use super::{BackupCopy, Change, ReusedFiles, WalBatch};

/// What a change does to the catalog. Kinds that do the same have one effect.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Effect<'a> {
    /// The server gets its directories and empty lists.
    Server,
    /// A list of Barman's is put right: xlog.db or sync-wals.info.
    List,
    /// A history file comes, or is replaced.
    History(Timeline),
    /// WAL files come, or are replaced.
    WalsCome(&'a WalBatch),
    /// WAL files go.
    WalsGo(Option<WalRange>, &'a BTreeMap<WalName, u64>),
    /// A backup comes, and is published.
    BackupComes(&'a BackupCopy),
    /// Files of a published backup come that are missing or damaged.
    FilesCome(&'a BackupCopy),
    /// A published backup says something else of itself: what it said, and what it will say.
    Info(BackupId, [&'a BackupInfo; 2]),
    /// Links of a published backup are made.
    Links(BackupId),
    /// A backup gets a keep annotation.
    Keep(BackupId, Keep),
    /// A backup goes.
    BackupGoes {
        /// The backup.
        id: BackupId,
        /// The backup that it builds on.
        parent: Option<BackupId>,
        /// Bytes on disk, as far as they are known.
        size: Option<u64>,
    },
    /// What an interrupted copy left of a backup goes.
    StagingGoes(BackupId),
}

/// The bytes that a change is expected to move.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Traffic {
    /// Bytes that come from the primary, as an upper bound, and so what they need of the disk here.
    pub bytes_to_copy: u64,
    /// Whether part of them may be here already, from a copy that was begun or in another backup.
    pub is_upper_bound: bool,
    /// Bytes that are taken from another backup here.
    pub bytes_reused: u64,
    /// Bytes that are deleted. Backups that share files free less.
    pub bytes_freed: u64,
}

/// What must be done before a change, of the other changes of its replica's plan.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Prerequisite<'a> {
    /// Nothing: it is in nobody's way.
    Nothing,
    /// What is groundwork and comes earlier.
    EarlierGroundwork,
    /// All groundwork: xlog.db and sync-wals.info are right before the first WAL is placed.
    Groundwork,
    /// The server, and the backup whose files it takes, before it is copied; what makes it consistent, before it is
    /// published.
    Publication(&'a BackupCopy),
    /// The backup whose files it takes.
    Basis(&'a BackupCopy),
    /// That this backup is published, if the plan copies it.
    Published(BackupId),
    /// Everything that comes or is repaired, and the removal of what builds on this backup.
    AllThatComes(BackupId),
    /// Everything but other WAL that goes.
    AllButWal,
}

impl Change {
    /// What it does to the catalog.
    pub fn effect(&self) -> Effect<'_> {
        match self {
            Self::CreateServer => Effect::Server,
            Self::RepairXlogDb { .. } | Self::RewriteSyncWals { .. } => Effect::List,
            Self::ShipHistory { timeline, .. } => Effect::History(*timeline),
            Self::AddWals(batch) | Self::RepairWals(batch) => Effect::WalsCome(batch),
            Self::AddBackup(copy) => Effect::BackupComes(copy),
            Self::RepairBackup(copy) => Effect::FilesCome(copy),
            Self::UpdateInfo { id, from, to } => Effect::Info(*id, [from, to]),
            Self::LinkTablespaces { id, .. } => Effect::Links(*id),
            Self::SetKeep { id, to, .. } => Effect::Keep(*id, *to),
            Self::RemoveBackup { id, parent, size, .. } => Effect::BackupGoes { id: *id, parent: *parent, size: *size },
            Self::RemoveStaging { id } => Effect::StagingGoes(*id),
            Self::RemoveWals { range, files } => Effect::WalsGo(*range, files),
        }
    }

    /// The bytes that it is expected to move.
    pub fn traffic(&self) -> Traffic {
        let nothing = Traffic::default();
        match self {
            Self::CreateServer
            | Self::RepairXlogDb { .. }
            | Self::RewriteSyncWals { .. }
            | Self::UpdateInfo { .. }
            | Self::LinkTablespaces { .. }
            | Self::SetKeep { .. }
            | Self::RemoveStaging { .. } => nothing,
            Self::ShipHistory { size, .. } => Traffic { bytes_to_copy: *size, ..nothing },
            Self::AddWals(batch) | Self::RepairWals(batch) => Traffic { bytes_to_copy: batch.bytes(), ..nothing },
            Self::AddBackup(copy) => {
                let bytes_reused = copy.reuse.as_ref().map_or(0, |reuse| reuse.bytes);
                // Files that are reused come into staging first: what is there has them in it.
                let bytes_to_copy = copy.size.saturating_sub(bytes_reused.max(copy.staged));
                let is_compared = copy.reuse.as_ref().is_some_and(|reuse| reuse.compared > 0);
                let is_upper_bound = copy.adopt || copy.resume || is_compared;
                Traffic { bytes_to_copy, is_upper_bound, bytes_reused, ..nothing }
            }
            Self::RepairBackup(copy) => {
                let bytes_reused = copy.reuse.as_ref().map_or(0, |reuse| reuse.bytes);
                Traffic { bytes_to_copy: copy.size, is_upper_bound: copy.reuse.is_some(), bytes_reused, ..nothing }
            }
            Self::RemoveBackup { size, .. } => Traffic { bytes_freed: size.unwrap_or_default(), ..nothing },
            Self::RemoveWals { files, .. } => {
                Traffic { bytes_freed: files.values().copied().fold(0, u64::saturating_add), ..nothing }
            }
        }
    }

    /// What must be done before it.
    pub fn needs(&self, reason: &Reason) -> Prerequisite<'_> {
        match self {
            Self::RepairXlogDb { .. } | Self::RewriteSyncWals { .. } => Prerequisite::EarlierGroundwork,
            Self::ShipHistory { .. } | Self::AddWals(_) | Self::RepairWals(_) => Prerequisite::Groundwork,
            Self::AddBackup(copy) => Prerequisite::Publication(copy),
            Self::RepairBackup(copy) => Prerequisite::Basis(copy),
            Self::SetKeep { id, .. } => Prerequisite::Published(*id),
            Self::RemoveBackup { id, .. } if !reason.is_interrupted() => Prerequisite::AllThatComes(*id),
            Self::RemoveWals { .. } => Prerequisite::AllButWal,
            // What an interrupted copy left is in nobody's way: it is removed at any time.
            Self::CreateServer
            | Self::UpdateInfo { .. }
            | Self::LinkTablespaces { .. }
            | Self::RemoveBackup { .. }
            | Self::RemoveStaging { .. } => Prerequisite::Nothing,
        }
    }

    /// The things that it is about, counted.
    pub fn things(&self, reason: &Reason) -> Things {
        let none = Things::default();
        match self {
            Self::CreateServer => Things { servers: 1, ..none },
            Self::RepairXlogDb { .. }
            | Self::RewriteSyncWals { .. }
            | Self::UpdateInfo { .. }
            | Self::LinkTablespaces { .. } => Things { metadata_files: 1, ..none },
            Self::ShipHistory { .. } => Things { history_files: 1, ..none },
            Self::AddWals(batch) | Self::RepairWals(batch) => Things::wals(batch.names()),
            Self::RemoveStaging { .. } => Things { interrupted_copies: 1, ..none },
            Self::RemoveBackup { .. } if reason.is_interrupted() => Things { interrupted_copies: 1, ..none },
            Self::AddBackup(_) | Self::RepairBackup(_) | Self::RemoveBackup { .. } => Things { backups: 1, ..none },
            Self::SetKeep { .. } => Things { keep_annotations: 1, ..none },
            Self::RemoveWals { files, .. } => Things::wals(files.keys().copied()),
        }
    }

    /// What it is addressed by.
    pub fn address(&self, names: Names<'_>) -> Address {
        match self {
            Self::CreateServer => names.only(Sort::Server),
            Self::RepairXlogDb { .. } => names.only(Sort::XlogDb),
            Self::RewriteSyncWals { .. } => names.only(Sort::SyncWals),
            Self::ShipHistory { timeline, .. } => names.history(*timeline),
            Self::AddWals(batch) | Self::RepairWals(batch) => names.wals(batch.range, batch.names().next()),
            Self::AddBackup(copy) | Self::RepairBackup(copy) => names.backup(Sort::Backup, copy.id),
            Self::UpdateInfo { id, .. } => names.backup(Sort::Info, *id),
            Self::LinkTablespaces { id, .. } => names.backup(Sort::Tablespaces, *id),
            Self::SetKeep { id, .. } => names.backup(Sort::Keep, *id),
            Self::RemoveBackup { id, .. } => names.backup(Sort::Backup, *id),
            Self::RemoveStaging { id } => names.backup(Sort::Staging, *id),
            Self::RemoveWals { range, files } => names.wals(*range, files.keys().next().copied()),
        }
    }

    /// What it comes to, in one word.
    pub fn verb(&self, reason: &Reason) -> Verb {
        match self {
            Self::ShipHistory { .. } if reason.is_of_what_is_here() => Verb::Repair,
            Self::CreateServer
            | Self::ShipHistory { .. }
            | Self::AddWals(_)
            | Self::AddBackup(_)
            | Self::SetKeep { from: None, .. } => Verb::Add,
            Self::SetKeep { from: Some(_), .. } => Verb::Update,
            Self::RewriteSyncWals { .. } | Self::UpdateInfo { .. } if reason.follows_primary() => Verb::Update,
            Self::RepairXlogDb { .. }
            | Self::RewriteSyncWals { .. }
            | Self::RepairWals(_)
            | Self::RepairBackup(_)
            | Self::UpdateInfo { .. }
            | Self::LinkTablespaces { .. } => Verb::Repair,
            Self::RemoveBackup { .. } | Self::RemoveStaging { .. } | Self::RemoveWals { .. } => Verb::Prune,
        }
    }

    /// The words for a step of it.
    pub fn deed(&self, phase: Phase) -> Deed {
        match (self, phase) {
            (Self::CreateServer, _) => Deed::new("create", "creating", "created"),
            (Self::RepairXlogDb { .. }, _) => Deed::new("repair", "rewriting", "rewritten"),
            (Self::RewriteSyncWals { .. }, _) => Deed::new("rewrite", "rewriting", "rewritten"),
            (Self::ShipHistory { .. } | Self::AddWals(_), _) => Deed::new("ship", "shipping", "shipped"),
            (Self::RepairWals(_), _) => Deed::new("ship again", "shipping again", "repaired"),
            (Self::AddBackup(_), Phase::Publish) => Deed::new("publish", "publishing", "published"),
            (Self::AddBackup(_), Phase::Copy) => Deed::new("copy", "copying", "copied and verified"),
            (Self::AddBackup(_), Phase::Whole) => Deed::new("copy and publish", "copying", "copied and verified"),
            (Self::RepairBackup(_), _) => Deed::new("repair", "copying what is damaged", "repaired and verified"),
            (Self::UpdateInfo { .. }, _) => Deed::new("rewrite", "writing", "written"),
            (Self::SetKeep { .. }, _) => Deed::new("set", "writing", "written"),
            (Self::LinkTablespaces { .. }, _) => Deed::new("link", "linking", "linked"),
            (Self::RemoveBackup { .. } | Self::RemoveStaging { .. } | Self::RemoveWals { .. }, _) => {
                Deed::new("delete", "deleting", "deleted")
            }
        }
    }

    /// The backups without which it deletes nothing, to plan with fewer.
    pub fn leaves_mut(&mut self) -> Option<&mut Vec<BackupId>> {
        match self {
            Self::RemoveBackup { leaves, .. } => Some(leaves),
            Self::CreateServer
            | Self::RepairXlogDb { .. }
            | Self::RewriteSyncWals { .. }
            | Self::ShipHistory { .. }
            | Self::AddWals(_)
            | Self::RepairWals(_)
            | Self::AddBackup(_)
            | Self::RepairBackup(_)
            | Self::UpdateInfo { .. }
            | Self::LinkTablespaces { .. }
            | Self::SetKeep { .. }
            | Self::RemoveStaging { .. }
            | Self::RemoveWals { .. } => None,
        }
    }

    /// The files that it takes from another backup here, to plan with fewer.
    pub fn reuse_mut(&mut self) -> Option<&mut Option<ReusedFiles>> {
        match self {
            Self::AddBackup(copy) | Self::RepairBackup(copy) => Some(&mut copy.reuse),
            Self::CreateServer
            | Self::RepairXlogDb { .. }
            | Self::RewriteSyncWals { .. }
            | Self::ShipHistory { .. }
            | Self::AddWals(_)
            | Self::RepairWals(_)
            | Self::UpdateInfo { .. }
            | Self::LinkTablespaces { .. }
            | Self::SetKeep { .. }
            | Self::RemoveBackup { .. }
            | Self::RemoveStaging { .. }
            | Self::RemoveWals { .. } => None,
        }
    }
}

impl<'a> Effect<'a> {
    /// The backup that comes and is published.
    pub fn published(self) -> Option<&'a BackupCopy> {
        if let Self::BackupComes(copy) = self { Some(copy) } else { None }
    }

    /// The backup of which files come.
    pub fn copied(self) -> Option<&'a BackupCopy> {
        if let Self::BackupComes(copy) | Self::FilesCome(copy) = self { Some(copy) } else { None }
    }

    /// The WAL files that come.
    pub fn shipped(self) -> Option<&'a WalBatch> {
        if let Self::WalsCome(batch) = self { Some(batch) } else { None }
    }

    /// Whether bytes of a base come.
    pub fn brings_a_base(self) -> bool {
        match self {
            Self::BackupComes(_) | Self::FilesCome(_) => true,
            Self::Server
            | Self::List
            | Self::History(_)
            | Self::WalsCome(_)
            | Self::WalsGo(..)
            | Self::Info(..)
            | Self::Links(_)
            | Self::Keep(..)
            | Self::BackupGoes { .. }
            | Self::StagingGoes(_) => false,
        }
    }

    /// The WAL files that go, with their sizes.
    pub fn deleted(self) -> Option<&'a BTreeMap<WalName, u64>> {
        if let Self::WalsGo(_, files) = self { Some(files) } else { None }
    }

    /// Whether something goes.
    pub fn is_removal(self) -> bool {
        match self {
            Self::WalsGo(..) | Self::BackupGoes { .. } | Self::StagingGoes(_) => true,
            Self::Server
            | Self::List
            | Self::History(_)
            | Self::WalsCome(_)
            | Self::BackupComes(_)
            | Self::FilesCome(_)
            | Self::Info(..)
            | Self::Links(_)
            | Self::Keep(..) => false,
        }
    }

    /// Whether it must be right before anything is placed.
    pub fn is_groundwork(self) -> bool {
        match self {
            Self::Server | Self::List => true,
            Self::History(_)
            | Self::WalsCome(_)
            | Self::WalsGo(..)
            | Self::BackupComes(_)
            | Self::FilesCome(_)
            | Self::Info(..)
            | Self::Links(_)
            | Self::Keep(..)
            | Self::BackupGoes { .. }
            | Self::StagingGoes(_) => false,
        }
    }
}

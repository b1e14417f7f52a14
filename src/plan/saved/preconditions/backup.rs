//! What is relied on where a backup is copied, mended or described.

use crate::barman::backup_info::{BackupInfo, Status};
use crate::barman::ids::BackupId;
use crate::barman::keep::Keep;
use crate::barman::wal::WalName;
use crate::barman::wal_set::WalSet;
use crate::observe::inventory::{BackupFacts, BaseKind, BaseState, LocalBackup, PrimaryBackup};
use crate::plan::action::BackupCopy;
use crate::plan::backup;
use crate::plan::reason::Reason;
use crate::plan::recovery::window::needed;

use super::{Grounds, Precondition, Topic, Value};

/// Changes when a child comes or goes, and whoever brings or takes it rewrites it.
const CHILDREN: &str = "children_backup_ids";

impl Grounds<'_> {
    pub(super) fn added_backup(&self, copy: &BackupCopy) -> Vec<Precondition> {
        let mut preconditions = vec![self.backup_here(copy.id)];
        preconditions.extend(self.source(copy));
        preconditions.extend(self.needed_wal(copy.id));
        preconditions.extend(copy.parent.map(|parent| self.parent(parent)));
        preconditions.extend(copy.reuse.as_ref().map(|reuse| self.basis(reuse.from)));
        preconditions
    }

    pub(super) fn repaired_backup(&self, copy: &BackupCopy) -> Vec<Precondition> {
        let mut preconditions = vec![self.backup_here(copy.id), self.files_here(copy.id)];
        preconditions.extend(self.source(copy));
        preconditions
    }

    /// The backup at the primary, which must be the one that was planned. Of one that cannot be copied nothing else needs
    /// saying.
    fn source(&self, copy: &BackupCopy) -> Vec<Precondition> {
        let there = self.there.backups.get(&copy.id).filter(|backup| backup::is_usable(backup));
        let Some(there) = there else { return vec![self.backup_there(copy.id).must_be(Value::DONE)] };
        let metadata = Precondition::there(Topic::Metadata, comparison(&copy.info, &self.for_site(&there.info)));
        vec![self.backup_there(copy.id), metadata.must_be(Value::AsPlanned)]
    }

    fn for_site(&self, info: &BackupInfo) -> BackupInfo {
        let here = self.here.published().map(|facts| facts.id).collect();
        info.for_site(&self.replica.name, self.here.barman, &here)
    }

    pub(super) fn backup_here(&self, id: BackupId) -> Precondition {
        Precondition::here(Topic::Backup, state_here(self.here.backups.get(&id)))
    }

    pub(super) fn files_here(&self, id: BackupId) -> Precondition {
        let value = match self.here.backups.get(&id).map(|local| &local.base) {
            None | Some(BaseState::Absent) => Value::Absent,
            Some(BaseState::Complete) => Value::Complete,
            Some(BaseState::Damaged { files }) => {
                Value::Damaged { files: files.len() as u64, first: files.first().cloned() }
            }
        };
        Precondition::here(Topic::BaseFiles, value)
    }

    pub(super) fn backup_there(&self, id: BackupId) -> Precondition {
        Precondition::there(Topic::Backup, self.there.backups.get(&id).map_or(Value::Absent, state_there))
    }

    /// How much of the WAL that makes a backup consistent will be here.
    fn needed_wal(&self, id: BackupId) -> Option<Precondition> {
        let there = self.there.backups.get(&id).filter(|backup| backup::is_usable(backup))?;
        let (range, size) = (needed(&there.facts)?, there.facts.segment_size);
        let wanted: WalSet = [range].into_iter().collect();
        let present = self.outlook.segments.numbered(size).map_or(0, |set| set.intersection(&wanted).count());
        Some(Precondition::here(Topic::NeededWal, Value::Segments { present, all: range.count() }))
    }

    fn parent(&self, parent: BackupId) -> Precondition {
        let value = if self.outlook.copied.contains(&parent) {
            Value::Copied
        } else {
            state_here(self.here.backups.get(&parent))
        };
        Precondition::here(Topic::Parent, Value::Of(parent, Box::new(value)))
    }

    /// The backup that files are taken from.
    fn basis(&self, from: BackupId) -> Precondition {
        let value = match self.here.backups.get(&from) {
            _ if self.outlook.copied.contains(&from) => Value::Copied,
            Some(_) if self.here.is_whole(from) => Value::Complete,
            Some(_) => Value::NotWhole,
            None => Value::Absent,
        };
        Precondition::here(Topic::Basis, Value::Of(from, Box::new(value)))
    }

    pub(super) fn updated_info(
        &self,
        id: BackupId,
        [from, to]: [&BackupInfo; 2],
        reason: &Reason,
    ) -> Vec<Precondition> {
        let published = self.here.backups.get(&id).and_then(|local| local.published.as_ref());
        let here = published.map_or(Value::Absent, |published| exact_comparison(from, &published.info));
        let there = self.there.backups.get(&id).filter(|backup| backup::is_usable(backup));
        let there = there.map_or(Value::Unusable, |backup| comparison(to, &self.for_site(&backup.info)));
        let mut preconditions = vec![
            Precondition::here(Topic::BackupInfo, here).must_be(Value::AsPlanned),
            Precondition::there(Topic::Metadata, there),
        ];
        if let Reason::NotReadBy(_) = reason {
            let is_read = published.is_some_and(|published| published.is_read);
            preconditions
                .push(Precondition::here(Topic::Place, if is_read { Value::WhereRead } else { Value::WhereNotRead }));
        }
        preconditions
    }

    pub(super) fn unlinked(&self, id: BackupId) -> Precondition {
        let oids = self.here.backups.get(&id).map(|local| local.unlinked.as_slice()).unwrap_or_default();
        Precondition::here(Topic::Unlinked, Value::Oids(oids.to_vec()))
    }

    pub(super) fn kept(&self, id: BackupId) -> Vec<Precondition> {
        let backup = if self.outlook.copied.contains(&id) {
            Precondition::here(Topic::Backup, Value::Copied)
        } else {
            self.backup_here(id)
        };
        let [here, there] = self.keeps(id);
        vec![backup, here, there]
    }

    /// The keep annotations at both ends.
    pub(super) fn keeps(&self, id: BackupId) -> [Precondition; 2] {
        let value = |keep: Option<Keep>| keep.map_or(Value::Absent, Value::Keep);
        let here = self.here.backups.get(&id).and_then(|local| local.keep);
        let there = self.there.backups.get(&id).and_then(|backup| backup.keep);
        [Precondition::here(Topic::Keep, value(here)), Precondition::there(Topic::Keep, value(there))]
    }
}

fn state_here(local: Option<&LocalBackup>) -> Value {
    match local.map(|local| (local.published.as_ref(), &local.base)) {
        None | Some((None, BaseState::Absent)) => Value::Absent,
        Some((Some(published), _)) if published.facts.status == Status::Done => {
            Value::Published { size: published.facts.size }
        }
        Some((Some(published), _)) => Value::Unfinished(published.facts.status),
        Some((None, _)) => Value::Unpublished,
    }
}

fn state_there(backup: &PrimaryBackup) -> Value {
    match (backup.going_away, backup.base) {
        (true, _) => return Value::BeingDeleted,
        (_, BaseKind::CloudSnapshot) => return Value::CloudSnapshot,
        (_, BaseKind::Unreadable | BaseKind::Damaged) => return Value::Unreadable,
        (false, BaseKind::Files) => {}
    }
    let BackupFacts { status, begin_wal, end_wal, size, system, .. } = &backup.facts;
    let wal = begin_wal.zip(*end_wal).map(|(begin, end)| (WalName::Segment(begin), WalName::Segment(end)));
    Value::Archived { status: *status, wal, size: *size, system: *system }
}

/// Whether a backup.info means what was planned, but for its children.
fn comparison(planned: &BackupInfo, now: &BackupInfo) -> Value {
    let mut keys = planned.differing_keys(now);
    keys.retain(|key| key != CHILDREN);
    if keys.is_empty() { Value::AsPlanned } else { Value::DiffersIn(keys) }
}

/// Whether a backup.info says to the letter what was planned.
fn exact_comparison(planned: &BackupInfo, now: &BackupInfo) -> Value {
    if planned == now {
        return Value::AsPlanned;
    }
    let keys = planned.differing_keys(now);
    if keys.is_empty() { Value::Reworded } else { Value::DiffersIn(keys) }
}

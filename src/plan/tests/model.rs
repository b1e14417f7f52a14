//! A model of `apply`: what a site holds after each step of a plan succeeded. It is what the executor promises.

use std::collections::BTreeSet;

use petgraph::algo::toposort;

use crate::barman::backup_info::BackupInfo;
use crate::barman::ids::BackupId;
use crate::barman::wal::WalName;
use crate::barman::wal_entry::WalEntry;
use crate::barman::wal_list::WalList;
use crate::barman::xlogdb::FIVE_FIELDS;
use crate::observe::inventory::{BackupFacts, BaseState, LocalBackup, PrimaryInventory, Published, ReplicaInventory};
use crate::plan::ReplicaPlan;
use crate::plan::action::{BackupCopy, Change};
use crate::plan::order::graph::Phase;

use super::case::{Case, whole};
use super::notation::entry;

impl Case {
    /// The same situation after this plan was applied without a failure.
    pub fn after(&self, plan: &ReplicaPlan) -> Self {
        let graph = whole(plan.clone()).graph();
        let mut model = Model { primary: &self.primary, here: self.here.clone(), name: &self.replica.name };
        for node in toposort(&graph, None).expect("a plan has no cycle") {
            let step = graph[node];
            if step.phase != Phase::Copy {
                model.apply(&plan.actions[step.action].change, plan);
            }
        }
        Self { here: model.here, ..self.clone() }
    }
}

struct Model<'a> {
    primary: &'a PrimaryInventory,
    here: ReplicaInventory,
    name: &'a crate::barman::ids::ServerName,
}

impl Model<'_> {
    fn apply(&mut self, change: &Change, plan: &ReplicaPlan) {
        match change {
            Change::CreateServer => {
                self.here.exists = true;
                self.here.xlogdb.findings.clear();
                self.here.sync_wals = plan.target.as_ref().and_then(|target| target.sync_wals);
            }
            Change::RepairXlogDb { entries } => self.repair_xlogdb(entries),
            Change::RewriteSyncWals { to, .. } => self.here.sync_wals = Some(*to),
            Change::ShipHistory { timeline, entry: line, size } => {
                let name = WalName::History(*timeline);
                self.here.wals.insert(name, *size);
                self.here.histories.insert(*timeline, self.primary.histories[timeline].clone());
                self.list(line.unwrap_or_else(|| entry(name, *size)));
            }
            Change::AddWals(batch) | Change::RepairWals(batch) => {
                for entry in &batch.entries {
                    self.here.wals.insert(entry.name, entry.size);
                    self.here.whole.remove(&entry.name);
                    // What no list describes turns out to be anything.
                    let found = WalEntry { compression: "xz".parse().ok(), ..*entry };
                    self.list(if batch.undescribed.contains(&entry.name) { found } else { *entry });
                }
            }
            Change::AddBackup(copy) => self.publish(copy),
            Change::RepairBackup(copy) => {
                self.here.staged.remove(&copy.id);
                let local = self.local(copy.id);
                local.base = BaseState::Complete;
                local.unlinked.clear();
            }
            Change::UpdateInfo { id, to, .. } => self.update_info(*id, to),
            Change::LinkTablespaces { id, oids } => self.local(*id).unlinked.retain(|oid| !oids.contains(oid)),
            Change::SetKeep { id, to, .. } => self.local(*id).keep = Some(*to),
            Change::RemoveBackup { id, parent, .. } => {
                self.here.backups.remove(id);
                if let Some(parent) = parent {
                    self.rewrite_children(*parent);
                }
            }
            Change::RemoveStaging { id } => assert!(self.here.staged.remove(id).is_some()),
            Change::RemoveWals { files, .. } => {
                for name in files.keys() {
                    assert!(self.here.wals.remove(*name).is_some());
                    self.here.whole.remove(name);
                }
                let lines = self.here.xlogdb.entries.iter().filter(|line| !files.contains_key(&line.name)).collect();
                self.here.xlogdb.entries = lines;
            }
        }
    }

    /// Adds or replaces a line, as this version of Barman writes it.
    fn list(&mut self, entry: WalEntry) {
        let encryption = if self.here.barman < FIVE_FIELDS { None } else { entry.encryption };
        let lines = &mut self.here.xlogdb.entries;
        let line = WalEntry { encryption, ..entry };
        *lines = std::mem::take(lines).with([line].into_iter().collect());
    }

    /// Each file on disk once: as the primary says, or else as its line said, or else as it is on disk.
    fn repair_xlogdb(&mut self, known: &[WalEntry]) {
        let old = std::mem::take(&mut self.here.xlogdb.entries);
        self.here.xlogdb.findings.clear();
        let known: WalList = known.iter().copied().collect();
        for (name, size) in self.here.wals.clone().iter() {
            self.list(known.get(name).or_else(|| old.get(name)).unwrap_or_else(|| entry(name, size)));
        }
    }

    fn publish(&mut self, copy: &BackupCopy) {
        assert!(self.here.exists);
        let there = &self.primary.backups[&copy.id];
        let published =
            Published { facts: there.facts.clone(), info: copy.info.clone(), damage: Vec::new(), is_read: true };
        let keep = self.here.backups.get(&copy.id).and_then(|local| local.keep);
        let backup = LocalBackup {
            published: Some(published),
            base: BaseState::Complete,
            looked_at: None,
            unlinked: Vec::new(),
            keep,
            manifest: there.manifest.clone(),
        };
        self.here.backups.insert(copy.id, backup);
        self.here.staged.remove(&copy.id);
        if let Some(parent) = copy.parent {
            self.rewrite_children(parent);
        }
    }

    fn update_info(&mut self, id: BackupId, to: &BackupInfo) {
        let there = self.primary.backups.get(&id).filter(|backup| crate::plan::backup::is_usable(backup));
        let there = there.filter(|backup| to.restore_conflicts(&backup.info).is_empty());
        let facts: Option<BackupFacts> = there.map(|backup| backup.facts.clone());
        let published = self.local(id).published.as_mut().expect("it was published");
        published.info = to.clone();
        published.damage.clear();
        published.is_read = true;
        published.facts = facts.unwrap_or_else(|| published.facts.clone());
    }

    /// A parent names those of its children that are here.
    fn rewrite_children(&mut self, parent: BackupId) {
        let here: BTreeSet<BackupId> = self.here.published().map(|facts| facts.id).collect();
        let there = self.primary.backups.get(&parent).filter(|backup| crate::plan::backup::is_usable(backup));
        let Some(local) = self.here.backups.get_mut(&parent) else { return };
        let Some(published) = local.published.as_mut() else { return };
        let model = there.map_or(&published.info, |backup| &backup.info);
        let status = published.facts.status;
        // What a restore rests on stays as it is here, as long as nobody accepts the primary's.
        let ours = published.info.repaired();
        let held = there.map(|backup| ours.restore_conflicts(&backup.info)).unwrap_or_default();
        let info = model.for_site(self.name, self.here.barman, &here).with_values_of(&ours, held);
        published.info = info.with_status(status);
    }

    fn local(&mut self, id: BackupId) -> &mut LocalBackup {
        self.here.backups.get_mut(&id).expect("it is here")
    }
}

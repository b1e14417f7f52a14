//! What is relied on where a backup is copied, mended or described.

use crate::barman::backup_info::{BackupInfo, Status};
use crate::barman::ids::BackupId;
use crate::barman::keep::Keep;
use crate::barman::wal_set::WalSet;
use crate::observe::inventory::{BackupFacts, BaseKind, BaseState, LocalBackup, PrimaryBackup};
use crate::plan::action::BackupCopy;
use crate::plan::diff_backups;
use crate::plan::reason::Reason;
use crate::plan::window::needed;
use crate::render::units::{count, exact};

use super::{AS_PLANNED, Fact, Grounds};

/// Changes when a child comes or goes, and whoever brings or takes it rewrites it.
const CHILDREN: &str = "children_backup_ids";

impl Grounds<'_> {
    pub(super) fn added_backup(&self, copy: &BackupCopy) -> Vec<Fact> {
        let mut facts = vec![self.backup_here(copy.id)];
        facts.extend(self.source(copy));
        facts.extend(self.needed_wal(copy.id));
        facts.extend(copy.parent.map(|parent| self.parent(parent)));
        facts.extend(copy.reuse.as_ref().map(|reuse| self.basis(reuse.from)));
        facts
    }

    pub(super) fn repaired_backup(&self, copy: &BackupCopy) -> Vec<Fact> {
        let mut facts = vec![self.backup_here(copy.id), self.files_here(copy.id)];
        facts.extend(self.source(copy));
        facts
    }

    /// The backup at the primary, which must be the one that was planned. Of one that cannot be copied nothing else needs
    /// saying.
    fn source(&self, copy: &BackupCopy) -> Vec<Fact> {
        let there = self.there.backups.get(&copy.id).filter(|backup| diff_backups::is_usable(backup));
        let Some(there) = there else { return vec![self.backup_there(copy.id).must_be("DONE")] };
        let metadata = Fact::there("its metadata", comparison(&copy.info, &self.for_site(&there.info)));
        vec![self.backup_there(copy.id), metadata.must_be(AS_PLANNED)]
    }

    fn for_site(&self, info: &BackupInfo) -> BackupInfo {
        let here = self.here.published().map(|facts| facts.id).collect();
        info.for_site(&self.replica.name, self.here.barman, &here)
    }

    pub(super) fn backup_here(&self, id: BackupId) -> Fact {
        Fact::here("the backup", state_here(self.here.backups.get(&id)))
    }

    pub(super) fn files_here(&self, id: BackupId) -> Fact {
        let state = match self.here.backups.get(&id).map(|local| &local.base) {
            None | Some(BaseState::Absent) => "absent".to_owned(),
            Some(BaseState::Complete) => "complete".to_owned(),
            Some(BaseState::Damaged { files }) => {
                let first = files.first().map(|file| format!(", the first {}", file.display())).unwrap_or_default();
                format!("{} missing or of another size{first}", count(files.len() as u64, "file"))
            }
        };
        Fact::here("its files", state)
    }

    pub(super) fn backup_there(&self, id: BackupId) -> Fact {
        Fact::there("the backup", self.there.backups.get(&id).map_or_else(|| "absent".to_owned(), state_there))
    }

    /// How much of the WAL that makes a backup consistent will be here.
    fn needed_wal(&self, id: BackupId) -> Option<Fact> {
        let there = self.there.backups.get(&id).filter(|backup| diff_backups::is_usable(backup))?;
        let (range, size) = (needed(&there.facts)?, there.facts.segment_size);
        let wanted: WalSet = [range].into_iter().collect();
        let present = self.outlook.segments.numbered(size).map_or(0, |set| set.intersection(&wanted).count());
        let part = if present == range.count() { "all".to_owned() } else { exact(present) };
        let all = count(range.count(), "segment");
        Some(Fact::here("the WAL that it needs", format!("{part} of {all}, here or by this plan")))
    }

    fn parent(&self, parent: BackupId) -> Fact {
        let state = if self.outlook.copied.contains(&parent) {
            "copied by this plan".to_owned()
        } else {
            state_here(self.here.backups.get(&parent))
        };
        Fact::here("the backup that it builds on", format!("{parent}: {state}"))
    }

    /// The backup that files are taken from.
    fn basis(&self, from: BackupId) -> Fact {
        let state = match self.here.backups.get(&from) {
            _ if self.outlook.copied.contains(&from) => "copied by this plan",
            Some(_) if self.here.is_whole(from) => "here and whole",
            Some(_) => "damaged",
            None => "absent",
        };
        Fact::here("the backup whose files it shares", format!("{from}: {state}"))
    }

    pub(super) fn updated_info(&self, id: BackupId, [from, to]: [&BackupInfo; 2], reason: &Reason) -> Vec<Fact> {
        let published = self.here.backups.get(&id).and_then(|local| local.published.as_ref());
        let here = published.map_or_else(|| "absent".to_owned(), |published| exact_comparison(from, &published.info));
        let there = self.there.backups.get(&id).filter(|backup| diff_backups::is_usable(backup));
        let there = there.map_or_else(
            || "not there, or not complete".to_owned(),
            |backup| comparison(to, &self.for_site(&backup.info)),
        );
        let mut facts =
            vec![Fact::here("its backup.info", here).must_be(AS_PLANNED), Fact::there("its metadata", there)];
        if let Reason::NotReadBy(_) = reason {
            let is_read = published.is_some_and(|published| published.is_read);
            let place = if is_read { "where the site's Barman looks" } else { "where the site's Barman does not look" };
            facts.push(Fact::here("its place", place));
        }
        facts
    }

    pub(super) fn unlinked(&self, id: BackupId) -> Fact {
        let oids = self.here.backups.get(&id).map(|local| local.unlinked.as_slice()).unwrap_or_default();
        let oids: Vec<String> = oids.iter().map(ToString::to_string).collect();
        let value = if oids.is_empty() { "none".to_owned() } else { oids.join(", ") };
        Fact::here("tablespaces that no link leads to", value)
    }

    pub(super) fn kept(&self, id: BackupId) -> Vec<Fact> {
        let backup = if self.outlook.copied.contains(&id) {
            Fact::here("the backup", "copied by this plan")
        } else {
            self.backup_here(id)
        };
        let [here, there] = self.keeps(id);
        vec![backup, here, there]
    }

    /// The keep annotations at both ends.
    pub(super) fn keeps(&self, id: BackupId) -> [Fact; 2] {
        let word = |keep: Option<Keep>| keep.map_or_else(|| "none".to_owned(), |keep| keep.to_string());
        let here = self.here.backups.get(&id).and_then(|local| local.keep);
        let there = self.there.backups.get(&id).and_then(|backup| backup.keep);
        [Fact::here("its keep annotation", word(here)), Fact::there("its keep annotation", word(there))]
    }
}

fn state_here(local: Option<&LocalBackup>) -> String {
    match local.map(|local| (local.published.as_ref(), &local.base)) {
        None | Some((None, BaseState::Absent)) => "absent".to_owned(),
        Some((Some(published), _)) if published.facts.status == Status::Done => {
            format!("published{}", size(&published.facts))
        }
        Some((Some(published), _)) => format!("never finished ({})", published.facts.status),
        Some((None, _)) => "an unpublished base".to_owned(),
    }
}

fn state_there(backup: &PrimaryBackup) -> String {
    match (backup.going_away, backup.base) {
        (true, _) => return "being deleted".to_owned(),
        (_, BaseKind::CloudSnapshot) => return "a snapshot of cloud volumes".to_owned(),
        (_, BaseKind::Unreadable) => return "unreadable".to_owned(),
        (false, BaseKind::Files) => {}
    }
    let facts = &backup.facts;
    let wal = facts.begin_wal.zip(facts.end_wal).map(|(begin, end)| format!(", begin_wal {begin}, end_wal {end}"));
    let system = facts.system.map(|system| format!(", system {system}")).unwrap_or_default();
    format!("{}{}{}{system}", facts.status, wal.unwrap_or_default(), size(facts))
}

fn size(facts: &BackupFacts) -> String {
    facts.size.map(|size| format!(", {}", count(size, "byte"))).unwrap_or_default()
}

/// Whether a backup.info means what was planned, but for its children.
fn comparison(planned: &BackupInfo, now: &BackupInfo) -> String {
    let mut keys = planned.differing_keys(now);
    keys.retain(|key| key != CHILDREN);
    differences(&keys)
}

/// Whether a backup.info says to the letter what was planned.
fn exact_comparison(planned: &BackupInfo, now: &BackupInfo) -> String {
    if planned == now {
        return AS_PLANNED.to_owned();
    }
    let keys = planned.differing_keys(now);
    if keys.is_empty() { "worded differently".to_owned() } else { differences(&keys) }
}

fn differences(keys: &[String]) -> String {
    if keys.is_empty() {
        return AS_PLANNED.to_owned();
    }
    let keys: Vec<String> = keys.iter().map(|key| format!("`{key}`")).collect();
    format!("different in {}", keys.join(", "))
}

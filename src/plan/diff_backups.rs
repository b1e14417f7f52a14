//! Diff: which backups a replica is to have, and which of those it has may go.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;

use crate::barman::backup_info::Status;
use crate::barman::ids::BackupId;
use crate::barman::keep::Keep;
use crate::observe::inventory::{
    BackupFacts, BaseKind, LocalBackup, PrimaryBackup, PrimaryInventory, ReplicaInventory,
};
use crate::site::model::Policy;

use super::reason::{Note, Reason};
use super::selection::{Candidate, select};

/// What becomes of the backups of one replica.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct BackupDiff {
    /// Every backup that the site will have, newest last: those selected, and those that stay.
    pub kept: BTreeMap<BackupId, Kept>,
    /// Those that are deleted, in the order of deletion: children before their parents, oldest first.
    pub pruned: Vec<(BackupId, Reason)>,
    /// Interrupted copies that are cleaned up.
    pub zombies: Vec<(BackupId, Reason)>,
    /// Staging of earlier runs that is of no more use.
    pub stale_staging: BTreeSet<BackupId>,
    /// What is not done, and why.
    pub notes: Vec<Note>,
}

/// A backup that the site will have.
#[derive(Debug, Clone, PartialEq)]
pub struct Kept {
    /// What is known of it, from the primary where that has it.
    pub facts: BackupFacts,
    /// Whether it is copied by this plan; `None` when it is here.
    pub copy: Option<Reason>,
    /// Its keep annotation at either end.
    pub keep: Option<Keep>,
}

impl Kept {
    /// Whether only what makes it consistent is needed: nobody recovers past the end of a standalone backup.
    pub fn is_standalone(&self) -> bool {
        self.keep == Some(Keep::Standalone)
    }
}

/// Compares what the primary has with what the site has, and both with what is wanted.
pub fn diff(policy: &Policy, primary: &PrimaryInventory, replica: &ReplicaInventory, now: Timestamp) -> BackupDiff {
    let mut diff = BackupDiff { notes: unusable_notes(primary), ..BackupDiff::default() };
    let candidates = candidates(policy, primary, replica);
    let selected = select(&policy.backups, &candidates, now);
    diff.notes.extend(orphan_notes(&candidates, replica));
    let (pruned, later) = prunes(policy, primary, replica, &selected);
    diff.pruned = pruned;
    if later > 0 {
        diff.notes.push(Note::PruneLater(later));
    }
    diff.kept = kept(primary, replica, &selected, &diff.pruned);
    diff.notes.extend(staying_notes(primary, &selected, &diff, later));
    let (zombies, orphans) = leftovers(policy, primary, replica, &diff.kept);
    diff.zombies = zombies;
    diff.notes.extend(orphans);
    diff.stale_staging = replica.staged.iter().copied().filter(|id| !diff.is_copied(*id)).collect();
    diff
}

impl BackupDiff {
    fn is_copied(&self, id: BackupId) -> bool {
        self.kept.get(&id).is_some_and(|kept| kept.copy.is_some())
    }
}

/// Whether a backup can be copied: it is DONE, it has files, and it stays.
pub fn is_usable(backup: &PrimaryBackup) -> bool {
    backup.facts.status == Status::Done && backup.base == BaseKind::Files && !backup.going_away
}

/// Whether a backup at the site is one that Barman lists as good.
fn is_published(backup: &LocalBackup) -> bool {
    backup.published.as_ref().is_some_and(|published| published.facts.status == Status::Done)
}

fn unusable_notes(primary: &PrimaryInventory) -> Vec<Note> {
    let note = |(id, backup): (&BackupId, &PrimaryBackup)| {
        if backup.base == BaseKind::Unreadable {
            // The observer said so, and why.
            None
        } else if backup.base == BaseKind::CloudSnapshot {
            Some(Note::CloudSnapshot(*id))
        } else if backup.going_away {
            Some(Note::GoingAway(*id))
        } else if backup.facts.status == Status::Done {
            None
        } else {
            Some(Note::NotDone { backup: *id, status: backup.facts.status })
        }
    };
    primary.backups.iter().filter_map(note).collect()
}

/// The whole set that the selection is made over: what the primary and the site have together.
fn candidates(
    policy: &Policy,
    primary: &PrimaryInventory,
    replica: &ReplicaInventory,
) -> BTreeMap<BackupId, Candidate> {
    let mut candidates = BTreeMap::new();
    for (id, local) in &replica.backups {
        let Some(published) = local.published.as_ref().filter(|_| is_published(local)) else { continue };
        // What may be deleted because the primary no longer has it must not use up a place in the selection.
        let is_leaving = policy.prune.gone_at_primary && !primary.backups.contains_key(id) && local.keep.is_none();
        if !is_leaving {
            candidates.insert(*id, candidate(&published.facts, local.keep));
        }
    }
    for (id, backup) in primary.backups.iter().filter(|(_, backup)| is_usable(backup)) {
        let keep = replica.backups.get(id).and_then(|local| local.keep).or(backup.keep);
        candidates.insert(*id, candidate(&backup.facts, keep));
    }
    candidates
}

fn candidate(facts: &BackupFacts, keep: Option<Keep>) -> Candidate {
    Candidate { end_time: facts.end_time, parent: facts.parent, keep }
}

fn orphan_notes(candidates: &BTreeMap<BackupId, Candidate>, replica: &ReplicaInventory) -> Vec<Note> {
    let note = |(id, candidate): (&BackupId, &Candidate)| {
        let parent = candidate.parent.filter(|parent| !candidates.contains_key(parent))?;
        (!replica.backups.contains_key(&parent)).then_some(Note::ParentMissing { backup: *id, parent })
    };
    candidates.iter().filter_map(note).collect()
}

/// The backups that are deleted now, and how many may only be deleted by a later apply.
fn prunes(
    policy: &Policy,
    primary: &PrimaryInventory,
    replica: &ReplicaInventory,
    selected: &BTreeSet<BackupId>,
) -> (Vec<(BackupId, Reason)>, usize) {
    let published: BTreeMap<BackupId, &LocalBackup> =
        replica.backups.iter().filter(|(_, local)| is_published(local)).map(|(id, local)| (*id, local)).collect();
    let mut allowed: BTreeMap<BackupId, Reason> = published
        .iter()
        .filter(|(id, local)| local.keep.is_none() && !selected.contains(id))
        .filter_map(|(id, _)| Some((*id, prune_reason(policy, primary, *id)?)))
        .collect();
    spare_parents(&mut allowed, &published);
    let order = children_first(&allowed, &published);
    let limit = (published.len() * usize::from(policy.protect.max_prune_percent) / 100).max(1);
    let later = order.len().saturating_sub(limit);
    let pruned = order.into_iter().take(limit).filter_map(|id| Some((id, allowed.remove(&id)?))).collect();
    (pruned, later)
}

fn prune_reason(policy: &Policy, primary: &PrimaryInventory, id: BackupId) -> Option<Reason> {
    let is_gone = !primary.backups.contains_key(&id);
    if is_gone && policy.prune.gone_at_primary {
        Some(Reason::GoneAtPrimary)
    } else if primary.backups.get(&id).is_some_and(|backup| backup.keep.is_some()) {
        None
    } else {
        policy.prune.unselected.then(|| Reason::Unselected(policy.backups.to_string()))
    }
}

/// A backup stays as long as one that builds on it does.
fn spare_parents(allowed: &mut BTreeMap<BackupId, Reason>, published: &BTreeMap<BackupId, &LocalBackup>) {
    loop {
        let spared: Vec<BackupId> = published
            .iter()
            .filter(|(id, _)| !allowed.contains_key(id))
            .filter_map(|(_, local)| parent_of(local))
            .filter(|parent| allowed.contains_key(parent))
            .collect();
        if spared.is_empty() {
            return;
        }
        allowed.retain(|id, _| !spared.contains(id));
    }
}

fn parent_of(local: &LocalBackup) -> Option<BackupId> {
    local.published.as_ref().and_then(|published| published.facts.parent)
}

/// Oldest chain first, and within a chain every child before what it builds on, so that any beginning of the list
/// can be deleted by itself.
fn children_first(allowed: &BTreeMap<BackupId, Reason>, published: &BTreeMap<BackupId, &LocalBackup>) -> Vec<BackupId> {
    let parent =
        |id: BackupId| published.get(&id).and_then(|local| parent_of(local)).filter(|p| allowed.contains_key(p));
    let mut keyed: Vec<(BackupId, usize, BackupId)> = allowed
        .keys()
        .map(|id| {
            // The chain is at most as long as there are backups, even if its parents go in a circle.
            let chain: Vec<BackupId> =
                std::iter::successors(Some(*id), |id| parent(*id)).take(published.len() + 1).collect();
            (chain.last().copied().unwrap_or(*id), chain.len(), *id)
        })
        .collect();
    keyed.sort_by(|a, b| a.0.cmp(&b.0).then(b.1.cmp(&a.1)).then(a.2.cmp(&b.2)));
    keyed.into_iter().map(|(_, _, id)| id).collect()
}

fn kept(
    primary: &PrimaryInventory,
    replica: &ReplicaInventory,
    selected: &BTreeSet<BackupId>,
    pruned: &[(BackupId, Reason)],
) -> BTreeMap<BackupId, Kept> {
    let mut kept = BTreeMap::new();
    for (id, local) in &replica.backups {
        let Some(published) = local.published.as_ref().filter(|_| is_published(local)) else { continue };
        if pruned.iter().all(|(pruned, _)| pruned != id) {
            let there = primary.backups.get(id).filter(|backup| is_usable(backup));
            let facts = there.map_or(&published.facts, |backup| &backup.facts).clone();
            let keep = local.keep.or(there.and_then(|backup| backup.keep));
            kept.insert(*id, Kept { facts, copy: None, keep });
        }
    }
    for id in selected {
        let Some(backup) = primary.backups.get(id).filter(|_| !kept.contains_key(id)) else { continue };
        let copy = Some(copy_reason(replica.backups.get(id)));
        kept.insert(*id, Kept { facts: backup.facts.clone(), copy, keep: backup.keep });
    }
    kept
}

fn copy_reason(local: Option<&LocalBackup>) -> Reason {
    match local {
        None => Reason::MissingHere,
        Some(LocalBackup { published: Some(published), .. }) => Reason::Interrupted(published.facts.status),
        Some(LocalBackup { published: None, .. }) => Reason::Unpublished,
    }
}

/// What is said of backups that stay although the primary has them no longer, or the selection leaves them out.
fn staying_notes(
    primary: &PrimaryInventory,
    selected: &BTreeSet<BackupId>,
    diff: &BackupDiff,
    later: usize,
) -> Vec<Note> {
    let mut notes = Vec::new();
    let here_only = diff.kept.keys().filter(|id| !primary.backups.contains_key(id)).count();
    if here_only > 0 {
        notes.push(Note::KeptHereOnly(here_only));
    }
    let unselected = diff
        .kept
        .iter()
        .filter(|(id, kept)| kept.copy.is_none() && !selected.contains(id) && primary.backups.contains_key(id))
        .count()
        .saturating_sub(later);
    if unselected > 0 {
        notes.push(Note::Unselected(unselected));
    }
    notes
}

/// Interrupted copies that nobody will finish are cleaned up; a base that may be whole is only spoken of.
fn leftovers(
    policy: &Policy,
    primary: &PrimaryInventory,
    replica: &ReplicaInventory,
    kept: &BTreeMap<BackupId, Kept>,
) -> (Vec<(BackupId, Reason)>, Vec<Note>) {
    let (mut zombies, mut notes) = (Vec::new(), Vec::new());
    for (id, local) in replica.backups.iter().filter(|(id, _)| !kept.contains_key(id)) {
        let is_gone = !primary.backups.contains_key(id);
        match &local.published {
            Some(published) if published.facts.status == Status::Done => {}
            Some(_) if is_gone => zombies.push((*id, Reason::InterruptedAndGone)),
            Some(_) if is_usable_at(primary, *id) => zombies.push((*id, Reason::InterruptedAndUnselected)),
            Some(_) => {}
            None if is_gone && policy.prune.gone_at_primary => zombies.push((*id, Reason::GoneAtPrimary)),
            None => notes.push(Note::OrphanedBase(*id)),
        }
    }
    (zombies, notes)
}

fn is_usable_at(primary: &PrimaryInventory, id: BackupId) -> bool {
    primary.backups.get(&id).is_some_and(is_usable)
}

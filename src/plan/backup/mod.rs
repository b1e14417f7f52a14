//! Diff: which backups a replica is to have, and which of those it has may go.

pub(super) mod reuse;
pub mod selection;
mod time;
mod waiting;

use std::collections::{BTreeMap, BTreeSet};

use jiff::{SignedDuration, Timestamp};

use crate::barman::backup_info::Status;
use crate::barman::ids::BackupId;
use crate::barman::keep::Keep;
use crate::barman::wal::Segment;
use crate::observe::inventory::{
    BackupFacts, BaseKind, BaseState, LocalBackup, PrimaryBackup, PrimaryInventory, Published, ReplicaInventory,
};
use crate::site::model::{Policy, Replica};

use super::held::{self, HeldKey};
use super::order::stages::{Stage, stages};
use super::reason::{HeldPrune, Note, Reason};
use selection::{Candidate, select};
pub use time::counted_from;
use waiting::waiting;

/// What becomes of the backups of one replica.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct BackupDiff {
    /// Every backup that the site will have, newest last: those selected, and those that stay.
    pub kept: BTreeMap<BackupId, Kept>,
    /// The order in which the replica is filled with them and their WAL.
    pub stages: Vec<Stage>,
    /// Those that are deleted, in the order of deletion: children before their parents, oldest first.
    pub pruned: Vec<(BackupId, Reason)>,
    /// Interrupted copies that are cleaned up.
    pub zombies: Vec<(BackupId, Reason)>,
    /// Staging of earlier runs that is of no more use.
    pub stale_staging: Vec<(BackupId, Reason)>,
    /// Incremental backups, each with its parent, which neither end has.
    pub orphans: Vec<(BackupId, BackupId)>,
    /// Backups that would be wanted if their metadata at the primary made sense, and that are not here.
    pub unreadable: Vec<BackupId>,
    /// Backups that would be wanted if the primary did not say that they are damaged there, and that are not here.
    pub damaged_there: Vec<BackupId>,
    /// Published backups whose backup.info differs from the primary's in what a restore rests on, which nobody accepted.
    pub held: BTreeMap<BackupId, Vec<HeldKey>>,
    /// Backups that would be wanted if their WAL were not held, each with the first segment that it waits for.
    pub waiting: Vec<(BackupId, Segment)>,
    /// The deletion that waits for a person, as it is of more backups than one plan may delete.
    pub prune_held: Option<HeldPrune>,
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

/// Compares what the primary has with what the site has, and both with what is wanted.
pub fn diff(policy: &Policy, primary: &PrimaryInventory, replica: &ReplicaInventory, now: Timestamp) -> BackupDiff {
    let ends = Ends::new(policy, primary, replica);
    let candidates = ends.candidates();
    let counted = counted_from(policy, primary, replica, now);
    let selected = select(&policy.backups, &candidates, counted);
    let prunes = ends.prunes(&selected);
    let kept = ends.kept(&selected, &prunes);
    let (zombies, left) = ends.leftovers(&kept);
    let mut notes = unusable_notes(primary, now);
    notes.extend(ends.spared_note(&selected, &candidates, counted, now));
    notes.extend(ends.staying_notes(&selected, &kept, &prunes.held));
    notes.extend(left);
    BackupDiff {
        stages: stages(&kept),
        pruned: prunes.now,
        zombies,
        stale_staging: ends.stale_staging(&kept),
        orphans: ends.orphans(&candidates),
        unreadable: ends.unusable(BaseKind::Unreadable, &candidates, counted),
        damaged_there: ends.unusable(BaseKind::Damaged, &candidates, counted),
        waiting: ends.waiting(counted),
        held: ends.held(),
        prune_held: prunes.waits,
        notes,
        kept,
    }
}

/// Whether a backup can be copied: it is DONE, it has files, and it stays.
pub fn is_usable(backup: &PrimaryBackup) -> bool {
    backup.facts.status == Status::Done && backup.base == BaseKind::Files && !backup.going_away
}

/// Whether the primary has a backup that can be copied.
pub fn is_usable_at(primary: &PrimaryInventory, id: BackupId) -> bool {
    primary.backups.get(&id).is_some_and(is_usable)
}

/// Whether a backup here lacks files that the primary has.
pub fn is_repaired(primary: &PrimaryInventory, id: BackupId, local: &LocalBackup) -> bool {
    local.base != BaseState::Complete && is_usable_at(primary, id)
}

/// The whole set that the selection is made over: what the primary and the site have together.
pub fn candidates(
    policy: &Policy,
    primary: &PrimaryInventory,
    replica: &ReplicaInventory,
) -> BTreeMap<BackupId, Candidate> {
    Ends::new(policy, primary, replica).candidates()
}

/// The backups that are wanted, of those that the primary and the site have together.
pub fn selected(
    policy: &Policy,
    primary: &PrimaryInventory,
    replica: &ReplicaInventory,
    now: Timestamp,
) -> BTreeSet<BackupId> {
    let counted = counted_from(policy, primary, replica, now);
    select(&policy.backups, &Ends::new(policy, primary, replica).candidates(), counted)
}

/// The backups that the site will have once some are removed and others are copied, whatever a plan of now would do.
pub fn staying(
    policy: &Policy,
    primary: &PrimaryInventory,
    replica: &ReplicaInventory,
    [removed, copied]: [&BTreeSet<BackupId>; 2],
) -> BTreeMap<BackupId, Kept> {
    let ends = Ends::new(policy, primary, replica);
    let there = copied.iter().filter_map(|id| Some((*id, &primary.backups.get(id)?.facts)));
    let here = ends.here().into_iter().filter(|(id, _)| !removed.contains(id));
    let kept =
        |(id, facts): (BackupId, &BackupFacts)| (id, Kept { facts: facts.clone(), copy: None, keep: ends.keep(id) });
    there.chain(here).map(kept).collect()
}

/// What tells of a replica which backups a plan of this time would copy, as far as the primary's lists tell: the observer
/// asks the primary for the details of these and of no others, so that a site which is in sync costs little.
pub fn to_copy(now: Timestamp) -> impl Fn(&Replica, &PrimaryInventory, &ReplicaInventory) -> BTreeSet<BackupId> + Sync {
    move |replica, primary, here| {
        let kept = diff(&replica.policy, primary, here, now).kept;
        let is_copied =
            |id: &BackupId, kept: &Kept| is_usable_at(primary, *id) && (kept.copy.is_some() || !here.is_whole(*id));
        kept.iter().filter(|(id, kept)| is_copied(id, kept)).map(|(id, _)| *id).collect()
    }
}

/// How many backups one plan may delete of so many that are here or to come. Those to come count, or they would let go
/// with the next plan what has to wait in this one.
pub fn most_pruned(policy: &Policy, here_or_to_come: usize) -> usize {
    (here_or_to_come * usize::from(policy.protect.max_prune_percent) / 100).max(1)
}

/// What Barman lists as good, of a backup at the site.
fn published(local: &LocalBackup) -> Option<&Published> {
    local.published.as_ref().filter(|published| published.facts.status == Status::Done)
}

/// So many backups of no use are not judged one by one.
const MANY_UNUSABLE: usize = 50;

/// A week: no backup is taken for so long.
const LONGEST: SignedDuration = SignedDuration::from_hours(7 * 24);

fn unusable_notes(primary: &PrimaryInventory, now: Timestamp) -> Vec<Note> {
    // Barman takes one backup of a server at a time.
    let newest_done = primary.backups.values().filter(|b| b.facts.status == Status::Done).map(|b| b.facts.id).max();
    let long_ago = now.checked_sub(LONGEST).ok();
    let long_ago = long_ago.and_then(|time| time.strftime("%Y%m%dT%H%M%S").to_string().parse::<BackupId>().ok());
    let is_over = |id: BackupId| newest_done.is_some_and(|done| id < done) || long_ago.is_some_and(|ago| id < ago);
    let note = |(id, backup): (&BackupId, &PrimaryBackup)| {
        if backup.base == BaseKind::Unreadable {
            // The observer said so, and why.
            None
        } else if backup.going_away {
            Some(Note::GoingAway(*id))
        } else if backup.facts.status != Status::Done {
            let (backup, status) = (*id, backup.facts.status);
            let was_begun = matches!(status, Status::Empty | Status::Started);
            let is_given_up = was_begun && is_over(backup);
            Some(if is_given_up { Note::GivenUp { backup, status } } else { Note::NotDone { backup, status } })
        } else {
            (backup.base == BaseKind::CloudSnapshot).then_some(Note::CloudSnapshot(*id))
        }
    };
    primary.backups.iter().filter_map(note).collect()
}

/// The backups that are deleted, or those that would be: more than one plan may delete.
#[derive(Default)]
struct Prunes {
    now: Vec<(BackupId, Reason)>,
    held: BTreeSet<BackupId>,
    waits: Option<HeldPrune>,
}

/// Both ends of a replica, and what is wanted of it.
struct Ends<'a> {
    policy: &'a Policy,
    primary: &'a PrimaryInventory,
    replica: &'a ReplicaInventory,
    /// Backups at the primary that have to wait, as WAL that they need is held.
    waiting: BTreeMap<BackupId, Segment>,
}

impl<'a> Ends<'a> {
    fn new(policy: &'a Policy, primary: &'a PrimaryInventory, replica: &'a ReplicaInventory) -> Self {
        Self { waiting: waiting(policy, primary, replica), policy, primary, replica }
    }

    /// What is known of each backup that the site's Barman lists as good: the primary's word counts where it has it, and
    /// does not contradict what a restore here rests on.
    fn here(&self) -> BTreeMap<BackupId, &BackupFacts> {
        let facts = |(id, local)| {
            let published = published(local)?;
            let there = self.primary.backups.get(id).filter(|backup| is_usable(backup));
            let there = there.filter(|there| held::info(self.policy, published, there).is_empty());
            Some((*id, there.map_or(&published.facts, |backup| &backup.facts)))
        };
        self.replica.backups.iter().filter(|(_, local)| published(local).is_some()).filter_map(facts).collect()
    }

    fn held(&self) -> BTreeMap<BackupId, Vec<HeldKey>> {
        let here = self.replica.backups.iter().filter_map(|(id, local)| Some((*id, published(local)?)));
        let keys = |(id, published): (BackupId, &Published)| {
            let there = self.primary.backups.get(&id).filter(|backup| is_usable(backup))?;
            Some((id, held::info(self.policy, published, there))).filter(|(_, keys)| !keys.is_empty())
        };
        here.filter_map(keys).collect()
    }

    /// The keep annotation that a backup will have: one end alone may ask for it, and the one that asks for more counts.
    fn keep(&self, id: BackupId) -> Option<Keep> {
        let here = self.replica.backups.get(&id).and_then(|local| local.keep);
        stronger(here, self.primary.backups.get(&id).and_then(|backup| backup.keep))
    }

    fn is_gone(&self, id: BackupId) -> bool {
        !self.primary.backups.contains_key(&id)
    }

    /// The whole set that the selection is made over: what the primary and the site have together. What has to wait takes
    /// nobody's place.
    fn candidates(&self) -> BTreeMap<BackupId, Candidate> {
        self.candidates_but(|id| self.waiting.contains_key(&id))
    }

    /// The same without some of those that are at the primary alone.
    fn candidates_but(&self, is_left_out: impl Fn(BackupId) -> bool) -> BTreeMap<BackupId, Candidate> {
        // What may be deleted because the primary no longer has it must not use up a place in the selection.
        let is_leaving = |id| self.policy.prune.gone_at_primary && self.is_gone(id) && self.keep(id).is_none();
        let here = self.here().into_iter().filter(|(id, _)| !is_leaving(*id));
        let there = self.primary.backups.iter().filter(|(id, backup)| is_usable(backup) && !is_left_out(**id));
        let there = there.map(|(id, backup)| (*id, &backup.facts));
        let candidate = |(id, facts): (BackupId, &BackupFacts)| {
            let is_whole = is_usable_at(self.primary, id) || self.replica.is_whole(id);
            (id, Candidate { end_time: facts.end_time, parent: facts.parent, keep: self.keep(id), is_whole })
        };
        // Of one that both have, what is known of the one here counts.
        there.chain(here).map(candidate).collect()
    }

    /// Those of the waiting ones that would be copied.
    fn waiting(&self, now: Timestamp) -> Vec<(BackupId, Segment)> {
        if self.waiting.is_empty() {
            return Vec::new();
        }
        let wanted = select(&self.policy.backups, &self.candidates_but(|_| false), now);
        self.waiting.iter().filter(|(id, _)| wanted.contains(id)).map(|(id, segment)| (*id, *segment)).collect()
    }

    fn orphans(&self, candidates: &BTreeMap<BackupId, Candidate>) -> Vec<(BackupId, BackupId)> {
        let here = self.here();
        let orphan = |(id, candidate): (&BackupId, &Candidate)| {
            let is_missing = |parent: &BackupId| !candidates.contains_key(parent) && !here.contains_key(parent);
            candidate.parent.filter(is_missing).map(|parent| (*id, parent))
        };
        candidates.iter().filter_map(orphan).collect()
    }

    /// What would be copied if it were of use. Each is judged as if it alone were, and many as if all of them were.
    fn unusable(&self, kind: BaseKind, candidates: &BTreeMap<BackupId, Candidate>, now: Timestamp) -> Vec<BackupId> {
        let is_lost = |id: &BackupId, backup: &PrimaryBackup| {
            backup.base == kind
                && backup.facts.status == Status::Done
                && !backup.going_away
                && !candidates.contains_key(id)
        };
        let lost = self.primary.backups.iter().filter(|(id, backup)| is_lost(id, backup));
        let candidate = |(id, backup): (&BackupId, &PrimaryBackup)| {
            let (end_time, parent) = (backup.facts.end_time, backup.facts.parent);
            (*id, Candidate { end_time, parent, keep: self.keep(*id), is_whole: true })
        };
        let lost: Vec<(BackupId, Candidate)> = lost.map(candidate).collect();
        let together = if lost.len() > MANY_UNUSABLE { lost.len() } else { 1 };
        let wanted = lost.chunks(together).flat_map(|some| {
            let mut all = candidates.clone();
            all.extend(some.iter().copied());
            let selected = select(&self.policy.backups, &all, now);
            some.iter().map(|(id, _)| *id).filter(move |id| selected.contains(id))
        });
        wanted.collect()
    }

    /// The backups here that may be deleted, however many at once.
    fn allowed(&self, selected: &BTreeSet<BackupId>) -> BTreeMap<BackupId, Reason> {
        let here = self.here();
        let unwanted = here.keys().filter(|id| !selected.contains(id));
        let mut allowed = unwanted.filter_map(|id| Some((*id, self.prune_reason(*id)?))).collect();
        spare_parents(&mut allowed, &here);
        allowed
    }

    /// All of them or none: a share that goes with each plan would protect nothing where plans are applied every minute.
    fn prunes(&self, selected: &BTreeSet<BackupId>) -> Prunes {
        let here = self.here();
        let mut allowed = self.allowed(selected);
        let order = children_first(&allowed, &here);
        let to_come = selected.iter().filter(|id| !here.contains_key(id)).count();
        let most = most_pruned(self.policy, here.len() + to_come);
        if let Some(first) = order.first().filter(|_| order.len() > most) {
            let waits = HeldPrune { count: order.len(), first: *first, most };
            return Prunes { held: order.into_iter().collect(), waits: Some(waits), ..Prunes::default() };
        }
        let now = order.iter().filter_map(|id| Some((*id, allowed.remove(id)?))).collect();
        Prunes { now, ..Prunes::default() }
    }

    fn prune_reason(&self, id: BackupId) -> Option<Reason> {
        if self.keep(id).is_some() {
            None
        } else if self.policy.prune.gone_at_primary && self.is_gone(id) {
            Some(Reason::GoneAtPrimary)
        } else {
            self.policy.prune.unselected.then(|| Reason::Unselected(self.policy.backups.to_string()))
        }
    }

    fn kept(&self, selected: &BTreeSet<BackupId>, prunes: &Prunes) -> BTreeMap<BackupId, Kept> {
        let pruned: BTreeSet<BackupId> = prunes.now.iter().map(|(id, _)| *id).collect();
        let kept =
            |id: BackupId, facts: &BackupFacts, copy| (id, Kept { facts: facts.clone(), copy, keep: self.keep(id) });
        let here = self.here();
        let copied = selected.iter().filter(|id| !here.contains_key(id)).filter_map(|id| {
            let facts = &self.primary.backups.get(id)?.facts;
            Some(kept(*id, facts, Some(copy_reason(self.replica.backups.get(id)))))
        });
        let staying = here.iter().filter(|(id, _)| !pruned.contains(id)).map(|(id, facts)| kept(*id, facts, None));
        staying.chain(copied).collect()
    }

    /// What is said of backups that stay although the primary has them no longer, or the selection leaves them out.
    fn staying_notes(
        &self,
        selected: &BTreeSet<BackupId>,
        kept: &BTreeMap<BackupId, Kept>,
        told: &BTreeSet<BackupId>,
    ) -> Vec<Note> {
        let is_untold = |id: &BackupId| !told.contains(id);
        let (gone, both): (Vec<_>, Vec<_>) = kept.keys().copied().filter(is_untold).partition(|id| self.is_gone(*id));
        let unselected = both.iter().filter(|id| !selected.contains(id)).count();
        // Of one that is kept a person has said what becomes of it.
        let gone: Vec<BackupId> = gone.into_iter().filter(|id| self.keep(*id).is_none()).collect();
        let count = gone.len();
        let here_only = gone.first().map(|first| Note::KeptHereOnly { count, first: *first });
        here_only.into_iter().chain((unselected > 0).then_some(Note::Unselected(unselected))).collect()
    }

    /// Interrupted copies that nobody will finish are cleaned up; what may be whole is only spoken of.
    fn leftovers(&self, kept: &BTreeMap<BackupId, Kept>) -> (Vec<(BackupId, Reason)>, Vec<Note>) {
        let (mut zombies, mut notes) = (Vec::new(), Vec::new());
        let unpublished = self.replica.backups.iter().filter(|(_, local)| published(local).is_none());
        let parents: BTreeSet<BackupId> = kept.values().filter_map(|kept| kept.facts.parent).collect();
        for (id, local) in unpublished.filter(|(id, _)| !kept.contains_key(id)) {
            match self.zombie_reason(*id, local).filter(|_| local.keep.is_none() && !parents.contains(id)) {
                Some(reason) => zombies.push((*id, reason)),
                None if is_usable_at(self.primary, *id) || self.is_gone(*id) => notes.push(Note::OrphanedBase(*id)),
                // It is not DONE at the primary either, which a note says already.
                None => {}
            }
        }
        (zombies, notes)
    }

    /// Why a backup that was never published may be deleted. A base that may be whole is treated as a backup is.
    fn zombie_reason(&self, id: BackupId, local: &LocalBackup) -> Option<Reason> {
        let may_be_whole = local.published.as_ref().is_none_or(|published| published.facts.status.is_copied());
        let prune = self.policy.prune;
        if self.is_gone(id) {
            let reason = if may_be_whole { Reason::GoneAtPrimary } else { Reason::InterruptedAndGone };
            (!may_be_whole || prune.gone_at_primary).then_some(reason)
        } else {
            let is_allowed = is_usable_at(self.primary, id) && (!may_be_whole || prune.unselected);
            is_allowed.then_some(Reason::InterruptedAndUnselected)
        }
    }

    /// Whether the primary has a backup that it says is damaged there for now.
    fn is_damaged_there(&self, id: BackupId) -> bool {
        let is_damaged = |backup: &PrimaryBackup| backup.base == BaseKind::Damaged && !backup.going_away;
        self.primary.backups.get(&id).is_some_and(is_damaged)
    }

    fn stale_staging(&self, kept: &BTreeMap<BackupId, Kept>) -> Vec<(BackupId, Reason)> {
        let reason = |id: &BackupId| {
            let local = self.replica.backups.get(id);
            let is_whole = self.replica.is_whole(*id);
            match kept.get(id) {
                // It is mended there some day, and then goes on where it ended.
                _ if self.is_damaged_there(*id) && !is_whole => None,
                Some(Kept { copy: Some(_), .. }) => None,
                Some(_) if local.is_some_and(|local| is_repaired(self.primary, *id, local)) => None,
                Some(_) => Some(Reason::Interrupted(Status::Done)),
                None if self.is_gone(*id) => Some(Reason::InterruptedAndGone),
                None => Some(Reason::InterruptedAndUnselected),
            }
        };
        self.replica.staged.keys().filter_map(|id| Some((*id, reason(id)?))).collect()
    }
}

/// Of two keep annotations the one that keeps more.
fn stronger(a: Option<Keep>, b: Option<Keep>) -> Option<Keep> {
    if [a, b].contains(&Some(Keep::Full)) { Some(Keep::Full) } else { a.or(b) }
}

fn copy_reason(local: Option<&LocalBackup>) -> Reason {
    match local {
        None => Reason::MissingHere,
        Some(LocalBackup { published: Some(published), .. }) => Reason::Interrupted(published.facts.status),
        Some(LocalBackup { published: None, .. }) => Reason::Unpublished,
    }
}

/// A backup stays as long as one that builds on it does.
fn spare_parents(allowed: &mut BTreeMap<BackupId, Reason>, here: &BTreeMap<BackupId, &BackupFacts>) {
    let mut staying: Vec<BackupId> = here.keys().copied().filter(|id| !allowed.contains_key(id)).collect();
    while let Some(id) = staying.pop() {
        let parent = here.get(&id).and_then(|facts| facts.parent);
        if let Some(parent) = parent.filter(|parent| allowed.remove(parent).is_some()) {
            staying.push(parent);
        }
    }
}

/// Oldest chain first, and within a chain every child before what it builds on, so that any beginning of the list
/// can be deleted by itself.
fn children_first(allowed: &BTreeMap<BackupId, Reason>, here: &BTreeMap<BackupId, &BackupFacts>) -> Vec<BackupId> {
    let parent = |id: BackupId| here.get(&id)?.parent.filter(|parent| allowed.contains_key(parent));
    // Of each backup the full one that it builds on, and how far that is.
    let mut known: BTreeMap<BackupId, (BackupId, usize)> = BTreeMap::new();
    for id in allowed.keys() {
        let (mut walked, mut at) = (Vec::new(), *id);
        let mut seen = BTreeSet::new();
        let (full, mut length) = loop {
            if let Some(found) = known.get(&at) {
                break *found;
            }
            // Parents may go in a circle.
            let Some(parent) = parent(at).filter(|parent| !seen.contains(parent)) else {
                known.insert(at, (at, 1));
                break (at, 1);
            };
            seen.insert(at);
            walked.push(at);
            at = parent;
        };
        for id in walked.into_iter().rev() {
            length += 1;
            known.insert(id, (full, length));
        }
    }
    let mut keyed: Vec<(BackupId, usize, BackupId)> =
        known.into_iter().map(|(id, (full, length))| (full, length, id)).collect();
    keyed.sort_by(|a, b| a.0.cmp(&b.0).then(b.1.cmp(&a.1)).then(a.2.cmp(&b.2)));
    keyed.into_iter().map(|(_, _, id)| id).collect()
}

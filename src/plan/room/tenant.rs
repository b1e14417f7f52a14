//! A replica among those that share the file systems of a site: what it asks of them, and what it does without.

#![deny(clippy::wildcard_enum_match_arm)]

use std::collections::{BTreeMap, BTreeSet};

use jiff::{SignedDuration, Timestamp};

use crate::barman::ids::BackupId;
use crate::barman::wal::{Segment, SegmentSize};
use crate::barman::wal_entry::WalEntry;
use crate::observe::inventory::{Observation, Observed, PrimaryInventory, ReplicaObservation, Rooms};
use crate::site::model::{Replica, Reuse, WalsFrom};

use super::Disks;
use super::choice::{Demand, Verdict, Wish};
use super::cut::narrowed;
use crate::plan::action::address::Names;
use crate::plan::action::kinds::Effect;
use crate::plan::action::{Action, BackupCopy, Change, WalBatch};
use crate::plan::backup::{self, Kept};
use crate::plan::reason::{Reason, Warning};
use crate::plan::recovery::branch::archived_at;
use crate::plan::recovery::shortfall::Shortfall;
use crate::plan::replica::rounded_down;
use crate::plan::wal::runs::segment_of;
use crate::plan::wal::wanted::Wanted;
use crate::plan::{Outcome, Plan, ReplicaPlan, guard, scope};

/// A replica to which something is to come, and the room that is known for it.
pub struct Tenant<'a> {
    pub plan: &'a mut ReplicaPlan,
    pub rooms: Rooms,
    replica: &'a Replica,
    primary: &'a PrimaryInventory,
    observed: &'a ReplicaObservation,
    /// What it does without.
    pub lacking: Vec<Shortfall>,
    /// Bytes that its copies write where its backups are.
    pub written: u64,
    /// Bytes that make room there.
    pub freed: u64,
}

/// Those of a plan.
pub fn tenants<'a>(plan: &'a mut Plan, replicas: &'a [Replica], observation: &'a Observation) -> Vec<Tenant<'a>> {
    let tenants = plan.replicas.iter_mut().filter_map(|plan| {
        let replica = replicas.iter().find(|replica| replica.name == plan.name)?;
        let observed = observation.replicas.get(&plan.name)?;
        let Observed::Active(primary) = &observed.primary else { return None };
        let brings = plan.actions.iter().any(|action| action.bytes_to_copy() > 0);
        let rooms = observed.replica.rooms.filter(|_| plan.outcome == Outcome::Planned && brings)?;
        Some(Tenant { plan, rooms, replica, primary, observed, lacking: Vec::new(), written: 0, freed: 0 })
    });
    tenants.collect()
}

/// Of so many backups it is worked out exactly which WAL comes only because of them.
const WEIGHED_EXACTLY: usize = 64;

impl Tenant<'_> {
    /// Bytes of WAL that the primary archived in its last day.
    pub fn archived_in_a_day(&self) -> u64 {
        let wals = || self.primary.wals.iter().filter(|entry| entry.name.segment().is_some());
        let newest = wals().filter_map(|entry| archived_at(entry.mtime)).max();
        let day_before = newest.and_then(|newest| newest.checked_sub(SignedDuration::from_hours(24)).ok());
        wals()
            .filter(|entry| archived_at(entry.mtime) > day_before)
            .map(|entry| entry.size)
            .fold(0, u64::saturating_add)
    }

    /// Has so much room left whenever a copy begins. What makes the replica recoverable at all may use it.
    pub fn keep(&mut self, kept: u64) {
        let is_recoverable = self.plan.before.window.is_some();
        if let Some(target) = &mut self.plan.target {
            let least = self.rooms.bases.reserve;
            target.reserve = if is_recoverable { rounded_down(kept.max(least)) } else { rounded_down(least) };
        }
    }

    /// Bytes that would come: of backups, and of WAL.
    pub fn bytes(&self) -> [u64; 2] {
        let bases = self.copies().map(|effect| self.wish(effect).bytes).fold(0, u64::saturating_add);
        let batches = self.plan.actions.iter().filter_map(|action| action.change.effect().shipped());
        [bases, batches.map(WalBatch::bytes).fold(0, u64::saturating_add)]
    }

    /// What it asks for.
    pub fn demand(&self, disks: &Disks, now: Timestamp) -> Demand {
        let batches = self.plan.actions.iter().filter_map(|action| action.change.effect().shipped());
        let mut wals: Vec<(Segment, u64)> =
            batches.flat_map(|b| &b.entries).filter_map(|e| Some((segment_of(e.name)?, e.size))).collect();
        wals.sort_unstable();
        let sum = |wals: &[(Segment, u64)], is_meant: &dyn Fn(Segment) -> bool| -> u64 {
            wals.iter().filter(|(segment, _)| is_meant(*segment)).map(|(_, size)| size).sum()
        };
        let bytes = |is_meant: &dyn Fn(Segment) -> bool| sum(&wals, is_meant);
        let copies: Vec<Effect<'_>> = self.copies().collect();
        let ids: Vec<BackupId> = copies.iter().filter_map(|effect| Some(effect.copied()?.id)).collect();
        let places: BTreeMap<BackupId, usize> = ids.iter().enumerate().map(|(place, id)| (*id, place)).collect();
        let place = |id: BackupId| places.get(&id).copied();
        let all = self.all_kept(now);
        let mut taken = BTreeSet::new();
        let mut before = self.asked_by(&all, &taken);
        let mut demand = Demand {
            bases: disks.place(self.rooms.bases),
            wals: disks.place(self.rooms.wals),
            wal: bytes(&|segment| before.has(segment)),
            is_recoverable: self.plan.before.window.is_some(),
            wishes: Vec::new(),
        };
        for (effect, id) in copies.iter().zip(&ids) {
            let mut wish = self.wish(*effect);
            if let Some(copy) = effect.published() {
                taken.insert(*id);
                let needed = self.span(*id).map_or(&[][..], |(first, last)| {
                    let begins = wals.partition_point(|(segment, _)| *segment < first);
                    let ends = wals.partition_point(|(segment, _)| *segment <= last);
                    wals.get(begins..ends).unwrap_or_default()
                });
                wish.parent = copy.parent.and_then(place);
                wish.basis = copy.reuse.as_ref().and_then(|reuse| Some((place(reuse.from)?, self.reused(copy))));
                wish.needed = sum(needed, &|segment| !before.has(segment));
                // What follows the very old ones is cut by itself, where it does not fit.
                wish.wal = wish.needed;
                if taken.len() <= WEIGHED_EXACTLY {
                    let after = self.asked_by(&all, &taken);
                    wish.wal = bytes(&|segment| after.has(segment) && !before.has(segment));
                    before = after;
                }
            }
            demand.wishes.push(wish);
        }
        demand
    }

    /// Leaves out what does not fit, and what only that asks for.
    pub fn take_out(&mut self, verdicts: &[Verdict], now: Timestamp) {
        let out = self.judged(verdicts);
        if out.unfit.is_empty() {
            return;
        }
        let asked = self.asked_by(&self.all_kept(now), &out.taken);
        let names = Names { replica: &self.plan.name, segment_size: self.segment_size() };
        let staging = |id: &BackupId| names.action(Change::RemoveStaging { id: *id }, Reason::NoRoom);
        let mut actions: Vec<Action> = out.makes_room.iter().map(staging).collect();
        let mut prunes = Prunes::beside(&self.plan.actions, out.unpublished, self.replica);
        for mut action in self.plan.actions.iter().cloned() {
            let stays = match action.change.effect() {
                Effect::BackupComes(copy) | Effect::FilesCome(copy) => !out.unfit.contains(&copy.id),
                Effect::Keep(id, _) => !out.unfit.contains(&id),
                Effect::WalsCome(batch) => {
                    let is_asked = |entry: &WalEntry| segment_of(entry.name).is_none_or(|segment| asked.has(segment));
                    let needed_by = batch.needed_by.filter(|id| !out.unfit.contains(id));
                    actions.extend(narrowed(&WalBatch { needed_by, ..batch.clone() }, names, is_asked));
                    false
                }
                Effect::BackupGoes { .. } => prunes.let_go(&action),
                Effect::WalsGo(..) => prunes.wal,
                Effect::Server
                | Effect::List
                | Effect::History(_)
                | Effect::Info(..)
                | Effect::Links(_)
                | Effect::StagingGoes(_) => true,
            };
            // It is deleted when those that stay are found good, and not without looking.
            let is_judged = action.change.leaves_mut().filter(|leaves| !leaves.is_empty()).is_none_or(|leaves| {
                leaves.retain(|id| !out.unfit.contains(id));
                !leaves.is_empty()
            });
            actions.extend((stays && is_judged).then_some(action));
        }
        self.plan.actions = actions;
    }

    /// Notes what does not fit, and what the rest writes.
    fn judged(&mut self, verdicts: &[Verdict]) -> Out {
        let (mut out, mut lacking) = (Out::default(), Vec::new());
        let (mut written, mut freed) = (0_u64, 0_u64);
        for (effect, verdict) in self.copies().zip(verdicts) {
            let Some(copy) = effect.copied() else { continue };
            let wish = self.wish(effect);
            match verdict {
                Verdict::Fits => {
                    let basis = copy.reuse.as_ref().filter(|reuse| out.unfit.contains(&reuse.from));
                    let lost = basis.map_or(0, |_| self.reused(copy));
                    written = written.saturating_add(wish.bytes).saturating_add(lost);
                    out.taken.insert(copy.id);
                }
                Verdict::DoesNotFit { needed, left, makes_room } => {
                    let (needed, left) = (*needed, rounded_down(*left));
                    lacking.push(Shortfall::NoRoom { backup: copy.id, needed, left });
                    out.unfit.insert(copy.id);
                    out.unpublished += usize::from(effect.published().is_some());
                    if *makes_room {
                        freed = freed.saturating_add(wish.staged);
                        out.makes_room.push(copy.id);
                    }
                }
            }
        }
        (self.lacking, self.written, self.freed) = (lacking, written, freed);
        out
    }

    /// Corrects what the plan says of itself.
    pub fn settle(&mut self, now: Timestamp) {
        if self.lacking.is_empty() {
            return;
        }
        self.plan.shortfalls.append(&mut self.lacking);
        scope::settle(self.plan, self.observed, now);
        self.plan.warnings.retain(|warning| !matches!(warning, Warning::BehindObjective { .. }));
        let (rpo, before, after) = (self.replica.policy.rpo, &self.plan.before, &self.plan.after);
        self.plan.warnings.extend(guard::behind_objective(rpo, before, after, now));
    }

    /// The size by which its WAL is numbered.
    pub fn segment_size(&self) -> SegmentSize {
        self.plan.target.as_ref().map(|target| target.segment_size).unwrap_or_default()
    }

    /// What brings files of backups, most wanted first.
    fn copies(&self) -> impl Iterator<Item = Effect<'_>> {
        let effects = self.plan.actions.iter().map(|action| action.change.effect());
        effects.filter(|effect| effect.copied().is_some())
    }

    /// What one of them writes.
    fn wish(&self, effect: Effect<'_>) -> Wish {
        match (effect.published(), effect.copied()) {
            (Some(copy), _) if !copy.adopt => {
                let reused = self.reused(copy);
                let bytes = copy.size.saturating_sub(reused.max(copy.staged));
                Wish { bytes, staged: copy.staged.saturating_sub(reused), ..Wish::default() }
            }
            (None, Some(repair)) => Wish { bytes: repair.size, ..Wish::default() },
            (Some(_) | None, _) => Wish::default(),
        }
    }

    /// Bytes that take no room of their own, as another backup has them.
    fn reused(&self, copy: &BackupCopy) -> u64 {
        let shares = self.replica.policy.transfer.reuse != Reuse::Copy;
        copy.reuse.as_ref().filter(|_| shares).map_or(0, |reuse| reuse.bytes)
    }

    fn span(&self, id: BackupId) -> Option<(Segment, Segment)> {
        let facts = &self.primary.backups.get(&id)?.facts;
        facts.begin_wal.zip(facts.end_wal)
    }

    /// The backups that the site will have if all that are to come do.
    fn all_kept(&self, now: Timestamp) -> BTreeMap<BackupId, Kept> {
        backup::diff(&self.replica.policy, self.primary, &self.observed.replica, now).kept
    }

    /// The WAL that is asked for when of the backups which are to come only these do, of all that there would be.
    fn asked_by(&self, all: &BTreeMap<BackupId, Kept>, taken: &BTreeSet<BackupId>) -> Asked {
        let comes: BTreeSet<BackupId> = self.copies().filter_map(|e| Some(e.published()?.id)).collect();
        let stays = |(id, _): &(&BackupId, &Kept)| !comes.contains(id) || taken.contains(id);
        let kept: BTreeMap<BackupId, Kept> = all.iter().filter(stays).map(|(id, kept)| (*id, kept.clone())).collect();
        // Where nothing will be recoverable, WAL is of no use.
        let is_of_use = !kept.is_empty() || comes.is_empty();
        Asked(is_of_use.then(|| Wanted::new(&self.replica.policy, self.primary, &kept)))
    }
}

/// The WAL that is asked for.
struct Asked(Option<Wanted>);

impl Asked {
    fn has(&self, segment: Segment) -> bool {
        self.0.as_ref().is_some_and(|wanted| wanted.covers(segment))
    }
}

/// What does not fit, of the backups of a replica.
#[derive(Default)]
struct Out {
    unfit: BTreeSet<BackupId>,
    /// How many of them are not here yet.
    unpublished: usize,
    /// Those of them of which an earlier copy left something that is in the way.
    makes_room: Vec<BackupId>,
    /// The others.
    taken: BTreeSet<BackupId>,
}

/// The deletions that go on beside backups that do not fit.
struct Prunes {
    /// How many good backups may go, of those that come first.
    backups: usize,
    /// Whether WAL may.
    wal: bool,
}

impl Prunes {
    /// For each backup that does not come, one that would go is spared.
    fn beside(actions: &[Action], unpublished: usize, replica: &Replica) -> Self {
        let all = actions.iter().filter(|action| is_of_good(&action.reason)).count();
        let is_spared = unpublished > 0 && all > 0;
        let wal = !is_spared && replica.policy.wals_from != WalsFrom::NewestBackup;
        Self { backups: all.saturating_sub(unpublished), wal }
    }

    fn let_go(&mut self, action: &Action) -> bool {
        if !is_of_good(&action.reason) {
            return true;
        }
        let goes = self.backups > 0;
        self.backups = self.backups.saturating_sub(1);
        goes
    }
}

/// Whether a backup that goes may be a good one.
fn is_of_good(reason: &Reason) -> bool {
    matches!(reason, Reason::Unselected(_) | Reason::GoneAtPrimary)
}

//! The WAL that a replica is to have.

use std::collections::{BTreeMap, BTreeSet};

use crate::barman::backup_info::Status;
use crate::barman::ids::{BackupId, SystemId};
use crate::barman::keep::Keep;
use crate::barman::wal::{Segment, Timeline};
use crate::observe::inventory::{BackupFacts, BaseKind, PrimaryBackup, PrimaryInventory};
use crate::site::model::{Policy, WalsFrom};

use crate::plan::backup::{self, Kept};

/// The WAL that the backups ask for.
pub struct Wanted {
    /// Everything from this name on; `None`: nothing but `needed`.
    from: Option<Segment>,
    /// Everything, as nothing tells where to begin.
    everything: bool,
    /// What makes the backups consistent, from a first to a last name: in order, and disjoint.
    needed: Vec<(Segment, Segment)>,
    /// The WAL of clusters of which no backup is wanted.
    foreign: Foreign,
    /// Whether the rest may be deleted.
    pub may_prune: bool,
}

impl Wanted {
    /// What these backups ask for, under this policy.
    pub fn new(policy: &Policy, primary: &PrimaryInventory, kept: &BTreeMap<BackupId, Kept>) -> Self {
        let claims = claims(primary, kept);
        let spans = || claims.values().map(|claim| claim.begin.zip(claim.end));
        let to_the_end = || claims.values().filter(|claim| claim.to_the_end);
        let from = first_claim(policy, &claims).map(|(begin, _)| begin);
        let everything = match policy.wals_from {
            WalsFrom::OldestBackup => claims.is_empty() || to_the_end().any(|claim| claim.begin.is_none()),
            WalsFrom::NewestBackup => claims.is_empty(),
            WalsFrom::BackupsOnly => false,
        };
        let is_allowed = policy.prune.unselected || policy.prune.gone_at_primary;
        let may_prune = is_allowed && !claims.is_empty() && spans().all(|span| span.is_some());
        let foreign = Foreign::new(primary, kept);
        Self { from, everything, foreign, needed: disjoint(spans().flatten().collect()), may_prune }
    }

    /// Whether all segments between these two are certain to be wanted, with both.
    pub fn covers_all(&self, first: Segment, last: Segment) -> bool {
        let is_from_on = self.everything || self.from.is_some_and(|from| first >= from);
        is_from_on && self.foreign.is_empty() || self.needed.iter().any(|(from, to)| *from <= first && last <= *to)
    }

    /// Whether a segment, or what belongs to it, is wanted.
    pub fn covers(&self, segment: Segment) -> bool {
        let is_needed = || {
            let before = self.needed.partition_point(|(first, _)| *first <= segment);
            before.checked_sub(1).and_then(|i| self.needed.get(i)).is_some_and(|(_, last)| segment <= *last)
        };
        let is_wanted = || self.everything || self.from.is_some_and(|from| segment >= from);
        is_needed() || (is_wanted() && !self.foreign.has(segment))
    }
}

/// The systems of which the primary has whole backups, none of them wanted here.
pub fn unwanted_systems(primary: &PrimaryInventory, kept: &BTreeMap<BackupId, Kept>) -> BTreeSet<SystemId> {
    let kept: BTreeSet<SystemId> = kept.values().filter_map(|kept| kept.facts.system).collect();
    let there = primary.backups.values().filter(|backup| backup::is_usable(backup));
    there.filter_map(|backup| backup.facts.system).filter(|system| !kept.contains(system)).collect()
}

/// The WAL of clusters of which no backup is wanted. A segment is of the cluster whose backup began last before it on its
/// timeline or, before any of them, of the first one's.
#[derive(Default)]
struct Foreign {
    unwanted: BTreeSet<SystemId>,
    /// Where the backups of each timeline began, in order.
    begun: BTreeMap<Timeline, Vec<(Segment, SystemId)>>,
}

impl Foreign {
    fn new(primary: &PrimaryInventory, kept: &BTreeMap<BackupId, Kept>) -> Self {
        let unwanted = unwanted_systems(primary, kept);
        let mut begun: BTreeMap<Timeline, Vec<(Segment, SystemId)>> = BTreeMap::new();
        if !unwanted.is_empty() {
            let there = primary.backups.values().map(|backup| &backup.facts);
            for facts in there.chain(kept.values().map(|kept| &kept.facts)) {
                if let (Some(begin), Some(system)) = (facts.begin_wal, facts.system) {
                    begun.entry(begin.timeline).or_default().push((begin, system));
                }
            }
            for begun in begun.values_mut() {
                begun.sort_unstable();
            }
        }
        Self { unwanted, begun }
    }

    fn is_empty(&self) -> bool {
        self.unwanted.is_empty()
    }

    fn has(&self, segment: Segment) -> bool {
        let Some(begun) = self.begun.get(&segment.timeline) else { return false };
        let last = begun.partition_point(|(begin, _)| *begin <= segment).saturating_sub(1);
        begun.get(last).is_some_and(|(_, system)| self.unwanted.contains(system))
    }
}

/// The backup from which on everything is wanted.
pub fn first_backup(policy: &Policy, primary: &PrimaryInventory, kept: &BTreeMap<BackupId, Kept>) -> Option<BackupId> {
    first_claim(policy, &claims(primary, kept)).map(|(_, id)| id)
}

fn first_claim(policy: &Policy, claims: &BTreeMap<BackupId, Claim>) -> Option<(Segment, BackupId)> {
    let to_the_end = claims.iter().filter(|(_, claim)| claim.to_the_end);
    let mut begins = to_the_end.filter_map(|(id, claim)| Some((claim.begin?, *id)));
    match policy.wals_from {
        // Barman counts from the smallest name as well, so that both list the same WAL.
        WalsFrom::OldestBackup => begins.min(),
        WalsFrom::NewestBackup => begins.next_back(),
        WalsFrom::BackupsOnly => None,
    }
}

/// What a backup asks of the archive.
struct Claim {
    begin: Option<Segment>,
    end: Option<Segment>,
    /// Whether it asks for what follows it as well.
    to_the_end: bool,
}

/// The claims of the backups that the site will have, and of those that only live in the primary's cloud: a snapshot
/// cannot be copied, but whoever restores it there needs WAL as for any other backup.
fn claims(primary: &PrimaryInventory, kept: &BTreeMap<BackupId, Kept>) -> BTreeMap<BackupId, Claim> {
    let claim = |facts: &BackupFacts, keep: Option<Keep>| {
        let to_the_end = keep != Some(Keep::Standalone);
        Claim { begin: facts.begin_wal, end: facts.end_wal, to_the_end }
    };
    let is_snapshot = |backup: &PrimaryBackup| {
        backup.base == BaseKind::CloudSnapshot && backup.facts.status == Status::Done && !backup.going_away
    };
    let snapshots = primary.backups.iter().filter(|(_, backup)| is_snapshot(backup));
    let keep = |id, backup: &PrimaryBackup| kept.get(id).map_or(backup.keep, |kept| kept.keep);
    let snapshots = snapshots.map(|(id, backup)| (*id, claim(&backup.facts, keep(id, backup))));
    let kept = kept.iter().map(|(id, kept)| (*id, claim(&kept.facts, kept.keep)));
    // A snapshot claims what it needs also when a copy that is here of it leaves.
    kept.chain(snapshots).collect()
}

/// The same spans in order, overlapping ones melted into one, and none that runs backwards.
pub fn disjoint(mut spans: Vec<(Segment, Segment)>) -> Vec<(Segment, Segment)> {
    spans.retain(|(first, last)| first <= last);
    spans.sort_unstable();
    let mut disjoint: Vec<(Segment, Segment)> = Vec::with_capacity(spans.len());
    for (first, last) in spans {
        match disjoint.last_mut() {
            Some((_, end)) if first <= *end => *end = last.max(*end),
            _ => disjoint.push((first, last)),
        }
    }
    disjoint
}

//! Batches of WAL cut where a pattern begins or ends, and put together again where all of it stays.

#![deny(clippy::wildcard_enum_match_arm)]

use crate::barman::wal::{SegmentSize, WalName};
use crate::barman::wal_set::WalRange;
use crate::plan::ReplicaPlan;
use crate::plan::action::address::Names;
use crate::plan::action::kinds::Effect;
use crate::plan::action::{Action, WalBatch};
use crate::plan::wal::shipping::{delete, ship};

use crate::site::pattern::Pattern;

/// Where a piece comes from: its action's place in the plan, and its place among the pieces of that action.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CutFrom {
    action: usize,
    piece: usize,
}

/// Cuts a replica's batches so that each is named by a pattern with all of its files, or with none. One without a range
/// has the name of its first file, and stays whole when that is asked for.
pub fn cut(plan: &mut ReplicaPlan, patterns: &[&Pattern]) -> Vec<CutFrom> {
    let names = Names { replica: &plan.name, segment_size: segment_size(plan) };
    let mut origins = Vec::new();
    let mut pieces = Vec::new();
    for (place, action) in std::mem::take(&mut plan.actions).into_iter().enumerate() {
        let cut = pieces_of(action, names, patterns);
        origins.extend((0..cut.len()).map(|piece| CutFrom { action: place, piece }));
        pieces.extend(cut);
    }
    plan.actions = pieces;
    origins
}

/// Keeps some pieces, and joins those that were one. How many actions are not whole any more.
pub fn keep(plan: &mut ReplicaPlan, origins: &[CutFrom], keeps: impl Fn(usize) -> bool) -> usize {
    let names = Names { replica: &plan.name, segment_size: segment_size(plan) };
    let mut kept: Vec<(CutFrom, Action)> = Vec::new();
    let mut left_out: Vec<usize> = Vec::new();
    for (place, (action, origin)) in std::mem::take(&mut plan.actions).into_iter().zip(origins).enumerate() {
        if !keeps(place) {
            left_out.push(origin.action);
            continue;
        }
        let follows =
            |last: &&mut (CutFrom, Action)| last.0.action == origin.action && last.0.piece + 1 == origin.piece;
        if let Some(last) = kept.last_mut().filter(follows) {
            *last = (*origin, joined(&last.1, action, names));
        } else {
            kept.push((*origin, action));
        }
    }
    plan.actions = kept.into_iter().map(|(_, action)| action).collect();
    left_out.dedup();
    left_out.len()
}

fn segment_size(plan: &ReplicaPlan) -> SegmentSize {
    plan.target.as_ref().map(|target| target.segment_size).unwrap_or_default()
}

fn pieces_of(action: Action, names: Names<'_>, patterns: &[&Pattern]) -> Vec<Action> {
    if patterns.iter().any(|pattern| pattern.is_address_of(&action)) {
        return vec![action];
    }
    let size = names.segment_size;
    let side = |name: WalName| -> Vec<bool> {
        patterns.iter().filter_map(|pattern| pattern.wals()).map(|wals| wals.contain(name)).collect()
    };
    let effect = action.change.effect();
    let mut pieces: Vec<Action> = Vec::new();
    if let Some(batch) = effect.shipped() {
        pieces.extend(cut_batch(batch, side, size).into_iter().map(|piece| ship(names, piece)));
    } else if let Effect::WalsGo(range, files) = effect {
        let listed: Vec<(WalName, u64)> = files.iter().map(|(name, bytes)| (*name, *bytes)).collect();
        let piece = |piece: &[(WalName, u64)]| {
            let range = range.and_then(|range| part(range, piece.iter().map(|(name, _)| *name), size));
            delete(names, range, piece.iter().copied().collect())
        };
        pieces.extend(listed.chunk_by(|a, b| side(a.0) == side(b.0)).map(piece));
    }
    if pieces.len() > 1 { pieces } else { vec![action] }
}

fn cut_batch(batch: &WalBatch, side: impl Fn(WalName) -> Vec<bool>, size: SegmentSize) -> Vec<WalBatch> {
    let piece = |entries: &[crate::barman::wal_entry::WalEntry]| WalBatch {
        range: batch.range.and_then(|range| part(range, entries.iter().map(|entry| entry.name), size)),
        entries: entries.to_vec(),
        here: entries.iter().filter_map(|e| Some((e.name, *batch.here.get(&e.name)?))).collect(),
        undescribed: entries.iter().map(|e| e.name).filter(|name| batch.undescribed.contains(name)).collect(),
        disproved: batch.disproved_of(entries),
        needed_by: batch.needed_by,
        accepted: batch.accepted,
    };
    batch.entries.chunk_by(|a, b| side(a.name) == side(b.name)).map(piece).collect()
}

/// The part of a range that these files of it are.
fn part(range: WalRange, names: impl Iterator<Item = WalName>, size: SegmentSize) -> Option<WalRange> {
    let mut numbers = names.filter_map(WalName::segment).filter_map(|segment| segment.number(size));
    let first = numbers.next()?;
    Some(WalRange { first, last: numbers.last().unwrap_or(first), ..range })
}

/// Two pieces that follow each other, as the one action that they were.
fn joined(one: &Action, next: Action, names: Names<'_>) -> Action {
    let (before, after) = (one.change.effect(), next.change.effect());
    if let (Some(one), Some(next)) = (before.shipped(), after.shipped()) {
        return ship(names, joined_batch(one, next.clone()));
    }
    if let (Effect::WalsGo(range, files), Effect::WalsGo(next, more)) = (before, after) {
        let files = files.iter().chain(more).map(|(name, size)| (*name, *size)).collect();
        return delete(names, joined_range(range, next), files);
    }
    next
}

fn joined_batch(one: &WalBatch, mut next: WalBatch) -> WalBatch {
    let mut entries = one.entries.clone();
    entries.append(&mut next.entries);
    let here = one.here.iter().map(|(name, size)| (*name, *size)).chain(next.here).collect();
    let undescribed = one.undescribed.iter().copied().chain(next.undescribed).collect();
    let disproved = one.disproved.clone().into_iter().chain(next.disproved).collect();
    let (needed_by, accepted) = (one.needed_by, one.accepted);
    WalBatch { range: joined_range(one.range, next.range), entries, here, undescribed, disproved, needed_by, accepted }
}

fn joined_range(one: Option<WalRange>, next: Option<WalRange>) -> Option<WalRange> {
    match (one, next) {
        (Some(one), Some(next)) => Some(WalRange { last: next.last, ..one }),
        (one, next) => one.or(next),
    }
}

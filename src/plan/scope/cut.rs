//! Batches of WAL cut where a pattern begins or ends, and put together again where all of it stays.

use std::collections::BTreeMap;

use crate::barman::wal::{SegmentSize, WalName};
use crate::barman::wal_set::WalRange;
use crate::plan::action::{Action, Change, ReplicaPlan, WalBatch};
use crate::plan::wal::shipping::WalActions;

use crate::site::pattern::Pattern;

/// Where a piece comes from: its action's place in the plan, and its place among the pieces of that action.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Origin {
    action: usize,
    piece: usize,
}

/// Cuts a replica's batches so that each is named by a pattern with all of its files, or with none. One without a range
/// has the name of its first file, and stays whole when that is asked for.
pub fn cut(plan: &mut ReplicaPlan, patterns: &[&Pattern]) -> Vec<Origin> {
    let size = segment_size(plan);
    let wal_actions = WalActions { replica: &plan.name, segment_size: size };
    let mut origins = Vec::new();
    let mut pieces = Vec::new();
    for (place, action) in std::mem::take(&mut plan.actions).into_iter().enumerate() {
        let cut = pieces_of(action, wal_actions, patterns);
        origins.extend((0..cut.len()).map(|piece| Origin { action: place, piece }));
        pieces.extend(cut);
    }
    plan.actions = pieces;
    origins
}

/// Keeps some pieces, and joins those that were one. How many actions are not whole any more.
pub fn keep(plan: &mut ReplicaPlan, origins: &[Origin], keeps: impl Fn(usize) -> bool) -> usize {
    let wal_actions = WalActions { replica: &plan.name, segment_size: segment_size(plan) };
    let mut kept: Vec<(Origin, Action)> = Vec::new();
    let mut left_out: Vec<usize> = Vec::new();
    for (place, (action, origin)) in std::mem::take(&mut plan.actions).into_iter().zip(origins).enumerate() {
        if !keeps(place) {
            left_out.push(origin.action);
            continue;
        }
        let follows = |last: &&mut (Origin, Action)| last.0.action == origin.action && last.0.piece + 1 == origin.piece;
        if let Some(last) = kept.last_mut().filter(follows) {
            *last = (*origin, joined(&last.1, action, wal_actions));
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

fn pieces_of(action: Action, wal_actions: WalActions<'_>, patterns: &[&Pattern]) -> Vec<Action> {
    if patterns.iter().any(|pattern| pattern.is_address_of(&action)) {
        return vec![action];
    }
    let size = wal_actions.segment_size;
    let side = |name: WalName| -> Vec<bool> {
        patterns.iter().filter_map(|pattern| pattern.wals()).map(|wals| wals.contain(name)).collect()
    };
    match &action.change {
        Change::AddWals(batch) => match cut_batch(batch, side, size) {
            pieces if pieces.len() > 1 => pieces.into_iter().map(|piece| wal_actions.add(piece)).collect(),
            _ => vec![action],
        },
        Change::RepairWals(batch) => match cut_batch(batch, side, size) {
            pieces if pieces.len() > 1 => pieces.into_iter().map(|piece| wal_actions.repair(piece)).collect(),
            _ => vec![action],
        },
        Change::RemoveWals { range, files } => {
            let listed: Vec<(WalName, u64)> = files.iter().map(|(name, bytes)| (*name, *bytes)).collect();
            let pieces: Vec<_> = listed.chunk_by(|a, b| side(a.0) == side(b.0)).collect();
            if pieces.len() < 2 {
                return vec![action];
            }
            let remove = |piece: &[(WalName, u64)]| {
                let range = range.and_then(|range| part(range, piece.iter().map(|(name, _)| *name), size));
                wal_actions.remove(range, piece.iter().copied().collect())
            };
            pieces.into_iter().map(remove).collect()
        }
        _ => vec![action],
    }
}

fn cut_batch(batch: &WalBatch, side: impl Fn(WalName) -> Vec<bool>, size: SegmentSize) -> Vec<WalBatch> {
    let piece = |entries: &[crate::barman::wal_entry::WalEntry]| WalBatch {
        range: batch.range.and_then(|range| part(range, entries.iter().map(|entry| entry.name), size)),
        entries: entries.to_vec(),
        here: entries.iter().filter_map(|e| Some((e.name, *batch.here.get(&e.name)?))).collect(),
        undescribed: entries.iter().map(|e| e.name).filter(|name| batch.undescribed.contains(name)).collect(),
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
fn joined(one: &Action, next: Action, wal_actions: WalActions<'_>) -> Action {
    match (&one.change, next.change) {
        (Change::AddWals(one), Change::AddWals(next)) => wal_actions.add(joined_batch(one, next)),
        (Change::RepairWals(one), Change::RepairWals(next)) => wal_actions.repair(joined_batch(one, next)),
        (Change::RemoveWals { range, files }, Change::RemoveWals { range: next, files: more }) => {
            let files: BTreeMap<WalName, u64> = files.iter().map(|(name, size)| (*name, *size)).chain(more).collect();
            wal_actions.remove(joined_range(*range, next), files)
        }
        (_, change) => Action { change, ..next },
    }
}

fn joined_batch(one: &WalBatch, mut next: WalBatch) -> WalBatch {
    let mut entries = one.entries.clone();
    entries.append(&mut next.entries);
    let here = one.here.iter().map(|(name, size)| (*name, *size)).chain(next.here).collect();
    let undescribed = one.undescribed.iter().copied().chain(next.undescribed).collect();
    let (needed_by, accepted) = (one.needed_by, one.accepted);
    WalBatch { range: joined_range(one.range, next.range), entries, here, undescribed, needed_by, accepted }
}

fn joined_range(one: Option<WalRange>, next: Option<WalRange>) -> Option<WalRange> {
    match (one, next) {
        (Some(one), Some(next)) => Some(WalRange { last: next.last, ..one }),
        (one, next) => one.or(next),
    }
}

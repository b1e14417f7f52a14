//! How WAL files are put together into batches, and how these become actions: why they are shipped.

#![deny(clippy::wildcard_enum_match_arm)]

use std::collections::BTreeMap;

use crate::barman::damage::DamageNote;
use crate::barman::wal::{SegmentSize, WalName};
use crate::barman::wal_entry::WalEntry;
use crate::barman::wal_map::WalMap;
use crate::barman::wal_set::WalRange;
use crate::observe::inventory::Undescribed;
use crate::plan::action::address::Names;
use crate::plan::action::{Action, Change, WalBatch};
use crate::plan::order::stages::{Division, Stage};
use crate::plan::reason::Reason;

use super::runs::{Run, Runs, segment_of};

/// WAL files that are shipped, by the number of the stage that they are shipped in.
#[derive(Debug)]
pub struct Shipment<'a> {
    places: &'a Division,
    size: SegmentSize,
    stages: BTreeMap<usize, Runs<WalEntry>>,
}

impl<'a> Shipment<'a> {
    /// Nothing yet.
    pub fn new(places: &'a Division, size: SegmentSize) -> Self {
        Self { places, size, stages: BTreeMap::new() }
    }

    /// Adds the file that comes next; a history file is shipped by itself.
    pub fn push(&mut self, entry: WalEntry) {
        if let Some(segment) = segment_of(entry.name) {
            let runs = self.stages.entry(self.places.of(segment)).or_insert_with(|| Runs::new(self.size));
            runs.push(entry.name, entry);
        }
    }

    /// The batches of each stage, with what is here already, what of that is damaged, and what the primary's list does not
    /// describe.
    pub fn batches(
        self,
        stages: &[Stage],
        (here, damage): (&WalMap<u64>, &DamageNote),
        undescribed: &BTreeMap<WalName, Undescribed>,
    ) -> BTreeMap<usize, Vec<WalBatch>> {
        let batches = |(number, runs): (usize, Runs<WalEntry>)| {
            let needed_by = match stages.get(number) {
                Some(Stage::Backup(id)) => Some(*id),
                _ => None,
            };
            let batch = |(range, entries): Run<WalEntry>| {
                let here = entries.iter().filter_map(|entry| Some((entry.name, here.get(entry.name)?))).collect();
                let names = entries.iter().map(|entry| entry.name);
                let undescribed = names.filter(|name| undescribed.contains_key(name)).collect();
                let why = |entry: &WalEntry| Some((entry.name, damage.wals.get(&entry.name)?.told()));
                let disproved =
                    if damage.wals.is_empty() { BTreeMap::new() } else { entries.iter().filter_map(why).collect() };
                WalBatch { range, entries, here, undescribed, disproved, needed_by, accepted: false }
            };
            (number, runs.into_runs().map(batch).collect())
        };
        self.stages.into_iter().map(batches).collect()
    }
}

/// Ships files: again those that are here with another size.
pub fn ship(names: Names<'_>, batch: WalBatch) -> Action {
    if batch.here.is_empty() {
        let reason = batch.needed_by.map_or(Reason::MissingHere, Reason::NeededBy);
        return names.action(Change::AddWals(batch), reason);
    }
    let reason = repair_reason(&batch);
    names.action(Change::RepairWals(batch), reason)
}

fn repair_reason(batch: &WalBatch) -> Reason {
    let first = batch.entries.first();
    let here = first.and_then(|first| batch.here.get(&first.name)).copied().unwrap_or_default();
    let (there, files) = (first.map_or(0, |first| first.size), batch.entries.len() as u64);
    let is_of_same_size = batch.entries.iter().any(|entry| batch.here.get(&entry.name) == Some(&entry.size));
    if batch.accepted {
        Reason::Accepted { here, there, files }
    } else if let Some((name, why)) = batch.disproved.first_key_value() {
        let why = if files > 1 { format!("{name}: {why}") } else { why.clone() };
        Reason::ContentDisproved { files, why }
    } else if is_of_same_size {
        Reason::ContentDamaged { files }
    } else {
        Reason::SizeDiffers { here, there, files }
    }
}

/// Deletes files.
pub fn delete(names: Names<'_>, range: Option<WalRange>, files: BTreeMap<WalName, u64>) -> Action {
    names.action(Change::RemoveWals { range, files }, Reason::NoBackupNeedsIt)
}

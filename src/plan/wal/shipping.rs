//! How WAL files become actions, and why they are shipped.

#![deny(clippy::wildcard_enum_match_arm)]

use std::collections::BTreeMap;

use crate::barman::wal::WalName;
use crate::barman::wal_set::WalRange;
use crate::plan::action::address::Names;
use crate::plan::action::{Action, Change, WalBatch};
use crate::plan::reason::Reason;

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

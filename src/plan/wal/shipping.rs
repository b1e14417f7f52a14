//! How WAL files become actions: what a batch is called, and why it is shipped.

use std::collections::BTreeMap;

use crate::barman::ids::ServerName;
use crate::barman::wal::{SegmentSize, WalName};
use crate::barman::wal_set::WalRange;

use crate::plan::action::{Action, Address, Change, WalBatch};
use crate::plan::reason::Reason;

/// A replica's name and the size of its segments: what the actions for its WAL are named by.
#[derive(Debug, Clone, Copy)]
pub struct WalActions<'a> {
    /// Its name at the site.
    pub replica: &'a ServerName,
    /// The size of its segments.
    pub segment_size: SegmentSize,
}

impl WalActions<'_> {
    /// Ships files that are not here.
    pub fn add(self, batch: WalBatch) -> Action {
        let reason = batch.needed_by.map_or(Reason::MissingHere, Reason::NeededBy);
        let address = self.address(batch.range, batch.entries.first().map(|entry| entry.name));
        Action { address, change: Change::AddWals(batch), reason }
    }

    /// Ships files again that are here with another size.
    pub fn repair(self, batch: WalBatch) -> Action {
        let first = batch.entries.first();
        let here = first.and_then(|first| batch.here.get(&first.name)).copied().unwrap_or_default();
        let (there, files) = (first.map_or(0, |first| first.size), batch.entries.len() as u64);
        let is_of_same_size = batch.entries.iter().any(|entry| batch.here.get(&entry.name) == Some(&entry.size));
        let reason = if batch.accepted {
            Reason::Accepted { here, there, files }
        } else if is_of_same_size {
            Reason::ContentDamaged { files }
        } else {
            Reason::SizeDiffers { here, there, files }
        };
        let address = self.address(batch.range, first.map(|entry| entry.name));
        Action { address, change: Change::RepairWals(batch), reason }
    }

    /// Deletes files.
    pub fn remove(self, range: Option<WalRange>, files: BTreeMap<WalName, u64>) -> Action {
        let address = self.address(range, files.keys().next().copied());
        Action { address, change: Change::RemoveWals { range, files }, reason: Reason::NoBackupNeedsIt }
    }

    /// By the range, or else by the first file.
    pub fn address(self, range: Option<WalRange>, first: Option<WalName>) -> Address {
        let name = match (range, first) {
            (Some(range), _) => range.address(self.segment_size),
            (None, first) => first.map(|name| name.to_string()).unwrap_or_default(),
        };
        Address::new(self.replica, "wal", name)
    }
}

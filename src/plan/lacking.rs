//! What a plan would copy: the observer asks the primary for the details of these and of nothing else, so that a
//! site which is in sync costs little.

use std::collections::BTreeSet;

use jiff::Timestamp;

use crate::barman::ids::BackupId;
use crate::barman::wal::SegmentSize;
use crate::barman::wal_entry::WalEntry;
use crate::observe::inventory::{PrimaryInventory, ReplicaInventory};
use crate::site::model::Replica;

use super::{diff_backups, diff_wals};

/// What a plan would copy.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Lacking {
    /// Backups that are not here, or are damaged here.
    pub backups: BTreeSet<BackupId>,
    /// WAL files that are not here, or are here with another size.
    pub wals: Vec<WalEntry>,
}

/// What a plan of this replica would copy, as far as the primary's lists tell.
pub fn lacking(replica: &Replica, primary: &PrimaryInventory, here: &ReplicaInventory, now: Timestamp) -> Lacking {
    let policy = &replica.policy;
    let backups = diff_backups::diff(policy, primary, here, now);
    // The size of the segments only says how they are put together in batches.
    let wals = diff_wals::diff(policy, primary, here, &backups, SegmentSize::DEFAULT);
    let is_at_primary = |id: &BackupId| diff_backups::is_usable_at(primary, *id);
    let batches = wals.missing.into_values().chain(wals.differing.into_values());
    Lacking {
        backups: backups
            .kept
            .iter()
            .filter(|(id, kept)| is_at_primary(id) && (kept.copy.is_some() || !here.is_whole(**id)))
            .map(|(id, _)| *id)
            .collect(),
        wals: batches.flatten().flat_map(|batch| batch.entries).collect(),
    }
}

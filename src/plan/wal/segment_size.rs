//! The size of a cluster's WAL segments. A cluster keeps it for life; initdb decides it.
//!
//! Backups tell it. Where there is none yet, the archive does: a segment that is stored as it is has that size. Where
//! neither tells, nothing is assumed of what is placed, and each segment's own header decides.

use std::collections::BTreeSet;

use crate::barman::backup_info::Status;
use crate::barman::ids::SystemId;
use crate::barman::wal::SegmentSize;
use crate::barman::wal_entry::WalEntry;
use crate::observe::inventory::{BackupFacts, BaseKind, PrimaryBackup, PrimaryInventory, ReplicaInventory};

/// The size by which ranges are numbered: that of the newest backup that is complete, there or else here, or what the
/// archives tell, or the default.
pub fn of(primary: &PrimaryInventory, here: &ReplicaInventory) -> SegmentSize {
    let newest = complete_at(primary).next_back().or_else(|| here.published().next_back());
    newest.map(|facts| facts.segment_size).or_else(|| of_archives(primary, here)).unwrap_or_default()
}

/// The sizes that segments may have, smallest first; none where some may come that nothing tells of. There are several
/// where a server was upgraded to a cluster with another size.
pub fn known(accepted: &BTreeSet<SystemId>, primary: &PrimaryInventory, here: &ReplicaInventory) -> Vec<SegmentSize> {
    let backups: Vec<&BackupFacts> = complete_at(primary).chain(here.published()).collect();
    if backups.is_empty() {
        return of_archives(primary, here).into_iter().collect();
    }
    let is_told = |system: &SystemId| backups.iter().any(|facts| facts.system == Some(*system));
    let sizes: BTreeSet<SegmentSize> = backups.iter().map(|facts| facts.segment_size).collect();
    if accepted.iter().all(is_told) { sizes.into_iter().collect() } else { Vec::new() }
}

fn complete_at(primary: &PrimaryInventory) -> impl DoubleEndedIterator<Item = &BackupFacts> {
    let is_complete =
        |backup: &&PrimaryBackup| backup.facts.status == Status::Done && backup.base != BaseKind::Unreadable;
    primary.backups.values().filter(is_complete).map(|backup| &backup.facts)
}

/// What the primary's archive tells, or else the one here.
fn of_archives(primary: &PrimaryInventory, here: &ReplicaInventory) -> Option<SegmentSize> {
    let there = primary.wals.iter().filter(|entry| !primary.gone.contains(&entry.name));
    let lines = here.xlogdb.entries.iter().filter(|line| here.wals.get(line.name) == Some(line.size));
    one_size(there).or_else(|| one_size(lines))
}

/// The size of all segments that are stored as they are, if they have one that PostgreSQL knows.
fn one_size(entries: impl Iterator<Item = WalEntry>) -> Option<SegmentSize> {
    let is_plain = |entry: &WalEntry| entry.compression.is_none() && entry.encryption.is_none() && entry.size > 0;
    let mut sizes = entries.filter(|entry| entry.name.segment().is_some()).filter(is_plain).map(|entry| entry.size);
    let first = sizes.next()?;
    sizes.all(|size| size == first).then(|| SegmentSize::new(first)).flatten()
}

//! The bytes that an action is expected to move.

use crate::plan::action::{Action, Change};
use crate::plan::guard::bytes_to_copy;

/// The bytes that an action is expected to move.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Traffic {
    /// Bytes that come from the primary, as an upper bound.
    pub bytes_to_copy: u64,
    /// Bytes that are taken from another backup here.
    pub bytes_reused: u64,
    /// Bytes that are deleted. Backups that share files free less.
    pub bytes_freed: u64,
}

impl Traffic {
    /// The bytes of an action.
    pub fn of(action: &Action) -> Self {
        let (bytes_reused, bytes_freed) = match &action.change {
            Change::AddBackup(copy) | Change::RepairBackup(copy) => {
                (copy.reuse.as_ref().map_or(0, |reuse| reuse.bytes), 0)
            }
            Change::RemoveBackup { size, .. } => (0, size.unwrap_or_default()),
            Change::RemoveWals { files, .. } => (0, files.values().fold(0, |sum: u64, size| sum.saturating_add(*size))),
            _ => (0, 0),
        };
        Self { bytes_to_copy: bytes_to_copy(action), bytes_reused, bytes_freed }
    }
}

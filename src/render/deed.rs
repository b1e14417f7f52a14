//! What a step does, and how much it is, in two or three words.

use crate::plan::action::{Action, Change};
use crate::plan::bytes_to_copy;
use crate::plan::order::graph::Part;

use super::tree;
use super::units::bytes;

/// `ship 48 segments, 768 MiB`
pub fn deed(action: &Action, part: Part) -> String {
    let verb = match (&action.change, part) {
        (_, Part::Publish) => return "publish".to_owned(),
        (_, Part::Copy) => "copy",
        (Change::CreateServer, _) => "create",
        (Change::ShipHistory { .. } | Change::AddWals(_), _) => "ship",
        (Change::RepairWals(_), _) => "ship again",
        (Change::AddBackup(_), _) => "copy and publish",
        (Change::RepairXlogDb { .. } | Change::RepairBackup(_), _) => "repair",
        (Change::RewriteSyncWals { .. } | Change::UpdateInfo { .. }, _) => "rewrite",
        (Change::LinkTablespaces { .. }, _) => "link",
        (Change::SetKeep { .. }, _) => "set",
        (Change::RemoveBackup { .. } | Change::RemoveStaging { .. } | Change::RemoveWals { .. }, _) => "delete",
    };
    let size = match &action.change {
        // What is taken from another backup here does not come over the wire.
        Change::AddBackup(copy) if copy.reuse.is_some() => {
            format!("{} of {}", bytes(bytes_to_copy(action)), bytes(copy.size))
        }
        _ => tree::size(action),
    };
    if size.is_empty() { verb.to_owned() } else { format!("{verb} {size}") }
}

//! Which actions a pattern names.

use crate::plan::action::{Action, Change};
use crate::site::pattern::{Pattern, WAL, Wals, is_below};

impl Pattern {
    /// Whether it names an action, or a file of it: batches are cut before, but for those that it names whole.
    pub fn matches(&self, action: &Action) -> bool {
        let address = action.address.as_str();
        let Some(wals) = self.wals() else { return is_below(address, self.as_str()) };
        let is_ours = is_below(address, &format!("{}/{WAL}", self.replica));
        is_ours && (address == self.as_str() || names_one(wals, &action.change))
    }

    /// Whether it is the whole address of an action.
    pub fn is_address_of(&self, action: &Action) -> bool {
        action.address.as_str() == self.as_str()
    }
}

fn names_one(wals: Wals, change: &Change) -> bool {
    match change {
        Change::AddWals(batch) | Change::RepairWals(batch) => batch.entries.iter().any(|e| wals.contain(e.name)),
        Change::RemoveWals { files, .. } => files.keys().any(|name| wals.contain(*name)),
        _ => false,
    }
}

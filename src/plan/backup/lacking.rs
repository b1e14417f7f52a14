//! The backups that a plan would copy: the observer asks the primary for the details of these and of no others, so that
//! a site which is in sync costs little.

use std::collections::BTreeSet;

use jiff::Timestamp;

use crate::barman::ids::BackupId;
use crate::observe::inventory::{PrimaryInventory, ReplicaInventory};
use crate::site::model::Replica;

/// What tells of a replica which backups are not here, or are damaged here, as far as the primary's lists tell, by the
/// time of the plan.
pub fn at(now: Timestamp) -> impl Fn(&Replica, &PrimaryInventory, &ReplicaInventory) -> BTreeSet<BackupId> + Sync {
    move |replica, primary, here| {
        let kept = super::diff(&replica.policy, primary, here, now).kept;
        let is_copied = |id: &BackupId, kept: &super::Kept| {
            super::is_usable_at(primary, *id) && (kept.copy.is_some() || !here.is_whole(*id))
        };
        kept.iter().filter(|(id, kept)| is_copied(id, kept)).map(|(id, _)| *id).collect()
    }
}

//! What an action comes to, in one word.

use schemars::JsonSchema;
use serde::Serialize;

use super::{Action, Change};
use crate::plan::reason::Reason;

/// What an action comes to, in one word.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Verb {
    /// The site does not have it.
    #[default]
    Add,
    /// It is damaged.
    Repair,
    /// It was right once, and follows the primary.
    Update,
    /// It is deleted.
    Prune,
}

impl Verb {
    /// The word for an action.
    pub fn of(action: &Action) -> Self {
        match &action.change {
            Change::CreateServer | Change::AddWals(_) | Change::AddBackup(_) | Change::SetKeep { from: None, .. } => {
                Self::Add
            }
            Change::ShipHistory { .. } => match action.reason {
                Reason::SizeDiffers { .. } | Reason::ContentDamaged { .. } | Reason::Accepted { .. } => Self::Repair,
                _ => Self::Add,
            },
            Change::SetKeep { from: Some(_), .. } => Self::Update,
            Change::RewriteSyncWals { .. } | Change::UpdateInfo { .. } if follows_primary(&action.reason) => {
                Self::Update
            }
            Change::RepairXlogDb { .. }
            | Change::RewriteSyncWals { .. }
            | Change::RepairWals(_)
            | Change::RepairBackup(_)
            | Change::UpdateInfo { .. }
            | Change::LinkTablespaces { .. } => Self::Repair,
            Change::RemoveBackup { .. } | Change::RemoveStaging { .. } | Change::RemoveWals { .. } => Self::Prune,
        }
    }
}

/// Whether a change follows the primary rather than repairs damage.
fn follows_primary(reason: &Reason) -> bool {
    matches!(reason, Reason::SyncWalsBehind | Reason::InfoDiffers(_) | Reason::InfoAccepted(_) | Reason::NotReadBy(_))
}

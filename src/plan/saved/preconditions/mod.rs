//! Preconditions: what an action relies on, as values that a saved plan keeps and an apply compares. The words for them
//! are in `render`.
//!
//! They are computed twice by the same function: when a plan is saved, and on a fresh observation when it is applied.
//! Where one differs the plan is stale. So a precondition is about what its action touches or takes for granted, and
//! about nothing else: a primary that archived more WAL or took another backup changes none of them.
//!
//! Time alone makes no plan stale. That a backup is added is decided when the plan is made, and the plan may be applied
//! after `within: 30d` has left the backup behind: it is what was reviewed, and harms nobody. A removal is judged again
//! by the clock of the apply, as what it deletes cannot be brought back: it needs the selection to leave the backup out
//! still, nothing that stays to build on it, and as many recoverable backups to be left as the plan said.

#![deny(clippy::wildcard_enum_match_arm)]

mod backup;
mod outlook;
mod removal;
mod target;
mod thing;
mod value;
mod wal;

use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::observe::inventory::{Observed, PrimaryInventory, ReplicaInventory, ReplicaObservation};
use crate::site::model::Replica;

use crate::plan::ReplicaPlan;
use crate::plan::action::{Action, Change};
use outlook::Outlook;

pub use value::{Tally, Topic, Value};

/// The version of the preconditions in a saved plan: raised whenever one is found in another way, or means something
/// else.
pub const PRECONDITIONS_VERSION: u32 = 1;

/// Something that an action relies on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Precondition {
    /// Where it holds.
    pub side: Side,
    /// What it is about; of one action and side each is there once.
    pub topic: Topic,
    /// What was found.
    pub value: Value,
    /// What must be found for the action to be done at all, whatever was found when it was planned.
    #[serde(skip)]
    pub required: Option<Value>,
}

/// Where a precondition holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Side {
    /// At the site.
    Here,
    /// At the primary.
    Primary,
    /// In the site file, given what both ends have.
    Desired,
}

impl Precondition {
    fn here(topic: Topic, value: Value) -> Self {
        Self { side: Side::Here, topic, value, required: None }
    }

    fn there(topic: Topic, value: Value) -> Self {
        Self { side: Side::Primary, ..Self::here(topic, value) }
    }

    fn desired(topic: Topic, value: Value) -> Self {
        Self { side: Side::Desired, ..Self::here(topic, value) }
    }

    /// The same, and nothing but this value will do.
    fn must_be(self, required: Value) -> Self {
        Self { required: Some(required), ..self }
    }
}

/// One replica as it was observed, beside what is planned for it.
pub struct Grounds<'a> {
    planned: &'a ReplicaPlan,
    replica: &'a Replica,
    there: &'a PrimaryInventory,
    here: &'a ReplicaInventory,
    outlook: Outlook,
    now: Timestamp,
}

impl<'a> Grounds<'a> {
    /// What a plan stands on, given what was observed at this time; `None` when the primary did not answer.
    pub fn new(
        planned: &'a ReplicaPlan,
        replica: &'a Replica,
        observed: &'a ReplicaObservation,
        now: Timestamp,
    ) -> Option<Self> {
        let Observed::Active(there) = &observed.primary else { return None };
        let here = &observed.replica;
        let outlook = Outlook::new(planned, &replica.policy, there, here, now);
        Some(Self { planned, replica, there, here, outlook, now })
    }

    /// What an action relies on.
    pub fn of(&self, action: &Action) -> Vec<Precondition> {
        match &action.change {
            Change::CreateServer => vec![self.server()],
            Change::RepairXlogDb { .. } => vec![self.xlogdb()],
            Change::RewriteSyncWals { .. } => vec![self.sync_wals()],
            Change::ShipHistory { timeline, .. } => self.history(*timeline),
            Change::AddWals(batch) => vec![self.none_here(batch), self.all_there(batch)],
            Change::RepairWals(batch) => vec![self.wrong_here(batch), self.all_there(batch)],
            Change::AddBackup(copy) => self.added_backup(copy),
            Change::RepairBackup(copy) => self.repaired_backup(copy),
            Change::UpdateInfo { id, from, to } => self.updated_info(*id, [from, to], &action.reason),
            Change::LinkTablespaces { id, .. } => vec![self.unlinked(*id)],
            Change::SetKeep { id, .. } => self.kept(*id),
            Change::RemoveBackup { id, .. } => self.removed_backup(*id, &action.reason),
            Change::RemoveStaging { id } => self.removed_staging(*id, &action.reason),
            Change::RemoveWals { files, .. } => self.removed_wals(files),
        }
    }

    fn server(&self) -> Precondition {
        Precondition::here(Topic::Server, if self.here.exists { Value::Present } else { Value::Absent })
    }
}

//! What is relied on where something is deleted: what is here, that the reason still holds, and that enough is left.

use std::collections::BTreeSet;

use crate::barman::ids::BackupId;
use crate::plan::reason::Reason;
use crate::plan::{backup, recovery};

use super::{Grounds, Precondition, Topic, Value};

impl Grounds<'_> {
    pub(super) fn removed_backup(&self, id: BackupId, reason: &Reason) -> Vec<Precondition> {
        let mut preconditions = vec![self.backup_here(id)];
        let [here, there] = self.keeps(id);
        // Of a copy that was never finished, the primary's annotation keeps nothing.
        let there = if self.outlook.pruned.contains(&id) { there.must_be(Value::Absent) } else { there };
        preconditions.extend([here.must_be(Value::Absent), there]);
        preconditions.push(self.nothing_builds_on(id));
        preconditions.extend(self.reason_holds(id, reason));
        if self.outlook.pruned.contains(&id) {
            preconditions.extend(self.protection());
        }
        preconditions
    }

    pub(super) fn removed_staging(&self, id: BackupId, reason: &Reason) -> Vec<Precondition> {
        let value = if self.here.staged.contains_key(&id) { Value::Present } else { Value::Absent };
        let mut preconditions = vec![Precondition::here(Topic::Staging, value)];
        preconditions.extend(self.reason_holds(id, reason));
        preconditions
    }

    fn nothing_builds_on(&self, id: BackupId) -> Precondition {
        let child = self.outlook.child(id).map_or(Value::Nothing, Value::Backup);
        Precondition::here(Topic::Children, child).must_be(Value::Nothing)
    }

    #[expect(clippy::wildcard_enum_match_arm, reason = "any other reason says that the backup itself is here")]
    fn reason_holds(&self, id: BackupId, reason: &Reason) -> Vec<Precondition> {
        let prune = self.replica.policy.prune;
        let allowed = |topic, is: bool| Precondition::desired(topic, Value::Allowed(is)).must_be(Value::Allowed(true));
        match reason {
            Reason::Unselected(_) => vec![self.not_selected(id), allowed(Topic::PruneUnselected, prune.unselected)],
            Reason::GoneAtPrimary => {
                vec![self.gone(id), allowed(Topic::PruneGone, prune.gone_at_primary)]
            }
            Reason::InterruptedAndGone => vec![self.gone(id)],
            Reason::InterruptedAndUnselected => vec![self.not_selected(id)],
            // What was left of a copy is of no use then.
            _ => vec![self.backup_here(id)],
        }
    }

    fn gone(&self, id: BackupId) -> Precondition {
        self.backup_there(id).must_be(Value::Absent)
    }

    fn not_selected(&self, id: BackupId) -> Precondition {
        let is_selected = self.outlook.selected.contains(&id);
        Precondition::desired(Topic::Selection, Value::Selected(is_selected)).must_be(Value::Selected(false))
    }

    /// That enough recoverable backups stay, and that the plan deletes no more at once than it may.
    fn protection(&self) -> [Precondition; 2] {
        let policy = &self.replica.policy;
        let left = recovery::with(self.there, self.here, &self.planned.actions, self.now).full_backups;
        let planned = self.planned.after.full_backups;
        let minimum = policy.protect.min_backups as usize;
        let value = if left >= planned { Value::AtLeast(planned as u64) } else { Value::Count(left as u64) };
        let staying = Precondition::here(Topic::FullBackups, value);
        let staying = if left < minimum { staying.must_be(Value::AtLeast(minimum as u64)) } else { staying };
        let here: BTreeSet<BackupId> = self.here.published().map(|facts| facts.id).collect();
        let here_or_to_come = here.union(&self.outlook.selected).count();
        let (most, pruned) = (backup::most_pruned(policy, here_or_to_come), self.outlook.pruned.len());
        let value =
            if pruned <= most { Value::Kept } else { Value::Exceeded { most: most as u64, planned: pruned as u64 } };
        [staying, Precondition::desired(Topic::MaxPrune, value).must_be(Value::Kept)]
    }
}

//! What is relied on where something is deleted: what is here, that the reason still holds, and that enough is left.

use crate::barman::ids::BackupId;
use crate::plan::reason::Reason;
use crate::plan::{backup, recovery};

use super::{Fact, Grounds, Topic, Value};

impl Grounds<'_> {
    pub(super) fn removed_backup(&self, id: BackupId, reason: &Reason) -> Vec<Fact> {
        let mut facts = vec![self.backup_here(id)];
        let [here, there] = self.keeps(id);
        // Of a copy that was never finished, the primary's annotation keeps nothing.
        let there = if self.outlook.pruned.contains(&id) { there.must_be(Value::Absent) } else { there };
        facts.extend([here.must_be(Value::Absent), there]);
        facts.push(self.nothing_builds_on(id));
        facts.extend(self.reason_holds(id, reason));
        if self.outlook.pruned.contains(&id) {
            facts.extend(self.protection());
        }
        facts
    }

    pub(super) fn removed_staging(&self, id: BackupId, reason: &Reason) -> Vec<Fact> {
        let value = if self.here.staged.contains_key(&id) { Value::Present } else { Value::Absent };
        let mut facts = vec![Fact::here(Topic::Staging, value)];
        facts.extend(self.reason_holds(id, reason));
        facts
    }

    fn nothing_builds_on(&self, id: BackupId) -> Fact {
        let child = self.outlook.child(id).map_or(Value::Nothing, Value::Backup);
        Fact::here(Topic::Children, child).must_be(Value::Nothing)
    }

    #[expect(clippy::wildcard_enum_match_arm, reason = "any other reason says that the backup itself is here")]
    fn reason_holds(&self, id: BackupId, reason: &Reason) -> Vec<Fact> {
        let prune = self.replica.policy.prune;
        let allowed = |topic, is: bool| Fact::desired(topic, Value::Allowed(is)).must_be(Value::Allowed(true));
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

    fn gone(&self, id: BackupId) -> Fact {
        self.backup_there(id).must_be(Value::Absent)
    }

    fn not_selected(&self, id: BackupId) -> Fact {
        let is_selected = self.outlook.selected.contains(&id);
        Fact::desired(Topic::Selection, Value::Selected(is_selected)).must_be(Value::Selected(false))
    }

    /// That enough recoverable backups stay, and that the plan deletes no more at once than it may.
    fn protection(&self) -> [Fact; 2] {
        let policy = &self.replica.policy;
        let left = recovery::with(self.there, self.here, &self.planned.actions, self.now).full_backups;
        let planned = self.planned.after.full_backups;
        let minimum = policy.protect.min_backups as usize;
        let value = if left >= planned { Value::AtLeast(planned as u64) } else { Value::Count(left as u64) };
        let left_fact = Fact::here(Topic::FullBackups, value);
        let left_fact = if left < minimum { left_fact.must_be(Value::AtLeast(minimum as u64)) } else { left_fact };
        let here = self.here.published().count();
        let (most, pruned) = (backup::most_pruned(policy, here), self.outlook.pruned.len());
        let value =
            if pruned <= most { Value::Kept } else { Value::Exceeded { most: most as u64, planned: pruned as u64 } };
        [left_fact, Fact::desired(Topic::MaxPrune, value).must_be(Value::Kept)]
    }
}

//! What is relied on where something is deleted: what is here, that the reason still holds, and that enough is left.

use crate::barman::ids::BackupId;
use crate::plan::reason::Reason;
use crate::plan::{diff_backups, recovery};
use crate::render::units::count;

use super::{Fact, Grounds};

impl Grounds<'_> {
    pub(super) fn removed_backup(&self, id: BackupId, reason: &Reason) -> Vec<Fact> {
        let mut facts = vec![self.backup_here(id)];
        let [here, there] = self.keeps(id);
        // Of a copy that was never finished, the primary's annotation keeps nothing.
        let there = if self.outlook.pruned.contains(&id) { there.must_be("none") } else { there };
        facts.extend([here.must_be("none"), there]);
        facts.push(self.nothing_builds_on(id));
        facts.extend(self.reason_holds(id, reason));
        if self.outlook.pruned.contains(&id) {
            facts.extend(self.protection());
        }
        facts
    }

    pub(super) fn removed_staging(&self, id: BackupId, reason: &Reason) -> Vec<Fact> {
        let state = if self.here.staged.contains_key(&id) { "present" } else { "absent" };
        let mut facts = vec![Fact::here("what an interrupted copy left", state)];
        facts.extend(self.reason_holds(id, reason));
        facts
    }

    fn nothing_builds_on(&self, id: BackupId) -> Fact {
        let none = "nothing that stays";
        let child = self.outlook.child(id).map_or_else(|| none.to_owned(), |child| format!("backup {child}"));
        Fact::here("what builds on it", child).must_be(none)
    }

    fn reason_holds(&self, id: BackupId, reason: &Reason) -> Vec<Fact> {
        let prune = self.replica.policy.prune;
        let allowed = |name, is_allowed: bool| Fact::desired(name, is_allowed.to_string()).must_be("true");
        match reason {
            Reason::Unselected(_) => vec![self.not_selected(id), allowed("`prune.unselected`", prune.unselected)],
            Reason::GoneAtPrimary => {
                vec![self.gone(id), allowed("`prune.gone_at_primary`", prune.gone_at_primary)]
            }
            Reason::InterruptedAndGone => vec![self.gone(id)],
            Reason::InterruptedAndUnselected => vec![self.not_selected(id)],
            // The backup itself is here, so that what was left of a copy is of no use.
            _ => vec![self.backup_here(id)],
        }
    }

    fn gone(&self, id: BackupId) -> Fact {
        self.backup_there(id).must_be("absent")
    }

    fn not_selected(&self, id: BackupId) -> Fact {
        let word = if self.outlook.selected.contains(&id) { "selected" } else { "left out" };
        Fact::desired("the selection", word).must_be("left out")
    }

    /// That enough recoverable backups stay, and that the plan deletes no more at once than it may.
    fn protection(&self) -> [Fact; 2] {
        let policy = &self.replica.policy;
        let left = recovery::with(self.there, self.here, &self.planned.actions, self.now).full_backups;
        let planned = self.planned.after.full_backups;
        let minimum = policy.protect.min_backups as usize;
        let enough = |n: usize| format!("{} or more", count(n as u64, "full backup"));
        let value = if left >= planned { enough(planned) } else { count(left as u64, "full backup") };
        let left_fact = Fact::here("what stays recoverable", value);
        let left_fact = if left < minimum { left_fact.must_be(enough(minimum)) } else { left_fact };
        let here = self.here.published().count();
        let (most, pruned) = (diff_backups::most_pruned(policy, here), self.outlook.pruned.len());
        let kept = "kept";
        let word =
            if pruned <= most { kept.to_owned() } else { format!("{most} at once, and the plan deletes {pruned}") };
        [left_fact, Fact::desired("`protect.max_prune`", word).must_be(kept)]
    }
}

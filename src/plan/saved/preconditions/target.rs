//! What every action of a replica relies on: where everything is, and of which cluster.

use crate::barman::ids::SystemId;
use crate::barman::layout::ServerDirs;
use crate::barman::wal::SegmentSize;
use crate::plan::Target;
use crate::plan::wal::segment_size;
use crate::plan::{backup, guard, replica};

use super::{Grounds, Precondition, Topic, Value};

impl Grounds<'_> {
    /// What all actions of the replica rely on: its target must be the one that was planned for.
    pub fn of_target(&self) -> Vec<Precondition> {
        let Some(target) = &self.planned.target else { return Vec::new() };
        let same = |precondition: Precondition, planned: Value| precondition.must_be(planned);
        vec![
            same(
                Precondition::here(Topic::Directories, directories(&self.here.directories)),
                directories(&target.here),
            ),
            same(Precondition::here(Topic::Barman, Value::Barman(self.here.barman)), Value::Barman(target.barman)),
            self.forbidden(),
            same(
                Precondition::there(Topic::Directories, directories(&self.there.directories)),
                directories(&target.there),
            ),
            same(
                Precondition::there(Topic::SegmentSizes, self.segment_sizes(target)),
                Value::SegmentSizes(target.segment_sizes.clone()),
            ),
            same(Precondition::there(Topic::Systems, self.systems(target)), Value::Systems(target.systems.clone())),
        ]
    }

    /// What forbids any change: a server that is not a replica, or another cluster.
    fn forbidden(&self) -> Precondition {
        let backups = backup::diff(&self.replica.policy, self.there, self.here, self.now);
        let blockers = guard::blockers(self.replica, self.there, self.here, &backups, usize::MAX);
        let value = blockers.into_iter().next().map_or(Value::Nothing, |blocker| Value::Forbidden(Box::new(blocker)));
        Precondition::here(Topic::Forbidden, value).must_be(Value::Nothing)
    }

    /// The sizes that segments may have. Where none was known each segment tells its own, then and now; where no backup
    /// is left that tells, the systems say so.
    fn segment_sizes(&self, target: &Target) -> Value {
        let now = segment_size::known(&self.replica.policy.accept_systems, self.there, self.here);
        let is_known = |size: &SegmentSize| target.segment_sizes.contains(size);
        let nothing_tells =
            !target.systems.is_empty() && replica::systems(self.replica, self.there, self.here).is_empty();
        let is_same = target.segment_sizes.is_empty() || nothing_tells || now.iter().all(is_known);
        Value::SegmentSizes(if is_same { target.segment_sizes.clone() } else { now })
    }

    /// The systems whose WAL may be placed. Fewer than were planned for harm nobody, and neither does the first one that
    /// a replica without backups hears of.
    fn systems(&self, target: &Target) -> Value {
        let now = replica::systems(self.replica, self.there, self.here);
        let is_known = |system: &SystemId| target.systems.contains(system);
        let is_same = target.systems.is_empty() || (!now.is_empty() && now.iter().all(is_known));
        match is_same {
            true => Value::Systems(target.systems.clone()),
            false if now.is_empty() => Value::SystemsForgotten,
            false => Value::Systems(now),
        }
    }
}

fn directories(dirs: &ServerDirs) -> Value {
    Value::Directories(Box::new(dirs.clone()))
}

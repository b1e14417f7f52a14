//! What every action of a replica relies on: where everything is, and of which cluster.

use crate::barman::ids::SystemId;
use crate::barman::layout::ServerDirs;
use crate::barman::wal::SegmentSize;
use crate::plan::action::Target;
use crate::plan::reason::Blocker;
use crate::plan::{diff_backups, guard, replica, segment_size};
use crate::render::units::{count, list};

use super::{Fact, Grounds};

impl Grounds<'_> {
    /// What all actions of the replica rely on: its target must be the one that was planned for.
    pub fn of_target(&self) -> Vec<Fact> {
        let Some(target) = &self.planned.target else { return Vec::new() };
        let same = |fact: Fact, planned: String| fact.must_be(planned);
        vec![
            same(Fact::here("its directories", directories(&self.here.directories)), directories(&target.here)),
            same(Fact::here("the Barman that reads them", self.here.barman.to_string()), target.barman.to_string()),
            self.forbidden(),
            same(Fact::there("its directories", directories(&self.there.directories)), directories(&target.there)),
            same(Fact::there("its segment size", self.segment_sizes(target)), sizes(&target.segment_sizes)),
            same(Fact::there("its systems", self.systems(target)), systems(&target.systems)),
        ]
    }

    /// What forbids any change: a server that is not a replica, or another cluster.
    fn forbidden(&self) -> Fact {
        let nothing = "nothing";
        let backups = diff_backups::diff(&self.replica.policy, self.there, self.here, self.now);
        let blockers = guard::blockers(self.replica, self.there, self.here, &backups, usize::MAX);
        let value = match blockers.first() {
            None => nothing.to_owned(),
            Some(Blocker::RunHere) => "the site's own Barman takes backups of a server with this name".to_owned(),
            Some(Blocker::NotPassive { backup, .. }) => format!("backup {backup} was taken here"),
            Some(Blocker::OtherSystem { new, backup, .. }) => format!("backup {backup} is of the new system {new}"),
            Some(Blocker::TooFewLeft { .. }) => "too few recoverable backups would be left".to_owned(),
        };
        Fact::here("what forbids a change", value).must_be(nothing)
    }

    /// The sizes that segments may have. Where none was known each segment tells its own, then and now; where no backup
    /// is left that tells, the systems say so.
    fn segment_sizes(&self, target: &Target) -> String {
        let now = segment_size::known(&self.replica.policy.accept_systems, self.there, self.here);
        let is_known = |size: &SegmentSize| target.segment_sizes.contains(size);
        let nothing_tells =
            !target.systems.is_empty() && replica::systems(self.replica, self.there, self.here).is_empty();
        let is_same = target.segment_sizes.is_empty() || nothing_tells || now.iter().all(is_known);
        sizes(if is_same { &target.segment_sizes } else { &now })
    }

    /// The systems whose WAL may be placed. Fewer than were planned for harm nobody, and neither does the first one that
    /// a replica without backups hears of.
    fn systems(&self, target: &Target) -> String {
        let now = replica::systems(self.replica, self.there, self.here);
        let is_known = |system: &SystemId| target.systems.contains(system);
        let is_same = target.systems.is_empty() || (!now.is_empty() && now.iter().all(is_known));
        match is_same {
            true => systems(&target.systems),
            false if now.is_empty() => "not known any more, as no backup is left that tells".to_owned(),
            false => systems(&now),
        }
    }
}

fn sizes(sizes: &[SegmentSize]) -> String {
    let sizes: Vec<String> = sizes.iter().map(|size| count(size.bytes(), "byte")).collect();
    if sizes.is_empty() { "not known yet".to_owned() } else { list(&sizes) }
}

fn systems(systems: &[SystemId]) -> String {
    let names: Vec<String> = systems.iter().map(ToString::to_string).collect();
    if names.is_empty() { "not known yet".to_owned() } else { list(&names) }
}

/// Every directory that a change may touch.
fn directories(dirs: &ServerDirs) -> String {
    let all = [
        &dirs.backup_directory,
        &dirs.basebackups_directory,
        &dirs.wals_directory,
        &dirs.xlogdb_directory,
        &dirs.meta_directory,
    ];
    let paths = all.map(|path| path.display().to_string());
    format!("{} of {}", paths.join(", "), dirs.server)
}

//! What of a bandwidth one transfer may use, so that all together keep it.
//!
//! rsync is told its limit when it starts, so a share counts on every transfer that can run beside it: those that the
//! plan has, and no more at a time than there are streams.

#![deny(clippy::wildcard_enum_match_arm)]

use crate::plan::Plan;
use crate::plan::ReplicaPlan;
use crate::plan::action::Action;
use crate::plan::action::kinds::Effect;
use crate::site::model::{Primary, Replica};

use super::count;
use super::steps::commits;

/// How many transfers of a plan can run at the same time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AtOnce {
    /// Of one replica.
    pub replica: usize,
    /// Of all replicas of its primary.
    pub primary: usize,
}

impl AtOnce {
    /// Those of one of the plan's replicas; `replicas` are the ones that were planned.
    pub fn of(plan: &Plan, planned: &ReplicaPlan, replicas: &[Replica], primary: &Primary) -> Self {
        let most = |planned: &ReplicaPlan| {
            let replica = replicas.iter().find(|replica| replica.name == planned.name);
            let streams = replica.map_or(1, |replica| count(replica.policy.transfer.streams));
            transfers(planned).min(streams).min(count(primary.streams))
        };
        let all: usize = plan.replicas.iter().filter(|other| other.primary == planned.primary).map(most).sum();
        Self { replica: most(planned).max(1), primary: all.min(count(primary.streams)).max(1) }
    }

    /// Bytes per second of one transfer; `None` is unlimited.
    pub fn share(self, primary: &Primary, replica: &Replica) -> Option<u64> {
        let share = |limit: Option<u64>, at_once: usize| Some((limit? / u64::try_from(at_once).ok()?).max(1));
        let shares = [share(primary.bandwidth, self.primary), share(replica.policy.transfer.bandwidth, self.replica)];
        shares.into_iter().flatten().min()
    }
}

/// The transfers of a replica that nothing but the streams keeps from running at the same time.
fn transfers(planned: &ReplicaPlan) -> usize {
    let of_action = |action: &Action| match action.change.effect() {
        Effect::BackupComes(_) | Effect::FilesCome(_) | Effect::History(_) => 1,
        Effect::WalsCome(batch) => commits(&batch.entries).len(),
        Effect::Server
        | Effect::List
        | Effect::Info(..)
        | Effect::Links(_)
        | Effect::Keep(..)
        | Effect::WalsGo(..)
        | Effect::BackupGoes { .. }
        | Effect::StagingGoes(_) => 0,
    };
    planned.actions.iter().map(of_action).sum()
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, BTreeSet};
    use std::num::NonZeroU32;
    use std::time::Duration;

    use super::*;
    use crate::barman::wal::{Segment, SegmentSize, Timeline, WalName};
    use crate::barman::wal_entry::{Mtime, WalEntry};
    use crate::plan::Outcome;
    use crate::plan::action::{Action, Address, Change, WalBatch};
    use crate::plan::reason::Reason;
    use crate::plan::recovery::Recovery;
    use crate::site::model::{Access, Policy, Protect, Prune, Reuse, Selection, Timeouts, Transfer, WalsFrom};

    fn primary(streams: u32, bandwidth: u64) -> Primary {
        let second = Duration::from_secs(1);
        Primary {
            name: "frankfurt".to_owned(),
            access: Access::Path("/b".into()),
            barman_command: vec![],
            barman_config: None,
            timeouts: Timeouts { connect: second, idle: second, sync_info: second },
            bandwidth: Some(bandwidth),
            streams: NonZeroU32::new(streams).unwrap(),
        }
    }

    fn replica(name: &str, streams: u32, bandwidth: Option<u64>) -> Replica {
        let transfer = Transfer { streams: NonZeroU32::new(streams).unwrap(), bandwidth, reuse: Reuse::Auto };
        let policy = Policy {
            backups: Selection::All,
            wals_from: WalsFrom::OldestBackup,
            prune: Prune { unselected: false, gone_at_primary: false },
            protect: Protect { min_backups: 1, max_prune_percent: 25 },
            transfer,
            rpo: None,
            accept_systems: BTreeSet::new(),
            accept: Vec::new(),
        };
        let name: crate::barman::ids::ServerName = name.parse().unwrap();
        Replica { name: name.clone(), primary: "frankfurt".to_owned(), server: name, policy }
    }

    /// A plan that ships so many segments of 16 MiB: 64 of them are a commit.
    fn planned(replica: &Replica, segments: u64) -> ReplicaPlan {
        let entry = |number| WalEntry {
            name: WalName::Segment(Segment::from_number(Timeline(1), number, SegmentSize::DEFAULT).unwrap()),
            size: 16 << 20,
            mtime: Mtime::new(0.0).unwrap(),
            compression: None,
            encryption: None,
        };
        let batch = WalBatch {
            range: None,
            entries: (0..segments).map(entry).collect(),
            here: BTreeMap::new(),
            undescribed: BTreeSet::new(),
            needed_by: None,
            accepted: false,
        };
        let address: Address = format!("{}/wal", replica.name).parse().unwrap();
        ReplicaPlan {
            name: replica.name.clone(),
            primary: replica.primary.clone(),
            server: replica.server.clone(),
            outcome: Outcome::Planned,
            target: None,
            actions: vec![Action { address, change: Change::AddWals(batch), reason: Reason::MissingHere }],
            held: Vec::new(),
            before: Recovery::default(),
            after: Recovery::default(),
            shortfalls: Vec::new(),
            warnings: Vec::new(),
            notes: Vec::new(),
            left_out: 0,
        }
    }

    /// What one transfer of the first replica may use, given the segments that each one ships.
    fn share(primary: &Primary, replicas: &[(Replica, u64)]) -> Option<u64> {
        let plans = replicas.iter().map(|(replica, segments)| planned(replica, *segments)).collect();
        let plan = Plan {
            site: "lisbon".to_owned(),
            catalog: "/b".into(),
            replicas: plans,
            vanished: Vec::new(),
            narrowed: None,
        };
        let replicas: Vec<Replica> = replicas.iter().map(|(replica, _)| replica.clone()).collect();
        AtOnce::of(&plan, &plan.replicas[0], &replicas, primary).share(primary, &replicas[0])
    }

    #[test]
    fn a_transfer_that_is_alone_has_all_of_the_bandwidth() {
        assert_eq!(share(&primary(4, 800), &[(replica("a", 2, None), 64)]), Some(800));
        assert_eq!(share(&primary(4, 800), &[(replica("a", 2, Some(300)), 64)]), Some(300));
    }

    #[test]
    fn transfers_that_can_run_beside_each_other_share_it() {
        assert_eq!(share(&primary(4, 800), &[(replica("a", 2, None), 65)]), Some(400));
        assert_eq!(share(&primary(4, 800), &[(replica("a", 2, Some(300)), 65)]), Some(150));
        assert_eq!(
            share(&primary(4, 800), &[(replica("a", 2, Some(300)), 64), (replica("b", 4, None), 640)]),
            Some(200)
        );
    }

    #[test]
    fn no_more_run_than_there_are_streams() {
        assert_eq!(share(&primary(4, 800), &[(replica("a", 2, None), 6400)]), Some(400));
        assert_eq!(share(&primary(1, 800), &[(replica("a", 2, Some(900)), 6400)]), Some(800));
        assert_eq!(share(&primary(8, 800), &[(replica("a", 9, Some(900)), 6400)]), Some(100));
    }

    #[test]
    fn a_share_is_never_nothing() {
        assert_eq!(share(&primary(4, 1), &[(replica("a", 4, None), 640)]), Some(1));
        assert_eq!(share(&primary(4, 800), &[(replica("a", 4, None), 0)]), Some(800));
    }
}

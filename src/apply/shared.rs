//! What applies share: slots, bandwidth, the bytes that may be copied, and the room here. It outlives a plan, so that the
//! applies of different replicas use it together whenever they begin and end. The bandwidth they share with observations
//! too.

#![deny(clippy::wildcard_enum_match_arm)]

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use crate::error::Error;
use crate::plan::ReplicaPlan;
use crate::plan::cost::streams::{self, Load};
use crate::site::model::{Primary, Replica};
use crate::transport::bandwidth::{Bandwidth, Bandwidths};

use super::budget::Budget;
use super::room::Claims;
use super::slots::{Slot, Slots, Urgency};
use super::{Limits, count};

/// What all applies of a site share.
#[derive(Debug)]
pub struct Shared {
    /// Steps at the same time.
    steps: Slots,
    /// Transfers at the same time, by the primary's name.
    primaries: Mutex<BTreeMap<String, Slots>>,
    bandwidths: Arc<Bandwidths>,
    budget: Arc<Budget>,
    room: Claims,
    /// Transfers at the same time that are beside those of running applies, by the primary's name.
    beside: Mutex<BTreeMap<String, Slots>>,
    /// Applies that began so far.
    applies: Arc<AtomicU64>,
}

/// The share that one apply has, until it is dropped.
#[derive(Debug)]
pub struct Share {
    apply: u64,
    /// Transfers of the replica at the same time at the most.
    pub streams: usize,
    steps: Slots,
    replica: Slots,
    primary: Slots,
    /// What is beside all of these.
    beside: Slots,
    /// Applies that began so far.
    applies: Arc<AtomicU64>,
    /// That of the primary, and the replica's own.
    bandwidths: [Arc<Bandwidth>; 2],
    budget: Arc<Budget>,
    room: Claims,
    spent: AtomicU64,
}

impl Shared {
    /// Nothing runs yet.
    pub fn new(limits: Limits, bandwidths: Arc<Bandwidths>) -> Self {
        Self {
            steps: Slots::new(limits.parallelism.get()),
            primaries: Mutex::default(),
            bandwidths,
            budget: Arc::new(Budget::new(limits.max_bytes)),
            room: Claims::default(),
            beside: Mutex::default(),
            applies: Arc::default(),
        }
    }

    /// Applies begin, each of a plan of a replica of a primary. Those that begin together are told together, so that what
    /// is most urgent of all of them comes first.
    pub fn admit<'a>(
        &self,
        applies: impl IntoIterator<Item = (&'a ReplicaPlan, &'a Replica, &'a Primary)>,
    ) -> Vec<Share> {
        let (mut shares, mut needs) = (Vec::new(), Vec::new());
        for (plan, replica, primary) in applies {
            let share = self.share(replica, primary);
            needs
                .extend((0..).zip(&plan.actions).map(|(place, action)| (share.urgency(place), action.bytes_to_copy())));
            shares.push(share);
        }
        self.budget.expect(needs);
        shares
    }

    fn share(&self, replica: &Replica, primary: &Primary) -> Share {
        let streams = count(replica.policy.transfer.streams);
        let own = Bandwidth::of(replica.policy.transfer.bandwidth);
        let share = Share {
            apply: self.applies.fetch_add(1, Ordering::Relaxed),
            streams,
            steps: self.steps.clone(),
            replica: Slots::new(streams),
            primary: self.primary(primary),
            beside: self.beside(primary),
            applies: Arc::clone(&self.applies),
            bandwidths: [self.bandwidths.of(primary), Arc::new(own)],
            budget: Arc::clone(&self.budget),
            room: self.room.clone(),
            spent: AtomicU64::new(0),
        };
        share.follow(None, None);
        share
    }

    /// The slots of a primary, as many as are declared of it by now.
    fn primary(&self, primary: &Primary) -> Slots {
        let streams = count(primary.streams);
        let slots = {
            // Nothing in here can panic half-way.
            let mut primaries = self.primaries.lock().unwrap_or_else(PoisonError::into_inner);
            primaries.entry(primary.name.clone()).or_insert_with(|| Slots::new(streams)).clone()
        };
        slots.set_limit(streams);
        slots
    }

    /// One slot of a primary.
    fn beside(&self, primary: &Primary) -> Slots {
        // Nothing in here can panic half-way.
        let mut beside = self.beside.lock().unwrap_or_else(PoisonError::into_inner);
        beside.entry(primary.name.clone()).or_insert_with(|| Slots::new(1)).clone()
    }
}

impl Share {
    /// How urgent the steps of an action are, by its place in the plan.
    pub fn urgency(&self, place: usize) -> Urgency {
        Urgency { place, apply: self.apply }
    }

    /// The share of another plan of the replica that is carried out beside this one. It waits for none of the slots that
    /// copies of bases may hold for hours, and is one stream, which all replicas of the primary share for it.
    #[must_use]
    pub fn beside(&self) -> Self {
        Self {
            apply: self.applies.fetch_add(1, Ordering::Relaxed),
            streams: 1,
            steps: Slots::new(1),
            replica: Slots::new(1),
            primary: self.beside.clone(),
            beside: self.beside.clone(),
            applies: Arc::clone(&self.applies),
            bandwidths: self.bandwidths.clone(),
            budget: Arc::clone(&self.budget),
            room: self.room.clone(),
            spent: AtomicU64::new(0),
        }
    }

    /// What may be copied.
    pub fn budget(&self) -> &Budget {
        &self.budget
    }

    /// What copies that have begun are still to write.
    pub fn room(&self) -> &Claims {
        &self.room
    }

    /// Lets as many transfers of the replica run as fill a line of this round trip, by what those before them brought,
    /// within what is declared. What is declared of the primary is for all its replicas: one that fills the line keeps no
    /// other from beginning.
    pub fn follow(&self, round_trip: Option<Duration>, seen: Option<Load>) {
        self.replica.set_limit(streams::wanted(round_trip, self.limit(), seen, self.streams));
    }

    /// The bytes per second that transfers of the replica may use together, as it is declared.
    pub fn limit(&self) -> Option<u64> {
        self.bandwidths.iter().filter_map(|bandwidth| bandwidth.limit()).min()
    }

    /// Waits for the right to do a step, in the line since this call.
    pub fn step(&self, urgency: Urgency) -> impl Future<Output = Slot> + use<> {
        self.steps.acquire(urgency)
    }

    /// Waits for the right to use the line: a slot of the replica and one of its primary.
    pub async fn line(&self, urgency: Urgency) -> [Slot; 2] {
        let replica = self.replica.acquire(urgency).await;
        [replica, self.primary.acquire(urgency).await]
    }

    /// Where transfers of the replica draw the right to each byte.
    pub fn taps(&self) -> Result<Vec<PathBuf>, Error> {
        self.bandwidths.iter().filter_map(|bandwidth| bandwidth.tap().transpose()).collect()
    }

    /// Notes what a step copied.
    pub fn charge(&self, urgency: Urgency, bytes: u64) {
        self.budget.charge(urgency, bytes);
        self.spent.fetch_add(bytes, Ordering::Relaxed);
    }

    /// Everything that this apply copied.
    pub fn spent(&self) -> u64 {
        self.spent.load(Ordering::Relaxed)
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        self.budget.forget(self.apply);
    }
}

#[cfg(test)]
pub(super) mod tests {
    use std::collections::BTreeSet;
    use std::num::NonZeroU32;

    use futures::FutureExt;

    use super::*;
    use crate::plan::tests::build;
    use crate::site::drills::Drill;
    use crate::site::model::{
        Access, Compress, Policy, Protect, Prune, Reuse, Selection, Timeouts, Transfer, WalsFrom,
    };

    /// So far away that as many transfers run as are declared.
    pub const FAR: Duration = Duration::from_secs(1_000_000);

    /// A primary with limits.
    pub fn frankfurt(streams: u32, bandwidth: u64) -> Primary {
        let second = Duration::from_secs(1);
        Primary {
            name: "frankfurt".to_owned(),
            access: Access::Path("/b".into()),
            barman_command: vec![],
            barman_config: None,
            timeouts: Timeouts { connect: second, idle: second, sync_info: second },
            refresh_after: second,
            bandwidth: Some(bandwidth),
            streams: NonZeroU32::new(streams).unwrap(),
            windows: Vec::new(),
        }
    }

    /// A replica of it with limits of its own.
    pub fn replica_of(streams: u32, bandwidth: Option<u64>) -> Replica {
        let transfer = Transfer {
            streams: NonZeroU32::new(streams).unwrap(),
            bandwidth,
            reuse: Reuse::Auto,
            compress: Compress::Auto,
        };
        let policy = Policy {
            rto: None,
            drill: Drill::default(),
            backups: Selection::All,
            wals_from: WalsFrom::OldestBackup,
            prune: Prune { unselected: false, gone_at_primary: false },
            protect: Protect { min_backups: 1, max_prune_percent: 25 },
            transfer,
            rpo: None,
            max_silence: None,
            accept_systems: BTreeSet::new(),
            accept: Vec::new(),
            schedule: crate::schedule::Schedule::default(),
            auto: crate::site::model::Auto::default(),
        };
        Replica { name: build::server("main"), primary: "frankfurt".to_owned(), server: build::server("main"), policy }
    }

    /// The share of an apply that has all to itself within limits.
    pub fn alone(plan: &ReplicaPlan, limits: Limits) -> Share {
        let (replica, primary) = (replica_of(2, None), frankfurt(4, 800));
        Shared::new(limits, Arc::default()).admit([(plan, &replica, &primary)]).remove(0)
    }

    /// A plan that ships so many commits, of four segments each; or a few less, if it is more than sixteen.
    fn commits(count: u64) -> ReplicaPlan {
        let segments = (count > 0).then(|| build::wals(build::range(1, 0, count * 4 - 1), None));
        build::replica("main").of(segments)
    }

    /// Shares of applies that begin together, given what is declared of each replica and the commits that it ships.
    fn shares(shared: &Shared, primary: &Primary, applies: &[(Replica, u64)]) -> Vec<Share> {
        let plans: Vec<ReplicaPlan> = applies.iter().map(|(_, count)| commits(*count)).collect();
        let applies = plans.iter().zip(applies);
        let shares = shared.admit(applies.map(|(plan, (replica, _))| (plan, replica, primary)));
        for share in &shares {
            share.follow(Some(FAR), None);
        }
        shares
    }

    #[tokio::test]
    async fn transfers_draw_from_the_bandwidth_of_their_primary_and_from_their_replicas_own() {
        let (shared, primary) = (Shared::new(Limits::default(), Arc::default()), frankfurt(4, 800));
        let applies = [(replica_of(2, None), 1), (replica_of(2, Some(300)), 1)];
        let [first, second] = [0, 1].map(|at| shares(&shared, &primary, &applies).remove(at).taps().unwrap());
        assert_eq!((first.len(), second.len()), (1, 2));
        assert_eq!(first[0], second[0], "all of a primary draw together");
        let unlimited = Primary { bandwidth: None, ..primary };
        assert!(shares(&shared, &unlimited, &applies[..1])[0].taps().unwrap().is_empty());
    }

    /// How many transfers of an apply run at the same time, of nine that are to.
    fn at_once(share: &Share) -> usize {
        let lines: Vec<_> = (0..9).filter_map(|_| share.line(share.urgency(0)).now_or_never()).collect();
        lines.len()
    }

    #[test]
    fn as_many_transfers_run_as_fill_the_line() {
        let (shared, primary) = (Shared::new(Limits::default(), Arc::default()), frankfurt(8, 100_000_000));
        let share = shares(&shared, &primary, &[(replica_of(6, None), 100)]).remove(0);
        let narrow = Some(Load { streams: 6, each: 1_000_000 });
        for (milliseconds, seen, transfers) in [(1, None, 4), (100, None, 6), (50, None, 4), (100, narrow, 4)] {
            share.follow(Some(Duration::from_millis(milliseconds)), seen);
            assert_eq!(at_once(&share), transfers, "{milliseconds} {seen:?}");
        }
    }

    #[test]
    fn applies_at_different_times_share_slots() {
        let (shared, primary) = (Shared::new(Limits::default(), Arc::default()), frankfurt(2, 800));
        let first = shares(&shared, &primary, &[(replica_of(2, None), 2)]).remove(0);
        let line = |share: &Share, place| share.line(share.urgency(place)).now_or_never();
        let (one, _two) = (line(&first, 0).unwrap(), line(&first, 1).unwrap());
        let second = shares(&shared, &primary, &[(replica_of(2, None), 2)]).remove(0);
        assert!(line(&second, 0).is_none(), "the primary has two streams");
        drop(one);
        assert!(line(&second, 0).is_some());
    }

    #[test]
    fn limits_that_are_declared_anew_hold_from_the_next_apply_on() {
        let shared = Shared::new(Limits::default(), Arc::default());
        let first = shares(&shared, &frankfurt(1, 800), &[(replica_of(4, None), 4)]).remove(0);
        let second = shares(&shared, &frankfurt(2, 200), &[(replica_of(4, None), 4)]).remove(0);
        let slots: Vec<_> = [&first, &second, &second].iter().map(|s| s.line(s.urgency(0)).now_or_never()).collect();
        assert_eq!(slots.iter().filter(|slots| slots.is_some()).count(), 2);
        assert_eq!(first.bandwidths[0].limit(), Some(200), "what runs has it too");
    }

    #[test]
    fn bytes_are_shared_by_applies_that_begin_together_the_most_urgent_of_all_first() {
        let shared = Shared::new(Limits { max_bytes: Some(150 << 20), ..Limits::default() }, Arc::default());
        // Each segment is an action of its own; nine of all fit.
        let segments = (0..8).map(|number| build::wals(build::range(1, number * 2, number * 2), None));
        let plan = build::replica("main").of(segments);
        let (replica, primary) = (replica_of(2, None), frankfurt(4, 800));
        let shares = shared.admit([(&plan, &replica, &primary), (&plan, &replica, &primary)]);
        let admitted: Vec<usize> = shares
            .iter()
            .map(|share| {
                let answers = share.budget().ask((0..8).map(|place| share.urgency(place)));
                answers.into_iter().filter_map(|mut answer| answer.try_recv().ok()).count()
            })
            .collect();
        assert_eq!(admitted, [5, 4]);
        shares[0].charge(shares[0].urgency(0), 100);
        assert_eq!((shares[0].spent(), shares[1].spent(), shares[1].budget().spent()), (100, 0, 100));
    }
}

//! How long copying will take, where that can be said.
//!
//! The declared bandwidth bounds it from below: "at least". The rate that the last apply measured tells it "about",
//! and is never taken for more than the declared bandwidth. Replicas copy beside each other, each at its own pace, but
//! those of one primary share its bandwidth.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::plan::action::Action;
use crate::plan::{Plan, ReplicaPlan};

/// How fast bytes of a replica may arrive, and did; in bytes per second.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Pace {
    /// The primary's bandwidth, which its replicas share.
    pub primary: Option<u64>,
    /// The replica's own bandwidth.
    pub replica: Option<u64>,
    /// What the last apply measured.
    pub measured: Option<u64>,
}

/// What an estimate rests on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Basis {
    /// The declared bandwidth: it cannot be faster.
    Limit,
    /// The rate of the last apply: it is likely to be the same.
    Measured,
}

/// How long copying will take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Estimate {
    /// In seconds, rounded up.
    pub seconds: u64,
    /// Bytes per second, everything together.
    pub rate: u64,
    /// What it rests on.
    pub basis: Basis,
}

impl Pace {
    /// What the declared bandwidths allow.
    fn limit(self) -> Option<u64> {
        [self.primary, self.replica].into_iter().flatten().min()
    }

    /// What the line is expected to bring, by what was just measured or else by the last apply, and never more than what
    /// is declared.
    pub fn expected(self, measured: Option<u64>) -> Option<u64> {
        [measured.or(self.measured), self.limit()].into_iter().flatten().min()
    }

    /// Bytes per second on this basis.
    fn on(self, basis: Basis) -> Option<u64> {
        let rate = match basis {
            Basis::Limit => self.limit(),
            Basis::Measured => self.measured.map(|rate| self.limit().map_or(rate, |limit| limit.min(rate))),
        };
        rate.filter(|rate| *rate > 0)
    }
}

/// How long an action will take when nothing is copied beside it; `None` when it copies nothing or nobody can say.
pub fn of_action(action: &Action, pace: Pace) -> Option<Estimate> {
    let bytes = action.bytes_to_copy();
    [Basis::Measured, Basis::Limit]
        .into_iter()
        .find_map(|basis| Portion { bytes, rate: pace.on(basis)? }.of(bytes, basis))
}

/// How long the copying of a whole plan will take; `None` unless it can be said of every replica that copies.
pub fn of_plan(plan: &Plan) -> Option<Estimate> {
    of_replicas(&plan.replicas)
}

/// The same of some of its replicas.
pub fn of_replicas<'a>(replicas: impl IntoIterator<Item = &'a ReplicaPlan>) -> Option<Estimate> {
    let copying: Vec<Copying<'_>> = replicas.into_iter().filter_map(Copying::of).collect();
    [Basis::Measured, Basis::Limit].into_iter().find_map(|basis| together(&copying, basis))
}

/// A replica of which something is copied.
struct Copying<'a> {
    primary: &'a str,
    bytes: u64,
    pace: Pace,
}

impl<'a> Copying<'a> {
    fn of(replica: &'a ReplicaPlan) -> Option<Self> {
        let bytes = replica.actions.iter().map(Action::bytes_to_copy).fold(0, u64::saturating_add);
        let pace = replica.target.as_ref()?.pace;
        (bytes > 0).then_some(Self { primary: &replica.primary, bytes, pace })
    }
}

/// Bytes that arrive one after the other at a rate.
#[derive(Clone, Copy)]
struct Portion {
    bytes: u64,
    rate: u64,
}

impl Portion {
    fn seconds(self) -> u64 {
        self.bytes.div_ceil(self.rate.max(1))
    }

    /// The estimate for all bytes when this portion is the last to be there.
    fn of(self, all: u64, basis: Basis) -> Option<Estimate> {
        let rate = u128::from(all) * u128::from(self.rate) / u128::from(self.bytes.max(1));
        let rate = u64::try_from(rate).unwrap_or(u64::MAX);
        (self.bytes > 0).then_some(Estimate { seconds: self.seconds(), rate, basis })
    }
}

/// Replicas copy beside each other: the slowest decides, or the bandwidth of a primary whose replicas share it.
fn together(copying: &[Copying<'_>], basis: Basis) -> Option<Estimate> {
    let mut shared: BTreeMap<&str, Portion> = BTreeMap::new();
    let mut portions = Vec::new();
    for replica in copying {
        portions.push(Portion { bytes: replica.bytes, rate: replica.pace.on(basis)? });
        if let Some(rate) = replica.pace.primary {
            let portion = shared.entry(replica.primary).or_insert(Portion { bytes: 0, rate });
            portion.bytes = portion.bytes.saturating_add(replica.bytes);
        }
    }
    portions.extend(shared.into_values());
    let all = copying.iter().map(|replica| replica.bytes).fold(0, u64::saturating_add);
    portions.into_iter().max_by_key(|portion| portion.seconds())?.of(all, basis)
}

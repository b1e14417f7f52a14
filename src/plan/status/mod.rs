//! How each replica stands: a verdict in one word or two, and the numbers behind it.
//!
//! | verdict | meaning |
//! | --- | --- |
//! | in sync | nothing is to be done, and nothing that is wanted is lacking |
//! | behind | something is to be done, and nothing will be lacking then; no objective is missed |
//! | incomplete | something that is wanted is lacking, is named, and no apply can bring it; no objective is missed |
//! | objective missed | the window ends further behind than `objective.rpo`, or nobody can show that it does not; or for longer than `objective.max_silence` it was not level with its primary, and no apply did all there was to do; or its last drill disproved something, or a recovery takes longer than `objective.rto` |
//! | not recoverable | no backup here is whole and has the WAL that makes it consistent |
//! | suspended | somebody said that it is left alone for now; no objective is missed |
//! | blocked | nothing may be done, or something is held, before somebody settles what the plan says; no objective is missed |
//! | primary unreachable | nothing could be learnt from the primary; no objective is missed |
//! | inactive | the primary's Barman does not look after the server; no objective is missed |
//! | unreadable | the replica's catalog cannot be read |
//!
//! What is meant by the primary's newest WAL is that of the branch which is alive (`branch`). Where the primary says
//! nothing, the age of the newest WAL in the window bounds what would be lost: an objective is
//! kept as long as that age is within it. The same goes for an inactive server, whose WAL nobody archives; only one of
//! which nothing was ever copied is no concern, as a mirror names every server of its primary.

pub mod drilled;
pub mod ongoing;
pub mod vanished;

use jiff::Timestamp;
use schemars::JsonSchema;
use serde::Serialize;

use crate::barman::ids::ServerName;
use crate::barman::verified::Verified;
use crate::observe::inventory::{Observation, Observed, PrimaryInventory, ReplicaInventory, ReplicaObservation};
use crate::schedule::Suspension;
use crate::site::model::Replica;

use super::backup;
use super::cost::totals::Totals;
use super::recovery::Recovery;
use super::recovery::branch::is_ahead;
use super::recovery::objective::{self, Objective, Silence};
use super::{Outcome, Plan, ReplicaPlan};
use drilled::Drilled;
use ongoing::Ongoing;
use vanished::{Detached, Vanished};

/// How each replica of a site stands.
#[derive(Debug, Clone, PartialEq)]
pub struct SiteStatus {
    /// The site's name.
    pub site: String,
    /// One for each replica of the plan, in its order.
    pub replicas: Vec<ReplicaStatus>,
    /// Servers that are copied no longer, by their names.
    pub vanished: Vec<Vanished>,
    /// Servers that are copied no longer, as somebody said, by their names.
    pub detached: Vec<Detached>,
    /// Who keeps the site by itself, if somebody does.
    pub keeper: Option<Keeper>,
}

/// A process that keeps a site by itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
#[schemars(deny_unknown_fields)]
pub struct Keeper {
    /// Its id, as it wrote it; null where it could not be read.
    pub pid: Option<u32>,
    /// Its command line, while it is there.
    pub command: Option<String>,
}

impl SiteStatus {
    /// Whether something that the site promises is not kept.
    pub fn is_missed(&self) -> bool {
        self.replicas.iter().any(ReplicaStatus::is_missed)
            || self.vanished.iter().any(|vanished| vanished.rpo_seconds.is_some())
    }
}

/// How one replica stands.
#[derive(Debug, Clone, PartialEq)]
pub struct ReplicaStatus {
    /// Its name at the site.
    pub name: ServerName,
    /// The primary's name in the site file.
    pub primary: String,
    /// The server's name at the primary.
    pub server: ServerName,
    /// All in a word or two.
    pub verdict: Verdict,
    /// What recovery can reach.
    pub recovery: Recovery,
    /// Seconds since the last WAL of the window was archived; `None` when that is dated in the future.
    pub age: Option<u64>,
    /// The objective, where there is one.
    pub objective: Option<Objective>,
    /// How long nothing was heard of its primary, where that is watched.
    pub silence: Option<Silence>,
    /// Whether something that is wanted does not fit here.
    pub lacks_room: bool,
    /// When the last successful apply ended.
    pub last_apply: Option<Timestamp>,
    /// Whether that is dated in the future, and so shows nothing.
    pub last_apply_is_ahead: bool,
    /// Its backups, counted.
    pub backups: BackupCounts,
    /// How far what is here was read to its end; `None` where nobody knows.
    pub verified: Option<Verified>,
    /// How many files here were read, are not what was written, and are not mended.
    pub damaged: u64,
    /// What the last drills of it showed; `None` where none was made.
    pub drilled: Option<Drilled>,
    /// The run that is at work on it, if there is one.
    pub ongoing: Option<Ongoing>,
    /// What was said of it, if it is left alone for now.
    pub suspended: Option<Suspension>,
    /// What whoever keeps the site by itself leaves to a person; `None` where nobody keeps it so.
    pub waits_for_person: Option<Totals>,
}

/// A verdict on a replica.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, JsonSchema)]
pub enum Verdict {
    /// It has everything that the primary has of what is wanted.
    #[serde(rename = "in sync")]
    InSync,
    /// Something is missing or wrong, and no objective is missed.
    #[serde(rename = "behind")]
    Behind,
    /// Something that is wanted is lacking, and no apply can bring it.
    #[serde(rename = "incomplete")]
    Incomplete,
    /// The objective is missed, or cannot be shown to be kept.
    #[serde(rename = "objective missed")]
    ObjectiveMissed,
    /// Nothing can be recovered.
    #[serde(rename = "not recoverable")]
    NotRecoverable,
    /// Somebody said that it is left alone for now.
    #[serde(rename = "suspended")]
    Suspended,
    /// Nothing may be done, or something waits for a person.
    #[serde(rename = "blocked")]
    Blocked,
    /// The primary could not be observed.
    #[serde(rename = "primary unreachable")]
    PrimaryUnreachable,
    /// The primary's Barman does not look after the server.
    #[serde(rename = "inactive")]
    Inactive,
    /// The catalog cannot be read.
    #[serde(rename = "unreadable")]
    Unreadable,
}

impl Verdict {
    /// Every verdict.
    pub const ALL: [Self; 10] = [
        Self::InSync,
        Self::Behind,
        Self::Incomplete,
        Self::ObjectiveMissed,
        Self::NotRecoverable,
        Self::Suspended,
        Self::Blocked,
        Self::PrimaryUnreachable,
        Self::Inactive,
        Self::Unreadable,
    ];

    /// The verdict in words, the same for people and for programs.
    pub fn words(self) -> &'static str {
        match self {
            Self::InSync => "in sync",
            Self::Behind => "behind",
            Self::Incomplete => "incomplete",
            Self::ObjectiveMissed => "objective missed",
            Self::NotRecoverable => "not recoverable",
            Self::Suspended => "suspended",
            Self::Blocked => "blocked",
            Self::PrimaryUnreachable => "primary unreachable",
            Self::Inactive => "inactive",
            Self::Unreadable => "unreadable",
        }
    }

    /// How much it needs a person: the least is the most pressing.
    pub fn rank(self) -> u8 {
        match self {
            Self::NotRecoverable => 0,
            Self::Unreadable => 1,
            Self::Blocked => 2,
            Self::ObjectiveMissed => 3,
            Self::Incomplete => 4,
            Self::PrimaryUnreachable => 5,
            Self::Suspended => 6,
            Self::Inactive => 7,
            Self::Behind => 8,
            Self::InSync => 9,
        }
    }

    /// Whether nobody need look at it: being a little behind is how a replica lives.
    pub fn is_well(self) -> bool {
        matches!(self, Self::InSync | Self::Behind)
    }
}

impl ReplicaStatus {
    /// Whether what the site promises is not kept. Where an objective says what is promised, it alone decides beside
    /// that there is anything to recover from, and room for what is wanted; where none does, everything that is wanted is.
    pub fn is_missed(&self) -> bool {
        match self.verdict {
            Verdict::ObjectiveMissed | Verdict::NotRecoverable => true,
            Verdict::Incomplete => self.objective.is_none() || self.lacks_room,
            _ => false,
        }
    }
}

/// The backups of a replica, counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct BackupCounts {
    /// Those here that are published and whole.
    pub here: usize,
    /// Those of them that were not looked at now, but found whole by an earlier run.
    pub looked_at_earlier: usize,
    /// When the first of these was looked at.
    pub oldest_look: Option<Timestamp>,
    /// The oldest look at the WAL here, if it was not all looked at now.
    pub wals_looked_at: Option<Timestamp>,
    /// Those that the site is to have; unknown without the primary.
    pub wanted: Option<usize>,
    /// Those at the primary that can be copied; unknown without the primary.
    pub at_primary: Option<usize>,
}

/// How each replica of a plan stands. `replicas` and `observation` are what the plan was made from.
pub fn status(plan: &Plan, replicas: &[Replica], observation: &Observation, now: Timestamp) -> SiteStatus {
    let statuses = plan.replicas.iter().filter_map(|planned| {
        let replica = replicas.iter().find(|replica| replica.name == planned.name)?;
        Some(of_replica(planned, replica, observation.replicas.get(&planned.name)?, now))
    });
    SiteStatus {
        site: plan.site.clone(),
        replicas: statuses.collect(),
        vanished: plan.vanished.clone(),
        detached: plan.detached.clone(),
        keeper: None,
    }
}

fn of_replica(plan: &ReplicaPlan, replica: &Replica, observed: &ReplicaObservation, now: Timestamp) -> ReplicaStatus {
    let here = &observed.replica;
    let recovery = plan.before;
    let last_apply = here.last_apply.as_ref().and_then(|last| last.ended);
    // Of a server that nobody looks after, and of which nothing was ever copied, nothing is promised.
    let is_promised = !is_no_concern(plan, here);
    let objective = objective::judge(replica.policy.rpo, &recovery, now).filter(|_| is_promised);
    let is_heard = plan.inactive().is_some() || recovery.is_level();
    let followed = [is_heard.then_some(now), last_apply, recovery.to];
    let silence = objective::silence(replica.policy.max_silence, &followed, now).filter(|_| is_promised);
    let drilled = Drilled::of(here, replica.policy.rto, now);
    let is_kept = objective.is_none_or(|objective| objective.kept)
        && silence.is_none_or(|silence| silence.kept)
        && drilled.as_ref().is_none_or(|drilled| drilled.kept);
    ReplicaStatus {
        name: plan.name.clone(),
        primary: plan.primary.clone(),
        server: plan.server.clone(),
        verdict: verdict(plan, here, is_kept),
        recovery,
        age: objective::age(&recovery, now),
        objective,
        silence,
        lacks_room: plan.lacks_room(),
        last_apply,
        last_apply_is_ahead: last_apply.is_some_and(|ended| is_ahead(ended, now)),
        backups: backups(replica, observed, now),
        verified: here.verified,
        damaged: here.damage.count() as u64,
        drilled,
        ongoing: None,
        suspended: here.suspended.clone(),
        waits_for_person: None,
    }
}

/// Whether nobody looks after the server at its primary, and nothing was ever copied of it.
fn is_no_concern(plan: &ReplicaPlan, here: &ReplicaInventory) -> bool {
    plan.inactive().is_some() && !here.exists && !here.unreadable
}

fn verdict(plan: &ReplicaPlan, here: &ReplicaInventory, is_kept: bool) -> Verdict {
    if here.unreadable {
        return Verdict::Unreadable;
    }
    if is_no_concern(plan, here) {
        return Verdict::Inactive;
    }
    if plan.before.window.is_none() {
        return Verdict::NotRecoverable;
    }
    if !is_kept {
        return Verdict::ObjectiveMissed;
    }
    if here.suspended.is_some() {
        return Verdict::Suspended;
    }
    match &plan.outcome {
        Outcome::Blocked(_) if plan.inactive().is_some() => Verdict::Inactive,
        Outcome::Blocked(_) => Verdict::Blocked,
        Outcome::Unobserved(_) => Verdict::PrimaryUnreachable,
        Outcome::Inactive(_) => Verdict::Inactive,
        Outcome::Planned if !plan.held.is_empty() => Verdict::Blocked,
        Outcome::Planned if !plan.shortfalls.is_empty() => Verdict::Incomplete,
        Outcome::Planned if plan.is_in_sync() => Verdict::InSync,
        Outcome::Planned => Verdict::Behind,
    }
}

fn backups(replica: &Replica, observed: &ReplicaObservation, now: Timestamp) -> BackupCounts {
    let whole = observed.replica.published().filter(|facts| observed.replica.is_whole(facts.id));
    let looks: Vec<Option<Timestamp>> =
        whole.map(|facts| observed.replica.backups.get(&facts.id).and_then(|backup| backup.looked_at)).collect();
    let earlier = || looks.iter().flatten();
    let here = BackupCounts {
        here: looks.len(),
        looked_at_earlier: earlier().count(),
        oldest_look: earlier().min().copied(),
        wals_looked_at: observed.replica.wals_looked_at,
        ..BackupCounts::default()
    };
    match &observed.primary {
        Observed::Active(primary) => BackupCounts {
            wanted: Some(backup::diff(&replica.policy, primary, &observed.replica, now).kept.len()),
            at_primary: Some(usable(primary)),
            ..here
        },
        Observed::Inactive(_) | Observed::Failed(_) => here,
    }
}

fn usable(primary: &PrimaryInventory) -> usize {
    primary.backups.values().filter(|backup| backup::is_usable(backup)).count()
}

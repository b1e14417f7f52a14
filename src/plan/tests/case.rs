//! One situation: what both ends have, what is wanted, and what is planned.

use std::collections::BTreeSet;
use std::fmt;
use std::num::NonZeroU32;

use jiff::Timestamp;

use crate::barman::wal::{Segment, Timeline, WalName};
use crate::barman::wal_entry::WalEntry;
use crate::barman::wal_set::WalRange;
use crate::observe::inventory::{
    BackupFacts, Observation, Observed, PrimaryInventory, ReplicaInventory, ReplicaObservation,
};
use crate::observe::wal_files::wal_files;
use crate::plan::action::{Action, Change};
use crate::plan::reason::{Blocker, Reason};
use crate::plan::saved::stale::{self, Present, Refusal};
use crate::plan::saved::{SavedPlan, SiteFile};
use crate::plan::{Outcome, Plan, ReplicaPlan};
use crate::site::Site;
use crate::site::drills::Drill;
use crate::site::model::{Compress, Policy, Protect, Prune, Replica, Reuse, Rule, Selection, Transfer, WalsFrom};

use super::notation;

/// A replica in a situation.
#[derive(Clone)]
pub struct Case {
    pub primary: PrimaryInventory,
    pub here: ReplicaInventory,
    pub replica: Replica,
    pub limit: Option<u64>,
    pub now: Timestamp,
}

/// Short, as a property that fails shows it: what is there, what is here, and what is wanted.
impl fmt::Debug for Case {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for b in self.primary.backups.values() {
            writeln!(f, "there {} {:?} leaving: {} {:?}", facts(&b.facts), b.base, b.going_away, b.keep)?;
        }
        for (id, b) in &self.here.backups {
            let said = b.published.as_ref().map(|published| facts(&published.facts));
            writeln!(f, "here  {} {} {:?} {:?}", day(id.as_str()), said.unwrap_or_default(), b.base, b.keep)?;
        }
        for file in wal_files(Some(&self.primary), &self.here) {
            let size = |entry: Option<WalEntry>| entry.map(|entry| entry.size);
            writeln!(f, "{} there {:?} here {:?} line {:?}", file.name, size(file.there), file.here, size(file.line))?;
        }
        writeln!(f, "gone {:?} undescribed {:?}", self.primary.gone, self.primary.undescribed)?;
        writeln!(f, "histories there {:?} here {:?}", self.primary.histories.keys(), self.here.histories.keys())?;
        writeln!(f, "{:?} staged {:?}", self.here.xlogdb.findings, self.here.staged)?;
        writeln!(f, "{:?}", self.replica.policy)
    }
}

fn facts(facts: &BackupFacts) -> String {
    let segment = |segment: Option<Segment>| segment.map(|segment| segment.to_string()).unwrap_or_default();
    let parent = facts.parent.map(|parent| format!("<{}", day(parent.as_str()))).unwrap_or_default();
    let (begin, end) = (segment(facts.begin_wal), segment(facts.end_wal));
    format!("{}{parent} {begin}..{end} {}", day(facts.id.as_str()), facts.status)
}

/// What the primary and the site have, in the notation. Everything is wanted and nothing may be deleted.
pub fn case(there: &str, here: &str) -> Case {
    let primary = notation::primary(there);
    let here = notation::replica(here, &primary);
    let replica = Replica {
        name: "main".parse().unwrap(),
        primary: "frankfurt".to_owned(),
        server: "main".parse().unwrap(),
        policy: policy(),
    };
    Case { primary, here, replica, limit: None, now: "2026-11-30T00:00:00Z".parse().unwrap() }
}

fn policy() -> Policy {
    Policy {
        rto: None,
        drill: Drill::default(),
        backups: Selection::All,
        wals_from: WalsFrom::OldestBackup,
        prune: Prune { unselected: false, gone_at_primary: false },
        protect: Protect { min_backups: 1, max_prune_percent: 100 },
        transfer: Transfer { streams: NonZeroU32::MIN, bandwidth: None, reuse: Reuse::Auto, compress: Compress::Auto },
        rpo: None,
        max_silence: None,
        accept_systems: BTreeSet::new(),
        accept: Vec::new(),
        schedule: crate::schedule::Schedule::default(),
        auto: crate::site::model::Auto::default(),
    }
}

impl Case {
    /// The same with something changed.
    pub fn with(mut self, change: impl FnOnce(&mut Self)) -> Self {
        change(&mut self);
        self
    }

    /// `last: N`
    pub fn last(self, count: u32) -> Self {
        let rules = vec![Rule::Last(NonZeroU32::new(count).unwrap())];
        self.with(|case| case.replica.policy.backups = Selection::Union(rules))
    }

    /// `wals: {from: …}`
    pub fn wals_from(self, from: WalsFrom) -> Self {
        self.with(|case| case.replica.policy.wals_from = from)
    }

    /// `prune: {unselected: true}`
    pub fn prune_unselected(self) -> Self {
        self.with(|case| case.replica.policy.prune.unselected = true)
    }

    /// `prune: {gone_at_primary: true}`
    pub fn prune_gone(self) -> Self {
        self.with(|case| case.replica.policy.prune.gone_at_primary = true)
    }

    /// The plan of this one replica.
    pub fn plan(&self) -> ReplicaPlan {
        let primary = Observed::Active(Box::new(self.primary.clone()));
        let observed = ReplicaObservation { primary, replica: self.here.clone() };
        crate::plan::replica::plan(&self.replica, self.limit, &observed, self.now)
    }

    /// The plan's actions, each in a few words.
    pub fn actions(&self) -> Vec<String> {
        self.plan().actions.iter().map(words).collect()
    }

    /// Why an action is planned.
    pub fn reason(&self, action: &str) -> Reason {
        let plan = self.plan();
        let found = plan.actions.iter().find(|other| words(other) == action);
        found.unwrap_or_else(|| panic!("no {action} among {:?}", self.actions())).reason.clone()
    }

    /// What forbids a plan.
    pub fn blockers(&self) -> Vec<Blocker> {
        match self.plan().outcome {
            Outcome::Blocked(blockers) => blockers,
            other => panic!("{other:?}"),
        }
    }
}

/// A plan of one replica as the whole plan of a site.
pub fn whole(replica: ReplicaPlan) -> Plan {
    Plan {
        site: "lisbon".to_owned(),
        catalog: "/site".into(),
        replicas: vec![replica],
        vanished: Vec::new(),
        detached: Vec::new(),
        narrowed: None,
    }
}

/// An action in a few words: `+backup 22`, `~wal 1/08..0A`.
pub fn words(action: &Action) -> String {
    match &action.change {
        Change::CreateServer => "+server".to_owned(),
        Change::RepairXlogDb { .. } => "~xlog.db".to_owned(),
        Change::RewriteSyncWals { .. } => "~sync-wals.info".to_owned(),
        Change::ShipHistory { timeline, .. } => {
            let sign = if action.reason == Reason::MissingHere { '+' } else { '~' };
            format!("{sign}history {timeline}")
        }
        Change::AddWals(batch) => format!("+wal {}", wal(batch.range, batch.entries.first().map(|e| e.name))),
        Change::RepairWals(batch) => format!("~wal {}", wal(batch.range, batch.entries.first().map(|e| e.name))),
        Change::AddBackup(copy) => format!("+backup {}", day(copy.id.as_str())),
        Change::RepairBackup(copy) => format!("~backup {}", day(copy.id.as_str())),
        Change::UpdateInfo { id, .. } => format!("~info {}", day(id.as_str())),
        Change::LinkTablespaces { id, .. } => format!("~tablespaces {}", day(id.as_str())),
        Change::SetKeep { id, to, .. } => format!("keep {} {to}", day(id.as_str())),
        Change::RemoveBackup { id, .. } => format!("-backup {}", day(id.as_str())),
        Change::RemoveStaging { id } => format!("-staging {}", day(id.as_str())),
        Change::RemoveWals { range, files } => format!("-wal {}", wal(*range, files.keys().next().copied())),
    }
}

fn day(id: &str) -> &str {
    &id[6..8]
}

fn wal(range: Option<WalRange>, first: Option<WalName>) -> String {
    match range {
        Some(WalRange { timeline: Timeline(t), first, last }) if first == last => format!("{t}/{first:02X}"),
        Some(WalRange { timeline: Timeline(t), first, last }) => format!("{t}/{first:02X}..{last:02X}"),
        None => first.map(|name| name.to_string()).unwrap_or_default(),
    }
}

/// The site that every case is of.
pub fn site() -> Site {
    let text = "version: 1\nsite: lisbon\ncatalog: {path: /site}\nprimaries: {frankfurt: {path: /primary}}\n\
                replicas: {main: {primary: frankfurt}}\n";
    crate::site::load("antipode.yaml", text, None).unwrap().site
}

impl Case {
    /// What was observed of both ends.
    pub fn observation(&self) -> Observation {
        let primary = Observed::Active(Box::new(self.primary.clone()));
        let ends = ReplicaObservation { primary, replica: self.here.clone() };
        Observation { replicas: [(self.replica.name.clone(), ends)].into() }
    }

    /// The plan as it is saved.
    pub fn saved(&self) -> SavedPlan {
        let file = SiteFile::new("antipode.yaml", b"");
        let replicas = [self.replica.clone()];
        SavedPlan::new(whole(self.plan()), file, &site(), &replicas, &self.observation(), self.now)
    }

    /// Why a saved plan may not be applied in this situation.
    pub fn refuses(&self, saved: &SavedPlan) -> Option<Refusal> {
        let (site, observation) = (site(), self.observation());
        let replicas = [self.replica.clone()];
        let present = Present { site: &site, replicas: &replicas, observation: &observation, now: self.now };
        stale::check(saved, &present).err()
    }
}

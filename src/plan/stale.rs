//! Whether a saved plan may still be applied: what its actions rely on is looked at again.

use std::fmt;

use jiff::Timestamp;

use crate::observe::inventory::{Observation, Observed, ReplicaObservation};
use crate::render::clean;
use crate::render::units::count;
use crate::site::model::{Replica, Site};

use super::action::ReplicaPlan;
use super::desired::{ChangedKey, Desired};
use super::facts::{Fact, Grounds};
use super::saved::SavedPlan;

/// So many changes are named.
const NAMED: usize = 5;

/// A site as it is wanted and observed when a saved plan is to be applied.
pub struct Present<'a> {
    /// What is wanted.
    pub site: &'a Site,
    /// The replicas that the site file names and those that its mirrors stand for.
    pub replicas: &'a [Replica],
    /// Both ends of at least the replicas that the plan has actions for.
    pub observation: &'a Observation,
    /// When it was observed.
    pub now: Timestamp,
}

/// Why a saved plan is not applied.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// It was made for another site.
    #[error("it is a plan of site {}, and the site file is of {}", clean(planned), clean(now))]
    OtherSite {
        /// The plan's site.
        planned: String,
        /// The site file's.
        now: String,
    },
    /// Something that it relies on cannot be looked at.
    #[error("replica {replica} could not be looked at again: {message}")]
    Unobserved {
        /// The replica.
        replica: String,
        /// What happened.
        message: String,
        /// What to do next.
        hint: Option<String>,
    },
    /// Something that it relies on has changed.
    #[error("it is stale: {}", Listed(.0))]
    Stale(Vec<Change>),
}

/// Something that a plan relies on and that has changed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    /// Whose: an address, or a key path of the site file.
    pub subject: String,
    /// What; none for a key, which says it already.
    pub what: Option<String>,
    /// What it was when the plan was made.
    pub planned: String,
    /// What it is now.
    pub now: String,
}

impl Refusal {
    /// What to do next.
    pub fn hint(&self) -> &str {
        match self {
            Self::OtherSite { .. } => "name the site file that it was made with: -f FILE",
            Self::Unobserved { hint: Some(hint), .. } => hint,
            Self::Unobserved { hint: None, .. } => "apply it when the primary answers",
            Self::Stale(_) => "plan again, review it, and apply the new one",
        }
    }
}

/// Checks that a plan is of this site.
pub fn check_site(saved: &SavedPlan, site: &Site) -> Result<(), Refusal> {
    let (planned, now) = (&saved.plan.site, &site.name);
    let other = || Refusal::OtherSite { planned: planned.clone(), now: now.clone() };
    if planned == now { Ok(()) } else { Err(other()) }
}

/// Checks that everything the actions of a plan rely on is as it was.
pub fn check(saved: &SavedPlan, present: &Present<'_>) -> Result<(), Refusal> {
    check_site(saved, present.site)?;
    let desired = Desired::of(present.site, present.replicas);
    let mut changes = Vec::new();
    for planned in saved.plan.replicas.iter().filter(|replica| !replica.actions.is_empty()) {
        let keys = saved.desired.changes(&desired, present.site, &planned.name);
        // What another desired state asks for says nothing of the one that was planned for.
        let is_as_wanted = keys.is_empty();
        changes
            .extend(keys.into_iter().map(Change::from).filter(|change| !changes.contains(change)).collect::<Vec<_>>());
        let replica = present.replicas.iter().find(|replica| replica.name == planned.name);
        let observed = present.observation.replicas.get(&planned.name);
        if let (true, Some(replica), Some(observed)) = (is_as_wanted, replica, observed) {
            changes.extend(Compared { saved, planned, replica, observed, now: present.now }.changes()?);
        }
    }
    if changes.is_empty() { Ok(()) } else { Err(Refusal::Stale(changes)) }
}

/// A replica as it was planned, and as it is.
struct Compared<'a> {
    saved: &'a SavedPlan,
    planned: &'a ReplicaPlan,
    replica: &'a Replica,
    observed: &'a ReplicaObservation,
    now: Timestamp,
}

impl Compared<'_> {
    fn changes(&self) -> Result<Vec<Change>, Refusal> {
        let name = self.planned.name.as_str();
        match &self.observed.primary {
            Observed::Active(_) => {}
            Observed::Inactive(sentence) => {
                let what = Some("the server, at the primary".to_owned());
                let (planned, now) = ("active".to_owned(), sentence.trim().to_owned());
                return Ok(vec![Change { subject: name.to_owned(), what, planned, now }]);
            }
            Observed::Failed { message, hint } => {
                let (message, hint) = (message.clone(), hint.clone());
                return Err(Refusal::Unobserved { replica: name.to_owned(), message, hint });
            }
        }
        let Some(grounds) = Grounds::new(self.planned, self.replica, self.observed, self.now) else {
            return Ok(Vec::new());
        };
        let mut changes = differences(name, self.saved.facts.of_replica(&self.planned.name), &grounds.of_target());
        // Where everything is somewhere else, every action would say so again.
        if changes.is_empty() {
            for action in &self.planned.actions {
                let planned = self.saved.facts.of_action(&action.address);
                changes.extend(differences(action.address.as_str(), planned, &grounds.of(action)));
            }
        }
        Ok(changes)
    }
}

/// The facts that are not what they were, or not what they must be.
fn differences(subject: &str, planned: &[Fact], now: &[Fact]) -> Vec<Change> {
    let change = |fact: &Fact| {
        let was = planned.iter().find(|was| was.side == fact.side && was.name == fact.name);
        let was = was.map_or("not noted", |was| was.value.as_str());
        let required = fact.required.as_deref().unwrap_or(&fact.value);
        let expected = if was == fact.value { required } else { was };
        (expected != fact.value).then(|| Change {
            subject: subject.to_owned(),
            what: Some(format!("{}, {}", fact.name, fact.side)),
            planned: expected.to_owned(),
            now: fact.value.clone(),
        })
    };
    now.iter().filter_map(change).collect()
}

impl From<ChangedKey> for Change {
    fn from(key: ChangedKey) -> Self {
        let value = |value: Option<String>| value.map_or_else(|| "nothing".to_owned(), |value| format!("`{value}`"));
        Self { subject: format!("`{}`", key.path), what: None, planned: value(key.planned), now: value(key.now) }
    }
}

/// What a saved plan says comes from a file, and is made harmless here.
impl fmt::Display for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [subject, planned, now] = [&self.subject, &self.planned, &self.now].map(|text| clean(text));
        match &self.what {
            Some(what) => write!(f, "{subject}: {what}: planned: {planned}; now: {now}"),
            None => write!(f, "{subject}: planned with {planned}, now {now}"),
        }
    }
}

/// The first changes, a line each, and how many more there are.
struct Listed<'a>(&'a [Change]);

impl fmt::Display for Listed<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0.len() {
            1 => f.write_str("something that it relies on has changed")?,
            n => write!(f, "{} that it relies on have changed", count(n as u64, "thing"))?,
        }
        self.0.iter().take(NAMED).try_for_each(|change| write!(f, "\n  {change}"))?;
        if self.0.len() > NAMED {
            write!(f, "\n  … and {} more", self.0.len() - NAMED)?;
        }
        Ok(())
    }
}

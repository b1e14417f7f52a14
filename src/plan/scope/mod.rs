//! A part of a plan: some of its actions with all that they need, or all but some and what needs those.
//!
//! The graph of the plan decides what belongs together, so that a part is as safe to apply as the whole.

mod beside;
mod chosen;
mod cut;
pub mod leave;
mod unmatched;

use std::collections::BTreeSet;

use jiff::Timestamp;

use crate::barman::ids::{BackupId, ServerName};
use crate::english::list;
use crate::error::{Error, Kind};
use crate::observe::inventory::{Observation, Observed, ReplicaObservation};
use crate::site::model::Replica;
use crate::site::suggest::near;

use super::reason::Note;
use super::recovery;
use super::{Narrowed, Plan, ReplicaPlan};

pub use crate::site::pattern::{Pattern, Thing, Wals};

/// Which part of a plan is wanted.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Scope {
    /// Only these, and what they need; everything when there are none.
    pub targets: Vec<Pattern>,
    /// Not these, nor what needs them.
    pub excluded: Vec<Pattern>,
}

/// Why there is no such part.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ScopeError {
    /// No replica has the name.
    #[error("{pattern}: no replica of this site is called {replica}")]
    NoReplica {
        /// What was asked for.
        pattern: String,
        /// The name in it.
        replica: ServerName,
        /// Names that are near.
        near: Vec<String>,
    },
    /// Neither end has it.
    #[error("{pattern} is no action of this plan, and neither end has it")]
    Unknown {
        /// What was asked for.
        pattern: String,
        /// Addresses that are near.
        near: Vec<String>,
    },
    /// The primary has it, and the site is not to have it.
    #[error("{pattern} is at the primary, and nothing is planned for it")]
    Unwanted {
        /// What was asked for.
        pattern: String,
    },
    /// Consent to something that does not ask for it.
    #[error("--accept {pattern} is about nothing that waits for a person; nothing was changed")]
    NothingWaits {
        /// What was accepted.
        pattern: String,
        /// What does wait.
        waiting: Vec<String>,
    },
    /// A target of which nothing is left.
    #[error("{target} needs {needed}, which --exclude {excluded} leaves out")]
    Contradiction {
        /// The target.
        target: String,
        /// What it needs.
        needed: String,
        /// What leaves that out.
        excluded: String,
    },
}

impl From<ScopeError> for Error {
    fn from(error: ScopeError) -> Self {
        let (kind, hint) = match &error {
            ScopeError::NoReplica { near, .. } | ScopeError::Unknown { near, .. } => match near.as_slice() {
                [] => (Kind::NotFound, "`antipode plan -v` shows what is planned".to_owned()),
                near => (Kind::NotFound, format!("did you mean {}?", near.join(" or "))),
            },
            ScopeError::Unwanted { .. } => {
                let hint = "the selection of the site file leaves it out, or it is not complete there";
                (Kind::Refused, hint.to_owned())
            }
            ScopeError::NothingWaits { waiting, .. } => match waiting.as_slice() {
                [] => (Kind::Invalid, "nothing waits; leave it out".to_owned()),
                waiting => (Kind::Invalid, format!("what waits is {}", list(waiting))),
            },
            ScopeError::Contradiction { .. } => (Kind::Invalid, "leave one of the two out".to_owned()),
        };
        Self::new(kind, error.to_string()).hint(hint)
    }
}

impl Scope {
    /// Whether it is the whole plan.
    pub fn is_everything(&self) -> bool {
        self.targets.is_empty() && self.excluded.is_empty()
    }

    /// Whether anything of a replica can be in it.
    pub fn concerns(&self, replica: &ServerName) -> bool {
        let is_target = self.targets.is_empty() || self.targets.iter().any(|target| target.replica == *replica);
        let is_whole = |pattern: &&Pattern| pattern.replica == *replica && pattern.sort.is_none();
        is_target && !self.excluded.iter().any(|excluded| is_whole(&excluded))
    }

    /// The same part of the replicas that a predicate accepts, of which it concerns at least one.
    #[must_use]
    pub fn among(&self, is_among: impl Fn(&ServerName) -> bool) -> Self {
        let among = |patterns: &[Pattern]| patterns.iter().filter(|p| is_among(&p.replica)).cloned().collect();
        Self { targets: among(&self.targets), excluded: among(&self.excluded) }
    }

    /// Refuses names that no replica of the site has.
    pub fn check_names(&self, replicas: &[Replica]) -> Result<(), ScopeError> {
        let names: Vec<&str> = replicas.iter().map(|replica| replica.name.as_str()).collect();
        let patterns = self.targets.iter().chain(&self.excluded);
        let unknown = patterns.into_iter().find(|pattern| !names.contains(&pattern.replica.as_str()));
        unknown.map_or(Ok(()), |pattern| {
            let near = near(pattern.replica.as_str(), &names).into_iter().map(str::to_owned).collect();
            Err(ScopeError::NoReplica { pattern: pattern.to_string(), replica: pattern.replica.clone(), near })
        })
    }
}

impl Plan {
    /// Refuses consent, given for this run, to what would not wait without it. Of a replica that could not be planned
    /// nobody knows what would.
    pub fn check_accepted(&self, accepted: &[Pattern]) -> Result<(), ScopeError> {
        let is_vain = |pattern: &&Pattern| match self.replicas.iter().find(|plan| plan.name == pattern.replica) {
            Some(plan) => {
                plan.notes.iter().any(|n| matches!(n, Note::AcceptsNothing(text) if text == pattern.as_str()))
            }
            None => true,
        };
        let Some(vain) = accepted.iter().find(is_vain) else { return Ok(()) };
        let waiting = self.replicas.iter().flat_map(|plan| &plan.held).map(|held| held.address.to_string()).collect();
        Err(ScopeError::NothingWaits { pattern: vain.to_string(), waiting })
    }

    /// The part of the plan that is in a scope. `replicas` are all that the site has; those that the scope does not
    /// concern need not have been observed. `now` is the plan's time.
    pub fn narrow(
        mut self,
        scope: &Scope,
        replicas: &[Replica],
        observation: &Observation,
        now: Timestamp,
    ) -> Result<Self, ScopeError> {
        if scope.is_everything() {
            return Ok(self);
        }
        scope.check_names(replicas)?;
        self.replicas.retain(|replica| scope.concerns(&replica.name));
        self.vanished.clear();
        self.detached.clear();
        self.take(scope, observation)?;
        for replica in self.replicas.iter_mut().filter(|replica| replica.left_out > 0) {
            if let Some(observed) = observation.replicas.get(&replica.name) {
                settle(replica, observed, now);
            }
        }
        let names = |patterns: &[Pattern]| patterns.iter().map(ToString::to_string).collect();
        self.narrowed = Some(Narrowed {
            targets: names(&scope.targets),
            excluded: names(&scope.excluded),
            replicas: replicas.len().saturating_sub(self.replicas.len()),
        });
        Ok(self)
    }

    fn take(&mut self, scope: &Scope, observation: &Observation) -> Result<(), ScopeError> {
        let patterns = scope.targets.iter().chain(&scope.excluded);
        let mut origins = Vec::new();
        for replica in &mut self.replicas {
            let named: Vec<&Pattern> = patterns.clone().filter(|pattern| pattern.replica == replica.name).collect();
            origins.push(cut::cut(replica, &named));
        }
        for pattern in patterns.clone() {
            unmatched::check(pattern, self, observation)?;
        }
        let stays = chosen::choose(self, scope)?;
        for (index, (replica, origins)) in self.replicas.iter_mut().zip(&origins).enumerate() {
            replica.left_out = cut::keep(replica, origins, |place| stays.contains(&(index, place)));
        }
        Ok(())
    }
}

/// Corrects what a replica's plan says of itself after actions were taken out.
pub(super) fn settle(plan: &mut ReplicaPlan, observed: &ReplicaObservation, now: Timestamp) {
    let copied: BTreeSet<BackupId> =
        plan.actions.iter().filter_map(|action| Some(action.change.effect().published()?.id)).collect();
    let here = &observed.replica;
    for action in &mut plan.actions {
        // A backup that is not copied has no files for another one, unless it is here already.
        if let Some(reuse) = action.change.reuse_mut() {
            let has_files = |id: BackupId| copied.contains(&id) || here.published().any(|facts| facts.id == id);
            *reuse = reuse.take().filter(|reuse| has_files(reuse.from));
        }
    }
    if let Observed::Active(primary) = &observed.primary {
        plan.after = recovery::with(primary, here, &plan.actions, now);
    }
}

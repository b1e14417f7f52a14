//! The shape of a saved plan's text. What is only for readers is written and passed over when it is read, as it follows
//! from the rest.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use petgraph::visit::EdgeRef;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::barman::ids::ServerName;
use crate::plan::action::kinds::Traffic;
use crate::plan::action::words::Verb;
use crate::plan::action::{Action, Address, Change};
use crate::plan::cost::estimate::{self, Basis, Pace};
use crate::plan::cost::totals::Totals;
use crate::plan::held::Held;
use crate::plan::order::graph::Dependency;
use crate::plan::reason::{Note, Reason, Warning};
use crate::plan::recovery::Recovery;
use crate::plan::recovery::shortfall::Shortfall;
use crate::plan::saved::desired::Desired;
use crate::plan::saved::preconditions::{PRECONDITIONS_VERSION, Precondition};
use crate::plan::status::vanished::{Detached, Vanished};
use crate::plan::{Narrowed, Outcome, Plan, ReplicaPlan, Target};
use crate::render;

use crate::plan::saved::{Preconditions, SavedPlan, SiteFile, sha256};

use super::{FORMAT_VERSION, FileError, VERSION};

/// The actions that others need, by the places of both: replica, action.
type Needs = BTreeMap<(usize, usize), BTreeSet<usize>>;

/// What `antipode plan -o FILE` writes, and `antipode plan --format json` prints.
#[derive(Serialize, Deserialize, JsonSchema)]
#[schemars(title = "Antipode plan", deny_unknown_fields)]
pub struct Document {
    /// The version of this format: 1.
    #[schemars(extend("const" = 1))]
    format_version: u32,
    /// The version of antipode that made it, for readers.
    antipode: String,
    /// The version of what its actions rely on: only a plan with preconditions of this version is applied.
    preconditions_version: u32,
    /// The site's name.
    site: String,
    /// `barman_home` at the site.
    catalog: PathBuf,
    /// The site file that it was made with.
    site_file: SiteFile,
    /// What of the site file decided it.
    desired: Desired,
    /// The SHA-256 of all preconditions.
    #[serde(skip_deserializing)]
    observed: String,
    /// What it was narrowed to, when it is not the whole plan.
    narrowed: Option<Narrowed>,
    /// Whether there is anything to do.
    #[serde(skip_deserializing)]
    changes: bool,
    /// Whether every replica could be planned, and nothing waits for a person.
    #[serde(skip_deserializing)]
    complete: bool,
    /// One for each replica, in the order of their names.
    replicas: Vec<ReplicaDocument>,
    /// Servers that are copied no longer, and of which something is at the site.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    vanished: Vec<Vanished>,
    /// Those of which somebody said that they stay as they are.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    detached: Vec<Detached>,
    /// What all actions come to.
    #[serde(skip_deserializing)]
    totals: Totals,
    /// The SHA-256 of all before it.
    digest: String,
}

/// What will be done for one replica.
#[derive(Serialize, Deserialize, JsonSchema)]
#[schemars(deny_unknown_fields)]
struct ReplicaDocument {
    /// Its name at the site.
    name: ServerName,
    /// The primary's name in the site file.
    primary: String,
    /// The server's name at the primary.
    server: ServerName,
    /// Whether it could be planned.
    outcome: Outcome,
    /// Why it could not be planned, in words.
    #[serde(skip_deserializing)]
    unplanned: Vec<String>,
    /// What is needed besides the actions.
    target: Option<Target>,
    /// What recovery can reach now.
    before: Recovery,
    /// What recovery will be able to reach.
    after: Recovery,
    /// What will be lacking of what is wanted when all is done.
    shortfalls: Vec<Told<Shortfall>>,
    /// What should be done something about.
    warnings: Vec<Told<Warning>>,
    /// What should be known.
    notes: Vec<Told<Note>>,
    /// How many actions the plan was narrowed not to have.
    left_out: usize,
    /// What all its actions rely on.
    preconditions: Vec<Precondition>,
    /// In the order in which they are shown: newest recoverable point first.
    actions: Vec<ActionDocument>,
    /// What is good here, differs at the primary, and waits for a person.
    held: Vec<Told<Held>>,
}

/// Something with its sentence.
#[derive(Serialize, Deserialize, JsonSchema)]
#[schemars(deny_unknown_fields)]
struct Told<T> {
    /// The sentence.
    #[serde(skip_deserializing)]
    message: String,
    /// What it tells.
    what: T,
}

/// One change of one thing.
#[derive(Serialize, Deserialize, JsonSchema)]
#[schemars(deny_unknown_fields)]
struct ActionDocument {
    /// Names it; unique in a plan and the same in every plan of the same state.
    address: Address,
    /// What it comes to, in one word.
    #[serde(skip_deserializing)]
    verb: Verb,
    /// What kind of thing is changed: `backup`, `wal`, `history`, `xlog.db` …
    #[serde(skip_deserializing)]
    kind: String,
    /// Why it is planned.
    reason: Reason,
    /// Why, in words.
    #[serde(skip_deserializing)]
    why: String,
    /// What it is expected to take.
    #[serde(skip_deserializing)]
    estimate: Estimate,
    /// What it relies on: where one of these is another when it is applied, the plan is stale.
    preconditions: Vec<Precondition>,
    /// The addresses of the actions that must have succeeded before.
    #[serde(skip_deserializing)]
    needs: Vec<Address>,
    /// What is done.
    change: Change,
}

/// What an action is expected to take.
#[derive(Default, Serialize, JsonSchema)]
#[schemars(deny_unknown_fields)]
struct Estimate {
    /// Bytes that come from the primary, as an upper bound.
    bytes_to_copy: u64,
    /// Bytes that are taken from another backup here.
    bytes_reused: u64,
    /// Bytes that are deleted. Backups that share files free less.
    bytes_freed: u64,
    /// How long it takes when nothing is copied beside it; null when nobody can say.
    seconds: Option<u64>,
    /// What the seconds rest on.
    basis: Option<Basis>,
}

impl Estimate {
    fn of(action: &Action, pace: Pace) -> Self {
        let Traffic { bytes_to_copy, is_upper_bound: _, bytes_reused, bytes_freed } = action.change.traffic();
        let time = estimate::of_action(action, pace);
        let (seconds, basis) = (time.map(|time| time.seconds), time.map(|time| time.basis));
        Self { bytes_to_copy, bytes_reused, bytes_freed, seconds, basis }
    }
}

impl Document {
    /// The document of a plan, with an empty digest.
    pub fn of(saved: &SavedPlan) -> Result<Self, FileError> {
        let needs = needs(&saved.plan);
        let replicas: Vec<ReplicaDocument> = saved
            .plan
            .replicas
            .iter()
            .enumerate()
            .map(|(place, replica)| ReplicaDocument::of(replica, place, &saved.preconditions, &needs))
            .collect();
        let preconditions: Vec<&Vec<Precondition>> = replicas
            .iter()
            .flat_map(|replica| {
                std::iter::once(&replica.preconditions)
                    .chain(replica.actions.iter().map(|action| &action.preconditions))
            })
            .collect();
        let observed = serde_json::to_vec(&preconditions).map_err(|error| FileError::Unwritable(error.to_string()))?;
        Ok(Self {
            format_version: FORMAT_VERSION,
            antipode: VERSION.to_owned(),
            preconditions_version: PRECONDITIONS_VERSION,
            site: saved.plan.site.clone(),
            catalog: saved.plan.catalog.clone(),
            site_file: saved.site_file.clone(),
            desired: saved.desired.clone(),
            observed: sha256(&observed),
            narrowed: saved.plan.narrowed.clone(),
            changes: !saved.plan.is_empty(),
            complete: !saved.plan.is_blocked(),
            replicas,
            vanished: saved.plan.vanished.clone(),
            detached: saved.plan.detached.clone(),
            totals: Totals::of(&saved.plan),
            digest: String::new(),
        })
    }

    /// The plan of a document whose digest is right.
    pub fn into_saved(self) -> Result<SavedPlan, FileError> {
        let mut preconditions = Preconditions::default();
        let mut replicas = Vec::with_capacity(self.replicas.len());
        let mut names = BTreeSet::new();
        for replica in self.replicas {
            if !names.insert(replica.name.clone()) {
                return Err(FileError::Invalid(format!("replica {} is there twice", replica.name)));
            }
            replicas.push(replica.into_plan(&mut preconditions)?);
        }
        let Self { site, catalog, vanished, detached, narrowed, .. } = self;
        let plan = Plan { site, catalog, replicas, vanished, detached, narrowed };
        Ok(SavedPlan { plan, site_file: self.site_file, desired: self.desired, preconditions })
    }
}

impl ReplicaDocument {
    fn of(replica: &ReplicaPlan, place: usize, preconditions: &Preconditions, needs: &Needs) -> Self {
        let warning = |what: &Warning| Told { message: render::warning(what), what: what.clone() };
        let shortfall = |what: &Shortfall| Told { message: render::shortfall(replica, what, true), what: what.clone() };
        let note = |what: &Note| Told { message: render::note(what), what: what.clone() };
        let pace = replica.target.as_ref().map(|target| target.pace).unwrap_or_default();
        let action = |(i, action): (usize, &Action)| {
            let needed = needs.get(&(place, i)).into_iter().flatten();
            let needed = needed.filter_map(|other| Some(replica.actions.get(*other)?.address.clone())).collect();
            ActionDocument::of(action, preconditions, needed, pace)
        };
        Self {
            name: replica.name.clone(),
            primary: replica.primary.clone(),
            server: replica.server.clone(),
            outcome: replica.outcome.clone(),
            unplanned: unplanned(replica),
            target: replica.target.clone(),
            before: replica.before,
            after: replica.after,
            shortfalls: replica.shortfalls.iter().map(shortfall).collect(),
            warnings: replica.warnings.iter().map(warning).collect(),
            notes: replica.notes.iter().map(note).collect(),
            left_out: replica.left_out,
            preconditions: preconditions.of_replica(&replica.name).to_vec(),
            actions: replica.actions.iter().enumerate().map(action).collect(),
            held: replica.held.iter().map(|what| Told { message: render::held(what), what: what.clone() }).collect(),
        }
    }

    fn into_plan(self, preconditions: &mut Preconditions) -> Result<ReplicaPlan, FileError> {
        let invalid = |message: String| Err(FileError::Invalid(message));
        let is_planned = self.outcome == Outcome::Planned;
        if is_planned != self.target.is_some() || (!is_planned && !self.actions.is_empty()) {
            return invalid(format!(
                "replica {} has a target or actions, and was not planned, or the reverse",
                self.name
            ));
        }
        let actions: Vec<Action> = self
            .actions
            .into_iter()
            .map(|action| action.into_action(&self.name, preconditions))
            .collect::<Result<_, _>>()?;
        if !self.preconditions.is_empty() {
            preconditions.note_replica(self.name.clone(), self.preconditions);
        }
        Ok(ReplicaPlan {
            name: self.name,
            primary: self.primary,
            server: self.server,
            outcome: self.outcome,
            target: self.target,
            actions,
            held: self.held.into_iter().map(|told| told.what).collect(),
            before: self.before,
            after: self.after,
            shortfalls: self.shortfalls.into_iter().map(|told| told.what).collect(),
            warnings: self.warnings.into_iter().map(|told| told.what).collect(),
            notes: self.notes.into_iter().map(|told| told.what).collect(),
            left_out: self.left_out,
        })
    }
}

impl ActionDocument {
    fn of(action: &Action, preconditions: &Preconditions, needs: Vec<Address>, pace: Pace) -> Self {
        Self {
            verb: action.verb(),
            kind: action.address.sort().to_owned(),
            reason: action.reason.clone(),
            why: render::why(action, None),
            estimate: Estimate::of(action, pace),
            preconditions: preconditions.of_action(&action.address).to_vec(),
            needs,
            change: action.change.clone(),
            address: action.address.clone(),
        }
    }

    fn into_action(self, replica: &ServerName, preconditions: &mut Preconditions) -> Result<Action, FileError> {
        if self.address.replica() != replica.as_str() {
            return Err(FileError::Invalid(format!("{} is among the actions of {replica}", self.address)));
        }
        if !preconditions.note_action(self.address.clone(), self.preconditions) {
            return Err(FileError::Invalid(format!("{} is there twice", self.address)));
        }
        Ok(Action { address: self.address, change: self.change, reason: self.reason })
    }
}

/// Why a replica could not be planned, in words.
fn unplanned(replica: &ReplicaPlan) -> Vec<String> {
    match &replica.outcome {
        Outcome::Planned => Vec::new(),
        Outcome::Inactive(sentence) => vec![sentence.clone()],
        Outcome::Blocked(blockers) => blockers.iter().map(|blocker| render::blocker(replica, blocker)).collect(),
        Outcome::Unobserved(error) => vec![error.message.clone()],
    }
}

/// Which actions need which others.
fn needs(plan: &Plan) -> Needs {
    let graph = plan.graph();
    let mut needs = Needs::new();
    for edge in graph.edge_references().filter(|edge| *edge.weight() == Dependency::Needs) {
        if let (Some(from), Some(to)) = (graph.node_weight(edge.source()), graph.node_weight(edge.target()))
            && from.action != to.action
        {
            needs.entry((to.replica, to.action)).or_default().insert(from.action);
        }
    }
    needs
}

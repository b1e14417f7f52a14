//! Which actions of a plan are in a scope: the targets with all that they need, less what is excluded and all that needs
//! it.

use std::collections::{BTreeMap, BTreeSet};

use petgraph::visit::EdgeRef;

use crate::plan::Plan;
use crate::plan::action::{Action, Change, WalBatch};
use crate::plan::order::graph::{Dependency, Step};

use super::{Scope, ScopeError};
use crate::site::pattern::{Pattern, WAL, Wals, is_below};

/// An action's replica and its place there.
pub type ActionIndex = (usize, usize);

/// The actions that stay.
pub fn choose(plan: &Plan, scope: &Scope) -> Result<BTreeSet<ActionIndex>, ScopeError> {
    let needs = Needs::of(plan);
    let places = || {
        plan.replicas.iter().enumerate().flat_map(|(replica, planned)| {
            planned.actions.iter().enumerate().map(move |(place, action)| ((replica, place), action))
        })
    };
    let named = |pattern: &Pattern| -> BTreeSet<ActionIndex> {
        places().filter(|(_, action)| pattern.matches(action)).map(|(place, _)| place).collect()
    };
    let excluded: BTreeSet<ActionIndex> = scope.excluded.iter().flat_map(named).collect();
    let goes = reach(&excluded, &needs.needed_by);
    if scope.targets.is_empty() {
        return Ok(places().map(|(place, _)| place).filter(|place| !goes.contains_key(place)).collect());
    }
    let mut wanted = BTreeSet::new();
    for target in &scope.targets {
        let found = named(target);
        if found.iter().all(|place| goes.contains_key(place))
            && let Some(cause) = found.difference(&excluded).find_map(|place| goes.get(place))
        {
            return Err(contradiction(plan, scope, target, *cause));
        }
        wanted.extend(found.into_iter().filter(|place| !goes.contains_key(place)));
    }
    Ok(reach(&wanted, &needs.of).into_keys().collect())
}

/// A target of which nothing is left, as all of it needs what is excluded.
fn contradiction(plan: &Plan, scope: &Scope, target: &Pattern, cause: ActionIndex) -> ScopeError {
    let action: Option<&Action> = plan.replicas.get(cause.0).and_then(|replica| replica.actions.get(cause.1));
    let by = action.and_then(|action| scope.excluded.iter().find(|pattern| pattern.matches(action)));
    ScopeError::Contradiction {
        target: target.to_string(),
        needed: action.map(|action| action.address.to_string()).unwrap_or_default(),
        excluded: by.map(ToString::to_string).unwrap_or_default(),
    }
}

/// What actions need, both ways.
pub struct Needs {
    of: BTreeMap<ActionIndex, BTreeSet<ActionIndex>>,
    /// The actions that need one.
    pub needed_by: BTreeMap<ActionIndex, BTreeSet<ActionIndex>>,
}

impl Needs {
    /// As the graph of a plan has it.
    pub fn of(plan: &Plan) -> Self {
        let graph = plan.graph();
        let place = |step: Step| (step.replica, step.action);
        let mut needs = Self { of: BTreeMap::new(), needed_by: BTreeMap::new() };
        for edge in graph.edge_references().filter(|edge| *edge.weight() == Dependency::Needs) {
            let (needed, needing) = (place(graph[edge.source()]), place(graph[edge.target()]));
            needs.of.entry(needing).or_default().insert(needed);
            needs.needed_by.entry(needed).or_default().insert(needing);
        }
        needs
    }
}

/// Everything that is reached from these, themselves included, each with the one that it was reached from first.
pub fn reach(
    from: &BTreeSet<ActionIndex>,
    edges: &BTreeMap<ActionIndex, BTreeSet<ActionIndex>>,
) -> BTreeMap<ActionIndex, ActionIndex> {
    let mut reached: BTreeMap<ActionIndex, ActionIndex> = from.iter().map(|place| (*place, *place)).collect();
    let mut left: Vec<ActionIndex> = from.iter().copied().collect();
    while let Some(place) = left.pop() {
        let origin = reached.get(&place).copied().unwrap_or(place);
        for next in edges.get(&place).into_iter().flatten() {
            if !reached.contains_key(next) {
                reached.insert(*next, origin);
                left.push(*next);
            }
        }
    }
    reached
}

impl Pattern {
    /// Whether it names an action, or a file of it: batches are cut before, but for those that it names whole.
    pub fn matches(&self, action: &Action) -> bool {
        let address = action.address.as_str();
        let Some(wals) = self.wals() else { return is_below(address, self.as_str()) };
        let is_ours = is_below(address, &format!("{}/{WAL}", self.replica));
        is_ours && (address == self.as_str() || names_one(wals, &action.change))
    }

    /// Whether it is the whole address of an action.
    pub fn is_address_of(&self, action: &Action) -> bool {
        action.address.as_str() == self.as_str()
    }
}

fn names_one(wals: Wals, change: &Change) -> bool {
    let effect = change.effect();
    let shipped = effect.shipped().into_iter().flat_map(WalBatch::names);
    let deleted = effect.deleted().into_iter().flat_map(BTreeMap::keys).copied();
    shipped.chain(deleted).any(|name| wals.contain(name))
}

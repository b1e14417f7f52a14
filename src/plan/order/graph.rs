//! The plan as a graph: what must be done before what.

#![deny(clippy::wildcard_enum_match_arm)]

use std::collections::BTreeMap;

use petgraph::graph::{DiGraph, NodeIndex};

use crate::barman::ids::BackupId;
use crate::barman::wal::Timeline;
use crate::barman::wal_set::WalRange;

use crate::plan::action::kinds::{Effect, Prerequisite};
use crate::plan::action::{Action, BackupCopy, WalBatch};
use crate::plan::reason::Reason;
use crate::plan::{Plan, ReplicaPlan};

/// A step of an action. Most actions are one step; a backup is copied first and published when all it needs is there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Step {
    /// The replica's place in the plan.
    pub replica: usize,
    /// The action's place in the replica's plan.
    pub action: usize,
    /// Which part of the action.
    pub phase: Phase,
}

/// A part of an action.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Phase {
    /// All of it.
    Whole,
    /// The bytes of a backup, up to where they are verified in staging.
    Copy,
    /// The backup's appearance in the catalog.
    Publish,
}

/// How one step depends on another.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Dependency {
    /// It makes no sense if the other failed.
    Needs,
    /// It only waits until the other has ended, well or not.
    After,
}

/// Steps, each with an edge to every step that depends on it. Nodes are in the plan's order.
pub type StepGraph = DiGraph<Step, Dependency>;

impl Plan {
    /// The action that a step is of.
    pub fn action(&self, step: Step) -> Option<&Action> {
        self.replicas.get(step.replica)?.actions.get(step.action)
    }

    /// The plan as a graph without cycles.
    pub fn graph(&self) -> StepGraph {
        let mut graph = StepGraph::new();
        for (index, replica) in self.replicas.iter().enumerate() {
            Builder::new(&mut graph, index, replica).connect(&mut graph);
        }
        graph
    }
}

impl ReplicaPlan {
    /// The plan of this replica alone as a graph without cycles.
    pub fn graph(&self) -> StepGraph {
        let mut graph = StepGraph::new();
        Builder::new(&mut graph, 0, self).connect(&mut graph);
        graph
    }
}

/// The steps of one action: the first and the last are the same for most.
#[derive(Clone, Copy)]
struct Span {
    begin: NodeIndex,
    end: NodeIndex,
}

/// An action with its steps.
type Placed<'a> = (&'a Action, Span);

struct Builder<'a> {
    actions: Vec<Placed<'a>>,
    /// Collected before they are added, as a graph with many edges is slow to ask for one.
    edges: BTreeMap<(NodeIndex, NodeIndex), Dependency>,
}

impl<'a> Builder<'a> {
    fn new(graph: &mut StepGraph, index: usize, replica: &'a ReplicaPlan) -> Self {
        let mut node = |action, phase| graph.add_node(Step { replica: index, action, phase });
        let place = |(i, action): (usize, &'a Action)| {
            let span = if action.change.effect().published().is_some() {
                Span { begin: node(i, Phase::Copy), end: node(i, Phase::Publish) }
            } else {
                let whole = node(i, Phase::Whole);
                Span { begin: whole, end: whole }
            };
            (action, span)
        };
        Self { actions: replica.actions.iter().enumerate().map(place).collect(), edges: BTreeMap::new() }
    }

    fn connect(mut self, graph: &mut StepGraph) {
        let actions = std::mem::take(&mut self.actions);
        let groundwork: Vec<Placed> = actions.iter().copied().filter(|(action, _)| is_groundwork(action)).collect();
        let index = Index::of(&actions);
        let makes_room = |action: &Action| action.reason == Reason::NoRoom;
        let room: Vec<Placed> = actions.iter().copied().filter(|(action, _)| makes_room(action)).collect();
        for (_, at) in actions.iter().filter(|(action, _)| !makes_room(action)) {
            for (_, made) in &room {
                self.edge(made.end, at.begin, Dependency::After);
            }
        }
        for (i, (action, at)) in actions.iter().enumerate() {
            let earlier = actions.get(..i).unwrap_or_default();
            match action.change.needs(&action.reason) {
                Prerequisite::Nothing => {}
                Prerequisite::EarlierGroundwork => self.needs(at.begin, earlier, is_groundwork),
                Prerequisite::Groundwork => self.needs(at.begin, &groundwork, |_| true),
                Prerequisite::Publication(copy) => {
                    self.edge(at.begin, at.end, Dependency::Needs);
                    self.needs(at.begin, &groundwork, |other| other.change.effect() == Effect::Server);
                    self.needs(at.end, &groundwork, |_| true);
                    self.connect_publication(at.end, copy, &index);
                    self.connect_basis(at.begin, copy, &index);
                }
                Prerequisite::Basis(copy) => self.connect_basis(at.begin, copy, &index),
                Prerequisite::Published(id) => {
                    for (_, end) in index.published(id).filter(|(place, _)| *place < i) {
                        self.edge(end, at.begin, Dependency::Needs);
                    }
                }
                Prerequisite::AllThatComes(id) => {
                    self.needs(at.begin, earlier, |other| {
                        let effect = other.change.effect();
                        let is_child =
                            matches!(effect, Effect::BackupGoes { parent: Some(parent), .. } if parent == id);
                        !effect.is_removal() || is_child
                    });
                }
                Prerequisite::AllButWal => {
                    self.needs(at.begin, earlier, |other| other.change.effect().deleted().is_none());
                }
            }
        }
        for ((from, to), dependency) in self.edges {
            graph.add_edge(from, to, dependency);
        }
    }

    fn edge(&mut self, from: NodeIndex, to: NodeIndex, dependency: Dependency) {
        let known = self.edges.entry((from, to)).or_insert(dependency);
        if dependency == Dependency::Needs {
            *known = dependency;
        }
    }

    /// A step needs all of each action that `wanted` accepts.
    fn needs(&mut self, step: NodeIndex, actions: &[Placed<'_>], wanted: impl Fn(&Action) -> bool) {
        for (_, other) in actions.iter().filter(|(action, _)| wanted(action)) {
            self.edge(other.end, step, Dependency::Needs);
        }
    }

    /// A backup appears after what makes it consistent, and after what it builds on.
    fn connect_publication(&mut self, publish: NodeIndex, copy: &BackupCopy, index: &Index) {
        for end in index.batches(copy) {
            self.edge(end, publish, Dependency::Needs);
        }
        let histories =
            copy.needed.into_iter().flat_map(|needed| index.histories.range(..=(needed.timeline, usize::MAX)));
        for end in histories.map(|(_, end)| *end) {
            self.edge(end, publish, Dependency::Needs);
        }
        for (_, end) in copy.parent.into_iter().flat_map(|parent| index.published(parent)) {
            self.edge(end, publish, Dependency::Needs);
        }
        // Both write the parent's backup.info: the child's name is added to what is repaired first.
        for end in copy.parent.iter().filter_map(|parent| index.infos.get(parent)).flatten() {
            self.edge(*end, publish, Dependency::After);
        }
    }

    /// A backup is copied after the one that it takes files from, whatever became of that.
    fn connect_basis(&mut self, begin: NodeIndex, copy: &BackupCopy, index: &Index) {
        for (_, end) in copy.reuse.iter().flat_map(|reuse| index.published(reuse.from)) {
            self.edge(end, begin, Dependency::After);
        }
    }
}

/// The ends of a replica's actions, by what others wait for: a plan may have a hundred thousand.
#[derive(Default)]
struct Index {
    /// By the backup that is published, with the action's place.
    published: BTreeMap<BackupId, Vec<(usize, NodeIndex)>>,
    /// By the backup whose backup.info is written.
    infos: BTreeMap<BackupId, Vec<NodeIndex>>,
    /// By timeline and place.
    histories: BTreeMap<(Timeline, usize), NodeIndex>,
    /// Batches of numbered segments by timeline, in the order of their first; each with the last of all up to it.
    batches: BTreeMap<Timeline, Vec<Batch>>,
    /// Batches with segments that have no number, by the backup that needs them.
    unnumbered: BTreeMap<BackupId, Vec<NodeIndex>>,
}

/// A batch of numbered segments.
struct Batch {
    range: WalRange,
    /// The last segment of this one and all before it.
    up_to: u64,
    end: NodeIndex,
}

impl Index {
    fn of(actions: &[Placed<'_>]) -> Self {
        let mut index = Self::default();
        for (place, (action, at)) in actions.iter().enumerate() {
            match action.change.effect() {
                Effect::BackupComes(copy) => index.published.entry(copy.id).or_default().push((place, at.end)),
                Effect::Info(id, _) => index.infos.entry(id).or_default().push(at.end),
                Effect::History(timeline) => drop(index.histories.insert((timeline, place), at.end)),
                Effect::WalsCome(batch) => index.add_batch(batch, at.end),
                Effect::Server
                | Effect::List
                | Effect::FilesCome(_)
                | Effect::Links(_)
                | Effect::Keep(..)
                | Effect::WalsGo(..)
                | Effect::BackupGoes { .. }
                | Effect::StagingGoes(_) => {}
            }
        }
        for batches in index.batches.values_mut() {
            batches.sort_by_key(|batch| batch.range.first);
            let mut up_to = 0;
            for batch in batches {
                up_to = batch.range.last.max(up_to);
                batch.up_to = up_to;
            }
        }
        index
    }

    fn add_batch(&mut self, batch: &WalBatch, end: NodeIndex) {
        match (batch.range, batch.needed_by) {
            (Some(range), _) => {
                self.batches.entry(range.timeline).or_default().push(Batch { range, up_to: range.last, end });
            }
            (None, Some(id)) if batch.entries.iter().any(|entry| entry.name.segment().is_some()) => {
                self.unnumbered.entry(id).or_default().push(end);
            }
            (None, _) => {}
        }
    }

    fn published(&self, id: BackupId) -> impl Iterator<Item = (usize, NodeIndex)> + '_ {
        self.published.get(&id).into_iter().flatten().copied()
    }

    /// The batches without which a backup is not consistent. Segments without a number in the replica's segment size are
    /// in no range.
    fn batches(&self, copy: &BackupCopy) -> impl Iterator<Item = NodeIndex> + '_ {
        let overlapping = copy.needed.into_iter().flat_map(|needed| {
            let batches = self.batches.get(&needed.timeline).map_or(&[][..], Vec::as_slice);
            let begun = batches.partition_point(|batch| batch.range.first <= needed.last);
            let before = batches[..begun].iter().rev().take_while(move |batch| batch.up_to >= needed.first);
            before.filter(move |batch| batch.range.overlaps(needed)).map(|batch| batch.end)
        });
        overlapping.chain(self.unnumbered.get(&copy.id).into_iter().flatten().copied())
    }
}

fn is_groundwork(action: &Action) -> bool {
    action.change.effect().is_groundwork()
}

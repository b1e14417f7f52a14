//! The plan as a graph: what must be done before what.

use std::collections::BTreeMap;

use petgraph::graph::{DiGraph, NodeIndex};

use crate::barman::ids::BackupId;
use crate::barman::wal_set::WalRange;

use super::action::{Action, BackupCopy, Change, Plan, ReplicaPlan};

/// A step of an action. Most actions are one step; a backup is copied first and published when all it needs is there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Step {
    /// The replica's place in the plan.
    pub replica: usize,
    /// The action's place in the replica's plan.
    pub action: usize,
    /// Which part of the action.
    pub part: Part,
}

/// A part of an action.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Part {
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
    /// The plan as a graph without cycles.
    pub fn graph(&self) -> StepGraph {
        let mut graph = StepGraph::new();
        for (index, replica) in self.replicas.iter().enumerate() {
            Builder::new(&mut graph, index, replica).connect();
        }
        graph
    }
}

struct Builder<'a> {
    graph: &'a mut StepGraph,
    replica: &'a ReplicaPlan,
    nodes: BTreeMap<(usize, Part), NodeIndex>,
}

impl<'a> Builder<'a> {
    fn new(graph: &'a mut StepGraph, index: usize, replica: &'a ReplicaPlan) -> Self {
        let mut nodes = BTreeMap::new();
        for (action, planned) in replica.actions.iter().enumerate() {
            let parts: &[Part] = match planned.change {
                Change::AddBackup(_) => &[Part::Copy, Part::Publish],
                _ => &[Part::Whole],
            };
            for part in parts {
                nodes.insert((action, *part), graph.add_node(Step { replica: index, action, part: *part }));
            }
        }
        Self { graph, replica, nodes }
    }

    fn connect(mut self) {
        for (i, action) in self.replica.actions.iter().enumerate() {
            match &action.change {
                Change::CreateServer => {}
                Change::RepairXlogDb { .. } | Change::RewriteSyncWals { .. } | Change::ShipHistory { .. } => {
                    self.after_groundwork(i, Part::Whole);
                }
                Change::AddWals(_) | Change::RepairWals(_) => self.after_groundwork(i, Part::Whole),
                Change::AddBackup(copy) => self.connect_backup(i, copy),
                Change::RepairBackup(_) | Change::UpdateInfo { .. } | Change::RemoveStaging { .. } => {}
                Change::SetKeep { id, .. } => self.after_publication(i, *id),
                Change::RemoveBackup { id, .. } => self.after_everything_but_removals(i, *id),
                Change::RemoveWals { .. } => self.after_everything(i),
            }
        }
    }

    fn edge(&mut self, from: (usize, Part), to: (usize, Part), dependency: Dependency) {
        if let (Some(from), Some(to)) = (self.nodes.get(&from), self.nodes.get(&to)) {
            self.graph.update_edge(*from, *to, dependency);
        }
    }

    /// Steps of earlier actions that `wanted` accepts.
    fn earlier(&self, i: usize, wanted: impl Fn(&Action) -> bool) -> Vec<(usize, Part)> {
        let accepted = |(j, _): &&(usize, Part)| self.replica.actions.get(*j).is_some_and(&wanted);
        self.nodes.keys().take_while(|(j, _)| *j < i).filter(accepted).copied().collect()
    }

    /// xlog.db and sync-wals.info must be right before the first WAL is placed.
    fn after_groundwork(&mut self, i: usize, part: Part) {
        let is_ground = |action: &Action| {
            matches!(action.change, Change::CreateServer | Change::RepairXlogDb { .. } | Change::RewriteSyncWals { .. })
        };
        for from in self.earlier(i, is_ground) {
            self.edge(from, (i, part), Dependency::Needs);
        }
    }

    fn connect_backup(&mut self, i: usize, copy: &BackupCopy) {
        self.edge((i, Part::Copy), (i, Part::Publish), Dependency::Needs);
        self.after_groundwork(i, Part::Copy);
        let needed = copy.needed;
        for j in 0..self.replica.actions.len() {
            let Some(other) = self.replica.actions.get(j) else { continue };
            match &other.change {
                Change::AddWals(batch) | Change::RepairWals(batch) if overlaps(batch.range, needed) => {
                    self.edge((j, Part::Whole), (i, Part::Publish), Dependency::Needs);
                }
                Change::ShipHistory { timeline, .. } if needed.is_some_and(|n| *timeline <= n.timeline) => {
                    self.edge((j, Part::Whole), (i, Part::Publish), Dependency::Needs);
                }
                // It was planned before this backup was there, and would leave it out of its parent's children.
                Change::UpdateInfo { id, .. } if copy.parent == Some(*id) => {
                    self.edge((j, Part::Whole), (i, Part::Publish), Dependency::After);
                }
                Change::AddBackup(parent) if copy.parent == Some(parent.id) => {
                    self.edge((j, Part::Publish), (i, Part::Publish), Dependency::Needs);
                }
                Change::AddBackup(basis) if copy.reuse.as_ref().is_some_and(|reuse| reuse.from == basis.id) => {
                    self.edge((j, Part::Publish), (i, Part::Copy), Dependency::After);
                }
                _ => {}
            }
        }
    }

    fn after_publication(&mut self, i: usize, id: BackupId) {
        for from in self.earlier(i, |action| matches!(&action.change, Change::AddBackup(copy) if copy.id == id)) {
            self.edge(from, (i, Part::Whole), Dependency::Needs);
        }
    }

    /// A prune comes last, and only after what replaces it is there; children go before their parents.
    fn after_everything_but_removals(&mut self, i: usize, id: BackupId) {
        for from in self.earlier(i, |action| !is_removal(action)) {
            self.edge(from, (i, Part::Whole), Dependency::Needs);
        }
        let is_child =
            |action: &Action| matches!(action.change, Change::RemoveBackup { parent, .. } if parent == Some(id));
        for from in self.earlier(i, is_child) {
            self.edge(from, (i, Part::Whole), Dependency::Needs);
        }
    }

    fn after_everything(&mut self, i: usize) {
        for from in self.earlier(i, |action| !matches!(action.change, Change::RemoveWals { .. })) {
            self.edge(from, (i, Part::Whole), Dependency::Needs);
        }
    }
}

fn overlaps(range: Option<WalRange>, needed: Option<WalRange>) -> bool {
    range.zip(needed).is_some_and(|(range, needed)| range.overlaps(needed))
}

fn is_removal(action: &Action) -> bool {
    matches!(action.change, Change::RemoveBackup { .. } | Change::RemoveStaging { .. } | Change::RemoveWals { .. })
}

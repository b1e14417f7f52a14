//! Runs the steps of a plan's graph: what is ready and most urgent first, failures isolated.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Instant;

use futures::future::BoxFuture;
use futures::stream::{FuturesUnordered, StreamExt};
use petgraph::Direction;
use petgraph::graph::NodeIndex;
use petgraph::visit::EdgeRef;
use tokio_util::sync::CancellationToken;

use crate::plan::Plan;
use crate::plan::action::Action;
use crate::plan::graph::{Dependency, Part, Step, StepGraph};
use crate::transport::ByteCounter;

use super::events::{Deed, Event, Failure, FailureKind, Observer, Summary};
use super::slots::Urgency;

/// Steps that run at the same time at the most. Transfers are limited further, by the slots of primary and replica.
const PARALLEL_STEPS: usize = 16;

/// Does one step. The executor decides when.
pub trait Steps: Sync {
    /// Does it, adding what arrives to the counter.
    fn run<'a>(&'a self, step: Step, urgency: Urgency, counter: &'a ByteCounter)
    -> BoxFuture<'a, Result<u64, Failure>>;

    /// Bytes that the step will bring.
    fn total(&self, step: Step) -> u64;
}

/// How a step ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum End {
    Done,
    Failed,
    Interrupted,
    Skipped,
}

/// What one finished step reports.
type Report = (NodeIndex, Result<u64, Failure>, std::time::Duration);

/// Runs a graph of steps once.
pub struct Executor<'a> {
    plan: &'a Plan,
    graph: StepGraph,
    steps: &'a dyn Steps,
    observer: &'a dyn Observer,
    cancel: &'a CancellationToken,
    /// Ready to start, most urgent first.
    ready: BTreeSet<(Urgency, NodeIndex)>,
    /// How many dependencies each waiting step still has.
    waiting: BTreeMap<NodeIndex, usize>,
    ends: BTreeMap<NodeIndex, End>,
    summary: Summary,
}

impl<'a> Executor<'a> {
    /// An executor that has started nothing.
    pub fn new(
        plan: &'a Plan,
        steps: &'a dyn Steps,
        observer: &'a dyn Observer,
        cancel: &'a CancellationToken,
    ) -> Self {
        let graph = plan.graph();
        let waiting: BTreeMap<NodeIndex, usize> =
            graph.node_indices().map(|n| (n, graph.edges_directed(n, Direction::Incoming).count())).collect();
        let ready = waiting.iter().filter(|(_, count)| **count == 0).map(|(n, _)| (urgency(graph[*n]), *n)).collect();
        Self {
            plan,
            graph,
            steps,
            observer,
            cancel,
            ready,
            waiting,
            ends: BTreeMap::new(),
            summary: Summary::default(),
        }
    }

    /// Runs until every step has ended or cannot begin.
    pub async fn run(mut self) -> Summary {
        let mut running: FuturesUnordered<BoxFuture<'a, Report>> = FuturesUnordered::new();
        loop {
            while running.len() < PARALLEL_STEPS && !self.cancel.is_cancelled() {
                let Some((urgency, node)) = self.ready.pop_first() else { break };
                running.push(self.start(node, urgency));
            }
            let is_new_interruption = !self.summary.interrupted;
            tokio::select! {
                // First, so that the interruption is told before what ends because of it.
                biased;
                () = self.cancel.cancelled(), if is_new_interruption => {
                    self.summary.interrupted = true;
                    self.observer.notice(&Event::Interrupted);
                }
                report = running.next() => match report {
                    Some((node, result, elapsed)) => self.finish(node, result, elapsed),
                    None => break,
                },
            }
        }
        self.close()
    }

    fn start(&self, node: NodeIndex, urgency: Urgency) -> BoxFuture<'a, Report> {
        let step = self.graph[node];
        let counter = ByteCounter::default();
        let (steps, observer) = (self.steps, self.observer);
        if let Some(action) = self.action(step) {
            observer.notice(&Event::Started {
                address: action.address.clone(),
                deed: Deed::of(&action.change, step.part),
                total: steps.total(step),
                counter: counter.clone(),
            });
        }
        Box::pin(async move {
            let begin = Instant::now();
            let result = steps.run(step, urgency, &counter).await;
            (node, result, begin.elapsed())
        })
    }

    fn action(&self, step: Step) -> Option<&'a Action> {
        self.plan.replicas.get(step.replica)?.actions.get(step.action)
    }

    fn finish(&mut self, node: NodeIndex, result: Result<u64, Failure>, elapsed: std::time::Duration) {
        let step = self.graph[node];
        let Some(action) = self.action(step) else { return };
        let address = action.address.clone();
        match result {
            Ok(transferred) => {
                self.summary.transferred += transferred;
                if step.part != Part::Copy {
                    self.summary.done.push(address.clone());
                }
                let deed = Deed::of(&action.change, step.part);
                self.observer.notice(&Event::Finished { address, deed, elapsed, transferred });
                self.end(node, End::Done);
            }
            Err(failure) if failure.kind == FailureKind::Interrupted => {
                self.summary.skipped.push(address.clone());
                self.observer.notice(&Event::Skipped { address, because: failure.message });
                self.end(node, End::Interrupted);
            }
            Err(failure) => {
                self.summary.failed.push((address.clone(), failure.clone()));
                self.observer.notice(&Event::Failed { address, failure });
                self.end(node, End::Failed);
            }
        }
    }

    /// Records an end, and lets go of what waited for it: on to the ready queue, or skipped with all that needs it.
    fn end(&mut self, node: NodeIndex, end: End) {
        let mut ended = vec![(node, end)];
        while let Some((node, end)) = ended.pop() {
            self.ends.insert(node, end);
            self.waiting.remove(&node);
            let dependents: Vec<(NodeIndex, Dependency)> =
                self.graph.edges(node).map(|edge| (edge.target(), *edge.weight())).collect();
            for (dependent, dependency) in dependents {
                if end != End::Done && dependency == Dependency::Needs {
                    // After an interruption everything that waits is left, which is said once, at the end.
                    if end != End::Interrupted && self.waiting.contains_key(&dependent) {
                        self.skip(dependent, node);
                        ended.push((dependent, End::Skipped));
                    }
                } else if let Some(count) = self.waiting.get_mut(&dependent) {
                    *count -= 1;
                    if *count == 0 {
                        self.ready.insert((urgency(self.graph[dependent]), dependent));
                    }
                }
            }
        }
    }

    fn skip(&mut self, node: NodeIndex, cause: NodeIndex) {
        // Whoever is skipped must not be reached a second time through another dependency.
        self.waiting.remove(&node);
        let (Some(action), Some(cause)) = (self.action(self.graph[node]), self.action(self.graph[cause])) else {
            return;
        };
        // Of a backup whose copy failed, the failure has said enough.
        if action.address != cause.address {
            let because = format!("it needs {}", cause.address);
            self.summary.skipped.push(action.address.clone());
            self.observer.notice(&Event::Skipped { address: action.address.clone(), because });
        }
    }

    /// What never began because of an interruption.
    fn close(mut self) -> Summary {
        let mut left: Vec<NodeIndex> = self.waiting.keys().copied().filter(|n| !self.ends.contains_key(n)).collect();
        left.sort_unstable();
        for node in left {
            let action = self.action(self.graph[node]);
            if let Some(action) = action.filter(|action| !self.summary.skipped.contains(&action.address)) {
                self.summary.skipped.push(action.address.clone());
            }
        }
        self.summary.interrupted |= self.cancel.is_cancelled();
        self.summary
    }
}

/// The place in its replica's plan first, so that all replicas become recoverable before any is filled up.
fn urgency(step: Step) -> Urgency {
    (step.action, step.replica)
}

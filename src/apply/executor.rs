//! Runs the steps of a replica's plan: what is ready and most urgent first, failures isolated.
//!
//! Before a step begins it waits for its bytes ([`super::budget`]) and then for the right to run, which it shares with the
//! steps of all other replicas ([`super::slots`]).

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use futures::future::BoxFuture;
use futures::stream::{FuturesUnordered, StreamExt};
use petgraph::Direction;
use petgraph::graph::NodeIndex;
use petgraph::visit::EdgeRef;
use tokio::sync::oneshot;
use tokio_util::sync::CancellationToken;

use crate::error::{Error, Kind};
use crate::plan::ReplicaPlan;
use crate::plan::action::Action;
use crate::plan::order::graph::{Dependency, Phase, Step, StepGraph};
use crate::transport::ByteCounter;

use super::shared::Share;
use super::slots::{Slot, Urgency};
use crate::events::{Event, Listener, Summary};

/// Does one step. The executor decides when.
pub trait Steps: Sync {
    /// Does it, adding what arrives to the counter.
    fn run<'a>(&'a self, step: Step, urgency: Urgency, counter: &'a ByteCounter) -> BoxFuture<'a, Result<u64, Error>>;

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

/// What became of a step that was ready.
enum Report {
    /// It has ended, and gives its slot back.
    Ended(NodeIndex, Result<u64, Error>, Duration, Slot),
    /// It did not begin, as nothing does after an interruption.
    Interrupted(NodeIndex),
    /// It did not begin, as no more may be copied.
    LimitReached(NodeIndex),
    /// It did not begin, as no base may any more.
    Closed(NodeIndex),
}

/// What is run, and within which bounds.
#[derive(Clone, Copy)]
pub struct Course<'a> {
    /// The plan that the steps are of.
    pub plan: &'a ReplicaPlan,
    /// Does them.
    pub steps: &'a dyn Steps,
    /// Is told of everything.
    pub listener: &'a dyn Listener,
    /// Fires when nothing new may begin.
    pub cancel: &'a CancellationToken,
    /// Fires when no more bases may begin to come, where that is so.
    pub closing: Option<&'a CancellationToken>,
    /// What may run and be copied beside other replicas.
    pub share: &'a Share,
}

/// Runs a graph of steps once.
pub struct Executor<'a> {
    course: Course<'a>,
    graph: StepGraph,
    /// Steps that are on their way, and ready ones that wait for their turn.
    running: FuturesUnordered<BoxFuture<'a, Report>>,
    /// How many dependencies each waiting step still has.
    waiting: BTreeMap<NodeIndex, usize>,
    ends: BTreeMap<NodeIndex, End>,
    summary: Summary,
}

impl<'a> Executor<'a> {
    /// An executor that has started nothing.
    pub fn new(course: Course<'a>) -> Self {
        let graph = course.plan.graph();
        let waiting: BTreeMap<NodeIndex, usize> =
            graph.node_indices().map(|n| (n, graph.edges_directed(n, Direction::Incoming).count())).collect();
        let (running, ends) = (FuturesUnordered::new(), BTreeMap::new());
        Self { course, graph, running, waiting, ends, summary: Summary::default() }
    }

    /// Runs until every step has ended or cannot begin.
    pub async fn run(mut self) -> Summary {
        let ready = self.waiting.iter().filter(|(_, count)| **count == 0).map(|(node, _)| *node).collect();
        self.start(ready);
        while let Some(report) = self.running.next().await {
            match report {
                // Its slot is given back when the steps that it made way for are in the line.
                Report::Ended(node, result, elapsed, _slot) => self.finish(node, result, elapsed),
                Report::Interrupted(node) => self.course.share.budget().end(self.urgency(node)),
                Report::Closed(node) => {
                    self.course.share.budget().end(self.urgency(node));
                    self.summary.window_closed = true;
                }
                Report::LimitReached(node) => {
                    self.course.share.budget().end(self.urgency(node));
                    self.summary.stopped_at = self.course.share.budget().limit();
                }
            }
        }
        self.conclude()
    }

    fn urgency(&self, node: NodeIndex) -> Urgency {
        self.course.share.urgency(self.graph[node].action)
    }

    /// Lets steps begin when it is their turn, the most urgent first.
    fn start(&mut self, mut ready: Vec<NodeIndex>) {
        ready.sort_by_key(|node| self.urgency(*node));
        let answers = self.course.share.budget().ask(ready.iter().map(|node| self.urgency(*node)));
        for (node, answer) in ready.into_iter().zip(answers) {
            let turn = self.turn(node, answer);
            self.running.push(turn);
        }
    }

    /// A step from its turn to its end.
    fn turn(&self, node: NodeIndex, mut may_begin: oneshot::Receiver<bool>) -> BoxFuture<'a, Report> {
        let (step, urgency, course) = (self.graph[node], self.urgency(node), self.course);
        // One that may begin is in the line at once, and ahead of all that are less urgent.
        let in_line = may_begin.try_recv().ok().map(|may_begin| may_begin.then(|| course.share.step(urgency)));
        let turn = async move {
            let slot = match in_line {
                Some(slot) => slot,
                None => may_begin.await.unwrap_or(false).then(|| course.share.step(urgency)),
            };
            match slot {
                Some(slot) => Some(slot.await),
                None => None,
            }
        };
        Box::pin(async move {
            let slot = tokio::select! {
                biased;
                () = course.cancel.cancelled() => return Report::Interrupted(node),
                slot = turn => slot,
            };
            let Some(slot) = slot else { return Report::LimitReached(node) };
            if course.is_closed_to(step) {
                return Report::Closed(node);
            }
            let counter = ByteCounter::default();
            course.tell_start(step, &counter);
            let begin = Instant::now();
            let result = course.steps.run(step, urgency, &counter).await;
            Report::Ended(node, result, begin.elapsed(), slot)
        })
    }

    fn action(&self, node: NodeIndex) -> Option<&'a Action> {
        self.course.action(self.graph[node])
    }

    fn finish(&mut self, node: NodeIndex, result: Result<u64, Error>, elapsed: Duration) {
        let step = self.graph[node];
        let Some(action) = self.action(node) else { return };
        let address = action.address.clone();
        match result {
            Ok(transferred) => {
                if step.phase != Phase::Copy {
                    self.summary.done.push(address.clone());
                }
                let deed = action.change.deed(step.phase);
                self.course.listener.notice(&Event::Finished { address, deed, elapsed, transferred });
                self.end(node, End::Done);
            }
            Err(error) if self.is_wanted(error.kind) => {
                if error.kind == Kind::LimitReached {
                    self.course.share.budget().use_up();
                    self.summary.stopped_at = self.course.share.budget().limit();
                }
                self.summary.skipped.push(address.clone());
                self.course.listener.notice(&Event::Skipped { address, because: error.message });
                self.end(node, End::Interrupted);
            }
            Err(error) => {
                self.summary.failed.push((address.clone(), error.clone()));
                self.course.listener.notice(&Event::Failed { address, error });
                self.end(node, End::Failed);
            }
        }
    }

    /// Whether a step may end so without having failed: somebody interrupted the run, or bounded it. A step that says
    /// it was interrupted when nobody did so has not done its work, and that is a failure.
    fn is_wanted(&self, end: Kind) -> bool {
        (end == Kind::Interrupted && self.course.cancel.is_cancelled())
            || (end == Kind::LimitReached && self.course.share.budget().limit().is_some())
    }

    /// Records an end, and lets go of what waited for it: it becomes ready, or is skipped with all that needs it.
    fn end(&mut self, node: NodeIndex, end: End) {
        let (mut left, mut ready, mut ended) = (vec![(node, end)], Vec::new(), Vec::new());
        while let Some((node, end)) = left.pop() {
            self.ends.insert(node, end);
            self.waiting.remove(&node);
            ended.push(node);
            let dependents: Vec<(NodeIndex, Dependency)> =
                self.graph.edges(node).map(|edge| (edge.target(), *edge.weight())).collect();
            for (dependent, dependency) in dependents {
                if end != End::Done && dependency == Dependency::Needs {
                    // After an interruption, or at the limit, what waits is left, which is said once, at the end.
                    if end != End::Interrupted && self.waiting.contains_key(&dependent) {
                        self.skip(dependent, node);
                        left.push((dependent, End::Skipped));
                    }
                } else if let Some(count) = self.waiting.get_mut(&dependent) {
                    *count -= 1;
                    if *count == 0 {
                        ready.push(dependent);
                    }
                }
            }
        }
        self.start(ready);
        for node in ended {
            self.course.share.budget().end(self.urgency(node));
        }
    }

    fn skip(&mut self, node: NodeIndex, cause: NodeIndex) {
        // Whoever is skipped must not be reached a second time through another dependency.
        self.waiting.remove(&node);
        let (Some(action), Some(cause)) = (self.action(node), self.action(cause)) else { return };
        // Of a backup whose copy failed, the failure has said enough.
        if action.address != cause.address {
            let because = format!("it needs {}", cause.address);
            self.summary.skipped.push(action.address.clone());
            self.course.listener.notice(&Event::Skipped { address: action.address.clone(), because });
        }
    }

    /// What never began because of an interruption, or because no more may be copied.
    fn conclude(mut self) -> Summary {
        let mut left: Vec<NodeIndex> = self.waiting.keys().copied().filter(|n| !self.ends.contains_key(n)).collect();
        left.sort_unstable();
        for node in left {
            let action = self.action(node).filter(|action| !self.summary.skipped.contains(&action.address));
            self.summary.skipped.extend(action.map(|action| action.address.clone()));
        }
        self.summary.transferred = self.course.share.spent();
        self.summary.interrupted = self.course.cancel.is_cancelled();
        self.summary
    }
}

impl<'a> Course<'a> {
    fn action(&self, step: Step) -> Option<&'a Action> {
        self.plan.actions.get(step.action)
    }

    /// Whether a step brings the bytes of a base, and none may begin to come any more.
    fn is_closed_to(&self, step: Step) -> bool {
        let is_closed = self.closing.is_some_and(CancellationToken::is_cancelled) && step.phase != Phase::Publish;
        let base = || self.action(step).is_some_and(|action| action.change.effect().brings_a_base());
        is_closed && base()
    }

    fn tell_start(&self, step: Step, counter: &ByteCounter) {
        let Some(action) = self.action(step) else { return };
        self.listener.notice(&Event::Started {
            address: action.address.clone(),
            deed: action.change.deed(step.phase),
            total: self.steps.total(step),
            counter: counter.clone(),
        });
    }
}

#[cfg(test)]
mod tests {
    use std::num::NonZeroUsize;
    use std::sync::Mutex;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;
    use crate::apply::Limits;
    use crate::apply::shared::tests::alone;
    use crate::plan::reason::Reason;
    use crate::plan::tests::build::{SEGMENT, add, copy, create, history, range, remove, replica, wals};

    /// Each step takes a moment; how many run is watched.
    #[derive(Default)]
    struct Watched<'a> {
        running: AtomicUsize,
        most: AtomicUsize,
        began: Mutex<Vec<usize>>,
        /// Where steps stop that need more than is left.
        share: Option<&'a Share>,
    }

    impl Steps for Watched<'_> {
        fn run<'a>(
            &'a self,
            step: Step,
            urgency: Urgency,
            _counter: &'a ByteCounter,
        ) -> BoxFuture<'a, Result<u64, Error>> {
            Box::pin(async move {
                self.began.lock().unwrap().push(step.action);
                let running = self.running.fetch_add(1, Ordering::SeqCst) + 1;
                self.most.fetch_max(running, Ordering::SeqCst);
                tokio::task::yield_now().await;
                self.running.fetch_sub(1, Ordering::SeqCst);
                let Some(share) = self.share.filter(|_| step.action > 1) else { return Ok(0) };
                if share.budget().secure(urgency, [SEGMENT]) == 0 {
                    return Err(Error::limit_reached());
                }
                share.charge(urgency, SEGMENT);
                Ok(SEGMENT)
            })
        }

        fn total(&self, _step: Step) -> u64 {
            0
        }
    }

    struct Silent;

    impl Listener for Silent {
        fn notice(&self, _event: &Event) {}
    }

    /// A server, a history, and segments that are shipped one by one.
    fn plan(segments: u64) -> ReplicaPlan {
        let wals = (0..segments).map(|number| wals(range(1, number * 2, number * 2), None));
        replica("main").of([create(), history(2)].into_iter().chain(wals))
    }

    fn limits(parallelism: usize, max_bytes: Option<u64>) -> Limits {
        Limits { parallelism: NonZeroUsize::new(parallelism).unwrap(), max_bytes }
    }

    async fn run(plan: &ReplicaPlan, steps: &dyn Steps, share: &Share, cancel: &CancellationToken) -> Summary {
        Executor::new(Course { plan, steps, listener: &Silent, cancel, closing: None, share }).run().await
    }

    #[tokio::test]
    async fn never_more_steps_run_than_the_parallelism_allows() {
        let plan = plan(40);
        for parallelism in [1, 3, 16] {
            let (steps, share) = (Watched::default(), alone(&plan, limits(parallelism, None)));
            let summary = run(&plan, &steps, &share, &CancellationToken::new()).await;
            assert_eq!(steps.most.load(Ordering::SeqCst), parallelism);
            assert_eq!((summary.done.len(), summary.skipped.len()), (42, 0));
        }
    }

    #[tokio::test]
    async fn what_a_step_made_way_for_goes_before_all_that_is_less_urgent() {
        // Two that depend on nothing wait when the first one's end lets the rest begin.
        let gone = |day| remove(day, None, Reason::InterruptedAndGone);
        let plan = replica("main").of([create(), history(2), gone("1120"), gone("1121")]);
        let (steps, share) = (Watched::default(), alone(&plan, limits(1, None)));
        run(&plan, &steps, &share, &CancellationToken::new()).await;
        assert_eq!(*steps.began.lock().unwrap(), [0, 1, 2, 3]);
    }

    /// Each step says that it was interrupted.
    struct EndedEarly;

    impl Steps for EndedEarly {
        fn run<'a>(&'a self, _: Step, _: Urgency, _: &'a ByteCounter) -> BoxFuture<'a, Result<u64, Error>> {
            Box::pin(async { Err(Error::interrupted()) })
        }

        fn total(&self, _step: Step) -> u64 {
            0
        }
    }

    #[tokio::test]
    async fn a_step_that_ends_early_although_nobody_interrupted_it_has_failed() {
        let plan = plan(3);
        let share = alone(&plan, limits(1, None));
        let summary = run(&plan, &EndedEarly, &share, &CancellationToken::new()).await;
        assert!(!summary.failed.is_empty() && !summary.interrupted, "{summary:?}");
    }

    #[tokio::test]
    async fn nothing_begins_after_an_interruption() {
        let (plan, cancel) = (plan(1), CancellationToken::new());
        cancel.cancel();
        let (steps, share) = (Watched::default(), alone(&plan, limits(1, None)));
        let summary = run(&plan, &steps, &share, &cancel).await;
        assert_eq!((summary.done.len(), summary.skipped.len(), summary.interrupted), (0, 3, true));
        assert!(steps.began.lock().unwrap().is_empty());
    }

    #[tokio::test]
    async fn a_base_that_may_not_begin_any_more_is_left_and_nothing_else_is() {
        let bases = ["1122", "1121"].map(|day| add(copy(day, SEGMENT)));
        let plan = replica("main").of([create()].into_iter().chain(bases).chain([wals(range(1, 0, 0), None)]));
        let (steps, share, closing) = (Watched::default(), alone(&plan, limits(1, None)), CancellationToken::new());
        closing.cancel();
        let (never, closing) = (CancellationToken::new(), Some(&closing));
        let course = Course { plan: &plan, steps: &steps, listener: &Silent, cancel: &never, closing, share: &share };
        let summary = Executor::new(course).run().await;
        assert_eq!(*steps.began.lock().unwrap(), [0, 3]);
        assert_eq!((summary.failed.len(), summary.skipped.len(), summary.window_closed), (0, 2, true));
    }

    #[tokio::test]
    async fn a_step_for_which_nothing_is_left_is_left_to_the_next_run() {
        let plan = plan(3);
        let share = alone(&plan, limits(16, Some(1000)));
        share.budget().use_up();
        let steps = Watched::default();
        let summary = run(&plan, &steps, &share, &CancellationToken::new()).await;
        assert_eq!(*steps.began.lock().unwrap(), [0], "the one that copies nothing");
        assert_eq!((summary.done.len(), summary.skipped.len(), summary.stopped_at), (1, 4, Some(1000)));
    }

    #[tokio::test]
    async fn what_the_budget_allows_is_done_in_the_plans_order() {
        let plan = plan(10);
        let limit = 4 * SEGMENT;
        let share = alone(&plan, limits(16, Some(limit)));
        let steps = Watched { share: Some(&share), ..Watched::default() };
        let summary = run(&plan, &steps, &share, &CancellationToken::new()).await;
        // Three fit with what the protocol adds; the fourth is let in and finds too little.
        assert_eq!(*steps.began.lock().unwrap(), [0, 1, 2, 3, 4, 5]);
        assert_eq!((summary.done.len(), summary.skipped.len()), (5, 7));
        assert_eq!((summary.stopped_at, summary.transferred), (Some(limit), 3 * SEGMENT));
    }
}

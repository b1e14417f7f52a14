//! Runs the steps of a plan's graph: what is ready and most urgent first, failures isolated.
//!
//! Replicas are independent: each begins, which may take as long as somebody else holds its locks, while the steps of
//! the others run, and ends when the last of its own steps has ended.

use std::collections::{BTreeMap, BTreeSet};
use std::num::NonZeroUsize;
use std::time::{Duration, Instant};

use futures::future::BoxFuture;
use futures::stream::{FuturesUnordered, StreamExt};
use petgraph::Direction;
use petgraph::graph::NodeIndex;
use petgraph::visit::EdgeRef;
use tokio_util::sync::CancellationToken;

use crate::plan::Plan;
use crate::plan::action::Action;
use crate::plan::order::graph::{Dependency, Part, Step, StepGraph};
use crate::transport::ByteCounter;

use super::budget::Budget;
use super::slots::Urgency;
use crate::events::{Event, Failure, FailureKind, Observer, Summary};

/// Does one step. The executor decides when.
pub trait Steps: Sync {
    /// Begins a replica, before any of its steps. Where that fails, its steps fail.
    fn begin(&self, replica: usize) -> BoxFuture<'_, ()>;

    /// Ends a replica: none of its steps runs any more, and none will.
    fn end(&self, replica: usize) -> BoxFuture<'_, ()>;

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

/// What the executor is told by what runs.
enum Report {
    /// The steps of a replica may run.
    Begun(usize),
    /// A step has ended.
    Ended(NodeIndex, Result<u64, Failure>, Duration),
    /// Nothing is left to do for a replica.
    Closed,
}

type Running<'a> = FuturesUnordered<BoxFuture<'a, Report>>;

/// Where a replica stands, and how many of its steps are on their way and to come.
#[derive(Debug, Clone, Copy, Default)]
struct Progress {
    has_begun: bool,
    running: usize,
    left: usize,
}

/// What is run, and within which bounds.
#[derive(Clone, Copy)]
pub struct Course<'a> {
    /// The plan that the steps are of.
    pub plan: &'a Plan,
    /// Does them.
    pub steps: &'a dyn Steps,
    /// Is told of everything.
    pub observer: &'a dyn Observer,
    /// Fires when nothing new may begin.
    pub cancel: &'a CancellationToken,
    /// Steps that run at the same time at the most.
    pub parallelism: NonZeroUsize,
    /// What may be copied.
    pub budget: &'a Budget,
}

/// Runs a graph of steps once.
pub struct Executor<'a> {
    course: Course<'a>,
    graph: StepGraph,
    /// By the replica's place in the plan; those that were ended are no longer in it.
    replicas: BTreeMap<usize, Progress>,
    /// Ready to start, most urgent first, once their replica has begun.
    ready: BTreeSet<(Urgency, NodeIndex)>,
    /// Ready but for the budget.
    short: BTreeSet<(Urgency, NodeIndex)>,
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
        let ready = waiting.iter().filter(|(_, count)| **count == 0).map(|(n, _)| (urgency(graph[*n]), *n)).collect();
        let mut replicas: BTreeMap<usize, Progress> = BTreeMap::new();
        for step in graph.node_weights() {
            replicas.entry(step.replica).or_default().left += 1;
        }
        Self {
            course,
            graph,
            replicas,
            ready,
            short: BTreeSet::new(),
            waiting,
            ends: BTreeMap::new(),
            summary: Summary::default(),
        }
    }

    /// Runs until every step has ended or cannot begin.
    pub async fn run(mut self) -> Summary {
        let mut running: Running<'a> = FuturesUnordered::new();
        running.extend(self.replicas.keys().map(|replica| self.begin(*replica)));
        loop {
            self.start_ready(&mut running);
            let is_new_interruption = !self.summary.interrupted;
            tokio::select! {
                // First, so that the interruption is told before what ends because of it.
                biased;
                () = self.course.cancel.cancelled(), if is_new_interruption => {
                    self.summary.interrupted = true;
                    self.course.observer.notice(&Event::Interrupted);
                }
                report = running.next() => match report {
                    Some(Report::Begun(replica)) => {
                        self.replicas.entry(replica).or_default().has_begun = true;
                    }
                    Some(Report::Ended(node, result, elapsed)) => {
                        self.replicas.entry(self.graph[node].replica).or_default().running -= 1;
                        self.finish(node, result, elapsed);
                    }
                    Some(Report::Closed) => {}
                    None if self.replicas.is_empty() => break,
                    // At the limit, or after an interruption: what is left will not begin.
                    None => self.replicas.values_mut().for_each(|progress| progress.left = 0),
                },
            }
            self.close_finished(&running);
        }
        self.conclude()
    }

    fn begin(&self, replica: usize) -> BoxFuture<'a, Report> {
        let steps = self.course.steps;
        Box::pin(async move {
            steps.begin(replica).await;
            Report::Begun(replica)
        })
    }

    /// Ends the replicas of which nothing runs and nothing will.
    fn close_finished(&mut self, running: &Running<'a>) {
        let steps = self.course.steps;
        let nothing_new = self.course.cancel.is_cancelled();
        self.replicas.retain(|replica, progress| {
            let stays = !progress.has_begun || progress.running > 0 || (progress.left > 0 && !nothing_new);
            if !stays {
                let replica = *replica;
                running.push(Box::pin(async move {
                    steps.end(replica).await;
                    Report::Closed
                }));
            }
            stays
        });
    }

    /// Starts what may begin, as far as the parallelism allows.
    fn start_ready(&mut self, running: &mut Running<'a>) {
        loop {
            let count: usize = self.replicas.values().map(|progress| progress.running).sum();
            if count >= self.course.parallelism.get() || self.course.cancel.is_cancelled() {
                return;
            }
            let Some((urgency, node)) = self.next(count == 0) else { return };
            self.replicas.entry(self.graph[node].replica).or_default().running += 1;
            running.push(self.start(node, urgency));
        }
    }

    /// The most urgent step that may begin. When no other runs, one that the budget is too small for is let in with what
    /// is left of it.
    fn next(&mut self, is_idle: bool) -> Option<(Urgency, NodeIndex)> {
        let budget = self.course.budget;
        while let Some(first) = self.short.first().copied().filter(|(urgency, _)| budget.admits(*urgency)) {
            self.short.remove(&first);
            self.ready.insert(first);
        }
        while let Some(next) = self.ready.iter().copied().find(|(_, node)| self.has_begun(*node)) {
            self.ready.remove(&next);
            if budget.admits(next.0) {
                return Some(next);
            }
            self.short.insert(next);
        }
        let let_in = self.short.first().copied().filter(|_| is_idle && self.summary.stopped_at.is_none())?;
        self.short.remove(&let_in);
        budget.let_in(let_in.0);
        Some(let_in)
    }

    fn has_begun(&self, node: NodeIndex) -> bool {
        self.replicas.get(&self.graph[node].replica).is_some_and(|progress| progress.has_begun)
    }

    fn start(&self, node: NodeIndex, urgency: Urgency) -> BoxFuture<'a, Report> {
        let step = self.graph[node];
        let counter = ByteCounter::default();
        let Course { steps, observer, .. } = self.course;
        if let Some(action) = self.action(step) {
            observer.notice(&Event::Started {
                address: action.address.clone(),
                deed: action.change.deed(step.part),
                total: steps.total(step),
                counter: counter.clone(),
            });
        }
        Box::pin(async move {
            let begin = Instant::now();
            let result = steps.run(step, urgency, &counter).await;
            Report::Ended(node, result, begin.elapsed())
        })
    }

    fn action(&self, step: Step) -> Option<&'a Action> {
        self.course.plan.action(step)
    }

    fn finish(&mut self, node: NodeIndex, result: Result<u64, Failure>, elapsed: Duration) {
        let step = self.graph[node];
        let Some(action) = self.action(step) else { return };
        let address = action.address.clone();
        match result {
            Ok(transferred) => {
                if step.part != Part::Copy {
                    self.summary.done.push(address.clone());
                }
                let deed = action.change.deed(step.part);
                self.course.observer.notice(&Event::Finished { address, deed, elapsed, transferred });
                self.end(node, End::Done);
            }
            Err(failure) if self.is_wanted(failure.kind) => {
                if failure.kind == FailureKind::LimitReached {
                    self.summary.stopped_at = self.course.budget.limit();
                }
                self.summary.skipped.push(address.clone());
                self.course.observer.notice(&Event::Skipped { address, because: failure.message });
                self.end(node, End::Interrupted);
            }
            Err(failure) => {
                self.summary.failed.push((address.clone(), failure.clone()));
                self.course.observer.notice(&Event::Failed { address, failure });
                self.end(node, End::Failed);
            }
        }
    }

    /// Whether a step may end so without having failed: somebody interrupted the run, or bounded it. A step that says
    /// it was interrupted when nobody did so has not done its work, and that is a failure.
    fn is_wanted(&self, end: FailureKind) -> bool {
        match end {
            FailureKind::Interrupted => self.course.cancel.is_cancelled(),
            FailureKind::LimitReached => self.course.budget.limit().is_some(),
            FailureKind::ServerBusy | FailureKind::Busy | FailureKind::Failed => false,
        }
    }

    /// Records an end, and lets go of what waited for it: on to the ready queue, or skipped with all that needs it.
    fn end(&mut self, node: NodeIndex, end: End) {
        let mut ended = vec![(node, end)];
        while let Some((node, end)) = ended.pop() {
            self.course.budget.end(urgency(self.graph[node]));
            self.ends.insert(node, end);
            self.waiting.remove(&node);
            if let Some(progress) = self.replicas.get_mut(&self.graph[node].replica) {
                progress.left -= 1;
            }
            let dependents: Vec<(NodeIndex, Dependency)> =
                self.graph.edges(node).map(|edge| (edge.target(), *edge.weight())).collect();
            for (dependent, dependency) in dependents {
                if end != End::Done && dependency == Dependency::Needs {
                    // After an interruption, or at the limit, what waits is left, which is said once, at the end.
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
            self.course.observer.notice(&Event::Skipped { address: action.address.clone(), because });
        }
    }

    /// What never began because of an interruption, or because no more may be copied.
    fn conclude(mut self) -> Summary {
        let mut left: Vec<NodeIndex> = self.waiting.keys().copied().filter(|n| !self.ends.contains_key(n)).collect();
        left.sort_unstable();
        for node in left {
            let action = self.action(self.graph[node]);
            if let Some(action) = action.filter(|action| !self.summary.skipped.contains(&action.address)) {
                self.summary.skipped.push(action.address.clone());
            }
        }
        self.summary.transferred = self.course.budget.spent();
        self.summary.interrupted |= self.course.cancel.is_cancelled();
        self.summary
    }
}

/// The place in its replica's plan first, so that all replicas become recoverable before any is filled up.
fn urgency(step: Step) -> Urgency {
    (step.action, step.replica)
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use tokio::sync::Notify;

    use super::*;
    use crate::plan::tests::build::{SEGMENT, create, history, range, replica, site, wals};

    /// Each step takes a moment; how many run is watched.
    #[derive(Default)]
    struct Watched {
        running: AtomicUsize,
        most: AtomicUsize,
        began: Mutex<Vec<usize>>,
        /// Replicas that were ended.
        closed: Mutex<Vec<usize>>,
        /// The first replica begins only when another was ended.
        first_waits: bool,
        another_ended: Notify,
        /// Where steps stop that need more than is left.
        budget: Option<Budget>,
    }

    impl Steps for Watched {
        fn begin(&self, replica: usize) -> BoxFuture<'_, ()> {
            Box::pin(async move {
                if replica == 0 && self.first_waits {
                    self.another_ended.notified().await;
                }
            })
        }

        fn end(&self, replica: usize) -> BoxFuture<'_, ()> {
            self.closed.lock().unwrap().push(replica);
            self.another_ended.notify_one();
            Box::pin(async {})
        }

        fn run<'a>(
            &'a self,
            step: Step,
            urgency: Urgency,
            _counter: &'a ByteCounter,
        ) -> BoxFuture<'a, Result<u64, Failure>> {
            Box::pin(async move {
                self.began.lock().unwrap().push(step.action);
                let running = self.running.fetch_add(1, Ordering::SeqCst) + 1;
                self.most.fetch_max(running, Ordering::SeqCst);
                tokio::time::sleep(Duration::from_millis(2)).await;
                self.running.fetch_sub(1, Ordering::SeqCst);
                let Some(budget) = self.budget.as_ref().filter(|_| step.action > 1) else { return Ok(0) };
                if budget.secure(urgency, [SEGMENT]) == 0 {
                    return Err(Failure::limit_reached());
                }
                budget.charge(urgency, SEGMENT);
                Ok(SEGMENT)
            })
        }

        fn total(&self, _step: Step) -> u64 {
            0
        }
    }

    struct Silent;

    impl Observer for Silent {
        fn notice(&self, _event: &Event) {}
    }

    /// A server, a history, and segments that are shipped one by one.
    fn plan(segments: u64) -> Plan {
        let wals = (0..segments).map(|number| wals(range(1, number * 2, number * 2), None));
        site(vec![replica("main").of([create(), history(2)].into_iter().chain(wals))])
    }

    async fn run(plan: &Plan, steps: &Watched, parallelism: usize, budget: &Budget) -> Summary {
        let parallelism = NonZeroUsize::new(parallelism).unwrap();
        let cancel = CancellationToken::new();
        Executor::new(Course { plan, steps, observer: &Silent, cancel: &cancel, parallelism, budget }).run().await
    }

    #[tokio::test(start_paused = true)]
    async fn never_more_steps_run_than_the_parallelism_allows() {
        let plan = plan(40);
        for parallelism in [1, 3, 16] {
            let steps = Watched::default();
            let summary = run(&plan, &steps, parallelism, &Budget::new(&plan, None)).await;
            assert_eq!(steps.most.load(Ordering::SeqCst), parallelism);
            assert_eq!((summary.done.len(), summary.skipped.len()), (42, 0));
        }
    }

    /// Each step says that it was interrupted.
    struct EndedEarly;

    impl Steps for EndedEarly {
        fn begin(&self, _: usize) -> BoxFuture<'_, ()> {
            Box::pin(async {})
        }

        fn end(&self, _: usize) -> BoxFuture<'_, ()> {
            Box::pin(async {})
        }

        fn run<'a>(&'a self, _: Step, _: Urgency, _: &'a ByteCounter) -> BoxFuture<'a, Result<u64, Failure>> {
            Box::pin(async { Err(Failure::interrupted()) })
        }

        fn total(&self, _step: Step) -> u64 {
            0
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_step_that_ends_early_although_nobody_interrupted_it_has_failed() {
        let (plan, parallelism) = (plan(3), NonZeroUsize::MIN);
        let (cancel, budget) = (CancellationToken::new(), Budget::new(&plan, None));
        let course = Course {
            plan: &plan,
            steps: &EndedEarly,
            observer: &Silent,
            cancel: &cancel,
            parallelism,
            budget: &budget,
        };
        let summary = Executor::new(course).run().await;
        assert!(!summary.failed.is_empty() && !summary.interrupted, "{summary:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn a_replica_that_cannot_begin_holds_up_no_other() {
        let steps = |name| replica(name).of([create(), history(2)]);
        let plan = site(vec![steps("busy"), steps("free"), steps("third")]);
        let watched = Watched { first_waits: true, ..Watched::default() };
        let summary = run(&plan, &watched, 1, &Budget::new(&plan, None)).await;
        assert_eq!((summary.done.len(), summary.skipped.len()), (6, 0));
        assert_eq!(watched.closed.lock().unwrap().len(), 3, "each is ended once");
        assert_eq!(watched.closed.lock().unwrap().last(), Some(&0));
    }

    #[tokio::test(start_paused = true)]
    async fn an_interruption_ends_every_replica_that_has_begun() {
        let plan = site(vec![replica("main").of([create(), history(2)]), replica("other").of([create()])]);
        let watched = Watched::default();
        let cancel = CancellationToken::new();
        cancel.cancel();
        let (parallelism, budget) = (NonZeroUsize::MIN, &Budget::new(&plan, None));
        let course = Course { plan: &plan, steps: &watched, observer: &Silent, cancel: &cancel, parallelism, budget };
        let summary = Executor::new(course).run().await;
        assert_eq!((summary.done.len(), summary.skipped.len(), summary.interrupted), (0, 3, true));
        assert_eq!(*watched.closed.lock().unwrap(), [0, 1]);
    }

    #[tokio::test(start_paused = true)]
    async fn what_the_budget_allows_is_done_in_the_plans_order() {
        let plan = plan(10);
        let limit = 4 * SEGMENT;
        let steps = Watched { budget: Some(Budget::new(&plan, Some(limit))), ..Watched::default() };
        let budget = steps.budget.as_ref().unwrap();
        let summary = run(&plan, &steps, 16, budget).await;
        // Three fit with what the protocol adds; the fourth is let in and finds too little.
        assert_eq!(*steps.began.lock().unwrap(), [0, 1, 2, 3, 4, 5]);
        assert_eq!((summary.done.len(), summary.skipped.len()), (5, 7));
        assert_eq!((summary.stopped_at, summary.transferred), (Some(limit), 3 * SEGMENT));
    }
}

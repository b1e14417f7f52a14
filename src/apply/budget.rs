//! `--max-bytes`: what may still be copied, and who gets it.
//!
//! Steps claim what they are known to need, the most urgent first, as long as all claims together fit: so the newest
//! recoverable point gets its bytes first, and what is claimed is never exceeded. The first step that does not fit is
//! let in alone, with what is left then, and brings as many of its files as that allows; a file that is larger than the
//! whole limit is brought in pieces, one a run. As that step is the most urgent one, the next run begins with it: every
//! run gets further, however small the limit is.
//!
//! The applies of several replicas share a budget, at the same time or one after the other.
//!
//! Known sizes never exceed the limit. What can is the end of a piece, by what is in flight when it is cut off (about
//! a second at a fifth of the limit, see [`super::piece`]), and a history file, which is a few hundred bytes.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Mutex, MutexGuard, PoisonError};

use tokio::sync::oneshot;

use super::slots::Urgency;

/// What one transfer costs beside its files: rsync's greeting.
const GREETING: u64 = 1 << 10;

/// Bytes that may be copied.
#[derive(Debug)]
pub struct Budget {
    limit: Option<u64>,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    /// What was copied.
    spent: u64,
    /// What each admitted step may still copy.
    claims: BTreeMap<Urgency, u64>,
    /// What they claim together.
    claimed: u64,
    /// What steps need that have no claim yet.
    queue: BTreeMap<Urgency, u64>,
    /// Steps that could begin but for their bytes.
    waiting: BTreeMap<Urgency, oneshot::Sender<bool>>,
    /// Steps that were admitted and have not ended.
    admitted: BTreeSet<Urgency>,
    /// Whether a step found too little, so that no other is let in with less than it needs.
    is_used_up: bool,
}

/// What a file may cost on the wire: its bytes, and what the protocol adds for its name and its blocks.
pub fn cost(size: u64) -> u64 {
    size.saturating_add(size / 1024).saturating_add(512)
}

impl Budget {
    /// Nothing was copied yet; a limit of `None` is none.
    pub fn new(limit: Option<u64>) -> Self {
        Self { limit, state: Mutex::default() }
    }

    /// Applies begin whose steps need so many bytes. All of those that begin at the same time are told together.
    pub fn expect(&self, needs: impl IntoIterator<Item = (Urgency, u64)>) {
        if self.limit.is_none() {
            return;
        }
        // Sizes leave out the protocol, and directories.
        let with_slack = |bytes: u64| bytes.saturating_add(bytes / 64).saturating_add(GREETING);
        let needs = needs.into_iter().filter(|(_, bytes)| *bytes > 0);
        let mut state = self.state();
        state.queue.extend(needs.map(|(urgency, bytes)| (urgency, with_slack(bytes))));
        self.serve(&mut state);
    }

    /// An apply has ended, however it did: what its steps claimed is for others.
    pub fn forget(&self, apply: u64) {
        let mut state = self.state();
        let of_apply = |urgency: &&Urgency| urgency.apply == apply;
        let claims: Vec<Urgency> = state.claims.keys().filter(of_apply).copied().collect();
        for urgency in claims {
            state.give_back(urgency);
        }
        state.queue.retain(|urgency, _| urgency.apply != apply);
        state.waiting.retain(|urgency, _| urgency.apply != apply);
        state.admitted.retain(|urgency| urgency.apply != apply);
        self.serve(&mut state);
    }

    /// The limit, when there is one.
    pub fn limit(&self) -> Option<u64> {
        self.limit
    }

    /// Everything that was copied.
    pub fn spent(&self) -> u64 {
        self.state().spent
    }

    /// Steps could begin. Each is told whether it may: at once, where it copies nothing or what it needs is claimed; else
    /// when others have left it enough, or none runs that could.
    pub fn ask(&self, steps: impl IntoIterator<Item = Urgency>) -> Vec<oneshot::Receiver<bool>> {
        let mut state = self.state();
        let wait = |urgency| {
            let (sender, receiver) = oneshot::channel();
            state.waiting.insert(urgency, sender);
            receiver
        };
        let answers = steps.into_iter().map(wait).collect();
        self.serve(&mut state);
        answers
    }

    /// A step found too little.
    pub fn use_up(&self) {
        self.state().is_used_up = true;
    }

    /// How many of these files a step may bring now, in their order; what they cost is claimed for it.
    pub fn secure(&self, urgency: Urgency, sizes: impl IntoIterator<Item = u64>) -> usize {
        if self.limit.is_none() {
            return usize::MAX;
        }
        let mut state = self.state();
        let most = state.claims.get(&urgency).copied().unwrap_or_default().saturating_add(self.free(&state));
        let (mut count, mut sum) = (0, GREETING);
        for size in sizes {
            sum = u64::saturating_add(sum, cost(size));
            if sum > most {
                break;
            }
            count += 1;
            let claimed = state.claims.get(&urgency).copied().unwrap_or_default();
            state.claim(urgency, sum.saturating_sub(claimed));
        }
        count
    }

    /// How much of a file that is larger than the whole limit a step may bring now; `None` for one that is not, or when
    /// nothing is left.
    pub fn piece(&self, urgency: Urgency, size: u64) -> Option<u64> {
        let limit = self.limit.filter(|limit| cost(size).saturating_add(GREETING) > *limit)?;
        let mut state = self.state();
        let free = self.free(&state);
        state.claim(urgency, free);
        let claim = state.claims.get(&urgency).copied().unwrap_or_default();
        // A start costs more than a few bytes are worth, unless a few are all that there ever are.
        (claim > 0 && claim >= limit / 16).then_some(claim)
    }

    /// Notes what a step copied.
    pub fn charge(&self, urgency: Urgency, bytes: u64) {
        let mut state = self.state();
        state.spent = state.spent.saturating_add(bytes);
        let claim = state.claims.get(&urgency).copied().unwrap_or_default();
        state.claims.insert(urgency, claim.saturating_sub(bytes));
        state.claimed = state.claimed.saturating_sub(claim.min(bytes));
    }

    /// A step has ended, or will never begin: what it claimed and did not need is for those that come next. Those that it
    /// made way for have asked before.
    pub fn end(&self, urgency: Urgency) {
        let mut state = self.state();
        state.queue.remove(&urgency);
        state.admitted.remove(&urgency);
        state.give_back(urgency);
        self.serve(&mut state);
    }

    /// Lets steps claim what they need while it fits, and admits those that wait.
    fn serve(&self, state: &mut State) {
        while let Some((urgency, bytes)) = state.queue.first_key_value().map(|(urgency, bytes)| (*urgency, *bytes)) {
            if bytes > self.free(state) {
                break;
            }
            state.queue.remove(&urgency);
            state.claim(urgency, bytes);
        }
        let is_admissible = |urgency: &&Urgency| !state.queue.contains_key(urgency);
        let admissible: Vec<Urgency> = state.waiting.keys().filter(is_admissible).copied().collect();
        for urgency in admissible {
            state.answer(urgency, true);
        }
        while state.admitted.is_empty() {
            // None runs that could leave anything: the most urgent gets what there is.
            let Some(urgency) = state.waiting.keys().next().copied() else { return };
            if !state.is_used_up {
                let free = self.free(state);
                state.queue.remove(&urgency);
                state.claim(urgency, free);
            }
            state.answer(urgency, !state.is_used_up);
        }
    }

    fn free(&self, state: &State) -> u64 {
        let taken = state.spent.saturating_add(state.claimed);
        self.limit.unwrap_or(u64::MAX).saturating_sub(taken)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // Nothing in here can panic half-way.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// Tells a step that waits whether it may begin.
    fn answer(&mut self, urgency: Urgency, may_begin: bool) {
        let told = self.waiting.remove(&urgency).is_some_and(|step| step.send(may_begin).is_ok());
        if may_begin && told {
            self.admitted.insert(urgency);
        } else {
            self.give_back(urgency);
        }
    }

    fn give_back(&mut self, urgency: Urgency) {
        let claim = self.claims.remove(&urgency).unwrap_or_default();
        self.claimed = self.claimed.saturating_sub(claim);
    }

    fn claim(&mut self, urgency: Urgency, more: u64) {
        let claim = self.claims.entry(urgency).or_default();
        *claim = claim.saturating_add(more);
        self.claimed = self.claimed.saturating_add(more);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const APPLY: u64 = 7;

    fn at(place: usize) -> Urgency {
        Urgency { place, apply: APPLY }
    }

    /// One with so much for steps that need these bytes, the protocol left out.
    fn budget(limit: u64, needs: &[u64]) -> Budget {
        let budget = Budget::new(Some(limit));
        budget.state().queue = (0..).zip(needs).map(|(place, bytes)| (at(place), *bytes)).collect();
        budget
    }

    /// What each of these steps is told at once.
    fn ask(budget: &Budget, steps: &[Urgency]) -> Vec<Option<bool>> {
        budget.ask(steps.iter().copied()).iter_mut().map(|answer| answer.try_recv().ok()).collect()
    }

    /// Which of so many steps are told at once that they may begin. The least urgent asks first.
    fn admitted(budget: &Budget, steps: usize) -> Vec<usize> {
        let asking: Vec<usize> = (0..steps).rev().collect();
        let answers = ask(budget, &asking.iter().copied().map(at).collect::<Vec<_>>());
        let mut admitted: Vec<usize> =
            asking.into_iter().zip(answers).filter(|(_, a)| *a == Some(true)).map(|(place, _)| place).collect();
        admitted.sort_unstable();
        admitted
    }

    /// What a step is told that had to wait.
    fn told(answer: &mut oneshot::Receiver<bool>) -> Option<bool> {
        answer.try_recv().ok()
    }

    #[test]
    fn steps_are_admitted_by_urgency_while_they_fit() {
        // The third does not fit; that the fourth would does not let it overtake.
        assert_eq!(admitted(&budget(100, &[40, 50, 30, 5]), 4), [0, 1]);
        assert_eq!(admitted(&budget(125, &[40, 50, 30, 5]), 4), [0, 1, 2, 3]);
        let unlimited = Budget::new(None);
        unlimited.expect([(at(0), u64::MAX)]);
        assert_eq!(admitted(&unlimited, 1), [0]);
    }

    #[test]
    fn what_a_step_did_not_need_is_for_the_next() {
        let budget = budget(100, &[90, 50]);
        assert_eq!(ask(&budget, &[at(0)]), [Some(true)]);
        let mut second = budget.ask([at(1)]).remove(0);
        budget.charge(at(0), 20);
        assert_eq!(told(&mut second), None);
        budget.end(at(0));
        assert_eq!((told(&mut second), budget.spent()), (Some(true), 20));
    }

    #[test]
    fn files_are_brought_while_what_they_cost_fits() {
        let budget = budget(100_000, &[200_000]);
        assert_eq!(ask(&budget, &[at(0)]), [Some(true)], "it is let in alone");
        let count = budget.secure(at(0), [30_000, 30_000, 30_000, 30_000]);
        assert_eq!(count, 3);
        budget.charge(at(0), 90_000);
        assert_eq!(budget.secure(at(0), [30_000]), 0);
        assert_eq!(budget.piece(at(0), 30_000), None, "it fits into the next run");
    }

    #[test]
    fn a_file_that_never_fits_gets_all_that_is_left() {
        let budget = budget(1_000, &[5_000]);
        assert_eq!(ask(&budget, &[at(0)]), [Some(true)]);
        assert_eq!(budget.secure(at(0), [5_000]), 0);
        assert_eq!(budget.piece(at(0), 5_000), Some(1_000));
        budget.charge(at(0), 1_000);
        assert_eq!(budget.piece(at(0), 5_000), None);
    }

    #[test]
    fn when_one_found_too_little_no_other_is_let_in_and_all_that_wait_are_told() {
        let budget = budget(100, &[40, 500, 600]);
        let mut answers = budget.ask([0, 1, 2].map(at));
        let mut told = || answers.iter_mut().map(|answer| answer.try_recv().ok()).collect::<Vec<_>>();
        assert_eq!(told(), [Some(true), None, None]);
        budget.end(at(0));
        assert_eq!(told(), [None, Some(true), None]);
        budget.use_up();
        budget.end(at(1));
        assert_eq!(told(), [None, None, Some(false)]);
    }

    #[test]
    fn applies_that_begin_later_have_what_the_earlier_ones_left() {
        let budget = Budget::new(Some(100_000));
        let of = |apply, place| Urgency { place, apply };
        budget.expect([(of(1, 0), 40_000), (of(1, 1), 20_000)]);
        assert_eq!(ask(&budget, &[of(1, 0)]), [Some(true)]);
        budget.charge(of(1, 0), 40_000);
        // Another begins meanwhile: what the first one's steps claimed is not for it, however urgent its own are.
        budget.expect([(of(2, 0), 50_000)]);
        let mut second = budget.ask([of(2, 0)]).remove(0);
        assert_eq!(told(&mut second), None);
        // It ends without its second step.
        budget.forget(1);
        assert_eq!((told(&mut second), budget.spent()), (Some(true), 40_000));
        budget.charge(of(2, 0), 50_000);
        budget.forget(2);
        budget.expect([(of(3, 0), 30_000)]);
        assert_eq!(ask(&budget, &[of(3, 0)]), [Some(true)], "it is let in with what is left");
        assert_eq!(budget.secure(of(3, 0), [5_000, 5_000]), 1);
    }
}

//! `--max-bytes`: what a run may still copy, and who gets it.
//!
//! Steps claim what they are known to need, in the plan's order, as long as all claims together fit: so the newest
//! recoverable point gets its bytes first, and what is claimed is never exceeded. The first step that does not fit is
//! let in alone, with what is left then, and brings as many of its files as that allows; a file that is larger than the
//! whole limit is brought in pieces, one a run. As that step is the most urgent one, the next run begins with it: every
//! run gets further, however small the limit is.
//!
//! Known sizes never exceed the limit. What can is the end of a piece, by what is in flight when it is cut off (about
//! a second at a fifth of the limit, see [`super::piece`]), and a history file, which is a few hundred bytes.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::plan::Plan;
use crate::plan::action::Action;

use super::slots::Urgency;

/// What one transfer costs beside its files: rsync's greeting.
const GREETING: u64 = 1 << 10;

/// Bytes that a run may copy.
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
    /// What steps need that are not admitted yet.
    queue: BTreeMap<Urgency, u64>,
}

/// What a file may cost on the wire: its bytes, and what the protocol adds for its name and its blocks.
pub fn cost(size: u64) -> u64 {
    size.saturating_add(size / 1024).saturating_add(512)
}

impl Budget {
    /// The budget of a plan; `None` is unlimited.
    pub fn new(plan: &Plan, limit: Option<u64>) -> Self {
        let mut state = State::default();
        if limit.is_some() {
            let needs = plan.replicas.iter().enumerate().flat_map(|(replica, planned)| {
                let need = move |(place, action): (usize, &Action)| ((place, replica), action.bytes_to_copy());
                planned.actions.iter().enumerate().map(need)
            });
            // Sizes leave out the protocol, and directories.
            let with_slack = |bytes: u64| bytes.saturating_add(bytes / 64).saturating_add(GREETING);
            state.queue.extend(needs.filter(|(_, bytes)| *bytes > 0).map(|(urgency, b)| (urgency, with_slack(b))));
        }
        let budget = Self { limit, state: Mutex::new(state) };
        budget.advance(&mut budget.state());
        budget
    }

    /// The limit, when there is one.
    pub fn limit(&self) -> Option<u64> {
        self.limit
    }

    /// Everything that was copied.
    pub fn spent(&self) -> u64 {
        self.state().spent
    }

    /// Whether a step may begin: it copies nothing, or what it needs is claimed.
    pub fn admits(&self, urgency: Urgency) -> bool {
        !self.state().queue.contains_key(&urgency)
    }

    /// Lets a step begin with all that nobody claimed, although it needs more.
    pub fn let_in(&self, urgency: Urgency) {
        let mut state = self.state();
        let free = self.free(&state);
        state.queue.remove(&urgency);
        state.claim(urgency, free);
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

    /// Gives back what a step claimed and did not need, for those that come next.
    pub fn end(&self, urgency: Urgency) {
        let mut state = self.state();
        state.queue.remove(&urgency);
        let claim = state.claims.remove(&urgency).unwrap_or_default();
        state.claimed = state.claimed.saturating_sub(claim);
        self.advance(&mut state);
    }

    /// Admits steps in the plan's order while they fit.
    fn advance(&self, state: &mut State) {
        while let Some((urgency, bytes)) = state.queue.first_key_value().map(|(urgency, bytes)| (*urgency, *bytes)) {
            if bytes > self.free(state) {
                return;
            }
            state.queue.remove(&urgency);
            state.claim(urgency, bytes);
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
    fn claim(&mut self, urgency: Urgency, more: u64) {
        let claim = self.claims.entry(urgency).or_default();
        *claim = claim.saturating_add(more);
        self.claimed = self.claimed.saturating_add(more);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Steps that need these bytes, in the plan's order.
    fn budget(limit: u64, needs: &[u64]) -> Budget {
        let queue = (0..).zip(needs).map(|(place, bytes)| ((place, 0), *bytes)).collect();
        let budget = Budget { limit: Some(limit), state: Mutex::new(State { queue, ..State::default() }) };
        budget.advance(&mut budget.state());
        budget
    }

    fn admitted(budget: &Budget, steps: usize) -> Vec<usize> {
        (0..steps).filter(|place| budget.admits((*place, 0))).collect()
    }

    #[test]
    fn steps_are_admitted_in_the_plans_order_while_they_fit() {
        // The third does not fit; that the fourth would does not let it overtake.
        assert_eq!(admitted(&budget(100, &[40, 50, 30, 5]), 4), [0, 1]);
        assert_eq!(admitted(&budget(125, &[40, 50, 30, 5]), 4), [0, 1, 2, 3]);
    }

    #[test]
    fn what_a_step_did_not_need_is_for_the_next() {
        let budget = budget(100, &[90, 50]);
        budget.charge((0, 0), 20);
        assert_eq!(admitted(&budget, 2), [0]);
        budget.end((0, 0));
        assert_eq!((admitted(&budget, 2), budget.spent()), (vec![0, 1], 20));
    }

    #[test]
    fn files_are_brought_while_what_they_cost_fits() {
        let budget = budget(100_000, &[200_000]);
        assert!(!budget.admits((0, 0)));
        budget.let_in((0, 0));
        let count = budget.secure((0, 0), [30_000, 30_000, 30_000, 30_000]);
        assert_eq!(count, 3);
        budget.charge((0, 0), 90_000);
        assert_eq!(budget.secure((0, 0), [30_000]), 0);
        assert_eq!(budget.piece((0, 0), 30_000), None, "it fits into the next run");
    }

    #[test]
    fn a_file_that_never_fits_gets_all_that_is_left() {
        let budget = budget(1_000, &[5_000]);
        budget.let_in((0, 0));
        assert_eq!(budget.secure((0, 0), [5_000]), 0);
        assert_eq!(budget.piece((0, 0), 5_000), Some(1_000));
        budget.charge((0, 0), 1_000);
        assert_eq!(budget.piece((0, 0), 5_000), None);
    }
}

//! How long a line that was lost is waited for.
//!
//! What counts is progress: as long as something arrives between two losses, a copy goes on for days, however often its
//! line is lost. A line that brings nothing is waited for as long as the patience lasts, and given up then. Everything
//! that needs the same line shares what is known of it, so that the second step does not wait again for what the first
//! has given up; a step to which alone nothing comes is given up just so.

use std::future::Future;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use backon::{BackoffBuilder, ExponentialBuilder};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::error::{Error, Retry};

/// How long a line is waited for, and how often it is tried meanwhile.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Patience {
    /// The first pause; each one after it is twice as long, and a little longer by chance, so that not all come back at
    /// the same moment.
    pub first_pause: Duration,
    /// The longest pause.
    pub longest_pause: Duration,
    /// How long nothing may arrive.
    pub without_progress: Duration,
}

impl Patience {
    /// Of an apply, which nobody waits for.
    pub const APPLYING: Self = Self {
        first_pause: Duration::from_secs(1),
        longest_pause: Duration::from_secs(30),
        without_progress: Duration::from_secs(600),
    };

    /// Of questions, whose answers somebody may be waiting for: as long as silence is borne, and a minute at the most.
    pub fn asking(idle: Duration) -> Self {
        let without_progress = idle.min(Duration::from_secs(60));
        Self { first_pause: Duration::from_secs(1), longest_pause: Duration::from_secs(10), without_progress }
    }

    fn pauses(self) -> impl Iterator<Item = Duration> {
        ExponentialBuilder::default()
            .with_min_delay(self.first_pause)
            .with_max_delay(self.longest_pause)
            .with_jitter()
            .without_max_times()
            .build()
    }
}

/// A wait for a line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Wait {
    /// How long nothing has arrived.
    pub waited: Duration,
    /// How long until it is tried again.
    pub pause: Duration,
}

/// What is known of one line: since when nothing comes over it, and how far away its other end is.
#[derive(Debug, Default)]
pub struct Line {
    since: Mutex<Option<Instant>>,
    /// The shortest time after which a question was answered.
    answered: Mutex<Option<Duration>>,
}

/// How often a question and its answer cross the line before the first of a listing is here: a channel is opened and
/// confirmed, a program is begun, versions are told, the list is asked for.
const CROSSINGS: u32 = 5;

impl Line {
    /// A listing began to arrive so long after it was asked for.
    pub fn has_answered(&self, after: Duration) {
        let mut answered = self.answered.lock().unwrap_or_else(PoisonError::into_inner);
        *answered = Some(answered.map_or(after, |before| before.min(after)));
    }

    /// How long a question and its answer are on their way, the time that the programs take included: so it is nothing
    /// much of a near line, and about right of a far one.
    pub fn round_trip(&self) -> Option<Duration> {
        let answered = *self.answered.lock().unwrap_or_else(PoisonError::into_inner);
        answered.map(|after| after / CROSSINGS)
    }

    /// Something came.
    fn brought(&self) {
        *self.since() = None;
    }

    /// Nothing came; for how long by now.
    fn brought_nothing(&self) -> Duration {
        self.since().get_or_insert_with(Instant::now).elapsed()
    }

    fn since(&self) -> MutexGuard<'_, Option<Instant>> {
        // A moment is stored or not.
        self.since.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Tries, and tries again what may pass, as long as something arrives or the patience lasts.
///
/// `arrived` tells how much is here, and is asked after each attempt that failed. `told` hears of each wait. When `cancel`
/// fires a wait ends at once, with an error of the kind `Interrupted`.
pub async fn persist<T, A: Future<Output = Result<T, Error>>, P: Future<Output = u64>>(
    patience: Patience,
    line: &Line,
    cancel: &CancellationToken,
    mut attempt: impl FnMut() -> A,
    arrived: impl Fn() -> P,
    told: impl Fn(&Error, Wait),
) -> Result<T, Error> {
    // From the first loss on: how long it took to notice that one is no waiting.
    let (mut since, mut most, mut pauses) = (None, arrived().await, patience.pauses());
    loop {
        let error = match attempt().await {
            Ok(done) => {
                line.brought();
                return Ok(done);
            }
            Err(error) if error.kind.retry() != Retry::Line || cancel.is_cancelled() => return Err(error),
            Err(error) => error,
        };
        let here = arrived().await;
        if here > most {
            line.brought();
            (since, most, pauses) = (None, here, patience.pauses());
        }
        let waited = since.get_or_insert_with(Instant::now).elapsed().max(line.brought_nothing());
        let left = patience.without_progress.saturating_sub(waited);
        if left.is_zero() {
            return Err(error);
        }
        let pause = pauses.next().unwrap_or(patience.longest_pause).min(left);
        told(&error, Wait { waited, pause });
        tokio::select! {
            () = tokio::time::sleep(pause) => {}
            () = cancel.cancelled() => return Err(Error::interrupted()),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::cell::{Cell, RefCell};

    use super::*;
    use crate::error::Kind;

    const BRIEF: Patience = Patience {
        first_pause: Duration::from_secs(1),
        longest_pause: Duration::from_secs(30),
        without_progress: Duration::from_secs(600),
    };

    /// A copy that is lost so many times, each attempt bringing so much.
    struct Copy {
        losses: Cell<u32>,
        each: u64,
        here: Cell<u64>,
        waits: RefCell<Vec<Wait>>,
    }

    impl Copy {
        fn new(losses: u32, each: u64) -> Self {
            Self { losses: Cell::new(losses), each, here: Cell::default(), waits: RefCell::default() }
        }

        async fn run(&self, line: &Line, cancel: &CancellationToken) -> Result<(), Kind> {
            let attempt = || async {
                self.here.set(self.here.get() + self.each);
                match self.losses.get() {
                    0 => Ok(()),
                    losses => {
                        self.losses.set(losses - 1);
                        Err(Error::new(Kind::Lost, "lost"))
                    }
                }
            };
            let told = |_: &Error, wait| self.waits.borrow_mut().push(wait);
            let arrived = || async { self.here.get() };
            persist(BRIEF, line, cancel, attempt, arrived, told).await.map_err(|error| error.kind)
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_line_that_brings_something_each_time_is_never_given_up() {
        let copy = Copy::new(2000, 1);
        assert_eq!(copy.run(&Line::default(), &CancellationToken::new()).await, Ok(()));
        assert!(copy.waits.borrow().iter().all(|wait| wait.waited == Duration::ZERO));
    }

    #[tokio::test(start_paused = true)]
    async fn a_line_that_brings_nothing_is_waited_for_ten_minutes_in_all_and_no_more_by_the_next() {
        let line = Line::default();
        let (first, second) = (Copy::new(u32::MAX, 0), Copy::new(u32::MAX, 0));
        let begin = Instant::now();
        assert_eq!(first.run(&line, &CancellationToken::new()).await, Err(Kind::Lost));
        assert_eq!(begin.elapsed(), Duration::from_secs(600));
        assert!(first.waits.borrow().len() > 10);
        assert_eq!(second.run(&line, &CancellationToken::new()).await, Err(Kind::Lost));
        assert_eq!((begin.elapsed(), second.waits.borrow().len()), (Duration::from_secs(600), 0));
        // A line that is back is waited for anew.
        assert_eq!(Copy::new(0, 0).run(&line, &CancellationToken::new()).await, Ok(()));
        assert_eq!(Copy::new(3, 0).run(&line, &CancellationToken::new()).await, Ok(()));
    }

    #[tokio::test(start_paused = true)]
    async fn a_step_that_alone_gets_nothing_is_given_up_although_others_go_on() {
        let (line, cancel) = (Line::default(), CancellationToken::new());
        let (alone, others) = (Copy::new(u32::MAX, 0), Copy::new(u32::MAX, 1));
        let given_up = tokio::select! {
            given_up = alone.run(&line, &cancel) => given_up,
            _ = others.run(&line, &cancel) => panic!("the others go on"),
        };
        assert_eq!(given_up, Err(Kind::Lost));
    }

    #[tokio::test(start_paused = true)]
    async fn an_interruption_ends_a_wait_at_once() {
        let (line, cancel) = (Line::default(), CancellationToken::new());
        let copy = Copy::new(u32::MAX, 0);
        let begin = Instant::now();
        let interrupt = async {
            tokio::time::sleep(Duration::from_millis(300_500)).await;
            cancel.cancel();
        };
        let (ended, ()) = tokio::join!(copy.run(&line, &cancel), interrupt);
        assert_eq!((ended, begin.elapsed()), (Err(Kind::Interrupted), Duration::from_millis(300_500)));
    }

    #[tokio::test(start_paused = true)]
    async fn what_does_not_pass_is_not_tried_again() {
        let count = Cell::new(0);
        let attempt = || async {
            count.set(count.get() + 1);
            Err::<(), _>(Error::new(Kind::PermissionDenied, "no"))
        };
        let ended =
            persist(BRIEF, &Line::default(), &CancellationToken::new(), attempt, || async { 0 }, |_, _| {}).await;
        assert_eq!((ended.unwrap_err().kind, count.get()), (Kind::PermissionDenied, 1));
    }

    #[test]
    fn the_shortest_answer_tells_how_far_away_a_line_ends() {
        let line = Line::default();
        assert_eq!(line.round_trip(), None);
        for (milliseconds, round_trip) in [(600, 120), (5000, 120), (500, 100)] {
            line.has_answered(Duration::from_millis(milliseconds));
            assert_eq!(line.round_trip(), Some(Duration::from_millis(round_trip)));
        }
    }
}

//! A terminal that shows what runs at its bottom, while lines about what ended scroll away above.

use std::cell::Cell;
use std::collections::VecDeque;
use std::io::{self, Write};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use tokio::task::JoinHandle;

use crate::events::{Event, Listener};
use crate::plan::Plan;
use crate::plan::action::Address;
use crate::plan::cost::totals::Totals;
use crate::transport::ByteCounter;

use super::board::{self, Row, Whole};
use super::running::arrived;

/// How often the terminal is drawn.
const EVERY: Duration = Duration::from_millis(200);

/// Looks over which a rate is measured: five seconds.
const LOOKS: usize = 25;

/// The terminal, while applies are followed on it. There is one, and whoever writes to it must write above.
static SCREEN: Mutex<Option<Screen>> = Mutex::new(None);

thread_local! {
    /// Whether this thread writes above already.
    static IS_ABOVE: Cell<bool> = const { Cell::new(false) };
}

/// Shows something above what is at the bottom of the terminal.
pub fn above<T>(show: impl FnOnce() -> T) -> T {
    // Whoever draws holds the screen and waits until nobody is above.
    if IS_ABOVE.get() {
        return show();
    }
    let bottom = screen().as_ref().map(|screen| screen.bottom.clone());
    let Some(bottom) = bottom else { return show() };
    IS_ABOVE.set(true);
    let shown = bottom.suspend(show);
    IS_ABOVE.set(false);
    shown
}

/// Writes to stderr, above what is shown there.
pub fn write_above(bytes: &[u8]) -> io::Result<()> {
    above(|| {
        let mut stderr = io::stderr().lock();
        stderr.write_all(bytes).and_then(|()| stderr.flush())
    })
}

/// Tells a person something on stderr, above what is shown there.
pub fn tell(text: &str) {
    // Whoever closed stderr does not want to be told.
    let _ = write_above(text.as_bytes());
}

/// Takes away what is shown at the bottom.
pub fn clear() {
    // What the lock protects is free by then: who draws may be waiting for it.
    let screen = screen().take();
    if let Some(screen) = screen {
        screen.artist.abort();
        screen.bottom.finish_and_clear();
    }
}

fn screen() -> MutexGuard<'static, Option<Screen>> {
    // Numbers that are shown: even half-changed they only mislead a reader for a moment.
    SCREEN.lock().unwrap_or_else(PoisonError::into_inner)
}

/// What is shown at the bottom.
struct Screen {
    bottom: ProgressBar,
    course: Course,
    /// Applies that are followed.
    applies: usize,
    artist: JoinHandle<()>,
}

/// Shows the events of an apply at the bottom of the terminal; several share it.
pub struct Bars(());

/// How far all of it is.
#[derive(Default)]
struct Course {
    /// In the order in which they began.
    steps: Vec<Step>,
    /// Bytes that the plans copy.
    total: u64,
    is_upper_bound: bool,
    /// Bytes that steps brought which have ended.
    ended: u64,
    /// Bytes that those were to bring.
    settled: u64,
    /// When how many bytes had come, the latest at the end.
    looks: VecDeque<(Instant, u64)>,
}

struct Step {
    address: Address,
    doing: &'static str,
    since: Instant,
    total: u64,
    counter: ByteCounter,
}

impl Bars {
    /// Begins to show how a plan is carried out. Needs a tokio runtime.
    pub fn of(plan: &Plan) -> Self {
        let mut shown = screen();
        let screen = shown.get_or_insert_with(Screen::new);
        screen.applies += 1;
        screen.course.add(&Totals::of(plan));
        Self(())
    }
}

impl Drop for Bars {
    fn drop(&mut self) {
        let is_last = screen().as_mut().is_some_and(|screen| {
            screen.applies -= 1;
            screen.applies == 0
        });
        if is_last {
            clear();
        }
    }
}

impl Listener for Bars {
    fn notice(&self, event: &Event) {
        if let Some(screen) = screen().as_mut() {
            match event {
                Event::Started { address, deed, total, counter } => {
                    let (address, counter) = (address.clone(), counter.clone());
                    let step = Step { address, doing: deed.doing, since: Instant::now(), total: *total, counter };
                    screen.course.steps.push(step);
                    return;
                }
                Event::Finished { address, .. } | Event::Failed { address, .. } | Event::Skipped { address, .. } => {
                    screen.course.end(address);
                    screen.draw();
                }
                Event::Retrying { .. } | Event::Interrupted => {}
            }
        }
        tell(&format!("{}\n", super::line(event)));
    }
}

impl Screen {
    fn new() -> Self {
        let bottom = ProgressBar::with_draw_target(None, ProgressDrawTarget::stderr());
        // A template that could not be read would only cost the looks.
        if let Ok(style) = ProgressStyle::with_template("{msg}") {
            bottom.set_style(style);
        }
        let artist = tokio::spawn(async {
            loop {
                tokio::time::sleep(EVERY).await;
                if let Some(screen) = screen().as_mut() {
                    screen.draw();
                }
            }
        });
        Self { bottom, course: Course::default(), applies: 0, artist }
    }

    fn draw(&mut self) {
        let whole = self.course.look(Instant::now());
        let rows: Vec<Row> = self.course.steps.iter().map(Step::row).collect();
        self.bottom.set_message(board::lines(&rows, whole, size()).join("\n"));
        self.bottom.tick();
    }
}

impl Course {
    fn add(&mut self, totals: &Totals) {
        self.total = self.total.saturating_add(totals.bytes_to_copy);
        self.is_upper_bound |= totals.copy_is_upper_bound;
    }

    fn end(&mut self, address: &Address) {
        if let Some(at) = self.steps.iter().position(|step| step.address == *address) {
            let step = self.steps.remove(at);
            self.ended += step.here();
            self.settled += step.total;
        }
    }

    /// How far it is now, which is remembered for the rate.
    fn look(&mut self, now: Instant) -> Whole {
        let running: u64 = self.steps.iter().map(Step::here).sum();
        let here = self.ended + running;
        self.looks.push_back((now, here));
        if self.looks.len() > LOOKS {
            self.looks.pop_front();
        }
        let left = self.total.saturating_sub(self.settled + running);
        Whole { here, left, total: self.total, is_upper_bound: self.is_upper_bound, rate: self.rate() }
    }

    fn rate(&self) -> u64 {
        let (Some((begin, first)), Some((end, last))) = (self.looks.front(), self.looks.back()) else { return 0 };
        let millis = end.duration_since(*begin).as_millis();
        // Before there is a second to measure over it would jump.
        if millis < 1000 {
            return 0;
        }
        u64::try_from(u128::from(last.saturating_sub(*first)) * 1000 / millis).unwrap_or(u64::MAX)
    }
}

impl Step {
    fn here(&self) -> u64 {
        if self.total == 0 { self.counter.get() } else { arrived(&self.counter, self.total) }
    }

    fn row(&self) -> Row {
        let what = format!("{}  {}", self.address, self.doing);
        Row { what, here: self.here(), total: self.total, elapsed: self.since.elapsed() }
    }
}

/// Columns and lines of the terminal; of one that does not know, as behind a serial line, those of the first.
fn size() -> (usize, usize) {
    let size = rustix::termios::tcgetwinsize(io::stderr()).ok();
    let known = |length: Option<u16>, otherwise| length.filter(|length| *length > 0).map_or(otherwise, usize::from);
    (known(size.map(|size| size.ws_col), 80), known(size.map(|size| size.ws_row), 24))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::action::words::Deed;

    #[test]
    fn what_has_ended_counts_as_settled_whatever_it_brought() {
        let (now, counter) = (Instant::now(), ByteCounter::default());
        let step = |name: &str| Step {
            address: format!("main/backup/{name}").parse().unwrap(),
            doing: Deed::new("copy", "copying", "copied").doing,
            since: now,
            total: 400,
            counter: counter.clone(),
        };
        let mut course = Course::default();
        for bytes_to_copy in [400, 600] {
            course.add(&Totals { bytes_to_copy, ..Totals::default() });
        }
        course.steps = vec![step("20261121T000000"), step("20261122T000000")];
        counter.add(100);
        let whole = course.look(now);
        assert_eq!((whole.here, whole.left, whole.rate), (200, 800, 0));
        course.end(&"main/backup/20261121T000000".parse().unwrap());
        let whole = course.look(now + Duration::from_secs(1));
        assert_eq!((whole.here, whole.left, whole.rate), (200, 500, 0));
        counter.add(200);
        let whole = course.look(now + Duration::from_secs(2));
        assert_eq!((whole.here, whole.left, whole.rate), (400, 300, 100));
    }
}

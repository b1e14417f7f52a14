//! Plain lines: one when something begins or ends, and one every ten seconds while it goes on.

use std::time::{Duration, Instant};

use crate::events::{Event, Listener};
use crate::plan::action::Address;
use crate::render::units;
use crate::transport::ByteCounter;

use super::bars::tell;
use super::running::{Running, arrived};

/// How often something that goes on is told again.
const EVERY: Duration = Duration::from_secs(10);

/// Tells events as lines on stderr.
pub struct Lines {
    running: Running<Step>,
}

/// What is kept of a step that runs.
struct Step {
    since: Instant,
    doing: &'static str,
    total: u64,
    counter: ByteCounter,
}

impl Lines {
    /// Begins to tell. Needs a tokio runtime.
    pub fn new() -> Self {
        let tell_again = |address: &Address, step: &mut Step| {
            if step.since.elapsed() >= EVERY {
                tell(&format!("{}\n", still(address, step)));
            }
        };
        Self { running: Running::new(EVERY, tell_again) }
    }
}

impl Default for Lines {
    fn default() -> Self {
        Self::new()
    }
}

impl Listener for Lines {
    fn notice(&self, event: &Event) {
        match event {
            Event::Started { address, deed, total, counter } => {
                let step = Step { since: Instant::now(), doing: deed.doing, total: *total, counter: counter.clone() };
                self.running.begin(address, step);
            }
            Event::Finished { address, .. } | Event::Failed { address, .. } | Event::Skipped { address, .. } => {
                self.running.end(address);
            }
            Event::Retrying { .. } | Event::Interrupted => {}
        }
        tell(&format!("{}\n", super::line(event)));
    }
}

fn still(address: &Address, step: &Step) -> String {
    let elapsed = units::duration(step.since.elapsed().as_secs());
    let doing = step.doing;
    match step.total {
        0 => format!("{address}: still {doing}... [{elapsed}]"),
        total => {
            let here = arrived(&step.counter, total);
            format!("{address}: still {doing}... [{elapsed}, {} of {}]", units::bytes(here), units::bytes(total))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_copy_that_counts_again_what_it_goes_on_with_shows_no_more_than_all() {
        let address: Address = "main/backup/20261122T092435".parse().unwrap();
        let counter = ByteCounter::default();
        let step = Step { since: Instant::now(), doing: "copying", total: 3 << 20, counter: counter.clone() };
        counter.add(2 << 20);
        assert_eq!(still(&address, &step), format!("{address}: still copying... [0 s, 2 MiB of 3 MiB]"));
        counter.add(3 << 20);
        assert_eq!(still(&address, &step), format!("{address}: still copying... [0 s, 3 MiB of 3 MiB]"));
    }
}

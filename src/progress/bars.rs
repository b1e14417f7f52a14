//! Progress bars on a terminal: one for each transfer that runs, finished steps scroll away above them.

use std::sync::OnceLock;
use std::time::Duration;

use indicatif::{MultiProgress, ProgressBar, ProgressStyle};

use crate::events::{Event, Listener};
use crate::plan::action::Address;
use crate::transport::ByteCounter;

use super::running::{Running, arrived};

/// How often the bars move.
const EVERY: Duration = Duration::from_millis(100);

/// The bars of all applies that are followed: they are on one terminal.
static SCREEN: OnceLock<MultiProgress> = OnceLock::new();

/// Shows something else on the terminal, which no bar is drawn over.
pub fn aside<T>(show: impl FnOnce() -> T) -> T {
    match SCREEN.get() {
        Some(screen) => screen.suspend(show),
        None => show(),
    }
}

/// Shows events as bars on stderr.
pub struct Bars {
    screen: &'static MultiProgress,
    running: Running<(ProgressBar, ByteCounter)>,
}

impl Bars {
    /// Begins to show. Needs a tokio runtime.
    pub fn new() -> Self {
        let advance = |_: &Address, (bar, counter): &mut (ProgressBar, ByteCounter)| {
            bar.set_position(bar.length().map_or_else(|| counter.get(), |total| arrived(counter, total)));
        };
        Self { screen: SCREEN.get_or_init(MultiProgress::new), running: Running::new(EVERY, advance) }
    }

    fn add(&self, address: &Address, doing: &'static str, total: u64, counter: &ByteCounter) {
        let bar = if total == 0 { ProgressBar::new_spinner() } else { ProgressBar::new(total) };
        let template = if total == 0 {
            "{spinner} {prefix}  {msg} {elapsed}"
        } else {
            "{spinner} {prefix}  {msg} {wide_bar} {binary_bytes} of {binary_total_bytes} {binary_bytes_per_sec} {eta}"
        };
        // A template that could not be read would only cost the looks.
        if let Ok(style) = ProgressStyle::with_template(template) {
            bar.set_style(style.progress_chars("━╸ "));
        }
        bar.set_prefix(address.to_string());
        bar.set_message(doing);
        let bar = self.screen.add(bar);
        bar.enable_steady_tick(EVERY);
        self.running.begin(address, (bar, counter.clone()));
    }

    fn remove(&self, address: &Address) {
        if let Some((bar, _)) = self.running.end(address) {
            bar.finish_and_clear();
            self.screen.remove(&bar);
        }
    }
}

impl Default for Bars {
    fn default() -> Self {
        Self::new()
    }
}

impl Drop for Bars {
    fn drop(&mut self) {
        // The terminal may be gone; then there is nothing to clear.
        let _ = self.screen.clear();
    }
}

impl Listener for Bars {
    fn notice(&self, event: &Event) {
        match event {
            Event::Started { address, deed, total, counter } => {
                self.add(address, deed.doing, *total, counter);
                return;
            }
            Event::Finished { address, .. } | Event::Failed { address, .. } | Event::Skipped { address, .. } => {
                self.remove(address);
            }
            Event::Retrying { .. } | Event::Interrupted => {}
        }
        // Without a terminal there is nobody to tell.
        let _ = self.screen.println(super::line(event));
    }
}

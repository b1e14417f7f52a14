//! What a service manager is told: systemd's `Type=notify` and `WatchdogSec`. Where there is none, nothing is.

use std::sync::Mutex;
use std::time::{Duration, Instant};

use sd_notify::NotifyState;

/// The service manager that started this program, if one did.
pub struct Service {
    /// How often it wants to hear that this program is alive.
    watchdog: Option<Duration>,
    last: Mutex<Option<Instant>>,
}

impl Service {
    /// The one of this program.
    pub fn of_this_run() -> Self {
        // Twice within its patience.
        Self { watchdog: sd_notify::watchdog_enabled().map(|patience| patience / 2), last: Mutex::default() }
    }

    /// The site is kept from now on.
    pub fn ready() {
        tell(&[NotifyState::Ready]);
    }

    /// The site file is read again.
    pub fn reloading() {
        match NotifyState::monotonic_usec_now() {
            Ok(since) => tell(&[NotifyState::Reloading, since]),
            Err(_) => tell(&[NotifyState::Reloading]),
        }
    }

    /// It is about to end.
    pub fn stopping() {
        tell(&[NotifyState::Stopping]);
    }

    /// What is going on.
    pub fn status(what: &str) {
        tell(&[NotifyState::Status(what)]);
    }

    /// This program goes on.
    pub fn alive(&self) {
        let Some(every) = self.watchdog else { return };
        let mut last = self.last.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        if last.is_none_or(|last| last.elapsed() >= every) {
            *last = Some(Instant::now());
            tell(&[NotifyState::Watchdog]);
        }
    }
}

fn tell(state: &[NotifyState<'_>]) {
    // Who does not listen does without.
    let _unheard = sd_notify::notify(state);
}

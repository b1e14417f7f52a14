//! Ctrl-C and SIGTERM: the first asks everything to end well, a second ends the program.

use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use std::time::Duration;

use futures::FutureExt;
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

use crate::error::{Error, Exit};
use crate::progress;

use super::terminal;

/// Signals that come within this are one.
const ONE: Duration = Duration::from_millis(300);

/// Said of the second signal.
const AT_ONCE: &str =
    "Ended at once, as a second signal asked for it. What had arrived is kept; the next apply goes on with it.\n";

/// Knows whether the run was interrupted.
#[derive(Debug, Clone)]
pub struct Interrupt {
    /// Fires at the first signal.
    pub token: CancellationToken,
    code: Arc<AtomicU8>,
}

impl Interrupt {
    /// Begins to watch for both signals.
    pub fn watch() -> Result<Self, Error> {
        let failed = |error| Error::io("cannot watch for signals", error);
        let mut interrupts = signal(SignalKind::interrupt()).map_err(failed)?;
        let mut terminations = signal(SignalKind::terminate()).map_err(failed)?;
        let watch = Self { token: CancellationToken::new(), code: Arc::default() };
        let watched = watch.clone();
        tokio::spawn(async move {
            loop {
                let exit = tokio::select! {
                    _ = interrupts.recv() => Exit::Interrupted,
                    _ = terminations.recv() => Exit::Terminated,
                };
                if watched.token.is_cancelled() {
                    progress::clear();
                    terminal::tell(AT_ONCE);
                    std::process::exit(i32::from(exit.code()));
                }
                watched.code.store(exit.code(), Ordering::SeqCst);
                watched.token.cancel();
                // timeout(1) sends a signal to the program and at once to its group, and means one.
                tokio::time::sleep(ONE).await;
                let _same = (interrupts.recv().now_or_never(), terminations.recv().now_or_never());
            }
        });
        Ok(watch)
    }

    /// How the program ends because of a signal, if there was one.
    pub fn exit(&self) -> Option<Exit> {
        [Exit::Interrupted, Exit::Terminated].into_iter().find(|exit| exit.code() == self.code.load(Ordering::SeqCst))
    }
}

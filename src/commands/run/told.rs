//! What a controller tells: a line on stderr for what changed, as a journal keeps it.

use std::sync::Arc;

use crate::barman::ids::ServerName;
use crate::commands::terminal::{self, Terminal};
use crate::controller::{Follower, Report, State};
use crate::error::Error;
use crate::events::{Event, Listener, Nobody};
use crate::plan::Plan;
use crate::plan::action::address::Sort;
use crate::plan::scope::leave::Waiting;
use crate::progress::Lines;
use crate::render;
use crate::schedule::Suspension;

use super::service::Service;

/// Tells what happens in lines, and the service manager that it goes on.
pub struct Told {
    terminal: Terminal,
    service: Arc<Service>,
}

impl Told {
    /// On stderr.
    pub fn new(terminal: Terminal, service: Arc<Service>) -> Self {
        Self { terminal, service }
    }

    fn line(&self, of: &dyn std::fmt::Display, what: &str) {
        if !self.terminal.quiet {
            terminal::tell(&format!("{of}: {what}\n"));
        }
    }
}

impl Follower for Told {
    fn alive(&self) {
        self.service.alive();
    }

    fn ending(&self) {
        self.service.stopping();
        self.line(&"antipode run", "ends; what runs ends and keeps what it has");
    }

    fn site(&self, what: &str) {
        self.line(&"antipode run", what);
        self.service.ready();
        self.service.status(what);
    }

    fn site_error(&self, error: &Error) {
        self.terminal.error(error);
    }

    fn state(&self, replica: &ServerName, state: &State) {
        match state {
            State::New => {}
            State::Well => self.line(replica, "all that may be done by itself is done"),
            State::Busy(error) => self.line(replica, &format!("waits: {}", error.message)),
            State::Failing(error) => {
                let told = Error { message: format!("{replica}: {}", error.message), ..error.clone() };
                self.terminal.error(&told);
            }
        }
    }

    fn waiting(&self, replica: &ServerName, waiting: &Waiting) {
        for (totals, what) in [(&waiting.for_person, "a person"), (&waiting.for_window, "a window")] {
            if let Some(to_do) = render::to_do(totals) {
                self.line(replica, &format!("waits for {what}: {to_do}"));
            }
        }
    }

    fn suspended(&self, replica: &ServerName, suspension: Option<&Suspension>) {
        match suspension {
            Some(suspension) => self.line(replica, &render::suspended(suspension)),
            None => self.line(replica, "resumed"),
        }
    }

    fn apply(&self, _plan: &Plan) -> Box<dyn Listener> {
        if self.terminal.quiet { Box::new(Nobody) } else { Box::new(Backups(Lines::new())) }
    }

    fn report(&self, report: &Report) {
        if let Some(applied) = &report.applied {
            self.line(&report.replica, &render::applied_in_a_line(&applied.plan, &applied.summary, applied.elapsed));
        }
    }
}

/// Tells how backups are copied, and what is waited for. WAL comes all the time.
struct Backups(Lines);

impl Listener for Backups {
    fn notice(&self, event: &Event) {
        let is_told = match event {
            Event::Started { address, .. }
            | Event::Finished { address, .. }
            | Event::Failed { address, .. }
            | Event::Skipped { address, .. } => address.sort() == Sort::Backup.as_str(),
            Event::Retrying { .. } => true,
            Event::Interrupted => false,
        };
        if is_told {
            self.0.notice(event);
        }
    }
}

//! What a controller tells: a line on stderr for what changed, as a journal keeps it.

use std::sync::Arc;

use crate::barman::ids::ServerName;
use crate::commands::terminal::{self, Terminal};
use crate::controller::{Follower, Report, State};
use crate::error::Error;
use crate::events::{Event, Listener};
use crate::plan::Plan;
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

    fn suspended(&self, replica: &ServerName, suspension: Option<&Suspension>) {
        match suspension {
            Some(suspension) => self.line(replica, &render::suspended(suspension)),
            None => self.line(replica, "resumed"),
        }
    }

    fn apply(&self, _plan: &Plan) -> Box<dyn Listener> {
        Box::new(Steps(self.terminal.quiet.then_some(()).map_or_else(|| Some(Lines::new()), |()| None)))
    }

    fn report(&self, report: &Report) {
        if let Some(applied) = &report.applied {
            self.line(&report.replica, &render::applied_in_a_line(&applied.plan, &applied.summary, applied.elapsed));
        }
    }
}

/// Tells of the steps of an apply that somebody would wait for.
struct Steps(Option<Lines>);

impl Listener for Steps {
    fn notice(&self, event: &Event) {
        if let Some(lines) = &self.0 {
            lines.notice(event);
        }
    }
}

//! To whom an apply speaks: to people on stdout and stderr, to programs that read JSON, or to both.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use crate::barman::ids::ServerName;
use crate::cycle::Planned;
use crate::error::{Error, Exit};
use crate::events::{Event, Listener, Nobody, Summary};
use crate::metrics::ledger::Stage;
use crate::plan::Plan;
use crate::progress::{Bars, Json, Lines, above};
use crate::render;
use crate::schedule::Suspension;
use crate::site::Site;
use crate::stdout;

use super::metrics_file::MetricsFile;
use super::plan;
use super::terminal::{self, Terminal};

/// Who is told of an apply.
pub struct Audience<'a> {
    people: Option<People<'a>>,
    programs: Option<Json>,
    metrics: Option<&'a MetricsFile>,
}

/// The people who are told of it.
struct People<'a> {
    terminal: &'a Terminal,
    /// Whether they have seen the plan, and want to know only what came of it.
    are_onlookers: bool,
}

impl<'a> Audience<'a> {
    /// People, as they want it.
    pub fn people(terminal: &'a Terminal) -> Self {
        Self { people: Some(People { terminal, are_onlookers: false }), programs: None, metrics: None }
    }

    /// People who have seen the plan, and want to know only what came of it.
    pub fn onlookers(terminal: &'a Terminal) -> Self {
        Self { people: Some(People { terminal, are_onlookers: true }), programs: None, metrics: None }
    }

    /// Programs.
    pub fn programs(json: Json) -> Self {
        Self { people: None, programs: Some(json), metrics: None }
    }

    /// And programs besides.
    #[must_use]
    pub fn and(self, programs: Option<Json>) -> Self {
        Self { programs, ..self }
    }

    /// And a file of metrics.
    #[must_use]
    pub fn counting(self, metrics: Option<&'a MetricsFile>) -> Self {
        Self { metrics, ..self }
    }

    /// The file of metrics.
    pub fn metrics(&self) -> Option<&'a MetricsFile> {
        self.metrics
    }

    /// Takes note of a plan that was made.
    pub fn planned(&self, planned: &Planned) {
        if let Some(metrics) = self.metrics {
            metrics.planned(planned);
        }
    }

    /// Takes note of what an apply came to of each replica.
    pub fn applied(&self, plan: &Plan, each: &BTreeMap<ServerName, Summary>) {
        if let Some(metrics) = self.metrics {
            metrics.applied(plan, each);
        }
    }

    /// Shows what will be done.
    pub fn plan(&self, plan: &Plan) {
        match &self.people {
            Some(People { terminal, are_onlookers: false }) if terminal.quiet => {
                above(|| stdout::print(&render::wrong(plan, terminal.style())));
            }
            Some(People { terminal, are_onlookers: false }) => above(|| plan::show(plan, terminal)),
            _ => {}
        }
        self.reviewed(plan);
    }

    /// Tells people what is to be known beside a plan, and is no part of it.
    pub fn note(&self, notes: &[String]) {
        if self.people.as_ref().is_some_and(|people| !people.terminal.quiet && !people.are_onlookers) {
            above(|| notes.iter().for_each(|note| terminal::tell(&format!("Note: {note}.\n"))));
        }
    }

    /// Tells people what is to be known of the rsync that receives.
    pub async fn warn_of_rsync(&self, site: &Site) {
        let Some(People { terminal, are_onlookers: false }) = &self.people else { return };
        terminal.warn_of_rsync(site).await;
    }

    /// Tells programs what will be done; people have seen it.
    pub fn reviewed(&self, plan: &Plan) {
        if let Some(json) = &self.programs {
            json.plan(plan);
        }
    }

    /// Says that a saved plan is empty.
    pub fn nothing_to_do(&self, plan: &Plan, file: &Path) {
        if self.people.as_ref().is_some_and(|people| !people.terminal.quiet) {
            stdout::print(&format!("Nothing to do: the plan {} has no actions.\n", file.display()));
        }
        self.reviewed(plan);
    }

    /// Says which replicas are left alone, as somebody said so. Programs read it in the plan.
    pub fn passed_over(&self, suspended: &BTreeMap<ServerName, Suspension>) {
        if self.people.as_ref().is_some_and(|people| !people.terminal.quiet) {
            for (replica, suspension) in suspended {
                stdout::print(&format!("{replica} is passed over: {}\n", render::suspended(suspension)));
            }
        }
    }

    /// Tells an error, and how the command ends because of it.
    pub fn error(&self, error: &Error) -> Exit {
        if let Some(metrics) = self.metrics {
            metrics.failed(error);
        }
        if let Some(json) = &self.programs {
            json.error(error);
        }
        match &self.people {
            Some(People { terminal, .. }) => above(|| terminal.error(error)),
            None => error.kind.exit(),
        }
    }

    /// Who follows the steps: bars on a terminal, else lines, and programs.
    pub fn listener(&self, plan: &Plan) -> Box<dyn Listener + '_> {
        let people: Box<dyn Listener> = match &self.people {
            Some(People { terminal, are_onlookers: false }) if !terminal.quiet => {
                if terminal::shows_progress() {
                    Box::new(Bars::of(plan))
                } else {
                    Box::new(Lines::new())
                }
            }
            _ => Box::new(Nobody),
        };
        let told: Box<dyn Listener> = match &self.programs {
            Some(json) => Box::new(Both(people, json)),
            None => people,
        };
        match self.metrics {
            Some(metrics) => Box::new(Both(told, metrics)),
            None => told,
        }
    }

    /// Tells what the actions came to.
    pub fn summary(&self, plan: &Plan, summary: &Summary, elapsed: Duration) {
        if let Some(metrics) = self.metrics {
            metrics.took(Stage::Apply, elapsed);
        }
        if self.people.is_some() {
            above(|| stdout::print(&render::applied(plan, summary, elapsed)));
        }
        if let Some(json) = &self.programs {
            json.done(summary);
        }
    }

    /// Tells how the command ends; programs get their last line.
    pub fn end(self, exit: Exit) {
        if let Some(json) = self.programs {
            json.end(exit);
        }
    }
}

/// Two that take note of the same events.
struct Both<'a>(Box<dyn Listener + 'a>, &'a dyn Listener);

impl Listener for Both<'_> {
    fn notice(&self, event: &Event) {
        self.0.notice(event);
        self.1.notice(event);
    }
}

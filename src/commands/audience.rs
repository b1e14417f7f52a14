//! To whom an apply speaks: to people on stdout and stderr, or to programs that read JSON.

use std::path::Path;
use std::time::Duration;

use crate::error::{Error, Exit};
use crate::events::{Listener, Nobody, Summary};
use crate::plan::Plan;
use crate::progress::{Bars, Json, Lines, above};
use crate::render;
use crate::stdout;

use super::plan;
use super::terminal::{self, Terminal};

/// Who is told of an apply.
pub enum Audience<'a> {
    /// People, as they want it.
    People(&'a Terminal),
    /// People who have seen the plan, and want to know only what came of it.
    Onlookers(&'a Terminal),
    /// Programs.
    Programs(Json),
}

impl Audience<'_> {
    /// Shows what will be done.
    pub fn plan(&self, plan: &Plan) {
        match self {
            Self::People(terminal) if terminal.quiet => above(|| stdout::print(&render::wrong(plan, terminal.style()))),
            Self::People(terminal) => above(|| plan::show(plan, terminal)),
            Self::Onlookers(_) => {}
            Self::Programs(json) => json.plan(plan),
        }
    }

    /// Tells programs what will be done; people have seen it.
    pub fn reviewed(&self, plan: &Plan) {
        if let Self::Programs(json) = self {
            json.plan(plan);
        }
    }

    /// Says that a saved plan is empty.
    pub fn nothing_to_do(&self, plan: &Plan, file: &Path) {
        match self {
            Self::People(terminal) if terminal.quiet => {}
            Self::People(_) | Self::Onlookers(_) => {
                stdout::print(&format!("Nothing to do: the plan {} has no actions.\n", file.display()));
            }
            Self::Programs(json) => json.plan(plan),
        }
    }

    /// Tells an error, and how the command ends because of it.
    pub fn error(&self, error: &Error) -> Exit {
        match self {
            Self::People(terminal) | Self::Onlookers(terminal) => above(|| terminal.error(error)),
            Self::Programs(json) => {
                json.error(error);
                error.kind.exit()
            }
        }
    }

    /// Who follows the steps: bars on a terminal, else lines.
    pub fn listener(&self, plan: &Plan) -> Box<dyn Listener + '_> {
        match self {
            Self::People(terminal) if terminal.quiet => Box::new(Nobody),
            Self::People(_) if terminal::shows_progress() => Box::new(Bars::of(plan)),
            Self::People(_) => Box::new(Lines::new()),
            Self::Onlookers(_) => Box::new(Nobody),
            Self::Programs(json) => Box::new(json),
        }
    }

    /// Tells what the actions came to.
    pub fn summary(&self, plan: &Plan, summary: &Summary, elapsed: Duration) {
        match self {
            Self::People(_) | Self::Onlookers(_) => {
                above(|| stdout::print(&render::applied(plan, summary, elapsed)));
            }
            Self::Programs(json) => json.done(summary),
        }
    }

    /// Tells how the command ends; programs get their last line.
    pub fn end(self, exit: Exit) {
        if let Self::Programs(json) = self {
            json.end(exit);
        }
    }
}

//! `antipode plan`: what would change at the site, and why.

use crate::cli::{self, Format, View};
use crate::error::{CommandError, Exit};
use crate::plan::Plan;
use crate::render::{self, Form, Whys};

use super::explain;
use super::interrupt::Interrupt;
use super::session::Session;
use super::source;
use super::terminal::{self, Terminal};

/// Runs the command.
pub async fn run(arguments: &cli::Plan, terminal: &Terminal, interrupt: &Interrupt) -> Result<Exit, CommandError> {
    let form = form(&arguments.view, terminal)?;
    let declared = source::declared(&arguments.site, terminal)?;
    let session = Session::open(&declared.site, &interrupt.token).await;
    let planned = session.planned(&(&arguments.scope).into()).await;
    let whys = match &planned {
        Ok(planned) if terminal.verbose > 0 => explain::whys(&declared, &session, planned),
        _ => Whys::default(),
    };
    let unresolved = session.unresolved.clone();
    session.close().await;
    let plan = planned?.plan;
    print(&plan, form, &whys, terminal);
    for error in &unresolved {
        terminal.error(error);
    }
    Ok(if plan.is_blocked() || !unresolved.is_empty() {
        Exit::Error
    } else if arguments.detailed_exitcode && !plan.is_empty() {
        Exit::Changes
    } else {
        Exit::Done
    })
}

/// Prints a plan for people; with `-q` only what is wrong with it and what it comes to.
pub fn show(plan: &Plan, terminal: &Terminal) {
    print(plan, Form::Human(terminal.style()), &Whys::default(), terminal);
}

fn print(plan: &Plan, form: Form, whys: &Whys, terminal: &Terminal) {
    let text = match form {
        Form::Human(style) if terminal.quiet => render::quiet(plan, style),
        form => render::plan(plan, form, whys),
    };
    terminal::print(&text);
}

/// The form that a plan is asked for in.
fn form(view: &View, terminal: &Terminal) -> Result<Form, CommandError> {
    match view.format {
        Format::Human => Ok(Form::Human(terminal.style())),
        Format::Markdown => Ok(Form::Markdown { max_chars: view.max_chars, verbose: terminal.verbose > 0 }),
        Format::Dot => Ok(Form::Dot),
        Format::Json => Err(CommandError::new("not built yet")),
    }
}

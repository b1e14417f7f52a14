//! `antipode plan`: what would change at the site, and why.

use crate::cli;
use crate::error::{CommandError, Exit};
use crate::plan::Plan;
use crate::render;

use super::interrupt::Interrupt;
use super::session::Session;
use super::terminal::{self, Terminal};
use super::{saved, source};

/// Runs the command.
pub async fn run(arguments: &cli::Plan, terminal: &Terminal, interrupt: &Interrupt) -> Result<Exit, CommandError> {
    let source = source::read(&arguments.site)?;
    let site = source.site(terminal)?;
    let session = Session::open(&site, &interrupt.token).await;
    let planned = session.plan_to_save(&(&arguments.scope).into(), source.identity()).await;
    let unresolved = session.unresolved.clone();
    session.close().await;
    let planned = planned?;
    terminal::print(&render::plan(&planned, &arguments.view, terminal.style())?);
    for error in &unresolved {
        terminal.error(error);
    }
    if let Some(file) = &arguments.output {
        saved::save(&planned, file, &arguments.site, terminal)?;
    }
    Ok(if planned.plan.is_blocked() || !unresolved.is_empty() {
        Exit::Error
    } else if arguments.detailed_exitcode && !planned.plan.is_empty() {
        Exit::Changes
    } else {
        Exit::Done
    })
}

/// Prints a plan for people.
pub fn show(plan: &Plan, terminal: &Terminal) {
    terminal::print(&render::human(plan, terminal.style()));
}

//! `antipode plan`: what would change at the site, and why.

use crate::cli;
use crate::error::{CommandError, Exit};
use crate::plan::Plan;
use crate::render;

use super::interrupt::Interrupt;
use super::session::Session;
use super::source;
use super::terminal::{self, Terminal};

/// Runs the command.
pub async fn run(arguments: &cli::Plan, terminal: &Terminal, interrupt: &Interrupt) -> Result<Exit, CommandError> {
    let site = source::load(&arguments.site, terminal)?;
    let session = Session::open(&site, &interrupt.token).await;
    let planned = session.plan_part(&(&arguments.scope).into()).await;
    let unresolved = session.unresolved.clone();
    session.close().await;
    let plan = planned?;
    show(&plan, terminal);
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
    let style = terminal.style();
    let text = if terminal.quiet { render::quiet(plan, style) } else { render::human(plan, style) };
    terminal::print(&text);
}

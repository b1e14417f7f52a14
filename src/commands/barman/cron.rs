//! `antipode cron`: one pass over every replica, for a crontab. What is as it should be is passed over in silence.

use std::time::Duration;

use crate::apply::events::FailureKind;
use crate::apply::{RunLock, RunLockError};
use crate::cli::SiteFile;
use crate::commands::apply::Bounds;
use crate::commands::audience::Audience;
use crate::commands::interrupt::Interrupt;
use crate::commands::session::Session;
use crate::commands::terminal::Terminal;
use crate::commands::{apply, plan, source};
use crate::error::{CommandError, Exit};
use crate::stdout;

/// Runs the command.
pub async fn run(arguments: &SiteFile, terminal: &Terminal, interrupt: &Interrupt) -> Result<Exit, CommandError> {
    let site = source::load(arguments, terminal)?;
    let run_lock = match RunLock::acquire(&site.catalog.path, Duration::ZERO).await {
        Ok(lock) => lock,
        Err(busy @ RunLockError::Busy { .. }) => {
            stdout::print(&format!("Another antipode is already running, skipping: {busy}\n"));
            return Ok(Exit::Done);
        }
        Err(error) => return Err(error.into()),
    };
    let session = Session::open(&site, &interrupt.token).await;
    let result = pass(&session, terminal).await;
    session.close().await;
    drop(run_lock);
    result
}

async fn pass(session: &Session<'_>, terminal: &Terminal) -> Result<Exit, CommandError> {
    let plan = session.plan().await?;
    for error in &session.unresolved {
        terminal.error(error);
    }
    let unplanned = plan.is_blocked() || !session.unresolved.is_empty();
    let otherwise = if unplanned { Exit::Error } else { Exit::Done };
    if plan.is_blocked() {
        plan::show(&plan, terminal);
    }
    if plan.is_empty() || session.cancel.is_cancelled() {
        return Ok(otherwise);
    }
    // A Barman that works on a server is done with it in a minute: the next pass finds it free.
    let summary =
        apply::carry_out(&plan, session, Bounds::of_patience(Duration::ZERO), &Audience::People(terminal)).await?;
    let (busy, failed): (Vec<_>, Vec<_>) =
        summary.failed.iter().partition(|(_, failure)| failure.kind == FailureKind::ServerBusy);
    for replica in plan.replicas.iter().filter(|replica| {
        busy.iter().any(|(address, _)| replica.actions.iter().any(|action| action.address == *address))
    }) {
        stdout::print(&format!(
            "Another cron process is already running on server {}. Skipping to the next server\n",
            replica.name
        ));
    }
    Ok(if failed.is_empty() { otherwise } else { Exit::PartFailed })
}

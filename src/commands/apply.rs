//! `antipode apply`: shows what would change, asks, and does it.

use std::io::IsTerminal;
use std::time::{Duration, Instant};

use crate::apply::events::{FailureKind, Observer, Summary};
use crate::apply::{self, Limits, Means, RunLock};
use crate::cli;
use crate::error::{CommandError, Exit};
use crate::plan::Plan;
use crate::progress::{Bars, Lines};
use crate::render;

use super::interrupt::Interrupt;
use super::session::Session;
use super::terminal::{self, Terminal};
use super::{plan, source};

/// Runs the command.
pub async fn run(arguments: &cli::Apply, terminal: &Terminal, interrupt: &Interrupt) -> Result<Exit, CommandError> {
    if !arguments.auto_approve && !std::io::stdin().is_terminal() {
        return Err(CommandError::new("nobody is there to approve the plan: standard input is not a terminal")
            .hint("review the output of `antipode plan`, then run `antipode apply --auto-approve`"));
    }
    let site = source::load(&arguments.site, terminal)?;
    let run_lock = tokio::select! {
        lock = RunLock::acquire(&site.catalog.path, arguments.lock_timeout) => lock?,
        () = interrupt.token.cancelled() => {
            return Err(CommandError::new("interrupted while another antipode was waited for; nothing was changed"));
        }
    };
    let session = Session::open(&site, &interrupt.token).await;
    let result = plan_and_apply(arguments, &session, terminal, interrupt).await;
    session.close().await;
    drop(run_lock);
    result
}

async fn plan_and_apply(
    arguments: &cli::Apply,
    session: &Session<'_>,
    terminal: &Terminal,
    interrupt: &Interrupt,
) -> Result<Exit, CommandError> {
    let plan = session.plan_part(&(&arguments.scope).into()).await?;
    plan::show(&plan, terminal);
    for error in &session.unresolved {
        terminal.error(error);
    }
    let unplanned = plan.is_blocked() || !session.unresolved.is_empty();
    let otherwise = if unplanned { Exit::Error } else { Exit::Done };
    if plan.is_empty() || interrupt.token.is_cancelled() {
        return Ok(otherwise);
    }
    if !arguments.auto_approve && !approved(interrupt).await {
        return Err(CommandError::new("apply cancelled, nothing was changed"));
    }
    let observer: Box<dyn Observer> =
        if terminal::shows_progress() { Box::new(Bars::new()) } else { Box::new(Lines::new()) };
    let summary = carry_out(&plan, session, bounds(arguments), observer.as_ref()).await?;
    Ok(exit(&summary).unwrap_or(otherwise))
}

/// Asks. Only `yes` is a yes.
async fn approved(interrupt: &Interrupt) -> bool {
    terminal::tell(
        "\nDo you want to perform these actions?\n  Antipode will do what is described above.\n  \
         Only 'yes' will be accepted to approve.\n\n  Enter a value: ",
    );
    let answer = tokio::task::spawn_blocking(|| {
        let mut line = String::new();
        std::io::stdin().read_line(&mut line).map(|_| line)
    });
    let answer = tokio::select! {
        answer = answer => answer,
        () = interrupt.token.cancelled() => return false,
    };
    terminal::tell("\n");
    matches!(answer, Ok(Ok(line)) if line.trim() == "yes")
}

/// How long an apply waits, and how much it does.
#[derive(Debug, Clone, Copy)]
pub struct Bounds {
    /// How long a busy lock is waited for.
    pub lock_timeout: Duration,
    /// How much is done at a time, and in all.
    pub limits: Limits,
}

fn bounds(arguments: &cli::Apply) -> Bounds {
    let limits = Limits { parallelism: arguments.parallelism, max_bytes: arguments.max_bytes };
    Bounds { lock_timeout: arguments.lock_timeout, limits }
}

/// Does what the plan says, and prints what it came to.
pub async fn carry_out(
    plan: &Plan,
    session: &Session<'_>,
    bounds: Bounds,
    observer: &dyn Observer,
) -> Result<Summary, CommandError> {
    let connections = session.open_connections();
    let means = Means {
        replicas: &session.replicas,
        primaries: &session.site.primaries,
        connections: &connections,
        lock_directory: session.lock_directory()?,
        lock_timeout: bounds.lock_timeout,
        limits: bounds.limits,
    };
    let begin = Instant::now();
    let summary = apply::apply(plan, &means, observer, session.cancel).await;
    terminal::print(&render::applied(plan, &summary, begin.elapsed()));
    Ok(summary)
}

/// How an apply that did not do everything ends.
fn exit(summary: &Summary) -> Option<Exit> {
    if summary.failed.iter().any(|(_, failure)| failure.kind == FailureKind::ServerBusy) {
        return Some(Exit::Locked);
    }
    (!summary.failed.is_empty()).then_some(Exit::PartFailed)
}

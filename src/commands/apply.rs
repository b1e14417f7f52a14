//! `antipode apply`: shows what would change, asks, and does it. What a saved plan says is done without asking.

use std::collections::BTreeSet;
use std::io::IsTerminal;
use std::path::Path;
use std::time::{Duration, Instant};

use jiff::Timestamp;

use crate::apply::events::{FailureKind, Observer, Summary};
use crate::apply::journal::{self, Measurements};
use crate::apply::{self, Means, RunLock};
use crate::barman::ids::ServerName;
use crate::cli;
use crate::error::{CommandError, Exit};
use crate::observe::Purpose;
use crate::plan::Plan;
use crate::plan::file::SavedPlan;
use crate::plan::stale::{self, Present};
use crate::progress::{Bars, Lines};
use crate::render;
use crate::site::Site;

use super::interrupt::Interrupt;
use super::session::Session;
use super::terminal::{self, Terminal};
use super::{plan, saved, source};

/// Runs the command.
pub async fn run(arguments: &cli::Apply, terminal: &Terminal, interrupt: &Interrupt) -> Result<Exit, CommandError> {
    if let Some(file) = &arguments.plan {
        return run_saved(file, arguments, terminal, interrupt).await;
    }
    if !arguments.auto_approve && !std::io::stdin().is_terminal() {
        return Err(CommandError::new("nobody is there to approve the plan: standard input is not a terminal").hint(
            "save a plan with `antipode plan -o FILE`, review it and run `antipode apply FILE`, \
             or run `antipode apply --auto-approve`",
        ));
    }
    let site = source::load(&arguments.site, terminal)?;
    let run_lock = lock(&site, arguments.lock_timeout, interrupt).await?;
    let session = Session::open(&site, &interrupt.token).await;
    let result = plan_and_apply(arguments, &session, terminal, interrupt).await;
    session.close().await;
    drop(run_lock);
    result
}

/// Does exactly what a saved plan says.
async fn run_saved(
    file: &Path,
    arguments: &cli::Apply,
    terminal: &Terminal,
    interrupt: &Interrupt,
) -> Result<Exit, CommandError> {
    let saved = saved::read(file)?;
    let site = source::load(&saved::site_file(&saved, &arguments.site), terminal)?;
    stale::check_site(&saved, &site).map_err(|refusal| saved::refused(file, &refusal))?;
    let otherwise = if saved.plan.is_blocked() { Exit::Error } else { Exit::Done };
    if saved.plan.is_empty() {
        terminal::print(&format!("Nothing to do: the plan {} has no actions.\n", file.display()));
        saved::tell_unplanned(&saved, file, terminal);
        return Ok(otherwise);
    }
    let run_lock = lock(&site, arguments.lock_timeout, interrupt).await?;
    let session = Session::open(&site, &interrupt.token).await;
    let result = check_and_apply(&saved, file, arguments, &session).await;
    session.close().await;
    drop(run_lock);
    let summary = result?;
    saved::tell_unplanned(&saved, file, terminal);
    Ok(exit(&summary).unwrap_or(otherwise))
}

/// Takes the run's own lock.
async fn lock(site: &Site, timeout: Duration, interrupt: &Interrupt) -> Result<RunLock, CommandError> {
    tokio::select! {
        lock = RunLock::acquire(&site.catalog.path, timeout) => Ok(lock?),
        () = interrupt.token.cancelled() => {
            Err(CommandError::new("interrupted while another antipode was waited for; nothing was changed"))
        }
    }
}

/// Carries out a saved plan if everything that it relies on is as it was.
async fn check_and_apply(
    saved: &SavedPlan,
    file: &Path,
    arguments: &cli::Apply,
    session: &Session<'_>,
) -> Result<Summary, CommandError> {
    let changed: BTreeSet<&ServerName> =
        saved.plan.replicas.iter().filter(|replica| !replica.actions.is_empty()).map(|replica| &replica.name).collect();
    let is_resolved = |name: &&ServerName| session.replicas.iter().any(|replica| replica.name == **name);
    if let Some(error) = session.unresolved.first().filter(|_| !changed.iter().all(is_resolved)) {
        // A mirror whose primary does not answer is not a changed desired state.
        return Err(error.clone());
    }
    let now = Timestamp::now();
    let concerned = session.replicas.iter().filter(|replica| changed.contains(&replica.name));
    let observation = session.observe(concerned, Purpose::Plan, now).await?;
    let (site, replicas) = (session.site, session.replicas.as_slice());
    let present = Present { site, replicas, observation: &observation, now };
    stale::check(saved, &present).map_err(|refusal| saved::refused(file, &refusal))?;
    carry_out(&saved.plan, session, arguments.lock_timeout, progress().as_ref()).await
}

/// How progress is told: bars on a terminal, else lines.
fn progress() -> Box<dyn Observer> {
    if terminal::shows_progress() { Box::new(Bars::new()) } else { Box::new(Lines::new()) }
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
    if interrupt.token.is_cancelled() {
        return Ok(otherwise);
    }
    if plan.is_empty() {
        journal::note(&plan, &Summary::default(), &Measurements::new(), Timestamp::now());
        return Ok(otherwise);
    }
    if !arguments.auto_approve && !approved(interrupt).await {
        return Err(CommandError::new("apply cancelled, nothing was changed"));
    }
    let summary = carry_out(&plan, session, arguments.lock_timeout, progress().as_ref()).await?;
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

/// Does what the plan says, and prints what it came to.
pub async fn carry_out(
    plan: &Plan,
    session: &Session<'_>,
    lock_timeout: Duration,
    observer: &dyn Observer,
) -> Result<Summary, CommandError> {
    let connections = session.open_connections();
    let means = Means {
        replicas: &session.replicas,
        primaries: &session.site.primaries,
        connections: &connections,
        lock_directory: session.lock_directory()?,
        lock_timeout,
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

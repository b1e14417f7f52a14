//! `antipode apply`: shows what would change, asks, and does it. What a saved plan says is done without asking.

mod saved;

use std::io::IsTerminal;
use std::time::Instant;

use crate::apply::{Limits, RunLocks};
use crate::cli;
use crate::cycle::{Bounds, Session};
use crate::error::{Error, Exit, Kind};
use crate::events::Summary;
use crate::plan::Plan;
use crate::plan::scope::{Pattern, Scope};
use crate::progress::Json;
use crate::stdout;

use super::audience::Audience;
use super::interrupt::Interrupt;
use super::source;
use super::terminal::{self, Terminal};

/// Runs the command.
pub async fn run(arguments: &cli::Apply, terminal: &Terminal, interrupt: &Interrupt) -> Result<Exit, Error> {
    if !arguments.json {
        let terminal = if arguments.auto_approve || arguments.plan.is_some() { *terminal } else { terminal.aloud() };
        return run_for(&Audience::People(&terminal), arguments, &terminal, interrupt).await;
    }
    let audience = Audience::Programs(Json::new());
    let ended = run_for(&audience, arguments, terminal, interrupt).await;
    let exit = ended.unwrap_or_else(|error| audience.error(&error));
    // Whatever it was that an interruption broke off, the interruption is what happened.
    let exit = interrupt.exit().unwrap_or(exit);
    audience.end(exit);
    Ok(exit)
}

async fn run_for(
    audience: &Audience<'_>,
    arguments: &cli::Apply,
    terminal: &Terminal,
    interrupt: &Interrupt,
) -> Result<Exit, Error> {
    if let Some(file) = &arguments.plan {
        return saved::run(file, audience, arguments, terminal, interrupt).await;
    }
    if arguments.json && !arguments.auto_approve {
        return Err(Error::new(Kind::Invalid, "`--json` prints no question to answer")
            .hint("add `--auto-approve`, or name a plan that `antipode plan -o FILE` saved"));
    }
    if !arguments.auto_approve && !std::io::stdin().is_terminal() {
        return Err(Error::new(Kind::Refused, "nobody is there to approve the plan: standard input is not a terminal")
            .hint(
                "save a plan with `antipode plan -o FILE`, review it and run `antipode apply FILE`, \
             or run `antipode apply --auto-approve`",
            ));
    }
    let site = source::load(&arguments.site, terminal)?;
    let locks = RunLocks::of(&site.catalog.path)?;
    let mut session = Session::open(&site, &interrupt.token, terminal::told()).await;
    session.refresh = arguments.scope.refresh;
    let result = lock_and_apply(audience, arguments, &mut session, &locks, interrupt).await;
    session.close().await;
    result
}

/// Applies what no other run is at work on.
async fn lock_and_apply(
    audience: &Audience<'_>,
    arguments: &cli::Apply,
    session: &mut Session,
    locks: &RunLocks,
    interrupt: &Interrupt,
) -> Result<Exit, Error> {
    session.accept(&arguments.consent.accepted)?;
    let scope: Scope = (&arguments.scope).into();
    scope.check_names(&session.replicas)?;
    let is_anything_free = session.lock(locks, |name| scope.concerns(name), arguments.lock_timeout).await?;
    for busy in session.busy.values() {
        audience.error(busy);
    }
    if !is_anything_free {
        return Ok(Exit::Locked);
    }
    let exit = plan_and_apply(audience, arguments, &scope, session, interrupt).await?;
    Ok(if session.busy.is_empty() { exit } else { with_busy(exit) })
}

async fn plan_and_apply(
    audience: &Audience<'_>,
    arguments: &cli::Apply,
    scope: &Scope,
    session: &mut Session,
    interrupt: &Interrupt,
) -> Result<Exit, Error> {
    let plan = session.plan_part(scope).await?;
    let is_planned = |accepted: &&Pattern| !session.busy.contains_key(&accepted.replica);
    let accepted: Vec<Pattern> = arguments.consent.accepted.iter().filter(is_planned).cloned().collect();
    plan.check_accepted(&accepted)?;
    audience.plan(&plan);
    for error in &session.unresolved {
        audience.error(error);
    }
    let unplanned = plan.is_blocked() || !session.unresolved.is_empty();
    let otherwise = if unplanned { Exit::Error } else { Exit::Done };
    if interrupt.token.is_cancelled() {
        return Ok(otherwise);
    }
    if plan.is_empty() {
        session.idle(&plan).await?;
        return Ok(otherwise);
    }
    if !arguments.auto_approve && !stdout::is_whole() {
        return Err(Error::new(
            Kind::Refused,
            "the plan could not be shown, so nobody can approve it; nothing was changed",
        ));
    }
    if !arguments.auto_approve && !approved(interrupt).await {
        return Err(Error::new(Kind::Refused, "apply cancelled, nothing was changed"));
    }
    let summary = carry_out(&plan, session, bounds(arguments), audience).await?;
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

fn bounds(arguments: &cli::Apply) -> Bounds {
    let limits = Limits { parallelism: arguments.parallelism, max_bytes: arguments.max_bytes };
    Bounds { lock_timeout: arguments.lock_timeout, limits }
}

/// Does what the plan says, and tells what it came to.
pub async fn carry_out(
    plan: &Plan,
    session: &mut Session,
    bounds: Bounds,
    audience: &Audience<'_>,
) -> Result<Summary, Error> {
    let begin = Instant::now();
    let summary = session.apply(plan, bounds, &*audience.listener()).await?;
    audience.summary(plan, &summary, begin.elapsed());
    Ok(summary)
}

/// How an apply that did not do everything ends. Whoever reads that something is locked tries again later; what failed for
/// another reason needs a person, who would never be called.
fn exit(summary: &Summary) -> Option<Exit> {
    let is_locked = |failure: &Error| failure.kind == Kind::Locked;
    match summary.failed.as_slice() {
        [] => None,
        failed if failed.iter().all(|(_, failure)| is_locked(failure)) => Some(Exit::Locked),
        _ => Some(Exit::PartFailed),
    }
}

/// How an apply ends that passed over replicas, as other runs are at work on them, and so ended for the rest. What went
/// wrong with that is not hidden behind what passes by itself.
pub fn with_busy(rest: Exit) -> Exit {
    match rest {
        Exit::Done => Exit::Locked,
        rest => rest,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::all_kinds;

    #[test]
    fn a_failure_of_any_kind_reaches_the_exit_code() {
        for kind in all_kinds() {
            let failed = ("main/backup/20261122T092435".parse().unwrap(), Error::new(kind, "no"));
            let summary = Summary { failed: vec![failed], ..Summary::default() };
            let expected = if kind == Kind::Locked { Exit::Locked } else { Exit::PartFailed };
            assert_eq!(exit(&summary), Some(expected), "{kind:?}");
        }
        assert_eq!(exit(&Summary::default()), None);
    }

    #[test]
    fn a_failure_is_not_hidden_by_what_is_locked() {
        let failed = |kind| ("main/backup/20261122T092435".parse().unwrap(), Error::new(kind, "no"));
        let of = |kinds: &[Kind]| Summary { failed: kinds.iter().copied().map(failed).collect(), ..Summary::default() };
        for (kinds, expected) in [
            (&[Kind::Locked, Kind::Locked][..], Exit::Locked),
            (&[Kind::Locked, Kind::NoSpace], Exit::PartFailed),
            (&[Kind::NoSpace, Kind::Locked], Exit::PartFailed),
        ] {
            assert_eq!(exit(&of(kinds)), Some(expected), "{kinds:?}");
        }
        for (rest, expected) in [
            (Exit::Done, Exit::Locked),
            (Exit::Locked, Exit::Locked),
            (Exit::PartFailed, Exit::PartFailed),
            (Exit::Error, Exit::Error),
            (Exit::Interrupted, Exit::Interrupted),
        ] {
            assert_eq!(with_busy(rest), expected, "{rest:?}");
        }
    }
}

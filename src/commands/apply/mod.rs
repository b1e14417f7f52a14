//! `antipode apply`: shows what would change, asks, and does it. What a saved plan says is done without asking.

mod events_file;
mod saved;

use std::collections::BTreeMap;
use std::io::IsTerminal;
use std::time::{Duration, Instant};

use futures::stream::{FuturesUnordered, StreamExt};

use crate::apply::Limits;
use crate::barman::ids::ServerName;
use crate::cli;
use crate::cycle::{Round, Session};
use crate::error::{Error, Exit, Kind};
use crate::events::Summary;
use crate::observe::catalog::Depth;
use crate::plan::Plan;
use crate::plan::scope::{Pattern, Scope};
use crate::progress::Json;
use crate::render;
use crate::schedule::Suspension;
use crate::stdout;
use crate::store::home;

use super::audience::Audience;
use super::interrupt::Interrupt;
use super::metrics_file::MetricsFile;
use super::record::Recorder;
use super::terminal::{self, Terminal};
use super::{scope, source, status};
use events_file::EventsFile;

/// Runs the command.
pub async fn run(arguments: &cli::Apply, terminal: &Terminal, interrupt: &Interrupt) -> Result<Exit, Error> {
    let is_shown = arguments.auto_approve || arguments.plan.is_some();
    let terminal = if is_shown || arguments.json { *terminal } else { terminal.aloud() };
    let file = arguments.json_into.as_deref().map(EventsFile::create).transpose()?;
    let metrics = arguments.metrics.as_deref().map(|path| MetricsFile::begin(path, "apply"));
    let audience = match &file {
        _ if arguments.json => Audience::programs(Json::on_stdout()),
        file => Audience::people(&terminal).and(file.as_ref().map(EventsFile::json)),
    };
    let audience = audience.counting(metrics.as_ref());
    let ended = run_for(&audience, arguments, &terminal, interrupt).await;
    let exit = ended.unwrap_or_else(|error| audience.error(&error));
    // Whatever it was that an interruption broke off, the interruption is what happened.
    let exit = interrupt.exit().unwrap_or(exit);
    let exit = match metrics.as_ref().map(|metrics| metrics.write(exit)) {
        Some(Err(unwritten)) => worse(exit, audience.error(&unwritten)),
        Some(Ok(())) | None => exit,
    };
    audience.end(exit);
    match file.and_then(|file| file.failure()) {
        Some(unwritten) => Ok(worse(exit, terminal.error(&unwritten))),
        None => Ok(exit),
    }
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
    let declared = source::declared(&arguments.site, terminal)?;
    if let Some(metrics) = audience.metrics() {
        metrics.is_of(&declared.site);
    }
    let scope = scope::asked_for(&arguments.scope)?;
    let recorder = &Recorder::of("apply", &declared, terminal);
    let mut session = Session::open(&declared.site, &interrupt.token, terminal::told()).await;
    session.refresh = arguments.scope.refresh;
    session.limit(limits(arguments));
    let result = match session.accept(&arguments.consent.accepted) {
        Ok(()) => Applying { audience, arguments, scope: &scope, session: &session, interrupt, recorder }.run().await,
        Err(error) => Err(error),
    };
    let looked = look(audience, &mut session).await;
    session.close().await;
    recorder.finish(&interrupt.token).await;
    both(result, looked, audience)
}

/// Looks at the site once more for a file of metrics: what a plan expected of an apply is no proof.
pub async fn look(audience: &Audience<'_>, session: &mut Session) -> Result<(), Error> {
    let Some(metrics) = audience.metrics() else { return Ok(()) };
    metrics.is_of(&session.site);
    if !session.cancel.is_cancelled() {
        let stand = status::stand(session, &[], Depth::Changed).await?;
        metrics.stands(stand, &session.unresolved);
    }
    Ok(())
}

/// How a run ends that ended so, and after which the site was looked at.
pub fn both(ended: Result<Exit, Error>, looked: Result<(), Error>, audience: &Audience<'_>) -> Result<Exit, Error> {
    match (ended, looked) {
        (ended, Ok(())) => ended,
        (Ok(exit), Err(unseen)) => Ok(worse(exit, audience.error(&unseen))),
        (Err(error), Err(unseen)) => {
            audience.error(&unseen);
            Err(error)
        }
    }
}

/// Nobody can be asked.
fn nobody() -> Error {
    Error::new(Kind::Refused, "nobody is there to approve the plan: standard input is not a terminal").hint(
        "save a plan with `antipode plan -o FILE`, review it and run `antipode apply FILE`, \
         or run `antipode apply --auto-approve`",
    )
}

/// An apply of what the site file says.
#[derive(Clone, Copy)]
struct Applying<'a> {
    audience: &'a Audience<'a>,
    arguments: &'a cli::Apply,
    scope: &'a Scope,
    session: &'a Session,
    interrupt: &'a Interrupt,
    recorder: &'a Recorder,
}

impl Applying<'_> {
    /// Applies what no other run is at work on; and, as soon as that run has ended, what one was.
    async fn run(self) -> Result<Exit, Error> {
        let scope = self.scope;
        scope.check_names(&self.session.replicas)?;
        if !self.arguments.auto_approve && !std::io::stdin().is_terminal() {
            return Err(nobody());
        }
        home::prepare(&self.session.site.catalog.path)?;
        let mut locking = self.session.lock(|name| scope.concerns(name), self.arguments.lock_timeout)?;
        self.audience.passed_over(&locking.suspended);
        if !self.arguments.auto_approve {
            // Whoever approves is shown one plan, and asked once.
            return self.round(locking.all().await?, true).await;
        }
        let (mut rounds, mut is_waiting, mut is_first, mut worst) = (FuturesUnordered::new(), true, true, Exit::Done);
        loop {
            let ended = tokio::select! {
                round = locking.next(), if is_waiting => match round {
                    Ok(Some(round)) => {
                        let is_planned = !round.is_empty();
                        rounds.push(self.round(round, is_first));
                        is_first &= !is_planned;
                        continue;
                    }
                    Ok(None) => {
                        is_waiting = false;
                        continue;
                    }
                    Err(error) => {
                        is_waiting = false;
                        Err(error)
                    }
                },
                Some(ended) = rounds.next() => ended,
                else => return Ok(worst),
            };
            worst = worse(worst, ended.unwrap_or_else(|error| self.audience.error(&error)));
        }
    }

    /// Plans and applies a round; the first one tells what is wrong with the site as a whole.
    async fn round(self, round: Round, is_first: bool) -> Result<Exit, Error> {
        for busy in round.busy.values() {
            self.audience.error(busy);
        }
        let passed_over = if round.busy.is_empty() { Exit::Done } else { Exit::Locked };
        if round.is_empty() {
            return Ok(passed_over);
        }
        Ok(worse(passed_over, self.plan_and_apply(round, is_first).await?))
    }

    async fn plan_and_apply(self, round: Round, is_first: bool) -> Result<Exit, Error> {
        let Self { audience, arguments, scope, session, interrupt, recorder } = self;
        let planned = session.plan_round(scope, &round).await?;
        audience.planned(&planned);
        let windows = render::windows(&session.site, &planned.plan, planned.now);
        let mut plan = planned.plan;
        let is_planned = |accepted: &&Pattern| round.has(&accepted.replica);
        let accepted: Vec<Pattern> = arguments.consent.accepted.iter().filter(is_planned).cloned().collect();
        plan.check_accepted(&accepted)?;
        let unresolved = if is_first { session.unresolved.as_slice() } else { &[] };
        if !is_first {
            plan.vanished.clear();
            plan.detached.clear();
        }
        audience.plan(&plan);
        audience.note(&windows);
        for error in unresolved {
            audience.error(error);
        }
        if is_first {
            audience.warn_of_rsync(&session.site).await;
        }
        let otherwise = if plan.is_blocked() || !unresolved.is_empty() { Exit::Error } else { Exit::Done };
        if interrupt.token.is_cancelled() {
            return Ok(otherwise);
        }
        if plan.is_empty() {
            audience.applied(&plan, &rest(&plan, session, round, recorder).await?);
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
        let summary = carry_out(&plan, session, round, arguments.lock_timeout, audience, recorder).await?;
        Ok(exit(&summary).unwrap_or(otherwise))
    }
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

fn limits(arguments: &cli::Apply) -> Limits {
    Limits { parallelism: arguments.parallelism, max_bytes: arguments.max_bytes }
}

/// Does what the plan of a round says, records it, and tells what it came to.
pub async fn carry_out(
    plan: &Plan,
    session: &Session,
    round: Round,
    lock_timeout: Duration,
    audience: &Audience<'_>,
    recorder: &Recorder,
) -> Result<Summary, Error> {
    let recording = recorder.begin(plan).await;
    let begin = Instant::now();
    let applied = session.apply(plan, round, lock_timeout, &*audience.listener(plan), None).await;
    let (applied, broken) = applied.map_or_else(|error| (BTreeMap::new(), Some(error)), |applied| (applied, None));
    let elapsed = begin.elapsed();
    let errors: Vec<Error> = session.unresolved.iter().cloned().chain(broken.clone()).collect();
    audience.applied(plan, &applied);
    recording.end(plan, &applied, &errors).await;
    if let Some(error) = broken {
        return Err(error);
    }
    let summary = applied.into_values().fold(Summary::default(), Summary::and);
    audience.summary(plan, &summary, elapsed);
    Ok(summary)
}

/// Does what there is to do of a plan that has nothing to do, and records it where that is news; what it came to of each
/// replica.
pub async fn rest(
    plan: &Plan,
    session: &Session,
    round: Round,
    recorder: &Recorder,
) -> Result<BTreeMap<ServerName, Summary>, Error> {
    let recording = recorder.begin(plan).await;
    let each = session.idle(plan, round).await?;
    recording.end(plan, &BTreeMap::new(), &session.unresolved).await;
    Ok(each)
}

/// What a person named is not passed over in silence.
pub fn refuse_suspended(suspended: &BTreeMap<ServerName, Suspension>) -> Result<(), Error> {
    let Some((replica, suspension)) = suspended.first_key_value() else { return Ok(()) };
    let message = format!("{replica} is {}; nothing was changed", render::suspended(suspension));
    Err(Error::new(Kind::Refused, message).hint(format!("`antipode resume {replica}` ends that")))
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

/// How an apply ends of which parts ended like these. What a person is needed for is not hidden behind what passes by
/// itself, and what was begun and failed not behind what was not begun.
pub fn worse(one: Exit, other: Exit) -> Exit {
    let weight = |exit| match exit {
        Exit::Done => 0,
        Exit::Locked => 1,
        Exit::Error | Exit::Changes | Exit::Misused | Exit::ObjectiveMissed | Exit::Disproved => 2,
        Exit::PartFailed | Exit::StopsRecovery => 3,
        Exit::Interrupted | Exit::Terminated => 4,
    };
    if weight(other) > weight(one) { other } else { one }
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
            assert_eq!((worse(Exit::Locked, rest), worse(rest, Exit::Locked)), (expected, expected), "{rest:?}");
        }
        assert_eq!(worse(Exit::Error, Exit::PartFailed), Exit::PartFailed);
        assert_eq!(worse(Exit::Done, Exit::Done), Exit::Done);
    }
}

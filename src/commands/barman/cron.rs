//! `antipode cron`: one pass over every replica, for a crontab. What is as it should be is passed over in silence.

use std::time::Duration;

use jiff::Timestamp;

use crate::apply::ongoing;
use crate::barman::ids::ServerName;
use crate::cli::Cron;
use crate::commands::audience::Audience;
use crate::commands::interrupt::Interrupt;
use crate::commands::metrics_file::MetricsFile;
use crate::commands::record::Recorder;
use crate::commands::terminal::{self, Terminal};
use crate::commands::{apply, drill, plan, source};
use crate::cycle::{Round, Session};
use crate::error::{Error, Exit, Kind};
use crate::observe::SiteConf;
use crate::plan::scope::Scope;
use crate::render;
use crate::stdout;
use crate::store::home;

/// Runs the command.
pub async fn run(arguments: &Cron, terminal: &Terminal, interrupt: &Interrupt) -> Result<Exit, Error> {
    let metrics = arguments.metrics.as_deref().map(|path| MetricsFile::begin(path, "cron"));
    let audience = Audience::people(terminal).counting(metrics.as_ref());
    let ended = run_for(&audience, arguments, terminal, interrupt).await;
    match &metrics {
        Some(metrics) => metrics.end(ended, interrupt.exit(), |error| terminal.error(error)),
        None => ended,
    }
}

async fn run_for(
    audience: &Audience<'_>,
    arguments: &Cron,
    terminal: &Terminal,
    interrupt: &Interrupt,
) -> Result<Exit, Error> {
    let declared = source::declared(&arguments.site, terminal)?;
    if let Some(metrics) = audience.metrics() {
        metrics.is_of(&declared.site);
    }
    home::prepare(&declared.site.catalog.path)?;
    drill::remove_leftovers(&declared.site, terminal);
    let recorder = Recorder::of("cron", &declared, terminal);
    let mut session = Session::open(&declared.site, &interrupt.token, terminal::told()).await;
    let result = lock_and_pass(&session, audience, terminal, &recorder).await;
    let looked = apply::look(audience, &mut session).await;
    session.close().await;
    recorder.finish(&interrupt.token).await;
    apply::both(result, looked, audience)
}

async fn lock_and_pass(
    session: &Session,
    audience: &Audience<'_>,
    terminal: &Terminal,
    recorder: &Recorder,
) -> Result<Exit, Error> {
    let round = session.lock(|_| true, Duration::ZERO)?.all().await?;
    let barman = session.site_conf()?;
    let busy = round.busy.iter().map(|(server, busy)| skip(&barman, server, busy, terminal));
    let hanging = busy.fold(false, |hanging, hangs| hanging | hangs);
    let passed_over = if hanging { Exit::Locked } else { Exit::Done };
    let exit = if round.is_empty() { Exit::Done } else { pass(session, round, audience, terminal, recorder).await? };
    Ok(apply::worse(passed_over, exit))
}

/// Leaves a server to the run that is at work on it, as Barman's cron does; whether that run hangs. One that does is an
/// error: without it nobody would know that nothing is copied any more.
fn skip(barman: &SiteConf, server: &ServerName, busy: &Error, terminal: &Terminal) -> bool {
    let now = Timestamp::now();
    let run = barman.store(server).ok().and_then(|store| ongoing(store.as_ref()).ok()?);
    let who = run.as_ref().map_or_else(|| busy.to_string(), |run| render::ongoing(run, now));
    let skipping = format!("Another antipode is already running, skipping {server}: {who}");
    if let Some(run) = run.filter(|run| run.hangs(now)) {
        terminal.error(&Error::new(Kind::Locked, skipping).hint(render::advice_on_ongoing(&run)));
        return true;
    }
    stdout::print(&format!("{skipping}\n"));
    false
}

async fn pass(
    session: &Session,
    round: Round,
    audience: &Audience<'_>,
    terminal: &Terminal,
    recorder: &Recorder,
) -> Result<Exit, Error> {
    let planned = session.plan_round(&Scope::default(), &round).await?;
    audience.planned(&planned);
    let plan = planned.plan;
    for error in &session.unresolved {
        audience.error(error);
    }
    let unplanned = plan.is_blocked() || !session.unresolved.is_empty();
    let otherwise = if unplanned { Exit::Error } else { Exit::Done };
    if plan.is_blocked() {
        plan::show(&plan, terminal);
    }
    if session.cancel.is_cancelled() {
        return Ok(otherwise);
    }
    if plan.is_empty() {
        audience.applied(&plan, &apply::rest(&plan, session, round, recorder).await?);
        return Ok(otherwise);
    }
    // A Barman that works on a server is done with it in a minute: the next pass finds it free.
    let summary = apply::carry_out(&plan, session, round, Duration::ZERO, audience, recorder).await?;
    let (busy, failed): (Vec<_>, Vec<_>) = summary.failed.iter().partition(|(_, failure)| failure.kind == Kind::Locked);
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

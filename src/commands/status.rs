//! `antipode status`: how each replica stands, and whether its objective is kept. Nothing is changed.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use jiff::Timestamp;

use crate::apply;
use crate::barman::ids::{BackupId, ServerName};
use crate::cli::{self, TextOrJson};
use crate::cycle::{self, Session};
use crate::error::{Error, Exit};
use crate::observe::Purpose;
use crate::observe::catalog::Depth;
use crate::observe::inventory::Observation;
use crate::plan::scope::leave::Leave;
use crate::plan::status::vanished::Unclaimed;
use crate::plan::status::{Keeper, SiteStatus, Verdict, status};
use crate::plan::{self, Plan};
use crate::render;
use crate::render::status::Told;
use crate::render::status_json::status_json;
use crate::site::model::{Primary, Replica};
use crate::stdout;
use crate::store::home;

use super::interrupt::Interrupt;
use super::metrics_file::MetricsFile;
use super::source;
use super::terminal::{self, Terminal};

/// Runs the command.
pub async fn run(arguments: &cli::Status, terminal: &Terminal, interrupt: &Interrupt) -> Result<Exit, Error> {
    if let Some(every) = arguments.watch {
        return super::watch::run(arguments, every, terminal, interrupt).await;
    }
    let metrics = arguments.metrics.as_deref().map(|path| MetricsFile::begin(path, "status"));
    let told = tell_for(arguments, terminal, interrupt, metrics.as_ref()).await;
    match metrics {
        Some(metrics) => metrics.end(told, interrupt.exit(), |error| terminal.error(error)),
        None => told,
    }
}

async fn tell_for(
    arguments: &cli::Status,
    terminal: &Terminal,
    interrupt: &Interrupt,
    metrics: Option<&MetricsFile>,
) -> Result<Exit, Error> {
    let site = source::load(&arguments.site, terminal)?.only(&arguments.replicas);
    let shown = *terminal;
    let waits = move |primary: &Primary| waits_for(primary, &shown);
    let mut session = Session::open_telling(&site, &interrupt.token, terminal::told(), waits).await;
    let told = tell(arguments, &mut session, terminal, metrics).await;
    session.close().await;
    told
}

async fn tell(
    arguments: &cli::Status,
    session: &mut Session,
    terminal: &Terminal,
    metrics: Option<&MetricsFile>,
) -> Result<Exit, Error> {
    if let Some(metrics) = metrics {
        metrics.is_of(&session.site);
    }
    let stand = stand(session, &arguments.replicas, depth(arguments.depth, Depth::Everything)).await?;
    let told = Told { status: &stand.status, plan: &stand.plan, now: stand.now, quiet: terminal.quiet };
    match arguments.format {
        TextOrJson::Text => {
            let style = terminal.style();
            stdout::print(&render::status::status(told, style));
            for error in &session.unresolved {
                terminal.error(error);
            }
        }
        TextOrJson::Json => stdout::print(&status_json(told, &session.unresolved)),
    }
    let exit = exit(&stand.status, !session.unresolved.is_empty());
    if let Some(metrics) = metrics {
        metrics.stands(stand, &session.unresolved);
    }
    Ok(exit)
}

/// How closely it is looked, where nothing else is asked for.
pub(super) fn depth(asked: Option<cli::Depth>, otherwise: Depth) -> Depth {
    match asked {
        Some(cli::Depth::Lists) => Depth::Lists,
        Some(cli::Depth::Changed) => Depth::Changed,
        Some(cli::Depth::Everything) => Depth::Everything,
        None => otherwise,
    }
}

/// How a site stood when it was looked at.
pub struct Stand {
    /// How each replica stands.
    pub status: SiteStatus,
    /// The plan that this was told from.
    pub plan: Plan,
    /// The backups of each replica here, with the times that they ended.
    pub backups: BTreeMap<ServerName, Vec<(BackupId, Option<Timestamp>)>>,
    /// When.
    pub now: Timestamp,
    /// How long both ends were looked at.
    pub observing: Duration,
}

/// Looks at the replicas that are named, at all when none is.
pub async fn stand(session: &mut Session, named: &[String], depth: Depth) -> Result<Stand, Error> {
    session.mirror_what_is_here()?;
    let Unclaimed { vanished, detached } = if named.is_empty() { session.unclaimed()? } else { Unclaimed::default() };
    narrow(&mut session.replicas, named)?;
    let (now, begin) = (Timestamp::now(), Instant::now());
    let observation = session.observe(&session.replicas, Purpose::Status { depth }, now).await?;
    let observing = begin.elapsed();
    let mut plan = plan::plan(&session.site, &session.replicas, &observation, now);
    (plan.vanished, plan.detached) = (vanished, detached);
    let mut status = status(&plan, &session.replicas, &observation, now);
    let barman = session.site_conf()?;
    for replica in &mut status.replicas {
        // Who may not read the lock is not told of who holds it.
        replica.ongoing = barman.store(&replica.name).ok().and_then(|store| apply::ongoing(store.as_ref()).ok()?);
    }
    if let Some(holder) = home::keeper(&session.site.catalog.path) {
        let (pid, command) = holder.map_or((None, None), |holder| (Some(holder.pid), holder.command));
        status.keeper = Some(Keeper { pid, command });
        leave_to_person(&mut status, &plan, &session.replicas, &observation, now);
    }
    let backups = observation.replicas.iter().map(|(name, seen)| (name.clone(), seen.replica.ends())).collect();
    Ok(Stand { status, plan, backups, now, observing })
}

/// Notes of each replica what is left to a person where the site is kept by itself.
fn leave_to_person(
    status: &mut SiteStatus,
    plan: &Plan,
    replicas: &[Replica],
    observation: &Observation,
    now: Timestamp,
) {
    for standing in &mut status.replicas {
        let Some(replica) = replicas.iter().find(|replica| replica.name == standing.name) else { continue };
        let leave = Leave { auto: replica.policy.auto, backups: true, wals: true };
        let (_, waiting) = plan.of_one(&standing.name).with_leave(leave, observation, now);
        standing.waits_for_person = Some(waiting.for_person);
    }
}

/// Leaves the replicas that are asked for: all, when none is named.
fn narrow(replicas: &mut Vec<Replica>, named: &[String]) -> Result<(), Error> {
    let known: Vec<&str> = replicas.iter().map(|replica| replica.name.as_str()).collect();
    if let Some(unknown) = named.iter().find(|name| !known.contains(&name.as_str())) {
        return Err(cycle::unknown_server(unknown, &known));
    }
    replicas.retain(|replica| named.is_empty() || named.iter().any(|name| name == replica.name.as_str()));
    Ok(())
}

/// Tells somebody who sits there which primary takes long, and how long it may.
fn waits_for(primary: &Primary, terminal: &Terminal) {
    if terminal::shows_progress() && !terminal.quiet {
        let seconds = primary.timeouts.connect.as_secs();
        terminal::tell(&format!("waiting for primary {}, whose `timeouts.connect` is {seconds} s\n", primary.name));
    }
}

/// A promise that is broken is worth more than an error beside it: the error may be only about a part.
fn exit(status: &SiteStatus, has_errors: bool) -> Exit {
    let verdicts = || status.replicas.iter().map(|replica| replica.verdict);
    if status.is_missed() {
        Exit::ObjectiveMissed
    } else if has_errors || verdicts().any(|verdict| verdict == Verdict::Unreadable) {
        Exit::Error
    } else {
        Exit::Done
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::recovery::Recovery;
    use crate::plan::status::{BackupCounts, ReplicaStatus};

    fn stands(verdict: Verdict) -> ReplicaStatus {
        ReplicaStatus {
            name: "main".parse().unwrap(),
            primary: "frankfurt".to_owned(),
            server: "main".parse().unwrap(),
            verdict,
            recovery: Recovery::default(),
            age: None,
            objective: None,
            silence: None,
            lacks_room: false,
            last_apply: None,
            last_apply_is_ahead: false,
            backups: BackupCounts::default(),
            verified: None,
            damaged: 0,
            drilled: None,
            ongoing: None,
            suspended: None,
            waits_for_person: None,
        }
    }

    #[test]
    fn the_exit_code_tells_a_missed_objective_from_an_error() {
        for (verdicts, has_errors, code) in [
            (&[][..], false, 0),
            (&[Verdict::InSync, Verdict::Behind, Verdict::Blocked], false, 0),
            (&[Verdict::PrimaryUnreachable, Verdict::Inactive], false, 0),
            (&[Verdict::InSync, Verdict::ObjectiveMissed], false, 2),
            (&[Verdict::NotRecoverable], false, 2),
            (&[Verdict::InSync, Verdict::Incomplete], false, 2),
            (&[Verdict::InSync], true, 1),
            (&[Verdict::InSync, Verdict::Unreadable], false, 1),
            (&[Verdict::Unreadable, Verdict::ObjectiveMissed], true, 2),
        ] {
            let replicas = verdicts.iter().map(|verdict| stands(*verdict)).collect();
            let (vanished, detached) = (Vec::new(), Vec::new());
            let status = SiteStatus { site: "lisbon".to_owned(), replicas, vanished, detached, keeper: None };
            assert_eq!(exit(&status, has_errors).code(), code, "{verdicts:?} {has_errors}");
        }
    }
}

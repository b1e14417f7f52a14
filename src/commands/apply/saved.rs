//! `antipode apply FILE`: does exactly what a saved plan says, if everything that it relies on is as it was.

use std::collections::BTreeSet;
use std::path::Path;

use jiff::Timestamp;

use crate::barman::ids::ServerName;
use crate::cli;
use crate::commands::audience::Audience;
use crate::commands::interrupt::Interrupt;
use crate::commands::record::Recorder;
use crate::commands::terminal::{self, Terminal};
use crate::commands::{saved_plan, source};
use crate::cycle::{Round, Session};
use crate::error::{Error, Exit};
use crate::observe::Purpose;
use crate::plan::saved::SavedPlan;
use crate::plan::saved::stale::{self, Present};
use crate::store::home;

use super::{both, carry_out, exit, limits, look, refuse_suspended};

/// Runs the command.
pub async fn run(
    file: &Path,
    audience: &Audience<'_>,
    arguments: &cli::Apply,
    terminal: &Terminal,
    interrupt: &Interrupt,
) -> Result<Exit, Error> {
    let (saved, digest) = saved_plan::read_with_digest(file)?;
    let declared = source::declared(&saved_plan::site_file(&saved, &arguments.site), terminal)?;
    let site = &declared.site;
    if let Some(metrics) = audience.metrics() {
        metrics.is_of(site);
    }
    let recorder = Recorder::of("apply", &declared, terminal).of_plan(digest);
    stale::check_site(&saved, site).map_err(|refusal| saved_plan::refused(file, &refusal))?;
    let otherwise = if saved.plan.is_blocked() { Exit::Error } else { Exit::Done };
    if saved.plan.is_empty() {
        audience.nothing_to_do(&saved.plan, file);
        if audience.metrics().is_some() {
            let mut session = Session::open(site, &interrupt.token, terminal::told()).await;
            let looked = look(audience, &mut session).await;
            session.close().await;
            looked?;
        }
    } else {
        home::prepare(&site.catalog.path)?;
        let mut session = Session::open(site, &interrupt.token, terminal::told()).await;
        session.limit(limits(arguments));
        let result = match check(&saved, file, arguments, &session).await {
            Ok(round) => {
                audience.reviewed(&saved.plan);
                carry_out(&saved.plan, &session, round, arguments.lock_timeout, audience, &recorder).await
            }
            Err(error) => {
                recorder.refused(&error).await;
                Err(error)
            }
        };
        let looked = look(audience, &mut session).await;
        session.close().await;
        recorder.finish(&interrupt.token).await;
        let result = result.map(|summary| exit(&summary).unwrap_or(Exit::Done));
        let ended = both(result, looked, audience)?;
        if ended != Exit::Done {
            return Ok(ended);
        }
    }
    if let Some(error) = saved_plan::unplanned(&saved, file) {
        audience.error(&error);
    }
    Ok(otherwise)
}

/// Takes what a saved plan changes, and looks whether all that it relies on is as it was.
async fn check(saved: &SavedPlan, file: &Path, arguments: &cli::Apply, session: &Session) -> Result<Round, Error> {
    let changed: BTreeSet<&ServerName> =
        saved.plan.replicas.iter().filter(|replica| !replica.actions.is_empty()).map(|replica| &replica.name).collect();
    let is_resolved = |name: &&ServerName| session.replicas.iter().any(|replica| replica.name == **name);
    if let Some(error) = session.unresolved.first().filter(|_| !changed.iter().all(is_resolved)) {
        // A mirror whose primary does not answer is not a changed desired state.
        return Err(error.clone());
    }
    // It is applied as it was reviewed, or not at all.
    let locking = session.lock(|name| changed.contains(name), arguments.lock_timeout)?;
    refuse_suspended(&locking.suspended)?;
    let round = locking.all().await?;
    if let Some(busy) = round.busy.values().next() {
        return Err(busy.clone());
    }
    let now = Timestamp::now();
    let concerned = session.replicas.iter().filter(|replica| changed.contains(&replica.name));
    let observation = session.observe(concerned, Purpose::Plan { refresh: false }, now).await?;
    let (site, replicas) = (&session.site, session.replicas.as_slice());
    let present = Present { site, replicas, observation: &observation, now };
    stale::check(saved, &present).map_err(|refusal| saved_plan::refused(file, &refusal))?;
    Ok(round)
}

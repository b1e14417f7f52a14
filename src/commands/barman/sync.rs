//! What the commands that copy have in common: a part of a plan, made and applied without asking.

use std::time::Duration;

use jiff::Timestamp;

use crate::commands::apply;
use crate::commands::audience::Audience;
use crate::commands::interrupt::Interrupt;
use crate::commands::record::Recorder;
use crate::commands::terminal::{self, Terminal};
use crate::cycle::Session;
use crate::error::{Error, Exit, Kind};
use crate::events::Summary;
use crate::observe::Purpose;
use crate::plan::Outcome;
use crate::plan::Plan;
use crate::plan::scope::{Scope, ScopeError};
use crate::render;
use crate::site::Site;
use crate::store::home;

/// How long a lock of a catalog or a server is waited for.
pub const PATIENCE: Duration = Duration::from_secs(30);

/// What became of a part of a plan.
pub enum Part {
    /// It is as it should be.
    InPlace,
    /// Neither end has it, or the site is not to have it; what to do about that.
    Absent(Option<String>),
    /// It was applied.
    Applied(Summary),
}

/// Plans a part of one replica and applies it: the things of it that are named, with what they need.
pub async fn run(
    site: &Site,
    server: &str,
    things: &[&str],
    recorder: &Recorder,
    terminal: &Terminal,
    interrupt: &Interrupt,
) -> Result<Part, Error> {
    home::prepare(&site.catalog.path)?;
    let session = Session::open(site, &interrupt.token, terminal::told()).await;
    let result = part(&session, server, things, recorder, terminal).await;
    session.close().await;
    recorder.finish(&interrupt.token).await;
    result
}

async fn part(
    session: &Session,
    server: &str,
    things: &[&str],
    recorder: &Recorder,
    terminal: &Terminal,
) -> Result<Part, Error> {
    session.replica(server)?;
    let locking = session.lock(|name| name.as_str() == server, PATIENCE)?;
    apply::refuse_suspended(&locking.suspended)?;
    let round = locking.all().await?;
    if let Some(busy) = round.busy.values().next() {
        return Err(busy.clone());
    }
    let cycle = session.cycle(session.replica(server)?);
    let patterns = things
        .iter()
        .map(|thing| format!("{server}/{thing}").parse().map_err(|why: String| Error::new(Kind::Invalid, why)));
    let scope = Scope { targets: patterns.collect::<Result<_, _>>()?, excluded: Vec::new() };
    let now = Timestamp::now();
    let observation = cycle.observe(Purpose::Plan { refresh: false }, now).await?;
    let plan = match cycle.plan_part(&observation, &scope, now) {
        Ok(plan) => plan,
        Err(error @ (ScopeError::Unknown { .. } | ScopeError::Unwanted { .. })) => {
            return Ok(Part::Absent(Error::from(error).hint));
        }
        Err(error) => return Err(error.into()),
    };
    refuse_unplanned(&plan)?;
    let lacking = no_room(&plan);
    if session.cancel.is_cancelled() {
        return Ok(Part::InPlace);
    }
    if plan.is_empty() {
        return lacking.map_or(Ok(Part::InPlace), Err);
    }
    let summary = apply::carry_out(&plan, session, round, PATIENCE, &Audience::people(terminal), recorder).await?;
    // What failed is worth more than what was not begun.
    lacking.filter(|_| summary.failed.is_empty()).map_or(Ok(Part::Applied(summary)), Err)
}

/// What of it does not fit here.
fn no_room(plan: &Plan) -> Option<Error> {
    plan.replicas.iter().find_map(|replica| {
        let shortfall = replica.shortfalls.iter().find(|shortfall| shortfall.is_of_room())?;
        Some(Error::new(Kind::NoSpace, format!("{}: {}", replica.name, render::shortfall(replica, shortfall, false))))
    })
}

/// The reason why a replica could not be planned.
fn refuse_unplanned(plan: &Plan) -> Result<(), Error> {
    for replica in &plan.replicas {
        if let Some(sentence) = replica.inactive() {
            return Err(Error::new(Kind::Refused, format!("{}: its primary says: {sentence}", replica.name)));
        }
        match &replica.outcome {
            Outcome::Planned => {}
            Outcome::Unobserved(error) => return Err(error.clone()),
            Outcome::Inactive(_) | Outcome::Blocked(_) => {
                return Err(Error::new(Kind::Refused, format!("{}: the plan is blocked", replica.name))
                    .hint("`antipode plan` says by what, and what to do about it"));
            }
        }
    }
    Ok(())
}

/// How a command ends whose part of the plan was applied: as Barman's do, with 1 when something failed.
pub fn end(summary: &Summary, terminal: &Terminal) -> Exit {
    match summary.failed.first() {
        None => Exit::Done,
        Some((address, error)) => {
            terminal.error(&error.clone().of(address));
            Exit::Error
        }
    }
}

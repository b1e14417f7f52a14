//! `antipode explain`: why one action is planned.

use crate::cli;
use crate::cycle::{Planned, Session};
use crate::error::{Error, Exit, Kind};
use crate::plan::explain::Explainer;
use crate::plan::recovery::shortfall::Shortfall;
use crate::plan::scope::Scope;
use crate::plan::{Outcome, Plan};
use crate::render::{self, Origin, Whys};
use crate::site::mirror;
use crate::site::suggest::{near, one_of};
use crate::stdout;

use super::interrupt::Interrupt;
use super::source::{self, Declared};
use super::terminal::{self, Terminal};

/// So many addresses are proposed for one that is not there.
const PROPOSED: usize = 3;

/// Runs the command.
pub async fn run(arguments: &cli::Explain, terminal: &Terminal, interrupt: &Interrupt) -> Result<Exit, Error> {
    let declared = source::declared(&arguments.site, terminal)?;
    let session = Session::open(&declared.site, &interrupt.token, terminal::told()).await;
    let planned = session.plan(&Scope::default()).await;
    let answer = planned.and_then(|planned| explain(&arguments.address, &declared, &session, &planned));
    session.close().await;
    stdout::print(&format!("{}\n", answer?));
    Ok(Exit::Done)
}

/// What is known of an address.
fn explain(address: &str, declared: &Declared, session: &Session, planned: &Planned) -> Result<String, Error> {
    let columns = terminal::width().map_or(usize::MAX, usize::from);
    let Planned { plan, observation, now, .. } = planned;
    let explainer = Explainer::new(plan, &session.replicas, observation, *now);
    let (name, thing) = address.split_once('/').unwrap_or((address, ""));
    let Some(index) = plan.replicas.iter().position(|replica| replica.name.as_str() == name) else {
        let names: Vec<&str> = plan.replicas.iter().map(|replica| replica.name.as_str()).collect();
        let error = Error::new(Kind::NotFound, format!("no replica is called `{}`", render::clean(name)));
        return Err(error.hint(format!("an address begins with the name of a replica{}", meant(name, &names))));
    };
    let origin = session.replicas.iter().find(|replica| replica.name.as_str() == name);
    let origin = origin.map(|replica| mirror::origin(&declared.site, replica)).unwrap_or_default();
    let asked = Origin { file: declared.quotes(), replica: &origin };
    if let Some(known) = explainer.find(address).and_then(|(replica, action)| explainer.of(replica, action)) {
        return Ok(render::explain(&known, asked, columns));
    }
    let held = plan.replicas.get(index).and_then(|replica| replica.held.iter().find(|held| held.is_about(address)));
    if let Some(held) = held {
        return Ok(render::wrap(&format!("{}.", render::held(held)), columns).join("\n"));
    }
    let (sort, name) = thing.split_once('/').map_or((thing, None), |(sort, name)| (sort, Some(name)));
    if let Some((preconditions, asked_by)) = explainer.of_thing(index, sort, name) {
        let lacking = lacking(plan, index, sort, name);
        return Ok(render::explain_thing(address, &preconditions, &asked_by, &lacking, asked, columns));
    }
    Err(unknown(address, index, planned, &explainer))
}

/// What will be lacking of a backup, or of the WAL.
fn lacking(plan: &Plan, replica: usize, sort: &str, name: Option<&str>) -> Vec<String> {
    let Some(planned) = plan.replicas.get(replica) else { return Vec::new() };
    let is_meant = |shortfall: &&Shortfall| match shortfall.backup() {
        Some(backup) => name == Some(backup.as_str()),
        None => sort == "wal",
    };
    planned.shortfalls.iter().filter(is_meant).map(|shortfall| render::shortfall(planned, shortfall, true)).collect()
}

/// An address that names nothing, or a thing that nobody could look at.
fn unknown(address: &str, replica: usize, planned: &Planned, explainer: &Explainer<'_>) -> Error {
    let address = render::clean(address);
    let Some(replica_plan) = planned.plan.replicas.get(replica) else { return Error::new(Kind::Internal, address) };
    let name = &replica_plan.name;
    if let Outcome::Unobserved(error) = &replica_plan.outcome {
        return error.clone().rewritten(render::clean).of(format_args!("nothing is known of {address}"));
    }
    if let Some(sentence) = replica_plan.inactive() {
        let sentence = render::clean(sentence.trim());
        return Error::new(
            Kind::Refused,
            format!("nothing is known of {address}: {name} is inactive there: {sentence}"),
        );
    }
    let mut known: Vec<String> = replica_plan.actions.iter().map(|action| action.address.to_string()).collect();
    known.extend(replica_plan.held.iter().map(|held| held.address.to_string()));
    known.extend(explainer.backups(replica));
    known.sort_unstable();
    known.dedup();
    let known: Vec<&str> = known.iter().map(String::as_str).collect();
    let below = format!("{}/", address.trim_end_matches('/'));
    if let Some(first) = known.iter().find(|known| known.starts_with(&below)) {
        let error = Error::new(
            Kind::Invalid,
            format!("{address} is the beginning of several addresses, and explain takes one"),
        );
        return error.hint(format!("name one of them, such as {first}; `antipode plan -v` says why of each action"));
    }
    let error = Error::new(Kind::NotFound, format!("there is no {address}, neither in the plan nor at either end"));
    error.hint(format!("`antipode plan -v` shows the address of each action{}", meant(&address, &known)))
}

/// Those that may have been meant.
fn meant(wrong: &str, right: &[&str]) -> String {
    let near: Vec<&str> = near(wrong, right).into_iter().take(PROPOSED).collect();
    if near.is_empty() { String::new() } else { format!("; did you mean {}?", one_of(&near)) }
}

/// Why each action of a plan is there, for whoever wants to see it all.
pub fn whys(declared: &Declared, session: &Session, planned: &Planned) -> Whys {
    let Planned { plan, observation, now, .. } = planned;
    let explainer = Explainer::new(plan, &session.replicas, observation, *now);
    let mut whys = Whys::default();
    for (index, planned) in plan.replicas.iter().enumerate() {
        if let Some(replica) = session.replicas.iter().find(|replica| replica.name == planned.name) {
            let origin = mirror::origin(&declared.site, replica);
            whys.add(&explainer, index, Origin { file: declared.quotes(), replica: &origin });
        }
    }
    whys
}

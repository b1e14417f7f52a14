//! `antipode verify`: what is on the disk here, read and proved.

use std::sync::Arc;
use std::time::{Duration, Instant};

use jiff::Timestamp;

use crate::barman::ids::{ServerName, SystemId};
use crate::cli::{self, TextOrJson};
use crate::cycle;
use crate::english::count;
use crate::error::{Error, Exit, Kind};
use crate::observe::{self, SiteConf};
use crate::render::verification::{Told, verification};
use crate::render::verification_json::verification_json;
use crate::scrub::schedule::Asked;
use crate::scrub::{Ended, Outcome, Progress, Terms, scrub};
use crate::site::Site;
use crate::stdout;
use crate::store::{Store, home};
use crate::transport::blocking;

use super::interrupt::Interrupt;
use super::source;
use super::terminal::Terminal;
use super::watched::watched;

/// The share of what is read again where nothing is read again by itself: none that anybody lives to see.
const NEVER: Duration = Duration::from_secs(1000 * 365 * 86_400);

/// Runs the command.
pub async fn run(arguments: &cli::Verify, terminal: &Terminal, interrupt: &Interrupt) -> Result<Exit, Error> {
    let site = source::load(&arguments.site, terminal)?;
    home::check(&site.catalog.path)?;
    let conf = SiteConf::read(&site.catalog)?;
    let names = replicas(&site, &arguments.replicas)?;
    let until = arguments.max_time.map(|time| Instant::now() + time);
    let (mut told, mut errors) = (Vec::new(), Vec::new());
    for name in names {
        let store = conf.store(&name)?;
        let systems = site.replicas.get(&name).map(|replica| replica.policy.accept_systems.clone());
        let systems: Vec<SystemId> = systems.into_iter().flatten().collect();
        match one(&site, arguments, (name.clone(), store, systems), until, interrupt).await {
            Ok(one) => told.push(one),
            Err(error) => errors.push(error.of(format_args!("replica {name}"))),
        }
        if interrupt.token.is_cancelled() {
            break;
        }
    }
    match arguments.format {
        TextOrJson::Text => stdout::print(&verification(&told, terminal.style())),
        TextOrJson::Json => stdout::print(&verification_json(&site.name, &told, &errors)),
    }
    if let Some(exit) = interrupt.exit() {
        return Ok(exit);
    }
    errors.extend(told.iter().filter_map(not_begun));
    for error in &errors {
        terminal.error(error);
    }
    let bad = told.iter().filter(|told| !told.outcome.is_good()).count() as u64;
    match (bad, errors.is_empty()) {
        (0, true) => Ok(Exit::Done),
        (0, false) => Ok(Exit::Error),
        (bad, _) => Err(not_proved(bad)),
    }
}

/// Who had no time to read anything has proved nothing.
fn not_begun(told: &Told) -> Option<Error> {
    let Outcome { read, ended, .. } = &told.outcome;
    let is_nothing = read.count == 0 && *ended == Ended::OutOfTime;
    is_nothing.then(|| {
        Error::new(Kind::LimitReached, format!("replica {}: nothing was read, as the time was up", told.name))
            .hint("give it more with --max-time")
    })
}

fn not_proved(replicas: u64) -> Error {
    Error::new(Kind::Damaged, format!("{} not what was written", are(replicas)))
        .hint("`antipode plan` shows what is repaired from the primary, `antipode apply` does it")
}

fn are(replicas: u64) -> String {
    format!("{} {}", count(replicas, "replica"), if replicas == 1 { "is" } else { "are" })
}

async fn one(
    site: &Site,
    arguments: &cli::Verify,
    (name, store, systems): (ServerName, Arc<dyn Store>, Vec<SystemId>),
    until: Option<Instant>,
    interrupt: &Interrupt,
) -> Result<Told, Error> {
    let (every, cancel, bandwidth) = (site.verify.every.unwrap_or(NEVER), interrupt.token.clone(), arguments.bandwidth);
    let asked = asked(arguments, every);
    let progress = Arc::new(Progress::default());
    let (seen, shown) = (Arc::clone(&progress), name.clone());
    let work = blocking(move || {
        let begin = Instant::now();
        let go_on = || !cancel.is_cancelled() && until.is_none_or(|until| Instant::now() < until);
        let terms = Terms {
            asked,
            every,
            bandwidth,
            streams: None,
            go_on: &go_on,
            progress: &progress,
            systems: &systems,
            now: Timestamp::now(),
        };
        let outcome = scrub(store.as_ref(), &name, &terms)?;
        Ok(Told { name, outcome, took: begin.elapsed() })
    });
    watched(shown.as_str(), || seen.get(), work).await
}

fn asked(arguments: &cli::Verify, every: Duration) -> Asked {
    match (arguments.all, arguments.since, arguments.sample) {
        (true, ..) => Asked::All,
        (_, Some(since), _) => Asked::NotSince(since),
        (_, _, Some(percent)) => Asked::Sample(percent),
        (false, None, None) => Asked::Share(every),
    }
}

/// The replicas that are meant: those that the site file names, and those that a mirror left here.
pub(super) fn replicas(site: &Site, named: &[String]) -> Result<Vec<ServerName>, Error> {
    let here = if site.mirrors.is_empty() {
        Vec::new()
    } else {
        observe::copied_here(&site.catalog.path)?.into_keys().collect()
    };
    let mut known: Vec<ServerName> = site.replicas.keys().cloned().chain(here).collect();
    known.sort();
    known.dedup();
    let texts: Vec<&str> = known.iter().map(ServerName::as_str).collect();
    if let Some(unknown) = named.iter().find(|name| !texts.contains(&name.as_str())) {
        return Err(cycle::unknown_server(unknown, &texts));
    }
    known.retain(|name| named.is_empty() || named.iter().any(|named| named == name.as_str()));
    Ok(known)
}

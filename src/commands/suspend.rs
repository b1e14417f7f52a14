//! `antipode suspend` and `antipode resume`: replicas that are left alone for a while.

use std::collections::BTreeSet;

use jiff::Timestamp;

use crate::barman::ids::ServerName;
use crate::cli::{self, Until};
use crate::cycle;
use crate::error::{Error, Exit, Kind};
use crate::observe;
use crate::render;
use crate::schedule::{Suspension, later};
use crate::site::Site;
use crate::stdout;
use crate::store::{home, suspended};
use crate::user::User;

use super::source;
use super::terminal::Terminal;

/// Runs `suspend`.
pub fn run(arguments: &cli::Suspend, terminal: &Terminal) -> Result<Exit, Error> {
    let site = source::load(&arguments.site, terminal)?;
    let replicas = named(&site, &arguments.replicas)?;
    let now = Timestamp::now();
    let until = arguments.until.map(|until| match until {
        Until::In(length) => later(now, length),
        Until::At(time) => time,
    });
    if until.is_some_and(|until| until <= now) {
        return Err(Error::new(Kind::Invalid, "`--until` has passed already; nothing was changed"));
    }
    home::prepare(&site.catalog.path)?;
    let by = User::of_this_run().to_string();
    let suspension = Suspension { since: Some(now), until, by: Some(by), why: arguments.why.clone() };
    for replica in replicas {
        suspended::suspend(&site.catalog.path, &replica, &suspension)?;
        stdout::print(&format!("{replica} is {}.\n", render::suspended(&suspension)));
    }
    Ok(Exit::Done)
}

/// Runs `resume`.
pub fn resume(arguments: &cli::Resume, terminal: &Terminal) -> Result<Exit, Error> {
    let site = source::load(&arguments.site, terminal)?;
    for replica in named(&site, &arguments.replicas)? {
        let was = if suspended::resume(&site.catalog.path, &replica)? { "is resumed" } else { "was not suspended" };
        stdout::print(&format!("{replica} {was}.\n"));
    }
    Ok(Exit::Done)
}

/// The replicas of these names: those that the site file names, and those that are here, as a mirror may stand for one.
fn named(site: &Site, names: &[String]) -> Result<Vec<ServerName>, Error> {
    let here = if site.mirrors.is_empty() { BTreeSet::new() } else { here(site)? };
    let known: Vec<&str> = site.replicas.keys().chain(&here).map(ServerName::as_str).collect();
    let named = names.iter().map(|name| {
        let found = name.parse().ok().filter(|_| known.contains(&name.as_str()));
        found.ok_or_else(|| cycle::unknown_server(name, &known))
    });
    named.collect()
}

fn here(site: &Site) -> Result<BTreeSet<ServerName>, Error> {
    Ok(observe::copied_here(&site.catalog.path)?.into_keys().collect())
}

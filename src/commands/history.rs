//! `antipode history`: what runs did, as the journal of the catalog has it. Nothing is changed.

use jiff::Timestamp;

use crate::apply;
use crate::barman::ids::ServerName;
use crate::cli::{self, TextOrJson};
use crate::cycle;
use crate::english::list;
use crate::error::{Error, Exit, Kind};
use crate::journal::{Ended, History};
use crate::observe::SiteConf;
use crate::render;
use crate::render::history_json::history_json;
use crate::site::Site;
use crate::stdout;
use crate::store::journal::Journal;

use super::source;
use super::terminal::Terminal;

/// Runs the command.
pub fn run(arguments: &cli::History, terminal: &Terminal) -> Result<Exit, Error> {
    let site = source::load(&arguments.site, terminal)?;
    let mut history = Journal::of(&site.catalog.path).read()?;
    check_names(&arguments.replicas, &site, &history)?;
    note_at_work(&mut history, &site)?;
    let since = arguments.since.map(|since| since.time(Timestamp::now()));
    history.narrow(&arguments.replicas, since);
    let broken = broken(&history, &site);
    match arguments.format {
        TextOrJson::Json => {
            stdout::print(&history_json(&site.name, &history));
            Ok(broken.map_or(Exit::Done, |_| Exit::Error))
        }
        TextOrJson::Text => {
            stdout::print(&render::history(&history, &none(arguments, since), terminal.style()));
            Ok(broken.map_or(Exit::Done, |broken| terminal.error(&broken)))
        }
    }
}

/// A replica that neither the site file has nor the journal was mistyped.
fn check_names(named: &[String], site: &Site, history: &History) -> Result<(), Error> {
    let told = history.runs.iter().flat_map(|run| &run.replicas).map(|replica| replica.name.as_str());
    let known: Vec<&str> = site.replicas.keys().map(ServerName::as_str).chain(told).collect();
    match named.iter().find(|name| !known.contains(&name.as_str())) {
        Some(unknown) => Err(cycle::unknown_server(unknown, &known)),
        None => Ok(()),
    }
}

/// A run without an end that still holds its locks is at work.
pub(super) fn note_at_work(history: &mut History, site: &Site) -> Result<(), Error> {
    if history.runs.iter().all(|run| run.ended != Ended::Unknown) {
        return Ok(());
    }
    let barman = SiteConf::read(&site.catalog)?;
    history.note_at_work(|name| {
        let store = barman.store(&name.parse().ok()?).ok()?;
        // Who may not read the lock is not told of who holds it.
        apply::ongoing(store.as_ref()).ok().flatten().map(|run| run.began)
    });
    Ok(())
}

/// Where the journal is not as it was written.
fn broken(history: &History, site: &Site) -> Option<Error> {
    if history.breaks.is_empty() {
        return None;
    }
    let message = format!("the history of {} is not whole: {}", site.name, render::breaks(&history.breaks));
    Some(Error::new(Kind::Damaged, message).hint(
        "find out who or what changed the journal in the catalog's .antipode/journal; what is shown may lack runs, and the \
         catalog itself is told by `antipode status`",
    ))
}

/// What is said where no run is told.
fn none(arguments: &cli::History, since: Option<Timestamp>) -> String {
    let of = if arguments.replicas.is_empty() { String::new() } else { format!(" of {}", list(&arguments.replicas)) };
    let since = since.map(|since| format!(" since {}", render::units::timestamp(since))).unwrap_or_default();
    format!("No run{of} is recorded{since}.")
}

//! `antipode status --watch`: how the site stands, again and again, until somebody ends it. Nothing is changed.

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;

use crate::cli;
use crate::cycle::Session;
use crate::error::{Error, Exit, Kind};
use crate::journal::History;
use crate::observe::catalog::Depth;
use crate::render::status::Told;
use crate::render::units::timestamp;
use crate::render::watch::{Watched, watch};
use crate::site::Site;
use crate::stdout;
use crate::store::journal::Journal;

use super::interrupt::Interrupt;
use super::status::{Stand, depth, stand};
use super::terminal::{self, Terminal};
use super::{history, source};

/// So many of the last runs are shown.
const RUNS: usize = 3;

/// Lines where the terminal does not tell how many it has.
const ROWS: u16 = 24;

/// To the first line and column; and whatever is behind is taken away at the end of a line, and below the last.
const HOME: &str = "\x1b[H";
const END_OF_LINE: &str = "\x1b[K\n";
const END: &str = "\x1b[J";

/// Looks until it is interrupted.
pub async fn run(
    arguments: &cli::Status,
    every: Duration,
    terminal: &Terminal,
    interrupt: &Interrupt,
) -> Result<Exit, Error> {
    if !terminal::can_be_drawn_on() {
        let message = "`--watch` draws on a terminal, and standard output is none";
        return Err(Error::new(Kind::Invalid, message).hint("for a program: `antipode status --format json`"));
    }
    // What is wrong with the site file from the beginning nobody has to watch.
    source::load(&arguments.site, terminal)?;
    stdout::print(&format!("{HOME}{END}"));
    let mut last = None;
    while !interrupt.token.is_cancelled() && stdout::failure().is_none() {
        let rows = usize::from(terminal::rows().unwrap_or(ROWS));
        let wrong = match look(arguments, terminal, interrupt).await {
            Ok(seen) => {
                last = Some(seen);
                None
            }
            Err(_) if interrupt.token.is_cancelled() => break,
            Err(error) => Some(not_looked(&error, Timestamp::now())),
        };
        draw(&shown(last.as_ref(), wrong, every, terminal, rows));
        tokio::select! {
            () = interrupt.token.cancelled() => break,
            () = tokio::time::sleep(every) => {}
        }
    }
    Ok(interrupt.exit().unwrap_or(Exit::Done))
}

/// What a look showed.
struct Seen {
    stand: Stand,
    history: History,
    /// What is wrong with the site as a whole.
    unresolved: Vec<String>,
}

/// Looks at the site as its file is now.
async fn look(arguments: &cli::Status, terminal: &Terminal, interrupt: &Interrupt) -> Result<Seen, Error> {
    // What a terminal is told beside would be drawn over.
    let site = source::load(&arguments.site, &terminal.silent())?;
    let history = last_runs(&site, &arguments.replicas)?;
    let site = site.only(&arguments.replicas);
    let (told, waits) = (Arc::new(|_: &str, _: &Error, _| {}), |_: &_| {});
    let mut session = Session::open_telling(&site, &interrupt.token, told, waits).await;
    let stand = stand(&mut session, &arguments.replicas, depth(arguments.depth, Depth::Lists)).await;
    let unresolved = session.unresolved.iter().map(|error| error.message.clone()).collect();
    session.close().await;
    Ok(Seen { stand: stand?, history, unresolved })
}

/// What the journal has of the last runs, the newest first.
fn last_runs(site: &Site, named: &[String]) -> Result<History, Error> {
    let mut found = Journal::of(&site.catalog.path).read()?;
    history::note_at_work(&mut found, site)?;
    found.narrow(named, None);
    found.runs.truncate(RUNS);
    // Where it is broken and what it lacks, `history` tells.
    Ok(History { runs: found.runs, ..History::default() })
}

fn not_looked(error: &Error, now: Timestamp) -> String {
    let hint = error.hint.as_ref().map(|hint| format!(" ({hint})")).unwrap_or_default();
    format!("At {} it could not be looked: {}{hint}. What is below is older.", timestamp(now), error.message)
}

fn shown(last: Option<&Seen>, wrong: Option<String>, every: Duration, terminal: &Terminal, rows: usize) -> String {
    let style = terminal.style();
    let Some(Seen { stand, history, unresolved }) = last else { return wrong.unwrap_or_default() };
    let wrong: Vec<String> = wrong.into_iter().chain(unresolved.iter().cloned()).collect();
    let told = Told { status: &stand.status, plan: &stand.plan, now: stand.now, quiet: terminal.quiet };
    watch(Watched { told, backups: &stand.backups, history, wrong: &wrong, every: every.as_secs() }, style, rows)
}

/// Writes over what is there, so that nothing flickers.
fn draw(text: &str) {
    let lines: Vec<&str> = text.lines().collect();
    stdout::print(&format!("{HOME}{}{END_OF_LINE}{END}", lines.join(END_OF_LINE)));
}

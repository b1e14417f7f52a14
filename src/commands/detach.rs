//! `antipode detach`: copies that nobody asks for any more, and that stay as they are.

use jiff::Timestamp;

use crate::barman::detachment::Detachment;
use crate::barman::ids::ServerName;
use crate::cli;
use crate::cycle::Session;
use crate::error::{Error, Exit, Kind};
use crate::observe::inventory::Holds;
use crate::plan::status::vanished::Unclaimed;
use crate::render;
use crate::stdout;
use crate::store::{Place, home};
use crate::user::User;

use super::interrupt::Interrupt;
use super::source;
use super::terminal::{self, Terminal};

/// Runs the command.
pub async fn run(arguments: &cli::Detach, terminal: &Terminal, interrupt: &Interrupt) -> Result<Exit, Error> {
    let site = source::load(&arguments.site, terminal)?;
    home::check(&site.catalog.path)?;
    let session = Session::open(&site, &interrupt.token, terminal::told()).await;
    let done = detach(arguments, &session);
    session.close().await;
    done
}

/// All of them, or none where one cannot be.
fn detach(arguments: &cli::Detach, session: &Session) -> Result<Exit, Error> {
    let unclaimed = session.unclaimed()?;
    let found = arguments.servers.iter().map(|name| find(name, &unclaimed, session));
    let found = found.collect::<Result<Vec<Found<'_>>, Error>>()?;
    let by = User::of_this_run().to_string();
    let said = Detachment { since: Some(Timestamp::now()), by: Some(by), why: arguments.why.clone() };
    let barman = session.site_conf()?;
    for found in found {
        match found {
            Found::Already(name) => stdout::print(&format!("{name} was detached already.\n")),
            Found::Vanished(name, holds) => {
                barman
                    .store(name)?
                    .write(Place::Detached, &said.write())
                    .map_err(|error| Error::from(error).of(name))?;
                stdout::print(&format!("{name} is detached; {}.\n", render::stays(holds)));
            }
        }
    }
    Ok(Exit::Done)
}

/// A server that nobody copies here.
enum Found<'a> {
    Vanished(&'a ServerName, &'a Holds),
    Already(&'a ServerName),
}

fn find<'a>(name: &str, unclaimed: &'a Unclaimed, session: &Session) -> Result<Found<'a>, Error> {
    if let Some(one) = unclaimed.vanished.iter().find(|one| one.name.as_str() == name) {
        return Ok(Found::Vanished(&one.name, &one.holds));
    }
    if let Some(one) = unclaimed.detached.iter().find(|one| one.name.as_str() == name) {
        return Ok(Found::Already(&one.name));
    }
    let shown = name.escape_debug();
    if session.replicas.iter().any(|replica| replica.name.as_str() == name) {
        let message = format!("{shown} is copied here, as the site file asks; nothing was changed");
        return Err(Error::new(Kind::Invalid, message).hint(
            "take it out of `replicas` or name it in the mirror's `except` first; `antipode suspend` leaves it alone for a \
             while",
        ));
    }
    if let Some(silent) = session.silent().next() {
        return Err(silent
            .clone()
            .of(format_args!("nobody knows whether {shown} is copied here; nothing was changed")));
    }
    let names: Vec<&str> = unclaimed.vanished.iter().map(|one| one.name.as_str()).collect();
    let error = Error::new(Kind::NotFound, format!("there is no copy of {shown} here that nobody asks for"));
    Err(match names.as_slice() {
        [] => error.hint("`antipode status` names those that there are"),
        names => error.hint(format!("there is one of {}", names.join(", "))),
    })
}

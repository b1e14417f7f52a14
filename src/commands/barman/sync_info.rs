//! `antipode sync-info`: what a catalog has of a server, as Barman's passive nodes ask for it.

use std::io::{BufWriter, Write};
use std::path::Path;

use crate::barman::conf::BarmanConf;
use crate::barman::ids::ServerName;
use crate::barman::layout::ServerDirs;
use crate::barman::secret::without_secrets;
use crate::barman::server_config::ServerConfig;
use crate::barman::sync_info::listing::{Known, Listing, ListingError};
use crate::barman::sync_info::write::{Answer, WriteError};
use crate::barman::sync_info::{Framed, frame};
use crate::cli;
use crate::commands::interrupt::Interrupt;
use crate::commands::source;
use crate::commands::terminal::{self, Terminal};
use crate::cycle::Session;
use crate::error::{Error, Exit, Kind};
use crate::observe::own_catalog::{self, OwnCatalog};
use crate::observe::primary;
use crate::stdout;
use crate::store::home;

use super::conf_file::ConfFile;

/// Runs the command.
pub async fn run(
    arguments: &cli::SyncInfo,
    barman_conf: Option<&Path>,
    terminal: &Terminal,
    interrupt: &Interrupt,
) -> Result<Exit, Error> {
    if arguments.primary {
        return ask_primary(arguments, terminal, interrupt).await;
    }
    let position = match arguments.last_position.as_deref().map(position).transpose() {
        Ok(position) => position,
        Err(error) => {
            terminal.error(&error);
            return Ok(Exit::Misused);
        }
    };
    let file = ConfFile::read(barman_conf)?;
    let server = known_server(&file.conf, &arguments.server)?;
    let config = |version| {
        let config = ServerConfig::read(&file.conf, &server, version).map_err(|error| file.invalid(&error))?;
        config.ok_or_else(|| unknown(&arguments.server))
    };
    let newest = config(crate::observe::version::NEWEST)?;
    let (dirs, locks) = places(&file, &server)?;
    // The section of a replica of ours is for a Barman that leaves it alone; that it is kept here, its directory tells.
    if !newest.is_active() && !home::is_ours(&dirs)? {
        stdout::print(&format!("Skipping inactive server '{server}'\n"));
        return Ok(Exit::Done);
    }
    if let Some(fault) = newest.faults(&server).into_iter().next().filter(|_| newest.is_active()) {
        return Err(Error::new(Kind::Invalid, fault).hint(format!("Barman does not work on {server} because of it")));
    }
    let known = arguments.last_wal.clone().map(|name| (name, position));
    let catalog = own_catalog::read(&dirs, &locks, known).await.map_err(|failure| failed(&server, failure))?;
    let config = config(catalog.version)?;
    let last_wal = arguments.last_wal.clone();
    tokio::task::spawn_blocking(move || print(&server, catalog, &config, last_wal.as_deref(), position))
        .await
        .map_err(|error| Error::from(error).of("the answer was not written"))?
}

/// LAST_POSITION, as Barman demands it; like Barman it ends with exit code 2 otherwise.
fn position(text: &str) -> Result<u64, Error> {
    let why = match text.parse::<i128>() {
        Ok(number) if number > 0 => return Ok(u64::try_from(number).unwrap_or(u64::MAX)),
        Ok(_) => "is not a valid positive integer",
        Err(_) => "is not a valid input",
    };
    let message = format!("argument LAST_POSITION: '{text}' {why}");
    Err(Error::new(Kind::Invalid, message))
}

fn known_server(conf: &BarmanConf, name: &str) -> Result<ServerName, Error> {
    if name == "all" {
        return Err(Error::new(Kind::Invalid, "You cannot use 'all' in a single server context"));
    }
    let server: Option<ServerName> = name.parse().ok();
    server.filter(|server| conf.has(server)).ok_or_else(|| unknown(name))
}

fn unknown(name: &str) -> Error {
    Error::new(Kind::NotFound, format!("Unknown server '{}'", name.escape_debug()))
        .hint("`antipode list-servers` lists those of barman.conf; -c FILE names another one")
}

fn places(file: &ConfFile, server: &ServerName) -> Result<(ServerDirs, std::path::PathBuf), Error> {
    let conf = file.conf.server(server).map_err(|error| file.invalid(&error))?;
    let conf = conf.ok_or_else(|| unknown(server.as_str()))?;
    let locks = file.conf.barman_lock_directory().map_err(|error| file.invalid(&error))?;
    Ok((conf.dirs, locks))
}

fn failed(server: &ServerName, error: Error) -> Error {
    error.of(server)
}

fn print(
    server: &ServerName,
    catalog: OwnCatalog,
    config: &ServerConfig,
    last_wal: Option<&str>,
    position: Option<u64>,
) -> Result<Exit, Error> {
    let OwnCatalog { version, backups, xlogdb, offset } = catalog;
    let known = last_wal.map(|name| Known { name, position });
    let wals = Listing::read(&xlogdb, offset, known, &backups, version).map_err(|error| refused(server, &error))?;
    let answer = Answer { version, backups, wals, config };
    stdout::make_room();
    let mut out = BufWriter::with_capacity(1 << 16, stdout::Answer);
    match answer.write(&mut out).and_then(|()| Ok(out.flush()?)) {
        // What could not be written is told at the end of every command.
        Ok(()) | Err(WriteError::Io(_)) => Ok(Exit::Done),
        Err(error) => Err(Error::new(Kind::Damaged, format!("{server}: {error}"))),
    }
}

fn refused(server: &ServerName, error: &ListingError) -> Error {
    match error {
        ListingError::Unreadable { .. } => Error::new(Kind::Damaged, format!("xlog.db of {server}: {error}"))
            .hint("Barman itself fails on it as well; `barman rebuild-xlogdb` makes the file anew"),
        ListingError::Older { .. } | ListingError::Newer { .. } => Error::new(Kind::Stale, error.to_string()),
    }
}

/// Asks the primary of a replica, and prints its answer as it came, without its passwords.
async fn ask_primary(arguments: &cli::SyncInfo, terminal: &Terminal, interrupt: &Interrupt) -> Result<Exit, Error> {
    let site = source::load(&arguments.site, terminal)?.only(&[&arguments.server]);
    let session = Session::open(&site, &interrupt.token, terminal::told()).await;
    let answer = answer_of_primary(&session, &arguments.server).await;
    session.close().await;
    print_answer(&answer?)
}

async fn answer_of_primary(session: &Session, name: &str) -> Result<Vec<u8>, Error> {
    let replica = session.replica(name)?;
    let way = session.cycle(replica).way().await?;
    let Some(commands) = &way.patient().commands else {
        return Err(Error::new(
            Kind::Invalid,
            format!("the primary {} is a catalog on this host, and runs no Barman", replica.primary),
        )
        .hint(format!("`antipode sync-info -c BARMAN_CONF {}` reads it", replica.server)));
    };
    commands.sync_info(&replica.server, None).await.map_err(|error| {
        let error = primary::refused(error, &replica.server);
        error.of(format_args!("primary {}, server {}", replica.primary, replica.server))
    })
}

fn print_answer(stdout: &[u8]) -> Result<Exit, Error> {
    match frame(stdout).map_err(|error| Error::new(Kind::Untrusted, error.to_string()))? {
        Framed::Inactive(sentence) => stdout::print(&format!("{sentence}\n")),
        Framed::Json(json) => {
            let text = String::from_utf8_lossy(json);
            let mut out = BufWriter::new(stdout::Answer);
            // What could not be written is told at the end of every command.
            let _ = text.lines().try_for_each(|line| writeln!(out, "{}", without_secrets(line)));
            let _ = out.flush();
        }
    }
    Ok(Exit::Done)
}

//! `antipode list-servers`: the servers of this host's barman.conf, as Barman lists them.

use std::path::Path;

use crate::barman::ids::{InvalidId, ServerName};
use crate::barman::server_config::ServerConfig;
use crate::cli;
use crate::error::{Error, Exit, Kind};
use crate::observe::version;
use crate::render::clean;
use crate::stdout;

use super::conf_file::ConfFile;

/// Runs the command.
pub fn run(arguments: &cli::ListServers, barman_conf: Option<&Path>) -> Result<Exit, Error> {
    let file = ConfFile::read(barman_conf)?;
    let mut text = String::new();
    for name in file.conf.sections() {
        let server: ServerName =
            name.parse().map_err(|error: InvalidId| Error::new(Kind::Invalid, error.to_string()))?;
        let line = if arguments.minimal { name.to_owned() } else { line(&file, &server)? };
        text.push_str(&line);
        text.push('\n');
    }
    stdout::print(&text);
    Ok(Exit::Done)
}

/// Prints these names, one a line, as `--minimal` does.
pub fn print_names<'a>(names: impl Iterator<Item = &'a ServerName>) -> Exit {
    stdout::print(&names.map(|name| format!("{name}\n")).collect::<String>());
    Exit::Done
}

/// `name - description (marks)`
fn line(file: &ConfFile, server: &ServerName) -> Result<String, Error> {
    // What a line says is the same in every version.
    let config = ServerConfig::read(&file.conf, server, version::NEWEST).map_err(|error| file.invalid(&error))?;
    let Some(config) = config else { return Ok(server.to_string()) };
    let marks = [
        (!config.is_active(), " (inactive)"),
        (config.is_active() && !config.faults(server).is_empty(), " (WARNING: disabled)"),
        (config.is_passive(), " (Passive)"),
    ];
    let marks: String = marks.into_iter().filter(|(holds, _)| *holds).map(|(_, mark)| mark).collect();
    let description = clean(config.description().unwrap_or_default());
    if description.is_empty() && marks.is_empty() {
        return Ok(server.to_string());
    }
    Ok(format!("{server} - {description}{marks}"))
}

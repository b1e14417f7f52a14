//! `antipode sync-wals`: the WAL and history files of one server, now.

use crate::cli;
use crate::commands::interrupt::Interrupt;
use crate::commands::source;
use crate::commands::terminal::Terminal;
use crate::error::{Error, Exit};

use super::sync::{self, Part};

/// Runs the command.
pub async fn run(arguments: &cli::SyncWals, terminal: &Terminal, interrupt: &Interrupt) -> Result<Exit, Error> {
    let server = &arguments.server;
    let site = source::load(&arguments.site, terminal)?.only(&[server]);
    match sync::run(&site, server, &["history", "wal", "xlog.db", "sync-wals.info"], terminal, interrupt).await? {
        Part::Applied(summary) => Ok(sync::end(&summary, terminal)),
        Part::InPlace | Part::Absent(_) => Ok(Exit::Done),
    }
}

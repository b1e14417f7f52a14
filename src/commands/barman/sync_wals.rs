//! `antipode sync-wals`: the WAL and history files of one server, now.

use crate::cli;
use crate::commands::interrupt::Interrupt;
use crate::commands::record::Recorder;
use crate::commands::source;
use crate::commands::terminal::Terminal;
use crate::error::{Error, Exit};

use super::sync::{self, Part};

/// Runs the command.
pub async fn run(arguments: &cli::SyncWals, terminal: &Terminal, interrupt: &Interrupt) -> Result<Exit, Error> {
    let server = &arguments.server;
    let declared = source::declared(&arguments.site, terminal)?;
    let recorder = Recorder::of("sync-wals", &declared, terminal);
    let site = declared.site.only(&[server]);
    let things = ["history", "wal", "xlog.db", "sync-wals.info"];
    match sync::run(&site, server, &things, &recorder, terminal, interrupt).await? {
        Part::Applied(summary) => Ok(sync::end(&summary, terminal)),
        Part::InPlace | Part::Absent(_) => Ok(Exit::Done),
    }
}

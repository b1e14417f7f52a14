//! `antipode sync-backup`: one backup with the WAL that it needs, now.

use crate::barman::ids::{BackupId, ServerName};
use crate::cli;
use crate::commands::interrupt::Interrupt;
use crate::commands::record::Recorder;
use crate::commands::source;
use crate::commands::terminal::Terminal;
use crate::cycle;
use crate::error::{Error, Exit, Kind};
use crate::events::Summary;
use crate::observe::SiteConf;
use crate::site::Site;
use crate::stdout;
use crate::store::locks::LockKind;

use super::sync::{self, Part};

/// Runs the command.
pub async fn run(arguments: &cli::SyncBackup, terminal: &Terminal, interrupt: &Interrupt) -> Result<Exit, Error> {
    let declared = source::declared(&arguments.site, terminal)?;
    let recorder = Recorder::of("sync-backup", &declared, terminal);
    let site = declared.site.only(&[&arguments.server]);
    let server = &arguments.server;
    let absent = || {
        Error::new(Kind::NotFound, format!("Backup {} is absent on {server} server", arguments.backup.escape_debug()))
    };
    let id: BackupId = arguments
        .backup
        .parse()
        .map_err(|_| absent().hint("an id is like 20261122T030000; a backup's name does not stand for it"))?;
    let name: ServerName = server.parse().map_err(|_| cycle::unknown_server(server, &[]))?;
    let running = || {
        Error::new(
            Kind::Busy,
            format!("Another synchronisation process for backup {id} of server {server} is already running."),
        )
    };
    if is_locked(&site, &name, id)? {
        return Err(running());
    }
    match sync::run(&site, server, &[&format!("backup/{id}")], &recorder, terminal, interrupt).await? {
        Part::InPlace => {
            stdout::print(&format!("Backup {id} is already synced with {server} server\n"));
            Ok(Exit::Done)
        }
        Part::Absent(hint) => Err(Error { hint, ..absent() }),
        Part::Applied(summary) if is_busy(&summary) => Err(running()),
        Part::Applied(summary) => Ok(sync::end(&summary, terminal)),
    }
}

/// Whether another process copies this backup: it is not waited for.
fn is_locked(site: &Site, server: &ServerName, id: BackupId) -> Result<bool, Error> {
    let store = SiteConf::read(&site.catalog)?.store(server)?;
    // A lock that cannot be looked at is judged by the apply.
    Ok(store.is_locked(LockKind::SyncBackup(id)).unwrap_or(false))
}

fn is_busy(summary: &Summary) -> bool {
    summary.failed.iter().any(|(_, failure)| failure.kind == Kind::Busy)
}

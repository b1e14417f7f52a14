//! What `barman sync-info` says of a server.

use std::collections::{BTreeMap, BTreeSet};

use crate::barman::ids::ServerName;
use crate::barman::layout::ServerDirs;
use crate::barman::sync_info::{Framed, RemoteDir, SyncConfig, SyncInfo, SyncInfoError, frame};
use crate::barman::wal::WalName;
use crate::barman::xlogdb::XlogDb;
use crate::error::{Error, Kind};
use crate::observe::inventory::{Observed, PrimaryInventory};
use crate::transport::BarmanCommands;

/// What every Barman since 2.19 says of a name that is not in its configuration.
const UNKNOWN_SERVER: &str = "Unknown server '";

/// Runs sync-info and reads its answer. Where xlog.db has such a line still, WAL is only listed from there on: a list of a
/// million takes Barman a minute.
pub async fn ask(
    commands: &dyn BarmanCommands,
    server: &ServerName,
    after: Option<(WalName, u64)>,
) -> Result<Observed, Error> {
    let answer = match (after, commands.sync_info(server, after).await) {
        (Some(_), Err(error)) if error.kind == Kind::CommandFailed => commands.sync_info(server, None).await,
        (_, answer) => answer,
    };
    let stdout = answer.map_err(|error| refused(error, server))?;
    let server = server.clone();
    // Hundreds of megabytes for a million WAL files: not on a thread that others wait for.
    tokio::task::spawn_blocking(move || read(&stdout, &server)).await?
}

/// Why a primary does not answer.
pub fn refused(error: Error, server: &ServerName) -> Error {
    if error.kind == Kind::CommandFailed && error.said().contains(UNKNOWN_SERVER) {
        return Error::new(Kind::NotFound, format!("its Barman has no server named {server}"))
            .hint("see `barman list-servers` there, and set `server:` if it has another name than the replica");
    }
    let is_barmans = error.kind == Kind::CommandFailed && error.hint.is_none();
    let error = error.with_reason();
    if is_barmans {
        error.hint(format!("run `barman sync-info {server}` at the primary; its log says more"))
    } else {
        error
    }
}

fn read(stdout: &[u8], server: &ServerName) -> Result<Observed, Error> {
    let invalid = |error: SyncInfoError| Error::new(Kind::Untrusted, error.to_string()).hint(advice(&error, server));
    match frame(stdout).map_err(invalid)? {
        Framed::Inactive(sentence) => Ok(Observed::Inactive(sentence)),
        Framed::Json(json) => {
            let info = SyncInfo::parse(json).map_err(invalid)?;
            Ok(Observed::Active(Box::new(inventory(info, server)?)))
        }
    }
}

/// What to do about an answer that cannot be used.
fn advice(error: &SyncInfoError, server: &ServerName) -> String {
    match error {
        SyncInfoError::InvalidName { invalid, .. } if invalid.text.contains("://") => format!(
            "Antipode copies files of a host: keep {server} on a disk of the primary, or leave it out of the site file \
             (of a mirror with `except`)"
        ),
        SyncInfoError::InvalidName { .. } => format!(
            "Barman does not write such a name: find out at the primary who did, with `barman sync-info {server}`"
        ),
        SyncInfoError::NotJson { .. }
        | SyncInfoError::CutOff { .. }
        | SyncInfoError::Malformed { .. }
        | SyncInfoError::Shape { .. } => {
            format!("run `barman sync-info {server}` at the primary and see how it ends")
        }
    }
}

fn inventory(info: SyncInfo, server: &ServerName) -> Result<PrimaryInventory, Error> {
    if let Some(other) = info.config.name.as_ref().filter(|name| *name != server) {
        return Err(Error::new(Kind::Untrusted, format!("sync-info answered for the server {other}"))
            .hint("does the ssh key force a command with a fixed server name?"));
    }
    let directories = directories(&info.config, server).ok_or_else(|| {
        Error::new(Kind::Untrusted, "sync-info does not say where the server's files are (`backup_directory`)")
            .hint(format!("run `barman sync-info {server}` at the primary and look at `config`"))
    })?;
    let mut notes = Vec::new();
    let backups =
        info.backups.into_iter().map(|(id, info)| (id, super::primary_backup(id, info, &mut notes))).collect();
    Ok(PrimaryInventory {
        barman: info.version,
        directories,
        backups,
        // Sorted and each once, as it should have come. What is wrong with xlog.db, the file itself tells.
        wals: XlogDb::new(info.wals).into_entries(),
        gone: BTreeSet::new(),
        undescribed: BTreeMap::new(),
        histories: BTreeMap::new(),
        pedigree: BTreeSet::new(),
        last: info.last_name.map(|name| (name, info.last_position)),
        notes,
    })
}

/// The primary's directories; those that it does not name are where Barman has them by default.
fn directories(config: &SyncConfig, server: &ServerName) -> Option<ServerDirs> {
    let path = |directory: &Option<RemoteDir>| directory.as_ref().map(|directory| directory.as_str().into());
    let defaults = ServerDirs::of_backup_directory(path(&config.backup_directory)?, server.clone());
    let wals_directory = path(&config.wals_directory).unwrap_or(defaults.wals_directory);
    Some(ServerDirs {
        basebackups_directory: path(&config.basebackups_directory).unwrap_or(defaults.basebackups_directory),
        xlogdb_directory: path(&config.xlogdb_directory).unwrap_or_else(|| wals_directory.clone()),
        wals_directory,
        ..defaults
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_that_the_primary_does_not_have_is_named() {
        let server = "nosuch".parse().unwrap();
        let stderr = include_bytes!("../../../tests/fixtures/3.19.1/pg15/primary/sync-info-unknown.stderr");
        let error =
            Error::new(Kind::CommandFailed, "exit status 1").saying(String::from_utf8_lossy(stderr).into_owned());
        let failure = refused(error, &server);
        assert_eq!(failure.message, "its Barman has no server named nosuch");
        assert!(failure.hint.is_some());
        let error = Error::new(Kind::CommandFailed, "exit status 1").saying("ERROR: no disk".to_owned());
        assert_eq!(refused(error, &server).message, "exit status 1: ERROR: no disk");
    }
}

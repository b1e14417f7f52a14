//! One look at all servers of a primary of which something is remembered, and where the files of the others may be.

use std::path::PathBuf;

use jiff::Timestamp;

use crate::barman::ids::ServerName;
use crate::barman::layout::ServerDirs;
use crate::error::{Error, Kind, Retry};
use crate::transport::{Connection, Look};

use super::memory::Memory;
use super::sights::{Sights, View, from_below, look_for, with_pedigree};

/// What is seen now of servers of one primary, of each that something is remembered of. Where one of them cannot be looked
/// at, none is: then each is looked at by itself, so that it alone fails.
pub async fn look(
    connection: &Connection,
    memories: &[Option<Memory>],
    now: Timestamp,
) -> Result<Vec<Option<Sights>>, Error> {
    let mut all = Look::default();
    for memory in memories.iter().flatten() {
        let mut look = look_for(&memory.directories, memory.ids());
        if !memory.sights.hides_pedigree {
            look = with_pedigree(look, &memory.directories);
        }
        let Look { names, directories, .. } = look;
        all.names.extend(names);
        all.directories.extend(directories);
    }
    if all.directories.is_empty() {
        return Ok(vec![None; memories.len()]);
    }
    let all = from_below(all);
    let entries = match connection.files.look(&all).await {
        Ok(entries) => entries,
        Err(error) if error.kind.retry() == Retry::Line || error.kind == Kind::Interrupted => return Err(error),
        Err(error) => {
            tracing::debug!("servers are looked at one by one: {error}");
            return Ok(vec![None; memories.len()]);
        }
    };
    let view = View::new(&all.from, entries, now);
    let of = |memory: &Memory| view.of(&memory.directories, Some(&memory.sights));
    Ok(memories.iter().map(|memory| memory.as_ref().map(of)).collect())
}

/// Where the files of servers of one primary may be, given what is remembered of each: where they were, or beside those
/// of another server, or where a login there begins, which in the packages of most systems is `barman_home`. To suppose
/// wrongly costs one rsync that finds nothing, and to ask Barman for all WAL of a large archive costs a minute.
pub fn supposed_places<'a>(
    memories: &[Option<Memory>],
    servers: impl Iterator<Item = &'a ServerName>,
) -> Vec<ServerDirs> {
    let home = memories.iter().flatten().find_map(|memory| home_of(&memory.directories));
    let home = home.unwrap_or_else(|| PathBuf::from("."));
    let place = |(memory, server): (&Option<Memory>, &ServerName)| match memory {
        Some(memory) => memory.directories.clone(),
        None => ServerDirs::of_catalog(&home, server.clone()),
    };
    memories.iter().zip(servers).map(place).collect()
}

/// The `barman_home` of a server that has its files where Barman puts them.
fn home_of(dirs: &ServerDirs) -> Option<PathBuf> {
    let home = dirs.backup_directory.parent()?;
    (*dirs == ServerDirs::of_catalog(home, dirs.server.clone())).then(|| home.to_owned())
}

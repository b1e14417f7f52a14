//! One look at all servers of a primary of which something is remembered, and where the files of the others may be.

use std::path::PathBuf;

use jiff::Timestamp;

use crate::barman::ids::ServerName;
use crate::barman::layout::ServerDirs;
use crate::error::{Error, Kind, Retry};
use crate::transport::{Connection, Look};

use super::memory::Memory;
use super::sights::{Beside, Sights, View, from_below, look_for, with_pedigree};

/// What is seen now of servers of one primary, of each that something is remembered of. Where one of them cannot be looked
/// at, none is: then each is looked at by itself, so that it alone fails. One that a gate shows alone has a look of its own.
pub async fn look(
    connection: &Connection,
    memories: &[Option<Memory>],
    now: Timestamp,
) -> Result<Vec<Option<Sights>>, Error> {
    let mut seen = vec![None; memories.len()];
    let remembered = || memories.iter().enumerate().filter_map(|(at, memory)| Some((at, memory.as_ref()?)));
    let (together, alone): (Vec<_>, Vec<_>) =
        remembered().partition(|(_, memory)| memory.sights.beside != Beside::Nothing);
    for group in std::iter::once(together).chain(alone.into_iter().map(|one| vec![one])) {
        let Some(view) = look_at(connection, group.iter().map(|(_, memory)| *memory), now).await? else { continue };
        for (at, memory) in group {
            seen[at] = Some(view.of(&memory.directories, Some(&memory.sights)));
        }
    }
    Ok(seen)
}

/// One look at some servers; `None` where that cannot be had, or there is none to look at.
async fn look_at(
    connection: &Connection,
    memories: impl Iterator<Item = &Memory>,
    now: Timestamp,
) -> Result<Option<View>, Error> {
    let mut all = Look::default();
    for memory in memories {
        let mut look = look_for(&memory.directories, memory.ids());
        if memory.sights.beside == Beside::All {
            look = with_pedigree(look, &memory.directories);
        }
        let Look { names, directories, .. } = look;
        all.names.extend(names);
        all.directories.extend(directories);
    }
    if all.directories.is_empty() {
        return Ok(None);
    }
    let all = from_below(all);
    match connection.files.look(&all).await {
        Ok(entries) => Ok(Some(View::new(&all.from, entries, now))),
        Err(error) if error.kind.retry() == Retry::Line || error.kind == Kind::Interrupted => Err(error),
        Err(error) => {
            tracing::debug!("servers are looked at one by one: {error}");
            Ok(None)
        }
    }
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

//! One look at all servers of a primary of which something is remembered.

use jiff::Timestamp;

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

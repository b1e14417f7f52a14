//! What is on disk of a backup's base, judged by [`crate::verify::base`] as far as that is cheap.

use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use jiff::Timestamp;

use crate::barman::ids::BackupId;
use crate::observe::inventory::BaseState;
use crate::store::{CatalogError, Place, Root, Store, arrivals, damage, repairs};
use crate::verify::base::{Announced, look};

use super::Depth;
use super::looks::{Look, Looks, Mark, Marker};

pub use crate::verify::base::{MANIFEST, manifest};

/// Compares a base with what is known to belong to it.
pub fn state(store: &dyn Store, id: BackupId, announced: &Announced) -> Result<BaseState, CatalogError> {
    if !announced.is_snapshot && !store.is_directory(Place::Base(id))? {
        return Ok(BaseState::Absent);
    }
    let faults = look(Root::new(store, Place::Base(id)), announced)?.into_iter().map(|fault| fault.path);
    let noted = repairs::noted(store, id)?.into_iter().chain(damage::of_base(store, id)?);
    let files = damaged(faults.chain(noted).chain(arrivals::differing(store, id)?));
    Ok(if files.is_empty() { BaseState::Complete } else { BaseState::Damaged { files } })
}

/// What is known of a base, and since when.
pub struct Judged {
    /// What is on disk of it.
    pub state: BaseState,
    /// When it was looked at, if it was not now.
    pub looked_at: Option<Timestamp>,
    /// What it was known by before it was looked at now, and its directories.
    pub known_by: Option<(Mark, Vec<u8>)>,
}

/// Looks at a base, unless an earlier look is believed.
pub fn judge(store: &dyn Store, id: BackupId, announced: &Announced, looks: &Looks) -> Result<Judged, CatalogError> {
    let looking = looks.looking();
    let mark_of = |content: &[u8]| mark(store, id, announced, content).ok()?.mark(looks.now());
    let shown = |look: &Look| if looking.depth == Depth::Lists { look.mark() } else { mark_of(&look.content) };
    if let Some(look) = looks.believed(id.as_str(), shown)
        && store.is_directory(Place::Base(id))?
        && !store.has(Place::Repairing(id))?
        && damage::of_base(store, id)?.is_empty()
    {
        return Ok(Judged { state: BaseState::Complete, looked_at: Some(look.at), known_by: None });
    }
    // As it was before the base is looked at. One that cannot be walked shows nothing; looking at it tells why.
    let directories = if looking.is_kept { directories(store, Place::Base(id)).ok() } else { None };
    let known_by = directories.and_then(|directories| Some((mark_of(&directories)?, directories)));
    let state = state(store, id, announced)?;
    Ok(Judged { known_by: known_by.filter(|_| state == BaseState::Complete), state, looked_at: None })
}

/// What a base shows of a change: its backup.info, its manifest, and these directories, a line each.
fn mark(store: &dyn Store, id: BackupId, announced: &Announced, directories: &[u8]) -> Result<Marker, CatalogError> {
    let mut marker = Marker::default();
    marker.add(announced);
    let below = directories.split(|b| *b == END).map(|path| Path::new(OsStr::from_bytes(path)));
    for path in std::iter::once(Path::new(MANIFEST)).chain(below) {
        marker.add(path);
        marker.add_stamp(store.look(Place::Base(id).below(path))?.map(|found| found.stamp));
    }
    Ok(marker)
}

/// Ends a path: no name has it.
const END: u8 = 0;

/// A base and every directory below it, by their paths below it.
fn directories(store: &dyn Store, base: Place) -> Result<Vec<u8>, CatalogError> {
    let mut found = vec![PathBuf::new()];
    let mut next = 0;
    while let Some(directory) = found.get(next).cloned() {
        let entries = store.list(base.below(&directory))?.into_iter();
        found.extend(entries.filter(|entry| entry.kind.is_dir()).map(|entry| directory.join(entry.file_name())));
        next += 1;
    }
    let paths: Vec<&[u8]> = found.iter().map(|path| path.as_os_str().as_bytes()).collect();
    Ok(paths.join(&END))
}

/// The paths of what is damaged, each once. The base as a whole is its `data`.
fn damaged(paths: impl Iterator<Item = PathBuf>) -> Vec<PathBuf> {
    let named = paths.map(|path| if path.as_os_str().is_empty() { "data".into() } else { path });
    let paths: BTreeSet<PathBuf> = named.collect();
    paths.into_iter().collect()
}

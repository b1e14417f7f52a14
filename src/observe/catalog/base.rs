//! What is on disk of a backup's base, judged by [`crate::verify::base`] as far as that is cheap.

use std::cell::LazyCell;
use std::collections::BTreeSet;
use std::path::PathBuf;

use jiff::Timestamp;

use crate::barman::ids::BackupId;
use crate::observe::inventory::BaseState;
use crate::store::{CatalogError, Place, Root, Store, repairs};
use crate::verify::base::{Announced, look};

use super::Depth;
use super::looks::{Looks, Mark};

pub use crate::verify::base::{MANIFEST, manifest};

/// Compares a base with what is known to belong to it.
pub fn state(store: &dyn Store, id: BackupId, announced: &Announced) -> Result<BaseState, CatalogError> {
    if !announced.is_snapshot && !store.is_directory(Place::Base(id))? {
        return Ok(BaseState::Absent);
    }
    let faults = look(Root::new(store, Place::Base(id)), announced)?.into_iter().map(|fault| fault.path);
    let files = damaged(faults.chain(repairs::noted(store, id)?));
    Ok(if files.is_empty() { BaseState::Complete } else { BaseState::Damaged { files } })
}

/// What is known of a base, and since when.
pub struct Judged {
    /// What is on disk of it.
    pub state: BaseState,
    /// When it was looked at, if it was not now.
    pub looked_at: Option<Timestamp>,
    /// What it was known by before it was looked at now.
    pub mark: Option<Mark>,
}

/// Looks at a base, unless an earlier look is believed at this depth.
pub fn judge(
    store: &dyn Store,
    id: BackupId,
    announced: &Announced,
    depth: Depth,
    looks: &Looks,
) -> Result<Judged, CatalogError> {
    // A base that cannot be walked shows nothing; looking at it tells why.
    let mark = LazyCell::new(|| looks.mark(store, id, announced).ok());
    let is_as_it_was = |_: &Timestamp| {
        store.is_directory(Place::Base(id)).unwrap_or(false) && !store.has(Place::Repairing(id)).unwrap_or(true)
    };
    if let Some(at) = looks.believed(id, depth, || *mark).filter(is_as_it_was) {
        return Ok(Judged { state: BaseState::Complete, looked_at: Some(at), mark: None });
    }
    // As it was before the base is looked at.
    let mark = *mark;
    Ok(Judged { state: state(store, id, announced)?, looked_at: None, mark })
}

/// The paths of what is damaged, each once. The base as a whole is its `data`.
fn damaged(paths: impl Iterator<Item = PathBuf>) -> Vec<PathBuf> {
    let named = paths.map(|path| if path.as_os_str().is_empty() { "data".into() } else { path });
    let paths: BTreeSet<PathBuf> = named.collect();
    paths.into_iter().collect()
}

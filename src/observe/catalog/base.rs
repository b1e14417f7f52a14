//! What is on disk of a backup's base, judged by [`crate::verify::base`] as far as that is cheap.

use std::path::PathBuf;

use crate::barman::ids::BackupId;
use crate::observe::inventory::BaseState;
use crate::store::{CatalogError, Place, Root, Store};
use crate::verify::base::{Announced, look};

pub use crate::verify::base::{MANIFEST, manifest};

/// Compares a base with what is known to belong to it.
pub fn state(store: &dyn Store, id: BackupId, announced: &Announced) -> Result<BaseState, CatalogError> {
    if !announced.is_snapshot && !store.is_directory(Place::Base(id))? {
        return Ok(BaseState::Absent);
    }
    let files = damaged(look(Root::new(store, Place::Base(id)), announced)?.into_iter().map(|fault| fault.path));
    Ok(if files.is_empty() { BaseState::Complete } else { BaseState::Damaged { files } })
}

/// The paths of what is damaged, each once. The base as a whole is its `data`.
fn damaged(paths: impl Iterator<Item = PathBuf>) -> Vec<PathBuf> {
    let named = paths.map(|path| if path.as_os_str().is_empty() { "data".into() } else { path });
    let paths: std::collections::BTreeSet<PathBuf> = named.collect();
    paths.into_iter().collect()
}

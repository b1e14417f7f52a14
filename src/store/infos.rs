//! The backup.info of a backup, in `meta/` or in its base, and its annotations.

use super::place::Place;
use super::{CatalogError, ChangeError, Store};
use crate::barman::backup_info::BackupInfo;
use crate::barman::ids::BackupId;
use crate::barman::layout::Layout;

/// More than any backup.info: the largest part of it is a list of tablespaces.
const MAX_INFO: u64 = 16 << 20;
/// An annotation is one word.
const MAX_ANNOTATION: u64 = 64;

/// The bytes of a backup.info, where this layout has it.
pub fn bytes(store: &dyn Store, layout: Layout, id: BackupId) -> Result<Option<Vec<u8>>, CatalogError> {
    store.read(Place::BackupInfo(layout, id), MAX_INFO)
}

/// The bytes of a keep annotation, where this layout has it.
pub fn keep(store: &dyn Store, layout: Layout, id: BackupId) -> Result<Option<Vec<u8>>, CatalogError> {
    store.read(Place::Keep(layout, id), MAX_ANNOTATION)
}

/// Whether anything has the name of a keep annotation that some Barman would read.
pub fn is_kept(store: &dyn Store, layout: Layout, id: BackupId) -> Result<bool, CatalogError> {
    for layout in Layout::readable().into_iter().chain([layout]) {
        if store.has(Place::Keep(layout, id))? {
            return Ok(true);
        }
    }
    Ok(false)
}

/// The backup.info that a Barman of this layout would read, if it is here and can be read.
pub fn read(store: &dyn Store, layout: Layout, id: BackupId) -> Option<BackupInfo> {
    let read = |layout| BackupInfo::parse(&bytes(store, layout, id).ok()??).ok();
    read(layout).or_else(|| others(layout).find_map(read))
}

/// Writes a backup.info where its Barman looks for it, and leaves none elsewhere. The backup is locked.
pub fn write(store: &dyn Store, layout: Layout, id: BackupId, info: &BackupInfo) -> Result<(), ChangeError> {
    store.write(Place::BackupInfo(layout, id), &info.write())?;
    others(layout).try_for_each(|other| store.remove(Place::BackupInfo(other, id).into()))
}

/// Removes every backup.info of a backup, so that it is invisible to Barman.
pub fn remove(store: &dyn Store, layout: Layout, id: BackupId) -> Result<(), ChangeError> {
    let all = std::iter::once(layout).chain(others(layout));
    all.into_iter().try_for_each(|layout| store.remove(Place::BackupInfo(layout, id).into()))
}

/// The layouts that have it elsewhere.
fn others(layout: Layout) -> impl Iterator<Item = Layout> {
    Layout::readable().into_iter().filter(move |other| other.uses_meta() != layout.uses_meta())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::barman::layout::ServerDirs;
    use crate::store::Posix;

    #[test]
    fn a_backup_info_is_in_one_place_and_read_from_any() {
        let home = tempfile::tempdir().unwrap();
        let store = Posix::new(ServerDirs::of_catalog(home.path(), "main".parse().unwrap()));
        let store: &dyn Store = &store;
        let id = "20261122T092435".parse().unwrap();
        let [newest, oldest] = Layout::readable();
        let info = BackupInfo::parse(b"status=DONE\n").unwrap();
        for (here, there) in [(oldest, newest), (newest, oldest), (Layout::of("3.13.2".parse().unwrap()), oldest)] {
            write(store, here, id, &info).unwrap();
            assert!(bytes(store, here, id).unwrap().is_some() && bytes(store, there, id).unwrap().is_none());
            assert_eq!(read(store, there, id), Some(info.clone()));
        }
        remove(store, oldest, id).unwrap();
        assert_eq!(read(store, newest, id), None);
    }
}

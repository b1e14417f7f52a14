//! Which files of a published base are being repaired.
//!
//! A file that is repaired gets its name before it is known to be on the disk, as Barman lists the backup meanwhile. What a
//! power cut leaves of it may have the right size and time, and nothing would tell. So its path is noted before it is
//! written, and counts as damaged until all that was noted is on the disk.

use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;

use super::place::Place;
use super::{CatalogError, ChangeError, Store};
use crate::barman::ids::BackupId;

/// More than the paths of a large base have together.
const MAX_NOTE: u64 = 1 << 30;
/// No path holds it.
const END: u8 = 0;

/// The files of a base of which a repair did not come to its end, by their paths below it.
pub fn noted(store: &dyn Store, id: BackupId) -> Result<BTreeSet<PathBuf>, CatalogError> {
    let note = store.read(Place::Repairing(id), MAX_NOTE)?.unwrap_or_default();
    let paths = note.split(|byte| *byte == END).filter(|path| !path.is_empty());
    Ok(paths.map(|path| PathBuf::from(OsStr::from_bytes(path))).collect())
}

/// Notes files that will be written, besides those that are noted already.
pub fn note(store: &dyn Store, id: BackupId, files: &[PathBuf]) -> Result<(), ChangeError> {
    let before = noted(store, id)?;
    let all: BTreeSet<PathBuf> = before.iter().chain(files).cloned().collect();
    if all == before {
        return Ok(());
    }
    let note: Vec<u8> = all.iter().flat_map(|path| [path.as_os_str().as_bytes(), &[END]].concat()).collect();
    store.write(Place::Repairing(id), &note)
}

/// All that was noted is on the disk.
pub fn end(store: &dyn Store, id: BackupId) -> Result<(), ChangeError> {
    store.remove(Place::Repairing(id).into())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::Posix;

    #[test]
    fn files_are_noted_until_the_repair_ends() {
        let directory = tempfile::tempdir().unwrap();
        let (store, id) = (Posix::at(directory.path()), "20261122T030000".parse().unwrap());
        assert!(noted(&store, id).unwrap().is_empty());
        let odd = PathBuf::from(OsStr::from_bytes(b"data/line\nbreak\xff"));
        note(&store, id, &["data/PG_VERSION".into(), odd.clone()]).unwrap();
        note(&store, id, &[odd.clone(), "16384/x".into()]).unwrap();
        assert_eq!(noted(&store, id).unwrap(), BTreeSet::from(["16384/x".into(), "data/PG_VERSION".into(), odd]));
        assert!(noted(&store, "20261121T030000".parse().unwrap()).unwrap().is_empty());
        end(&store, id).unwrap();
        assert!(noted(&store, id).unwrap().is_empty());
    }
}

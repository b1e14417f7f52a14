//! Which WAL files of the site are whole although the primary's have another size: each is read to its end, so that
//! nothing good is taken for broken because the primary says so.

use std::path::PathBuf;

use super::wal_files::{WalFile, find, wal_files};
use crate::barman::wal::WalName;
use crate::verify::wal_file;
use crate::verify::wal_form::Form;
use crate::verify::wal_header::Compression;

use super::catalog::CatalogError;
use super::inventory::{PrimaryInventory, ReplicaInventory, WholeWal};
use crate::store::parallel;

/// A WAL file here, and how it is stored when it is whole.
pub type Read = (WalName, Option<Option<Compression>>);

/// The segments that both ends have, each with another size, and where they are here.
pub fn differing(there: &PrimaryInventory, here: &ReplicaInventory) -> Vec<(WalName, PathBuf)> {
    let files = wal_files(Some(there), here).filter(|file| differs(file, there));
    files.map(|file| (file.name, here.directories.wal(file.name))).collect()
}

/// Reads files to their ends. It blocks for as long as that takes.
pub fn read(files: &[(WalName, PathBuf)]) -> Result<Vec<Read>, CatalogError> {
    let one = |file: &(WalName, PathBuf)| {
        let (name, path) = file;
        Ok((*name, wal_file::read_to_the_end(*name, path).map_err(CatalogError::at(path))?))
    };
    parallel::map(files, one).into_iter().collect()
}

/// Notes what was found whole.
pub fn note(here: &mut ReplicaInventory, found: Vec<Read>) {
    for (name, read) in found {
        let whole = read.map(|compression| WholeWal::Read { compression }).or_else(|| opaque(here, name));
        here.whole.extend(whole.map(|whole| (name, whole)));
    }
}

/// Whether both ends have a file of their own size.
fn differs(file: &WalFile<'_>, there: &PrimaryInventory) -> bool {
    let is_segment = file.name.segment().is_some();
    let size = file.there.filter(|entry| entry.size > 0 && !there.gone.contains(&entry.name)).map(|entry| entry.size);
    is_segment && file.here.is_some_and(|here| here > 0) && size.is_some_and(|size| file.here != Some(size))
}

/// A file that nobody can look into is as good as it was when it was listed, if it has the size that it had then.
fn opaque(here: &ReplicaInventory, name: WalName) -> Option<WholeWal> {
    let line = find(&here.xlogdb.entries, name)?;
    (Form::listed(line).is_hidden() && here.wals.get(&name) == Some(&line.size)).then_some(WholeWal::Opaque)
}

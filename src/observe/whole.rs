//! Which WAL files of the site are whole although the primary's have another size: each is read to its end, so that
//! nothing good is taken for broken because the primary says so.

use super::wal_files::{Span, WalFile, wal_spans};
use crate::barman::compression::Compression;
use crate::barman::wal::WalName;
use crate::store::{CatalogError, Place, Store, parallel};
use crate::verify::wal_file;
use crate::verify::wal_form::WalForm;

use super::inventory::{PrimaryInventory, ReplicaInventory, WholeWal};

/// A WAL file here, and how it is stored when it is whole.
pub type Read = (WalName, Option<Option<Compression>>);

/// The segments that both ends have, each with another size.
pub fn differing(there: &PrimaryInventory, here: &ReplicaInventory) -> Vec<WalName> {
    let differing = |span| match span {
        Span::File(file) if differs(&file, there) => Some(file.name),
        Span::File(_) | Span::Settled(_) => None,
    };
    wal_spans(Some(there), here).filter_map(differing).collect()
}

/// Reads files to their ends. It blocks for as long as that takes.
pub fn read(store: &dyn Store, names: &[WalName]) -> Result<Vec<Read>, CatalogError> {
    let one = |name: &WalName| {
        let at = Place::Wal(*name).into();
        let error = |source| CatalogError { path: store.local(at), source };
        let file = store.open(at)?.ok_or_else(|| error(std::io::ErrorKind::NotFound.into()))?;
        Ok((*name, wal_file::read_to_the_end(*name, &file).map_err(error)?))
    };
    parallel::map(names, one).into_iter().collect()
}

/// Notes what was found whole.
pub fn note(here: &mut ReplicaInventory, found: Vec<Read>) {
    for (name, read) in found {
        let whole = read.map(|compression| WholeWal::Read { compression }).or_else(|| opaque(here, name));
        here.whole.extend(whole.map(|whole| (name, whole)));
    }
}

/// Whether both ends have a file of their own size.
fn differs(file: &WalFile, there: &PrimaryInventory) -> bool {
    let is_segment = file.name.segment().is_some();
    let size = file.there.filter(|entry| entry.size > 0 && !there.gone.contains(&entry.name)).map(|entry| entry.size);
    is_segment && file.here.is_some_and(|here| here > 0) && size.is_some_and(|size| file.here != Some(size))
}

/// A file that nobody can look into is as good as it was when it was listed, if it has the size that it had then.
fn opaque(here: &ReplicaInventory, name: WalName) -> Option<WholeWal> {
    let line = here.xlogdb.entries.get(name)?;
    (WalForm::listed(&line).is_hidden() && here.wals.get(name) == Some(line.size)).then_some(WholeWal::Opaque)
}

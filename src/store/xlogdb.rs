//! xlog.db, the list of the WAL archive, under either of its names. Whoever rewrites it holds Barman's lock of it.

use super::place::Place;
use super::{CatalogError, ChangeError, Store};
use crate::barman::layout::Layout;
use crate::barman::version::BarmanVersion;
use crate::barman::xlogdb::XlogDb;

/// More than the list of a hundred million files: what is longer is no xlog.db.
const MAX_SIZE: u64 = 8 << 30;

/// The bytes of the list, by the name that it has in this layout.
pub fn bytes(store: &dyn Store, layout: Layout) -> Result<Option<Vec<u8>>, CatalogError> {
    bytes_from(store, layout, 0)
}

/// The same from a byte on.
pub fn bytes_from(store: &dyn Store, layout: Layout, offset: u64) -> Result<Option<Vec<u8>>, CatalogError> {
    store.read_from(Place::XlogDb(layout), offset, MAX_SIZE)
}

/// The bytes of the list, by the name that it has in this layout or else by the other.
pub fn bytes_of_any(store: &dyn Store, layout: Layout) -> Result<Option<Vec<u8>>, CatalogError> {
    let mut found = bytes(store, layout)?;
    for other in others(layout) {
        found = match found {
            None => bytes(store, other)?,
            found => found,
        };
    }
    Ok(found)
}

/// The lines of that.
pub fn lines(store: &dyn Store, layout: Layout) -> Result<XlogDb, CatalogError> {
    Ok(bytes_of_any(store, layout)?.map(|bytes| XlogDb::parse(&bytes)).unwrap_or_default())
}

fn others(layout: Layout) -> impl Iterator<Item = Layout> {
    Layout::readable().into_iter().filter(move |other| other.names_xlogdb() != layout.names_xlogdb())
}

/// Rewrites the list under the name of this layout, and removes the other. `change` gets the lines that are there, under
/// this name or else under the other.
pub fn rewrite(
    store: &dyn Store,
    layout: Layout,
    version: BarmanVersion,
    change: impl FnOnce(XlogDb) -> XlogDb,
) -> Result<(), ChangeError> {
    store.write(Place::XlogDb(layout), &change(lines(store, layout)?).write(version))?;
    others(layout).try_for_each(|other| store.remove(Place::XlogDb(other).into()))
}

/// Makes an empty list, unless there is one.
pub fn create(store: &dyn Store, layout: Layout) -> Result<(), ChangeError> {
    if store.has(Place::XlogDb(layout))? { Ok(()) } else { store.write(Place::XlogDb(layout), b"") }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::barman::layout::ServerDirs;
    use crate::store::Posix;

    #[test]
    fn the_lines_of_the_other_name_are_taken_over() {
        let home = tempfile::tempdir().unwrap();
        let store = Posix::new(ServerDirs::of_catalog(home.path(), "main".parse().unwrap()));
        let store: &dyn Store = &store;
        let [newest, oldest] = Layout::readable();
        let line = b"00000001000000000000000A\t16777216\t1.5\tNone\n";
        store.write(Place::XlogDb(oldest), line).unwrap();
        rewrite(store, newest, "3.13.0".parse().unwrap(), |lines| lines).unwrap();
        assert_eq!(bytes(store, newest).unwrap().as_deref(), Some(&line[..]));
        assert_eq!(bytes(store, oldest).unwrap(), None);
        create(store, newest).unwrap();
        assert_eq!(bytes_from(store, newest, 25).unwrap().as_deref(), Some(&line[25..]));
    }
}

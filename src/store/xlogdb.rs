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

/// A list that is made anew and not yet written: the longer it is, the longer others would wait for its lock meanwhile.
#[derive(Debug)]
pub struct Rewritten {
    of: Option<Seen>,
    content: Vec<u8>,
}

/// What tells a list from any other: its length and its CRC-32C.
type Seen = (usize, u32);

impl Rewritten {
    /// Makes it of the list that is there. `change` gets the lines that it has, under the name of this layout or else under
    /// the other.
    pub fn make(
        store: &dyn Store,
        layout: Layout,
        version: BarmanVersion,
        change: impl Fn(XlogDb) -> XlogDb,
    ) -> Result<Self, CatalogError> {
        Ok(Self::of(bytes_of_any(store, layout)?, version, change))
    }

    fn of(bytes: Option<Vec<u8>>, version: BarmanVersion, change: impl Fn(XlogDb) -> XlogDb) -> Self {
        let of = seen(bytes.as_deref());
        let lines = XlogDb::parse(&bytes.unwrap_or_default());
        Self { of, content: change(lines).write(version) }
    }

    /// Writes it under the name of this layout, and removes the other: as it is where the list is still the one that it was
    /// made of, and else made of that which is there now. Whoever calls this holds Barman's lock.
    pub fn write(
        self,
        store: &dyn Store,
        layout: Layout,
        version: BarmanVersion,
        change: impl Fn(XlogDb) -> XlogDb,
    ) -> Result<(), ChangeError> {
        let bytes = bytes_of_any(store, layout)?;
        let is_right = seen(bytes.as_deref()) == self.of;
        let list = if is_right { self } else { Self::of(bytes, version, change) };
        store.write(Place::XlogDb(layout), &list.content)?;
        others(layout).try_for_each(|other| store.remove(Place::XlogDb(other).into()))
    }
}

fn seen(bytes: Option<&[u8]>) -> Option<Seen> {
    bytes.map(|bytes| (bytes.len(), crc32c::crc32c(bytes)))
}

/// Makes an empty list, unless there is one.
pub fn create(store: &dyn Store, layout: Layout) -> Result<(), ChangeError> {
    if store.has(Place::XlogDb(layout))? { Ok(()) } else { store.write(Place::XlogDb(layout), b"") }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

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
        let version = "3.13.0".parse().unwrap();
        let rewritten = Rewritten::make(store, newest, version, |lines| lines).unwrap();
        rewritten.write(store, newest, version, |lines| lines).unwrap();
        assert_eq!(bytes(store, newest).unwrap().as_deref(), Some(&line[..]));
        assert_eq!(bytes(store, oldest).unwrap(), None);
        create(store, newest).unwrap();
        assert_eq!(bytes_from(store, newest, 25).unwrap().as_deref(), Some(&line[25..]));
    }

    #[test]
    fn a_list_that_changes_before_it_is_written_is_made_anew() {
        let home = tempfile::tempdir().unwrap();
        let store = Posix::new(ServerDirs::of_catalog(home.path(), "main".parse().unwrap()));
        let (store, layout, version): (&dyn Store, _, _) = (&store, Layout::NEWEST, "3.19.1".parse().unwrap());
        let line = |number: u32| format!("0000000100000000000000{number:02X}\t16777216\t1.5\tNone\tNone\n");
        let write = |text: &str| store.write(Place::XlogDb(layout), text.as_bytes()).unwrap();
        let added = XlogDb::parse(line(3).as_bytes()).into_entries();
        let made = Cell::new(0);
        let add = |lines: XlogDb| {
            made.set(made.get() + 1);
            lines.with(added.iter())
        };
        for (before, meanwhile, after, times) in [
            (Some(line(1)), None, line(1) + &line(3), 1),
            (Some(line(1)), Some(line(1) + &line(2)), line(1) + &line(2) + &line(3), 2),
            // Of the same length.
            (Some(line(1)), Some(line(2)), line(2) + &line(3), 2),
            (None, None, line(3), 1),
            (None, Some(String::new()), line(3), 2),
        ] {
            store.remove(Place::XlogDb(layout).into()).unwrap();
            if let Some(text) = &before {
                write(text);
            }
            made.set(0);
            let rewritten = Rewritten::make(store, layout, version, add).unwrap();
            if let Some(text) = &meanwhile {
                write(text);
            }
            rewritten.write(store, layout, version, add).unwrap();
            let written = bytes(store, layout).unwrap().map(|bytes| String::from_utf8(bytes).unwrap());
            assert_eq!((written, made.get()), (Some(after), times), "{before:?} {meanwhile:?}");
        }
    }
}

//! Whether the WAL files here begin as their names say, as far as that is cheap.
//!
//! The rule that is held here: what is here counts as WAL only when it was looked at. Of each file the first page is
//! read, decompressed where it is compressed; the whole of it is read where it arrives. What was found good is remembered
//! ([`Remembered`]), so that an archive of a million files is read once and then only listed.

use std::collections::BTreeMap;

use crate::barman::wal::WalName;
use crate::observe::inventory::Unsound;
use crate::store::{Place, Stamp, Store, parallel};
use crate::verify::wal_file::{self, Beginning};

use super::remembered::Remembered;

/// Looks at the files of an archive: those that are not sound, by name, and what the next run need not look at.
pub fn look(store: &dyn Store, stamps: &[(WalName, Stamp)]) -> (BTreeMap<WalName, Unsound>, Remembered) {
    let mut remembered = Remembered::read(store);
    let known: Vec<Option<Beginning>> = stamps.iter().map(|(name, stamp)| remembered.get(*name, *stamp)).collect();
    let unknown: Vec<WalName> =
        stamps.iter().zip(&known).filter(|(_, known)| known.is_none()).map(|((name, _), _)| *name).collect();
    let mut looks = parallel::map(&unknown, |name| begins(store, *name)).into_iter();
    let mut unsound = BTreeMap::new();
    for ((name, stamp), known) in stamps.iter().zip(known) {
        let Some(beginning) = known.or_else(|| looks.next().flatten()) else { continue };
        remembered.note(*name, *stamp, beginning);
        unsound.extend(self::unsound(beginning).map(|unsound| (*name, unsound)));
    }
    (unsound, remembered)
}

/// How a file begins; `None` when it has gone away. One that cannot be read is as good as damaged.
pub fn begins(store: &dyn Store, name: WalName) -> Option<Beginning> {
    match store.open(Place::Wal(name).into()) {
        Ok(None) => None,
        Ok(Some(file)) => Some(wal_file::begins(name, &file).unwrap_or(Beginning::Damaged)),
        Err(_) => Some(Beginning::Damaged),
    }
}

fn unsound(beginning: Beginning) -> Option<Unsound> {
    match beginning {
        Beginning::Sound => None,
        Beginning::Opaque => Some(Unsound::Opaque),
        Beginning::Damaged => Some(Unsound::Damaged),
    }
}

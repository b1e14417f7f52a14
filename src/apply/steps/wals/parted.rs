//! Segments that were brought anew, with those beside them: a record that goes through two is proved by both together.

use std::collections::BTreeSet;

use jiff::Timestamp;

use super::from_the_start;
use crate::barman::wal::{Segment, SegmentSize, WalName};
use crate::error::Error;
use crate::store::{CatalogError, Place, Store, damage};
use crate::verify::wal_proof;

/// Notes which segments do not go together with those beside them even now that they came anew. While one of two waits to be
/// brought itself, nothing is said.
pub fn note(store: &dyn Store, names: impl Iterator<Item = WalName>, sizes: &[SegmentSize]) -> Result<(), Error> {
    let Some(size) = sizes.first().copied() else { return Ok(()) };
    for name in names {
        let pairs = [(Some(name), beside(name, 1, size)), (beside(name, -1, size), Some(name))];
        for (first, next) in pairs.into_iter().filter_map(|(first, next)| first.zip(next)) {
            let waits = damage::has_wal(store, first)? || damage::has_wal(store, next)?;
            let parted = if waits { None } else { parted(store, first, next)? };
            if let Some(why) = parted {
                damage::wals_are_no_better(store, &[(first, why.clone()), (next, why)], Timestamp::now())?;
            }
        }
    }
    Ok(())
}

/// The segment so many places further on its timeline.
fn beside(name: WalName, step: i64, size: SegmentSize) -> Option<WalName> {
    let segment = name.segment()?;
    let number = segment.number(size)?.checked_add_signed(step)?;
    Some(WalName::Segment(Segment::from_number(segment.timeline, number, size)?))
}

/// Why two segments that are here do not go together, if they do not.
fn parted(store: &dyn Store, first: WalName, next: WalName) -> Result<Option<String>, CatalogError> {
    let [at, after] = [first, next].map(Place::Wal);
    let (Some(file), Some(following)) = (store.open(at.into())?, store.open(after.into())?) else { return Ok(None) };
    let read = wal_proof::read(first, &file, None, &BTreeSet::new(), from_the_start);
    let met = read.and_then(|(_, crossing)| {
        crossing.map_or(Ok(None), |crossing| wal_proof::meets((first, crossing), (next, &following), from_the_start))
    });
    met.map_err(|source| CatalogError { path: store.local(at.into()), source })
}

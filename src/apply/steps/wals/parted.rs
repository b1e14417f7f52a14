//! Segments that were brought anew, with those beside them: a record that goes through two is proved by both together.

use std::collections::{BTreeMap, BTreeSet};
use std::io;

use super::from_the_start;
use crate::barman::wal::{Segment, SegmentSize, WalName};
use crate::store::{Place, Store, damage};
use crate::verify::wal_proof::{self, Met};

/// Which segments do not go together with those beside them even now that they came anew, and why: looked at before those
/// that arrived are in their places. While one of two waits to be brought itself, or cannot be read, nothing is said.
pub fn among(
    store: &dyn Store,
    arrived: &BTreeSet<WalName>,
    mended: impl Iterator<Item = WalName>,
    sizes: &[SegmentSize],
) -> BTreeMap<WalName, String> {
    let mut parted = BTreeMap::new();
    let Some(size) = sizes.first().copied() else { return parted };
    let place = |name: WalName| if arrived.contains(&name) { Place::Arrived(name) } else { Place::Wal(name) };
    // One of which that is not known may wait as well.
    let waits = |name: WalName| !arrived.contains(&name) && damage::has_wal(store, name).unwrap_or(true);
    for name in mended {
        let pairs = [(Some(name), beside(name, 1, size)), (beside(name, -1, size), Some(name))];
        for (first, next) in pairs.into_iter().filter_map(|(first, next)| first.zip(next)) {
            if waits(first) || waits(next) {
                continue;
            }
            match met(store, (first, place(first)), (next, place(next))) {
                Ok(Met::Parted(why)) => parted.extend([(first, why.clone()), (next, why)]),
                Ok(Met::Whole | Met::Unknown) => {}
                Err(error) => tracing::debug!("{first} and {next} are not looked at together: {error}"),
            }
        }
    }
    parted
}

/// The segment so many places further on its timeline.
fn beside(name: WalName, step: i64, size: SegmentSize) -> Option<WalName> {
    let segment = name.segment()?;
    let number = segment.number(size)?.checked_add_signed(step)?;
    Some(WalName::Segment(Segment::from_number(segment.timeline, number, size)?))
}

/// What two segments that are here come to together.
fn met(store: &dyn Store, (first, at): (WalName, Place), (next, after): (WalName, Place)) -> io::Result<Met> {
    let open = |place: Place| store.open(place.into()).map_err(|error| error.source);
    let (Some(file), Some(following)) = (open(at)?, open(after)?) else { return Ok(Met::Unknown) };
    let (_, crossing) = wal_proof::read(first, &file, None, &BTreeSet::new(), from_the_start)?;
    let met =
        crossing.map(|crossing| wal_proof::meets((first, crossing), (next, &following), from_the_start)).transpose()?;
    Ok(met.unwrap_or(Met::Unknown))
}

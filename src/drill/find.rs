//! The first step of a drill: which backup is restored, which WAL is replayed, and that none of it is missing.

use std::path::Path;

use crate::barman::drill::{Aim, Verdict};
use crate::barman::ids::BackupId;
use crate::barman::wal::{Segment, SegmentSize};
use crate::error::{Error, Kind};
use crate::observe;
use crate::observe::catalog::Depth;
use crate::observe::inventory::ReplicaInventory;
use crate::plan::recovery::way::{NoWay, Target, Way};
use crate::plan::recovery::window::Segments;
use crate::plan::recovery::{self, View, promise, segments_here};
use crate::store::locks::LockKind;
use crate::store::{Place, Root, Store};
use crate::verify::base::Announced;

use super::ask::Answer;
use super::point::{self, Point};
use super::work::Terms;

/// What a way needs to be restored.
pub struct Found {
    /// How far recovery goes.
    pub target: Target,
    /// The full backup, and the incremental ones in their order; the last one is restored.
    pub chain: Vec<BackupId>,
    /// The release of PostgreSQL.
    pub release: String,
    /// The backup label, where only backup.info has it.
    pub label: Option<String>,
    /// Its tablespaces, by their object ids.
    pub tablespaces: Vec<u32>,
    /// What the report says of it.
    pub aim: Aim,
    /// The last segment that is replayed.
    pub last: Segment,
    /// How many are replayed.
    pub segments: u64,
    /// The size of one.
    pub segment_size: SegmentSize,
    /// Bytes of the backups.
    pub bytes: u64,
}

/// The backup and the WAL.
pub fn find(store: &dyn Store, terms: &Terms<'_>) -> Result<(Answer, Found), Error> {
    let was_at_work = store.is_locked(LockKind::Run)?;
    let here = observe::look_here(store, terms.dirs.clone(), terms.barman, Depth::Everything)?;
    if here.published().next().is_none() {
        return Err(Error::new(Kind::NotFound, "no backup is here yet"));
    }
    let segments = segments_here(&here);
    let view = recovery::before(None, &here, &segments, terms.now);
    let newest = view.way(first(terms.point), terms.backup).map_err(|no| no_way(no, &here, &segments))?;
    refuse_gap(store, terms, &newest, was_at_work)?;
    let (target, way) = by_chance(&view, terms).unwrap_or((first(terms.point), newest));
    if let Some(hidden) = way.hidden {
        let message =
            format!("{} on the way cannot be read here: it is encrypted, or of a custom compression", hidden.first);
        return Err(Error::new(Kind::Unproven, message));
    }
    let found = found(store, &here, &way, target)?;
    let sort = match found.chain.as_slice() {
        [one] => format!("full backup {one}"),
        all => format!("{} backups up to {}", all.len(), all.last().map(ToString::to_string).unwrap_or_default()),
    };
    let told = format!("{sort}, {} WAL files up to {}", way.segments, found.aim.last_wal);
    Ok(((Some(Verdict::Proved), told), found))
}

/// A random point between the oldest backup that leads to the newest point and that, and the way there. `None` where another
/// point was asked for, or only the end is left.
fn by_chance<'v>(view: &View<'v>, terms: &Terms<'_>) -> Option<(Target, Way<'v>)> {
    let oldest = terms.backup.or_else(|| Some(view.recovery().window?.oldest));
    let all = view.way(Target::Latest, oldest.filter(|_| terms.point == Point::Random)?.into()).ok()?;
    let target = Target::Lsn(point::random(&all, terms.chance)?);
    Some((target, view.way(target, terms.backup).ok()?))
}

/// WAL that is missing among what is here ends every recovery, whatever lies behind it.
fn refuse_gap(store: &dyn Store, terms: &Terms<'_>, way: &Way<'_>, was_at_work: bool) -> Result<(), Error> {
    let Some(missing) = point::gap(way) else { return Ok(()) };
    if matches!(terms.point, Point::Time(_)) {
        return Ok(());
    }
    if was_at_work || store.is_locked(LockKind::Run)? {
        let message = format!("{missing} is not here yet, and an apply is at work");
        return Err(Error::new(Kind::Busy, message));
    }
    Err(Error::new(Kind::Damaged, format!("{missing} is missing or damaged: what lies behind it cannot be recovered")))
}

fn found(store: &dyn Store, here: &ReplicaInventory, way: &Way<'_>, target: Target) -> Result<Found, Error> {
    let last = way.chain.last().ok_or_else(|| Error::new(Kind::Internal, "a restore from no backup"))?;
    let published = here.backups.get(&last.id).and_then(|local| local.published.as_ref());
    let info = published.map(|published| published.info.clone()).unwrap_or_default();
    let base = Root::new(store, Place::Base(last.id));
    if base.size(Path::new("data/PG_VERSION"))?.is_none() && !base.is_directory(Path::new("data/global"))? {
        let message = format!("backup {} is in archives, which are not unpacked here", last.id);
        return Err(Error::new(Kind::Unproven, message));
    }
    let release = Announced::of(&info).release;
    let release = release.ok_or_else(|| Error::new(Kind::Unproven, format!("backup {} tells no release", last.id)))?;
    if release.parse().is_ok_and(|release: u32| release < 12) || release.starts_with("9.") {
        return Err(Error::new(
            Kind::Unproven,
            format!("drills are made of PostgreSQL 12 and later, not of {release}"),
        ));
    }
    let (aim, last_segment) = point::aim(way, target, &release)
        .ok_or_else(|| Error::new(Kind::Unproven, format!("backup {} needs no WAL that is here", last.id)))?;
    Ok(Found {
        target,
        chain: aim.backups.clone(),
        release,
        label: info.backup_label().ok().flatten(),
        tablespaces: last.tablespaces.clone(),
        aim,
        last: last_segment,
        segments: way.segments,
        segment_size: way.segment_size,
        bytes: way.chain.iter().filter_map(|facts| facts.size).sum(),
    })
}

/// The target by which the newest point is found, or the one that was named.
fn first(point: Point) -> Target {
    match point {
        Point::Newest | Point::Random => Target::Latest,
        Point::Time(time) => Target::Time(time),
    }
}

fn no_way(no: NoWay, here: &ReplicaInventory, segments: &Segments) -> Error {
    let newest = || here.published().map(|facts| facts.id).next_back();
    let lack = |id| format!("backup {id}: {}", promise::lack(here, id, segments));
    let (kind, message) = match no {
        NoWay::NothingRecoverable => {
            let why = newest().map(|id| format!("; {}", lack(id))).unwrap_or_default();
            (Kind::Damaged, format!("no backup that is here can be restored{why}"))
        }
        NoWay::NotRecoverable(id) => (Kind::Damaged, lack(id)),
        NoWay::NotHere(id) => (Kind::NotFound, format!("there is no backup {id} here")),
        NoWay::EndedLater(id, _) => (Kind::Invalid, format!("backup {id} ended after that point")),
        NoWay::TooEarly(_) => (Kind::Invalid, "every backup that is here ended after that point".to_owned()),
        NoWay::TooLate(id, _) => (Kind::Invalid, format!("the WAL behind backup {id} ends before that point")),
        NoWay::EndsAt(id, end) => (Kind::Invalid, format!("the WAL behind backup {id} ends at {end}")),
    };
    Error::new(kind, message)
}

//! What a catalog is and what it descends from, told by names alone, so that a listing of it shows both.
//!
//! A catalog gives itself a name at random, once: an empty file in its own directory. Each of its replicas notes, as
//! empty files in the replica's own directory and from the first plan after an apply on, that name and those of the
//! catalogs that it is a copy of, directly or not. So a site that lists its primary sees whether that is its own catalog,
//! by whatever path or host it is reached, or a copy of it.
//!
//! In a row of catalogs each replica also notes how far the first of them, the origin, had come when the second looked at
//! it last: its newest segment, when that was archived and when that was seen. Whoever copies a replica hands it on.
//!
//! A replica also says by a name which of its backups are damaged, so that nobody copies them from it.
//!
//! A catalog that was copied with `cp -a` has the name of its model until the two meet: then it takes another, and is told
//! from it by that.

use std::collections::BTreeSet;
use std::fmt;
use std::fs::{self, File};
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::str::FromStr;

use super::posix::{durable, files, places};
use crate::barman::ids::{BackupId, ServerName};
use crate::barman::layout::ServerDirs;
use crate::barman::wal::WalName;

/// More names than any chain of sites has; what a primary tells beyond them is passed over.
const MOST: usize = 64;

/// The name that a catalog gave itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct CatalogName(u64);

/// A name of a file that tells of a catalog's descent.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Mark {
    /// It is in this catalog.
    Catalog(CatalogName),
    /// It is a copy of this server of that catalog, or of a copy of it.
    CopyOf(CatalogName, ServerName),
    /// This backup of it is damaged.
    Damaged(BackupId),
    /// The server that it is a copy of, over whatever copies, had come this far.
    Origin(Origin),
}

/// How far the origin of a row of catalogs had come. Times are in seconds since 1970.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Origin {
    /// When somebody looked at it, by that one's clock.
    pub seen: i64,
    /// The newest segment of its archive.
    pub newest: WalName,
    /// When that was archived, by its clock.
    pub archived: i64,
}

impl fmt::Display for CatalogName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}

impl fmt::Display for Mark {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Catalog(name) => write!(f, "catalog-{name}"),
            Self::CopyOf(name, server) => write!(f, "copy-of-{name}-{server}"),
            Self::Damaged(id) => write!(f, "damaged-{id}"),
            Self::Origin(Origin { seen, newest, archived }) => write!(f, "origin-{newest}-{archived}-{seen}"),
        }
    }
}

impl FromStr for CatalogName {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        let name = u64::from_str_radix(text, 16).map(Self).map_err(drop)?;
        if name.to_string() == text { Ok(name) } else { Err(()) }
    }
}

impl FromStr for Mark {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        if let Some(name) = text.strip_prefix("catalog-") {
            return name.parse().map(Self::Catalog);
        }
        if let Some(id) = text.strip_prefix("damaged-") {
            return id.parse().map(Self::Damaged).map_err(drop);
        }
        if let Some(origin) = text.strip_prefix("origin-") {
            return Origin::from_str(origin).map(Self::Origin);
        }
        let (name, server) = text.strip_prefix("copy-of-").and_then(|rest| rest.split_once('-')).ok_or(())?;
        Ok(Self::CopyOf(name.parse()?, server.parse().map_err(drop)?))
    }
}

impl FromStr for Origin {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        let mut parts = text.split('-');
        let mut part = || parts.next().ok_or(());
        let newest: WalName = part()?.parse().map_err(drop)?;
        let mut time = || part()?.parse().map_err(drop).and_then(|time| if time >= 0 { Ok(time) } else { Err(()) });
        let (archived, seen) = (time()?, time()?);
        let origin = Self { seen, newest, archived };
        if newest.segment().is_some() && Mark::Origin(origin).to_string() == format!("origin-{text}") {
            Ok(origin)
        } else {
            Err(())
        }
    }
}

/// Where marks of a server lie: in our own directories of the server and of its catalog, which usually is the directory
/// above it.
pub fn directories(dirs: &ServerDirs) -> Vec<PathBuf> {
    let above = dirs.backup_directory.parent().map(|home| home.join(places::OWN_DIRECTORY));
    above.into_iter().chain([places::own(dirs)]).collect()
}

/// What a replica is to note of itself, given what its primary shows, how far the origin had come, and which of its backups
/// are damaged: all of them, as what is not named is copied from it as good.
pub fn inherited(
    own: CatalogName,
    server: &ServerName,
    primary: &BTreeSet<Mark>,
    origin: Option<Origin>,
    damaged: impl Iterator<Item = BackupId>,
) -> BTreeSet<Mark> {
    let of_primary = primary.iter().filter_map(|mark| match mark {
        Mark::Catalog(name) => Some(Mark::CopyOf(*name, server.clone())),
        Mark::CopyOf(..) => Some(mark.clone()),
        Mark::Origin(_) | Mark::Damaged(_) => None,
    });
    let damaged = damaged.map(Mark::Damaged);
    of_primary.take(MOST).chain([Mark::Catalog(own)]).chain(origin.map(Mark::Origin)).chain(damaged).collect()
}

/// The name of a catalog, if it has one.
pub fn name_of(home: &Path) -> Option<CatalogName> {
    let marks = marks_in(&home.join(places::OWN_DIRECTORY)).ok()?;
    let names = marks.into_iter().filter_map(|mark| match mark {
        Mark::Catalog(name) => Some(name),
        Mark::CopyOf(..) | Mark::Origin(_) | Mark::Damaged(_) => None,
    });
    // Two runs may have given it one at the same time.
    names.min()
}

/// The name of a catalog, which is given one if it has none and is this user's.
pub fn name(home: &Path) -> io::Result<CatalogName> {
    if let Some(name) = name_of(home) {
        return Ok(name);
    }
    files::check_ours(&home.canonicalize()?)?;
    let (own, name) = (home.join(places::OWN_DIRECTORY), at_random()?);
    durable::create_private_directory(&own)?;
    durable::note(&own.join(Mark::Catalog(name).to_string()), b"")?;
    Ok(name)
}

/// Gives a catalog another name than this one, which another catalog has as well.
pub fn rename(home: &Path, from: CatalogName) -> io::Result<CatalogName> {
    let (own, to) = (home.join(places::OWN_DIRECTORY), at_random()?);
    let path = |name| own.join(Mark::Catalog(name).to_string());
    match fs::rename(path(from), path(to)) {
        // Another run was faster.
        Err(error) if error.kind() == io::ErrorKind::NotFound => name(home),
        renamed => renamed.map(|()| to),
    }
}

/// Notes the marks of a replica where it has a directory of ours, and no others.
pub fn note(dirs: &ServerDirs, marks: &BTreeSet<Mark>) -> io::Result<()> {
    let own = places::own(dirs);
    let there: BTreeSet<Mark> = marks_in(&own)?.into_iter().collect();
    if there == *marks || files::check_ours(&own).is_err() {
        return Ok(());
    }
    for mark in marks.difference(&there) {
        durable::note(&own.join(mark.to_string()), b"")?;
    }
    for mark in there.difference(marks) {
        fs::remove_file(own.join(mark.to_string()))?;
    }
    Ok(())
}

fn marks_in(directory: &Path) -> io::Result<Vec<Mark>> {
    let entries = files::list(directory).map_err(|error| error.source)?;
    Ok(entries.iter().filter_map(|entry| entry.name.parse().ok()).collect())
}

fn at_random() -> io::Result<CatalogName> {
    let mut bytes = [0; 8];
    File::open("/dev/urandom")?.read_exact(&mut bytes)?;
    Ok(CatalogName(u64::from_ne_bytes(bytes)))
}

#[cfg(test)]
mod tests {
    use super::*;

    const A: CatalogName = CatalogName(0xA);
    const B: CatalogName = CatalogName(0xB);

    fn server(name: &str) -> ServerName {
        name.parse().unwrap()
    }

    #[test]
    fn a_mark_is_told_by_the_name_of_its_file() {
        let newest = "00000001000000000000000A".parse().unwrap();
        let origin = Origin { seen: 1_795_330_860, newest, archived: 1_795_330_800 };
        assert_eq!(Mark::Origin(origin).to_string(), "origin-00000001000000000000000A-1795330800-1795330860");
        let damaged = Mark::Damaged("20261122T030000".parse().unwrap());
        for mark in [Mark::Catalog(A), Mark::CopyOf(A, server("main-2")), Mark::Origin(origin), damaged] {
            assert_eq!(mark.to_string().parse(), Ok(mark));
        }
        for other in [
            "catalog-a",
            "catalog-+00000000000000a",
            "copy-of-000000000000000a",
            "copy-of-000000000000000a-",
            "x",
            "damaged-newest",
            "origin-00000001000000000000000A-1795330800",
            "origin-00000001000000000000000A-1795330800-",
            "origin-00000001000000000000000A-+1795330800-1795330860",
            "origin-00000001000000000000000A-1795330800-1795330860-",
            "origin-00000002.history-1795330800-1795330860",
        ] {
            assert_eq!(other.parse::<Mark>(), Err(()), "{other}");
        }
    }

    #[test]
    fn a_replica_descends_from_its_primary_and_from_all_that_this_descends_from() {
        let primary = BTreeSet::from([Mark::Catalog(B), Mark::CopyOf(CatalogName(0xC), server("origin"))]);
        let origin = |seen| Origin { seen, newest: "00000001000000000000000A".parse().unwrap(), archived: 5 };
        let damaged = |day| format!("202611{day}T030000").parse::<BackupId>().unwrap();
        let primary: BTreeSet<Mark> =
            primary.into_iter().chain([Mark::Origin(origin(7)), Mark::Damaged(damaged(20))]).collect();
        let marks = inherited(A, &server("main"), &primary, Some(origin(9)), [damaged(21)].into_iter());
        let expected = [
            Mark::Catalog(A),
            Mark::CopyOf(B, server("main")),
            Mark::CopyOf(CatalogName(0xC), server("origin")),
            Mark::Origin(origin(9)),
            Mark::Damaged(damaged(21)),
        ];
        assert_eq!(marks, BTreeSet::from(expected));
    }

    #[test]
    fn a_replica_names_each_of_its_damaged_backups_however_many_there_are() {
        let damaged = |n| format!("20261122T03{:02}{:02}", n / 60, n % 60).parse::<BackupId>().unwrap();
        let marks = inherited(A, &server("main"), &BTreeSet::new(), None, (0..=MOST).map(damaged));
        assert!((0..=MOST).all(|n| marks.contains(&Mark::Damaged(damaged(n)))), "{marks:?}");
    }

    #[test]
    fn a_catalog_keeps_its_name_until_it_is_given_another() {
        let home = tempfile::tempdir().unwrap();
        assert_eq!(name_of(home.path()), None);
        let first = name(home.path()).unwrap();
        assert_eq!((name(home.path()).unwrap(), name_of(home.path())), (first, Some(first)));
        let second = rename(home.path(), first).unwrap();
        assert_ne!(first, second);
        assert_eq!(rename(home.path(), first).unwrap(), second, "it was renamed before");
        assert_eq!(name_of(home.path()), Some(second));
    }

    #[test]
    fn a_replica_notes_what_it_descends_from_now_where_an_apply_has_been() {
        let home = tempfile::tempdir().unwrap();
        let dirs = ServerDirs::of_catalog(home.path(), server("main"));
        let marks = |names: &[CatalogName]| names.iter().map(|name| Mark::CopyOf(*name, server("main"))).collect();
        note(&dirs, &marks(&[A])).unwrap();
        assert!(!dirs.backup_directory.exists());
        let own = places::own(&dirs);
        fs::create_dir_all(&own).unwrap();
        fs::write(own.join("looks"), "").unwrap();
        note(&dirs, &marks(&[A])).unwrap();
        note(&dirs, &marks(&[B])).unwrap();
        let mut names: Vec<_> = fs::read_dir(&own).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        names.sort();
        assert_eq!(names, ["copy-of-000000000000000b-main", "looks"]);
    }
}

//! The WAL archive as it is on disk, and whether its files begin as their names say.
//!
//! The rule that is held here: what is here counts as WAL only when it was looked at. Of each file the first page is
//! read, decompressed where it is compressed; the whole of it is read where it arrives. Each file is known by its name,
//! size, inode and time of change, so that an archive of a million files is read once and then only listed; and each of
//! its directories is known by the same, so that it is not even listed again while nothing moved ([`Looks`]).

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use jiff::Timestamp;

use crate::barman::ids::ServerName;
use crate::barman::layout::wal_hash_directory;
use crate::barman::wal::WalName;
use crate::barman::wal_map::{Run, WalMap};
use crate::observe::inventory::Unsound;
use crate::store::wals::{self, WalFiles};
use crate::store::{CatalogError, Place, Stamp, Store, parallel};
use crate::verify::wal_file::{self, Beginning};

use super::looks::{Look, Looks, Mark, Marker};

/// The WAL archive of a server.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Archive {
    /// Its files.
    pub files: WalFiles,
    /// Those that are not sound, as far as their beginnings tell.
    pub unsound: WalMap<Unsound>,
    /// The oldest look that this rests on, if it is not all of this run.
    pub looked_at: Option<Timestamp>,
}

impl Archive {
    /// Reads it: the directories that show a change, and those that were not looked at for too long.
    pub fn read(store: &dyn Store, server: &ServerName, looks: &mut Looks) -> Result<Self, CatalogError> {
        let (files, names) = wals::top(store, server)?;
        let mut archive = Self { files, ..Self::default() };
        let directories = parallel::map(&names, |name| Directory::read(store, name, looks));
        let (mut sizes, mut unsound) = (vec![std::mem::take(&mut archive.files.sizes)], Vec::new());
        for (name, directory) in names.iter().zip(directories) {
            let mut directory = directory?;
            sizes.push(directory.sizes);
            unsound.push(directory.unsound);
            archive.files.foreign += directory.foreign;
            archive.files.obstacles.append(&mut directory.obstacles);
            match directory.seen {
                Seen::Now { mark, content } => looks.note(name, mark, content),
                Seen::Before(at) => {
                    looks.carry(name);
                    archive.looked_at = archive.looked_at.into_iter().chain([at]).min();
                }
            }
        }
        (archive.files.sizes, archive.unsound) = (WalMap::joined(sizes), WalMap::joined(unsound));
        Ok(archive)
    }
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

/// A file that was looked at.
#[derive(Debug, Clone, Copy, PartialEq)]
struct File {
    name: WalName,
    size: u64,
    beginning: Beginning,
    /// What it was known by; `None` when it just changed.
    mark: Option<Mark>,
}

/// One directory of the archive.
#[derive(Debug, Default)]
struct Directory {
    sizes: WalMap<u64>,
    unsound: WalMap<Unsound>,
    foreign: u64,
    obstacles: BTreeSet<PathBuf>,
    seen: Seen,
}

/// How much of a directory was looked at.
#[derive(Debug)]
enum Seen {
    /// Nothing; it is as it was then.
    Before(Timestamp),
    /// All.
    Now {
        /// What it is known by, if nothing is wrong with it.
        mark: Option<Mark>,
        /// What is remembered of its files.
        content: Vec<u8>,
    },
}

impl Default for Seen {
    fn default() -> Self {
        Self::Now { mark: None, content: Vec::new() }
    }
}

impl Directory {
    fn read(store: &dyn Store, name: &str, looks: &Looks) -> Result<Self, CatalogError> {
        // As it was before it is listed.
        let found = store.look(Place::Wals.below(Path::new(name)))?;
        let mut marker = Marker::default();
        marker.add_stamp(found.map(|found| found.stamp));
        let mark = marker.mark(looks.now());
        if let Some(look) = looks.believed(name, |_| mark)
            && let Some((sizes, beginnings)) = files(name, &mut &*look.content)
        {
            let unsound = beginnings.filter_map(unsound);
            return Ok(Self { sizes, unsound, seen: Seen::Before(look.at), ..Self::default() });
        }
        let (beginnings, marks) = looks.last(name).and_then(|look| known(name, look)).unwrap_or_default();
        let listed = wals::directory(store, name)?;
        let look = |(name, stamp): &(WalName, Stamp)| {
            let mark = mark_of(*name, *stamp, looks.now());
            let is_known = mark.is_some() && marks.get(*name) == mark;
            let known = if is_known { beginnings.get(*name) } else { None };
            Some(File { name: *name, size: stamp.size, beginning: known.or_else(|| begins(store, *name))?, mark })
        };
        let mut files: Vec<File> = listed.stamps.iter().filter_map(look).collect();
        files.sort_unstable_by_key(|file| file.name);
        let is_known = |file: &File| file.mark.is_some() && file.beginning != Beginning::Damaged;
        let is_whole = listed.foreign == 0
            && listed.obstacles.is_empty()
            && files.len() == listed.stamps.len()
            && files.iter().all(is_known);
        Ok(Self {
            sizes: files.iter().map(|file| (file.name, file.size)).collect(),
            unsound: files.iter().filter_map(|file| Some((file.name, unsound(file.beginning)?))).collect(),
            foreign: listed.foreign,
            obstacles: listed.obstacles,
            seen: Seen::Now { mark: mark.filter(|_| is_whole), content: content(&files) },
        })
    }
}

fn mark_of(name: WalName, stamp: Stamp, now: Timestamp) -> Option<Mark> {
    let mut marker = Marker::default();
    marker.add(name);
    marker.add_stamp(Some(stamp));
    marker.mark(now)
}

/// What is remembered of the files of a directory that can be known again: their sizes, how they begin, and their marks,
/// which only a look at a directory that moved reads.
fn content(files: &[File]) -> Vec<u8> {
    let is_known = |file: &&File| file.mark.is_some() && file.beginning != Beginning::Damaged;
    let known = || files.iter().filter(is_known);
    let sizes: WalMap<u64> = known().map(|file| (file.name, file.size)).collect();
    let beginnings: WalMap<Beginning> = known().map(|file| (file.name, file.beginning)).collect();
    let marks: WalMap<Mark> = known().filter_map(|file| Some((file.name, file.mark?))).collect();
    let mut bytes = Vec::new();
    sizes.write(&mut bytes, |size| size.to_le_bytes());
    beginnings.write(&mut bytes, |beginning| [u8::from(*beginning == Beginning::Opaque)]);
    marks.write(&mut bytes, |mark| mark.to_bytes());
    bytes
}

/// The sizes and the beginnings of the files of a directory as they were; `None` when that cannot be read.
fn files(directory: &str, bytes: &mut &[u8]) -> Option<(WalMap<u64>, WalMap<Beginning>)> {
    let sizes = WalMap::read(bytes, |size| Some(u64::from_le_bytes(size)))?;
    let beginnings = WalMap::read(bytes, |[beginning]| match beginning {
        0 => Some(Beginning::Sound),
        1 => Some(Beginning::Opaque),
        _ => None,
    })?;
    let is_in_it = |run: &Run<u64>| wal_hash_directory(run.first()).as_deref() == Some(directory);
    sizes.runs().iter().all(is_in_it).then_some((sizes, beginnings))
}

/// The beginnings and the marks.
fn known(directory: &str, look: &Look) -> Option<(WalMap<Beginning>, WalMap<Mark>)> {
    let mut bytes = &*look.content;
    let (_, beginnings) = files(directory, &mut bytes)?;
    Some((beginnings, WalMap::read(&mut bytes, Mark::of_bytes)?))
}

#[cfg(test)]
mod tests {
    use std::fs;

    use crate::barman::layout::ServerDirs;
    use crate::barman::wal::Timeline;
    use crate::observe::catalog::{Depth, Looking};
    use crate::store::Posix;

    use super::*;

    struct Ground {
        home: tempfile::TempDir,
        dirs: ServerDirs,
        store: Posix,
    }

    impl Ground {
        fn new() -> Self {
            let home = tempfile::tempdir().unwrap();
            crate::demo::catalog::write(home.path()).unwrap();
            let dirs = ServerDirs::of_catalog(home.path(), "main".parse().unwrap());
            let store = Posix::new(dirs.clone());
            store.make(Place::Own).unwrap();
            Self { home, dirs, store }
        }

        /// As a run some hours later would read it.
        fn read(&self, depth: Depth, hours: i64) -> Archive {
            self.read_by(Looking { depth, believed_for: None, is_kept: true }, hours)
        }

        fn read_by(&self, looking: Looking, hours: i64) -> Archive {
            let now = Timestamp::now() + jiff::SignedDuration::from_hours(hours);
            let mut looks = Looks::read(&self.store, looking, now);
            let archive = Archive::read(&self.store, &self.dirs.server, &mut looks).unwrap();
            looks.keep(&self.store);
            archive
        }

        fn path(&self, name: &str) -> PathBuf {
            self.dirs.wal(name.parse().unwrap())
        }
    }

    const A: &str = "000000010000000000000004";
    const B: &str = "000000010000000000000005";
    const LABEL: &str = "000000010000000000000003.00000028.backup";

    #[test]
    fn an_archive_in_which_nothing_moved_is_as_it_was_looked_at() {
        let ground = Ground::new();
        let noise = vec![7; usize::try_from(fs::metadata(ground.path(LABEL)).unwrap().len()).unwrap()];
        fs::write(ground.path(LABEL), noise).unwrap();
        let first = ground.read(Depth::Changed, 1);
        assert_eq!((first.looked_at, first.unsound.len()), (None, 1));
        let again = ground.read(Depth::Changed, 2);
        assert!(again.looked_at.is_some());
        assert_eq!(Archive { looked_at: None, ..again }, first);
        assert!(ground.home.path().exists());
    }

    #[test]
    fn a_directory_that_shows_a_change_is_read_again_and_what_was_written_in_place_when_all_is() {
        let ground = Ground::new();
        ground.read(Depth::Changed, 1);
        fs::write(ground.path(A), "cut off").unwrap();
        let a: WalName = A.parse().unwrap();
        assert_eq!(ground.read(Depth::Changed, 2).unsound, WalMap::new());
        assert_eq!(ground.read(Depth::Everything, 2).unsound, WalMap::from_iter([(a, Unsound::Opaque)]));

        let ground = Ground::new();
        ground.read(Depth::Changed, 1);
        fs::write(ground.path(A), "cut off").unwrap();
        fs::remove_file(ground.path(B)).unwrap();
        let moved = ground.read(Depth::Changed, 2);
        assert_eq!((moved.files.sizes.get(a), moved.files.sizes.get(B.parse().unwrap())), (Some(7), None));
        assert_eq!(moved.unsound.names().collect::<Vec<_>>(), [a]);
        assert!(moved.looked_at.is_some(), "the other directory did not move");
    }

    #[test]
    fn what_a_look_that_keeps_nothing_finds_otherwise_is_seen_by_the_next() {
        let ground = Ground::new();
        for (hours, content) in [(1, "cut off"), (5, &"\0".repeat(8192))] {
            ground.read(Depth::Everything, hours);
            fs::write(ground.path(A), content).unwrap();
            let size = |archive: Archive| archive.files.sizes.get(A.parse().unwrap());
            assert_ne!(size(ground.read(Depth::Changed, hours + 1)), Some(content.len() as u64));
            ground.read_by(Looking::at(Depth::Everything), hours + 2);
            assert_eq!(size(ground.read(Depth::Changed, hours + 3)), Some(content.len() as u64));
        }
    }

    #[test]
    fn a_directory_in_which_something_is_wrong_is_read_each_time() {
        let ground = Ground::new();
        for (path, content) in [(A, &[0; 8192][..]), ("00000001000000000000000B.gz", b"x")] {
            let path = ground.path(A).with_file_name(path);
            fs::write(&path, content).unwrap();
            ground.read(Depth::Changed, 1);
            let again = ground.read(Depth::Changed, 2);
            let newer =
                again.files.sizes.names().filter(|name| name.timeline() == Timeline(1) && name.segment().is_some());
            assert!(newer.count() > 2 && again.files.foreign + again.unsound.len() as u64 > 0);
            fs::write(ground.path(B), "cut off").unwrap();
            assert_eq!(ground.read(Depth::Changed, 3).files.sizes.get(B.parse().unwrap()), Some(7));
            fs::remove_file(&path).unwrap();
        }
    }
}

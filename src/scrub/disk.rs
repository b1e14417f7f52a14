//! What of a server lies on the disk here and is to be what was written: the files of its published bases, and its WAL.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};

use crate::barman::backup_info::Status;
use crate::barman::ids::{BackupId, ServerName, SystemId};
use crate::barman::wal::{Lsn, Segment, WalName};
use crate::observe::catalog::backups::{self, InfoFile};
use crate::store::{CatalogError, Found, Place, Root, Store, parallel, wals};
use crate::verify::base::Announced;
use crate::verify::tree;

use super::reads::Subject;

/// How many segments a log of 4 GiB may have: a segment has 1 MiB to 1 GiB.
const SEGMENTS_PER_LOG: [u32; 11] = [4096, 2048, 1024, 512, 256, 128, 64, 32, 16, 8, 4];

/// Whether a segment may be the last one of its log.
fn ends_log(seg: u32) -> bool {
    SEGMENTS_PER_LOG.iter().any(|count| seg == count - 1)
}

/// What lies here of a server.
#[derive(Default)]
pub struct Here {
    /// Its published bases.
    pub bases: BTreeMap<BackupId, Base>,
    /// Published backups of which there is no base.
    pub lost: BTreeSet<BackupId>,
    /// Its WAL files.
    pub wals: BTreeMap<WalName, Found>,
}

impl Here {
    /// Every file, those of the newest backup first.
    pub fn files(&self) -> impl Iterator<Item = (Subject, Found)> {
        let of_base = |(id, base): (&BackupId, &Base)| {
            let id = *id;
            let files: Vec<_> =
                base.files.iter().map(|(path, found)| (Subject::OfBase(id, path.clone()), *found)).collect();
            files
        };
        let wals = self.wals.iter().map(|(name, found)| (Subject::Wal(*name), *found));
        self.bases.iter().rev().flat_map(of_base).chain(wals)
    }

    /// The WAL files with their sizes, in order.
    pub fn wal_sizes(&self) -> impl Iterator<Item = (WalName, u64)> {
        self.wals.iter().map(|(name, found)| (*name, found.stamp.size))
    }

    /// The segment that follows a segment on its timeline, and the one before it, by their numbers. Between two names there
    /// may be any number of others, so that these are not walked through.
    pub fn neighbours(&self, name: WalName) -> (Option<WalName>, Option<WalName>) {
        let WalName::Segment(at) = name else { return (None, None) };
        (self.next(at).map(WalName::Segment), self.previous(at).map(WalName::Segment))
    }

    fn has(&self, segment: &Segment) -> bool {
        self.wals.contains_key(&WalName::Segment(*segment))
    }

    fn next(&self, at: Segment) -> Option<Segment> {
        let in_log = at.seg.checked_add(1).map(|seg| Segment { seg, ..at });
        let in_next = at.log.checked_add(1).filter(|_| ends_log(at.seg)).map(|log| Segment { log, seg: 0, ..at });
        [in_log, in_next].into_iter().flatten().find(|segment| self.has(segment))
    }

    fn previous(&self, at: Segment) -> Option<Segment> {
        if let Some(seg) = at.seg.checked_sub(1) {
            return Some(Segment { seg, ..at }).filter(|segment| self.has(segment));
        }
        let log = at.log.checked_sub(1)?;
        let lasts = SEGMENTS_PER_LOG.map(|count| Segment { log, seg: count - 1, ..at });
        lasts.into_iter().find(|segment| self.has(segment) && self.next(*segment) == Some(at))
    }

    /// Whether a file could be here: one of a base that is here may be missing from it.
    pub fn may_have(&self, subject: &Subject) -> bool {
        match subject {
            Subject::OfBase(id, _) => self.bases.contains_key(id),
            Subject::Wal(name) => self.wals.contains_key(name),
        }
    }

    /// The systems that WAL may be of: those of the backups, and others; none where no backup says so.
    pub fn systems(&self, besides: &[SystemId]) -> BTreeSet<SystemId> {
        let mut systems: BTreeSet<SystemId> = self.bases.values().filter_map(|base| base.announced.system).collect();
        if !systems.is_empty() {
            systems.extend(besides);
        }
        systems
    }
}

/// A published base.
pub struct Base {
    /// What its backup.info says of its files.
    pub announced: Announced,
    /// From where to where the log went while it was taken.
    pub taken: Option<RangeInclusive<Lsn>>,
    /// Its files, but for Barman's own, by their paths below it.
    pub files: BTreeMap<PathBuf, Found>,
}

/// Lists it; no file is opened but for backup.info.
pub fn list(store: &dyn Store, server: &ServerName) -> Result<Here, CatalogError> {
    let mut here = Here::default();
    for (id, (announced, taken)) in published(store)? {
        if announced.is_snapshot {
            continue;
        }
        if store.is_directory(Place::Base(id))? {
            here.bases.insert(id, Base { announced, taken, files: files(store, id)? });
        } else {
            here.lost.insert(id);
        }
    }
    let (top, directories) = wals::top(store, server)?;
    for (name, _) in top.sizes.iter() {
        here.wals.extend(store.look(Place::Wal(name).into())?.map(|found| (name, found)));
    }
    for listed in parallel::map(&directories, |directory| wals::found(store, directory)) {
        here.wals.extend(listed?);
    }
    Ok(here)
}

/// Whether a backup is published still: Barman may have deleted it meanwhile.
pub fn is_published(store: &dyn Store, id: BackupId) -> Result<bool, CatalogError> {
    Ok(published(store)?.contains_key(&id))
}

type Published = BTreeMap<BackupId, (Announced, Option<RangeInclusive<Lsn>>)>;

fn published(store: &dyn Store) -> Result<Published, CatalogError> {
    let mut published = BTreeMap::new();
    for (id, backup) in backups::read(store)?.by_id {
        if let Some(InfoFile::Readable(metadata)) = backup.info()
            && metadata.facts.status == Status::Done
            && !backup.going_away
        {
            let [begin, end] = [metadata.info.begin_xlog(), metadata.info.end_xlog()].map(|at| at.ok().flatten());
            let taken = begin.zip(end).map(|(begin, end)| begin..=end);
            published.insert(id, (Announced::of(&metadata.info), taken));
        }
    }
    Ok(published)
}

fn files(store: &dyn Store, id: BackupId) -> Result<BTreeMap<PathBuf, Found>, CatalogError> {
    let (root, mut files) = (Root::new(store, Place::Base(id)), BTreeMap::new());
    let mut directories = vec![PathBuf::new()];
    while !directories.is_empty() {
        let mut below = Vec::new();
        for listed in parallel::map(&directories, |directory| listed(root, directory)) {
            let (found, more) = listed?;
            files.extend(found);
            below.extend(more);
        }
        directories = below;
    }
    Ok(files)
}

type Listed = (Vec<(PathBuf, Found)>, Vec<PathBuf>);

/// The files and the directories in a directory.
fn listed(root: Root<'_>, directory: &Path) -> Result<Listed, CatalogError> {
    let (mut files, mut directories) = (Vec::new(), Vec::new());
    for entry in root.list(directory)? {
        let path = directory.join(entry.file_name());
        if tree::is_barmans(&path) {
            continue;
        }
        if entry.kind.is_dir() {
            directories.push(path);
        } else if let Some(found) = entry.found()? {
            files.push((path, found));
        }
    }
    Ok((files, directories))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::Posix;

    /// What is on a disk that has these WAL files.
    fn here(names: &[&str]) -> Here {
        let home = tempfile::tempdir().unwrap();
        let dirs = crate::barman::layout::ServerDirs::of_catalog(home.path(), "main".parse().unwrap());
        for name in names {
            let path = dirs.wal(name.parse().unwrap());
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, "it").unwrap();
        }
        list(&Posix::new(dirs.clone()), &dirs.server).unwrap()
    }

    #[test]
    fn the_segments_beside_one_are_those_of_the_numbers_beside_its_own() {
        let (f, g) = ("00000001000000000000000F", "000000010000000000000010");
        let (last, first) = ("0000000100000000000000FF", "000000010000000100000000");
        let label = "00000001000000000000000F.00000028.backup";
        let small_last = "000000010000000000000FFF";
        for (names, name, next, previous) in [
            (vec![f, label, g], f, Some(g), None),
            (vec![f, label, g], g, None, Some(f)),
            (vec![f, label, g], label, None, None),
            (vec![f, "000000010000000000000011"], f, None, None),
            (vec![f, "000000020000000000000010"], f, None, None),
            (vec![last, first], last, Some(first), None),
            (vec![last, first], first, None, Some(last)),
            (vec![small_last, last, first], first, None, Some(small_last)),
            (vec!["0000000100000000000000FE", first], first, None, None),
        ] {
            let told = |name: Option<&str>| name.map(|name| name.parse().unwrap());
            assert_eq!(
                here(&names).neighbours(name.parse().unwrap()),
                (told(next), told(previous)),
                "{names:?} {name}"
            );
        }
    }
}

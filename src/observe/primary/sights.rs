//! What can be seen of a server at its primary without reading a file: names, sizes and times.
//!
//! A directory shows by its time that a file came, went or was renamed in it. What is written to a file in place shows in
//! the file's own time, but for a second change within the same second. So a time is only relied upon when it is
//! *settled*: when the primary's clock has been seen two seconds past it, or when it was the same two seconds ago by the
//! clock here. Neither clock needs to be right for that.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::barman::ids::BackupId;
use crate::barman::layout::{HashDirectory, Layout, ServerDirs};
use crate::barman::wal::WalName;
use crate::store::pedigree::{self, Mark};
use crate::transport::{Look, RemoteEntry};

/// In seconds; a file may change once more within the second of its time.
const TICK: i64 = 2;

/// What was seen of a file or directory. Times are in seconds since 1970.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sight {
    /// In bytes; 0 for a directory.
    pub size: u64,
    /// When it changed, by the primary's clock.
    pub mtime: i64,
    /// When it was first seen so, by the clock here.
    pub since: i64,
}

impl Sight {
    fn is_like(self, other: Self) -> bool {
        (self.size, self.mtime) == (other.size, other.mtime)
    }
}

/// What was seen of a server.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Sights {
    /// The bases and what tells of backups, each by its path.
    pub backups: BTreeMap<PathBuf, Sight>,
    /// xlog.db, by its names.
    pub lists: BTreeMap<PathBuf, Sight>,
    /// The directories of the archive.
    pub directories: BTreeMap<HashDirectory, Sight>,
    /// The history files, by their names.
    pub histories: BTreeMap<String, Sight>,
    /// Whether there is an archive.
    pub has_archive: bool,
    /// What else there may be looked at with it.
    #[serde(default)]
    pub beside: Beside,
    /// What its catalog is, and descends from.
    #[serde(skip)]
    pub pedigree: BTreeSet<Mark>,
    /// The primary's clock has been seen to be at this, and ours is.
    #[serde(skip)]
    clock: i64,
    /// When this was seen, by the clock here.
    #[serde(skip)]
    at: i64,
}

/// What may be looked at in the same look as the directories of a server.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub enum Beside {
    /// Our own directories there, and other servers.
    #[default]
    All,
    /// Other servers.
    Servers,
    /// Nothing: a gate lets this site look at a server's own directories only.
    Nothing,
}

/// The names under which all is seen of a server that has these backups, by their absolute paths.
pub fn look_for<'a>(dirs: &ServerDirs, ids: impl Iterator<Item = &'a BackupId>) -> Look {
    let [newest, legacy] = Layout::readable();
    // Barmans before 3.13.3 have files of a backup in its base.
    let of_backup =
        |id: &BackupId| [legacy.backup_info(dirs, *id), legacy.keep(dirs, *id), legacy.delete_this(dirs, *id)];
    let names = [newest.xlogdb(dirs), legacy.xlogdb(dirs)].into_iter().chain(ids.flat_map(of_backup)).collect();
    let directories =
        vec![dirs.meta_directory.clone(), dirs.basebackups_directory.clone(), dirs.wals_directory.clone()];
    Look { from: PathBuf::from("/"), names, directories }
}

/// The same with what the catalog is and descends from, where there is an Antipode at work.
pub fn with_pedigree(look: Look, dirs: &ServerDirs) -> Look {
    let mut directories = look.directories;
    directories.extend(pedigree::directories(dirs));
    Look { directories, ..look }
}

/// The same look from the directory that all is below.
pub fn from_below(look: Look) -> Look {
    let mut above = look.names.iter().chain(&look.directories).filter_map(|path| path.parent());
    let first = above.next().unwrap_or(Path::new("/")).to_owned();
    let from = above.fold(first, |common, path| {
        common.components().zip(path.components()).take_while(|(a, b)| a == b).map(|(part, _)| part).collect()
    });
    let below = |paths: Vec<PathBuf>| {
        paths.into_iter().map(|path| path.strip_prefix(&from).map_or(path.clone(), Path::to_owned)).collect()
    };
    Look { names: below(look.names), directories: below(look.directories), from }
}

/// What one look showed, of any number of servers.
pub struct View {
    /// By their absolute paths.
    entries: BTreeMap<PathBuf, RemoteEntry>,
    clock: i64,
    at: i64,
}

impl View {
    /// What a look from a directory showed.
    pub fn new(from: &Path, entries: Vec<RemoteEntry>, now: Timestamp) -> Self {
        let at = now.as_second();
        let clock = entries.iter().map(|entry| entry.mtime).filter(|mtime| *mtime <= at).max().unwrap_or(i64::MIN);
        Self { entries: entries.into_iter().map(|entry| (from.join(&entry.path), entry)).collect(), clock, at }
    }

    /// What it showed of a server. `before` is what an earlier one did.
    pub fn of(&self, dirs: &ServerDirs, before: Option<&Sights>) -> Sights {
        let mut sights = Sights { clock: self.clock, at: self.at, ..Sights::default() };
        let roots = [&dirs.meta_directory, &dirs.basebackups_directory, &dirs.wals_directory, &dirs.xlogdb_directory];
        for root in BTreeSet::from(roots) {
            let below = self.entries.range(root.clone()..).take_while(|(path, _)| path.starts_with(root));
            below.for_each(|(path, entry)| sights.add(dirs, path, entry));
        }
        let above =
            |path: &Path| path.parent().is_some_and(|own| pedigree::directories(dirs).iter().any(|at| at == own));
        let names = self.entries.keys().filter(|path| above(path)).filter_map(|path| path.file_name()?.to_str());
        sights.pedigree = names.filter_map(|name| name.parse().ok()).collect();
        if let Some(before) = before {
            sights.date(before);
            sights.beside = before.beside;
        }
        sights
    }
}

impl Sights {
    fn add(&mut self, dirs: &ServerDirs, path: &Path, entry: &RemoteEntry) {
        let sight = Sight { size: entry.size, mtime: entry.mtime, since: self.at };
        let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        let is_list = Layout::readable().iter().any(|layout| layout.xlogdb(dirs) == path);
        if path == dirs.wals_directory {
            self.has_archive = entry.is_directory;
        } else if is_list && !entry.is_directory {
            self.lists.insert(name.into(), sight);
        } else if path.parent() == Some(&dirs.wals_directory) {
            if entry.is_directory {
                self.directories.extend(name.parse().map(|directory: HashDirectory| (directory, sight)));
            } else if matches!(name.parse(), Ok(WalName::History(_))) {
                self.histories.insert(name.to_owned(), sight);
            }
        } else if is_of_backup(dirs, path, name, entry.is_directory) {
            self.backups.insert(path.to_owned(), sight);
        }
    }

    /// What is as it was has been so since then.
    fn date(&mut self, before: &Self) {
        date(&mut self.backups, &before.backups);
        date(&mut self.lists, &before.lists);
        date(&mut self.directories, &before.directories);
        date(&mut self.histories, &before.histories);
    }

    /// Whether what was read of it after this sight can be told from all that comes later.
    pub fn is_settled(&self, sight: Sight) -> bool {
        sight.mtime.saturating_add(TICK) <= self.clock || sight.since.saturating_add(TICK) <= self.at
    }

    /// The same to be remembered: when it was seen is in each sight.
    #[must_use]
    pub fn to_remember(self) -> Self {
        Self { clock: 0, at: 0, pedigree: BTreeSet::new(), ..self }
    }

    /// The same, where so much may be looked at beside it.
    #[must_use]
    pub fn beside(self, beside: Beside) -> Self {
        Self { beside, ..self }
    }

    /// Whether all that tells of backups is settled.
    pub fn are_backups_settled(&self) -> bool {
        self.backups.values().all(|sight| self.is_settled(*sight))
    }

    /// Whether all names of xlog.db are settled.
    pub fn are_lists_settled(&self) -> bool {
        self.lists.values().all(|sight| self.is_settled(*sight))
    }

    /// Whether the backups look as they did.
    pub fn has_backups_of(&self, other: &Self) -> bool {
        are_like(&self.backups, &other.backups)
    }

    /// Whether xlog.db looks as it did.
    pub fn has_lists_of(&self, other: &Self) -> bool {
        are_like(&self.lists, &other.lists)
    }

    /// Whether a directory of the archive looks as it did.
    pub fn has_directory_of(&self, other: &Self, directory: HashDirectory) -> bool {
        let (now, then) = (self.directories.get(&directory), other.directories.get(&directory));
        now.zip(then).is_some_and(|(now, then)| now.is_like(*then))
    }
}

/// Whether something tells of a backup, by where it is.
fn is_of_backup(dirs: &ServerDirs, path: &Path, name: &str, is_directory: bool) -> bool {
    let is_id = |name: Option<&str>| name.is_some_and(|name| name.parse::<BackupId>().is_ok());
    match path.parent() {
        Some(parent) if parent == dirs.basebackups_directory => is_directory && is_id(Some(name)),
        Some(parent) if parent == dirs.meta_directory => !is_directory && is_id(name.get(.."20261122T030000".len())),
        _ => !is_directory && path.starts_with(&dirs.basebackups_directory),
    }
}

fn date<K: Ord>(now: &mut BTreeMap<K, Sight>, before: &BTreeMap<K, Sight>) {
    for (key, sight) in now {
        if let Some(before) = before.get(key).filter(|before| before.is_like(*sight)) {
            sight.since = before.since.min(sight.since);
        }
    }
}

fn are_like<K: Ord>(a: &BTreeMap<K, Sight>, b: &BTreeMap<K, Sight>) -> bool {
    a.len() == b.len() && a.iter().zip(b).all(|((a, now), (b, then))| a == b && now.is_like(*then))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn dirs() -> ServerDirs {
        ServerDirs::of_catalog(Path::new("/b"), "main".parse().unwrap())
    }

    fn entry(path: &str, mtime: i64) -> RemoteEntry {
        let is_directory = path.ends_with('/');
        RemoteEntry { path: path.trim_end_matches('/').into(), size: 7, mtime, is_directory }
    }

    fn seen(entries: &[RemoteEntry], before: Option<&Sights>, now: i64) -> Sights {
        let now = Timestamp::from_second(now).unwrap();
        View::new(Path::new("/b"), entries.to_vec(), now).of(&dirs(), before)
    }

    #[test]
    fn only_what_barman_has_there_is_seen() {
        let sights = seen(
            &[
                "main/meta/20261122T030000-backup.info",
                "main/meta/20261122T030000-keep",
                "main/meta/notes.txt",
                "main/base/20261122T030000/",
                "main/base/20261122T030000/backup.info",
                "main/base/lost+found/",
                "main/wals/",
                "main/wals/main-xlog.db",
                "main/wals/00000002.history",
                "main/wals/0000000100000000/",
                "main/wals/.antipode.tmp/",
                "other/meta/20261122T030000-keep",
            ]
            .map(|path| entry(path, 1)),
            None,
            9,
        );
        assert!(sights.has_archive);
        let counts = [sights.backups.len(), sights.lists.len(), sights.directories.len(), sights.histories.len()];
        assert_eq!(counts, [4, 1, 1, 1], "{sights:?}");
    }

    #[test]
    fn a_time_is_settled_when_either_clock_has_passed_it_since_it_was_seen() {
        let file = "main/meta/20261122T030000-backup.info";
        let sight = |sights: &Sights| *sights.backups.values().next().unwrap();
        // The mtime of the file, the newest elsewhere, when it was first seen and when it is seen now, here.
        for (mtime, newest, first, now, is_settled) in [
            (100, 101, 500, 500, false),
            (100, 102, 500, 500, true),
            (100, 100, 500, 501, false),
            (100, 100, 500, 502, true),
            (100, 100, 502, 500, false),
            // A time that lies in the future here tells nothing of the primary's clock.
            (100, 900, 500, 500, false),
        ] {
            let entries = [entry(file, mtime), entry("main/wals/main-xlog.db", newest)];
            let before = seen(&[entry(file, mtime), entry("main/wals/main-xlog.db", newest)], None, first);
            let sights = seen(&entries, Some(&before), now);
            assert_eq!(sights.is_settled(sight(&sights)), is_settled, "{mtime} {newest} {first} {now}");
        }
    }

    #[test]
    fn a_look_is_from_the_directory_that_all_is_below() {
        let id: BackupId = "20261122T030000".parse().unwrap();
        let look = from_below(look_for(&dirs(), [id].iter()));
        assert_eq!(look.from, Path::new("/b/main"));
        assert_eq!(look.directories, ["meta", "base", "wals"].map(PathBuf::from));
        assert_eq!(look.names[..2], ["wals/main-xlog.db", "wals/xlog.db"].map(PathBuf::from));
        let elsewhere = ServerDirs { wals_directory: "/w".into(), xlogdb_directory: "/x/y".into(), ..dirs() };
        let look = from_below(look_for(&elsewhere, [].iter()));
        assert_eq!((look.from.as_path(), look.names[0].as_path()), (Path::new("/"), Path::new("x/y/main-xlog.db")));
    }
}

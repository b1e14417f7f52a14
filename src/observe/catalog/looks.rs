//! When each base here was last looked at and found whole, from one run to the next.
//!
//! Looking at a base takes its manifest and the size of each of its files. What its directories show takes a small part
//! of that: no file can come, go or be renamed without a change of its directory. It does not show a file that was
//! written to in place; so what rests on an earlier look is said to, with its time, and a plan never does.
//!
//! What is remembered is in our own directory of the server, and may be removed at any moment: then everything is looked
//! at again. What changed a moment ago is not remembered, as it could change once more within the same tick of the clock;
//! nor is what is damaged.

use std::collections::BTreeMap;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::path::{Path, PathBuf};
use std::time::Duration;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::barman::ids::BackupId;
use crate::store::{CatalogError, Place, Stamp, Store};
use crate::verify::base::{Announced, MANIFEST};

use super::{Depth, remembered};

/// The version of the form.
const VERSION: u32 = 1;
/// More than the looks at a hundred thousand backups.
const MAX_SIZE: u64 = 16 << 20;

/// A base that was looked at and found whole.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
struct Look {
    /// What it was known by.
    mark: u64,
    /// When it was looked at.
    at: Timestamp,
}

/// The form of the file.
#[derive(Serialize, Deserialize)]
struct Form {
    format_version: u32,
    bases: BTreeMap<BackupId, Look>,
}

/// What a base was known by just before it was looked at.
#[derive(Debug, Clone, Copy)]
pub struct Mark {
    value: u64,
    /// Whether nothing changed in the last moment.
    is_settled: bool,
}

/// The looks of earlier runs at the bases of a server, and those of this one.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Looks {
    old: BTreeMap<BackupId, Look>,
    new: BTreeMap<BackupId, Look>,
    now: Timestamp,
}

impl Looks {
    /// What earlier runs noted of a server; nothing when that cannot be read.
    pub fn read(store: &dyn Store, now: Timestamp) -> Self {
        let stored = store.read(Place::Looks, MAX_SIZE).ok().flatten();
        let form = stored.and_then(|stored| serde_json::from_slice::<Form>(&stored).ok());
        let old = form.filter(|form| form.format_version == VERSION).map(|form| form.bases);
        Self { old: old.unwrap_or_default(), new: BTreeMap::new(), now }
    }

    /// What a base is known by now.
    pub fn mark(&self, store: &dyn Store, id: BackupId, announced: &Announced) -> Result<Mark, CatalogError> {
        let mut hasher = DefaultHasher::new();
        announced.hash(&mut hasher);
        let mut newest = Duration::ZERO;
        let mut note = |path: &Path, stamp: Option<Stamp>| {
            (path, stamp).hash(&mut hasher);
            newest = newest.max(stamp.map(Stamp::changed).unwrap_or_default());
        };
        let base = Place::Base(id);
        let stamp = |path: &Path| Ok::<_, CatalogError>(store.look(base.below(path))?.map(|found| found.stamp));
        note(Path::new(MANIFEST), stamp(Path::new(MANIFEST))?);
        for directory in directories(store, base)? {
            note(&directory, stamp(&directory)?);
        }
        let now = Duration::from_secs(u64::try_from(self.now.as_second()).unwrap_or_default());
        Ok(Mark { value: hasher.finish(), is_settled: newest + remembered::TICK < now })
    }

    /// When a base was last looked at, if it was found whole then and is believed to be at this depth.
    pub fn believed(&self, id: BackupId, depth: Depth, mark: impl FnOnce() -> Option<Mark>) -> Option<Timestamp> {
        let look = self.old.get(&id).filter(|look| look.at <= self.now)?;
        let is_believed = match depth {
            Depth::Metadata | Depth::Everything => false,
            Depth::Lists => true,
            Depth::Changed => mark().is_some_and(|mark| mark.value == look.mark),
        };
        is_believed.then_some(look.at)
    }

    /// Notes that a base was looked at in this run and is whole.
    pub fn note(&mut self, id: BackupId, mark: Mark) {
        if mark.is_settled {
            self.new.insert(id, Look { mark: mark.value, at: self.now });
        }
    }

    /// Notes that an earlier look at a base was believed in this run.
    pub fn carry(&mut self, id: BackupId) {
        self.new.extend(self.old.get(&id).map(|look| (id, *look)));
    }

    /// Keeps what was noted in this run for the next one, where our own directory takes it.
    pub fn keep(&self, store: &dyn Store) {
        let form = Form { format_version: VERSION, bases: self.new.clone() };
        // Nothing in the form can fail to be written; without it everything would be looked at again.
        let content = serde_json::to_vec(&form).unwrap_or_default();
        if self.old != self.new
            && let Err(error) = store.write(Place::Looks, &content)
        {
            tracing::debug!("what was looked at is not remembered: {error}");
        }
    }
}

/// A base and every directory below it, by their paths below it, in an order that depends on these only.
fn directories(store: &dyn Store, base: Place) -> Result<Vec<PathBuf>, CatalogError> {
    let mut found = vec![PathBuf::new()];
    let mut next = 0;
    while let Some(directory) = found.get(next).cloned() {
        let entries = store.list(base.below(&directory))?.into_iter();
        let mut below: Vec<PathBuf> =
            entries.filter(|entry| entry.kind.is_dir()).map(|entry| directory.join(entry.file_name())).collect();
        below.sort_unstable();
        found.extend(below);
        next += 1;
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use std::fs;

    use crate::barman::layout::ServerDirs;
    use crate::store::Posix;

    use super::*;

    struct Ground {
        _home: tempfile::TempDir,
        dirs: ServerDirs,
        store: Posix,
        id: BackupId,
    }

    impl Ground {
        fn new() -> Self {
            let home = tempfile::tempdir().unwrap();
            let dirs = ServerDirs::of_catalog(home.path(), "main".parse().unwrap());
            let id: BackupId = "20261122T092435".parse().unwrap();
            fs::create_dir_all(dirs.backup_directory.join(".antipode")).unwrap();
            fs::create_dir_all(dirs.base(id).join("data/base/1")).unwrap();
            fs::write(dirs.base(id).join("data/base/1/1259"), "x").unwrap();
            Self { _home: home, store: Posix::new(dirs.clone()), dirs, id }
        }

        /// As a run some hours later would.
        fn looks(&self, hours: i64) -> Looks {
            Looks::read(&self.store, Timestamp::now() + jiff::SignedDuration::from_hours(hours))
        }

        fn mark(&self, looks: &Looks) -> Mark {
            looks.mark(&self.store, self.id, &Announced::default()).unwrap()
        }

        fn look(&self) -> Timestamp {
            let mut looks = self.looks(1);
            looks.note(self.id, self.mark(&looks));
            looks.keep(&self.store);
            looks.now
        }

        fn believed(&self, depth: Depth) -> Option<Timestamp> {
            let looks = self.looks(2);
            looks.believed(self.id, depth, || Some(self.mark(&looks)))
        }
    }

    #[test]
    fn a_look_is_believed_as_far_as_the_depth_says_until_a_directory_changes() {
        let ground = Ground::new();
        assert_eq!(ground.believed(Depth::Lists), None, "never looked at");
        let at = ground.look();
        for (depth, believed) in [(Depth::Lists, Some(at)), (Depth::Changed, Some(at)), (Depth::Everything, None)] {
            assert_eq!(ground.believed(depth), believed, "{depth:?}");
        }
        fs::remove_file(ground.dirs.base(ground.id).join("data/base/1/1259")).unwrap();
        assert_eq!(ground.believed(Depth::Changed), None);
        assert_eq!(ground.believed(Depth::Lists), Some(at));
    }

    #[test]
    fn another_manifest_or_another_backup_info_is_a_change() {
        let ground = Ground::new();
        ground.look();
        let looks = ground.looks(2);
        let other = Announced { size: Some(7), ..Announced::default() };
        let marked = looks.mark(&ground.store, ground.id, &other).ok();
        assert_eq!(looks.believed(ground.id, Depth::Changed, || marked), None);
        let manifest = ground.dirs.base(ground.id).join(MANIFEST);
        fs::write(&manifest, "{}").unwrap();
        ground.look();
        fs::write(&manifest, "{ }").unwrap();
        assert_eq!(ground.believed(Depth::Changed), None, "written to in place");
    }

    #[test]
    fn what_changed_a_moment_ago_and_what_lies_in_the_future_is_not_believed() {
        let ground = Ground::new();
        let mut looks = ground.looks(0);
        looks.note(ground.id, ground.mark(&looks));
        looks.keep(&ground.store);
        assert_eq!(ground.believed(Depth::Lists), None, "a moment ago");
        ground.look();
        let before = ground.looks(0);
        assert_eq!(before.believed(ground.id, Depth::Lists, || None), None, "in the future");
        fs::write(ground.dirs.backup_directory.join(".antipode/looks.json"), "{").unwrap();
        assert_eq!(ground.believed(Depth::Lists), None, "cannot be read");
    }
}

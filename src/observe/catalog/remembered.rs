//! Which WAL files here were looked at and how they begin, from one run to the next.
//!
//! A file is known by its name, size, inode and time of change: no program can write to it, replace it or move another
//! one there without changing one of them. What is remembered is 8 bytes for each file, in our own directory of the server.
//! It may be removed at any moment; then every file is looked at again. What changed a moment ago is not remembered, as
//! it could change once more within the same tick of the clock; nor is what is damaged, of which there is little.

use std::collections::BTreeMap;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use crate::barman::wal::WalName;
use crate::store::{Place, Stamp, Store};
use crate::verify::wal_file::Beginning;

/// What the file begins with: another version of it is none.
const MAGIC: &[u8] = b"antipode: how WAL begins, 1\n";
/// More than the marks of a hundred million files.
const MAX_SIZE: u64 = 1 << 30;
/// A change that is not older than this may not be the last one with its time.
pub(super) const TICK: Duration = Duration::from_secs(2);

/// Marks of files, each with how it begins.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Remembered {
    old: BTreeMap<u64, Beginning>,
    new: BTreeMap<u64, Beginning>,
    now: Duration,
}

impl Remembered {
    /// What earlier runs noted of a server; nothing when that cannot be read.
    pub fn read(store: &dyn Store) -> Self {
        let stored = store.read(Place::Looked, MAX_SIZE).ok().flatten();
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Self { old: stored.and_then(|stored| parse(&stored)).unwrap_or_default(), new: BTreeMap::new(), now }
    }

    /// How a file begins, where that was noted.
    pub fn get(&self, name: WalName, stamp: Stamp) -> Option<Beginning> {
        self.old.get(&mark(name, stamp)).copied()
    }

    /// Notes how a file begins.
    pub fn note(&mut self, name: WalName, stamp: Stamp, beginning: Beginning) {
        let is_settled = stamp.changed() + TICK < self.now;
        if is_settled && beginning != Beginning::Damaged {
            self.new.insert(mark(name, stamp), beginning);
        }
    }

    /// Keeps what was noted in this run for the next one, where our own directory takes it.
    pub fn keep(&self, store: &dyn Store) {
        if self.old != self.new
            && let Err(error) = store.write(Place::Looked, &self.content())
        {
            tracing::debug!("what was looked at is not remembered: {error}");
        }
    }

    fn content(&self) -> Vec<u8> {
        let mut marks = Vec::with_capacity(self.new.len() * 9);
        for (mark, beginning) in &self.new {
            marks.extend(mark.to_le_bytes());
            marks.push(u8::from(*beginning == Beginning::Opaque));
        }
        [MAGIC, &crc32c::crc32c(&marks).to_le_bytes(), &marks].concat()
    }
}

/// `None` when it is something else, or was cut off or spoilt.
fn parse(stored: &[u8]) -> Option<BTreeMap<u64, Beginning>> {
    let (sum, marks) = stored.strip_prefix(MAGIC)?.split_first_chunk::<4>()?;
    if u32::from_le_bytes(*sum) != crc32c::crc32c(marks) {
        return None;
    }
    let (marks, rest) = marks.as_chunks::<9>();
    let mark = |mark: &[u8; 9]| {
        let (mark, beginning) = mark.split_first_chunk::<8>()?;
        let beginning = if beginning == [0] { Beginning::Sound } else { Beginning::Opaque };
        Some((u64::from_le_bytes(*mark), beginning))
    };
    if rest.is_empty() { marks.iter().map(mark).collect() } else { None }
}

/// What a file is known by. Another release may hash otherwise: then everything is looked at once more.
fn mark(name: WalName, stamp: Stamp) -> u64 {
    let mut hasher = DefaultHasher::new();
    (name, stamp).hash(&mut hasher);
    hasher.finish()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
    use std::path::Path;

    use crate::store::Posix;

    fn ground() -> (tempfile::TempDir, Posix, WalName) {
        let home = tempfile::tempdir().unwrap();
        let store = Posix::at(home.path());
        store.make(Place::Own).unwrap();
        (home, store, "000000010000000000000005".parse().unwrap())
    }

    fn stamp(path: &Path) -> Stamp {
        Stamp::of(&fs::symlink_metadata(path).unwrap())
    }

    #[test]
    fn what_was_looked_at_is_known_until_it_changes() {
        let (home, store, name) = ground();
        let path = home.path().join("wal");
        fs::write(&path, "x").unwrap();
        let before = stamp(&path);
        let later = |beginning| {
            let mut run = Remembered::read(&store);
            run.now += TICK * 2;
            run.note(name, before, beginning);
            run.keep(&store);
            Remembered::read(&store).get(name, before)
        };
        for beginning in [Beginning::Sound, Beginning::Opaque] {
            assert_eq!(later(beginning), Some(beginning));
        }
        let other: WalName = "000000010000000000000006".parse().unwrap();
        assert_eq!(Remembered::read(&store).get(other, before), None);
        let copy = home.path().join("copy");
        fs::write(&copy, "x").unwrap();
        fs::rename(&copy, &path).unwrap();
        assert_eq!(Remembered::read(&store).get(name, stamp(&path)), None);
        assert_eq!(later(Beginning::Damaged), None);
    }

    #[test]
    fn what_changed_a_moment_ago_is_looked_at_again() {
        let (home, store, name) = ground();
        let path = home.path().join("wal");
        fs::write(&path, "x").unwrap();
        let mut run = Remembered::read(&store);
        run.note(name, stamp(&path), Beginning::Sound);
        run.keep(&store);
        assert_eq!(Remembered::read(&store).get(name, stamp(&path)), None);
    }

    #[test]
    fn a_file_that_is_cut_off_or_spoilt_remembers_nothing() {
        let marks = BTreeMap::from([(1, Beginning::Sound), (7, Beginning::Opaque)]);
        let whole = Remembered { new: marks.clone(), ..Remembered::default() }.content();
        assert_eq!(parse(&whole), Some(marks));
        for length in 0..whole.len() {
            assert_eq!(parse(&whole[..length]), None, "{length}");
        }
        let spoilt = [&whole[..whole.len() - 1], &[9]].concat();
        assert_eq!(parse(&spoilt), None);
    }
}

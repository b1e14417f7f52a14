//! When each base and each directory of WAL here was last looked at and found whole, from one run to the next.
//!
//! Looking at a base takes its manifest and the size of each of its files; looking at WAL takes the size of each file, and
//! once its first page. What directories show takes a small part of that: no file can come, go or be renamed without a
//! change of its directory. It does not show a file that was written to in place; so what rests on an earlier look is said
//! to, with its time, and is looked at again when that is too long ago.
//!
//! What is remembered is in our own directory of the server, and may be removed at any moment: then everything is looked
//! at again. What changed a moment ago is not remembered, as it could change once more within the same tick of the clock;
//! nor is what is damaged: whoever finds it so forgets the look that says otherwise, be it a status, or an apply before
//! it deletes something. So the next plan sees it too.

use std::collections::{BTreeMap, BTreeSet};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::num::NonZeroU64;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;

use crate::store::{Place, Stamp, Store};

use super::{Depth, Looking};

/// What the file begins with: another version of it is none.
const MAGIC: &[u8] = b"antipode: what was looked at, 2\n";
/// More than the looks at a thousand bases and a hundred million WAL files.
const MAX_SIZE: u64 = 4 << 30;
/// A change that is not older than this may not be the last one with its time.
const TICK: Duration = Duration::from_secs(2);
/// One look of so many may be missing in the file, which is then not written again.
const SPARED: usize = 256;

/// What something was known by when it was looked at: a hash of all that would show a change. Another release may hash
/// otherwise: then everything is looked at once more.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Mark(NonZeroU64);

impl Mark {
    /// As it is remembered.
    pub fn to_bytes(self) -> [u8; 8] {
        self.0.get().to_le_bytes()
    }

    /// As it was remembered; `None` for none.
    pub fn of_bytes(bytes: [u8; 8]) -> Option<Self> {
        NonZeroU64::new(u64::from_le_bytes(bytes)).map(Self)
    }
}

/// Makes a [`Mark`] of what shows a change.
#[derive(Debug, Default)]
pub struct Marker {
    hasher: DefaultHasher,
    newest: Duration,
}

impl Marker {
    /// Adds what is not a file, or the path of one.
    pub fn add(&mut self, thing: impl Hash) {
        thing.hash(&mut self.hasher);
    }

    /// Adds a file or directory as it is now.
    pub fn add_stamp(&mut self, stamp: Option<Stamp>) {
        stamp.hash(&mut self.hasher);
        self.newest = self.newest.max(stamp.map(Stamp::changed).unwrap_or_default());
    }

    /// The mark; `None` when something changed a moment ago.
    pub fn mark(self, now: Timestamp) -> Option<Mark> {
        let now = Duration::from_secs(u64::try_from(now.as_second()).unwrap_or_default());
        let mark = NonZeroU64::new(self.hasher.finish()).unwrap_or(NonZeroU64::MIN);
        (self.newest + TICK < now).then_some(Mark(mark))
    }
}

/// One look.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Look {
    mark: Option<Mark>,
    /// When that was.
    pub at: Timestamp,
    /// What else is remembered: what it consists of.
    pub content: Arc<[u8]>,
}

impl Look {
    /// What the thing was known by; `None` when it was not whole, or had just changed.
    pub fn mark(&self) -> Option<Mark> {
        self.mark
    }
}

/// The looks of earlier runs at a server, and those of this one. A base is named by its id, a directory of WAL by its
/// sixteen digits.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Looks {
    old: BTreeMap<String, Look>,
    new: BTreeMap<String, Look>,
    /// Of what an earlier look is wrong, as this run found.
    refuted: BTreeSet<String>,
    looking: Looking,
    now: Timestamp,
}

impl Looks {
    /// What earlier runs noted of a server; nothing when that cannot be read.
    pub fn read(store: &dyn Store, looking: Looking, now: Timestamp) -> Self {
        let stored = store.read(Place::Looks, MAX_SIZE).ok().flatten();
        let old = stored.and_then(|stored| parse(&stored)).unwrap_or_default();
        // Without what the form does not keep.
        let now = Timestamp::from_second(now.as_second()).unwrap_or(now);
        Self { old, looking, now, ..Self::default() }
    }

    /// How closely is looked in this run.
    pub fn looking(&self) -> Looking {
        self.looking
    }

    /// When this run looks.
    pub fn now(&self) -> Timestamp {
        self.now
    }

    /// What was remembered of a thing, whatever became of it.
    pub fn last(&self, name: &str) -> Option<&Look> {
        self.old.get(name)
    }

    /// The earlier look at a thing that need not be looked at now: it was whole then, and shows the same mark.
    pub fn believed(&self, name: &str, mark: impl FnOnce(&Look) -> Option<Mark>) -> Option<&Look> {
        let look = self.old.get(name).filter(|look| look.mark.is_some())?;
        let age = Duration::try_from(self.now.duration_since(look.at)).ok()?;
        let is_recent = self.looking.believed_for.is_none_or(|bound| age < bound);
        let is_asked = matches!(self.looking.depth, Depth::Lists | Depth::Changed);
        (is_recent && is_asked && mark(look) == look.mark).then_some(look)
    }

    /// Notes that a thing was looked at in this run: whole with a mark, or not.
    pub fn note(&mut self, name: &str, mark: Option<Mark>, content: Vec<u8>) {
        let was_other = |look: &Look| mark.is_none() || look.mark == mark && *look.content != *content;
        if self.old.get(name).is_some_and(was_other) {
            self.refute(name);
        }
        if self.looking.is_kept {
            self.new.insert(name.to_owned(), Look { mark, at: self.now, content: content.into() });
        }
    }

    /// Notes that an earlier look at a thing was believed in this run.
    pub fn carry(&mut self, name: &str) {
        if self.looking.is_kept {
            self.new.extend(self.old.get(name).map(|look| (name.to_owned(), look.clone())));
        }
    }

    /// Notes that a thing was looked at in this run and is not whole.
    pub fn refute(&mut self, name: &str) {
        if self.old.get(name).is_some_and(|look| look.mark.is_some()) {
            self.refuted.insert(name.to_owned());
        }
    }

    /// Keeps what was noted in this run for the next one, where our own directory takes it. Nothing that was refuted is
    /// left there, whether or not the rest is kept.
    pub fn keep(&self, store: &dyn Store) {
        let content = match (self.looking.is_kept, self.refuted.is_empty()) {
            (true, true) if !self.is_much_new() => return,
            (true, _) => content(&self.new),
            (false, true) => return,
            (false, false) => content(self.old.iter().filter(|(name, _)| !self.refuted.contains(*name))),
        };
        if let Err(error) = store.write(Place::Looks, &content) {
            tracing::debug!("what was looked at is not remembered: {error}");
        }
    }

    /// It is not written for little: of an archive that grows all the time, one directory changes each time.
    fn is_much_new(&self) -> bool {
        let changed = self.new.iter().filter(|(name, look)| self.old.get(*name) != Some(look)).count();
        let gone = self.old.keys().filter(|name| !self.new.contains_key(*name)).count();
        changed + gone > self.new.len() / SPARED
    }
}

/// `length name, mark or 0, seconds, length content` for each look, behind a sum.
fn content<'a>(looks: impl IntoIterator<Item = (&'a String, &'a Look)>) -> Vec<u8> {
    let mut bytes = Vec::new();
    for (name, look) in looks {
        push(&mut bytes, name.as_bytes());
        bytes.extend(look.mark.map(Mark::to_bytes).unwrap_or_default());
        bytes.extend(look.at.as_second().to_le_bytes());
        push(&mut bytes, &look.content);
    }
    [MAGIC, &crc32c::crc32c(&bytes).to_le_bytes(), &bytes].concat()
}

fn push(bytes: &mut Vec<u8>, part: &[u8]) {
    bytes.extend((part.len() as u64).to_le_bytes());
    bytes.extend(part);
}

/// `None` when it is something else, or was cut off or spoilt.
fn parse(stored: &[u8]) -> Option<BTreeMap<String, Look>> {
    let (sum, mut rest) = stored.strip_prefix(MAGIC)?.split_first_chunk::<4>()?;
    if u32::from_le_bytes(*sum) != crc32c::crc32c(rest) {
        return None;
    }
    let mut looks = Vec::new();
    while !rest.is_empty() {
        let name = String::from_utf8(take(&mut rest)?.to_vec()).ok()?;
        let (mark, behind) = rest.split_first_chunk::<8>()?;
        let (at, behind) = behind.split_first_chunk::<8>()?;
        rest = behind;
        let mark = Mark::of_bytes(*mark);
        let at = Timestamp::from_second(i64::from_le_bytes(*at)).ok()?;
        looks.push((name, Look { mark, at, content: take(&mut rest)?.into() }));
    }
    Some(looks.into_iter().collect())
}

fn take<'a>(rest: &mut &'a [u8]) -> Option<&'a [u8]> {
    let (length, behind) = rest.split_first_chunk::<8>()?;
    let (part, behind) = behind.split_at_checked(usize::try_from(u64::from_le_bytes(*length)).ok()?)?;
    *rest = behind;
    Some(part)
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::Path;

    use crate::barman::ids::BackupId;
    use crate::barman::layout::ServerDirs;
    use crate::observe::catalog::base::{self, MANIFEST};
    use crate::observe::inventory::BaseState;
    use crate::store::Posix;
    use crate::verify::base::Announced;

    use super::*;

    const ID: &str = "20261122T092435";
    const KEEPING: Looking = Looking { depth: Depth::Everything, believed_for: None, is_kept: true };

    /// A snapshot's base is whole whatever is in it.
    struct Ground {
        _home: tempfile::TempDir,
        dirs: ServerDirs,
        store: Posix,
        announced: Announced,
    }

    impl Ground {
        fn new() -> Self {
            let home = tempfile::tempdir().unwrap();
            let dirs = ServerDirs::of_catalog(home.path(), "main".parse().unwrap());
            fs::create_dir_all(dirs.backup_directory.join(".antipode")).unwrap();
            fs::create_dir_all(dirs.base(id()).join("data/base/1")).unwrap();
            fs::write(dirs.base(id()).join("data/base/1/1259"), "x").unwrap();
            let announced = Announced { is_snapshot: true, ..Announced::default() };
            Self { _home: home, store: Posix::new(dirs.clone()), dirs, announced }
        }

        /// As a run some hours later would.
        fn looks(&self, looking: Looking, hours: i64) -> Looks {
            let now = Timestamp::now() + jiff::SignedDuration::from_hours(hours);
            Looks::read(&self.store, looking, now)
        }

        fn look(&self, hours: i64) -> Timestamp {
            let mut looks = self.looks(KEEPING, hours);
            let judged = base::judge(&self.store, id(), &self.announced, &looks).unwrap();
            assert_eq!(judged.state, BaseState::Complete);
            if let Some((mark, directories)) = judged.known_by {
                looks.note(ID, Some(mark), directories);
            }
            looks.keep(&self.store);
            looks.now
        }

        fn looked_at(&self, looking: Looking) -> Option<Timestamp> {
            base::judge(&self.store, id(), &self.announced, &self.looks(looking, 3)).unwrap().looked_at
        }

        fn believed(&self, depth: Depth) -> Option<Timestamp> {
            self.looked_at(Looking { depth, believed_for: None, is_kept: false })
        }
    }

    fn id() -> BackupId {
        ID.parse().unwrap()
    }

    #[test]
    fn a_look_is_believed_as_far_as_the_depth_says_until_a_directory_changes() {
        let ground = Ground::new();
        assert_eq!(ground.believed(Depth::Lists), None, "never looked at");
        let at = ground.look(1);
        for (depth, believed) in [(Depth::Lists, Some(at)), (Depth::Changed, Some(at)), (Depth::Everything, None)] {
            assert_eq!(ground.believed(depth), believed, "{depth:?}");
        }
        fs::remove_file(ground.dirs.base(id()).join("data/base/1/1259")).unwrap();
        assert_eq!(ground.believed(Depth::Changed), None);
        assert_eq!(ground.believed(Depth::Lists), Some(at));
    }

    #[test]
    fn a_look_that_was_refuted_is_not_believed_again_whoever_refuted_it() {
        for is_kept in [false, true] {
            let ground = Ground::new();
            let at = ground.look(1);
            assert_eq!(ground.believed(Depth::Changed), Some(at));
            let mut looks = ground.looks(Looking { is_kept, ..KEEPING }, 2);
            looks.refute(ID);
            looks.keep(&ground.store);
            assert_eq!(ground.believed(Depth::Changed), None, "{is_kept}");
        }
    }

    #[test]
    fn a_look_is_believed_for_as_long_as_it_may_be() {
        let ground = Ground::new();
        let at = ground.look(1);
        let hours = |hours: u64| Some(Duration::from_secs(3600 * hours));
        for (believed_for, believed) in [(Some(Duration::ZERO), None), (hours(2), None), (hours(3), Some(at))] {
            let looking = Looking { depth: Depth::Changed, believed_for, is_kept: true };
            assert_eq!(ground.looked_at(looking), believed, "{believed_for:?}");
        }
    }

    #[test]
    fn another_manifest_another_directory_or_another_backup_info_is_a_change() {
        let mut ground = Ground::new();
        let manifest = ground.dirs.base(id()).join(MANIFEST);
        fs::write(&manifest, "{}").unwrap();
        ground.look(1);
        fs::write(&manifest, "{ }").unwrap();
        assert_eq!(ground.believed(Depth::Changed), None, "written to in place");
        ground.look(1);
        fs::create_dir(ground.dirs.base(id()).join("data/base/2")).unwrap();
        assert_eq!(ground.believed(Depth::Changed), None);
        let at = ground.look(1);
        assert_eq!(ground.believed(Depth::Changed), Some(at));
        ground.announced.size = Some(7);
        assert_eq!(ground.believed(Depth::Changed), None);
    }

    #[test]
    fn what_changed_a_moment_ago_and_what_lies_in_the_future_is_not_believed() {
        let ground = Ground::new();
        ground.look(0);
        assert_eq!(ground.believed(Depth::Lists), None, "a moment ago");
        ground.look(4);
        assert_eq!(ground.believed(Depth::Lists), None, "in the future");
    }

    #[test]
    fn a_file_that_is_cut_off_or_spoilt_remembers_nothing() {
        let look =
            |mark: u64| Look { mark: NonZeroU64::new(mark).map(Mark), at: Timestamp::MIN, content: [7; 3].into() };
        let looks = BTreeMap::from([("a".to_owned(), look(0)), ("b".to_owned(), look(9))]);
        let whole = content(&looks);
        assert_eq!(parse(&whole), Some(looks));
        for length in 0..whole.len() {
            assert!(parse(&whole[..length]).is_none_or(|looks| looks.is_empty()), "{length}");
        }
        let spoilt = [&whole[..whole.len() - 1], &[9]].concat();
        assert_eq!(parse(&spoilt), None);
    }

    #[test]
    fn it_is_not_written_for_one_thing_of_many() {
        let ground = Ground::new();
        let note = |count: u32, changed: &str| {
            let mut looks = ground.looks(KEEPING, 1);
            for name in (0..count).map(|n| n.to_string()) {
                looks.note(&name, None, if name == changed { vec![1] } else { Vec::new() });
            }
            looks.keep(&ground.store);
        };
        let kept = || fs::metadata(ground.dirs.backup_directory.join(".antipode/looks")).unwrap().len();
        let path: &Path = &ground.dirs.backup_directory;
        assert!(path.exists());
        for (count, is_written) in [(2, true), (1000, false)] {
            note(count, "");
            let before = kept();
            note(count, "1");
            assert_eq!(kept() != before, is_written, "{count}");
        }
    }
}

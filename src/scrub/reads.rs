//! Which files were read to their ends, when, and what that came to, in `B/.antipode/reads`.
//!
//! It is a cache, and may be lost at any time: then everything is read again. An entry holds as long as the file has the
//! size, the times and the number in the file system that it had when it was read.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::num::NonZeroU64;
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;

use jiff::Timestamp;

use crate::barman::ids::BackupId;
use crate::barman::wal::WalName;
use crate::store::{Found, Place, Store};

/// What the file begins with: another version of it is none.
const MAGIC: &[u8] = b"antipode: what was read, 1\n";
/// More than what is known of a hundred million files.
const MAX_SIZE: u64 = 16 << 30;

/// A file of a server, by where it belongs.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Subject {
    /// One of a base, by its path below it.
    OfBase(BackupId, PathBuf),
    /// A WAL file.
    Wal(WalName),
}

/// What reading a file came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// It is what was written.
    Proved,
    /// It is what was noted of it when it arrived or was read first, and nothing else tells what should be in it.
    Unchanged,
    /// It could be read, and nothing tells what should be in it.
    Unproven,
    /// It is not what was written.
    Damaged,
}

/// That a file was read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Read {
    known_by: KnownBy,
    /// When, to the second.
    pub at: Timestamp,
    /// What that came to.
    pub result: Verdict,
    /// A digest of the checksum that it has, where that was computed: what the other names of the file are proved by.
    pub sum: Option<NonZeroU64>,
}

/// What reading a file came to, with a digest of the checksum that it has.
pub type Came = (Verdict, Option<NonZeroU64>);

/// What a file is known by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct KnownBy {
    size: u64,
    inode: u64,
    links: u64,
    modified: i64,
    /// In nanoseconds since 1970.
    changed: u64,
}

impl KnownBy {
    fn of(found: Found) -> Self {
        Self {
            size: found.stamp.size,
            inode: found.stamp.inode(),
            links: found.links,
            modified: found.modified,
            changed: u64::try_from(found.stamp.changed().as_nanos()).unwrap_or(u64::MAX),
        }
    }

    /// A link that comes or goes changes the time of a file and nothing in it: of files that backups share, which happens
    /// with each backup, that time tells nothing.
    fn is_same(self, other: Self) -> bool {
        let rest = |known: Self| (known.size, known.inode, known.modified);
        let is_shared = self.links > 1 || other.links > 1;
        rest(self) == rest(other) && (self.changed == other.changed || is_shared)
    }
}

/// What is known of the files of a server.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Reads {
    /// Up to when shares of what was read before were read again.
    pub shared: Option<Timestamp>,
    files: BTreeMap<Subject, Read>,
    /// Whether it is other than what is kept.
    has_changed: bool,
}

impl Reads {
    /// What earlier verifications noted; nothing when that cannot be read.
    pub fn load(store: &dyn Store) -> Self {
        let stored = store.read(Place::Reads, MAX_SIZE).ok().flatten();
        stored.and_then(|stored| Self::parse(&stored)).unwrap_or_default()
    }

    /// Keeps it for the next one, where our own directory takes it.
    pub fn keep(&mut self, store: &dyn Store) {
        if !self.has_changed {
            return;
        }
        match store.write(Place::Reads, &self.content()) {
            Ok(()) => self.has_changed = false,
            Err(error) => tracing::debug!("what was read is not remembered: {error}"),
        }
    }

    /// Notes up to when shares were taken.
    pub fn share(&mut self, until: Timestamp) {
        let until = Timestamp::from_second(until.as_second()).unwrap_or(until);
        self.has_changed |= self.shared != Some(until);
        self.shared = Some(until);
    }

    /// What reading a file came to, if it is still the same.
    pub fn of(&self, subject: &Subject, found: Found) -> Option<Read> {
        self.files.get(subject).copied().filter(|read| read.known_by.is_same(KnownBy::of(found)))
    }

    /// Notes that a file was read.
    pub fn note(&mut self, subject: Subject, found: Found, at: Timestamp, (result, sum): Came) {
        let at = Timestamp::from_second(at.as_second()).unwrap_or(at);
        self.files.insert(subject, Read { known_by: KnownBy::of(found), at, result, sum });
        self.has_changed = true;
    }

    /// Forgets what is not here any more.
    pub fn retain(&mut self, is_here: impl Fn(&Subject) -> bool) {
        let before = self.files.len();
        self.files.retain(|subject, _| is_here(subject));
        self.has_changed |= self.files.len() != before;
    }

    /// Forgets a file.
    pub fn forget(&mut self, subject: &Subject) {
        self.has_changed |= self.files.remove(subject).is_some();
    }

    /// The files of a base that were read once.
    pub fn of_base(&self, id: BackupId) -> impl Iterator<Item = &PathBuf> {
        let from = Subject::OfBase(id, PathBuf::new());
        self.files.range(from..).map_while(move |(subject, _)| match subject {
            Subject::OfBase(of, path) if *of == id => Some(path),
            Subject::OfBase(..) | Subject::Wal(_) => None,
        })
    }

    /// `seconds of the share or -1`, then `length id, length path or name, numbers, result` for each file, behind a sum.
    fn content(&self) -> Vec<u8> {
        let mut bytes = Vec::from(self.shared.map_or(-1, Timestamp::as_second).to_le_bytes());
        for (subject, read) in &self.files {
            match subject {
                Subject::OfBase(id, path) => {
                    push(&mut bytes, id.as_str().as_bytes());
                    push(&mut bytes, path.as_os_str().as_bytes());
                }
                Subject::Wal(name) => {
                    push(&mut bytes, b"");
                    push(&mut bytes, name.to_string().as_bytes());
                }
            }
            let KnownBy { size, inode, links, modified, changed } = read.known_by;
            let (at, sum) = (read.at.as_second().cast_unsigned(), read.sum.map_or(0, NonZeroU64::get));
            for number in [size, inode, links, modified.cast_unsigned(), changed, at, sum] {
                bytes.extend(number.to_le_bytes());
            }
            bytes.push(match read.result {
                Verdict::Proved => 0,
                Verdict::Unproven => 1,
                Verdict::Damaged => 2,
                Verdict::Unchanged => 3,
            });
        }
        [MAGIC, &crc32c::crc32c(&bytes).to_le_bytes(), &bytes].concat()
    }

    /// `None` when it is something else, or was cut off or spoilt.
    fn parse(stored: &[u8]) -> Option<Self> {
        let (sum, rest) = stored.strip_prefix(MAGIC)?.split_first_chunk::<4>()?;
        if u32::from_le_bytes(*sum) != crc32c::crc32c(rest) {
            return None;
        }
        let (shared, mut rest) = rest.split_first_chunk::<8>()?;
        let shared = i64::from_le_bytes(*shared);
        let mut files = Vec::new();
        while !rest.is_empty() {
            files.push(entry(&mut rest)?);
        }
        let shared = if shared < 0 { None } else { Some(Timestamp::from_second(shared).ok()?) };
        Some(Self { shared, files: files.into_iter().collect(), has_changed: false })
    }
}

fn push(bytes: &mut Vec<u8>, part: &[u8]) {
    // No path is longer than what a file system takes.
    bytes.extend(u32::try_from(part.len()).unwrap_or_default().to_le_bytes());
    bytes.extend(part);
}

fn entry(rest: &mut &[u8]) -> Option<(Subject, Read)> {
    let (id, name) = (part(rest)?, part(rest)?);
    let subject = if id.is_empty() {
        Subject::Wal(WalName::of_bytes(name)?)
    } else {
        let id = std::str::from_utf8(id).ok()?.parse().ok()?;
        Subject::OfBase(id, PathBuf::from(OsStr::from_bytes(name)))
    };
    let mut number = || {
        let (number, behind) = rest.split_first_chunk::<8>()?;
        *rest = behind;
        Some(u64::from_le_bytes(*number))
    };
    let (size, inode, links) = (number()?, number()?, number()?);
    let (modified, changed, at) = (number()?.cast_signed(), number()?, number()?.cast_signed());
    let sum = NonZeroU64::new(number()?);
    let (result, behind) = rest.split_first()?;
    *rest = behind;
    let result = match result {
        0 => Verdict::Proved,
        1 => Verdict::Unproven,
        2 => Verdict::Damaged,
        3 => Verdict::Unchanged,
        _ => return None,
    };
    let known_by = KnownBy { size, inode, links, modified, changed };
    Some((subject, Read { known_by, at: Timestamp::from_second(at).ok()?, result, sum }))
}

fn part<'a>(rest: &mut &'a [u8]) -> Option<&'a [u8]> {
    let (length, behind) = rest.split_first_chunk::<4>()?;
    let (part, behind) = behind.split_at_checked(usize::try_from(u32::from_le_bytes(*length)).ok()?)?;
    *rest = behind;
    Some(part)
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::Path;

    use super::*;

    fn found(path: &Path) -> Found {
        Found::of(&fs::metadata(path).unwrap())
    }

    fn at() -> Timestamp {
        "2026-11-22T10:00:00Z".parse().unwrap()
    }

    fn subject() -> Subject {
        Subject::OfBase("20261122T030000".parse().unwrap(), "data/x".into())
    }

    #[test]
    fn a_file_is_known_until_it_changes_and_a_link_changes_nothing() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("x");
        fs::write(&path, "it").unwrap();
        let mut reads = Reads::default();
        reads.note(subject(), found(&path), at(), (Verdict::Unproven, None));
        let known = |path: &Path| reads.of(&subject(), found(path)).map(|read| (read.at, read.result));
        assert_eq!(known(&path), Some((at(), Verdict::Unproven)));
        fs::hard_link(&path, directory.path().join("y")).unwrap();
        assert_eq!(known(&path), Some((at(), Verdict::Unproven)));
        fs::hard_link(&path, directory.path().join("w")).unwrap();
        fs::remove_file(directory.path().join("y")).unwrap();
        assert_eq!(known(&path), Some((at(), Verdict::Unproven)), "one came and one went");
        fs::write(directory.path().join("z"), "it").unwrap();
        assert_eq!(known(&directory.path().join("z")), None, "another file");
        fs::write(&path, "its").unwrap();
        assert_eq!(known(&path), None);
        assert_eq!(reads.of(&Subject::Wal("00000002.history".parse().unwrap()), found(&path)), None);
    }

    #[test]
    fn it_is_read_as_it_was_kept_and_what_is_cut_off_or_spoilt_knows_nothing() {
        let directory = tempfile::tempdir().unwrap();
        let odd = OsStr::from_bytes(b"data/\xff");
        let mut reads = Reads { shared: Some(at()), ..Reads::default() };
        for (subject, result) in [
            (subject(), Verdict::Proved),
            (Subject::OfBase("20261122T030000".parse().unwrap(), odd.into()), Verdict::Unproven),
            (Subject::Wal("00000002.history".parse().unwrap()), Verdict::Damaged),
        ] {
            reads.note(subject, found(directory.path()), at(), (result, NonZeroU64::new(5)));
        }
        assert_eq!(reads.of_base("20261122T030000".parse().unwrap()).count(), 2);
        let whole = reads.content();
        assert_eq!(Reads::parse(&whole), Some(Reads { has_changed: false, ..reads }));
        assert_eq!(Reads::parse(&Reads::default().content()), Some(Reads::default()));
        for length in 0..whole.len() {
            assert_eq!(Reads::parse(&whole[..length]), None, "{length}");
        }
        let spoilt = [&whole[..whole.len() - 1], &[9]].concat();
        assert_eq!(Reads::parse(&spoilt), None);
    }
}

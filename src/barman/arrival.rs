//! Our note of what the files of a backup had in them when they arrived, in `B/.antipode/arrived-ID`, where nothing of the
//! backup's own tells: no manifest, or files that nobody here can look into.
//!
//! It may be lost at any time: then what is here is noted when it is read next, and what became of it before, nobody knows.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::{Component, Path, PathBuf};

use jiff::Timestamp;

/// What the file begins with: another version of it is none.
const MAGIC: &[u8] = b"antipode: what arrived, 1\n";

/// What was in a file: BLAKE3 of its bytes.
pub type Digest = [u8; 32];

/// When that was seen which a file is compared with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum When {
    /// When it arrived, before its backup was published or its repair ended.
    Arriving,
    /// Later, by the first verification that had nothing to compare it with.
    Later,
}

/// What a file had in it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Arrived {
    /// Its size in bytes.
    pub size: u64,
    /// Its bytes.
    pub digest: Digest,
    /// When they were read, to the second.
    pub at: Timestamp,
    /// Whether it was arriving then.
    pub when: When,
}

impl Arrived {
    /// What a file of this size and digest is not, or `None` for the same.
    pub fn differs(&self, size: u64, digest: &Digest) -> Option<String> {
        let day = self.at.strftime("%Y-%m-%d");
        let then = match self.when {
            When::Arriving => format!("when it arrived on {day}"),
            When::Later => format!("when it was read first, on {day}"),
        };
        if size != self.size {
            return Some(format!("it has {size} bytes, and had {} {then}", self.size));
        }
        (*digest != self.digest).then(|| format!("it is not what it was {then}"))
    }
}

/// What the files of a backup had in them, by their paths below `base/ID`.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ArrivalNote {
    /// Each file.
    pub files: BTreeMap<PathBuf, Arrived>,
}

impl ArrivalNote {
    /// `length path, size, seconds, how, digest` for each file, behind a sum.
    pub fn write(&self) -> Vec<u8> {
        let mut bytes = Vec::new();
        for (path, arrived) in &self.files {
            let path = path.as_os_str().as_bytes();
            // No path is longer than what a file system takes.
            bytes.extend(u32::try_from(path.len()).unwrap_or_default().to_le_bytes());
            bytes.extend(path);
            bytes.extend(arrived.size.to_le_bytes());
            bytes.extend(arrived.at.as_second().to_le_bytes());
            bytes.push(match arrived.when {
                When::Arriving => 0,
                When::Later => 1,
            });
            bytes.extend(arrived.digest);
        }
        [MAGIC, &crc32c::crc32c(&bytes).to_le_bytes(), &bytes].concat()
    }

    /// Reads the file; `None` for anything else than what [`Self::write`] makes.
    pub fn parse(stored: &[u8]) -> Option<Self> {
        let (sum, mut rest) = stored.strip_prefix(MAGIC)?.split_first_chunk::<4>()?;
        if u32::from_le_bytes(*sum) != crc32c::crc32c(rest) {
            return None;
        }
        let mut files = BTreeMap::new();
        while !rest.is_empty() {
            let (path, arrived) = entry(&mut rest)?;
            files.insert(path, arrived);
        }
        Some(Self { files })
    }
}

fn entry(rest: &mut &[u8]) -> Option<(PathBuf, Arrived)> {
    let length = u32::from_le_bytes(taken(rest)?);
    let (path, after) = rest.split_at_checked(usize::try_from(length).ok()?)?;
    *rest = after;
    let path = PathBuf::from(OsStr::from_bytes(path));
    let (size, at) = (u64::from_le_bytes(taken(rest)?), i64::from_le_bytes(taken(rest)?));
    let when = match taken::<1>(rest)? {
        [0] => When::Arriving,
        [1] => When::Later,
        _ => return None,
    };
    let arrived = Arrived { size, at: Timestamp::from_second(at).ok()?, when, digest: taken(rest)? };
    is_below(&path).then_some((path, arrived))
}

fn taken<const N: usize>(rest: &mut &[u8]) -> Option<[u8; N]> {
    let (bytes, after) = rest.split_first_chunk::<N>()?;
    *rest = after;
    Some(*bytes)
}

/// Whether a path stays below where it begins.
fn is_below(path: &Path) -> bool {
    let mut parts = path.components().peekable();
    parts.peek().is_some() && parts.all(|part| matches!(part, Component::Normal(_)))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn arrived(when: When) -> Arrived {
        Arrived { size: 7, digest: [3; 32], at: "2026-11-22T10:00:00Z".parse().unwrap(), when }
    }

    fn note() -> ArrivalNote {
        let odd = PathBuf::from(OsStr::from_bytes(b"data/line\nbreak\xff"));
        let files = [("data/base.tar.gz".into(), arrived(When::Arriving)), (odd, arrived(When::Later))];
        ArrivalNote { files: files.into_iter().collect() }
    }

    #[test]
    fn it_is_read_as_it_was_written_and_what_is_cut_off_or_leads_elsewhere_is_none() {
        let whole = note().write();
        assert_eq!(ArrivalNote::parse(&whole), Some(note()));
        assert_eq!(ArrivalNote::parse(&ArrivalNote::default().write()), Some(ArrivalNote::default()));
        for length in 0..whole.len() {
            assert_eq!(ArrivalNote::parse(&whole[..length]), None, "{length}");
        }
        for path in ["../x", "/etc/passwd", ""] {
            let files = [(path.into(), arrived(When::Arriving))].into_iter().collect();
            assert_eq!(ArrivalNote::parse(&ArrivalNote { files }.write()), None, "{path}");
        }
    }

    #[test]
    fn what_differs_is_told_with_the_day_of_what_it_is_compared_with() {
        let [arriving, later] = [When::Arriving, When::Later].map(arrived);
        assert_eq!(arriving.differs(7, &[3; 32]), None);
        let told = |arrived: Arrived, size, digest: Digest| arrived.differs(size, &digest).unwrap();
        assert_eq!(told(arriving, 7, [4; 32]), "it is not what it was when it arrived on 2026-11-22");
        assert_eq!(told(later, 7, [4; 32]), "it is not what it was when it was read first, on 2026-11-22");
        assert_eq!(told(arriving, 8, [3; 32]), "it has 8 bytes, and had 7 when it arrived on 2026-11-22");
    }

    proptest! {
        /// A note that rots makes no file look damaged.
        #[test]
        fn a_note_with_a_bit_that_is_flipped_is_none(at in any::<prop::sample::Index>(), bit in 0..8_u8) {
            let mut bytes = note().write();
            let at = at.index(bytes.len());
            bytes[at] ^= 1 << bit;
            prop_assert_eq!(ArrivalNote::parse(&bytes), None);
        }

        #[test]
        fn nothing_that_is_read_is_too_much(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let sum = crc32c::crc32c(&bytes).to_le_bytes();
            let stored = [MAGIC, &sum, &bytes].concat();
            if let Some(note) = ArrivalNote::parse(&stored) {
                prop_assert_eq!(ArrivalNote::parse(&note.write()), Some(note));
            }
        }
    }
}

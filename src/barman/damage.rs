//! Our note of what is damaged here, in `B/.antipode/damage.json`: what was read in a published backup or in the WAL
//! archive and is not what was written.
//!
//! Names, sizes and times do not show such damage, so that no look at the catalog finds it again. The note is no cache: it
//! holds until the file was read and found good, was repaired, or is another one.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::ids::BackupId;
use super::wal::WalName;

/// The version of the form.
const VERSION: u32 = 1;

/// What is damaged here of a server.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct DamageNote {
    /// Files of published bases, by their paths below `base/ID`.
    pub bases: BTreeMap<BackupId, BTreeMap<PathBuf, Spoilt>>,
    /// WAL files.
    pub wals: BTreeMap<WalName, Spoilt>,
}

/// A file that is not what was written.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Spoilt {
    /// What is wrong with it, safe to print.
    pub why: String,
    /// When it was found.
    pub found: Timestamp,
    /// What the file was known by then.
    pub seen: Seen,
    /// Whether what came from the primary in its place was damaged as well.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub is_shared: bool,
}

impl Spoilt {
    /// What is wrong with it, and whether the primary has nothing better.
    pub fn told(&self) -> String {
        let shared = if self.is_shared { "; what the primary sent in its place is damaged too" } else { "" };
        format!("{}{shared}", self.why)
    }
}

/// What a damaged file is known by. A link that is added and a changed mode make no other file of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Seen {
    /// Its size in bytes.
    pub size: u64,
    /// Its number in the file system.
    pub inode: u64,
    /// When it was modified last, in seconds since 1970.
    pub modified: i64,
}

impl DamageNote {
    /// How many files are damaged.
    pub fn count(&self) -> usize {
        self.bases.values().map(BTreeMap::len).sum::<usize>() + self.wals.len()
    }

    /// Whether nothing is.
    pub fn is_empty(&self) -> bool {
        self.count() == 0
    }

    /// The damaged files of a base; none of one that has none.
    pub fn of_base(&self, id: BackupId) -> impl Iterator<Item = (&PathBuf, &Spoilt)> {
        self.bases.get(&id).into_iter().flatten()
    }

    /// Why a file of a base is damaged; `None` for one that is not known to be.
    pub fn why(&self, id: BackupId, path: &Path) -> Option<&str> {
        Some(self.bases.get(&id)?.get(path)?.why.as_str())
    }

    /// Leaves out those of which it is not so.
    pub fn retain(&mut self, mut holds: impl FnMut(Thing<'_>, &Spoilt) -> bool) {
        for (id, files) in &mut self.bases {
            files.retain(|path, spoilt| holds(Thing::OfBase(*id, path), spoilt));
        }
        self.bases.retain(|_, files| !files.is_empty());
        self.wals.retain(|name, spoilt| holds(Thing::Wal(*name), spoilt));
    }

    /// Reads the file; `None` for anything else than what [`Self::write`] makes.
    pub fn parse(bytes: &[u8]) -> Option<Self> {
        let form: Form = serde_json::from_slice(bytes).ok().filter(|form: &Form| form.format_version == VERSION)?;
        let mut damage = Self::default();
        for Row { backup, wal, path, spoilt } in form.files {
            match (backup, wal, path) {
                (Some(id), None, Some(path)) => {
                    damage.bases.entry(id).or_default().insert(path.path()?, spoilt);
                }
                (None, Some(name), None) => {
                    damage.wals.insert(name, spoilt);
                }
                _ => return None,
            }
        }
        Some(damage)
    }

    /// The file.
    pub fn write(&self) -> Vec<u8> {
        let of_bases = self.bases.iter().flat_map(|(id, files)| files.iter().map(|(path, spoilt)| (*id, path, spoilt)));
        let of_bases = of_bases.map(|(id, path, spoilt)| Row {
            backup: Some(id),
            wal: None,
            path: Some(PathForm::of(path)),
            spoilt: spoilt.clone(),
        });
        let wals = self.wals.iter();
        let wals =
            wals.map(|(name, spoilt)| Row { backup: None, wal: Some(*name), path: None, spoilt: spoilt.clone() });
        let form = Form { format_version: VERSION, files: of_bases.chain(wals).collect() };
        // Texts, numbers and times always have a form in JSON.
        let mut bytes = serde_json::to_vec(&form).unwrap_or_default();
        bytes.push(b'\n');
        bytes
    }
}

/// What may be damaged.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Thing<'a> {
    /// A file of a base, by its path below it.
    OfBase(BackupId, &'a Path),
    /// A WAL file.
    Wal(WalName),
}

/// The form of the file.
#[derive(Serialize, Deserialize)]
struct Form {
    format_version: u32,
    files: Vec<Row>,
}

#[derive(Serialize, Deserialize)]
struct Row {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    backup: Option<BackupId>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    wal: Option<WalName>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    path: Option<PathForm>,
    #[serde(flatten)]
    spoilt: Spoilt,
}

/// A path, whatever its bytes.
#[derive(Serialize, Deserialize)]
#[serde(untagged)]
enum PathForm {
    Text(String),
    Encoded { encoded: Vec<u8> },
}

impl PathForm {
    fn of(path: &Path) -> Self {
        match path.to_str() {
            Some(text) => Self::Text(text.to_owned()),
            None => Self::Encoded { encoded: path.as_os_str().as_bytes().to_vec() },
        }
    }

    /// The path, if it stays below where it begins.
    fn path(self) -> Option<PathBuf> {
        let path = match self {
            Self::Text(text) => PathBuf::from(text),
            Self::Encoded { encoded } => PathBuf::from(OsString::from_vec(encoded)),
        };
        path.components().all(|part| matches!(part, std::path::Component::Normal(_))).then_some(path)
    }
}

#[cfg(test)]
mod tests {
    use std::ffi::OsStr;

    use super::*;

    fn spoilt(why: &str) -> Spoilt {
        let seen = Seen { size: 8192, inode: 17, modified: 1_763_800_000 };
        Spoilt { why: why.to_owned(), found: "2026-11-22T10:00:00Z".parse().unwrap(), seen, is_shared: false }
    }

    #[test]
    fn it_is_read_as_it_was_written_and_nothing_else_is() {
        let mut damage = DamageNote::default();
        assert_eq!(DamageNote::parse(&damage.write()), Some(damage.clone()));
        let odd = PathBuf::from(OsStr::from_bytes(b"data/\xff"));
        let files = BTreeMap::from([("data/base/5/1".into(), spoilt("block 3")), (odd, spoilt("\"\n"))]);
        damage.bases.insert("20261122T030000".parse().unwrap(), files);
        let shared = Spoilt { is_shared: true, ..spoilt("page 3") };
        damage.wals.insert("000000010000000000000007".parse().unwrap(), shared);
        let text = String::from_utf8(damage.write()).unwrap();
        assert_eq!((DamageNote::parse(text.as_bytes()), damage.count()), (Some(damage), 3));
        for other in ["", "{}", &text[..text.len() / 2], &text.replace("data/base", "../base")] {
            assert_eq!(DamageNote::parse(other.as_bytes()), None, "{other}");
        }
    }

    #[test]
    fn what_holds_no_longer_is_left_out_with_the_base_that_has_nothing_else() {
        let id: BackupId = "20261122T030000".parse().unwrap();
        let mut damage = DamageNote::default();
        damage.bases.insert(id, BTreeMap::from([("a".into(), spoilt("x")), ("b".into(), spoilt("y"))]));
        damage.retain(|thing, _| thing != Thing::OfBase(id, Path::new("a")));
        assert_eq!((damage.count(), damage.why(id, Path::new("b"))), (1, Some("y")));
        damage.retain(|_, _| false);
        assert!(damage.is_empty() && damage.bases.is_empty());
    }
}

//! The forms in which a plan's longer values are written: one text for many WAL files, so that a plan of a hundred
//! thousand stays a file that can be sent around. What is read is checked by the same parsers as anywhere.

use std::path::{Component, Path, PathBuf};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::desired::hex;

/// A path below the base of a backup.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum PathForm {
    /// As it is.
    Text(String),
    /// One that is not UTF-8, as `backup_manifest` writes it.
    Encoded {
        /// Its bytes in hexadecimal.
        encoded: String,
    },
}

impl PathForm {
    fn of(path: &Path) -> Self {
        match path.to_str() {
            Some(text) => Self::Text(text.to_owned()),
            None => Self::Encoded { encoded: encode(path) },
        }
    }

    /// The path, if it stays below where it begins.
    fn checked(self) -> Result<PathBuf, String> {
        let path = match self {
            Self::Text(text) => PathBuf::from(text),
            Self::Encoded { encoded } => decode(&encoded).ok_or_else(|| format!("{encoded:?} is not hexadecimal"))?,
        };
        let is_plain = path.components().all(|part| matches!(part, Component::Normal(_)));
        if is_plain {
            Ok(path)
        } else {
            Err(format!("{} is not a path below a backup", path.display().to_string().escape_debug()))
        }
    }
}

fn encode(path: &Path) -> String {
    hex(path.as_os_str().as_encoded_bytes())
}

fn decode(hex: &str) -> Option<PathBuf> {
    use std::os::unix::ffi::OsStringExt;
    let digits: Option<Vec<u8>> = hex.chars().map(|c| u8::try_from(c.to_digit(16)?).ok()).collect();
    let pairs = digits.filter(|digits| digits.len() % 2 == 0)?;
    let bytes = pairs.chunks_exact(2).map(|pair| pair.iter().fold(0, |byte, digit| byte << 4 | digit)).collect();
    Some(std::ffi::OsString::from_vec(bytes).into())
}

/// A path below the base of a backup.
pub mod path {
    use super::{Path, PathBuf, PathForm};
    use serde::de::Error;
    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    /// Writes it.
    pub fn serialize<S: Serializer>(path: &Path, serializer: S) -> Result<S::Ok, S::Error> {
        PathForm::of(path).serialize(serializer)
    }

    /// Reads one.
    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<PathBuf, D::Error> {
        PathForm::deserialize(deserializer)?.checked().map_err(D::Error::custom)
    }
}

/// A path below the base of a backup, or none.
pub mod optional_path {
    use super::{PathBuf, PathForm};
    use serde::de::Error;
    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    /// Writes it.
    pub fn serialize<S: Serializer>(path: &Option<PathBuf>, serializer: S) -> Result<S::Ok, S::Error> {
        path.as_deref().map(PathForm::of).serialize(serializer)
    }

    /// Reads one.
    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<PathBuf>, D::Error> {
        let form = Option::<PathForm>::deserialize(deserializer)?;
        form.map(|form| form.checked().map_err(D::Error::custom)).transpose()
    }
}

/// Paths below the base of a backup.
pub mod paths {
    use super::{PathBuf, PathForm};
    use serde::de::Error;
    use serde::{Deserialize, Deserializer, Serializer};

    /// Writes them.
    pub fn serialize<S: Serializer>(paths: &[PathBuf], serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(paths.iter().map(|path| PathForm::of(path)))
    }

    /// Reads some.
    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<PathBuf>, D::Error> {
        let forms = Vec::<PathForm>::deserialize(deserializer)?;
        forms.into_iter().map(|form| form.checked().map_err(D::Error::custom)).collect()
    }
}

/// WAL files, as the lines of an xlog.db.
pub mod entries {
    use crate::barman::wal_entry::WalEntry;
    use crate::barman::xlogdb::{FIVE_FIELDS, XlogDb};
    use serde::de::Error;
    use serde::{Deserialize, Deserializer, Serializer};

    /// Writes them.
    pub fn serialize<S: Serializer>(entries: &[WalEntry], serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&lines(entries))
    }

    /// Reads some; they must be in order, each once, as the planner gives them.
    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<WalEntry>, D::Error> {
        parse(&String::deserialize(deserializer)?).map_err(D::Error::custom)
    }

    pub(super) fn lines(entries: &[WalEntry]) -> String {
        let bytes = XlogDb::new(entries.iter().copied()).write(FIVE_FIELDS);
        String::from_utf8_lossy(&bytes).into_owned()
    }

    pub(super) fn parse(text: &str) -> Result<Vec<WalEntry>, String> {
        let list = XlogDb::parse(text.as_bytes());
        match list.problems().first() {
            Some(problem) => Err(format!("line {} of a list of WAL files: {}", problem.line, problem.kind)),
            None => Ok(list.entries().iter().collect()),
        }
    }
}

/// A WAL file, as a line of an xlog.db.
pub mod entry {
    use super::entries::{lines, parse};
    use crate::barman::wal_entry::WalEntry;
    use serde::de::Error;
    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    /// Writes it.
    pub fn serialize<S: Serializer>(entry: &Option<WalEntry>, serializer: S) -> Result<S::Ok, S::Error> {
        entry.map(|entry| lines(&[entry])).serialize(serializer)
    }

    /// Reads one.
    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<WalEntry>, D::Error> {
        let Some(text) = Option::<String>::deserialize(deserializer)? else { return Ok(None) };
        match parse(&text).map_err(D::Error::custom)?.as_slice() {
            [entry] => Ok(Some(*entry)),
            _ => Err(D::Error::custom("expected one line of xlog.db")),
        }
    }
}

/// The names of WAL files, each on a line.
pub mod names {
    use crate::barman::wal::WalName;
    use serde::de::Error;
    use serde::{Deserialize, Deserializer, Serializer};
    use std::collections::BTreeSet;

    /// Writes them.
    pub fn serialize<S: Serializer>(names: &BTreeSet<WalName>, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&names.iter().map(|name| format!("{name}\n")).collect::<String>())
    }

    /// Reads some.
    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<BTreeSet<WalName>, D::Error> {
        String::deserialize(deserializer)?.lines().map(|line| line.parse().map_err(D::Error::custom)).collect()
    }
}

/// The sizes of WAL files: a line `NAME BYTES` for each.
pub mod sizes {
    use crate::barman::wal::WalName;
    use serde::de::Error;
    use serde::{Deserialize, Deserializer, Serializer};
    use std::collections::BTreeMap;
    use std::fmt::Write;

    /// Writes them.
    pub fn serialize<S: Serializer>(sizes: &BTreeMap<WalName, u64>, serializer: S) -> Result<S::Ok, S::Error> {
        let mut text = String::with_capacity(sizes.len() * 36);
        for (name, size) in sizes {
            // Writing to a String cannot fail.
            let _ = writeln!(text, "{name} {size}");
        }
        serializer.serialize_str(&text)
    }

    /// Reads some.
    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<BTreeMap<WalName, u64>, D::Error> {
        let text = String::deserialize(deserializer)?;
        let size = |line: &str| {
            let (name, size) = line.split_once(' ')?;
            Some((name.parse().ok()?, size.parse().ok()?))
        };
        let line = |line| size(line).ok_or_else(|| D::Error::custom(format!("not a WAL file and its size: {line:?}")));
        text.lines().map(line).collect()
    }
}

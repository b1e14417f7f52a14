//! Keep annotations: backups that no retention policy may remove (Barman `annotations.py`, `KeepManager`).

use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::ids::InvalidId;

/// Why a backup is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Keep {
    /// With all WAL after it, for recovery to any later point.
    Full,
    /// With the WAL from its begin to its end only.
    Standalone,
}

impl Keep {
    /// Reads an annotation; a line break at its end is tolerated, Barman writes none.
    pub fn parse(bytes: &[u8]) -> Result<Self, InvalidId> {
        match bytes.trim_ascii() {
            b"full" => Ok(Self::Full),
            b"standalone" => Ok(Self::Standalone),
            other => {
                let text = String::from_utf8_lossy(other);
                Err(InvalidId::new("keep annotation", &text, "expected `full` or `standalone`"))
            }
        }
    }

    /// The annotation as Barman writes it.
    pub fn write(self) -> &'static [u8] {
        self.as_str().as_bytes()
    }

    fn as_str(self) -> &'static str {
        match self {
            Self::Full => "full",
            Self::Standalone => "standalone",
        }
    }
}

impl fmt::Display for Keep {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn annotations_are_read_as_they_are_written() {
        for keep in [Keep::Full, Keep::Standalone] {
            assert_eq!(Keep::parse(keep.write()), Ok(keep));
        }
        assert_eq!(Keep::parse(b"full\n"), Ok(Keep::Full));
        for bad in [&b""[..], b"nokeep", b"\xff\xfe", b"FULL"] {
            assert!(Keep::parse(bad).is_err());
        }
    }
}

//! One file of a WAL archive as Barman lists it, in xlog.db and in sync-info (Barman `infofile.py`, `WalFileInfo`).

use std::fmt;
use std::num::NonZeroU8;
use std::str::FromStr;

use super::ids::{InvalidId, textual_id};
use super::python_float::python_repr;
use super::wal::WalName;

/// One file of a WAL archive. Compact, as an archive may hold millions.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct WalEntry {
    /// The name of the file.
    pub name: WalName,
    /// Its size as stored, so the compressed one.
    pub size: u64,
    /// When it was last modified.
    pub mtime: Mtime,
    /// How it is compressed.
    pub compression: Option<CodecName>,
    /// How it is encrypted.
    pub encryption: Option<CodecName>,
}

/// A modification time in seconds since 1970; always finite, and written as Python writes it.
#[derive(Debug, Clone, Copy, PartialEq, PartialOrd)]
pub struct Mtime(f64);

impl Mtime {
    /// A time, unless the number is no number or infinite.
    pub fn new(seconds: f64) -> Option<Self> {
        // A zero has no sign: times that are equal are written alike.
        seconds.is_finite().then_some(Self(seconds + 0.0))
    }

    /// A time in whole seconds since 1970.
    pub fn of_seconds(seconds: i64) -> Self {
        // Those of any century that has WAL are far below what a float holds exactly, and every integer is finite.
        #[expect(clippy::cast_precision_loss)]
        Self(seconds as f64)
    }

    /// Seconds since 1970.
    pub fn seconds(self) -> f64 {
        self.0
    }
}

impl FromStr for Mtime {
    type Err = InvalidId;

    fn from_str(text: &str) -> Result<Self, InvalidId> {
        let time = text.parse().ok().and_then(Self::new);
        time.ok_or_else(|| InvalidId::new("time", text, "expected seconds since 1970"))
    }
}

impl fmt::Display for Mtime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&python_repr(self.0))
    }
}

/// Barman's name of a compression or an encryption: `gzip`, `zstd`, `gpg`. Inline, as it is repeated for every file.
///
/// Invariant: 1 to 15 characters out of ASCII letters, digits, `-`, `_` and `.`, and not `None`.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CodecName {
    length: NonZeroU8,
    bytes: [u8; 15],
}
textual_id!(CodecName);

impl CodecName {
    /// Whether these bytes are a name.
    pub fn is_name(bytes: &[u8]) -> bool {
        let allowed = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.');
        (1..=15).contains(&bytes.len()) && bytes != b"None" && bytes.iter().all(allowed)
    }

    /// The name as text.
    pub fn as_str(&self) -> &str {
        let bytes = self.bytes.get(..usize::from(self.length.get())).unwrap_or_default();
        // The bytes were checked to be ASCII when the value was made.
        std::str::from_utf8(bytes).unwrap_or_default()
    }
}

impl FromStr for CodecName {
    type Err = InvalidId;

    fn from_str(text: &str) -> Result<Self, InvalidId> {
        let invalid = || InvalidId::new("compression or encryption", text, "expected a name such as gzip or gpg");
        if !Self::is_name(text.as_bytes()) {
            return Err(invalid());
        }
        let length = u8::try_from(text.len()).ok().and_then(NonZeroU8::new).ok_or_else(invalid)?;
        let mut bytes = [0; 15];
        bytes.get_mut(..text.len()).ok_or_else(invalid)?.copy_from_slice(text.as_bytes());
        Ok(Self { length, bytes })
    }
}

impl fmt::Display for CodecName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl fmt::Debug for CodecName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codec_names_are_short_words() {
        for good in ["gzip", "pybzip2", "gpg", "aes-256.gcm_x1"] {
            assert_eq!(good.parse::<CodecName>().map(|name| name.to_string()), Ok(good.to_owned()));
        }
        for bad in ["", "None", "two words", "a\tb", "longer-than-fifteen", "zürich", &"x".repeat(300)] {
            assert!(bad.parse::<CodecName>().is_err(), "{bad:?} was accepted");
        }
    }

    #[test]
    fn an_entry_stays_small() {
        assert!(size_of::<WalEntry>() <= 72, "{}", size_of::<WalEntry>());
    }
}

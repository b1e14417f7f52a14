//! Our note of what the last verification came to, in `B/.antipode/verified.json`: when what is here was read last, and what
//! of it proves nothing. It is a cache: one that is absent or broken says that nothing was read.

use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The version of the form.
const VERSION: u32 = 1;

/// How far what is here of a server was read to its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Verified {
    /// When the last verification ended.
    #[schemars(with = "String", extend("format" = "date-time"))]
    pub at: Timestamp,
    /// When the file was read that was not read for the longest time; null where nothing was read.
    #[schemars(with = "Option<String>", extend("format" = "date-time"))]
    pub oldest: Option<Timestamp>,
    /// How many files there were, and their bytes.
    pub files: Amount,
    /// Those of them that were never read as they are now.
    pub unread: Amount,
    /// Those that are what was noted when they arrived or were read first, and that nothing else proves.
    #[serde(default)]
    pub unchanged: Amount,
    /// When that was noted of the first of them.
    #[serde(default)]
    #[schemars(with = "Option<String>", extend("format" = "date-time"))]
    pub unchanged_since: Option<Timestamp>,
    /// Those that were read, and of which nothing tells what should be in them.
    pub unproven: Amount,
    /// Those that were found damaged and not mended.
    pub damaged: Amount,
}

/// Files, and their bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Amount {
    /// How many.
    pub count: u64,
    /// Their bytes, each once, however many names a file has.
    pub bytes: u64,
}

impl Amount {
    /// One more, of so many bytes.
    pub fn add(&mut self, bytes: u64) {
        self.count += 1;
        self.bytes = self.bytes.saturating_add(bytes);
    }
}

impl std::ops::AddAssign for Amount {
    fn add_assign(&mut self, other: Self) {
        self.count += other.count;
        self.bytes = self.bytes.saturating_add(other.bytes);
    }
}

#[derive(Serialize, Deserialize)]
struct Form {
    format_version: u32,
    verified: Verified,
}

impl Verified {
    /// Reads the file; `None` for anything else than what [`Self::write`] makes.
    pub fn parse(bytes: &[u8]) -> Option<Self> {
        let form: Form = serde_json::from_slice(bytes).ok()?;
        (form.format_version == VERSION).then_some(form.verified)
    }

    /// The file.
    pub fn write(&self) -> Vec<u8> {
        // Numbers and times always have a form in JSON.
        let mut bytes = serde_json::to_vec(&Form { format_version: VERSION, verified: *self }).unwrap_or_default();
        bytes.push(b'\n');
        bytes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_read_as_it_was_written_and_nothing_else_is() {
        let at = "2026-11-22T10:00:00Z".parse().unwrap();
        let (files, none) = (Amount { count: 7, bytes: 1 << 40 }, Amount::default());
        let verified = Verified {
            at,
            oldest: Some(at),
            files,
            unread: none,
            unchanged: files,
            unchanged_since: Some(at),
            unproven: none,
            damaged: none,
        };
        let text = String::from_utf8(verified.write()).unwrap();
        assert_eq!(Verified::parse(text.as_bytes()), Some(verified));
        for other in ["", "{}", &text[1..], &text.replace("\"format_version\":1", "\"format_version\":2")] {
            assert_eq!(Verified::parse(other.as_bytes()), None, "{other}");
        }
    }
}

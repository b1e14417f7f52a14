//! Identifiers of Barman and PostgreSQL, parsed once at the edge.
//!
//! Every name that a primary sends becomes a file name, a shell word or a line on a terminal.
//! These types are the proof that it was checked: a value exists only if the text is harmless.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// A text is not the identifier that it should be.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{text:?} is not a {what}: {why}")]
pub struct InvalidId {
    /// The kind of identifier, for example `server name`.
    pub what: &'static str,
    /// The text as it was received; `Debug` formatting keeps terminal escapes harmless.
    pub text: String,
    /// What is wrong with it.
    pub why: &'static str,
}

impl InvalidId {
    pub(crate) fn new(what: &'static str, text: &str, why: &'static str) -> Self {
        Self { what, text: text.chars().take(200).collect(), why }
    }
}

/// Implements the traits that every textual identifier shares, on top of its `FromStr` and `Display`. One that stands in
/// a format of our own also says what it looks like there.
macro_rules! textual_id {
    ($name:ident, $pattern:literal) => {
        textual_id!($name);
        impl schemars::JsonSchema for $name {
            fn schema_name() -> std::borrow::Cow<'static, str> {
                stringify!($name).into()
            }
            fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
                schemars::json_schema!({ "type": "string", "pattern": $pattern })
            }
        }
    };
    ($name:ident) => {
        impl TryFrom<String> for $name {
            type Error = InvalidId;
            fn try_from(text: String) -> Result<Self, InvalidId> {
                text.parse()
            }
        }
        impl From<$name> for String {
            fn from(id: $name) -> String {
                id.to_string()
            }
        }
    };
}
pub(crate) use textual_id;

/// The name of a server in a Barman catalog: a directory below `barman_home`.
///
/// Invariants: 1 to 100 characters, none of them a control character, `/` or `\`; it starts neither with `.`
/// (lock files and our own directory do) nor with `-` (an option to a shell word); no white space at
/// its ends; not one of the words that Barman reserves.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct ServerName(String);
textual_id!(ServerName, r"^[^./\\-][^/\\]{0,99}$");

impl ServerName {
    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for ServerName {
    type Err = InvalidId;

    fn from_str(text: &str) -> Result<Self, InvalidId> {
        let invalid = |why| Err(InvalidId::new("server name", text, why));
        if text.is_empty() {
            return invalid("it is empty");
        }
        if text.len() > 100 {
            return invalid("it is longer than 100 bytes");
        }
        if text.chars().any(is_unprintable) {
            return invalid("it contains a control or formatting character");
        }
        if text.contains(['/', '\\']) {
            return invalid("it contains a slash, and a name may not leave the catalog");
        }
        if text.starts_with(['.', '-']) {
            return invalid("it starts with a dot or a dash");
        }
        if text.trim() != text {
            return invalid("it starts or ends with white space");
        }
        if matches!(text, "all" | "barman") {
            return invalid("Barman reserves this word");
        }
        Ok(Self(text.to_owned()))
    }
}

impl fmt::Display for ServerName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

/// Whether a character could move a cursor, reorder text or hide itself when it is printed: those of Unicode's categories
/// Cc, Cf, Zl and Zp, and the block of tags.
pub fn is_unprintable(c: char) -> bool {
    let is_format = matches!(c, '\u{ad}' | '\u{600}'..='\u{605}' | '\u{61c}' | '\u{6dd}' | '\u{70f}' | '\u{890}'..='\u{891}')
        || matches!(c, '\u{8e2}' | '\u{180e}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}')
        || matches!(c, '\u{feff}' | '\u{fff9}'..='\u{fffb}' | '\u{110bd}' | '\u{110cd}' | '\u{13430}'..='\u{1343f}')
        || matches!(c, '\u{1bca0}'..='\u{1bca3}' | '\u{1d173}'..='\u{1d17a}' | '\u{e0000}'..='\u{e0fff}');
    c.is_control() || is_format
}

/// A text that can be printed: characters that [cannot](is_unprintable) are escaped, as in `\u{202e}`.
pub fn printable(text: &str) -> String {
    let mut printable = String::with_capacity(text.len());
    for c in text.chars() {
        if is_unprintable(c) { printable.extend(c.escape_unicode()) } else { printable.push(c) }
    }
    printable
}

/// The id of a backup: the local time of its start, as in `20261122T092435` (Barman `server.py`).
///
/// Ids order as text, which is also their order in time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct BackupId([u8; 15]);
textual_id!(BackupId, "^[0-9]{8}T[0-9]{6}$");

impl BackupId {
    /// The id as text.
    pub fn as_str(&self) -> &str {
        // All 15 bytes were checked to be ASCII when the value was made.
        std::str::from_utf8(&self.0).unwrap_or_default()
    }
}

impl FromStr for BackupId {
    type Err = InvalidId;

    fn from_str(text: &str) -> Result<Self, InvalidId> {
        let invalid = || InvalidId::new("backup id", text, "expected the form 20261122T092435");
        let bytes: [u8; 15] = text.as_bytes().try_into().map_err(|_| invalid())?;
        let well_formed = bytes.iter().enumerate().all(|(i, b)| if i == 8 { *b == b'T' } else { b.is_ascii_digit() });
        if well_formed { Ok(Self(bytes)) } else { Err(invalid()) }
    }
}

impl fmt::Display for BackupId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// The identifier that PostgreSQL's initdb gives to a cluster; two clusters never share one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct SystemId(pub u64);
textual_id!(SystemId, "^[0-9]+$");

impl FromStr for SystemId {
    type Err = InvalidId;

    fn from_str(text: &str) -> Result<Self, InvalidId> {
        text.parse().map(Self).map_err(|_| InvalidId::new("system identifier", text, "expected an unsigned integer"))
    }
}

impl fmt::Display for SystemId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn server_names_that_could_do_harm_are_refused() {
        for bad in [
            "",
            "..",
            "../x",
            "/etc",
            "a/b",
            "a\\b",
            ".hidden",
            "-rf",
            "a\nb",
            "a\u{1b}[31m",
            "a\u{202e}b",
            " a",
            "a ",
            "all",
        ] {
            assert!(bad.parse::<ServerName>().is_err(), "{bad:?} was accepted");
        }
        for good in ["main", "pg-15.prod", "zürich", "main db", "a@b", "M_1"] {
            assert_eq!(good.parse::<ServerName>().map(|n| n.to_string()), Ok(good.to_owned()));
        }
    }

    #[test]
    fn backup_ids_have_one_form() {
        assert_eq!("20261122T092435".parse::<BackupId>().map(|i| i.to_string()), Ok("20261122T092435".to_owned()));
        for bad in ["", "20261122", "20261122t092435", "20261122T09243x", "20261122T0924355", "../0261122T09243"] {
            assert!(bad.parse::<BackupId>().is_err(), "{bad:?} was accepted");
        }
    }
}

//! Our note that a copy is left as it is for good, in `B/.antipode/detached.json`: nobody copies the server here any more,
//! and somebody said that this is as it should be.
//!
//! It holds until an apply works on the server again, which takes the note away.

use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// That a copy is left as it is, and who said so.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Detachment {
    /// Since when; null where its note cannot be read.
    #[schemars(with = "Option<String>", extend("format" = "date-time"))]
    pub since: Option<Timestamp>,
    /// The user who said so.
    pub by: Option<String>,
    /// Why, in that user's words.
    pub why: Option<String>,
}

impl Detachment {
    /// What a note says; one that cannot be read counts all the same, as somebody wrote one.
    pub fn parse(note: &[u8]) -> Self {
        let unreadable = || Self { since: None, by: None, why: Some("its note cannot be read".to_owned()) };
        serde_json::from_slice(note).unwrap_or_else(|_| unreadable())
    }

    /// As it is noted.
    pub fn write(&self) -> Vec<u8> {
        // Times and texts always have a form in JSON.
        let mut note = serde_json::to_vec(self).unwrap_or_default();
        note.push(b'\n');
        note
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_read_as_it_was_noted_and_counts_where_it_cannot_be_read() {
        let since = Some("2026-11-22T10:00:00Z".parse().unwrap());
        let said = Detachment { since, by: Some("anna".to_owned()), why: Some("sold \"it\"\n".to_owned()) };
        assert_eq!(Detachment::parse(&said.write()), said);
        for note in [&b""[..], b"{", b"\xff", b"null"] {
            assert_eq!(Detachment::parse(note).why.as_deref(), Some("its note cannot be read"), "{note:?}");
        }
    }
}

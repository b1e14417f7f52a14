//! That a replica is left alone for a while, and who said so.

use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Nobody works on a replica, until somebody resumes it or a time has come.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Suspension {
    /// Since when; null where its note cannot be read.
    #[schemars(with = "Option<String>", extend("format" = "date-time"))]
    pub since: Option<Timestamp>,
    /// Until when; null for as long as nobody resumes it.
    #[schemars(with = "Option<String>", extend("format" = "date-time"))]
    pub until: Option<Timestamp>,
    /// The user who said so.
    pub by: Option<String>,
    /// Why, in that user's words.
    pub why: Option<String>,
}

impl Suspension {
    /// What a note says; a note that cannot be read suspends all the same, as somebody wrote one.
    pub fn noted(note: &[u8]) -> Self {
        serde_json::from_slice(note).unwrap_or_else(|_| {
            let why = "its note cannot be read".to_owned();
            Self { since: None, until: None, by: None, why: Some(why) }
        })
    }

    /// Whether it holds.
    pub fn holds(&self, now: Timestamp) -> bool {
        self.until.is_none_or(|until| now < until)
    }

    /// As it is noted.
    pub fn note(&self) -> Vec<u8> {
        // Times and texts always have a form in JSON.
        let mut note = serde_json::to_vec(self).unwrap_or_default();
        note.push(b'\n');
        note
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(clock: &str) -> Timestamp {
        format!("2026-11-22T{clock}:00Z").parse().unwrap()
    }

    #[test]
    fn it_is_read_as_it_was_noted_and_holds_until_its_time_has_come() {
        let suspension = Suspension {
            since: Some(at("10:00")),
            until: Some(at("12:00")),
            by: Some("anna".to_owned()),
            why: Some("the primary moves \"house\"\n".to_owned()),
        };
        let read = Suspension::noted(&suspension.note());
        assert_eq!(read, suspension);
        assert_eq!((read.holds(at("11:59")), read.holds(at("12:00"))), (true, false));
        assert!(Suspension { until: None, ..read }.holds(at("23:00")));
    }

    #[test]
    fn a_note_that_cannot_be_read_suspends_all_the_same() {
        for note in [&b""[..], b"{", b"{\"since\":\"yesterday\"}", b"\xff\xff", b"null"] {
            let read = Suspension::noted(note);
            assert!(read.holds(at("10:00")), "{note:?}");
            assert_eq!((read.since, read.why.as_deref()), (None, Some("its note cannot be read")), "{note:?}");
        }
    }
}

//! Our note of a replica's last successful apply, and of the last one that tells how fast bytes arrive, in
//! `B/.antipode/last-apply.json`.
//!
//! It is a cache: it tells `status` when the pipeline last ran, and plans how fast bytes arrive. One that is absent,
//! broken or of another version only leaves these two unknown.

use std::time::Duration;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// The version of the form.
const VERSION: u32 = 1;

/// What a replica's last applies were.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LastApply {
    /// When the last one ended that did all there was to do, be it nothing; `None` when none has.
    pub ended: Option<Timestamp>,
    /// The primary that the replica is a copy of, by its name in the site file.
    pub primary: String,
    /// The newest transfer that was long enough to tell how fast bytes arrive, of whatever apply.
    pub measured: Option<Measured>,
    /// The site that the newest one was of; `None` in the note of an earlier version.
    pub site: Option<SiteNote>,
}

/// A site, as a note names it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SiteNote {
    /// Its name.
    pub name: String,
    /// The path of its file.
    pub file: String,
}

/// Bytes that arrived, and the time during which they did.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Measured {
    /// Bytes that crossed the wire.
    pub bytes: u64,
    /// The time during which at least one transfer ran.
    pub time: Duration,
}

impl Measured {
    /// A shorter transfer says more about its start than about the line.
    const TELLING: Duration = Duration::from_secs(2);

    /// Bytes per second; `None` when too little was transferred to tell.
    pub fn rate(self) -> Option<u64> {
        let milliseconds = self.time.as_millis();
        if self.time < Self::TELLING || milliseconds == 0 {
            return None;
        }
        let rate = u128::from(self.bytes) * 1000 / milliseconds;
        u64::try_from(rate).ok().filter(|rate| *rate > 0)
    }
}

/// The form of the file.
#[derive(Serialize, Deserialize)]
struct Form {
    format_version: u32,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    ended: Option<Timestamp>,
    primary: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    measured: Option<MeasuredForm>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    site: Option<SiteNote>,
}

#[derive(Serialize, Deserialize)]
struct MeasuredForm {
    bytes: u64,
    milliseconds: u64,
}

impl LastApply {
    /// Reads the file; `None` for anything else than what [`LastApply::write`] makes.
    pub fn parse(bytes: &[u8]) -> Option<Self> {
        let form: Form = serde_json::from_slice(bytes).ok()?;
        let measured =
            |form: MeasuredForm| Measured { bytes: form.bytes, time: Duration::from_millis(form.milliseconds) };
        (form.format_version == VERSION).then(|| Self {
            ended: form.ended,
            primary: form.primary,
            measured: form.measured.map(measured),
            site: form.site,
        })
    }

    /// The file.
    pub fn write(&self) -> Vec<u8> {
        let measured = self.measured.map(|measured| MeasuredForm {
            bytes: measured.bytes,
            milliseconds: u64::try_from(measured.time.as_millis()).unwrap_or(u64::MAX),
        });
        let (primary, site) = (self.primary.clone(), self.site.clone());
        let form = Form { format_version: VERSION, ended: self.ended, primary, measured, site };
        // Nothing in the form can fail to be written; without it the note would only be unknown.
        let mut bytes = serde_json::to_vec(&form).unwrap_or_default();
        bytes.push(b'\n');
        bytes
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn note() -> LastApply {
        LastApply {
            ended: "2026-11-22T09:12:03Z".parse().ok(),
            primary: "frankfurt".to_owned(),
            measured: Some(Measured { bytes: 140 << 20, time: Duration::from_secs(2) }),
            site: Some(SiteNote { name: "lisbon".to_owned(), file: "/etc/antipode/lisbon.yaml".to_owned() }),
        }
    }

    #[test]
    fn a_note_is_read_as_it_is_written() {
        for note in [note(), LastApply { measured: None, site: None, ..note() }, LastApply { ended: None, ..note() }] {
            assert_eq!(LastApply::parse(&note.write()), Some(note));
        }
    }

    #[test]
    fn what_is_no_note_of_this_version_is_unknown() {
        let text = String::from_utf8(note().write()).unwrap();
        for other in [
            "",
            "{}",
            &text[..text.len() / 2],
            &text.replace("\"format_version\":1", "\"format_version\":2"),
            &text.replace("2026-11-22T", "yesterday "),
        ] {
            assert_eq!(LastApply::parse(other.as_bytes()), None, "{other}");
        }
    }

    #[test]
    fn a_rate_is_told_by_transfers_that_took_a_while() {
        assert_eq!(note().measured.and_then(Measured::rate), Some(70 << 20));
        let short = Measured { bytes: 140 << 20, time: Duration::from_millis(1999) };
        assert_eq!(short.rate(), None);
        assert_eq!(Measured { bytes: 0, time: Duration::from_secs(9) }.rate(), None);
        assert_eq!(Measured::default().rate(), None);
    }

    proptest! {
        #[test]
        fn any_bytes_are_a_note_or_none(bytes in prop::collection::vec(any::<u8>(), 0..80)) {
            let _ = LastApply::parse(&bytes);
        }
    }
}

//! How far a replica is behind the origin, where its primary is a copy itself: in a row of sites what is level with its
//! primary may be hours behind the server that all of them copy.
//!
//! Each Antipode of the row notes how far the origin had come when that was looked at, and the next one hands it on. A passive
//! node of Barman's own notes nothing; then nobody knows.

use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::branch::is_ahead;
use super::window::Window;
use crate::barman::wal::WalName;
use crate::observe::inventory::{self, PrimaryInventory};

/// How far the origin is, as far as a primary tells that is a copy itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub enum Origin {
    /// It does not tell.
    Untold,
    /// It had come this far.
    Seen(Seen),
}

/// How far the origin had come when it was looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Seen {
    /// When the first of the row looked at it.
    #[schemars(with = "String", extend("format" = "date-time"))]
    pub at: Timestamp,
    /// Its newest segment.
    pub newest: WalName,
    /// When that was archived there.
    #[schemars(with = "String", extend("format" = "date-time"))]
    pub archived: Timestamp,
    /// Seconds from the end of the recovery window here to that; null where nothing can be recovered.
    pub seconds: Option<u64>,
    /// Segments between them; null where they are not on one timeline.
    pub segments: Option<u64>,
}

impl Origin {
    /// Of a primary that is a copy; `None` for one that is the origin itself.
    pub fn of(
        primary: &PrimaryInventory,
        window: Option<Window>,
        to: Option<Timestamp>,
        now: Timestamp,
    ) -> Option<Self> {
        primary.is_copy().then(|| {
            let seen = primary.origin().and_then(|origin| Seen::of(origin, window, to));
            seen.filter(|seen| !is_ahead(seen.at, now)).map_or(Self::Untold, Self::Seen)
        })
    }

    /// Seconds that would be lost at the most; `None` where it does not tell.
    pub fn loss(&self, now: Timestamp) -> Option<u64> {
        let Self::Seen(seen) = self else { return None };
        // What it archived since then nobody knows.
        let since = u64::try_from(now.as_second() - seen.at.as_second()).unwrap_or_default();
        Some(seen.seconds?.saturating_add(since))
    }
}

impl Seen {
    fn of(origin: inventory::Origin, window: Option<Window>, to: Option<Timestamp>) -> Option<Self> {
        let inventory::Origin { seen, newest, archived } = origin;
        let (at, archived) = (Timestamp::from_second(seen).ok()?, Timestamp::from_second(archived).ok()?);
        let segments = window.and_then(|window| {
            let number = newest.segment()?.number(window.segment_size)?;
            (newest.timeline() == window.end.timeline).then(|| number.saturating_sub(window.end.number))
        });
        let seconds = window.and(to).map(|to| match segments {
            Some(0) => 0,
            _ => u64::try_from(archived.as_second() - to.as_second()).unwrap_or_default(),
        });
        Some(Self { at, newest, archived, seconds, segments })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::barman::wal::{SegmentSize, Timeline};
    use crate::plan::recovery::window::Point;

    fn at(clock: &str) -> Timestamp {
        format!("2026-11-22T{clock}Z").parse().unwrap()
    }

    /// A window that ends with segment 8 at 10:00, seen against an origin.
    fn seen(newest: &str, archived: &str) -> Seen {
        let end = Point { timeline: Timeline(1), number: 8 };
        let oldest = "20261121T030000".parse().unwrap();
        let window = Window { oldest, end, segment_size: SegmentSize::DEFAULT };
        let (seen, archived) = (at("10:20:00").as_second(), at(archived).as_second());
        let origin = inventory::Origin { seen, newest: newest.parse().unwrap(), archived };
        Seen::of(origin, Some(window), Some(at("10:00:00"))).unwrap()
    }

    #[test]
    fn the_lag_is_from_the_end_of_the_window_to_what_the_origin_had() {
        for (newest, archived, expected) in [
            ("00000001000000000000000B", "10:12:00", (Some(720), Some(3))),
            ("000000010000000000000008", "10:00:00", (Some(0), Some(0))),
            // It came further than when the origin was looked at.
            ("000000010000000000000007", "09:50:00", (Some(0), Some(0))),
            ("000000020000000000000009", "10:12:00", (Some(720), None)),
        ] {
            let seen = seen(newest, archived);
            assert_eq!((seen.seconds, seen.segments), expected, "{newest}");
        }
    }

    #[test]
    fn what_the_origin_archived_since_it_was_looked_at_counts_as_lost() {
        let seen = seen("00000001000000000000000B", "10:12:00");
        assert_eq!(Origin::Seen(seen).loss(at("10:20:00")), Some(720));
        assert_eq!(Origin::Seen(seen).loss(at("10:21:00")), Some(780));
        assert_eq!(Origin::Untold.loss(at("10:21:00")), None);
    }
}

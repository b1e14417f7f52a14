//! How far replicas are behind the origin of a row of sites, in words.

use jiff::Timestamp;

use super::remarks::Remark;
use super::units::{duration, timestamp};
use crate::english::count;
use crate::plan::recovery::origin::{Origin, Seen};
use crate::plan::status::SiteStatus;

/// A note for each replica whose primary is a copy itself.
pub fn remarks(status: &SiteStatus, now: Timestamp) -> impl Iterator<Item = Remark> {
    status.replicas.iter().filter_map(move |replica| {
        let origin = replica.recovery.origin?;
        Some(Remark::note(sentence(&replica.primary, origin, now)).of(&replica.name))
    })
}

fn sentence(primary: &str, origin: Origin, now: Timestamp) -> String {
    match origin {
        Origin::Untold => format!(
            "primary {primary} is a copy itself, and does not tell of the origin: how far that is ahead is unknown"
        ),
        Origin::Seen(seen) => {
            let ago = u64::try_from(now.as_second() - seen.at.as_second()).unwrap_or_default();
            format!(
                "primary {primary} is a copy itself; {} ago the origin had {}, archived {}: {}",
                duration(ago),
                seen.newest,
                timestamp(seen.archived),
                ahead(seen)
            )
        }
    }
}

/// How far that is ahead of what can be recovered here.
fn ahead(seen: Seen) -> String {
    let segments = seen.segments.map(|segments| format!(" and {}", count(segments, "segment"))).unwrap_or_default();
    match seen.seconds {
        None => "nothing can be recovered here".to_owned(),
        Some(0) if seen.segments.is_none_or(|segments| segments == 0) => "all of it is here".to_owned(),
        Some(seconds) => format!("{}{segments} more than can be recovered here", duration(seconds)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_note_says_what_the_origin_had_and_when_or_that_nobody_knows() {
        let at = |clock: &str| format!("2026-11-22T{clock}Z").parse::<Timestamp>().unwrap();
        let of = |seconds, segments| {
            let newest = "00000001000000000000000B".parse().unwrap();
            let seen = Seen { at: at("10:20:00"), newest, archived: at("10:12:00"), seconds, segments };
            sentence("lisbon", Origin::Seen(seen), at("10:22:00"))
        };
        insta::assert_snapshot!(of(Some(720), Some(3)), @"primary lisbon is a copy itself; 2 min ago the origin had 00000001000000000000000B, archived 2026-11-22 10:12:00Z: 12 min and 3 segments more than can be recovered here");
        insta::assert_snapshot!(of(Some(0), Some(0)), @"primary lisbon is a copy itself; 2 min ago the origin had 00000001000000000000000B, archived 2026-11-22 10:12:00Z: all of it is here");
        insta::assert_snapshot!(of(Some(720), None), @"primary lisbon is a copy itself; 2 min ago the origin had 00000001000000000000000B, archived 2026-11-22 10:12:00Z: 12 min more than can be recovered here");
        insta::assert_snapshot!(of(None, None), @"primary lisbon is a copy itself; 2 min ago the origin had 00000001000000000000000B, archived 2026-11-22 10:12:00Z: nothing can be recovered here");
        insta::assert_snapshot!(sentence("lisbon", Origin::Untold, at("10:22:00")), @"primary lisbon is a copy itself, and does not tell of the origin: how far that is ahead is unknown");
    }
}

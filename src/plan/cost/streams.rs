//! How many transfers at the same time fill a line.
//!
//! OpenSSH lets 2 MiB be on their way in one channel, so that one transfer brings no more than that in each round trip: at
//! 100 ms that is 20 MB/s, however fast the line is. More transfers than fill the line bring nothing, and cost the
//! primary a program and a place in its disk's queue each.

use std::time::Duration;

/// What OpenSSH lets be on its way in one channel (`CHAN_SES_WINDOW_DEFAULT`), in bytes.
pub(super) const WINDOW: u64 = 2 << 20;

/// What a line is taken for that has no declared limit, in bytes per second: 1 Gb/s.
pub(super) const LINE: u64 = 125_000_000;

/// So many keep a near line busy while one begins and another ends.
const FEW: usize = 4;

/// Under a limit of so many bytes per second a window that comes at once is no burst, and for each window more as many.
const BURST: u64 = 4 * WINDOW;

/// How many transfers run at the same time, and never more than `most`. `round_trip` is what was measured, and `limit`
/// the declared bandwidth in bytes per second. Nobody holds back what a transfer has on its way when it begins: under a low
/// limit that would be a burst, and one transfer runs at a time; the higher it is, the more keep the line busy while one
/// begins.
pub fn wanted(round_trip: Option<Duration>, limit: Option<u64>, most: usize) -> usize {
    let round_trip = round_trip.unwrap_or_default().as_micros();
    let on_the_way = u128::from(limit.unwrap_or(LINE)) * round_trip / 1_000_000;
    // A little more than what is on its way: the channel's window is opened again when a part of it has arrived.
    let fill = on_the_way * 5 / 4 / u128::from(WINDOW) + 1;
    let few = limit.map_or(FEW, |limit| usize::try_from(limit / BURST).unwrap_or(FEW).saturating_add(1).min(FEW));
    usize::try_from(fill).unwrap_or(most).max(few).min(most).max(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn streams_follow_the_round_trip_and_the_rate_up_to_the_ceiling() {
        const MB: u64 = 1_000_000;
        for (milliseconds, limit, most, streams) in [
            // Nothing is known, or the line is near.
            (None, None, 8, 4),
            (None, None, 2, 2),
            (Some(1), None, 8, 4),
            (Some(30), None, 8, 4),
            // Far away.
            (Some(60), None, 8, 5),
            (Some(100), None, 8, 8),
            (Some(100), None, 16, 8),
            (Some(300), None, 8, 8),
            (Some(300), None, 64, 23),
            // Within a limit.
            (None, Some(100 * MB), 8, 4),
            (None, Some(100 * MB), 1, 1),
            (Some(1), Some(100 * MB), 8, 4),
            (Some(100), Some(MB), 8, 1),
            (Some(100), Some(10 * MB), 8, 2),
            (Some(1), Some(20 * MB), 8, 3),
            (Some(100), Some(50 * MB), 8, 4),
            (Some(100), Some(1000 * MB), 8, 8),
        ] {
            let round_trip = milliseconds.map(Duration::from_millis);
            assert_eq!(wanted(round_trip, limit, most), streams, "{milliseconds:?} {limit:?} {most}");
        }
    }
}

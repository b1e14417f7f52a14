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

/// What the last transfers brought.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Load {
    /// How many ran at the same time.
    pub streams: usize,
    /// What each of them brought over the wire, in bytes per second.
    pub each: u64,
}

/// A transfer of fewer bytes says more about its start than about what is on its way, in bytes.
pub const TELLING: u64 = 16 * WINDOW;

/// What bounds the transfers that were seen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Bound {
    /// The window of each of their channels: the line takes more.
    Windows,
    /// The line: all that is on its way has room in one window.
    Line,
    /// Both, something else, or nobody knows.
    Other,
}

impl Load {
    fn bound(self, round_trip: Duration) -> Bound {
        let on_its_way = |rate: u64| u128::from(rate) * round_trip.as_micros() / 1_000_000;
        let all = self.each.saturating_mul(self.streams as u64);
        // A transfer is a few round trips on its way before its first byte.
        if on_its_way(self.each) * 3 / 2 >= u128::from(WINDOW) {
            Bound::Windows
        } else if on_its_way(all) * 5 / 4 < u128::from(WINDOW) {
            Bound::Line
        } else {
            Bound::Other
        }
    }
}

/// How many transfers run at the same time, and never more than `most`. `round_trip` is what was measured, and `limit`
/// the declared bandwidth in bytes per second. Nobody holds back what a transfer has on its way when it begins: under a low
/// limit that would be a burst, and one transfer runs at a time; the higher it is, the more keep the line busy while one
/// begins.
///
/// What was `seen` corrects that: a quarter more run as long as the windows of those that do are full, and few where all
/// that comes would have room in one window.
pub fn wanted(round_trip: Option<Duration>, limit: Option<u64>, seen: Option<Load>, most: usize) -> usize {
    let round_trip = round_trip.unwrap_or_default();
    let on_the_way = u128::from(limit.unwrap_or(LINE)) * round_trip.as_micros() / 1_000_000;
    // A little more than what is on its way: the channel's window is opened again when a part of it has arrived.
    let fill = on_the_way * 5 / 4 / u128::from(WINDOW) + 1;
    let few = limit.map_or(FEW, |limit| usize::try_from(limit / BURST).unwrap_or(FEW).saturating_add(1).min(FEW));
    let supposed = usize::try_from(fill).unwrap_or(most).max(few);
    let wanted = seen.map_or(supposed, |seen| match seen.bound(round_trip) {
        Bound::Line => few,
        // What is declared is not exceeded, however much more the line takes.
        Bound::Windows | Bound::Other if limit.is_some() => supposed,
        Bound::Windows => supposed.max(seen.streams + (seen.streams / 4).max(1)),
        Bound::Other => supposed.max(seen.streams),
    });
    wanted.min(most).max(1)
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
            assert_eq!(wanted(round_trip, limit, None, most), streams, "{milliseconds:?} {limit:?} {most}");
        }
    }

    #[test]
    fn what_transfers_brought_raises_or_lowers_their_number() {
        const MB: u64 = 1_000_000;
        for (milliseconds, limit, (streams, each), most, wanted) in [
            // The windows are full: the line takes more than was supposed.
            (100, None, (8, 20 * MB), 64, 10),
            (100, None, (10, 20 * MB), 64, 12),
            (100, None, (23, 14 * MB), 64, 28),
            (100, None, (28, 20 * MB), 32, 32),
            (100, None, (8, 20 * MB), 8, 8),
            // Few ran, as there was no more to transfer.
            (100, None, (1, 20 * MB), 64, 8),
            // Something bounds them all together: no more, and no fewer either.
            (100, None, (8, 13 * MB), 64, 8),
            (100, None, (12, 10 * MB), 64, 12),
            (100, None, (8, 3 * MB), 64, 8),
            // The line is narrow: 10 MB/s in all.
            (100, None, (8, 1_250_000), 64, 4),
            (300, None, (8, 500_000), 64, 4),
            (300, None, (4, MB), 3, 3),
            // A near one is as it was.
            (1, None, (4, 100 * MB), 64, 4),
            (0, None, (4, 100 * MB), 64, 4),
            // What is declared is the most, and what comes may be less.
            (100, Some(50 * MB), (4, 20 * MB), 64, 4),
            (100, Some(1000 * MB), (60, 20 * MB), 64, 60),
            (100, Some(1000 * MB), (60, 100_000), 64, 4),
            (100, Some(10 * MB), (2, MB), 64, 2),
        ] {
            let round_trip = Some(Duration::from_millis(milliseconds));
            let found = super::wanted(round_trip, limit, Some(Load { streams, each }), most);
            assert_eq!(found, wanted, "{milliseconds} {limit:?} {streams} {each} {most}");
        }
    }
}

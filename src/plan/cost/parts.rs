//! Whether a file comes in parts, several at the same time, and how large the next one is.
//!
//! One channel brings no more than [`WINDOW`] in each round trip, so that far away a large file is still on its way when
//! all else has come. Near, one channel is as fast as the line, and joining parts is work for nothing.

use std::time::Duration;

use super::streams::{LINE, WINDOW};

/// No part is smaller: asking for it takes a few round trips, and what is on its way when it ends comes in vain.
const LEAST: u64 = 32 << 20;

/// Nor larger: others wait for the stream meanwhile, also those of other replicas.
const MOST: u64 = 1 << 30;

/// The size of the next part of a file that has still so many bytes to come, and `left` what all files have, it included;
/// `None` when the rest of it comes at once. Parts get smaller towards the end, so that all streams end together.
pub fn next(size: u64, left: u64, streams: u64, round_trip: Option<Duration>) -> Option<u64> {
    let streams = streams.max(1);
    let part = (left / (2 * streams)).clamp(LEAST, MOST);
    let is_last_to_come = size > left / streams;
    (is_far(round_trip) && is_last_to_come && size >= part + LEAST).then_some(part)
}

/// Whether one channel is slower than the line.
fn is_far(round_trip: Option<Duration>) -> bool {
    let channel = |round_trip: Duration| u128::from(WINDOW) * 1_000_000 / round_trip.as_micros().max(1);
    round_trip.is_some_and(|round_trip| channel(round_trip) < u128::from(LINE))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_comes_in_parts_where_one_channel_would_keep_the_others_waiting() {
        const MIB: u64 = 1 << 20;
        const GIB: u64 = 1 << 30;
        for (size, left, streams, milliseconds, part) in [
            // It is all that is left, or most of it.
            (GIB, GIB, 8, Some(100), Some(64 * MIB)),
            (256 * MIB, 300 * MIB, 8, Some(100), Some(32 * MIB)),
            (GIB, 2 * GIB, 8, Some(100), Some(128 * MIB)),
            (500 * GIB, 500 * GIB, 8, Some(100), Some(GIB)),
            // The others are busy for as long as it takes.
            (GIB, 8 * GIB, 8, Some(100), None),
            (GIB, 100 * GIB, 8, Some(100), None),
            // One channel is as fast as the line, or nobody knows.
            (GIB, GIB, 8, Some(16), None),
            (GIB, GIB, 8, Some(17), Some(64 * MIB)),
            (GIB, GIB, 8, None, None),
            // There is one stream; what is left of it is a part.
            (GIB, GIB, 1, Some(100), None),
            (64 * MIB, 64 * MIB, 8, Some(100), Some(32 * MIB)),
            (63 * MIB, 63 * MIB, 8, Some(100), None),
        ] {
            let round_trip = milliseconds.map(Duration::from_millis);
            assert_eq!(next(size, left, streams, round_trip), part, "{size} of {left}, {streams} {milliseconds:?}");
        }
    }
}

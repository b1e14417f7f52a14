//! Whether a file is copied whole, or as what differs from an older version of it here.
//!
//! A delta saves bytes and costs time: the older version is read here and the file is read and compared at the primary,
//! by one processor, at a rate that depends on how much differs. On a line that is faster than that comparing, whole files
//! are there sooner.

/// What rsync compares in a second with blocks of a page, in bytes: 26 to 100 MB, the more the less differs. A line that
/// is slower than the slowest of it always gains.
const COMPARED: u64 = 32 << 20;

/// A file of fewer bytes is sent as soon as it is described.
const SMALLEST: u64 = 64 << 10;

/// Whether a delta of a file is there before the file itself would be. `older` is the size of the version that is here,
/// where one is, and `rate` what the line brings in bytes per second, as far as anybody knows: on a line of which
/// nothing is known yet, whole files measure it.
pub fn pays(size: u64, older: Option<u64>, rate: Option<u64>) -> bool {
    let has_enough = older.is_some_and(|older| older >= size / 2);
    size >= SMALLEST && has_enough && rate.is_some_and(|rate| rate < COMPARED)
}

#[cfg(test)]
mod tests {
    use super::*;

    const MB: u64 = 1_000_000;
    const GIB: u64 = 1 << 30;

    #[test]
    fn deltas_are_for_slow_lines_and_large_files_that_are_here_in_part() {
        for (size, older, rate, is_delta) in [
            // What is not here, or hardly, is sent.
            (GIB, None, Some(MB), false),
            (GIB, Some(GIB / 4), Some(MB), false),
            (GIB, Some(GIB / 2), Some(MB), true),
            (GIB, Some(2 * GIB), Some(MB), true),
            // The line decides.
            (GIB, Some(GIB), Some(10 * MB), true),
            (GIB, Some(GIB), Some(33 * MB), true),
            (GIB, Some(GIB), Some(34 * MB), false),
            (GIB, Some(GIB), Some(500 * MB), false),
            // Nothing is known of it.
            (GIB, Some(GIB), None, false),
            // Small files are sent as they are.
            (65_535, Some(65_535), Some(MB), false),
            (65_536, Some(65_536), Some(MB), true),
            (0, Some(0), Some(MB), false),
        ] {
            assert_eq!(pays(size, older, rate), is_delta, "{size} of {older:?} at {rate:?}");
        }
    }
}

//! Which files are read next: a pure choice over when each was read last.
//!
//! Without being told otherwise a verification reads what is new, and then its share of the rest, what was not read for the
//! longest first. The share is the part of all bytes that the time since the last share is of [`Asked::Share`]: however often
//! it runs, each byte is read within that time, and no day has much more to read than another.

use std::time::Duration;

use jiff::Timestamp;

/// What a file costs besides its bytes, so that empty ones are not free.
const LEAST: u64 = 4096;

/// What is to be read.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Asked {
    /// What is new, and of the rest as much as makes each byte be read within this time.
    Share(Duration),
    /// Everything.
    All,
    /// What was not read within this time.
    NotSince(Duration),
    /// What is new, and this part of the rest, in percent, by chance.
    Sample(f64),
}

/// A file, as far as the choice depends on it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Candidate {
    /// Its bytes.
    pub bytes: u64,
    /// When it was read last as it is now; `None` for what is new.
    pub read: Option<Timestamp>,
}

impl Candidate {
    fn weight(self) -> u64 {
        self.bytes.max(LEAST)
    }
}

/// What has been chosen, and what it takes of the share.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Choice {
    /// Which candidates are read, in this order: those that are new, then those that were not read for the longest.
    pub order: Vec<usize>,
    /// How many of them are new.
    pub new: usize,
}

/// Chooses. `shared` is up to when shares were taken; `seed` makes the chance of a sample.
pub fn choose(asked: Asked, candidates: &[Candidate], shared: Option<Timestamp>, now: Timestamp, seed: u64) -> Choice {
    let (new, mut read): (Vec<usize>, Vec<usize>) =
        (0..candidates.len()).partition(|at| candidate(candidates, *at).read.is_none());
    read.sort_by_key(|at| (candidate(candidates, *at).read, *at));
    let age = |at: usize| candidate(candidates, at).read.map_or(Duration::MAX, |read| since(read, now));
    let all = total(candidates);
    let chosen: Vec<usize> = match asked {
        Asked::All => read,
        Asked::NotSince(time) => read.into_iter().filter(|at| age(*at) >= time).collect(),
        Asked::Share(every) => {
            let mut left = part(all, shared.map_or(Duration::ZERO, |shared| since(shared, now)), every);
            let takes = |at: &usize| {
                let weight = candidate(candidates, *at).weight();
                let fits = weight <= left;
                left -= if fits { weight } else { 0 };
                fits || age(*at) >= every
            };
            read.into_iter().take_while(takes).collect()
        }
        Asked::Sample(percent) => {
            read.sort_by_key(|at| scattered(*at as u64 ^ scattered(seed)));
            #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a part of a number of bytes")]
            #[expect(clippy::cast_precision_loss, reason = "a sample is no exact number")]
            let mut left = (all as f64 * percent / 100.0).ceil() as u64;
            let takes = |at: &usize| {
                let is_wanted = left > 0;
                left = left.saturating_sub(candidate(candidates, *at).weight());
                is_wanted
            };
            read.into_iter().take_while(takes).collect()
        }
    };
    Choice { new: new.len(), order: new.into_iter().chain(chosen).collect() }
}

/// Up to when shares were taken, once so many of all files were read that were not new. What was read beyond the share is
/// no debt of the next one.
pub fn shared_until(
    shared: Option<Timestamp>,
    read: impl Iterator<Item = Candidate>,
    candidates: &[Candidate],
    every: Duration,
    now: Timestamp,
) -> Timestamp {
    let Some(shared) = shared.filter(|shared| *shared <= now) else { return now };
    let taken: u64 = read.map(Candidate::weight).sum();
    let earliest = now.checked_sub(every).unwrap_or(shared);
    let paid = duration_of(taken, total(candidates), every);
    shared.max(earliest).checked_add(paid).map_or(now, |until| until.min(now))
}

fn candidate(candidates: &[Candidate], at: usize) -> Candidate {
    candidates.get(at).copied().unwrap_or(Candidate { bytes: 0, read: None })
}

fn total(candidates: &[Candidate]) -> u64 {
    candidates.iter().map(|candidate| candidate.weight()).fold(0, u64::saturating_add)
}

/// How long ago something was; what lies in the future was long ago, as its time shows nothing.
fn since(time: Timestamp, now: Timestamp) -> Duration {
    Duration::try_from(now.duration_since(time)).unwrap_or(Duration::MAX)
}

/// The part of all bytes that a time is of another, at most all.
fn part(all: u64, of: Duration, every: Duration) -> u64 {
    let (of, every) = (of.min(every).as_millis(), every.as_millis().max(1));
    u64::try_from(u128::from(all) * of / every).unwrap_or(u64::MAX)
}

/// The time of which so many bytes of all are the share, rounded up.
fn duration_of(bytes: u64, all: u64, every: Duration) -> Duration {
    let milliseconds = (every.as_millis() * u128::from(bytes)).div_ceil(u128::from(all.max(1)));
    Duration::from_millis(u64::try_from(milliseconds).unwrap_or(u64::MAX)).min(every)
}

/// A number that shows nothing of where it comes from (splitmix64).
fn scattered(number: u64) -> u64 {
    let mut mixed = number.wrapping_add(0x9E37_79B9_7F4A_7C15);
    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    mixed ^ (mixed >> 31)
}

#[cfg(test)]
mod tests {
    use jiff::SignedDuration;
    use proptest::prelude::*;

    use super::*;

    const DAY: Duration = Duration::from_hours(24);
    const MONTH: Duration = Duration::from_hours(24 * 30);

    fn day(day: i64) -> Timestamp {
        "2026-11-01T00:00:00Z".parse::<Timestamp>().unwrap() + SignedDuration::from_hours(24 * day)
    }

    fn files(read: &[Option<i64>]) -> Vec<Candidate> {
        read.iter().map(|read| Candidate { bytes: 1 << 20, read: read.map(day) }).collect()
    }

    #[test]
    fn what_is_new_comes_first_and_then_what_was_not_read_for_the_longest() {
        let files = files(&[Some(3), None, Some(1), Some(2), None]);
        let order = |asked, shared| choose(asked, &files, shared, day(6), 7).order;
        assert_eq!(order(Asked::All, None), [1, 4, 2, 3, 0]);
        assert_eq!(order(Asked::NotSince(4 * DAY), None), [1, 4, 2, 3]);
        assert_eq!(order(Asked::Share(MONTH), None), [1, 4], "no share is due yet");
        // Six days are a fifth of the time, and a file a fifth of all.
        assert_eq!(order(Asked::Share(MONTH), Some(day(0))), [1, 4, 2]);
        assert_eq!(order(Asked::Share(MONTH), Some(day(1))), [1, 4], "what does not fit waits for the next share");
        assert_eq!(order(Asked::Share(4 * DAY), Some(day(6))), [1, 4, 2, 3], "what is too old is read in any case");
        assert_eq!(order(Asked::Sample(40.0), None).len(), 4);
        assert_eq!(order(Asked::Sample(0.0), None), [1, 4]);
        assert_eq!(choose(Asked::All, &files, None, day(6), 7).new, 2);
    }

    #[test]
    fn nothing_is_left_to_read_right_after_a_share_was_taken() {
        let mut files = files(&[Some(0); 30]);
        files.push(Candidate { bytes: 0, read: Some(day(0)) });
        let chosen = choose(Asked::Share(MONTH), &files, Some(day(0)), day(1), 0).order;
        assert!(!chosen.is_empty());
        let shared = shared_until(Some(day(0)), chosen.iter().map(|at| files[*at]), &files, MONTH, day(1));
        for at in &chosen {
            files[*at].read = Some(day(1));
        }
        assert_eq!(choose(Asked::Share(MONTH), &files, Some(shared), day(1), 0).order, [0; 0]);
    }

    #[test]
    fn a_clock_that_was_set_back_keeps_nothing_from_being_read() {
        let files = files(&[Some(9)]);
        assert_eq!(choose(Asked::Share(MONTH), &files, Some(day(9)), day(1), 0).order, [0]);
        assert_eq!(shared_until(Some(day(9)), std::iter::empty(), &files, MONTH, day(1)), day(1));
    }

    proptest! {
        /// However large the files are and however irregularly it runs.
        #[test]
        fn each_byte_is_read_within_the_time(
            sizes in proptest::collection::vec(0..50_000_000_u64, 1..40),
            pauses in proptest::collection::vec(1..40_i64, 100),
        ) {
            let mut files: Vec<Candidate> = sizes.iter().map(|bytes| Candidate { bytes: *bytes, read: None }).collect();
            let (mut shared, mut now) = (None, day(0));
            for pause in pauses {
                now += SignedDuration::from_hours(pause);
                let chosen = choose(Asked::Share(MONTH), &files, shared, now, 0);
                let old = chosen.order[chosen.new..].iter().map(|at| files[*at]);
                shared = Some(shared_until(shared, old, &files, MONTH, now));
                for at in chosen.order {
                    files[at].read = Some(now);
                }
                for file in &files {
                    prop_assert!(file.read.is_some_and(|read| since(read, now) <= MONTH));
                }
            }
        }

        /// But for the largest file.
        #[test]
        fn no_day_reads_much_more_than_its_share(sizes in proptest::collection::vec(0..50_000_000_u64, 10..40)) {
            let mut files: Vec<Candidate> =
                sizes.iter().map(|bytes| Candidate { bytes: *bytes, read: Some(day(0)) }).collect();
            let (largest, all) = (files.iter().map(|file| file.weight()).max().unwrap(), total(&files));
            let mut shared = Some(day(0));
            for now in (1..30).map(day) {
                let chosen = choose(Asked::Share(MONTH), &files, shared, now, 0).order;
                let read: u64 = chosen.iter().map(|at| files[*at].weight()).sum();
                prop_assert!(read <= all / 30 + largest, "{read} of {all}");
                shared = Some(shared_until(shared, chosen.iter().map(|at| files[*at]), &files, MONTH, now));
                for at in chosen {
                    files[at].read = Some(now);
                }
            }
        }
    }
}

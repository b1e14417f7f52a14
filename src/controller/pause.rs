//! How long a replica that failed is left alone before it is looked at again.

use std::time::Duration;

use jiff::Timestamp;

use crate::error::{Kind, Retry};
use crate::schedule::{fraction, later};

/// The first pause and the longest one.
struct Pauses {
    first: Duration,
    longest: Duration,
}

/// What is waited for tells for how long it is worth waiting.
fn pauses(kind: Kind) -> Pauses {
    let seconds = |first, longest| Pauses { first: Duration::from_secs(first), longest: Duration::from_secs(longest) };
    match kind.retry() {
        Retry::Holder | Retry::NextRun => seconds(5, 60),
        Retry::Line => seconds(10, 300),
        Retry::Person => seconds(60, 1800),
    }
}

/// When what is called so is looked at again after it failed so many times in a row, the last time so and then. Each pause
/// is twice the one before, up to a longest one, and up to a quarter longer than that, so that not all come at once. What a
/// person must see to is not looked at sooner than its schedule says.
pub fn again(who: &str, kind: Kind, failures: u32, now: Timestamp, scheduled: Option<Timestamp>) -> Timestamp {
    let Pauses { first, longest } = pauses(kind);
    let doubled = first.saturating_mul(2_u32.saturating_pow(failures.saturating_sub(1).min(20)));
    let pause = doubled.min(longest);
    let again = later(now, pause.mul_f64(1.0 + fraction(who, now) / 4.0));
    match (kind.retry(), scheduled) {
        (Retry::Person, Some(scheduled)) => again.max(scheduled),
        _ => again,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::error::all_kinds;

    fn seconds(kind: Kind, failures: u32, every: u64) -> u64 {
        let now = Timestamp::from_second(1_800_000_000).unwrap();
        let again = again("main", kind, failures, now, Some(later(now, Duration::from_secs(every))));
        u64::try_from(again.as_second() - now.as_second()).unwrap()
    }

    #[test]
    fn pauses_grow_to_a_longest_one() {
        for (kind, failures, least) in [
            (Kind::Unreachable, 1, 10),
            (Kind::Unreachable, 2, 20),
            (Kind::Unreachable, 5, 160),
            (Kind::Unreachable, 6, 300),
            (Kind::Lost, 1000, 300),
            (Kind::Locked, 1, 5),
            (Kind::Locked, 9, 60),
            (Kind::HostKey, 1, 60),
            (Kind::NoSpace, 2, 120),
            (Kind::NoSpace, 30, 1800),
        ] {
            let pause = seconds(kind, failures, 1);
            assert!((least..=least + least / 4).contains(&pause), "{kind:?} {failures}: {pause}");
        }
    }

    #[test]
    fn what_passes_by_itself_is_not_left_until_a_rare_schedule_and_what_a_person_must_see_to_is() {
        assert!(seconds(Kind::Unreachable, 1, 86_400) < 13);
        assert_eq!(seconds(Kind::HostKey, 1, 86_400), 86_400);
    }

    proptest! {
        #[test]
        fn every_failure_is_looked_at_again_later(index in 0..24_usize, failures in 0..u32::MAX, second in 0..4_000_000_000_i64) {
            let kinds = all_kinds();
            let now = Timestamp::from_second(second).unwrap();
            let at = again("main", kinds[index % kinds.len()], failures, now, None);
            prop_assert!(at > now && at <= later(now, Duration::from_secs(2250)));
        }
    }
}

//! The recovery window as a bar in time, with the backups on it and what is missing.

use jiff::Timestamp;
use maud::{Markup, html};

use crate::barman::ids::BackupId;
use crate::plan::status::ReplicaStatus;
use crate::render::units::{duration, timestamp};

/// Parts of a bar's length, from its beginning to now.
const LENGTH: i64 = 10_000;

/// A stretch of time as a bar shows it.
#[derive(Debug, Clone, Copy)]
struct Scale {
    from: i64,
    to: i64,
}

impl Scale {
    /// Where a time is, in hundredths of a percent.
    fn at(self, time: Timestamp) -> i64 {
        let (from, to) = (i128::from(self.from), i128::from(self.to));
        let at = (i128::from(time.as_second()) - from) * i128::from(LENGTH) / (to - from).max(1);
        i64::try_from(at.clamp(0, i128::from(LENGTH))).unwrap_or(LENGTH)
    }
}

/// From the oldest thing that is here to now.
pub fn bar(status: &ReplicaStatus, backups: &[(BackupId, Option<Timestamp>)], now: Timestamp) -> Markup {
    let times = || backups.iter().filter_map(|(_, ended)| *ended).chain(status.recovery.from);
    let Some(oldest) = times().min() else {
        return html! { p class="remark error" { b { "Nothing to recover from." } } };
    };
    let scale = Scale { from: oldest.as_second(), to: now.as_second().max(oldest.as_second() + 1) };
    let window =
        status.recovery.window.and(status.recovery.from).map(|from| (from, status.recovery.to.unwrap_or(from)));
    let said = said(window, backups, now);
    html! {
        figure {
            svg viewBox="0 0 10000 900" preserveAspectRatio="none" role="img" aria-label=(said) {
                rect class="gap" x="0" y="300" width=(LENGTH) height="300" {}
                @if let Some((from, to)) = window {
                    @let (begin, end) = (scale.at(from), scale.at(to));
                    rect class="window" x=(begin) y="300" width=((end - begin).max(20)) height="300" {}
                }
                @for (id, ended) in backups {
                    @if let Some(ended) = ended {
                        rect class="backup" x=((scale.at(*ended) - 15).max(0)) y="150" width="30" height="600" {
                            title { (id.as_str()) }
                        }
                    }
                }
            }
            div class="ends" { span { (timestamp(oldest)) } span { "now" } }
            figcaption { (said) }
        }
    }
}

/// What the bar shows, in words.
fn said(window: Option<(Timestamp, Timestamp)>, backups: &[(BackupId, Option<Timestamp>)], now: Timestamp) -> String {
    let of = crate::english::count(backups.len() as u64, "backup");
    match window {
        Some((from, to)) => {
            let late = u64::try_from(now.as_second() - to.as_second()).unwrap_or_default();
            format!("Recoverable from {} to {}, {} ago, with {of}.", timestamp(from), timestamp(to), duration(late))
        }
        None => format!("{of} here, and nothing that can be recovered."),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn every_time_has_a_place_on_the_bar_in_its_order(from in -9_000_000_000_i64..9_000_000_000, length in 1..9_000_000_000_i64, a: i64, b: i64) {
            let time = |second: i64| Timestamp::from_second(second.clamp(-9_000_000_000, 18_000_000_000)).unwrap();
            let scale = Scale { from, to: from + length };
            let (one, other) = (time(a.min(b)), time(a.max(b)));
            prop_assert!((0..=LENGTH).contains(&scale.at(one)));
            prop_assert!(scale.at(one) <= scale.at(other));
            prop_assert_eq!(scale.at(time(from)), 0);
        }
    }
}

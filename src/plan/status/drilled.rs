//! What the last drills of a replica showed, and how long a recovery would take today.

use std::time::Duration;

use jiff::Timestamp;
use schemars::JsonSchema;
use serde::Serialize;

use crate::barman::drill::{Drills, Pace, Verdict};
use crate::observe::inventory::ReplicaInventory;
use crate::plan::recovery::way::Target;
use crate::plan::recovery::{self, segments_here};

/// What the last drills showed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
#[schemars(deny_unknown_fields)]
pub struct Drilled {
    /// When the last drill was made.
    #[schemars(with = "String", extend("format" = "date-time"))]
    pub at: Timestamp,
    /// What it came to.
    pub verdict: Verdict,
    /// Why it did not prove everything; null where it did.
    pub why: Option<String>,
    /// When the last one was made that proved everything; null where none did that is known.
    #[schemars(with = "Option<String>", extend("format" = "date-time"))]
    pub proved_at: Option<Timestamp>,
    /// How long that one took to recover, in milliseconds.
    pub recovery_milliseconds: Option<u64>,
    /// How long a recovery to the newest point would take now at its pace, in milliseconds.
    pub forecast_milliseconds: Option<u64>,
    /// `objective.rto` of the site file, in seconds; null when there is none.
    pub rto_seconds: Option<u64>,
    /// Whether the last drill that was tried disproved something.
    pub disproved: bool,
    /// Whether it did not, and no recovery is known to take longer than the objective.
    pub kept: bool,
}

impl Drilled {
    /// What drills showed of a replica that is here; `None` where none was made.
    pub fn of(here: &ReplicaInventory, rto: Option<Duration>, now: Timestamp) -> Option<Self> {
        let drills: &Drills = &here.drills;
        let last = drills.last()?;
        let proved = drills.0.iter().find(|drill| drill.verdict == Verdict::Proved);
        let pace = proved.and_then(|drill| drill.pace);
        let forecast = pace.and_then(|pace| {
            let segments = segments_here(here);
            let way = recovery::before(None, here, &segments, now).way(Target::Latest, None).ok()?;
            let bytes = way.chain.iter().filter_map(|facts| facts.size).sum();
            Some(pace.forecast(bytes, way.segments))
        });
        let measured = pace.map(Pace::milliseconds);
        let longest = measured.max(forecast);
        let most = rto.map(|rto| u64::try_from(rto.as_millis()).unwrap_or(u64::MAX));
        let is_too_long = longest.zip(most).is_some_and(|(longest, most)| longest > most);
        // One that could not be run takes nothing back.
        let is_disproved = drills.last_tried().is_some_and(|drill| drill.verdict == Verdict::Disproved);
        let why = last.steps.iter().find(|step| step.verdict == Some(last.verdict));
        Some(Self {
            at: last.began,
            verdict: last.verdict,
            why: why.filter(|_| last.verdict != Verdict::Proved).map(|step| step.told.trim_end_matches('.').to_owned()),
            proved_at: proved.map(|drill| drill.began),
            recovery_milliseconds: measured,
            forecast_milliseconds: forecast,
            rto_seconds: rto.map(|rto| rto.as_secs()),
            disproved: is_disproved,
            kept: !is_disproved && !is_too_long,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::barman::drill::tests::drill;
    use crate::barman::drill::{Drill, Step, What};
    use crate::plan::tests::case::case;

    const SITE: &str = "@20 1/05..06  @21 1/08..0A | 1/05..1F";

    /// What these drills, the last one first, show of a replica against an objective in seconds.
    fn told(drills: Vec<Drill>, rto: Option<u64>) -> Option<Drilled> {
        let site = case(SITE, SITE);
        let here = ReplicaInventory { drills: Drills(drills), ..site.here };
        Drilled::of(&here, rto.map(Duration::from_secs), site.now)
    }

    fn failed(verdict: Verdict) -> Drill {
        let step = Step { what: What::Check, verdict: Some(verdict), told: "got 41".to_owned(), milliseconds: 0 };
        Drill { verdict, steps: vec![step], pace: None, ..drill("2026-11-23T10:00:00Z") }
    }

    #[test]
    fn the_last_drill_counts_and_what_an_earlier_one_proved_is_said_beside_it() {
        assert_eq!(told(vec![], Some(1)), None);
        let good = drill("2026-11-22T10:00:00Z");
        let proved = told(vec![good.clone()], None).unwrap();
        assert_eq!((proved.verdict, proved.kept, &proved.why), (Verdict::Proved, true, &None));
        assert_eq!((proved.recovery_milliseconds, proved.proved_at), (Some(90_000), Some(good.began)));
        for (verdict, kept) in [(Verdict::Disproved, false), (Verdict::NotRun, true)] {
            let now = told(vec![failed(verdict), good.clone()], None).unwrap();
            assert_eq!((now.verdict, now.kept, now.why.as_deref()), (verdict, kept, Some("got 41")));
            assert_eq!((now.proved_at, now.recovery_milliseconds), (Some(good.began), Some(90_000)));
        }
        let not_since = told(vec![failed(Verdict::NotRun), failed(Verdict::Disproved), good.clone()], None).unwrap();
        assert!(not_since.disproved && !not_since.kept, "{not_since:?}");
        assert_eq!(told(vec![failed(Verdict::NotRun)], Some(1)).unwrap().forecast_milliseconds, None);
    }

    #[test]
    fn a_recovery_that_took_or_would_take_too_long_misses_the_objective() {
        let good = || vec![drill("2026-11-22T10:00:00Z")];
        for (rto, kept) in [(89, false), (100_000, true)] {
            let told = told(good(), Some(rto)).unwrap();
            assert_eq!((told.kept, told.rto_seconds), (kept, Some(rto)), "{told:?}");
        }
        // Twice as much WAL lies behind the newest backup as was replayed.
        let pace = Pace { backup_bytes: 1, restore_milliseconds: 0, segments: 12, recovery_milliseconds: 30_000 };
        let slow = vec![Drill { pace: Some(pace), ..drill("2026-11-22T10:00:00Z") }];
        let told = told(slow, Some(31)).unwrap();
        assert_eq!(
            (told.recovery_milliseconds, told.forecast_milliseconds, told.kept),
            (Some(30_000), Some(60_000), false)
        );
    }
}

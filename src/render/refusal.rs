//! Why a saved plan is not applied, in words.
//!
//! What a saved plan says comes from a file, and is made harmless here.

use crate::english::count;
use crate::error::{Error, Kind};
use crate::plan::saved::stale::{Deviation, Refusal};

use super::clean;
use super::preconditions::{side, topic, value};

/// So many changes are named.
const NAMED: usize = 5;

/// What is wrong with the plan.
pub fn refusal(refusal: &Refusal) -> String {
    match refusal {
        Refusal::OtherSite { planned, now } => {
            format!("it is a plan of site {}, and the site file is of {}", clean(planned), clean(now))
        }
        Refusal::Unobserved { replica, error } => {
            format!("replica {replica} could not be looked at again: {error}")
        }
        Refusal::Stale(changes) => format!("it is stale: {}", listed(changes)),
    }
}

/// What to do next.
pub fn advice(refusal: &Refusal) -> &str {
    match refusal {
        Refusal::OtherSite { .. } => "name the site file that it was made with: -f FILE",
        Refusal::Unobserved { error, .. } => error.hint.as_deref().unwrap_or("apply it when the primary answers"),
        Refusal::Stale(_) => "plan again, review it, and apply the new one",
    }
}

impl From<&Refusal> for Error {
    fn from(why: &Refusal) -> Self {
        let kind = match why {
            Refusal::OtherSite { .. } => Kind::Invalid,
            Refusal::Unobserved { error, .. } => error.kind,
            Refusal::Stale(_) => Kind::Stale,
        };
        Self::new(kind, refusal(why)).hint(advice(why))
    }
}

/// The first changes, a line each, and how many more there are.
fn listed(changes: &[Deviation]) -> String {
    let mut text = match changes.len() {
        1 => "something that it relies on has changed".to_owned(),
        n => format!("{} that it relies on have changed", count(n as u64, "thing")),
    };
    changes.iter().take(NAMED).for_each(|change| text.push_str(&format!("\n  {}", sentence(change))));
    if changes.len() > NAMED {
        text.push_str(&format!("\n  … and {} more", changes.len() - NAMED));
    }
    text
}

fn sentence(change: &Deviation) -> String {
    match change {
        Deviation::Key(key) => {
            let value =
                |value: &Option<String>| value.as_ref().map_or("nothing".to_owned(), |value| format!("`{value}`"));
            let (planned, now) = (value(&key.planned), value(&key.now));
            format!("`{}`: planned with {}, now {}", clean(&key.path), clean(&planned), clean(&now))
        }
        Deviation::Precondition { subject, side: at, topic: about, planned, now } => {
            let planned = planned.as_ref().map_or_else(|| "not noted".into(), |planned| value(*about, planned));
            let (subject, planned, now) = (clean(subject), clean(&planned), clean(&value(*about, now)));
            format!("{subject}: {}, {}: planned: {planned}; now: {now}", topic(*about), side(*at))
        }
    }
}

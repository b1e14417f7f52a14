//! What is told: an event as a value, and what of a run is one. Nothing here does anything.

use jiff::Timestamp;
use schemars::JsonSchema;
use serde::Serialize;

use crate::error::Retry;
use crate::journal::{By, Failure, Outcome, Replica, Run, Standing};
use crate::plan::status::ReplicaStatus;
use crate::render::units::duration;
use crate::site::hooks::Occasion;

/// The version of the form of an event.
pub const FORMAT_VERSION: u32 = 1;

/// Something that happened, as hooks are told of it. New members may come; what is there stays.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
#[schemars(title = "Antipode event")]
pub struct Event {
    /// The version of this form: 1.
    pub format_version: u32,
    /// What happened.
    pub event: Occasion,
    /// The same in a sentence.
    pub text: String,
    /// When.
    #[schemars(with = "String", extend("format" = "date-time"))]
    pub at: Timestamp,
    /// The replica; null where the run as a whole is meant.
    pub replica: Option<String>,
    /// Who ran what.
    pub by: By,
    /// What became of the replica in that run; null where nothing was done.
    pub became: Option<Replica>,
    /// What failed of the run as a whole.
    pub errors: Vec<Failure>,
    /// The objective that is missed.
    pub objective: Option<Missed>,
}

/// An objective that is missed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Missed {
    /// `objective.rpo`, where that is missed.
    pub rpo_seconds: Option<u64>,
    /// Seconds that would be lost now, where that can be told.
    pub loss_seconds: Option<u64>,
    /// `objective.max_silence`, where that is missed.
    pub max_silence_seconds: Option<u64>,
    /// Seconds since it was known to follow its primary, where that can be told.
    pub silence_seconds: Option<u64>,
}

impl Missed {
    /// What of the objectives of a replica is missed; `None` where nothing is.
    pub fn of(status: &ReplicaStatus) -> Option<Self> {
        let rpo = status.objective.filter(|objective| !objective.kept);
        let silence = status.silence.filter(|silence| !silence.kept);
        (rpo.is_some() || silence.is_some()).then(|| Self {
            rpo_seconds: rpo.map(|objective| objective.rpo),
            loss_seconds: rpo.and_then(|objective| objective.loss),
            max_silence_seconds: silence.map(|silence| silence.most),
            silence_seconds: silence.and_then(|silence| silence.silent),
        })
    }

    fn words(self) -> String {
        let behind = |loss: Option<u64>| match loss {
            Some(loss) => format!("{} would be lost", duration(loss)),
            None => "nobody can tell what would be lost".to_owned(),
        };
        let silent = |silence: Option<u64>| match silence {
            Some(silence) => format!("not known to follow its primary for {}", duration(silence)),
            None => "never known to follow its primary".to_owned(),
        };
        let rpo = self.rpo_seconds.map(|rpo| format!("{}, rpo {}", behind(self.loss_seconds), duration(rpo)));
        let silence = self.max_silence_seconds;
        let silence = silence.map(|most| format!("{}, max_silence {}", silent(self.silence_seconds), duration(most)));
        rpo.into_iter().chain(silence).collect::<Vec<_>>().join("; ")
    }
}

impl Event {
    fn new(event: Occasion, by: &By, at: Timestamp, text: String) -> Self {
        let (by, errors) = (by.clone(), Vec::new());
        Self {
            format_version: FORMAT_VERSION,
            event,
            text,
            at,
            replica: None,
            by,
            became: None,
            errors,
            objective: None,
        }
    }

    /// What there is to tell of a run that ended, if things stood so before it.
    pub fn of_run(run: &Run, before: &Standing, at: Timestamp) -> Vec<Self> {
        let site = &run.by.site;
        let mut events = Vec::new();
        if run.errors.is_empty() && before.has_errors() {
            events.push(Self::new(Occasion::Recovered, &run.by, at, format!("{site}: its runs do not fail any more")));
        } else if let Some(first) = run.errors.first().filter(|_| before.differs_in_errors(run)) {
            let event = Self::new(Occasion::Failed, &run.by, at, format!("{site}: {}", first.message));
            events.push(Self { errors: run.errors.clone(), ..event });
        }
        for replica in &run.replicas {
            let of = |event, what: String| Self {
                replica: Some(replica.name.clone()),
                became: Some(replica.clone()),
                ..Self::new(event, &run.by, at, format!("{} at {site} {what}", replica.name))
            };
            if !replica.changes.is_empty() {
                events.push(of(Occasion::Applied, changed(replica)));
            }
            let (fails, failed) = (fails(replica.outcome, replica), before.outcome(&replica.name).map(is_failure));
            if fails && before.differs(replica) {
                events.push(of(Occasion::Failed, failure(replica)));
            } else if !fails && failed == Some(true) && is_known(replica.outcome) {
                events.push(of(Occasion::Recovered, format!("does not fail any more: {}", replica.outcome.words())));
            }
        }
        events
    }

    /// A replica misses its objective.
    pub fn missed(replica: &str, missed: Missed, by: &By, at: Timestamp) -> Self {
        let text = format!("{replica} at {} misses its objective: {}", by.site, missed.words());
        let event = Self::new(Occasion::ObjectiveMissed, by, at, text);
        Self { replica: Some(replica.to_owned()), objective: Some(missed), ..event }
    }

    /// As it is sent: one line.
    pub fn text_form(&self) -> Vec<u8> {
        // Nothing in the form can fail to be written.
        let mut text = serde_json::to_vec(self).unwrap_or_default();
        text.push(b'\n');
        text
    }
}

/// Whether a replica failed: who holds a lock is waited for, and is no failure.
fn fails(outcome: Outcome, replica: &Replica) -> bool {
    let waits = |failure: &Failure| failure.kind.retry() == Retry::Holder;
    is_failure(outcome) && (replica.failures.is_empty() || !replica.failures.iter().all(waits))
}

fn is_failure(outcome: Outcome) -> bool {
    match outcome {
        Outcome::Failed | Outcome::Blocked | Outcome::Unobserved => true,
        Outcome::Done
        | Outcome::InSync
        | Outcome::Incomplete
        | Outcome::Interrupted
        | Outcome::Stopped
        | Outcome::Inactive
        | Outcome::Unknown => false,
    }
}

/// Whether the outcome shows that what failed does not any more.
fn is_known(outcome: Outcome) -> bool {
    match outcome {
        Outcome::Done | Outcome::InSync | Outcome::Incomplete | Outcome::Stopped => true,
        Outcome::Failed
        | Outcome::Blocked
        | Outcome::Unobserved
        | Outcome::Interrupted
        | Outcome::Inactive
        | Outcome::Unknown => false,
    }
}

fn failure(replica: &Replica) -> String {
    let why = replica.failures.first().map(|failure| failure.message.as_str());
    let why = why.or_else(|| replica.reasons.first().map(String::as_str));
    match (replica.outcome, why) {
        (Outcome::Failed, Some(why)) => format!("failed: {why}"),
        (outcome, Some(why)) => format!("is {}: {why}", outcome.words()),
        (outcome, None) => format!("is {}", outcome.words()),
    }
}

fn changed(replica: &Replica) -> String {
    let past = |verb: &str| match verb {
        "add" => "added",
        "repair" => "repaired",
        "prune" => "pruned",
        _ => "updated",
    };
    let told = replica.changes.iter().map(|change| format!("{} {} {}", change.count, change.sort, past(&change.verb)));
    format!("was changed: {}", told.collect::<Vec<_>>().join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::Kind;
    use crate::journal::Changes;
    use crate::journal::tests::{failure, replica, run};

    fn at() -> Timestamp {
        "2026-11-22T09:26:56Z".parse().unwrap()
    }

    /// What is told of runs that follow each other.
    fn told(runs: Vec<Run>) -> Vec<Vec<String>> {
        let mut stands = Standing::default();
        let mut told = Vec::new();
        for run in runs {
            let events = Event::of_run(&run, &stands, at());
            told.push(events.iter().map(|event| format!("{}: {}", event.event.as_str(), event.text)).collect());
            stands = stands.after(&run);
        }
        told
    }

    fn failing(kind: Kind) -> Run {
        run(vec![Replica { failures: vec![failure(kind)], failed: 1, ..replica("main", Outcome::Failed) }])
    }

    fn outcome(outcome: Outcome) -> Run {
        run(vec![replica("main", outcome)])
    }

    #[test]
    fn a_failure_is_told_once_and_so_is_its_end() {
        let told = told(vec![
            outcome(Outcome::InSync),
            failing(Kind::NoSpace),
            failing(Kind::NoSpace),
            failing(Kind::Lost),
            outcome(Outcome::InSync),
            outcome(Outcome::InSync),
        ]);
        let failed = "failed: main at lisbon failed: no";
        let recovered = "recovered: main at lisbon does not fail any more: in sync";
        assert_eq!(told, [&[][..], &[failed], &[], &[failed], &[recovered], &[]]);
    }

    #[test]
    fn who_is_waited_for_is_no_failure_and_what_was_never_seen_recovers_from_nothing() {
        assert_eq!(told(vec![failing(Kind::Busy), outcome(Outcome::Interrupted)]), [&[] as &[&str], &[]]);
        assert_eq!(told(vec![outcome(Outcome::Done)]), [&[] as &[&str]]);
        let blocked = Replica { reasons: vec!["two systems".to_owned()], ..replica("main", Outcome::Blocked) };
        assert_eq!(told(vec![run(vec![blocked])]), [["failed: main at lisbon is blocked: two systems"]]);
    }

    #[test]
    fn what_was_changed_is_told_each_time() {
        let change = |verb: &str, sort: &str, count| Changes {
            verb: verb.to_owned(),
            sort: sort.to_owned(),
            count,
            addresses: Vec::new(),
            why: "missing here".to_owned(),
        };
        let changes = vec![change("add", "backup", 1), change("add", "wal", 3), change("update", "info", 1)];
        let applied = || run(vec![Replica { changes: changes.clone(), ..replica("main", Outcome::Done) }]);
        let text = "applied: main at lisbon was changed: 1 backup added, 3 wal added, 1 info updated";
        assert_eq!(told(vec![applied(), applied()]), [[text], [text]]);
    }

    #[test]
    fn what_fails_of_a_run_as_a_whole_is_told_without_a_replica() {
        let stale = || Run { errors: vec![Failure { address: None, ..failure(Kind::Stale) }], ..run(Vec::new()) };
        let told = told(vec![stale(), stale(), run(Vec::new())]);
        assert_eq!(told, [&["failed: lisbon: no"][..], &[], &["recovered: lisbon: its runs do not fail any more"]]);
    }

    #[test]
    fn an_event_is_one_line_that_has_all_of_it() {
        let missed = Missed {
            rpo_seconds: Some(900),
            loss_seconds: Some(1203),
            max_silence_seconds: None,
            silence_seconds: None,
        };
        let event = Event::missed("main", missed, &run(Vec::new()).by, at());
        let text = String::from_utf8(event.text_form()).unwrap();
        assert_eq!(text.matches('\n').count(), 1);
        insta::assert_snapshot!(text);
        let event = Event::of_run(&failing(Kind::NoSpace), &Standing::default(), at()).remove(0);
        insta::assert_snapshot!(String::from_utf8(event.text_form()).unwrap());
    }
}

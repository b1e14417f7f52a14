//! What a journal tells: the runs, the newest first, and where its chain is broken.

use jiff::Timestamp;
use schemars::JsonSchema;
use serde::Serialize;

use super::chain::{self, Break, Link};
use super::{Begun, By, Entry, Failure, Outcome, Replica, Run};

/// A journal that was read.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct History {
    /// The runs, the newest first.
    pub runs: Vec<Told>,
    /// Where it is not as it was written.
    pub breaks: Vec<Break>,
    /// The last line that was dropped to keep it small; 0 when none was.
    pub dropped: u64,
    /// How many lines were not written to their end, and taken away.
    pub cut: usize,
    /// How many of its lines are of a later version of this program.
    pub later: usize,
}

/// A run, as it is told.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
#[schemars(rename = "Run", deny_unknown_fields)]
pub struct Told {
    /// The line that tells of its end, or else of its begin.
    pub line: u64,
    /// When it began.
    #[schemars(with = "String", extend("format" = "date-time"))]
    pub began: Timestamp,
    /// How long it took, from there on; null when its end is not known.
    pub milliseconds: Option<u64>,
    /// Whether and how it ended.
    pub ended: Ended,
    /// Who ran what.
    pub by: By,
    /// What failed of the run as a whole.
    pub errors: Vec<Failure>,
    /// What became of each replica that it changed, or of which there was news.
    pub replicas: Vec<Replica>,
}

/// How a run ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Ended {
    /// It came to its end, and said what it had come to.
    ByItself,
    /// It is at work.
    NotYet,
    /// It was about to change something, and said nothing of its end: it was killed, or had no power, or could not write.
    Unknown,
}

impl History {
    /// Reads a journal, given what the note of its end says.
    pub fn read(content: &[u8], end: Option<&Link>) -> Self {
        let (lines, _) = chain::lines(content);
        let mut history = Self::default();
        let mut dropped = Vec::new();
        let mut open: Vec<(u64, Begun)> = Vec::new();
        for text in lines {
            let Some((link, _)) = Link::of(text) else { continue };
            match Entry::read(text) {
                Some(Entry::Begun(begun)) => open.push((link.line, begun)),
                Some(Entry::Ended(run)) => {
                    open.retain(|(line, _)| Some(*line) != run.begun);
                    history.runs.push(Told::ended(link.line, run));
                }
                Some(Entry::Cut { .. }) => history.cut += 1,
                Some(Entry::Dropped { last }) => {
                    history.dropped = last.line;
                    dropped.push(last);
                }
                None => history.later += 1,
            }
        }
        history.runs.extend(open.into_iter().map(|(line, begun)| Told::begun(line, begun)));
        history.runs.sort_by_key(|run| std::cmp::Reverse((run.began, run.line)));
        history.breaks = chain::breaks(content, &dropped, end);
        history
    }

    /// Notes which of the runs without an end are at work, by the names of replicas on which a run is that began when.
    pub fn note_at_work(&mut self, at_work: impl Fn(&str) -> Option<Timestamp>) {
        for run in self.runs.iter_mut().filter(|run| run.ended == Ended::Unknown) {
            // The times of files are in whole seconds, and the lock was taken before the run began to change things.
            let holds = |replica: &Replica| at_work(&replica.name).is_some_and(|since| since <= run.began);
            if run.replicas.iter().any(holds) {
                run.ended = Ended::NotYet;
            }
        }
    }

    /// Leaves the runs that began no earlier than this, and that tell of one of these replicas; of all, when none is named.
    pub fn narrow(&mut self, replicas: &[String], since: Option<Timestamp>) {
        self.runs.retain(|run| since.is_none_or(|since| run.began >= since));
        if !replicas.is_empty() {
            for run in &mut self.runs {
                run.replicas.retain(|replica| replicas.contains(&replica.name));
            }
            self.runs.retain(|run| !run.replicas.is_empty() || !run.errors.is_empty());
        }
    }
}

impl Told {
    fn ended(line: u64, run: Run) -> Self {
        let Run { began, milliseconds, begun: _, by, errors, replicas } = run;
        Self { line, began, milliseconds: Some(milliseconds), ended: Ended::ByItself, by, errors, replicas }
    }

    fn begun(line: u64, begun: Begun) -> Self {
        let Begun { began, by, replicas } = begun;
        let unknown = |name| Replica::without_changes(name, String::new(), Outcome::Unknown);
        let replicas = replicas.into_iter().map(unknown).collect();
        Self { line, began, milliseconds: None, ended: Ended::Unknown, by, errors: Vec::new(), replicas }
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::{by, replica, run};
    use super::*;

    fn at(time: &str) -> Timestamp {
        format!("2026-11-22T{time}Z").parse().unwrap()
    }

    fn begun(time: &str, name: &str) -> Entry {
        Entry::Begun(Begun { began: at(time), by: by("apply"), replicas: vec![name.to_owned()] })
    }

    fn ended(time: &str, begun: Option<u64>, name: &str) -> Entry {
        Entry::Ended(Run { began: at(time), begun, ..run(vec![replica(name, Outcome::Done)]) })
    }

    fn read(entries: &[Entry]) -> History {
        let (mut content, mut last) = (String::new(), Link::origin());
        for entry in entries {
            let (line, link) = last.followed_by(&entry.members());
            content.push_str(&format!("{line}\n"));
            last = link;
        }
        History::read(content.as_bytes(), Some(&last))
    }

    fn told(history: &History) -> Vec<(u64, Ended)> {
        history.runs.iter().map(|run| (run.line, run.ended)).collect()
    }

    #[test]
    fn runs_are_told_newest_first_and_one_without_an_end_is_killed_or_at_work() {
        let entries = [
            begun("09:00:00", "main"),
            begun("09:30:00", "archive"),
            begun("10:00:00", "main"),
            ended("10:00:00", Some(3), "main"),
        ];
        let mut history = read(&entries);
        assert_eq!(history.breaks, []);
        let ends = [(4, Ended::ByItself), (2, Ended::Unknown), (1, Ended::Unknown)];
        assert_eq!(told(&history), ends);
        // A later run holds the lock of the one that was killed.
        history.note_at_work(|name| (name == "main").then(|| at("10:30:00")));
        assert_eq!(told(&history), ends);
        history.note_at_work(|name| (name == "archive").then(|| at("09:29:59")));
        assert_eq!(told(&history), [(4, Ended::ByItself), (2, Ended::NotYet), (1, Ended::Unknown)]);
    }

    #[test]
    fn runs_are_chosen_by_replica_and_by_time() {
        let entries =
            [ended("09:00:00", None, "main"), ended("10:00:00", None, "archive"), ended("11:00:00", None, "main")];
        let narrowed = |replicas: &[&str], since: Option<&str>| {
            let mut history = read(&entries);
            let replicas: Vec<String> = replicas.iter().map(|name| (*name).to_owned()).collect();
            history.narrow(&replicas, since.map(at));
            history.runs.iter().map(|run| run.line).collect::<Vec<_>>()
        };
        assert_eq!(narrowed(&[], None), [3, 2, 1]);
        assert_eq!(narrowed(&["main"], None), [3, 1]);
        assert_eq!(narrowed(&["main"], Some("09:30:00")), [3]);
        assert_eq!(narrowed(&[], Some("10:00:00")), [3, 2]);
    }

    #[test]
    fn what_was_dropped_cut_off_or_written_by_a_later_version_is_counted() {
        let history = read(&[Entry::Cut { bytes: 3 }, Entry::Dropped { last: Link { line: 9, ..Link::origin() } }]);
        assert_eq!((history.cut, history.dropped, history.later), (1, 9, 0));
        let (line, link) = Link::origin().followed_by("\"format_version\":2,\"type\":\"begun\"");
        let history = History::read(format!("{line}\n").as_bytes(), Some(&link));
        assert_eq!((history.later, history.breaks.len()), (1, 0));
    }
}

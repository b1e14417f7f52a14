//! The journal of a catalog: what each run did to it, why, how long that took, and who ran it. `antipode history` tells it.
//!
//! It is one line of JSON each, an [`Entry`], chained by [`chain`]. A run that changes something says so twice: before it
//! changes anything, and when it has ended. So one that was killed is one of which only the begin is there. A run that had
//! nothing to do is in it only where that is news: [`Standing`].
//!
//! ```text
//! plan, summary ──► render::recorded ──► Run ──► store::journal ──► journal/lines.jsonl
//!                                        │                               │
//!                      standing, is it news?        history: runs, newest first, and where the chain is broken
//! ```
//!
//! What is in it is for whoever can read the catalog: names, addresses, sizes and error messages as a terminal shows them,
//! and nothing of how a primary is reached.

pub mod chain;
mod history;

use std::collections::BTreeMap;

use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::error::{Error, Kind};
use chain::Link;

pub use history::{Ended, History, Told};

/// The version of the form of a line.
pub const FORMAT_VERSION: u32 = 1;

/// A line of a journal.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum Entry {
    /// A run is about to change something.
    Begun(Begun),
    /// A run ended.
    Ended(Run),
    /// A line that was not written to its end was taken away.
    Cut {
        /// Its bytes.
        bytes: u64,
    },
    /// The oldest lines were dropped to keep the journal small.
    Dropped {
        /// The last of them.
        last: Link,
    },
}

/// A run that is about to change something.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Begun {
    /// When.
    pub began: Timestamp,
    /// Who runs what.
    pub by: By,
    /// The replicas that it is about to change, by name.
    pub replicas: Vec<String>,
}

/// A run that ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Run {
    /// When it began.
    pub began: Timestamp,
    /// How long it took, from there on.
    pub milliseconds: u64,
    /// The line that says that it was about to change something, where there is one.
    pub begun: Option<u64>,
    /// Who ran what.
    pub by: By,
    /// What failed of the run as a whole.
    pub errors: Vec<Failure>,
    /// What became of each replica that it changed, or of which there was news.
    pub replicas: Vec<Replica>,
}

/// Who ran what.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct By {
    /// The command: `apply`, `cron`, `sync-backup`, `sync-wals`.
    pub command: String,
    /// The user that it ran as.
    pub user: String,
    /// The user who asked sudo for it, as sudo says; null where it was not asked.
    pub sudo_user: Option<String>,
    /// The host that it ran on.
    pub host: String,
    /// The version of this program.
    pub version: String,
    /// The site's name.
    pub site: String,
    /// The site file.
    pub site_file: SiteFile,
    /// The `digest` of the saved plan that was applied; null where the run planned by itself.
    pub plan: Option<String>,
}

/// The site file of a run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct SiteFile {
    /// Its path.
    pub path: String,
    /// The SHA-256 of its bytes as they were read.
    pub digest: String,
    /// The commit that HEAD of its Git checkout named then, whether the file was as in it or not; null where there is none.
    pub commit: Option<String>,
}

/// What became of a replica.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Replica {
    /// Its name at the site.
    pub name: String,
    /// The primary's name in the site file.
    pub primary: String,
    /// All in a word or two.
    pub outcome: Outcome,
    /// What was changed, and why.
    pub changes: Vec<Changes>,
    /// Bytes that crossed the wire.
    pub bytes: u64,
    /// What failed, the first of it.
    pub failures: Vec<Failure>,
    /// How many actions failed.
    pub failed: usize,
    /// How many actions were not begun or not finished.
    pub left: usize,
    /// What is behind the outcome, in words.
    pub reasons: Vec<String>,
}

impl Replica {
    /// One of which nothing was changed.
    pub fn without_changes(name: String, primary: String, outcome: Outcome) -> Self {
        Self {
            name,
            primary,
            outcome,
            changes: Vec::new(),
            bytes: 0,
            failures: Vec::new(),
            failed: 0,
            left: 0,
            reasons: Vec::new(),
        }
    }
}

/// Changes of one kind for one reason.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Changes {
    /// What they come to: `add`, `repair`, `update` or `prune`.
    pub verb: String,
    /// What sort of thing they are of, as in its address: `backup`, `wal`, `xlog.db`.
    pub sort: String,
    /// How many things they are.
    pub count: u64,
    /// The addresses of some of them.
    pub addresses: Vec<String>,
    /// Why, in words.
    pub why: String,
}

/// Something that failed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Failure {
    /// The action; null for what failed of the run as a whole.
    pub address: Option<String>,
    /// What sort of thing went wrong.
    pub kind: Kind,
    /// What happened.
    pub message: String,
}

/// What became of a replica in a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// Everything that was planned was done, and the site has all that it should have.
    Done,
    /// There was nothing to do: the site has, and can recover from, all that it should have.
    InSync,
    /// All that could be done was done, and something is lacking or waits for a person.
    Incomplete,
    /// Part of it failed.
    Failed,
    /// It was interrupted.
    Interrupted,
    /// It stopped at `--max-bytes`, or as a window of the primary closed.
    Stopped,
    /// Something forbids any action.
    Blocked,
    /// The primary could not be observed.
    Unobserved,
    /// The primary's Barman is told not to look after the server.
    Inactive,
    /// Nobody knows: the run has no end.
    Unknown,
}

impl Outcome {
    /// In words.
    pub fn words(self) -> &'static str {
        match self {
            Self::Done => "done",
            Self::InSync => "in sync",
            Self::Incomplete => "incomplete",
            Self::Failed => "failed",
            Self::Interrupted => "interrupted",
            Self::Stopped => "stopped",
            Self::Blocked => "blocked",
            Self::Unobserved => "not observed",
            Self::Inactive => "inactive",
            Self::Unknown => "unknown",
        }
    }
}

/// How things stood when the journal was last written to: what a run must differ from to be news without a change.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Standing {
    /// What failed of the last run as a whole, by its kinds.
    errors: Vec<Kind>,
    /// The outcome of each replica, with the kinds of what failed.
    replicas: BTreeMap<String, (Outcome, Vec<Kind>)>,
}

/// The note of a journal's end.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct End {
    /// Its last line.
    pub last: Link,
    /// How things stood then.
    pub standing: Standing,
}

impl Entry {
    /// The members of its line, besides those of the chain.
    pub fn members(&self) -> String {
        // Nothing in the form can fail to be written.
        let text = serde_json::to_string(self).unwrap_or_default();
        let members = text.strip_prefix('{').and_then(|text| text.strip_suffix('}')).unwrap_or_default();
        format!("\"format_version\":{FORMAT_VERSION},{members}")
    }

    /// Reads a line; `None` for anything else than what this version writes.
    pub fn read(line: &[u8]) -> Option<Self> {
        #[derive(Deserialize)]
        struct Head {
            format_version: u32,
        }
        let head: Head = serde_json::from_slice(line).ok()?;
        (head.format_version == FORMAT_VERSION).then(|| serde_json::from_slice(line).ok())?
    }
}

impl Failure {
    /// Of an error of a run as a whole.
    pub fn of(error: &Error) -> Self {
        Self { address: None, kind: error.kind, message: error.message.clone() }
    }
}

impl Run {
    /// The same with nothing but news: replicas that were changed, or stand otherwise than they did. `None` when there is
    /// none, and nothing was begun.
    pub fn news(mut self, before: &Standing) -> Option<Self> {
        let is_other_run = before.differs_in_errors(&self);
        self.replicas.retain(|replica| is_other_run || replica.was_worked_on() || before.differs(replica));
        (self.begun.is_some() || is_other_run || !self.replicas.is_empty()).then_some(self)
    }
}

impl Replica {
    fn was_worked_on(&self) -> bool {
        !self.changes.is_empty() || self.failed > 0 || self.left > 0 || self.bytes > 0
    }

    fn standing(&self) -> (Outcome, Vec<Kind>) {
        // After all was done there is nothing to do, which is no news.
        let outcome = if self.outcome == Outcome::Done { Outcome::InSync } else { self.outcome };
        (outcome, kinds(&self.failures))
    }
}

impl Standing {
    /// Whether the last run failed as a whole.
    pub fn has_errors(&self) -> bool {
        !self.errors.is_empty()
    }

    /// Whether a run fails as a whole otherwise than the last one did.
    pub fn differs_in_errors(&self, run: &Run) -> bool {
        kinds(&run.errors) != self.errors
    }

    /// The outcome of a replica.
    pub fn outcome(&self, replica: &str) -> Option<Outcome> {
        self.replicas.get(replica).map(|(outcome, _)| *outcome)
    }

    /// Whether a replica stands otherwise now.
    pub fn differs(&self, replica: &Replica) -> bool {
        self.replicas.get(&replica.name) != Some(&replica.standing())
    }

    /// How things stand after a run.
    #[must_use]
    pub fn after(mut self, run: &Run) -> Self {
        self.errors = kinds(&run.errors);
        self.replicas.extend(run.replicas.iter().map(|replica| (replica.name.clone(), replica.standing())));
        self
    }
}

fn kinds(failures: &[Failure]) -> Vec<Kind> {
    let mut kinds: Vec<Kind> = failures.iter().map(|failure| failure.kind).collect();
    kinds.sort_unstable();
    kinds.dedup();
    kinds
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    pub(crate) fn by(command: &str) -> By {
        By {
            command: command.to_owned(),
            user: "barman".to_owned(),
            sudo_user: None,
            host: "dr1".to_owned(),
            version: "0.1.0".to_owned(),
            site: "lisbon".to_owned(),
            site_file: SiteFile { path: "/etc/antipode/lisbon.yaml".to_owned(), digest: "ab".repeat(32), commit: None },
            plan: None,
        }
    }

    pub(crate) fn replica(name: &str, outcome: Outcome) -> Replica {
        Replica::without_changes(name.to_owned(), "frankfurt".to_owned(), outcome)
    }

    pub(crate) fn run(replicas: Vec<Replica>) -> Run {
        Run {
            began: "2026-11-22T09:26:41.5Z".parse().unwrap(),
            milliseconds: 14_200,
            begun: None,
            by: by("cron"),
            errors: Vec::new(),
            replicas,
        }
    }

    pub(crate) fn failure(kind: Kind) -> Failure {
        Failure { address: Some("main/wal/x".to_owned()), kind, message: "no".to_owned() }
    }

    /// The names of the replicas of which a run is news, after another.
    fn news(before: &Standing, run: Run) -> Option<Vec<String>> {
        Some(run.news(before)?.replicas.into_iter().map(|replica| replica.name).collect())
    }

    #[test]
    fn an_entry_is_read_as_it_is_written_and_nothing_else_is() {
        let failed = Replica { failures: vec![failure(Kind::NoSpace)], failed: 1, ..replica("main", Outcome::Failed) };
        let begun = Begun { began: run(Vec::new()).began, by: by("apply"), replicas: vec!["main".to_owned()] };
        for entry in [
            Entry::Ended(run(vec![failed])),
            Entry::Begun(begun),
            Entry::Cut { bytes: 7 },
            Entry::Dropped { last: Link::origin() },
        ] {
            let (line, _) = Link::origin().followed_by(&entry.members());
            assert_eq!(Entry::read(line.as_bytes()), Some(entry), "{line}");
            assert_eq!(Entry::read(line.replace("format_version\":1", "format_version\":2").as_bytes()), None);
            assert_eq!(Entry::read(&line.as_bytes()[..line.len() - 1]), None);
        }
    }

    #[test]
    fn nothing_to_do_is_news_once_and_a_change_always() {
        let well = || run(vec![replica("archive", Outcome::InSync), replica("main", Outcome::InSync)]);
        let first = Standing::default();
        assert_eq!(news(&first, well()), Some(vec!["archive".to_owned(), "main".to_owned()]));
        let stands = first.after(&well());
        assert_eq!(news(&stands, well()), None);
        let changed = Replica { bytes: 1, ..replica("main", Outcome::Done) };
        let changed = || run(vec![replica("archive", Outcome::InSync), changed.clone()]);
        assert_eq!(news(&stands, changed()), Some(vec!["main".to_owned()]));
        let after = stands.clone().after(&changed());
        assert_eq!(news(&after, well()), None, "what was done is in sync");
        assert_eq!(news(&stands, Run { begun: Some(7), ..run(Vec::new()) }), Some(Vec::new()), "what began ends");
    }

    #[test]
    fn an_outcome_that_differs_from_the_last_is_news_and_so_is_its_end() {
        let silent = |kind| Replica { failures: vec![failure(kind)], ..replica("main", Outcome::Unobserved) };
        let well = || run(vec![replica("archive", Outcome::InSync), replica("main", Outcome::InSync)]);
        let lost = |kind| run(vec![replica("archive", Outcome::InSync), silent(kind)]);
        let stands = Standing::default().after(&well());
        assert_eq!(news(&stands, lost(Kind::Lost)), Some(vec!["main".to_owned()]));
        let stands = stands.after(&lost(Kind::Lost));
        assert_eq!(news(&stands, lost(Kind::Lost)), None);
        assert_eq!(news(&stands, lost(Kind::Unreachable)), Some(vec!["main".to_owned()]));
        assert_eq!(news(&stands, well()), Some(vec!["main".to_owned()]));
    }

    #[test]
    fn an_error_of_the_whole_run_is_news_once_and_its_end_tells_of_all_replicas() {
        let well = || run(vec![replica("archive", Outcome::InSync)]);
        let stale = || Run { errors: vec![Failure { address: None, ..failure(Kind::Stale) }], ..run(Vec::new()) };
        let stands = Standing::default().after(&well());
        assert_eq!(news(&stands, stale()), Some(Vec::new()));
        let stands = stands.after(&stale());
        assert_eq!(news(&stands, stale()), None);
        assert_eq!(news(&stands, well()), Some(vec!["archive".to_owned()]));
    }
}

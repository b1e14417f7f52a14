//! What a deletion leaves, judged by the site's disk alone just before it is done.
//!
//! A plan deletes good backups because others take their place. That those are good is first the primary's word, and
//! then what the plan's own steps made of it. Nothing is deleted on either: each backup that the plan leaves must be
//! found recoverable by the same look that a plan and a status take, and no WAL goes that a backup which is here needs.

use std::fmt;
use std::path::PathBuf;

use crate::barman::backup_info::Status;
use crate::barman::ids::BackupId;
use crate::barman::wal::WalName;
use crate::barman::wal_set::{WalRange, WalSet};
use crate::observe::inventory::{BackupFacts, BaseState, ReplicaInventory};

use super::segments_here;
use super::window::{Segments, needed, recoverable};
use crate::plan::wal::runs::segment_of;

/// A promise that does not hold: a backup that was to stay recoverable, and what it lacks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Broken {
    /// The backup.
    pub backup: BackupId,
    /// What it lacks.
    pub lack: Lack,
}

/// What keeps a backup from being recoverable.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Lack {
    /// The site's Barman does not list it as good.
    Unlisted,
    /// Files of its base: how many, and the first; all of them when none is here.
    Files {
        /// How many.
        count: usize,
        /// The first.
        first: PathBuf,
    },
    /// WAL that makes it consistent: how many segments, and the first.
    Wal {
        /// How many; 0 when nobody can tell.
        count: u64,
        /// The first.
        first: String,
    },
    /// A backup that it builds on is not recoverable.
    Parent(BackupId),
}

impl fmt::Display for Lack {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unlisted => f.write_str("it is not among the good ones here"),
            Self::Files { count: 0 | 1, first } => write!(f, "{} is missing or damaged", first.display()),
            Self::Files { count, first } => {
                write!(f, "{} and {} more are missing or damaged", first.display(), count - 1)
            }
            Self::Wal { count: 0 | 1, first } => write!(f, "WAL segment {first} is missing or damaged"),
            Self::Wal { count, first } => write!(f, "{count} WAL segments from {first} on are missing or damaged"),
            Self::Parent(parent) => write!(f, "it builds on {parent}, which is not recoverable"),
        }
    }
}

impl fmt::Display for Broken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let backup = self.backup;
        match &self.lack {
            Lack::Unlisted => write!(f, "backup {backup}, which was to stay, is not among the good ones here"),
            Lack::Files { count: 0 | 1, first } => {
                write!(
                    f,
                    "backup {backup}, which was to stay, is not whole here: {} is missing or wrong",
                    first.display()
                )
            }
            Lack::Files { count, first } => write!(
                f,
                "backup {backup}, which was to stay, is not whole here: {} and {} more are missing or wrong",
                first.display(),
                count - 1
            ),
            Lack::Wal { count: 0 | 1, first } => {
                write!(f, "backup {backup}, which was to stay, needs WAL segment {first}, which is not whole here")
            }
            Lack::Wal { count, first } => write!(
                f,
                "backup {backup}, which was to stay, needs {count} WAL segments from {first} on, which are not whole here"
            ),
            Lack::Parent(parent) => {
                write!(f, "backup {backup}, which was to stay, builds on {parent}, which is not recoverable here")
            }
        }
    }
}

/// The first of the promised backups that is not recoverable without the one that is to be deleted, as the site's disk
/// alone tells.
pub fn broken(here: &ReplicaInventory, promised: &[BackupId], deleted: BackupId) -> Option<Broken> {
    let segments = segments_here(here);
    let whole = here.published().filter(|facts| facts.id != deleted && here.is_whole(facts.id));
    let recoverable = recoverable(whole, &segments);
    let backup = *promised.iter().find(|id| !recoverable.contains_key(id))?;
    Some(Broken { backup, lack: lack(here, backup, &segments) })
}

/// What keeps a backup from being recoverable that is not.
pub fn lack(here: &ReplicaInventory, id: BackupId, segments: &Segments) -> Lack {
    let Some(local) = here.backups.get(&id) else { return Lack::Unlisted };
    let published = local.published.as_ref().filter(|published| published.facts.status == Status::Done);
    let Some(facts) = published.map(|published| &published.facts) else { return Lack::Unlisted };
    match &local.base {
        BaseState::Absent => return Lack::Files { count: 0, first: "data".into() },
        BaseState::Damaged { files } => {
            return Lack::Files { count: files.len(), first: files.first().cloned().unwrap_or_else(|| "data".into()) };
        }
        BaseState::Complete => {}
    }
    match (missing_wal(facts, segments), facts.parent) {
        (None, Some(parent)) => Lack::Parent(parent),
        (missing, _) => missing.unwrap_or(Lack::Unlisted),
    }
}

fn missing_wal(facts: &BackupFacts, segments: &Segments) -> Option<Lack> {
    let Some(range) = needed(facts) else { return Some(Lack::Wal { count: 0, first: "from its begin on".to_owned() }) };
    let wanted = WalSet::from_iter([range]);
    let missing = segments.numbered(facts.segment_size).map_or_else(|| wanted.clone(), |set| wanted.difference(set));
    let WalRange { timeline, first, .. } = missing.ranges().next()?;
    let name = crate::barman::wal::Segment::from_number(timeline, first, facts.segment_size);
    Some(Lack::Wal { count: missing.count(), first: name.map(|name| name.to_string()).unwrap_or_default() })
}

/// Of WAL files that are to be deleted, the first that a backup here needs to be consistent, and that backup.
pub fn needed_still<'a>(
    here: &ReplicaInventory,
    mut files: impl Iterator<Item = &'a WalName>,
) -> Option<(WalName, BackupId)> {
    let spans: Vec<_> =
        here.published().filter_map(|facts| Some((facts.begin_wal?, facts.end_wal?, facts.id))).collect();
    files.find_map(|name| {
        let segment = segment_of(*name)?;
        let (_, _, id) = spans.iter().find(|(first, last, _)| *first <= segment && segment <= *last)?;
        Some((*name, *id))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::tests::notation::{self, id};

    /// What is broken of the promise that these days' backups stay when that of the 20th is deleted.
    fn told(here: &str, promised: &[&str]) -> String {
        let here = notation::replica(here, &notation::primary(""));
        let promised: Vec<BackupId> = promised.iter().map(|day| id(day)).collect();
        broken(&here, &promised, id("20")).map(|broken| broken.to_string()).unwrap_or_default()
    }

    #[test]
    fn each_lack_of_what_was_to_stay_is_named() {
        let rest = "| 1/02..0F";
        for (here, lack) in [
            ("@20 1/02..03 @21 1/08..0A", ""),
            ("@20 1/02..03", "backup 20261121T000000, which was to stay, is not among the good ones here"),
            ("@20 1/02..03 @21 1/08..0A bare", "is not among the good ones here"),
            ("@20 1/02..03 @21 1/08..0A failed", "is not among the good ones here"),
            ("@20 1/02..03 @21 1/08..0A damaged", "is not whole here: data/base/1/2 is missing or wrong"),
            ("@20 1/02..03 @21 1/08..0A absent", "is not whole here: data is missing or wrong"),
            ("@20 1/02..03 @21 1/0E..11", "needs 2 WAL segments from 000000010000000000000010 on"),
            ("@20 1/02..03 @21 1/0E..10", "needs WAL segment 000000010000000000000010, which is not whole here"),
            ("@20 1/02..03 @21<20 1/08..0A", "builds on 20261120T000000, which is not recoverable here"),
        ] {
            let told = told(&format!("{here} {rest}"), &["21"]);
            assert!(told.contains(lack) && told.is_empty() == lack.is_empty(), "{here}: {told}");
        }
    }

    #[test]
    fn wal_that_a_backup_here_needs_is_not_deleted() {
        let here = notation::replica("@20 1/02..03 @21 1/08..0A | 1/02..0F", &notation::primary(""));
        let files: Vec<WalName> = here.wals.names().collect();
        let (name, backup) = needed_still(&here, files.iter()).unwrap();
        assert_eq!((name.to_string().as_str(), backup), ("000000010000000000000002", id("20")));
        let others = files
            .iter()
            .filter(|name| !["02", "03", "08", "09", "0A"].iter().any(|number| name.to_string().ends_with(number)));
        assert_eq!(needed_still(&here, others), None);
    }
}

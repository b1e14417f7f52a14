//! What a verification came to.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use jiff::Timestamp;

use crate::barman::ids::BackupId;
use crate::barman::verified::{Amount, Verified};

use super::reads::Subject;

/// How it ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Ended {
    /// All that was asked for was read.
    #[default]
    Done,
    /// There was no more time.
    OutOfTime,
}

/// A file that is not what was written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Damaged {
    /// Which.
    pub subject: Subject,
    /// What is wrong with it, safe to print.
    pub why: String,
    /// When it was found.
    pub found: Timestamp,
    /// Whether what the primary sent in its place was damaged too.
    pub is_shared: bool,
    /// The other names of the same file, which are damaged with it.
    pub others: Vec<Subject>,
}

/// Where names and sizes are not what they must be: the next plan sees that by itself.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Difference {
    /// A file of a base that its manifest lists is missing, or has another size.
    File(BackupId, PathBuf),
    /// WAL files that xlog.db does not list.
    NotListed(u64),
    /// Lines of xlog.db whose files are not here.
    NotOnDisk(u64),
    /// Lines of xlog.db with another size than their files have.
    OtherSize(u64),
    /// Lines of xlog.db that are doubled, out of order, or none at all.
    Disordered(u64),
}

/// What a verification came to.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Outcome {
    /// What was read now.
    pub read: Amount,
    /// What is damaged: what was found now, and what was found before and is not mended.
    pub damaged: Vec<Damaged>,
    /// What was noted as damaged, and was read now and is good.
    pub mended: Vec<Subject>,
    /// Files that nothing tells the content of, and that were noted now as they are.
    pub noted: Amount,
    /// Backups of which the note of what arrived says nothing, as it is damaged itself.
    pub broken_notes: BTreeSet<BackupId>,
    /// Where names and sizes are not what they must be.
    pub differences: BTreeSet<Difference>,
    /// Files that nobody could open or read, each with what the system said: nothing is known of them.
    pub unreadable: Vec<(Subject, String)>,
    /// Bases with files that their manifests do not list: how many, and the first.
    pub unlisted: BTreeMap<BackupId, (u64, PathBuf)>,
    /// How far all that lies here was read by now.
    pub standing: Option<Verified>,
    /// How it ended.
    pub ended: Ended,
}

impl Outcome {
    /// Whether all that was looked at is as it must be.
    pub fn is_good(&self) -> bool {
        self.damaged.is_empty() && self.differences.is_empty() && self.unreadable.is_empty()
    }
}

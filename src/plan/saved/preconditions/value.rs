//! What a precondition may say, as values: a plan keeps them and compares them, and `render` finds the words.

use std::path::PathBuf;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::barman::backup_info::Status;
use crate::barman::ids::{BackupId, SystemId};
use crate::barman::keep::Keep;
use crate::barman::layout::ServerDirs;
use crate::barman::version::BarmanVersion;
use crate::barman::wal::{Lsn, SegmentSize, Timeline, WalName};
use crate::observe::inventory::XlogFinding;
use crate::plan::reason::Blocker;
use crate::plan::saved::forms;

/// What a precondition is about; of one action and side each is there once.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Topic {
    /// Where everything of the server is.
    Directories,
    /// The Barman that reads what is written.
    Barman,
    /// What forbids any change.
    Forbidden,
    /// The sizes of its WAL segments.
    SegmentSizes,
    /// The clusters whose WAL it has.
    Systems,
    /// Whether the server is looked after.
    Activity,
    /// The server's directory.
    Server,
    /// xlog.db.
    XlogDb,
    /// sync-wals.info.
    SyncWals,
    /// The history file of a timeline.
    History,
    /// The WAL files of a range.
    WalFiles,
    /// One WAL file.
    WalFile,
    /// What needs the WAL files of a range.
    WalNeeded,
    /// The backup.
    Backup,
    /// The files of its base.
    BaseFiles,
    /// Its backup.info, to the letter.
    BackupInfo,
    /// What its metadata means.
    Metadata,
    /// Where its backup.info is.
    Place,
    /// Its keep annotation.
    Keep,
    /// Its tablespaces that no link leads to.
    Unlinked,
    /// The WAL that makes it consistent.
    NeededWal,
    /// The backup that it builds on.
    Parent,
    /// The backup whose files it shares.
    Basis,
    /// What builds on it.
    Children,
    /// What an interrupted copy left of it.
    Staging,
    /// Whether the selection wants it.
    Selection,
    /// `prune.unselected`
    PruneUnselected,
    /// `prune.gone_at_primary`
    PruneGone,
    /// The full backups that stay recoverable.
    FullBackups,
    /// `protect.max_prune`
    MaxPrune,
}

/// What was found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "found", content = "of", rename_all = "kebab-case", deny_unknown_fields)]
pub enum Value {
    /// It is not there.
    Absent,
    /// It is there.
    Present,
    /// It is not there, or cannot be read.
    AbsentOrUnreadable,
    /// Nothing.
    Nothing,
    /// Nobody can tell.
    Unknown,
    /// So many bytes.
    Bytes(u64),
    /// A list of directories.
    Directories(Box<ServerDirs>),
    /// A version of Barman.
    Barman(BarmanVersion),
    /// What forbids any change.
    Forbidden(Box<Blocker>),
    /// Sizes of WAL segments; none where they are not known yet.
    SegmentSizes(Vec<SegmentSize>),
    /// Clusters; none where they are not known yet.
    Systems(Vec<SystemId>),
    /// Which clusters, nobody knows any more, as no backup is left that tells.
    SystemsForgotten,
    /// The content of xlog.db.
    Lines {
        /// Lines that can be read.
        count: u64,
        /// The first bytes of their SHA-256.
        sha256: String,
        /// What is wrong with it.
        findings: Vec<XlogFinding>,
    },
    /// Up to where an archive is known.
    Position {
        /// The last file.
        name: WalName,
        /// The offset of its line.
        offset: u64,
    },
    /// A history file.
    History {
        /// Its bytes.
        size: u64,
        /// The timeline that was left, and where.
        left: Option<(Timeline, Lsn)>,
    },
    /// Files, compared with those that were planned with.
    Tally(Tally),
    /// Files that should not be there.
    Among {
        /// How many are.
        present: u64,
        /// Of how many.
        files: u64,
        /// The bytes of those that are.
        bytes: u64,
    },
    /// A WAL file that is still wanted.
    Wanted(WalName),
    /// A backup that Barman lists as good.
    Published {
        /// Its bytes.
        size: Option<u64>,
    },
    /// A backup that was never finished.
    Unfinished(Status),
    /// The files of a backup without its backup.info.
    Unpublished,
    /// A backup at the primary.
    Archived {
        /// Its status.
        status: Status,
        /// The first and the last segment that make it consistent.
        wal: Option<(WalName, WalName)>,
        /// Its bytes.
        size: Option<u64>,
        /// Its cluster.
        system: Option<SystemId>,
    },
    /// The primary deletes it.
    BeingDeleted,
    /// It has no files, but is a snapshot of a cloud's volumes.
    CloudSnapshot,
    /// Its metadata makes no sense.
    Unreadable,
    /// It is not there, or not complete.
    Unusable,
    /// It is copied by the plan.
    Copied,
    /// Every file is there.
    Complete,
    /// Files are missing or have another size.
    Damaged {
        /// How many.
        files: u64,
        /// The first.
        #[serde(with = "forms::optional_path")]
        #[schemars(with = "Option<forms::PathForm>")]
        first: Option<PathBuf>,
    },
    /// It is here and not whole.
    NotWhole,
    /// What is said of another backup.
    Of(BackupId, Box<Value>),
    /// It is what the plan publishes or replaces: news only where it is not.
    AsPlanned,
    /// It means the same in other words.
    Reworded,
    /// It differs in these keys.
    DiffersIn(Vec<String>),
    /// Where the site's Barman looks.
    WhereRead,
    /// Where the site's Barman does not look.
    WhereNotRead,
    /// A keep annotation.
    Keep(Keep),
    /// Tablespaces by their OIDs.
    Oids(Vec<u32>),
    /// Segments that are here or come with the plan.
    Segments {
        /// How many.
        present: u64,
        /// Of how many.
        all: u64,
    },
    /// A backup.
    Backup(BackupId),
    /// Whether the selection wants it.
    Selected(bool),
    /// Whether the site file allows it.
    Allowed(bool),
    /// So many full backups, or more.
    AtLeast(u64),
    /// So many full backups.
    Count(u64),
    /// The plan deletes no more at once than it may.
    Kept,
    /// The plan deletes more at once than it may.
    Exceeded {
        /// How many it may.
        most: u64,
        /// How many it does.
        planned: u64,
    },
    /// The server is looked after at the primary.
    Active,
    /// It is not; Barman's sentence.
    Inactive(String),
}

impl Value {
    /// A backup that can be copied, of which nothing else needs saying.
    pub const DONE: Self = Self::Archived { status: Status::Done, wal: None, size: None, system: None };
}

/// Files with the size that a plan saw, and those with another.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Tally {
    /// How many there should be.
    pub files: u64,
    /// The bytes that they should have.
    pub bytes: u64,
    /// How many are so.
    pub as_planned: u64,
    /// The first that is not, and its size.
    pub first: Option<(WalName, Option<u64>)>,
}

impl Tally {
    /// Compares the sizes: of each file its name, what was planned with, and what was found.
    pub fn of(files: impl Iterator<Item = (WalName, u64, Option<u64>)>) -> Self {
        let mut tally = Self::default();
        for (name, planned, found) in files {
            tally.files += 1;
            tally.bytes = tally.bytes.saturating_add(planned);
            if found == Some(planned) {
                tally.as_planned += 1;
            } else {
                tally.first = tally.first.or(Some((name, found)));
            }
        }
        tally
    }

    /// The same files, all as planned.
    #[must_use]
    pub fn all(self) -> Self {
        Self { as_planned: self.files, first: None, ..self }
    }
}

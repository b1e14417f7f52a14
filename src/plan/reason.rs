//! Why an action is planned, and why something is not: typed, so that no renderer works it out again.

use std::path::PathBuf;

use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::barman::backup_info::Status;
use crate::barman::ids::{BackupId, ServerName, SystemId};
use crate::barman::version::BarmanVersion;
use crate::barman::wal::WalName;
use crate::observe::inventory::XlogFinding;
use crate::schedule::Suspension;

use super::held::HeldKey;
use super::recovery::OtherBranch;
use super::saved::forms;

/// Why an action is planned.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "code", content = "of", rename_all = "kebab-case", deny_unknown_fields)]
pub enum Reason {
    /// The primary has it and the site does not.
    MissingHere,
    /// As before, and a kept backup is not consistent without it.
    NeededBy(BackupId),
    /// A copy was begun and never finished; the status it was left in.
    Interrupted(Status),
    /// Its base is here, and no backup.info.
    Unpublished,
    /// The sizes at the two ends differ.
    SizeDiffers {
        /// Bytes here, of the first file that differs.
        here: u64,
        /// Bytes at the primary.
        there: u64,
        /// How many files differ.
        files: u64,
    },
    /// Files that are damaged here, whatever their sizes.
    ContentDamaged {
        /// How many.
        files: u64,
    },
    /// What is here is good and has another size at the primary, whose copy a person lets replace it.
    Accepted {
        /// Bytes here, of the first file.
        here: u64,
        /// Bytes at the primary.
        there: u64,
        /// How many files.
        files: u64,
    },
    /// Files of a published backup that are missing, or have another size; all of `data` when nothing is here.
    FilesDamaged(
        #[serde(with = "forms::paths")]
        #[schemars(with = "Vec<forms::PathForm>")]
        Vec<PathBuf>,
    ),
    /// Files of a published backup that were read and are not what was written, perhaps beside others that are missing.
    FilesDisproved {
        /// All of them.
        #[serde(with = "forms::paths")]
        #[schemars(with = "Vec<forms::PathForm>")]
        files: Vec<PathBuf>,
        /// The first that was read, and what is wrong with it.
        why: String,
    },
    /// WAL that was read to its end and is not what was written.
    ContentDisproved {
        /// How many files are damaged.
        files: u64,
        /// What is wrong with the first that was read, which is named where there are others.
        why: String,
    },
    /// What is wrong with xlog.db.
    XlogDb(Vec<XlogFinding>),
    /// Tablespaces that no link leads to: how many. Barman's own sync leaves the links out.
    Unlinked(usize),
    /// Metadata that Barman's own sync encoded twice: the keys.
    EncodedTwice(Vec<String>),
    /// Metadata that differs from the primary's: the keys.
    InfoDiffers(Vec<String>),
    /// Metadata that a restore rests on and that differs from the primary's, whose values a person lets replace it: the
    /// keys with both values.
    InfoAccepted(Vec<HeldKey>),
    /// The site's Barman does not look where it is.
    NotReadBy(BarmanVersion),
    /// The primary has a keep annotation.
    KeptAtPrimary,
    /// sync-wals.info is absent or cannot be read.
    SyncWalsBroken,
    /// sync-wals.info says something else than what was observed.
    SyncWalsBehind,
    /// The copy was interrupted, and the primary no longer has the backup.
    InterruptedAndGone,
    /// The copy was interrupted, and the selection leaves the backup out.
    InterruptedAndUnselected,
    /// The copy was interrupted and does not fit, and what it left is in the way of what is worth more.
    NoRoom,
    /// The selection leaves it out; its rules as the site file has them.
    Unselected(String),
    /// The primary no longer has it.
    GoneAtPrimary,
    /// No kept backup needs it.
    NoBackupNeedsIt,
}

impl Reason {
    /// Whether an interrupted copy is cleaned up.
    pub fn is_interrupted(&self) -> bool {
        matches!(self, Self::InterruptedAndGone | Self::InterruptedAndUnselected)
    }

    /// Whether something that is here is wrong, or is replaced.
    pub fn is_of_what_is_here(&self) -> bool {
        matches!(
            self,
            Self::SizeDiffers { .. }
                | Self::ContentDamaged { .. }
                | Self::ContentDisproved { .. }
                | Self::Accepted { .. }
        )
    }

    /// The files of a published backup that are damaged; none for anything else.
    pub fn damaged_files(&self) -> &[PathBuf] {
        if let Self::FilesDamaged(files) | Self::FilesDisproved { files, .. } = self { files } else { &[] }
    }

    /// Whether something follows the primary rather than being repaired.
    pub fn follows_primary(&self) -> bool {
        matches!(self, Self::SyncWalsBehind | Self::InfoDiffers(_) | Self::InfoAccepted(_) | Self::NotReadBy(_))
    }
}

/// Why a replica is not planned at all.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "code", content = "of", rename_all = "kebab-case", deny_unknown_fields)]
pub enum Blocker {
    /// The primary's system is new to the replica.
    OtherSystem {
        /// What the replica holds.
        here: Vec<SystemId>,
        /// What is new.
        new: SystemId,
        /// A backup of the new system.
        backup: BackupId,
    },
    /// Another site has a replica in the same directory, and worked on it last.
    OtherSite {
        /// Its name.
        site: String,
        /// Its file.
        file: String,
        /// When its last apply ended that did all there was to do.
        ended: Option<Timestamp>,
    },
    /// The site's own Barman takes backups of a server with this name.
    RunHere,
    /// A backup here was not made by a synchronisation: its `mode`.
    NotPassive {
        /// The backup.
        backup: BackupId,
        /// Its mode.
        mode: String,
    },
    /// The primary's Barman is told not to look after the server, and the site file names it; its sentence.
    Inactive(String),
    /// The primary's catalog is this site's own.
    OwnCatalog,
    /// The server at the primary is a copy of this replica itself, so that nothing new comes to either.
    CopyOfOurs,
    /// A prune would leave too few recoverable backups.
    TooFewLeft {
        /// How many would be left.
        left: usize,
        /// `protect.min_backups`.
        minimum: u32,
    },
}

/// Something the user should do something about.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "code", content = "of", rename_all = "kebab-case", deny_unknown_fields)]
pub enum Warning {
    /// The site's own Barman synchronises this server as well.
    PassiveCron,
    /// The site's own Barman has no section for this server, and so knows nothing of it.
    NotConfigured {
        /// The directory whose files belong to its barman.conf, if there is one.
        included: Option<PathBuf>,
    },
    /// The site's own Barman deletes what its retention policy finds too much.
    OwnRetention(String),
    /// The recovery window ends further behind the primary than the objective allows.
    BehindObjective {
        /// How far it is behind, in seconds; `None` where nothing shows it.
        lag: Option<u64>,
        /// `objective.rpo`, in seconds.
        rpo: u64,
        /// Whether the actions of the plan bring it within that.
        mended: bool,
        /// Whether that is what may be lost of the origin, as the primary is a copy itself.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        of_origin: bool,
    },
    /// WAL that is dated in the future: such a time shows nothing.
    DatedAhead {
        /// How many files.
        count: u64,
        /// The one that is dated furthest ahead.
        name: WalName,
        /// Its time.
        time: Timestamp,
    },
    /// The note of the last apply is dated in the future.
    AppliedAhead(Timestamp),
    /// A backup that the last apply refused to publish, and that is planned again.
    RefusedBefore {
        /// The backup.
        backup: BackupId,
        /// What was wrong with it.
        why: String,
    },
    /// Somebody said that it is left alone for now.
    Suspended(Suspension),
    /// What is here cannot be read, so that nothing is known of it.
    NotLookedAt,
    /// The primary's Barman is told not to look after the server, which a mirror brought.
    Inactive,
    /// More backups may be deleted than one plan may delete: none is.
    PruneHeld(HeldPrune),
}

/// A deletion of more backups than `protect.max_prune` lets one plan delete.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct HeldPrune {
    /// How many backups.
    pub count: usize,
    /// The one that would go first.
    pub first: BackupId,
    /// How many one plan may delete.
    pub most: usize,
}

/// Something the user should know; nothing is done about it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "code", content = "of", rename_all = "kebab-case", deny_unknown_fields)]
pub enum Note {
    /// The primary said something worth repeating.
    Primary(String),
    /// Something at the site is worth knowing.
    Site(String),
    /// A backup at the primary is not DONE.
    NotDone {
        /// The backup.
        backup: BackupId,
        /// Its status there.
        status: Status,
    },
    /// A backup at the primary was begun and never finished: a later one is DONE, or it is a week old.
    GivenUp {
        /// The backup.
        backup: BackupId,
        /// Its status there.
        status: Status,
    },
    /// A backup at the primary is being deleted there.
    GoingAway(BackupId),
    /// A backup of a cloud's volumes: there are no files to copy.
    CloudSnapshot(BackupId),
    /// Files that the primary's xlog.db lists, that neither end has, and that recovery can do without: no segments.
    ListedAndGone {
        /// How many.
        count: u64,
        /// The first.
        first: WalName,
    },
    /// Files of nothing at the primary: damage there.
    EmptyThere {
        /// How many.
        count: u64,
        /// The first.
        first: WalName,
    },
    /// Files that the primary's xlog.db lists with another size than they have on its disk.
    OtherSizeThere {
        /// The server there.
        server: ServerName,
        /// How many.
        count: u64,
        /// The first.
        first: WalName,
        /// The size of the first as xlog.db has it.
        listed: u64,
        /// Its size on the disk.
        on_disk: u64,
    },
    /// Files on the primary's disk that its xlog.db does not list: its own Barman does not know them.
    NotListedThere {
        /// The server there.
        server: ServerName,
        /// How many.
        count: u64,
        /// The first.
        first: WalName,
    },
    /// A branch of the archive beside the one that is judged.
    OtherBranch(OtherBranch),
    /// What is here of a backup that was never published, and that this plan neither completes nor deletes.
    OrphanedBase(BackupId),
    /// Backups here that the primary no longer has.
    KeptHereOnly {
        /// How many.
        count: usize,
        /// The first.
        first: BackupId,
    },
    /// WAL files that are whole here, and that the primary stores in another form.
    OtherForm {
        /// How many.
        count: u64,
        /// The first.
        first: WalName,
    },
    /// WAL files into which nobody can look, as they are listed as encrypted or of a custom compression: only their sizes
    /// are known to be right.
    Unproven {
        /// How many.
        count: u64,
        /// The first.
        first: WalName,
    },
    /// Not everything here was looked at in this run.
    LookedEarlier {
        /// The minute of the oldest look that the plan rests on.
        since: Timestamp,
    },
    /// Backups here that the selection leaves out and `prune.unselected` does not allow to delete.
    Unselected(usize),
    /// Backups here that the time of this host would let go, and that stay, as nothing at either end is dated as late.
    TimeStandsStill {
        /// How many.
        count: usize,
        /// When the newest WAL was archived or the newest backup ended, from which time is counted.
        newest: Timestamp,
    },
    /// A line of `accept` in the site file, or an `--accept`, for which nothing waits.
    AcceptsNothing(String),
    /// A backup that is here without symbolic links of the primary's that lead out of it.
    LinksLeftOut {
        /// The backup.
        backup: BackupId,
        /// How many.
        count: u64,
        /// The first, below the directory of the backup.
        first: String,
    },
    /// A backup that is here with files that its manifest does not list.
    Unlisted {
        /// The backup.
        backup: BackupId,
        /// How many.
        count: u64,
        /// The first, below the directory of the backup.
        first: String,
    },
    /// Another file of this site worked on the replica last, and still would.
    OtherFile {
        /// The file.
        file: String,
        /// When its last apply ended that did all there was to do.
        ended: Option<Timestamp>,
    },
    /// What a replica's name at the primary is, when it differs.
    Renamed(ServerName),
}

//! The places of one server's catalog, by what lies there.

use std::path::Path;

use crate::barman::ids::BackupId;
use crate::barman::layout::Layout;
use crate::barman::wal::WalName;

/// A place in the catalog of one server. Where it is, only the store knows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place {
    /// Everything of the server.
    Server,
    /// The bases of all backups.
    Bases,
    /// The base of a backup: `data/` and the tablespaces are in it.
    Base(BackupId),
    /// Where newer Barmans keep metadata of backups.
    Meta,
    /// The backup.info of a backup, where this layout has it.
    BackupInfo(Layout, BackupId),
    /// The keep annotation of a backup, where this layout has it.
    Keep(Layout, BackupId),
    /// The mark of a backup that is being deleted, where this layout has it.
    DeleteThis(Layout, BackupId),
    /// The WAL archive.
    Wals,
    /// A file of the WAL archive.
    Wal(WalName),
    /// Where newer Barmans keep xlog.db.
    XlogDbDirectory,
    /// The list of the WAL archive, by the name that it has in this layout.
    XlogDb(Layout),
    /// Up to where a passive Barman has copied.
    SyncWals,
    /// The PostgreSQL system that the server belongs to.
    Identity,
    /// All that is our own, mode 0700; Barman ignores it.
    Own,
    /// The lock of the run that is at work on the server, which lies beside all servers: it is there before the server.
    RunLock,
    /// The note of when the run that is at work on the server last made progress, beside its lock.
    Progress,
    /// Is there from before anything is staged until all that is staged is known to be on the disk.
    Unfinished,
    /// The note of the last successful apply.
    LastApply,
    /// The note of what applies found of backups at the primary.
    Findings,
    /// The note of what was read here and is not what was written.
    Damage,
    /// What is remembered of the files here that were read to their ends, and when.
    Reads,
    /// What the last verification came to.
    Verified,
    /// What the last drills came to.
    Drills,
    /// The note that nobody copies the server here any more.
    Detached,
    /// The note of which files of a published base are being repaired.
    Repairing(BackupId),
    /// The note of what the files of a backup had in them when they arrived.
    ArrivalNote(BackupId),
    /// What is remembered of the bases and of the WAL that were looked at.
    Looks,
    /// What is remembered of xlog.db here.
    List,
    /// What is remembered of the server at its primary.
    Memory,
    /// A backup that grows.
    Staged(BackupId),
    /// Where WAL files arrive.
    Arrivals,
    /// A WAL file that arrives.
    Arrived(WalName),
    /// A backup that is being deleted.
    Trash(BackupId),
}

impl Place {
    /// A place below this one; a path is relative and goes through no `..`.
    pub fn below(self, below: &Path) -> At<'_> {
        At { place: self, below }
    }

    /// Whether what is written there is on the disk when that has succeeded. All is, but what may be gone or torn after
    /// a power cut, as it proves itself when it is read.
    pub fn is_durable(self) -> bool {
        !matches!(self, Self::Looks | Self::List | Self::Memory | Self::Progress | Self::Reads | Self::Verified)
    }
}

/// A place, or something below it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct At<'a> {
    /// The place.
    pub place: Place,
    /// The path below it; empty for the place itself.
    pub below: &'a Path,
}

impl From<Place> for At<'_> {
    fn from(place: Place) -> Self {
        Self { place, below: Path::new("") }
    }
}

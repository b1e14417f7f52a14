//! What was observed, as plain data: the only thing besides the site file that the planner sees.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::Arc;

use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::barman::backup_info::{BackupInfo, Damage, Status};
use crate::barman::compression::Compression;
use crate::barman::damage::DamageNote;
use crate::barman::detachment::Detachment;
use crate::barman::drill::Drills;
use crate::barman::findings::Findings;
use crate::barman::history::HistoryFile;
use crate::barman::identity::Identity;
use crate::barman::ids::{BackupId, ServerName, SystemId};
use crate::barman::keep::Keep;
use crate::barman::last_apply::LastApply;
use crate::barman::layout::ServerDirs;
use crate::barman::verified::Verified;
use crate::barman::version::BarmanVersion;
use crate::barman::wal::{Lsn, Segment, SegmentSize, Timeline, WalName};
use crate::barman::wal_list::WalList;
use crate::barman::wal_map::WalMap;
use crate::error::Error;
use crate::schedule::Suspension;
use crate::verify::manifest::Manifest;

pub use crate::store::Room;
pub use crate::store::pedigree::{CatalogName, Mark, Origin};

/// What one server at a primary answered.
#[derive(Debug, Clone, PartialEq)]
pub enum Observed {
    /// It has this.
    Active(Box<PrimaryInventory>),
    /// Barman is told not to look after it; its sentence, safe to print.
    Inactive(String),
    /// It, or the replica itself, could not be observed.
    Failed(Error),
}

/// What a primary has of one server.
#[derive(Debug, Clone, PartialEq)]
pub struct PrimaryInventory {
    /// The version of Barman there.
    pub barman: Option<BarmanVersion>,
    /// Where it keeps the server's files.
    pub directories: ServerDirs,
    /// Its backups in every status.
    pub backups: BTreeMap<BackupId, PrimaryBackup>,
    /// What it archived: everything on its disk but unfinished segments that no list
    /// names, and everything that its xlog.db lists. The size is that on the disk; the rest is as the list has it.
    pub wals: WalList,
    /// Files that its xlog.db lists and its disk does not have.
    pub gone: BTreeSet<WalName>,
    /// Files on its disk that its xlog.db does not describe as they are.
    pub undescribed: BTreeMap<WalName, Undescribed>,
    /// Every history file, whatever sync-info says.
    pub histories: BTreeMap<Timeline, HistoryFile>,
    /// The last line of its xlog.db and that line's offset.
    pub last: Option<(WalName, u64)>,
    /// What its catalog is, and descends from, where it shows that.
    pub pedigree: BTreeSet<Mark>,
    /// Things worth saying that stop nothing, safe to print.
    pub notes: Vec<String>,
}

impl PrimaryInventory {
    /// Whether it is a copy itself: its newest backup was taken elsewhere.
    pub fn is_copy(&self) -> bool {
        let done = self.backups.values().filter(|backup| backup.facts.status == Status::Done);
        let newest = done.max_by_key(|backup| (backup.facts.end_time, backup.facts.id));
        newest.is_some_and(|newest| newest.info.mode() == Some("passive"))
    }

    /// Leaves what it says is damaged where it is: it is a site itself, and waits for something better.
    pub fn set_damaged_apart(&mut self) {
        let damaged = self.pedigree.iter().filter_map(|mark| match mark {
            Mark::Damaged(id) => Some(id),
            Mark::Catalog(_) | Mark::CopyOf(..) | Mark::Origin(_) => None,
        });
        for id in damaged {
            if let Some(backup) = self.backups.get_mut(id).filter(|backup| backup.base == BaseKind::Files) {
                backup.base = BaseKind::Damaged;
            }
        }
    }

    /// How far the origin had come that it is a copy of, where it shows that.
    pub fn origin(&self) -> Option<Origin> {
        let origins = self.pedigree.iter().filter_map(|mark| match mark {
            Mark::Origin(origin) => Some(*origin),
            Mark::Catalog(_) | Mark::CopyOf(..) | Mark::Damaged(_) => None,
        });
        origins.max()
    }

    /// How far it has come itself, as seen at this time: the segment that was archived last.
    pub fn has_come(&self, now: Timestamp) -> Option<Origin> {
        let now = now.as_second();
        let runs = self.wals.mtimes().runs().iter();
        let lasts = runs.filter_map(|run| run.iter().rev().find(|(name, _)| name.segment().is_some()));
        #[expect(clippy::cast_possible_truncation, reason = "whole seconds of a time")]
        let archived = lasts.map(|(newest, mtime)| (newest, mtime.seconds() as i64));
        // What is dated further ahead than clocks may differ says nothing.
        let (newest, archived) =
            archived.filter(|(_, time)| (0..=now.saturating_add(60)).contains(time)).max_by_key(|(_, time)| *time)?;
        Some(Origin { seen: now - now.rem_euclid(60), newest, archived: archived.min(now) })
    }
}

/// Why nothing but its own content tells what a file of an archive is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Undescribed {
    /// No line of xlog.db names it.
    NotListed,
    /// Its line is of a file of another size: it was changed after it was listed.
    OtherSize {
        /// The size in the line.
        listed: u64,
    },
}

/// What the planner wants to know of any backup.
#[derive(Debug, Clone, PartialEq)]
pub struct BackupFacts {
    /// Its id.
    pub id: BackupId,
    /// Its status where it was observed.
    pub status: Status,
    /// The timeline on which it was made.
    pub timeline: Timeline,
    /// The first segment that makes it consistent.
    pub begin_wal: Option<Segment>,
    /// The last segment that makes it consistent.
    pub end_wal: Option<Segment>,
    /// The position at which it is consistent.
    pub end_lsn: Option<Lsn>,
    /// When it ended: the earliest point it can be recovered to.
    pub end_time: Option<Timestamp>,
    /// The cluster it is of.
    pub system: Option<SystemId>,
    /// Bytes on disk.
    pub size: Option<u64>,
    /// The size of the cluster's WAL segments.
    pub segment_size: SegmentSize,
    /// The OIDs of its tablespaces, each a directory beside `data`.
    pub tablespaces: Vec<u32>,
    /// The backup that an incremental one builds on.
    pub parent: Option<BackupId>,
}

/// A backup at the primary.
#[derive(Debug, Clone, PartialEq)]
pub struct PrimaryBackup {
    /// What the planner wants to know of it.
    pub facts: BackupFacts,
    /// Its metadata as the primary has it.
    pub info: BackupInfo,
    /// What kind of files it has there.
    pub base: BaseKind,
    /// Its keep annotation.
    pub keep: Option<Keep>,
    /// Whether the primary is deleting it.
    pub going_away: bool,
    /// Its `backup_manifest`, where the plan can use it.
    pub manifest: Option<Arc<Manifest>>,
}

/// What kind of files a backup has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BaseKind {
    /// A tree, or archives of one.
    Files,
    /// None: it is a snapshot of a cloud's volumes.
    CloudSnapshot,
    /// It cannot be told, as its metadata makes no sense. The primary has the backup, and nothing is done with it.
    Unreadable,
    /// Files of which the primary, a site itself, says that they are damaged. Nothing of them is copied.
    Damaged,
}

/// What a replica holds.
#[derive(Debug, Clone, PartialEq)]
pub struct ReplicaInventory {
    /// Where its files are.
    pub directories: ServerDirs,
    /// What its catalog is called, if it has a name.
    pub name: Option<CatalogName>,
    /// Whether the server's directory exists at all.
    pub exists: bool,
    /// Whether it cannot be read: then nothing of it is known.
    pub unreadable: bool,
    /// The version of Barman to write for.
    pub barman: BarmanVersion,
    /// Its backups, published or not.
    pub backups: BTreeMap<BackupId, LocalBackup>,
    /// The WAL files that are really on disk with their sizes; history files too.
    pub wals: WalMap<u64>,
    /// The oldest look at these, if they were not all looked at in this run; they were sound then.
    pub wals_looked_at: Option<Timestamp>,
    /// WAL files that are not sound, as far as their beginnings tell; what is not named here begins as it should.
    pub unsound: WalMap<Unsound>,
    /// WAL files whose size is not the primary's, and that were read and found whole.
    pub whole: BTreeMap<WalName, WholeWal>,
    /// What xlog.db says.
    pub xlogdb: XlogDbState,
    /// History files that are on disk and readable.
    pub histories: BTreeMap<Timeline, HistoryFile>,
    /// What sync-wals.info says: the pair, or `None` when it is absent or broken.
    pub sync_wals: Option<(WalName, u64)>,
    /// Backups of which an earlier run left part in staging, with the bytes of that part.
    pub staged: BTreeMap<BackupId, u64>,
    /// What the site's own Barman means to do with this server.
    pub site_barman: SiteBarman,
    /// The room here; `None` when it could not be asked.
    pub rooms: Option<Rooms>,
    /// The system that the server belongs to, where Barman noted it in identity.json.
    pub identity: Option<Identity>,
    /// Our note of the last successful apply; `None` when it is unknown.
    pub last_apply: Option<LastApply>,
    /// The other site that copies it too, where the note of the last apply tells of one.
    pub other_site: Option<OtherSite>,
    /// What was said of it, if it is left alone for now.
    pub suspended: Option<Suspension>,
    /// What was read here and is not what was written, although names, sizes and beginnings are as they should be.
    pub damage: DamageNote,
    /// How far what is here was read to its end; `None` where nobody knows.
    pub verified: Option<Verified>,
    /// What the last drills of it came to.
    pub drills: Drills,
    /// What applies found of its backups at the primary, as far as that was noted.
    pub findings: Findings,
    /// Things worth saying that stop nothing, safe to print.
    pub notes: Vec<String>,
}

impl ReplicaInventory {
    /// Whether every file that is known to belong to a backup is here.
    pub fn is_whole(&self, id: BackupId) -> bool {
        self.backups.get(&id).is_some_and(|local| local.base == BaseState::Complete)
    }

    /// The oldest look that this rests on, if not all of it was looked at in this run.
    pub fn oldest_look(&self) -> Option<Timestamp> {
        self.backups.values().filter_map(|local| local.looked_at).chain(self.wals_looked_at).min()
    }

    /// The backups that the site's Barman lists as good.
    pub fn published(&self) -> impl DoubleEndedIterator<Item = &BackupFacts> {
        self.backups
            .values()
            .filter_map(|local| local.published.as_ref())
            .map(|published| &published.facts)
            .filter(|facts| facts.status == Status::Done)
    }

    /// These with the times that they ended.
    pub fn ends(&self) -> Vec<(BackupId, Option<Timestamp>)> {
        self.published().map(|facts| (facts.id, facts.end_time)).collect()
    }
}

/// Another site that has a replica in the same directory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OtherSite {
    /// Its name.
    pub name: String,
    /// Its file.
    pub file: String,
    /// When its last apply ended that did all there was to do.
    pub ended: Option<Timestamp>,
    /// Whether it has the name of this one: another copy of one file, perhaps.
    pub is_ours: bool,
}

/// The room where the parts of a replica are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rooms {
    /// Where its backups are.
    pub bases: Room,
    /// Where its WAL is.
    pub wals: Room,
}

/// How a WAL file begins that is not sound.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unsound {
    /// Nobody can look into it: damaged, unless a list says that it is encrypted or of a custom compression.
    Opaque,
    /// It begins with zeros, or as another file, system or size of segment, or cannot be read.
    Damaged,
}

/// How a WAL file that was found whole is stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WholeWal {
    /// As PostgreSQL wrote it, or compressed: its header is that of its name, and it was read to its end.
    Read {
        /// What its first bytes say.
        compression: Option<Compression>,
    },
    /// In a form that nobody can look into, as xlog.db says, and with the size that it says.
    Opaque,
}

/// What xlog.db at the site says.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct XlogDbState {
    /// Its lines; none when it is not there.
    pub entries: WalList,
    /// What is wrong with it as a file, `Missing` among it.
    pub findings: Vec<XlogFinding>,
}

/// Something that is wrong with xlog.db.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "code", content = "of", rename_all = "kebab-case", deny_unknown_fields)]
pub enum XlogFinding {
    /// The file is not there.
    Missing,
    /// It has the name that another version of Barman uses.
    OtherName,
    /// Lines that this version of Barman cannot parse: too many fields.
    TooManyFields(u64),
    /// Lines that are no entry at all.
    Unreadable(u64),
    /// Lines that stand before one with a smaller name.
    Unsorted(u64),
    /// Lines whose name is there already.
    Doubled(u64),
    /// Files on disk that no line names.
    NotListed(u64),
    /// Lines without a file on disk.
    NotOnDisk(u64),
    /// Lines that say something else than the primary.
    Differs(u64),
}

/// A backup at the site.
#[derive(Debug, Clone, PartialEq)]
pub struct LocalBackup {
    /// What its backup.info says; `None` for a base without one, or with one that cannot be read.
    pub published: Option<Published>,
    /// What is on disk of its base.
    pub base: BaseState,
    /// When that was looked at, if it was not in this run; it was whole then.
    pub looked_at: Option<Timestamp>,
    /// Tablespaces, by their OIDs, that are on disk and that no link in `pg_tblspc` leads to.
    pub unlinked: Vec<u32>,
    /// Its keep annotation.
    pub keep: Option<Keep>,
    /// Its `backup_manifest`, where the plan can reuse files of it.
    pub manifest: Option<Arc<Manifest>>,
}

/// What a backup.info at the site says.
#[derive(Debug, Clone, PartialEq)]
pub struct Published {
    /// What the planner wants to know of it.
    pub facts: BackupFacts,
    /// Its metadata.
    pub info: BackupInfo,
    /// What Barman's own sync broke in it.
    pub damage: Vec<Damage>,
    /// Whether the Barman that is written for looks where its backup.info is.
    pub is_read: bool,
}

/// What is on disk of a backup's base.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum BaseState {
    /// The directory is not there.
    Absent,
    /// Every file that is known to belong to it is there, with its size.
    Complete,
    /// Files that belong to it are missing or have another size.
    Damaged {
        /// Their paths below the base, in order.
        files: Vec<PathBuf>,
    },
}

/// What the site's own Barman means to do with a server.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct SiteBarman {
    /// Whether barman.conf has the server at all.
    pub section: SiteSection,
    /// Whether it is `active`.
    pub active: bool,
    /// Whether `primary_ssh_command` makes it passive.
    pub passive: bool,
    /// Whether its primary is Antipode itself, saying that nothing is missing.
    pub idle: bool,
    /// Its retention policy.
    pub retention_policy: Option<String>,
}

/// What is known of a server's section in the site's barman.conf.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum SiteSection {
    /// The site file names no barman.conf.
    #[default]
    Unknown,
    /// barman.conf has none.
    Missing {
        /// The directory whose files belong to it, if there is one.
        included: Option<PathBuf>,
    },
    /// barman.conf has one.
    Present,
}

/// What is at the site of a server.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Holds {
    /// Its directory.
    pub directory: PathBuf,
    /// How many backups the site's Barman lists as good there; null when it cannot be read.
    pub backups: Option<usize>,
    /// When the newest of them ended.
    #[schemars(with = "Option<String>", extend("format" = "date-time"))]
    pub newest: Option<Timestamp>,
}

/// A server of which something is at the site, and that nobody claims.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unclaimed {
    /// Whether it was copied here; else no Barman here knows it either.
    pub is_copy: bool,
    /// The primary that it is a copy of, where that is noted.
    pub primary: Option<String>,
    /// What is here of it.
    pub holds: Holds,
    /// What was said of it, if it is left as it is.
    pub detachment: Option<Detachment>,
}

/// Everything that was observed for one site.
#[derive(Debug, Clone, PartialEq)]
pub struct Observation {
    /// By the replica's name at the site.
    pub replicas: BTreeMap<ServerName, ReplicaObservation>,
}

/// Both ends of one replica.
#[derive(Debug, Clone, PartialEq)]
pub struct ReplicaObservation {
    /// What the primary has.
    pub primary: Observed,
    /// What the site has.
    pub replica: ReplicaInventory,
}

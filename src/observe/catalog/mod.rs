//! A Barman catalog on a file system of this host, as it is on disk: the site's own, or that of a primary which is
//! reached by its path. No Barman is run, and nothing is written.
//!
//! Either layout is read: `meta/ID-backup.info` wins over `base/ID/backup.info`. Links and special files are never
//! followed. What is wrong with one backup is a note; only a directory that cannot be read is an error.

pub mod archive;
pub mod backups;
pub mod base;
pub mod looks;
pub mod xlogdb;

use std::collections::BTreeMap;
use std::time::Duration;

use jiff::Timestamp;

use crate::barman::damage::DamageNote;
use crate::barman::detachment::Detachment;
use crate::barman::drill::Drills;
use crate::barman::findings::{self, Findings};
use crate::barman::history::HistoryFile;
use crate::barman::identity::Identity;
use crate::barman::ids::{BackupId, ServerName};
use crate::barman::last_apply::LastApply;
use crate::barman::layout::{DiskSign, VersionBounds, version_bounds};
use crate::barman::sync_wals::SyncWals;
use crate::barman::verified::Verified;
use crate::barman::wal::{Timeline, WalName};
use crate::barman::wal_map::WalMap;
use crate::barman::xlogdb::memory::ListMemory;
use crate::observe::history;
use crate::observe::inventory::Unsound;
use crate::store::wals::{self, WalFiles};
use crate::store::{CatalogError, Place, Root, Store, damage};

use archive::Archive;
use backups::Backups;
use looks::Looks;
use xlogdb::XlogDbFiles;

/// More than the last drills of a cluster with thousands of databases come to.
const MAX_DRILLS: u64 = 16 << 20;
/// More than any of Barman's small files.
const MAX_SMALL: u64 = 64 << 10;
/// More than what is remembered of the list of a hundred million files.
const MAX_LIST: u64 = 8 << 30;

/// How much is looked at. What is not is as an earlier run saw it ([`looks`]); what none saw is looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Depth {
    /// Everything but the files of the bases and of the archive, which nothing is said of.
    #[default]
    Metadata,
    /// The directories of the archive that show a change, and of the backups their metadata.
    Lists,
    /// And the bases whose directories show a change.
    Changed,
    /// And all other directories and bases.
    Everything,
}

/// How a catalog is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Looking {
    /// How much is looked at.
    pub depth: Depth,
    /// How old an earlier look may be that is believed; `None`: any.
    pub believed_for: Option<Duration>,
    /// Whether what is looked at will be remembered for other runs.
    pub is_kept: bool,
}

impl Looking {
    /// So much is looked at, and nothing is remembered.
    pub fn at(depth: Depth) -> Self {
        Self { depth, believed_for: None, is_kept: false }
    }
}

/// One server of a catalog, as its files are.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct ServerOnDisk {
    /// Whether the server's directory exists at all.
    pub exists: bool,
    /// Its backups.
    pub backups: Backups,
    /// Its WAL archive.
    pub wals: WalFiles,
    /// The history files of that archive, read.
    pub histories: BTreeMap<Timeline, HistoryFile>,
    /// The WAL files that are not sound, as far as their beginnings tell.
    pub unsound: WalMap<Unsound>,
    /// The oldest look at that archive that this rests on, if it is not all of this run.
    pub wals_looked_at: Option<Timestamp>,
    /// What the next run need not look at.
    pub looks: Looks,
    /// Its list of that archive.
    pub xlogdb: XlogDbFiles,
    /// What the next run need not read of that list.
    pub list: ListMemory,
    /// Up to where a passive Barman copied; `None` when the file is absent or broken.
    pub sync_wals: Option<SyncWals>,
    /// The system that the server belongs to, where Barman noted it.
    pub identity: Option<Identity>,
    /// Backups of which an earlier run left part in staging, with the bytes of that part.
    pub staged: BTreeMap<BackupId, u64>,
    /// Our note of the last successful apply; `None` when it is absent or broken.
    pub last_apply: Option<LastApply>,
    /// What was read here and is not what was written.
    pub damage: DamageNote,
    /// How far what is here was read to its end; `None` where nobody knows.
    pub verified: Option<Verified>,
    /// What the last drills came to; none where that is not known.
    pub drills: Drills,
    /// Our note of what applies found of its backups at the primary; empty when it is absent or broken.
    pub findings: Findings,
}

impl ServerOnDisk {
    /// Reads one server. It blocks for as long as the disk takes.
    pub fn read(store: &dyn Store, server: &ServerName, looking: Looking) -> Result<Self, CatalogError> {
        if !store.is_here()? {
            return Ok(Self::default());
        }
        let mut backups = backups::read(store)?;
        let (mut archive, mut looks) = (Archive::default(), Looks::default());
        if looking.depth != Depth::Metadata {
            looks = Looks::read(store, looking, Timestamp::now());
            archive = Archive::read(store, server, &mut looks)?;
            backups.judge_bases(store, &mut looks)?;
        }
        let Archive { files: wals, mut unsound, looked_at: wals_looked_at } = archive;
        let damage = damage::noted(store)?;
        for name in damage.wals.keys().filter(|name| wals.sizes.contains(**name)) {
            unsound.insert(*name, Unsound::Damaged);
        }
        let mut list = remembered(store, looking);
        Ok(Self {
            exists: true,
            backups,
            histories: histories(store, &wals)?,
            wals,
            unsound,
            wals_looked_at,
            looks,
            xlogdb: XlogDbFiles::recall(store, &mut list)?,
            list,
            sync_wals: sync_wals(store)?,
            identity: read_small(store, Place::Identity, |bytes| Identity::parse(bytes).ok())?,
            staged: staged(store)?,
            last_apply: last_apply(store),
            damage,
            drills: drills(store),
            verified: read_small(store, Place::Verified, Verified::parse).ok().flatten(),
            findings: findings(store),
        })
    }

    /// Keeps what the next run need not look at or read again, where our own directory takes it.
    pub fn keep(&self, store: &dyn Store) {
        self.looks.keep(store);
        if let Some(Err(error)) = self.list.renewed().map(|renewed| store.write(Place::List, renewed)) {
            tracing::debug!("what the list came to is not remembered: {error}");
        }
    }

    /// What the layout tells of the Barman that wrote it.
    pub fn version_bounds(&self) -> VersionBounds {
        let mut signs = self.backups.signs.clone();
        signs.extend(self.xlogdb.named.as_ref().map(|_| DiskSign::NamedXlogDb));
        signs.extend(self.xlogdb.plain.as_ref().map(|_| DiskSign::PlainXlogDb));
        signs.extend(self.xlogdb.has_five_fields().then_some(DiskSign::FiveFields));
        version_bounds(&signs)
    }

    /// Things worth saying that stop nothing, safe to print.
    pub fn notes(&self) -> Vec<String> {
        let foreign = match self.wals.foreign {
            0 => None,
            1 => Some("1 entry of wals/ is no WAL file; it is left alone".to_owned()),
            count => Some(format!("{count} entries of wals/ are no WAL files; they are left alone")),
        };
        self.backups.notes.iter().cloned().chain(foreign).chain(self.obstacles()).collect()
    }

    fn obstacles(&self) -> Option<String> {
        let first = self.wals.obstacles.first()?.display();
        Some(match self.wals.obstacles.len() {
            1 => format!("wals/{first} is a link, or no WAL file or directory of such, and counts for nothing"),
            count => format!(
                "{count} entries of wals/ are links, or no WAL files or directories of such, and count for nothing; \
                 the first is wals/{first}"
            ),
        })
    }
}

/// What earlier runs read of the list; nothing where all is looked at again, or when that cannot be read.
fn remembered(store: &dyn Store, looking: Looking) -> ListMemory {
    let stored = match looking.depth {
        Depth::Everything => None,
        Depth::Metadata | Depth::Lists | Depth::Changed => store.read(Place::List, MAX_LIST).ok().flatten(),
    };
    ListMemory::new(stored, looking.is_kept)
}

fn read_small<T>(
    store: &dyn Store,
    place: Place,
    parse: impl FnOnce(&[u8]) -> Option<T>,
) -> Result<Option<T>, CatalogError> {
    Ok(store.read(place, MAX_SMALL)?.and_then(|bytes| parse(&bytes)))
}

/// Up to where a passive Barman copied; `None` when the file is absent or broken.
pub fn sync_wals(store: &dyn Store) -> Result<Option<SyncWals>, CatalogError> {
    read_small(store, Place::SyncWals, |bytes| SyncWals::parse(bytes).ok())
}

/// The last drills; none where none were made, or nobody can tell.
pub fn drills(store: &dyn Store) -> Drills {
    let note = store.read(Place::Drills, MAX_DRILLS).ok().flatten();
    note.and_then(|note| Drills::parse(&note)).unwrap_or_default()
}

/// A note that cannot be read is unknown, like one that is absent: nothing depends on it.
pub fn last_apply(store: &dyn Store) -> Option<LastApply> {
    read_small(store, Place::LastApply, LastApply::parse).ok().flatten()
}

/// The same for what applies found of backups at the primary.
pub fn findings(store: &dyn Store) -> Findings {
    read_small(store, Place::Findings, findings::parse).ok().flatten().unwrap_or_default()
}

/// What was said of a copy that is left as it is. One that cannot be read at all says nothing: then it stays in sight.
pub fn detachment(store: &dyn Store) -> Option<Detachment> {
    store.read(Place::Detached, MAX_SMALL).ok().flatten().map(|note| Detachment::parse(&note))
}

fn histories(store: &dyn Store, wals: &WalFiles) -> Result<BTreeMap<Timeline, HistoryFile>, CatalogError> {
    let read = |(timeline, stored): (Timeline, Vec<u8>)| {
        let read = history::read(timeline, &stored);
        let size = wals.sizes.get(WalName::History(timeline)).unwrap_or(read.size);
        (timeline, HistoryFile { size, ..read })
    };
    Ok(wals::histories(store, wals)?.into_iter().map(read).collect())
}

/// Backups of which earlier runs left part in staging, with the bytes of that part.
fn staged(store: &dyn Store) -> Result<BTreeMap<BackupId, u64>, CatalogError> {
    // What cannot be looked at, as it goes away meanwhile, counts nothing.
    let bytes = |id| Root::new(store, Place::Staged(id)).bytes().unwrap_or_default();
    Ok(store.staged()?.into_iter().map(|id| (id, bytes(id))).collect())
}

#[cfg(test)]
pub(crate) mod tests;

//! The backups of a catalog in either layout: metadata in `meta/` and in `base/ID/`, annotations, bases.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;

use crate::barman::backup_info::BackupInfo;
use crate::barman::ids::BackupId;
use crate::barman::keep::Keep;
use crate::barman::layout::{DiskSign, Layout};
use crate::barman::version::BarmanVersion;
use crate::observe::inventory::{BackupFacts, BaseState};
use crate::store::{CatalogError, Place, Store, infos, parallel};
use crate::verify::base::Announced;

use super::base::{self, Judged};
use super::looks::Looks;

/// The backups of a server, and what their names tell.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Backups {
    /// Those that have metadata or a base.
    pub by_id: BTreeMap<BackupId, CatalogBackup>,
    /// What the layout tells of the Barman that wrote it.
    pub signs: BTreeSet<DiskSign>,
    /// Things worth saying that stop nothing, safe to print.
    pub notes: Vec<String>,
}

/// One backup of a catalog.
#[derive(Debug, Clone, PartialEq)]
pub struct CatalogBackup {
    /// `meta/ID-backup.info`
    in_meta: Option<InfoFile>,
    /// `base/ID/backup.info`
    in_base: Option<InfoFile>,
    /// What is on disk of its base; `Absent` when it was not looked at.
    pub base: BaseState,
    /// When that was, if it was in an earlier run.
    pub looked_at: Option<Timestamp>,
    /// Its keep annotation.
    pub keep: Option<Keep>,
    /// Whether it is being deleted.
    pub going_away: bool,
}

/// A backup.info.
#[derive(Debug, Clone, PartialEq)]
pub enum InfoFile {
    /// It can be used.
    Readable(Box<Metadata>),
    /// It cannot be read, or its values make no sense.
    Broken {
        /// The fields that could be read; none when it is no backup.info at all.
        info: BackupInfo,
        /// What is wrong with it.
        why: String,
    },
}

/// The metadata of a backup.
#[derive(Debug, Clone, PartialEq)]
pub struct Metadata {
    /// As it is in the file.
    pub info: BackupInfo,
    /// What follows from it.
    pub facts: BackupFacts,
}

impl CatalogBackup {
    /// What a Barman of this version takes for its backup.info, and whether it looks there: `meta/` wins where it is
    /// known; an older Barman is blind for it.
    pub fn info_for(&self, version: BarmanVersion) -> Option<(&InfoFile, bool)> {
        if Layout::of(version).uses_meta() {
            return self.info().map(|info| (info, true));
        }
        self.in_base.as_ref().map(|info| (info, true)).or(self.in_meta.as_ref().map(|info| (info, false)))
    }

    /// What the newest Barman takes for its backup.info.
    pub fn info(&self) -> Option<&InfoFile> {
        self.in_meta.as_ref().or(self.in_base.as_ref())
    }

    /// What that says of its files; nothing where there is none.
    fn announced(&self) -> Announced {
        self.info().map(|info| Announced::of(info.fields())).unwrap_or_default()
    }
}

impl InfoFile {
    /// The fields that could be read.
    pub fn fields(&self) -> &BackupInfo {
        match self {
            Self::Readable(metadata) => &metadata.info,
            Self::Broken { info, .. } => info,
        }
    }
}

/// Reads the metadata of the backups of a server; of their bases nothing is said.
pub fn read(store: &dyn Store) -> Result<Backups, CatalogError> {
    let mut backups = Backups::default();
    let ids = backups.find(store)?;
    for id in ids {
        let backup = backups.read_metadata(store, id)?;
        backups.by_id.insert(id, backup);
    }
    Ok(backups)
}

/// Reads one backup, closely; `None` when nothing of it is here.
pub fn read_one(store: &dyn Store, id: BackupId) -> Result<Option<CatalogBackup>, CatalogError> {
    let mut backup = Backups::default().read_metadata(store, id)?;
    if backup.info().is_none() && !store.is_directory(Place::Base(id))? {
        return Ok(None);
    }
    backup.base = base::state(store, id, &backup.announced())?;
    Ok(Some(backup))
}

impl Backups {
    /// What is wrong with each backup.info that Barman would look at and that cannot be used.
    pub fn broken(&self) -> impl Iterator<Item = (BackupId, &str)> {
        self.by_id.iter().filter_map(|(id, backup)| match backup.info()? {
            InfoFile::Broken { why, .. } => Some((*id, why.as_str())),
            InfoFile::Readable(_) => None,
        })
    }

    /// The ids that the names in `meta/` and `base/` speak of.
    fn find(&mut self, store: &dyn Store) -> Result<BTreeSet<BackupId>, CatalogError> {
        let mut ids = BTreeSet::new();
        for entry in store.list(Place::Meta.into())? {
            let Some((id, key)) = entry.name.split_once('-') else { continue };
            let Ok(id) = id.parse::<BackupId>() else { continue };
            if key == "backup.info" {
                self.signs.insert(DiskSign::InfoInMeta);
                ids.insert(id);
            } else if matches!(key, "keep" | "delete_this") {
                self.signs.insert(DiskSign::AnnotationInMeta);
            }
        }
        for entry in store.list(Place::Bases.into())? {
            let Ok(id) = entry.name.parse::<BackupId>() else { continue };
            if entry.kind.is_dir() {
                ids.insert(id);
            } else {
                self.notes.push(format!("base/{id} is no directory; it is left alone"));
            }
        }
        Ok(ids)
    }

    /// What is known of a backup without its base. A base that nothing is known of is a backup too.
    fn read_metadata(&mut self, store: &dyn Store, id: BackupId) -> Result<CatalogBackup, CatalogError> {
        let [newest, oldest] = Layout::readable();
        let in_meta = Self::read_info(store, newest, id)?;
        let in_base = Self::read_info(store, oldest, id)?;
        self.signs.extend(in_base.as_ref().map(|_| DiskSign::InfoInBase));
        let (mut keep, mut going_away) = (None, false);
        for layout in [newest, oldest] {
            keep = keep.or(self.read_keep(store, layout, id)?);
            going_away |= store.size(Place::DeleteThis(layout, id))?.is_some();
        }
        Ok(CatalogBackup { in_meta, in_base, base: BaseState::Absent, looked_at: None, keep, going_away })
    }

    fn read_info(store: &dyn Store, layout: Layout, id: BackupId) -> Result<Option<InfoFile>, CatalogError> {
        let Some(bytes) = infos::bytes(store, layout, id)? else { return Ok(None) };
        let broken = |info, why: &dyn std::error::Error| InfoFile::Broken { info, why: why.to_string() };
        Ok(Some(match BackupInfo::parse(&bytes) {
            Err(error) => broken(BackupInfo::default(), &error),
            Ok(info) => match BackupFacts::read(id, &info) {
                Err(error) => broken(info, &error),
                Ok(facts) => InfoFile::Readable(Box::new(Metadata { info, facts })),
            },
        }))
    }

    fn read_keep(&mut self, store: &dyn Store, layout: Layout, id: BackupId) -> Result<Option<Keep>, CatalogError> {
        let Some(bytes) = infos::keep(store, layout, id)? else { return Ok(None) };
        let keep = Keep::parse(&bytes);
        if let Err(error) = &keep {
            self.notes.push(format!("the keep annotation of {id} is passed over: {error}"));
        }
        Ok(keep.ok())
    }

    /// Looks at the bases too.
    pub fn judge_bases(&mut self, store: &dyn Store, looks: &mut Looks) -> Result<(), CatalogError> {
        let mut backups: Vec<(&BackupId, &mut CatalogBackup)> = self.by_id.iter_mut().collect();
        let judged = parallel::map(&backups, |(id, backup)| base::judge(store, **id, &backup.announced(), looks));
        for ((id, backup), judged) in backups.iter_mut().zip(judged) {
            let Judged { state, looked_at, known_by } = judged?;
            match known_by {
                Some((mark, directories)) => looks.note(id.as_str(), Some(mark), directories),
                None if looked_at.is_some() => looks.carry(id.as_str()),
                None if state == BaseState::Complete => {}
                None => looks.refute(id.as_str()),
            }
            (backup.base, backup.looked_at) = (state, looked_at);
        }
        Ok(())
    }
}

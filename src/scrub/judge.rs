//! Whether one file is what was written, read to its end.

use std::collections::BTreeSet;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::io;
use std::num::NonZeroU64;
use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};

use crate::barman::arrival::{Arrived, Digest};
use crate::barman::ids::{BackupId, SystemId};
use crate::barman::wal::{Lsn, WalName};
use crate::barman::wal_entry::WalEntry;
use crate::store::{At, CatalogError, File, Found, Place, Root, Store};
use crate::verify::arrival::{Digesting, drain};
use crate::verify::base::{self, MANIFEST};
use crate::verify::control_file::has_page_checksums;
use crate::verify::manifest::{Manifest, ManifestFile};
use crate::verify::wal_proof::{self, Met, Proof};
use crate::verify::{page, tree};

use super::disk::Base;
use super::pace::Pace;
use super::reads::{Came, Verdict};

/// More than a control file has.
const MAX_CONTROL: u64 = 8193;
/// What the system says of a disk that does not give back what was written: EIO, EBADMSG, EUCLEAN.
const ROTTEN: [i32; 3] = [5, 74, 117];

/// What became of a file that was to be read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Judged {
    /// It was read to its end, and nothing is wrong with it.
    Good(Came),
    /// The same, and nothing says yet what was in it before: it had this.
    New(Came, Digest),
    /// Nothing is wrong with it by itself, and of the record that goes through it and the file beside it nothing is known:
    /// that mends nothing.
    Alone(Came),
    /// It is not what was written: why.
    Damaged(String),
    /// This and the next WAL file do not go together: which of them is not what was written, nobody knows.
    Parted(WalName, String),
    /// It went away or was changed meanwhile, and nothing is said of it.
    Changed,
    /// It could not be opened or read, and nothing is known of it: why.
    Unreadable(String),
    /// There was no more time.
    Stopped,
}

/// What tells what must be in the files of a base.
pub enum Rule {
    /// Its manifest.
    Manifest(Box<Manifest>),
    /// A manifest that is damaged: why.
    Broken(String),
    /// Its pages have checksums; what was written while the backup was taken proves nothing.
    Pages(Option<RangeInclusive<Lsn>>),
    /// It consists of archives, which are judged together.
    Archives,
    /// Nothing.
    Nothing,
}

impl Rule {
    /// That of a base.
    pub fn of(store: &dyn Store, id: BackupId, base: &Base) -> Result<Self, CatalogError> {
        let root = Root::new(store, Place::Base(id));
        if base::is_archived(root, &base.announced)? {
            return Ok(Self::Archives);
        }
        if let Some(file) = root.open(Path::new(MANIFEST))? {
            return Ok(Manifest::read(file)
                .map_or_else(|error| Self::Broken(error.to_string()), |manifest| Self::Manifest(Box::new(manifest))));
        }
        let control = root.read(Path::new("data/global/pg_control"), MAX_CONTROL)?.unwrap_or_default();
        let has_checksums = has_page_checksums(&control, page::SIZE) == Some(true);
        Ok(if has_checksums { Self::Pages(base.taken.clone()) } else { Self::Nothing })
    }

    /// A digest of the checksum that a file must have.
    pub fn sum(&self, path: &Path) -> Option<NonZeroU64> {
        let Self::Manifest(manifest) = self else { return None };
        tree::listed(path, manifest).and_then(sum_of)
    }

    /// Whether a file has a checksum of our own, as this proves not all of it.
    fn leaves(&self, path: &Path) -> bool {
        match self {
            Self::Manifest(manifest) => tree::listed(path, manifest).is_some_and(|file| file.checksum.is_none()),
            Self::Broken(_) => false,
            Self::Pages(_) | Self::Archives | Self::Nothing => true,
        }
    }

    /// Whether a file is what it says, and what it was when it arrived. Errors are those of the system.
    fn judge(&self, path: &Path, file: &File, arrived: Option<&Arrived>, pace: &Pace<'_>) -> io::Result<Judged> {
        if !self.leaves(path) {
            return self.prove(path, file, pace.of(file)?);
        }
        let mut reader = Digesting::new(pace.of(file)?);
        let judged = self.prove(path, file, &mut reader)?;
        Ok(compared(judged, arrived, file.metadata()?.len(), reader.digest()))
    }

    /// Whether a file is what it says, read to its end unless it is damaged.
    fn prove(&self, path: &Path, file: &File, reader: impl io::Read) -> io::Result<Judged> {
        let size = file.metadata()?.len();
        if path == Path::new(MANIFEST) {
            return Ok(match self {
                Self::Broken(why) => Judged::Damaged(why.clone()),
                _ => Judged::Good((Verdict::Proved, None)),
            });
        }
        match self {
            Self::Manifest(manifest) => {
                let Some(listed) = tree::listed(path, manifest) else { return unproven(reader) };
                Ok(match tree::prove(listed, size, reader)? {
                    Ok(true) => Judged::Good((Verdict::Proved, sum_of(listed))),
                    Ok(false) => Judged::Good((Verdict::Unproven, None)),
                    Err(fault) => Judged::Damaged(fault.to_string()),
                })
            }
            Self::Pages(taken) if page::has_pages(in_cluster(path)) => {
                let pages = page::read(path, taken.as_ref(), reader)?;
                let came = if pages.has_unproven { Verdict::Unproven } else { Verdict::Proved };
                Ok(pages.fault.map_or(Judged::Good((came, None)), |fault| Judged::Damaged(fault.to_string())))
            }
            Self::Pages(_) | Self::Broken(_) | Self::Archives | Self::Nothing => unproven(reader),
        }
    }
}

fn sum_of(listed: &ManifestFile) -> Option<NonZeroU64> {
    let checksum = listed.checksum.as_ref()?;
    let mut hasher = DefaultHasher::new();
    (listed.size, checksum).hash(&mut hasher);
    NonZeroU64::new(hasher.finish())
}

/// What a file came to, with what it had in it when it arrived.
fn compared(judged: Judged, arrived: Option<&Arrived>, size: u64, digest: Digest) -> Judged {
    match (judged, arrived) {
        (Judged::Good(came), None) => Judged::New(came, digest),
        (Judged::Good((verdict, sum)), Some(arrived)) => {
            let verdict = if verdict == Verdict::Unproven { Verdict::Unchanged } else { verdict };
            arrived.differs(size, &digest).map_or(Judged::Good((verdict, sum)), Judged::Damaged)
        }
        (judged, _) => judged,
    }
}

fn unproven(reader: impl io::Read) -> io::Result<Judged> {
    drain(reader)?;
    Ok(Judged::Good((Verdict::Unproven, None)))
}

/// Where a file is below PGDATA, or below the directory of its tablespace.
fn in_cluster(path: &Path) -> &Path {
    let mut parts = path.components();
    parts.next();
    parts.as_path()
}

/// Reads a file of a base.
pub fn of_base(
    store: &dyn Store,
    (id, path): (BackupId, &PathBuf),
    listed: Found,
    (rule, arrived): (&Rule, Option<&Arrived>),
    pace: &Pace<'_>,
) -> Judged {
    read(store, Place::Base(id).below(path), listed, pace, |file| rule.judge(path, file, arrived, pace))
}

/// What is known of a WAL file before it is read.
#[derive(Clone, Copy)]
pub struct Around<'a> {
    /// Its line in xlog.db.
    pub line: Option<&'a WalEntry>,
    /// The systems that it may be of.
    pub systems: &'a BTreeSet<SystemId>,
    /// The segment that follows it here.
    pub next: Option<WalName>,
}

/// Reads a WAL file, and of the next one as much as it takes to prove the record between them.
pub fn wal(store: &dyn Store, name: WalName, listed: Found, around: Around<'_>, pace: &Pace<'_>) -> Judged {
    read(store, Place::Wal(name).into(), listed, pace, |file| {
        let (proof, crossing) = wal_proof::read(name, file, around.line, around.systems, |file| pace.of(file))?;
        let came = (Verdict::Proved, None);
        // Behind the end of an unfinished one nothing follows.
        let crossing = crossing.filter(|_| matches!(name, WalName::Segment(_)));
        Ok(match (proof, crossing, around.next) {
            (Proof::Proved, None, _) => Judged::Good(came),
            (Proof::Proved, Some(_), None) => Judged::Alone(came),
            (Proof::Proved, Some(crossing), Some(next)) => {
                // One that cannot be read is told when its turn comes.
                let Ok(Some(opened)) = store.open(Place::Wal(next).into()) else { return Ok(Judged::Alone(came)) };
                match wal_proof::meets((name, crossing), (next, &opened), |file| pace.of(file)) {
                    Ok(Met::Whole) => Judged::Good(came),
                    Ok(Met::Parted(why)) => Judged::Parted(next, why),
                    Ok(Met::Unknown) | Err(_) => Judged::Alone(came),
                }
            }
            (Proof::Unproven, ..) => Judged::Good((Verdict::Unproven, None)),
            (Proof::Damaged(why), ..) => Judged::Damaged(why),
        })
    })
}

/// Judges a file that must be the one that was listed, before and after.
fn read(
    store: &dyn Store,
    at: At<'_>,
    listed: Found,
    pace: &Pace<'_>,
    judge: impl FnOnce(&File) -> io::Result<Judged>,
) -> Judged {
    if !pace.goes_on() {
        return Judged::Stopped;
    }
    let file = match store.open(at) {
        Ok(Some(file)) => file,
        Ok(None) => return Judged::Changed,
        Err(error) => return failed(&error.source, pace),
    };
    let is_listed = || file.metadata().is_ok_and(|found| Found::of(&found).stamp == listed.stamp);
    if !is_listed() {
        return Judged::Changed;
    }
    let judged = judge(&file).unwrap_or_else(|error| failed(&error, pace));
    let is_there = || matches!(store.look(at), Ok(Some(found)) if found.stamp == listed.stamp);
    match judged {
        // What is read in part looks damaged, or as if nothing were known.
        Judged::Damaged(_) | Judged::Parted(..) | Judged::Unreadable(_) | Judged::Alone(_) if !pace.goes_on() => {
            Judged::Stopped
        }
        judged if is_listed() && is_there() => judged,
        _ => Judged::Changed,
    }
}

fn failed(error: &io::Error, pace: &Pace<'_>) -> Judged {
    let is_rot = error.raw_os_error().is_some_and(|number| ROTTEN.contains(&number));
    match error {
        _ if !pace.goes_on() => Judged::Stopped,
        _ if is_rot => Judged::Damaged(format!("the disk does not give it back: {error}")),
        _ => Judged::Unreadable(error.to_string()),
    }
}

//! Whether a base is a cluster that PostgreSQL can start from.
//!
//! One judgement for the catalog of a site when it is observed ([`look`]) and for a copy before it is published
//! ([`prove`]): what the one calls damaged, the other never calls good. A base is good when
//!
//! - it has what every base backup of PostgreSQL 9.0 to 18 has: `PG_VERSION`, a whole `global/pg_control` of the same
//!   release and system as its backup.info, the backup label (a file, or its text in backup.info), the directories
//!   that a server opens when it starts, transaction status, the maps of the system catalogs and the files that they
//!   name, at least one database, every tablespace that backup.info names ([`cluster`]);
//! - it has about the bytes that its backup.info says;
//! - and it is what its `backup_manifest` says, if it has one. A manifest that does not list the above is none.
//!
//! A base of archives (`data/base.tar*`, `data/OID.tar*`: compressed or encrypted by Barman) is looked at from outside
//! when it is observed, and read to the end before it is published ([`archive`]). What is encrypted stays unproven.
//! A cloud snapshot has no files.

pub mod archive;
pub mod cluster;
mod trees;

use std::io::{self, Read};
use std::path::{Path, PathBuf};

use crate::barman::backup_info::BackupInfo;
use crate::barman::ids::SystemId;

use super::fault::{Fault, FaultKind};
use super::manifest::Manifest;
use super::tree;
use crate::store::{CatalogError, File, GoOn, Root};
use trees::{Listed, OnDisk};

/// Where a base has its manifest.
pub const MANIFEST: &str = "data/backup_manifest";
/// What a base may lack of its announced size: a twentieth, as Barman counts some files of its own in, and not less than this.
const SLACK: u64 = 1 << 20;

/// What a backup.info says of the files of its backup.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
pub struct Announced {
    /// The release of PostgreSQL, as `PG_VERSION` has it.
    pub release: Option<String>,
    /// The system.
    pub system: Option<SystemId>,
    /// The bytes of all files.
    pub size: Option<u64>,
    /// Whether the text of the backup label is there.
    pub has_label: bool,
    /// The tablespaces.
    pub tablespaces: Vec<u32>,
    /// How the files were packed on their way.
    pub packing: Packing,
    /// Whether there are no files: the backup is a snapshot of volumes.
    pub is_snapshot: bool,
}

/// How the files of a backup were packed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Packing {
    /// Not at all.
    #[default]
    Plain,
    /// Compressed: archives, or a tree that was compressed only while it was sent.
    Compressed,
    /// Encrypted archives.
    Encrypted,
}

impl Packing {
    fn of(info: &BackupInfo) -> Self {
        match (info.encryption(), info.compression()) {
            (Some(_), _) => Self::Encrypted,
            (None, Some(_)) => Self::Compressed,
            (None, None) => Self::Plain,
        }
    }
}

impl Announced {
    /// What can be read of it; a value that makes no sense says nothing.
    pub fn of(info: &BackupInfo) -> Self {
        Self {
            release: info.version().ok().flatten().map(release),
            system: info.systemid().ok().flatten(),
            size: info.size().ok().flatten(),
            has_label: info.backup_label().is_ok_and(|label| label.is_some_and(|label| !label.is_empty())),
            tablespaces: info.tablespaces().unwrap_or_default().iter().map(|tablespace| tablespace.oid).collect(),
            packing: Packing::of(info),
            is_snapshot: info.get("snapshots_info").is_some(),
        }
    }
}

/// `150018` is 15, `90603` is 9.6.
fn release(version: u32) -> String {
    if version >= 100_000 {
        (version / 10_000).to_string()
    } else {
        format!("{}.{}", version / 10_000, version / 100 % 100)
    }
}

/// What is wrong with a base, as far as it can be told from names, sizes and a few small files. Nothing is wrong with
/// files that nobody needs.
pub fn look(base: Root<'_>, announced: &Announced) -> Result<Vec<Fault>, CatalogError> {
    examine(base, announced, &Scrutiny::Sizes)
}

/// What is wrong with a base, read whole as far as anything tells what is in it. Stops early when `go_on` says no.
pub fn prove(base: Root<'_>, announced: &Announced, go_on: GoOn<'_>) -> Result<Vec<Fault>, CatalogError> {
    examine(base, announced, &Scrutiny::Content(go_on))
}

/// How the bytes of a file are read.
pub trait Through: Sync {
    /// A file from its beginning on.
    fn read<'f>(&'f self, file: &'f File) -> io::Result<Box<dyn Read + 'f>>;
}

/// As fast as they come.
struct Straight;

impl Through for Straight {
    fn read<'f>(&'f self, file: &'f File) -> io::Result<Box<dyn Read + 'f>> {
        Ok(Box::new(file))
    }
}

/// What is wrong with the archives that a base consists of, read to their ends. What is encrypted proves nothing.
pub fn prove_archives(
    base: Root<'_>,
    announced: &Announced,
    go_on: GoOn<'_>,
    through: &dyn Through,
) -> Result<Vec<Fault>, CatalogError> {
    archive::prove(base, announced, go_on, through)
}

/// The manifest of a base; `None` when there is none, or it is damaged.
pub fn manifest(base: Root<'_>) -> Result<Option<Manifest>, CatalogError> {
    Ok(base.open(Path::new(MANIFEST))?.and_then(|file| Manifest::read(file).ok()))
}

/// Whether a base consists of archives, or should: a tree that was compressed on its way is none.
pub fn is_archived(base: Root<'_>, announced: &Announced) -> Result<bool, CatalogError> {
    let names = base.names(Path::new("data"))?;
    let says_so = announced.packing != Packing::Plain;
    Ok(archive::of("base", &names).is_some() || (says_so && !names.iter().any(|name| name == "PG_VERSION")))
}

/// The files of a base that its manifest does not list, where it has one: how many, and the first.
pub fn unlisted_files(base: Root<'_>, announced: &Announced) -> Result<Option<(u64, PathBuf)>, CatalogError> {
    if announced.is_snapshot || is_archived(base, announced)? {
        return Ok(None);
    }
    manifest(base)?.map_or(Ok(None), |manifest| tree::unlisted(base, &manifest))
}

/// How closely a base is looked at.
enum Scrutiny<'a> {
    Sizes,
    Content(GoOn<'a>),
}

fn examine(base: Root<'_>, announced: &Announced, scrutiny: &Scrutiny<'_>) -> Result<Vec<Fault>, CatalogError> {
    if announced.is_snapshot {
        return Ok(Vec::new());
    }
    let mut faults = if is_archived(base, announced)? {
        archives(base, announced, scrutiny)?
    } else {
        match base.open(Path::new(MANIFEST))? {
            Some(file) => match Manifest::read(file) {
                Ok(manifest) => {
                    let own_size = base.size(Path::new(MANIFEST))?.unwrap_or(0);
                    listed(base, announced, &manifest, own_size, scrutiny)?
                }
                Err(error) => vec![Fault::new(MANIFEST, error.into())],
            },
            None => unlisted(base, announced)?,
        }
    };
    faults.sort();
    faults.dedup();
    Ok(faults)
}

/// A tree with a manifest, which rules: what it does not list, nobody needs.
fn listed(
    base: Root<'_>,
    announced: &Announced,
    manifest: &Manifest,
    own_size: u64,
    scrutiny: &Scrutiny<'_>,
) -> Result<Vec<Fault>, CatalogError> {
    let mut faults = match scrutiny {
        Scrutiny::Sizes => tree::compare_sizes(base, manifest)?,
        Scrutiny::Content(go_on) => tree::verify(base, manifest, go_on)?,
    };
    faults.extend(cluster::faults(&Listed::new(base, manifest), announced)?);
    if faults.is_empty() {
        let bytes = manifest.files.values().map(|file| file.size).sum::<u64>() + own_size;
        faults.extend(size_fault(bytes, announced));
    }
    Ok(faults)
}

/// A tree without a manifest (PostgreSQL 12 and older, `backup_method = rsync`).
fn unlisted(base: Root<'_>, announced: &Announced) -> Result<Vec<Fault>, CatalogError> {
    let mut faults = cluster::faults(&OnDisk::new(base), announced)?;
    if faults.is_empty() {
        faults.extend(size_fault(base.bytes()?, announced));
    }
    Ok(faults)
}

fn archives(base: Root<'_>, announced: &Announced, scrutiny: &Scrutiny<'_>) -> Result<Vec<Fault>, CatalogError> {
    let mut faults = archive::look(base, announced)?;
    if faults.is_empty() && announced.packing != Packing::Encrypted {
        faults.extend(size_fault(base.bytes()?, announced));
    }
    if let Scrutiny::Content(go_on) = scrutiny
        && faults.is_empty()
    {
        faults = archive::prove(base, announced, *go_on, &Straight)?;
    }
    Ok(faults)
}

fn size_fault(found: u64, announced: &Announced) -> Option<Fault> {
    let announced = announced.size?;
    let is_near = found.saturating_add((announced / 20).max(SLACK)) >= announced;
    (!is_near).then(|| Fault::new(PathBuf::new(), FaultKind::TooSmall { found, announced }))
}

#[cfg(test)]
pub(crate) mod tests;

//! What is on disk of a backup's base, judged without reading its files.
//!
//! - A base with a `backup_manifest` has exactly the files that the manifest names: each is looked at, its presence
//!   and its size. A tablespace's files are beside `data/`, or below a real `data/pg_tblspc/OID` (an in-place one).
//! - A base of archives (`data/base.tar*`, `data/OID.tar*`: compressed or encrypted by Barman) is opaque: every
//!   archive must be there and must not be empty.
//! - A base with neither (PostgreSQL 12 and older, `backup_method = rsync`) is taken for complete when `PG_VERSION`,
//!   `global/pg_control` and each tablespace are there. It is not compared with the primary's: that would list its
//!   whole tree there with every plan. What was interrupted is known by its status, or by lying in staging.
//! - A cloud snapshot has no files.

use std::path::{Path, PathBuf};

use crate::barman::backup_info::BackupInfo;
use crate::observe::facts::base_kind;
use crate::observe::inventory::{BaseKind, BaseState};
use crate::verify::manifest::{Manifest, barman_path};

use super::files::{self, CatalogError};

/// More than the manifest of ten million files.
const MAX_MANIFEST: u64 = 4 << 30;

/// Where a base has its manifest.
pub const MANIFEST: &str = "data/backup_manifest";

/// Compares a base with what is known to belong to it. `info` is what its backup.info says, where there is one.
pub fn state(base: &Path, info: Option<&BackupInfo>) -> Result<BaseState, CatalogError> {
    if info.is_some_and(|info| base_kind(info) == BaseKind::CloudSnapshot) {
        return Ok(BaseState::Complete);
    }
    if !files::is_directory(base)? {
        return Ok(BaseState::Absent);
    }
    let tablespaces: Vec<u32> =
        info.and_then(|info| info.tablespaces().ok()).unwrap_or_default().iter().map(|t| t.oid).collect();
    let names: Vec<String> = files::list(&base.join("data"))?.into_iter().map(|entry| entry.name).collect();
    let damaged = if is_archived(&names, info) {
        damaged_archives(base, &names, &tablespaces)?
    } else if names.iter().any(|name| name == "backup_manifest") {
        damaged_files(base)?
    } else {
        damaged_landmarks(base, &tablespaces)?
    };
    Ok(if damaged.is_empty() { BaseState::Complete } else { BaseState::Damaged { files: damaged } })
}

/// The manifest of a base; `None` when there is none, or it is damaged.
pub fn manifest(base: &Path) -> Result<Option<Manifest>, CatalogError> {
    let bytes = files::read(&base.join(MANIFEST), MAX_MANIFEST)?;
    Ok(bytes.and_then(|bytes| Manifest::parse(&bytes).ok()))
}

/// Whether the base consists of archives, or should: with `format = plain` there is a tree, whatever compressed it.
fn is_archived(names: &[String], info: Option<&BackupInfo>) -> bool {
    let says_so = info.is_some_and(|info| info.compression().is_some() || info.encryption().is_some());
    archive_of("base", names).is_some() || (says_so && !names.iter().any(|name| name == "PG_VERSION"))
}

/// The archive of a tree or tablespace: `base.tar`, `16384.tar.gz`, `base.tar.zst.gpg`.
fn archive_of<'a>(stem: &str, names: &'a [String]) -> Option<&'a String> {
    names.iter().find(|name| {
        let rest = name.strip_prefix(stem).and_then(|rest| rest.strip_prefix(".tar"));
        rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
    })
}

fn damaged_archives(base: &Path, names: &[String], tablespaces: &[u32]) -> Result<Vec<PathBuf>, CatalogError> {
    let stems = std::iter::once("base".to_owned()).chain(tablespaces.iter().map(u32::to_string));
    let mut damaged = Vec::new();
    for stem in stems {
        let missing = || PathBuf::from(format!("data/{stem}.tar"));
        match archive_of(&stem, names) {
            None => damaged.push(missing()),
            Some(name) => {
                let path = Path::new("data").join(name);
                if files::size(&base.join(&path))?.is_none_or(|size| size == 0) {
                    damaged.push(path);
                }
            }
        }
    }
    Ok(damaged)
}

fn damaged_files(base: &Path) -> Result<Vec<PathBuf>, CatalogError> {
    let Some(manifest) = manifest(base)? else { return Ok(vec![MANIFEST.into()]) };
    let mut damaged = Vec::new();
    for (path, file) in &manifest.files {
        let stored = barman_path(path);
        let mut size = files::size(&base.join(&stored))?;
        if size.is_none() && is_in_place(base, path)? {
            size = files::size(&base.join("data").join(path))?;
        }
        if size != Some(file.size) {
            damaged.push(stored);
        }
    }
    Ok(damaged)
}

/// Whether a path of the manifest is below a tablespace that is a real directory in `pg_tblspc/`.
fn is_in_place(base: &Path, path: &Path) -> Result<bool, CatalogError> {
    let mut parts = path.components();
    if parts.next().is_none_or(|part| part.as_os_str() != "pg_tblspc") {
        return Ok(false);
    }
    match parts.next() {
        Some(oid) => files::is_directory(&base.join("data/pg_tblspc").join(oid)),
        None => Ok(false),
    }
}

fn damaged_landmarks(base: &Path, tablespaces: &[u32]) -> Result<Vec<PathBuf>, CatalogError> {
    let mut damaged = Vec::new();
    for landmark in ["data/PG_VERSION", "data/global/pg_control"] {
        if files::size(&base.join(landmark))?.is_none_or(|size| size == 0) {
            damaged.push(landmark.into());
        }
    }
    for oid in tablespaces.iter().map(u32::to_string) {
        let in_place = Path::new("data/pg_tblspc").join(&oid);
        if !files::is_directory(&base.join(&oid))? && !files::is_directory(&base.join(in_place))? {
            damaged.push(oid.into());
        }
    }
    Ok(damaged)
}

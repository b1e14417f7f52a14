//! A catalog on a file system of this machine: a mount, a second disk, a test.
//!
//! It is as untrusted as one behind ssh: directories on the way to a file are opened one by one without following links.

mod copy;

use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use async_trait::async_trait;
use tokio_util::sync::CancellationToken;
use walkdir::WalkDir;

use crate::barman::ids::BackupId;
use crate::error::{Error, Kind};
use crate::site::model::Primary;

use super::paths::{self, SCRATCH_PREFIX, is_gone};
use super::{ByteCounter, Fetch, Fetched, Files, Look, RemoteEntry, RemoteFile, What, blocking, check_room};
use copy::Copier;

/// Lists and copies files of a catalog that this machine can read.
pub(super) struct LocalFiles {
    primary: String,
    cancel: CancellationToken,
}

impl LocalFiles {
    /// Files of the catalog at `home`, which must be a directory.
    pub(super) fn open(primary: &Primary, home: &Path, cancel: &CancellationToken) -> Result<Self, Error> {
        let files = Self { primary: primary.name.clone(), cancel: cancel.clone() };
        match fs::read_dir(home) {
            Ok(_) => Ok(files),
            Err(error) => Err(failure(&files.primary, home, &error).hint("is it mounted?")),
        }
    }
}

#[async_trait]
impl Files for LocalFiles {
    async fn list(&self, directory: &Path) -> Result<Vec<RemoteFile>, Error> {
        paths::check_directory(&self.primary, directory)?;
        check_base(&self.primary, directory)?;
        let (primary, directory, cancel) = (self.primary.clone(), directory.to_owned(), self.cancel.clone());
        blocking(move || list(&primary, &directory, &cancel)).await
    }

    async fn look(&self, request: &Look) -> Result<Vec<RemoteEntry>, Error> {
        paths::check_directory(&self.primary, &request.from)?;
        let (primary, request, cancel) = (self.primary.clone(), request.clone(), self.cancel.clone());
        blocking(move || look(&primary, &request, &cancel)).await
    }

    async fn fetch(
        &self,
        request: &Fetch,
        counter: &ByteCounter,
        cancel: &CancellationToken,
    ) -> Result<Fetched, Error> {
        paths::check_directory(&self.primary, &request.from)?;
        check_base(&self.primary, &request.from)?;
        // A child: when this future is dropped, the copying thread must end too.
        let cancel = cancel.child_token();
        let _ends_with_us = cancel.clone().drop_guard();
        let run = self.cancel.clone();
        let (primary, request, counter) = (self.primary.clone(), request.clone(), counter.clone());
        blocking(move || {
            let copier = Copier::new(&primary, &request, &counter, || cancel.is_cancelled() || run.is_cancelled())?;
            fetch(&primary, &request, copier)
        })
        .await
    }
}

/// Refuses the directory of a backup that is a link: whatever it leads to, Barman did not put it there. Above it are the
/// places where people put disks.
fn check_base(primary: &str, directory: &Path) -> Result<(), Error> {
    let name = directory.file_name().and_then(|name| name.to_str()).unwrap_or_default();
    let is_link = |path: &Path| fs::symlink_metadata(path).is_ok_and(|found| found.is_symlink());
    if name.parse::<BackupId>().is_err() || !is_link(directory) {
        return Ok(());
    }
    let message = format!("primary {primary}: {} is a symbolic link, and is not followed", directory.display());
    Err(Error::new(Kind::Untrusted, message).hint("see who made it; another disk belongs in the place of `base`"))
}

fn list(primary: &str, root: &Path, cancel: &CancellationToken) -> Result<Vec<RemoteFile>, Error> {
    fs::read_dir(root).map_err(|error| failure(primary, root, &error))?;
    let mut files = Vec::new();
    for entry in WalkDir::new(root).min_depth(1) {
        if cancel.is_cancelled() {
            return Err(Error::interrupted());
        }
        let entry = match entry {
            Ok(entry) => entry,
            Err(error) if is_gone(&error) => continue,
            Err(error) => return Err(walk_failure(primary, root, error)),
        };
        if !entry.file_type().is_file() {
            continue;
        }
        let path = relative(root, entry.path());
        paths::check_relative(primary, std::slice::from_ref(&path))?;
        match entry.metadata() {
            Ok(metadata) => {
                check_room(primary, files.len())?;
                files.push(RemoteFile { path, size: metadata.len(), mtime: metadata.mtime() });
            }
            Err(error) if is_gone(&error) => {}
            Err(error) => return Err(walk_failure(primary, root, error)),
        }
    }
    files.sort();
    Ok(files)
}

fn look(primary: &str, request: &Look, cancel: &CancellationToken) -> Result<Vec<RemoteEntry>, Error> {
    let mut entries = Vec::new();
    let mut note = |path: PathBuf, metadata: io::Result<fs::Metadata>| match metadata {
        _ if cancel.is_cancelled() => Err(Error::interrupted()),
        Ok(metadata) => {
            check_room(primary, entries.len())?;
            let is_directory = metadata.is_dir();
            let size = if is_directory { 0 } else { metadata.len() };
            if is_directory || metadata.is_file() {
                entries.push(RemoteEntry { path, size, mtime: metadata.mtime(), is_directory });
            }
            Ok(())
        }
        Err(error) if is_absent(&error) => Ok(()),
        Err(error) => Err(failure(primary, &request.from.join(path), &error)),
    };
    for name in &request.names {
        note(name.clone(), fs::symlink_metadata(request.from.join(name)))?;
    }
    for directory in &request.directories {
        let at = request.from.join(directory);
        let inside = match fs::read_dir(&at) {
            Err(error) if is_absent(&error) => continue,
            inside => inside.map_err(|error| failure(primary, &at, &error))?,
        };
        note(directory.clone(), fs::metadata(&at))?;
        for entry in inside {
            let entry = entry.map_err(|error| failure(primary, &at, &error))?;
            note(directory.join(entry.file_name()), entry.metadata())?;
        }
    }
    entries.sort();
    entries.dedup();
    Ok(entries)
}

/// Whether there is nothing under a name, or no directory on the way to it.
fn is_absent(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory)
}

fn fetch(primary: &str, request: &Fetch, mut copier: Copier<'_>) -> Result<Fetched, Error> {
    if !request.into.is_dir() {
        let error = io::Error::from(io::ErrorKind::NotFound);
        return Err(failure(primary, &request.into, &error));
    }
    match &request.what {
        What::Files { paths: wanted, flatten } => {
            paths::check_relative(primary, wanted)?;
            if !flatten && let Some(link) = paths::link_on_the_way(&request.into, wanted) {
                let message = format!(
                    "{}: a file would be written through this symbolic link",
                    request.into.join(link).display()
                );
                return Err(Error::new(Kind::Untrusted, message));
            }
            for path in wanted {
                copier.file(path, paths::landing(path, *flatten))?;
            }
        }
        What::Directories { exclude } => directories(primary, request, exclude, &mut copier)?,
        What::Part(part) => {
            paths::check_relative(primary, std::slice::from_ref(&part.path))?;
            copier.part(part)?;
        }
    }
    Ok(copier.finish())
}

fn directories(primary: &str, request: &Fetch, exclude: &[PathBuf], copier: &mut Copier<'_>) -> Result<(), Error> {
    let mut entries = WalkDir::new(&request.from).min_depth(1).sort_by_file_name().into_iter();
    // Their times are set when nothing is made in them any more, the deepest first.
    let mut made = BTreeSet::new();
    while let Some(entry) = entries.next() {
        let entry = match entry {
            Ok(entry) => entry,
            Err(error) if is_gone(&error) && error.depth() > 0 => {
                copier.vanished(relative(&request.from, error.path().unwrap_or(&request.from)));
                continue;
            }
            Err(error) => return Err(walk_failure(primary, &request.from, error)),
        };
        let path = relative(&request.from, entry.path());
        let is_dir = entry.file_type().is_dir();
        let is_scratch = entry.file_name().to_string_lossy().starts_with(SCRATCH_PREFIX);
        if is_scratch || exclude.contains(&path) {
            if is_dir {
                entries.skip_current_dir();
            }
            continue;
        }
        paths::check_relative(primary, std::slice::from_ref(&path))?;
        if is_dir {
            copier.directory(&path)?;
            made.insert(path);
        } else if entry.path_is_symlink() {
            copier.link(&path)?;
        }
    }
    made.iter().rev().try_for_each(|path| copier.directory_times(path))
}

fn relative(root: &Path, path: &Path) -> PathBuf {
    path.strip_prefix(root).unwrap_or(path).to_owned()
}

fn walk_failure(primary: &str, root: &Path, error: walkdir::Error) -> Error {
    let path = error.path().unwrap_or(root).to_owned();
    failure(primary, &path, &io::Error::from(error))
}

/// The error for a path that could not be read or written.
fn failure(primary: &str, path: &Path, error: &io::Error) -> Error {
    let path = path.display().to_string();
    Error::new(Kind::from(error), format!("primary {primary}: {}: {error}", path.escape_debug()))
}

#[cfg(test)]
mod tests;

//! The files of a backup, copied to where PostgreSQL runs, and each proved by its manifest as it lies there.

use std::collections::BTreeSet;
use std::fs::{self, File, Permissions};
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rayon::prelude::*;

use super::Places;
use super::combine::Combining;
use super::mark::at;
use crate::barman::ids::BackupId;
use crate::error::{Error, Kind};
use crate::store::{GoOn, Place, Root, Store};
use crate::transport::ByteCounter;
use crate::verify::base::MANIFEST;
use crate::verify::manifest::{Manifest, ManifestFile};
use crate::verify::tree;

/// What a restore writes beside a file until all of it is there.
const PART: &str = ".antipode-part";

/// The files of a backup and of those that it builds on, and where they go.
pub struct Files<'a> {
    /// Where they are.
    pub store: &'a dyn Store,
    /// The full backup, and the incremental ones in their order; the last one is restored.
    pub chain: &'a [BackupId],
    /// The release of PostgreSQL, as in `17`.
    pub release: &'a str,
    /// Where its programs are, if somebody said so.
    pub programs: Option<&'a Path>,
    /// Where they go.
    pub places: &'a Places,
}

impl Files<'_> {
    /// Copies them or puts them together, and proves what came of it.
    pub fn bring(&self, counter: &ByteCounter, go_on: GoOn<'_>) -> Result<Copied, Error> {
        let bases: Vec<Root<'_>> = self.chain.iter().map(|id| Root::new(self.store, Place::Base(*id))).collect();
        let (release, programs, places) = (self.release, self.programs, self.places);
        match bases.as_slice() {
            [base] => Copying { base: *base, manifest: manifest(*base)?, places, counter, go_on }.run(),
            chain => {
                Combining { chain, release, programs, places, go_on }.run()?;
                prove(places, go_on)
            }
        }
    }
}

/// A copy that is made.
struct Copying<'a> {
    /// The files of the backup.
    base: Root<'a>,
    /// What they have to be; `None` where the backup has no manifest.
    manifest: Option<Arc<Manifest>>,
    /// Where they go.
    places: &'a Places,
    /// Grows as they are copied.
    counter: &'a ByteCounter,
    /// Says no when it is to end.
    go_on: GoOn<'a>,
}

/// What a copy came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Copied {
    /// Files that a manifest proved.
    pub proved: u64,
    /// Files of which nothing tells what is in them.
    pub unproven: u64,
}

impl Copied {
    const PROVED: Self = Self { proved: 1, unproven: 0 };
    const UNPROVEN: Self = Self { proved: 0, unproven: 1 };
}

impl std::iter::Sum for Copied {
    fn sum<I: Iterator<Item = Self>>(all: I) -> Self {
        all.fold(Self::default(), |a, b| Self { proved: a.proved + b.proved, unproven: a.unproven + b.unproven })
    }
}

/// The manifest of a base, if it has one.
fn manifest(base: Root<'_>) -> Result<Option<Arc<Manifest>>, Error> {
    let Some(file) = base.open(Path::new(MANIFEST))? else { return Ok(None) };
    let broken = |error| {
        let message = format!("{}: {error}", base.local(Path::new(MANIFEST)).display());
        Error::new(Kind::Damaged, message).hint("choose another backup with --backup, or let an apply repair this one")
    };
    Manifest::read(file).map(|manifest| Some(Arc::new(manifest))).map_err(broken)
}

/// A file of a base.
struct Found {
    /// Below the base.
    stored: PathBuf,
    /// Where it goes.
    to: PathBuf,
    /// Its name in a manifest.
    listed: PathBuf,
}

impl Copying<'_> {
    /// Copies everything. What an earlier copy left is proved as all the rest, and copied again where it is not right.
    fn run(&self) -> Result<Copied, Error> {
        let mut files = Vec::new();
        self.walk(Path::new("data"), &self.places.data, Path::new(""), &mut files)?;
        for (oid, directory) in &self.places.tablespaces {
            let stored = PathBuf::from(oid.to_string());
            self.walk(&stored, directory, &Path::new("pg_tblspc").join(&stored), &mut files)?;
        }
        self.check_none_is_missing(&files)?;
        let copied = files.par_iter().map(|found| self.bring(found)).sum::<Result<Copied, Error>>()?;
        self.link_tablespaces()?;
        Ok(copied)
    }

    /// Makes the directories, and finds the files. What is neither is left out: a link of a tablespace is made anew.
    fn walk(&self, stored: &Path, to: &Path, listed: &Path, files: &mut Vec<Found>) -> Result<(), Error> {
        fs::create_dir_all(to).map_err(|error| at(to, "made", &error))?;
        fs::set_permissions(to, Permissions::from_mode(0o700)).map_err(|error| at(to, "made private", &error))?;
        for entry in self.base.list(stored)? {
            let name = entry.file_name();
            let (stored, to, listed) = (stored.join(&name), to.join(&name), listed.join(&name));
            if entry.kind.is_dir() {
                self.walk(&stored, &to, &listed, files)?;
            } else if entry.kind.is_file() {
                files.push(Found { stored, to, listed });
            }
        }
        Ok(())
    }

    fn check_none_is_missing(&self, files: &[Found]) -> Result<(), Error> {
        let Some(manifest) = &self.manifest else { return Ok(()) };
        let here: BTreeSet<&Path> = files.iter().map(|found| found.listed.as_path()).collect();
        match manifest.files.keys().find(|path| !here.contains(path.as_path())) {
            Some(missing) => Err(damaged(missing, "is missing, and its manifest lists it")),
            None => Ok(()),
        }
    }

    /// Copies a file, unless it is there and right.
    fn bring(&self, found: &Found) -> Result<Copied, Error> {
        if !(self.go_on)() {
            return Err(Error::interrupted());
        }
        let expected = self.manifest.as_ref().and_then(|manifest| manifest.files.get(&found.listed));
        if let Some(expected) = expected.filter(|expected| expected.checksum.is_some())
            && let Ok(Some(Copied::PROVED)) = read(&found.to, expected)
        {
            self.counter.add(expected.size);
            return Ok(Copied::PROVED);
        }
        self.copy(found)?;
        let Some(expected) = expected else { return Ok(Copied::UNPROVEN) };
        let read = read(&found.to, expected).map_err(|error| at(&found.to, "read", &error))?;
        read.ok_or_else(|| damaged(&found.stored, "is not what its manifest says"))
    }

    fn copy(&self, found: &Found) -> Result<(), Error> {
        let source = self.base.open(&found.stored)?;
        let mut source = source.ok_or_else(|| damaged(&found.stored, "went away while it was copied"))?;
        let mut name = found.to.clone().into_os_string();
        name.push(PART);
        let part = PathBuf::from(name);
        let failed = |error: io::Error| at(&found.to, "written", &error);
        let written = (|| {
            let mut file = File::create(&part)?;
            file.set_permissions(Permissions::from_mode(0o600))?;
            let metadata = source.metadata()?;
            // The same blocks under two names, where the file system can do that.
            let length = match rustix::fs::ioctl_ficlone(&file, &source) {
                Ok(()) => metadata.len(),
                Err(_) => io::copy(&mut source, &mut file)?,
            };
            file.set_modified(metadata.modified()?)?;
            fs::rename(&part, &found.to)?;
            Ok(length)
        })();
        self.counter.add(written.map_err(failed)?);
        Ok(())
    }

    fn link_tablespaces(&self) -> Result<(), Error> {
        for (oid, directory) in &self.places.tablespaces {
            let link = self.places.data.join("pg_tblspc").join(oid.to_string());
            let failed = |error: io::Error| at(&link, "made", &error);
            match fs::remove_file(&link) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(failed(error)),
                _ => std::os::unix::fs::symlink(directory, &link).map_err(failed)?,
            }
        }
        Ok(())
    }
}

/// What a file counts as, read whole; `None` for one that is not what a manifest says.
fn read(path: &Path, expected: &ManifestFile) -> io::Result<Option<Copied>> {
    let file = File::open(path)?;
    let came = tree::prove(expected, file.metadata()?.len(), file)?;
    Ok(came.ok().map(|is_proved| if is_proved { Copied::PROVED } else { Copied::UNPROVEN }))
}

fn damaged(path: &Path, what: &str) -> Error {
    Error::new(Kind::Damaged, format!("{} of the backup {what}", path.display().to_string().escape_debug()))
        .hint("choose another backup with --backup, or let an apply repair this one")
}

/// Proves what was put together from several backups, by the manifest that was written with it.
fn prove(places: &Places, go_on: GoOn<'_>) -> Result<Copied, Error> {
    let path = places.data.join("backup_manifest");
    let file = File::open(&path).map_err(|error| at(&path, "read", &error))?;
    let broken = |error| Error::new(Kind::Damaged, format!("{}: {error}", path.display()));
    let manifest = Manifest::read(file).map_err(broken)?;
    let of = |(listed, expected): (&PathBuf, &ManifestFile)| {
        if !go_on() {
            return Err(Error::interrupted());
        }
        let path = places.data.join(listed);
        let read = read(&path, expected).map_err(|error| at(&path, "read", &error))?;
        let what = || format!("{} is not what the manifest says that was written with it", path.display());
        read.ok_or_else(|| Error::new(Kind::Damaged, what()))
    };
    manifest.files.par_iter().map(of).sum()
}

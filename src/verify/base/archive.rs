//! A base of archives: `data/base.tar*` and `data/OID.tar*`, as `backup_compression` makes them.

use crate::barman::compression::Compression;
use crate::store::File;
use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use crate::store::{CatalogError, GoOn, Root};
use crate::verify::checksum::Hasher;
use crate::verify::fault::{Fault, FaultKind};
use crate::verify::manifest::Manifest;
use crate::verify::tar;

use super::cluster::{self, MAX_SMALL, Tree};
use super::{Announced, MANIFEST, Packing, Through};

/// Compressions of archives, by what their names end in.
const SUFFIXES: [(&str, Option<Compression>); 6] = [
    ("", None),
    (".gz", Some(Compression::Gzip)),
    (".lz4", Some(Compression::Lz4)),
    (".zst", Some(Compression::Zstd)),
    (".bz2", Some(Compression::Bzip2)),
    (".xz", Some(Compression::Xz)),
];

/// The archive of a tree or tablespace among these names: `base.tar`, `16384.tar.gz`, `base.tar.zst.gpg`.
pub(super) fn of<'a>(stem: &str, names: &'a [String]) -> Option<&'a String> {
    names.iter().find(|name| suffix(stem, name).is_some())
}

fn suffix<'a>(stem: &str, name: &'a str) -> Option<&'a str> {
    let rest = name.strip_prefix(stem)?.strip_prefix(".tar")?;
    (rest.is_empty() || rest.starts_with('.')).then_some(rest)
}

/// One archive of a base.
struct Archive {
    /// The tablespace; `None` for the cluster itself.
    tablespace: Option<u32>,
    /// Its path below the base, as far as it is there.
    path: PathBuf,
    /// What its name ends in behind `.tar`.
    suffix: String,
}

impl Archive {
    /// The archives that a base must have, and what of them is missing.
    fn all(base: Root<'_>, announced: &Announced) -> Result<(Vec<Self>, Vec<Fault>), CatalogError> {
        let names = base.names(Path::new("data"))?;
        let tablespaces = announced.tablespaces.iter().copied().map(Some);
        let (mut archives, mut faults) = (Vec::new(), Vec::new());
        for tablespace in std::iter::once(None).chain(tablespaces) {
            let stem = tablespace.map_or_else(|| "base".to_owned(), |oid| oid.to_string());
            let Some(name) = of(&stem, &names) else {
                faults.push(Fault::new(format!("data/{stem}.tar"), FaultKind::Missing));
                continue;
            };
            let path = Path::new("data").join(name);
            let suffix = suffix(&stem, name).unwrap_or_default().to_owned();
            match base.size(&path)? {
                None => faults.push(Fault::new(path, FaultKind::Missing)),
                Some(0) => faults.push(Fault::new(path, FaultKind::Empty)),
                Some(_) => archives.push(Self { tablespace, path, suffix }),
            }
        }
        Ok((archives, faults))
    }

    fn is_encrypted(&self, announced: &Announced) -> bool {
        announced.packing == Packing::Encrypted || self.form().is_none()
    }

    /// What its name says; `None` for one that says something else, such as `.gpg`.
    fn form(&self) -> Option<&'static (&'static str, Option<Compression>)> {
        SUFFIXES.iter().find(|(suffix, _)| *suffix == self.suffix)
    }

    /// What comes out of it.
    fn open(&self, base: Root<'_>) -> io::Result<Box<dyn Read>> {
        self.decoded(self.file(base)?)
    }

    fn file(&self, base: Root<'_>) -> io::Result<File> {
        let opened = base.open(&self.path).map_err(|error| error.source)?;
        opened.ok_or_else(|| io::Error::other("it is no regular file"))
    }

    fn decoded<'r>(&self, stored: impl Read + 'r) -> io::Result<Box<dyn Read + 'r>> {
        let stored = io::BufReader::with_capacity(1 << 18, stored);
        match self.form().and_then(|(_, compression)| *compression) {
            None => Ok(Box::new(stored)),
            Some(compression) => compression.decoder(stored),
        }
    }

    fn fault(&self, error: &io::Error) -> Fault {
        let why: String = error.to_string().chars().filter(|c| !c.is_control()).take(200).collect();
        Fault::new(self.path.clone(), FaultKind::Archive(why))
    }
}

/// What is wrong with the archives from outside: one is missing, or empty, or does not begin as its name says.
pub(super) fn look(base: Root<'_>, announced: &Announced) -> Result<Vec<Fault>, CatalogError> {
    let (archives, mut faults) = Archive::all(base, announced)?;
    for archive in archives.iter().filter(|archive| !archive.is_encrypted(announced)) {
        let first = archive.open(base).and_then(|reader| tar::Reader::new(reader).next_entry().map(|_| ()));
        match first {
            Err(error) if is_of_the_system(&error) => return Err(CatalogError::at(&base.local(&archive.path))(error)),
            Err(error) => faults.push(archive.fault(&error)),
            Ok(()) => {}
        }
    }
    if let Some(file) = base.open(Path::new(MANIFEST))?
        && let Err(error) = Manifest::read(file)
    {
        faults.push(Fault::new(MANIFEST, error.into()));
    }
    Ok(faults)
}

/// Decoders report damage as errors too; only the system's have numbers.
fn is_of_the_system(error: &io::Error) -> bool {
    error.raw_os_error().is_some()
}

/// What is wrong with the content of archives that are there: each is read to its end, and compared with the manifest
/// where there is one. What is encrypted proves nothing, and what depends on it is not judged.
pub(super) fn prove(
    base: Root<'_>,
    announced: &Announced,
    go_on: GoOn<'_>,
    through: &dyn Through,
) -> Result<Vec<Fault>, CatalogError> {
    let (archives, mut faults) = Archive::all(base, announced)?;
    if archives.iter().any(|archive| archive.is_encrypted(announced)) {
        return Ok(faults);
    }
    let manifest = super::manifest(base)?;
    let mut content = Content { manifest: manifest.as_ref(), ..Content::default() };
    for archive in &archives {
        let taken = archive.file(base).and_then(|file| {
            let reader = archive.decoded(through.read(&file)?)?;
            content.take(archive, reader, go_on)
        });
        match taken {
            Err(error) if is_of_the_system(&error) => return Err(CatalogError::at(&base.local(&archive.path))(error)),
            Err(error) => faults.push(archive.fault(&error)),
            Ok(()) => {}
        }
        if !go_on() {
            return Ok(faults);
        }
    }
    if faults.is_empty() {
        // A file in an archive cannot be brought anew by itself.
        let within = |fault: Fault| within(&archives, fault);
        faults.extend(content.differing().into_iter().map(within));
        faults.extend(cluster::faults(&content, announced)?.into_iter().map(within));
    }
    Ok(faults)
}

/// A fault in an archive, as one of the archive: `data/base.tar.gz` for what is in it.
fn within(archives: &[Archive], fault: Fault) -> Fault {
    let is_of = |archive: &&Archive| match archive.tablespace {
        Some(oid) => fault.path.starts_with(oid.to_string()),
        None => fault.path.starts_with("data"),
    };
    match archives.iter().find(is_of) {
        Some(archive) => {
            let why = format!("{}: {}", fault.path.display().to_string().escape_debug(), fault.what);
            Fault::new(archive.path.clone(), FaultKind::Archive(why))
        }
        None => fault,
    }
}

/// What is in the archives of a base.
#[derive(Default)]
struct Content<'a> {
    manifest: Option<&'a Manifest>,
    /// Below PGDATA, tablespaces below `pg_tblspc/OID`.
    files: BTreeMap<PathBuf, u64>,
    directories: BTreeSet<PathBuf>,
    small: BTreeMap<PathBuf, Vec<u8>>,
    differing: Vec<Fault>,
}

impl Content<'_> {
    fn take(&mut self, archive: &Archive, reader: impl Read, go_on: GoOn<'_>) -> io::Result<()> {
        let root = archive.tablespace.map_or_else(PathBuf::new, |oid| Path::new("pg_tblspc").join(oid.to_string()));
        let mut tar = tar::Reader::new(reader);
        while let Some(entry) = tar.next_entry()? {
            if !go_on() {
                return Ok(());
            }
            let path = root.join(&entry.path);
            self.directories.extend(path.ancestors().skip(1).map(Path::to_owned));
            match entry.kind {
                tar::EntryKind::Directory => {
                    self.directories.insert(path);
                }
                tar::EntryKind::File => self.file(path, entry.size, &mut tar)?,
                tar::EntryKind::Other => {}
            }
        }
        tar.finish()
    }

    fn file(&mut self, path: PathBuf, size: u64, tar: &mut tar::Reader<impl Read>) -> io::Result<()> {
        let listed = self.manifest.and_then(|manifest| manifest.files.get(&path));
        let mut hasher = listed.and_then(|file| file.checksum.as_ref()).map(|c| Hasher::new(c.algorithm));
        let mut kept = (size <= MAX_SMALL && is_read(&path)).then(Vec::new);
        tar.content(|bytes| {
            if let Some(hasher) = &mut hasher {
                hasher.update(bytes);
            }
            if let Some(kept) = &mut kept {
                kept.extend_from_slice(bytes);
            }
        })?;
        if let Some(file) = listed {
            let found = hasher.map(Hasher::finish);
            if size != file.size {
                let what = FaultKind::Size { found: size, expected: file.size };
                self.differing.push(Fault::new(Path::new("data").join(&path), what));
            } else if let (Some(found), Some(expected)) = (found, &file.checksum)
                && found != *expected
            {
                let what = FaultKind::Checksum { found: found.to_string(), expected: expected.to_string() };
                self.differing.push(Fault::new(Path::new("data").join(&path), what));
            }
        }
        self.small.extend(kept.map(|kept| (path.clone(), kept)));
        self.files.insert(path, size);
        Ok(())
    }

    /// Where the content is not what the manifest says.
    fn differing(&mut self) -> Vec<Fault> {
        let listed = self.manifest.into_iter().flat_map(|manifest| manifest.files.keys());
        let missing = listed.filter(|path| !self.files.contains_key(*path));
        let missing = missing.map(|path| Fault::new(Path::new("data").join(path), FaultKind::Missing));
        let missing: Vec<Fault> = missing.collect();
        let mut differing = std::mem::take(&mut self.differing);
        differing.extend(missing);
        differing
    }

    fn names_below(&self, directory: &Path) -> Vec<String> {
        let below = |paths: &mut dyn Iterator<Item = &PathBuf>| -> BTreeSet<String> {
            let names = paths.take_while(|path| path.starts_with(directory)).filter_map(|path| {
                Some(path.strip_prefix(directory).ok()?.components().next()?.as_os_str().to_str()?.to_owned())
            });
            names.collect()
        };
        let mut names = below(&mut self.files.range(directory.to_owned()..).map(|(path, _)| path));
        names.extend(below(&mut self.directories.range(directory.to_owned()..)));
        names.into_iter().collect()
    }
}

/// Whether the judgement reads a file.
fn is_read(path: &Path) -> bool {
    let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
    matches!(name, "PG_VERSION" | "pg_control" | "pg_filenode.map")
}

impl Tree for Content<'_> {
    fn size(&self, path: &Path) -> Result<Option<u64>, CatalogError> {
        Ok(self.files.get(path).copied())
    }

    fn is_directory(&self, path: &Path) -> Result<bool, CatalogError> {
        Ok(self.directories.contains(path))
    }

    fn names(&self, directory: &Path) -> Result<Vec<String>, CatalogError> {
        Ok(self.names_below(directory))
    }

    fn read(&self, path: &Path, _limit: u64) -> Result<Option<Vec<u8>>, CatalogError> {
        Ok(self.small.get(path).cloned())
    }

    fn tablespace(&self, oid: u32) -> Result<Vec<String>, CatalogError> {
        Ok(self.names_below(&Path::new("pg_tblspc").join(oid.to_string())))
    }
}

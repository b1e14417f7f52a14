//! What the files of a base have in them, noted where nothing else tells: the checksum is our own, made of what arrived.
//!
//! It proves that a file is what it was then, and not that it was what it should have been.

use std::io::{self, Read};
use std::path::{Path, PathBuf};

use jiff::Timestamp;
use rayon::prelude::*;

use crate::barman::arrival::{ArrivalNote, Arrived, Digest, When};
use crate::store::{CatalogError, GoOn, Root};

use super::base::{self, Announced, MANIFEST, Packing};
use super::manifest::Manifest;
use super::tree;

/// So much at a time that the digest is made at full speed.
const READ_AT_ONCE: usize = 256 << 10;

/// Which files of a base have a checksum of our own.
pub enum Covers {
    /// All.
    All,
    /// Those that this manifest lists without one.
    Unsummed(Box<Manifest>),
    /// None: its manifest proves them, or is damaged, which is another matter.
    Nothing,
}

impl Covers {
    /// Those of a base.
    pub fn of(base: Root<'_>, announced: &Announced) -> Result<Self, CatalogError> {
        if announced.is_snapshot {
            return Ok(Self::Nothing);
        }
        if base::is_archived(base, announced)? {
            let is_proved = announced.packing != Packing::Encrypted && base::manifest(base)?.is_some();
            return Ok(if is_proved { Self::Nothing } else { Self::All });
        }
        let Some(file) = base.open(Path::new(MANIFEST))? else { return Ok(Self::All) };
        Ok(Manifest::read(file).map_or(Self::Nothing, Self::by))
    }

    /// Those that a manifest leaves.
    fn by(manifest: Manifest) -> Self {
        let lacks_some = manifest.files.values().any(|file| file.checksum.is_none());
        if lacks_some { Self::Unsummed(Box::new(manifest)) } else { Self::Nothing }
    }

    /// Whether a file is among them.
    pub fn has(&self, path: &Path) -> bool {
        match self {
            Self::All => true,
            Self::Unsummed(manifest) => tree::listed(path, manifest).is_some_and(|file| file.checksum.is_none()),
            Self::Nothing => false,
        }
    }
}

/// Notes what files of a base that is arriving have in them. Stops early when `go_on` says no.
pub fn note(base: Root<'_>, files: &[PathBuf], at: Timestamp, go_on: GoOn<'_>) -> Result<ArrivalNote, CatalogError> {
    let read = |path: &PathBuf| -> Result<Option<(PathBuf, Arrived)>, CatalogError> {
        let Some(file) = base.open(path)? else { return Ok(None) };
        let mut reader = Digesting::new(file);
        let size = drain(&mut reader);
        let size = size.map_err(|source| CatalogError { path: base.local(path), source })?;
        Ok(Some((path.clone(), Arrived { size, digest: reader.digest(), at, when: When::Arriving })))
    };
    let read = files.par_iter().take_any_while(|_| go_on()).filter_map(|path| read(path).transpose());
    Ok(ArrivalNote { files: read.collect::<Result<_, CatalogError>>()? })
}

/// The files of a base of which some are to have a checksum of our own.
pub fn files(base: Root<'_>, covers: &Covers) -> Result<Vec<PathBuf>, CatalogError> {
    let (mut directories, mut files) = (vec![PathBuf::new()], Vec::new());
    if matches!(covers, Covers::Nothing) {
        return Ok(files);
    }
    while let Some(directory) = directories.pop() {
        for entry in base.list(&directory)? {
            let path = directory.join(entry.file_name());
            if entry.kind.is_dir() {
                directories.push(path);
            } else if entry.kind.is_file() && !tree::is_barmans(&path) && covers.has(&path) {
                files.push(path);
            }
        }
    }
    Ok(files)
}

/// Reads to the end: how many bytes there were.
pub fn drain(mut reader: impl Read) -> io::Result<u64> {
    let (mut buffer, mut all) = (vec![0; READ_AT_ONCE], 0);
    loop {
        match reader.read(&mut buffer) {
            Ok(0) => return Ok(all),
            Ok(read) => all += read as u64,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
}

/// Makes a digest of all that is read through it.
pub struct Digesting<R> {
    reader: R,
    hasher: blake3::Hasher,
}

impl<R: Read> Digesting<R> {
    /// Of a reader, from where it is on.
    pub fn new(reader: R) -> Self {
        Self { reader, hasher: blake3::Hasher::new() }
    }

    /// Of all that was read until now.
    pub fn digest(&self) -> Digest {
        self.hasher.finalize().into()
    }
}

impl<R: Read> Read for Digesting<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.reader.read(buffer)?;
        self.hasher.update(buffer.get(..read).unwrap_or_default());
        Ok(read)
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;
    use crate::store::{Place, Posix};

    #[test]
    fn what_is_read_has_the_digest_that_public_tools_make() {
        let mut reader = Digesting::new(&b"abc"[..]);
        assert_eq!(drain(&mut reader).unwrap(), 3);
        let hex: String = reader.digest().iter().map(|byte| format!("{byte:02x}")).collect();
        // `printf abc | b3sum`
        assert_eq!(hex, "6437b3ac38465133ffb63b75273a8db548c558465d79db03fd359c6cd5bd9d85");
    }

    #[test]
    fn every_file_is_noted_where_there_is_no_manifest_but_for_barmans_own_and_links() {
        let directory = tempfile::tempdir().unwrap();
        fs::create_dir_all(directory.path().join("data/base/5")).unwrap();
        for path in ["data/PG_VERSION", "data/base/5/1", "backup.info"] {
            fs::write(directory.path().join(path), "15\n").unwrap();
        }
        std::os::unix::fs::symlink("PG_VERSION", directory.path().join("data/link")).unwrap();
        let store = Posix::at(directory.path());
        let root = Root::new(&store, Place::Server);
        let covers = Covers::of(root, &Announced::default()).unwrap();
        let files = files(root, &covers).unwrap();
        let noted = note(root, &files, Timestamp::UNIX_EPOCH, &|| true).unwrap();
        let names: Vec<&str> = noted.files.keys().filter_map(|path| path.to_str()).collect();
        assert_eq!(names, ["data/PG_VERSION", "data/base/5/1"]);
        assert!(noted.files.values().all(|arrived| arrived.size == 3));
        fs::write(directory.path().join(MANIFEST), "{").unwrap();
        assert!(matches!(Covers::of(root, &Announced::default()).unwrap(), Covers::Nothing));
    }
}

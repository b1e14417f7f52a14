//! Files that come in parts, each over a stream of its own, and are joined here.
//!
//! A part lies in `.antipode-parts/NAME/VERSION/BEGINNING/NAME`, beside the place of the file itself. It is as long as the
//! file up to the end of the part, with a hole up to its beginning, so that rsync appends to it and a copy that was cut
//! off goes on. Parts are of one version of the file, which is known by its size and time: those of another are removed.
//!
//! They are joined in the first of them, which is then renamed. Whenever that is cut off, what was joined and what was not
//! are parts as before. That the parts are right is not known here: whoever joins them proves it, as of any file.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Seek, SeekFrom};
use std::ops::Range;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use rustix::fs::{FallocateFlags, OFlags, fallocate};

use super::paths::entries;
use super::{Part, RemoteFile};

/// Where the parts of files lie, in the directory of these files.
const PARTS_DIR: &str = ".antipode-parts";

/// What is joined at once; so much room is needed besides that of the file.
const JOINED: u64 = 64 << 20;

/// The parts of one version of a file that are here.
#[derive(Debug)]
pub struct Parts {
    /// Where the file belongs.
    file: PathBuf,
    /// Its size.
    size: u64,
    /// Where the parts are of all its versions.
    versions: PathBuf,
    /// Where those of this one are.
    directory: PathBuf,
}

impl Parts {
    /// Those of a file that is copied into a directory.
    pub fn of(into: &Path, file: &RemoteFile) -> Self {
        let path = into.join(&file.path);
        let versions = path.with_file_name(PARTS_DIR).join(path.file_name().unwrap_or_default());
        let directory = versions.join(format!("{}.{}", file.size, file.mtime));
        Self { file: path, size: file.size, versions, directory }
    }

    /// Makes the directory that a part is copied into which begins at this byte.
    pub fn make(&self, beginning: u64) -> io::Result<PathBuf> {
        let directory = self.directory.join(beginning.to_string());
        fs::DirBuilder::new().recursive(true).mode(0o700).create(&directory)?;
        Ok(directory)
    }

    /// What is not here yet; `None` when nothing of the file came in parts. Parts of another version are removed.
    pub fn missing(&self) -> io::Result<Option<Vec<Range<u64>>>> {
        for version in entries(&self.versions)?.into_iter().filter(|version| version.path() != self.directory) {
            fs::remove_dir_all(version.path())?;
        }
        let here = self.here()?;
        if here.is_empty() {
            return Ok(None);
        }
        Ok(Some(missing(self.size, here.iter().map(|part| part.bytes.clone()))))
    }

    /// Makes the file of its parts, which are all here, and gives it its name.
    pub fn join(&self) -> io::Result<()> {
        let here = self.here()?;
        let (Some(first), Some(last)) = (here.first(), here.last()) else { return Err(io::ErrorKind::NotFound.into()) };
        let mut whole = OpenOptions::new().write(true).open(&first.file)?;
        // Freeing what was copied changes the time.
        let of_last = fs::metadata(&last.file)?;
        for part in &here[1..] {
            append(&mut whole, part)?;
        }
        if first.bytes.start != 0 || whole.metadata()?.len() != self.size {
            return Err(io::Error::new(io::ErrorKind::UnexpectedEof, "a part of it is not here"));
        }
        whole.set_permissions(of_last.permissions())?;
        whole.set_modified(of_last.modified()?)?;
        fs::rename(&first.file, &self.file)?;
        self.remove()
    }

    /// Removes what is here.
    pub fn remove(&self) -> io::Result<()> {
        fs::remove_dir_all(&self.versions)?;
        if let Some(directory) = self.versions.parent() {
            let _others_are_in_it = fs::remove_dir(directory);
        }
        Ok(())
    }

    /// What is here, in the order of the beginnings.
    fn here(&self) -> io::Result<Vec<Here>> {
        let mut here = Vec::new();
        for entry in entries(&self.directory)? {
            let file = entry.path().join(self.file.file_name().unwrap_or_default());
            let beginning = entry.file_name().to_str().and_then(|name| name.parse::<u64>().ok());
            let found = fs::symlink_metadata(&file).ok().filter(fs::Metadata::is_file);
            if let (Some(beginning), Some(found)) = (beginning, found) {
                here.push(Here { bytes: beginning..found.len().max(beginning), file });
            }
        }
        here.sort_by_key(|part| part.bytes.start);
        Ok(here)
    }
}

/// Opens the file here that a part is appended to, as long as a copy of it may find it: at its beginning, or where an
/// earlier copy stopped, but always before its end. It is not opened through a link.
pub(super) fn open(part: &Part, into: &Path) -> io::Result<File> {
    let name = part.path.file_name().ok_or(io::ErrorKind::InvalidInput)?;
    let file = OpenOptions::new()
        .create(true)
        .truncate(false)
        .write(true)
        .mode(0o600)
        .custom_flags(OFlags::NOFOLLOW.bits().cast_signed())
        .open(into.join(name))?;
    let (length, bytes) = (file.metadata()?.len(), &part.bytes);
    let begins = length.clamp(bytes.start, bytes.end.saturating_sub(1).max(bytes.start));
    if begins != length {
        file.set_len(begins)?;
    }
    Ok(file)
}

/// A part that is here, or a beginning of one.
#[derive(Debug)]
struct Here {
    bytes: Range<u64>,
    file: PathBuf,
}

/// Appends what a part has more than this one. What was copied is freed there.
fn append(whole: &mut File, part: &Here) -> io::Result<()> {
    let mut source = OpenOptions::new().read(true).write(true).open(&part.file)?;
    let mut at = whole.seek(SeekFrom::End(0))?;
    while at < part.bytes.end && at >= part.bytes.start {
        source.seek(SeekFrom::Start(at))?;
        // Between files this is copy_file_range: shared blocks where the file system has them.
        let copied = io::copy(&mut io::Read::take(&source, JOINED.min(part.bytes.end - at)), whole)?;
        if copied == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        let _not_everywhere = fallocate(&source, FallocateFlags::PUNCH_HOLE | FallocateFlags::KEEP_SIZE, at, copied);
        at += copied;
    }
    Ok(())
}

/// What these parts lack of a file, in order. Its last byte is always lacking: the copy that brings it brings the file's
/// mode and time, of which nobody can tell whether an earlier one came to them.
fn missing(size: u64, here: impl IntoIterator<Item = Range<u64>>) -> Vec<Range<u64>> {
    let (mut missing, mut at) = (Vec::new(), 0);
    let last = size.saturating_sub(1);
    for part in here {
        if part.start > at {
            missing.push(at..part.start.min(last));
        }
        at = at.max(part.end.min(last));
    }
    missing.push(at..size);
    missing
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_missing_is_what_no_part_has_and_the_last_byte() {
        for (here, expected) in [
            (&[][..], &[(0, 100)][..]),
            (&[(0, 30)], &[(30, 100)]),
            (&[(0, 30), (30, 60)], &[(60, 100)]),
            (&[(0, 30), (50, 60), (70, 100)], &[(30, 50), (60, 70), (99, 100)]),
            (&[(20, 40)], &[(0, 20), (40, 100)]),
            // The first was joined with a part of the next.
            (&[(0, 45), (30, 60), (60, 100)], &[(99, 100)]),
            (&[(0, 100), (30, 60), (99, 100)], &[(99, 100)]),
            (&[(0, 0), (50, 50)], &[(0, 50), (50, 100)]),
        ] {
            let missing = missing(100, here.iter().map(|(start, end)| *start..*end));
            let missing: Vec<(u64, u64)> = missing.into_iter().map(|gap| (gap.start, gap.end)).collect();
            assert_eq!(missing, expected, "{here:?}");
        }
    }

    const NAME: &str = "data/16384";

    fn file(size: u64) -> RemoteFile {
        RemoteFile { path: NAME.into(), size, mtime: 1_700_000_000 }
    }

    fn content() -> Vec<u8> {
        (0..1000_u32).flat_map(u32::to_be_bytes).collect()
    }

    /// Brings bytes of a file as a copy of a part does.
    fn bring(parts: &Parts, bytes: Range<u64>) {
        let part = Part { path: NAME.into(), bytes, size: content().len() as u64 };
        let mut file = open(&part, &parts.make(part.bytes.start).unwrap()).unwrap();
        let begins = usize::try_from(file.seek(SeekFrom::End(0)).unwrap()).unwrap();
        io::Write::write_all(&mut file, &content()[begins..usize::try_from(part.bytes.end).unwrap()]).unwrap();
        if part.bytes.end == part.size {
            file.set_modified(std::time::UNIX_EPOCH).unwrap();
        }
    }

    /// A directory with two of three parts.
    fn begun() -> (tempfile::TempDir, Parts) {
        let into = tempfile::tempdir().unwrap();
        fs::create_dir(into.path().join("data")).unwrap();
        let parts = Parts::of(into.path(), &file(4000));
        assert_eq!(parts.missing().unwrap(), None);
        bring(&parts, 0..1500);
        bring(&parts, 3000..4000);
        (into, parts)
    }

    #[test]
    fn parts_become_the_file_with_its_time_and_nothing_else_is_left() {
        let (into, parts) = begun();
        assert_eq!(parts.missing().unwrap(), Some(vec![1500..3000, 3999..4000]));
        assert!(parts.join().is_err(), "a part is not here");
        bring(&parts, 1500..3000);
        parts.join().unwrap();
        let joined = into.path().join(NAME);
        assert_eq!(fs::read(&joined).unwrap(), content());
        assert_eq!(fs::metadata(&joined).unwrap().modified().unwrap(), std::time::UNIX_EPOCH);
        assert_eq!(fs::read_dir(into.path().join("data")).unwrap().count(), 1);
    }

    #[test]
    fn joining_that_was_cut_off_anywhere_goes_on() {
        for joined in [1500, 1501, 2999, 3000, 3500, 3999, 4000] {
            let (into, parts) = begun();
            bring(&parts, 1500..3000);
            // What was joined already is in the first part, and may be freed in the others.
            let first = parts.make(0).unwrap().join("16384");
            fs::write(&first, &content()[..joined]).unwrap();
            for gap in parts.missing().unwrap().unwrap() {
                bring(&parts, gap);
            }
            parts.join().unwrap();
            assert_eq!(fs::read(into.path().join(NAME)).unwrap(), content(), "{joined}");
            assert_eq!(fs::read_dir(into.path().join("data")).unwrap().count(), 1, "{joined}");
        }
    }

    #[test]
    fn parts_of_another_version_are_removed() {
        let (into, parts) = begun();
        for other in [file(4001), RemoteFile { mtime: 1, ..file(4000) }] {
            bring(&parts, 0..10);
            assert_eq!(Parts::of(into.path(), &other).missing().unwrap(), None);
            assert_eq!(parts.missing().unwrap(), None);
        }
    }
}

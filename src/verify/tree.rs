//! Whether the files of a base backup are those of its backup_manifest.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};
use std::thread;

use super::checksum::Checksum;
use super::manifest::{Manifest, ManifestFile, barman_path};

/// Checksums that are computed at the same time.
const THREADS: usize = 2;

/// A file that is not what the manifest says.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Fault {
    /// Its path below `base/ID`.
    pub path: PathBuf,
    /// What is wrong with it.
    pub what: FaultKind,
}

/// What is wrong with a file.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, thiserror::Error)]
pub enum FaultKind {
    /// It is not there, or is no regular file.
    #[error("it is missing")]
    Missing,
    /// It has another size.
    #[error("it has {found} bytes, not {expected}")]
    Size {
        /// Bytes on disk.
        found: u64,
        /// Bytes in the manifest.
        expected: u64,
    },
    /// Its content has another checksum.
    #[error("its checksum is {found}, not {expected}")]
    Checksum {
        /// Of what is on disk.
        found: String,
        /// In the manifest.
        expected: String,
    },
}

/// Whether the base was stored as archives (`base.tar.gz`), whose content the manifest describes but no file name shows.
pub fn is_archive(base: &Path) -> bool {
    let Ok(entries) = fs::read_dir(base.join("data")) else { return false };
    entries.flatten().any(|entry| entry.file_name().to_string_lossy().starts_with("base.tar"))
}

/// The files that are missing or have another size: what can be told without reading them.
pub fn compare_sizes(base: &Path, manifest: &Manifest) -> Vec<Fault> {
    let fault = |(path, file): (&PathBuf, &ManifestFile)| {
        let path = barman_path(path);
        let what = size_fault(&base.join(&path), file)?;
        Some(Fault { path, what })
    };
    manifest.files.iter().filter_map(fault).collect()
}

/// The files that are missing or differ, read whole. Stops early with what it found when `go_on` says no.
pub fn verify(base: &Path, manifest: &Manifest, go_on: &(dyn Fn() -> bool + Sync)) -> io::Result<Vec<Fault>> {
    let files: Vec<(&PathBuf, &ManifestFile)> = manifest.files.iter().collect();
    let next = AtomicUsize::new(0);
    let found: Mutex<io::Result<Vec<Fault>>> = Mutex::new(Ok(Vec::new()));
    thread::scope(|scope| {
        for _ in 0..THREADS {
            scope.spawn(|| {
                while let Some((path, file)) = files.get(next.fetch_add(1, Ordering::Relaxed)).filter(|_| go_on()) {
                    let fault = content_fault(base, path, file);
                    let Ok(mut found) = found.lock() else { return };
                    match (fault, found.as_mut()) {
                        (Ok(fault), Ok(faults)) => faults.extend(fault),
                        (Err(error), Ok(_)) => *found = Err(error),
                        (_, Err(_)) => return,
                    }
                }
            });
        }
    });
    let mut faults = found.into_inner().unwrap_or_else(PoisonError::into_inner)?;
    faults.sort();
    Ok(faults)
}

fn size_fault(path: &Path, file: &ManifestFile) -> Option<FaultKind> {
    match fs::symlink_metadata(path) {
        Ok(found) if found.is_file() && found.len() == file.size => None,
        Ok(found) if found.is_file() => Some(FaultKind::Size { found: found.len(), expected: file.size }),
        _ => Some(FaultKind::Missing),
    }
}

fn content_fault(base: &Path, path: &Path, file: &ManifestFile) -> io::Result<Option<Fault>> {
    let path = barman_path(path);
    let full = base.join(&path);
    if let Some(what) = size_fault(&full, file) {
        return Ok(Some(Fault { path, what }));
    }
    let Some(expected) = &file.checksum else { return Ok(None) };
    let found = Checksum::of(expected.algorithm, File::open(&full)?)?;
    let differs = FaultKind::Checksum { found: found.to_string(), expected: expected.to_string() };
    Ok((found != *expected).then_some(Fault { path, what: differs }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::verify::checksum::Algorithm;

    fn manifest(files: &[(&str, &[u8])]) -> Manifest {
        let file = |content: &[u8]| ManifestFile {
            size: content.len() as u64,
            mtime: jiff::Timestamp::UNIX_EPOCH,
            checksum: Checksum::of(Algorithm::Crc32c, content).ok(),
        };
        Manifest { files: files.iter().map(|(p, c)| (PathBuf::from(p), file(c))).collect(), ..Manifest::default() }
    }

    #[test]
    fn missing_cut_and_altered_files_are_told_apart() {
        let base = tempfile::tempdir().unwrap();
        for (path, content) in
            [("data/PG_VERSION", "15\n"), ("data/cut", "ab"), ("data/altered", "xyz"), ("16385/t", "t")]
        {
            fs::create_dir_all(base.path().join(path).parent().unwrap()).unwrap();
            fs::write(base.path().join(path), content).unwrap();
        }
        let manifest = manifest(&[
            ("PG_VERSION", b"15\n"),
            ("cut", b"abc"),
            ("altered", b"abc"),
            ("gone", b""),
            ("pg_tblspc/16385/t", b"t"),
        ]);
        let names = |faults: Vec<Fault>| -> Vec<String> {
            faults.iter().map(|f| format!("{}: {}", f.path.display(), f.what)).collect()
        };
        assert_eq!(
            names(compare_sizes(base.path(), &manifest)),
            ["data/cut: it has 2 bytes, not 3", "data/gone: it is missing"]
        );
        let faults = names(verify(base.path(), &manifest, &|| true).unwrap());
        assert_eq!(faults.len(), 3, "{faults:?}");
        assert!(faults[0].starts_with("data/altered: its checksum is "), "{faults:?}");
    }
}

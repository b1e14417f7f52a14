//! Whether the files of a base backup are those of its backup_manifest.

use crate::store::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use rayon::prelude::*;

use super::checksum::Checksum;
use super::fault::{Fault, FaultKind};
use super::manifest::{Manifest, ManifestFile, barman_path};
use crate::store::{CatalogError, GoOn, Root};

/// The files that are missing or have another size: what can be told without reading them.
pub fn compare_sizes(base: Root<'_>, manifest: &Manifest) -> Result<Vec<Fault>, CatalogError> {
    let mut faults = Vec::new();
    for (path, file) in &manifest.files {
        let stored = stored_path(base, path)?;
        let what = size_fault(base.size(&stored)?, file);
        faults.extend(what.map(|what| Fault::new(stored, what)));
    }
    Ok(faults)
}

/// Where a file of a manifest is below the base: below a real directory of `pg_tblspc` where there is one (an in-place
/// tablespace), else where Barman keeps it.
fn stored_path(base: Root<'_>, path: &Path) -> Result<PathBuf, CatalogError> {
    let usual = barman_path(path);
    if usual.starts_with("data") || base.size(&usual)?.is_some() {
        return Ok(usual);
    }
    let in_place = Path::new("data").join(path);
    let link_or_directory: PathBuf = in_place.components().take(3).collect();
    Ok(if base.is_directory(&link_or_directory)? { in_place } else { usual })
}

/// The files that are missing or differ, read whole. Stops early with what it found when `go_on` says no.
pub fn verify(base: Root<'_>, manifest: &Manifest, go_on: GoOn<'_>) -> Result<Vec<Fault>, CatalogError> {
    let files: Vec<(&PathBuf, &ManifestFile)> = manifest.files.iter().collect();
    let faults = files
        .par_iter()
        .take_any_while(|_| go_on())
        .filter_map(|(path, file)| content_fault(base, path, file).transpose())
        .collect::<Result<Vec<Fault>, CatalogError>>();
    let mut faults = faults?;
    faults.sort();
    Ok(faults)
}

/// The files of a base that its manifest does not list, but for those that none lists (`pg_verifybackup` passes over the
/// same) and what is Barman's: how many there are, and the first.
pub fn unlisted(base: Root<'_>, manifest: &Manifest) -> Result<Option<(u64, PathBuf)>, CatalogError> {
    let (mut directories, mut count, mut first) = (vec![PathBuf::new()], 0, None);
    while let Some(directory) = directories.pop() {
        for entry in base.list(&directory)? {
            let path = directory.join(entry.file_name());
            if is_barmans(&path) {
                continue;
            }
            if entry.kind.is_dir() {
                directories.push(path);
            } else if entry.kind.is_file() && !is_listed(&path, manifest) {
                count += 1;
                first = first.filter(|first| *first < path).or(Some(path));
            }
        }
    }
    Ok(first.map(|first| (count, first)))
}

/// Whether what lies at a path below a base is Barman's, and none of the cluster's.
pub fn is_barmans(path: &Path) -> bool {
    ["backup.info", ".backup.lock", "annotations"].iter().any(|own| path == Path::new(own))
}

/// What a manifest says of the file that is stored at a path below the base; `None` when it does not list it.
pub fn listed<'m>(stored: &Path, manifest: &'m Manifest) -> Option<&'m ManifestFile> {
    match stored.strip_prefix("data") {
        Ok(path) => manifest.files.get(path),
        Err(_) => manifest.files.get(&Path::new("pg_tblspc").join(stored)),
    }
}

/// What is wrong with a file that a manifest lists, read through `reader`; whether anything proves it, when nothing is.
pub fn prove(file: &ManifestFile, size: u64, reader: impl Read) -> io::Result<Result<bool, FaultKind>> {
    if let Some(what) = size_fault(Some(size), file) {
        return Ok(Err(what));
    }
    let Some(expected) = &file.checksum else {
        let mut reader = reader;
        return io::copy(&mut reader, &mut io::sink()).map(|_| Ok(false));
    };
    let found = Checksum::of(expected.algorithm, reader)?;
    let differs = || FaultKind::Checksum { found: found.to_string(), expected: expected.to_string() };
    Ok(if found == *expected { Ok(true) } else { Err(differs()) })
}

/// Whether a manifest lists what is stored at a path, or would not.
pub fn is_listed(stored: &Path, manifest: &Manifest) -> bool {
    const NEVER: [&str; 4] = ["backup_manifest", "postgresql.auto.conf", "recovery.signal", "standby.signal"];
    match stored.strip_prefix("data") {
        Ok(path) => {
            NEVER.iter().any(|never| path == Path::new(never))
                || path.starts_with("pg_wal")
                || manifest.files.contains_key(path)
        }
        Err(_) => manifest.files.contains_key(&Path::new("pg_tblspc").join(stored)),
    }
}

fn size_fault(found: Option<u64>, file: &ManifestFile) -> Option<FaultKind> {
    match found {
        Some(found) if found == file.size => None,
        Some(found) => Some(FaultKind::Size { found, expected: file.size }),
        None => Some(FaultKind::Missing),
    }
}

fn content_fault(base: Root<'_>, path: &Path, file: &ManifestFile) -> Result<Option<Fault>, CatalogError> {
    let path = stored_path(base, path)?;
    let unreadable = |source| CatalogError { path: base.local(&path), source };
    let opened = base.open(&path)?;
    let size = opened.as_ref().map(File::metadata).transpose().map_err(unreadable)?.map(|metadata| metadata.len());
    if let Some(what) = size_fault(size, file) {
        return Ok(Some(Fault::new(path, what)));
    }
    let (Some(opened), Some(expected)) = (opened, &file.checksum) else { return Ok(None) };
    let found = Checksum::of(expected.algorithm, opened).map_err(unreadable)?;
    let differs = FaultKind::Checksum { found: found.to_string(), expected: expected.to_string() };
    Ok((found != *expected).then(|| Fault::new(path, differs)))
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;
    use crate::store::{Place, Posix};
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
        let store = Posix::at(base.path());
        let root = Root::new(&store, Place::Server);
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
            names(compare_sizes(root, &manifest).unwrap()),
            ["data/cut: it has 2 bytes, not 3", "data/gone: it is missing"]
        );
        let faults = names(verify(root, &manifest, &|| true).unwrap());
        assert_eq!(faults.len(), 3, "{faults:?}");
        assert!(faults[0].starts_with("data/altered: its checksum is "), "{faults:?}");
    }
}

//! Files in a directory that is not Antipode's own: it changes those that it wrote, and no others.
//!
//! A file is ours when its first line says so. It is replaced whole and only when it differs, so that writing again and
//! again changes nothing, not even a time.

use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use crate::error::{Error, Kind};
use crate::store::posix::durable;

/// What became of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kept {
    /// It is new, or its content was another.
    Written,
    /// It was right.
    Unchanged,
}

/// A file that was not written.
#[derive(Debug, thiserror::Error)]
pub enum KeepError {
    /// Somebody else's file has the name.
    #[error("{} was not written by Antipode and is left alone; move it away, or add to it what is missing", .0.display())]
    NotOurs(PathBuf),
    /// The system refused.
    #[error("cannot write {}: {source}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// What it said.
        source: io::Error,
    },
}

impl From<KeepError> for Error {
    fn from(error: KeepError) -> Self {
        let kind = match &error {
            KeepError::NotOurs(_) => Kind::Refused,
            KeepError::Io { source, .. } => Kind::from(source),
        };
        Self::new(kind, error.to_string()).because(error)
    }
}

/// Makes a file of ours have this content, which begins with `mark`. Every user may read it.
pub fn keep(path: &Path, content: &str, mark: &str) -> Result<Kept, KeepError> {
    let failed = |source| KeepError::Io { path: path.to_owned(), source };
    match fs::symlink_metadata(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => return Err(failed(error)),
        Ok(metadata) if !metadata.is_file() => return Err(KeepError::NotOurs(path.to_owned())),
        Ok(_) => {
            let found = fs::read(path).map_err(failed)?;
            if found == content.as_bytes() {
                return Ok(Kept::Unchanged);
            }
            if !found.starts_with(mark.as_bytes()) {
                return Err(KeepError::NotOurs(path.to_owned()));
            }
        }
    }
    durable::write_for_everybody(path, content.as_bytes()).map_err(failed)?;
    Ok(Kept::Written)
}

/// Files of ours with this extension whose names are not among those that are kept, sorted.
pub fn others(directory: &Path, extension: &str, kept: &BTreeSet<String>, mark: &str) -> io::Result<Vec<PathBuf>> {
    let mut others = Vec::new();
    for entry in fs::read_dir(directory)? {
        let entry = entry?;
        let path = entry.path();
        let is_kept = entry.file_name().to_str().is_some_and(|name| kept.contains(name));
        if is_kept || path.extension().is_none_or(|found| found != extension) || !entry.file_type()?.is_file() {
            continue;
        }
        if fs::read(&path)?.starts_with(mark.as_bytes()) {
            others.push(path);
        }
    }
    others.sort();
    Ok(others)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::{MetadataExt, PermissionsExt};

    #[test]
    fn a_file_is_written_only_when_it_differs() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("main.conf");
        assert_eq!(keep(&path, "# ours\n1\n", "# ours").unwrap(), Kept::Written);
        let before = fs::metadata(&path).unwrap();
        assert_eq!(before.permissions().mode() & 0o777, 0o644);
        assert_eq!(keep(&path, "# ours\n1\n", "# ours").unwrap(), Kept::Unchanged);
        assert_eq!(fs::metadata(&path).unwrap().ino(), before.ino());
        assert_eq!(keep(&path, "# ours\n2\n", "# ours").unwrap(), Kept::Written);
        assert_eq!(fs::read_to_string(&path).unwrap(), "# ours\n2\n");
        assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 1);
    }

    #[test]
    fn a_file_of_somebody_else_is_never_touched() {
        let directory = tempfile::tempdir().unwrap();
        let at = |name: &str| directory.path().join(name);
        fs::write(at("main.conf"), "[main]\n").unwrap();
        fs::write(at("target"), "# ours\n").unwrap();
        std::os::unix::fs::symlink("target", at("link.conf")).unwrap();
        fs::create_dir(at("directory.conf")).unwrap();
        for name in ["main.conf", "link.conf", "directory.conf"] {
            assert!(matches!(keep(&at(name), "# ours\n1\n", "# ours"), Err(KeepError::NotOurs(_))), "{name}");
        }
        assert_eq!(fs::read_to_string(at("main.conf")).unwrap(), "[main]\n");
        assert_eq!(fs::read_to_string(at("target")).unwrap(), "# ours\n");
        let missing = keep(&at("no/main.conf"), "# ours\n", "# ours").unwrap_err();
        assert!(missing.to_string().contains("no/main.conf"), "{missing}");
    }

    #[test]
    fn files_of_ours_that_are_kept_no_longer_are_found() {
        let directory = tempfile::tempdir().unwrap();
        for (name, text) in [("a.conf", "# ours"), ("b.conf", "# ours"), ("c.conf", "[c]"), ("d.txt", "# ours")] {
            fs::write(directory.path().join(name), text).unwrap();
        }
        let kept = BTreeSet::from(["a.conf".to_owned()]);
        assert_eq!(others(directory.path(), "conf", &kept, "# ours").unwrap(), [directory.path().join("b.conf")]);
    }
}

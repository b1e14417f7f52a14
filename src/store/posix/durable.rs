//! Changes on disk that a power cut cannot halve: temporary name, fsync, rename, fsync of the directory.

use std::fs::{self, File, Permissions};
use std::io::{self, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use tempfile::NamedTempFile;
use walkdir::WalkDir;

use super::files;
use crate::store::GoOn;
#[cfg(test)]
use steps::step;

/// What the names of files begin and end with that are still being written. Barman passes over names that end in `.tmp`.
const PREFIX: &str = ".antipode-";
const SUFFIX: &str = ".tmp";

/// To be asked before each change that a power cut can come before.
#[cfg(not(test))]
#[allow(clippy::unnecessary_wraps, reason = "in tests it fails")]
fn step() -> io::Result<()> {
    Ok(())
}

/// Changes that are cut off between two of their steps.
#[cfg(test)]
pub mod steps {
    use std::cell::Cell;
    use std::io;

    thread_local! {
        /// The steps that are still done.
        static LEFT: Cell<Option<usize>> = const { Cell::new(None) };
    }

    /// Changes the disk in so many steps at the most; the next one fails.
    pub fn at_most<T>(steps: usize, change: impl FnOnce() -> T) -> T {
        LEFT.set(Some(steps));
        let changed = change();
        LEFT.set(None);
        changed
    }

    pub(super) fn step() -> io::Result<()> {
        match LEFT.get() {
            Some(0) => Err(io::Error::other("it was cut off")),
            left => {
                LEFT.set(left.map(|left| left - 1));
                Ok(())
            }
        }
    }
}

/// Replaces a file, or makes it, so that its path always has either the old content or the new.
pub fn write(path: &Path, content: &[u8]) -> io::Result<()> {
    // The umask decides, as it does for the files that Barman writes.
    replace(path, content, |_| Ok(()))
}

/// The same for a file that every user may read, whatever the umask.
pub fn write_for_everybody(path: &Path, content: &[u8]) -> io::Result<()> {
    replace(path, content, |file| file.set_permissions(Permissions::from_mode(0o644)))
}

/// Replaces a file that may be gone or torn after a power cut, as nothing depends on it.
pub fn note(path: &Path, content: &[u8]) -> io::Result<()> {
    let mut file = begin(parent(path)?)?;
    file.write_all(content)?;
    file.persist(path)?;
    Ok(())
}

fn replace(path: &Path, content: &[u8], prepare: impl Fn(&File) -> io::Result<()>) -> io::Result<()> {
    let directory = parent(path)?;
    let mut file = begin(directory)?;
    file.write_all(content)?;
    prepare(file.as_file())?;
    step()?;
    file.as_file().sync_all()?;
    step()?;
    file.persist(path)?;
    sync_directory(directory)
}

fn begin(directory: &Path) -> io::Result<NamedTempFile> {
    let mode = Permissions::from_mode(0o666);
    tempfile::Builder::new().prefix(PREFIX).suffix(SUFFIX).permissions(mode).tempfile_in(directory)
}

/// Removes what a killed [`write`] left in a directory. Nothing may be written there meanwhile.
pub fn remove_unfinished(directory: &Path) -> io::Result<()> {
    for entry in files::list(directory).map_err(|error| error.source)? {
        if entry.name.starts_with(PREFIX) && entry.name.ends_with(SUFFIX) && entry.kind.is_file() {
            remove_file(&entry.path())?;
        }
    }
    Ok(())
}

/// Gives something its name, which is not durable before its directory is synced.
pub fn place(from: &Path, to: &Path) -> io::Result<()> {
    step()?;
    fs::rename(from, to)
}

/// Moves a file or directory whose content is durable to its final name.
pub fn rename(from: &Path, to: &Path) -> io::Result<()> {
    place(from, to)?;
    sync_directory(parent(to)?)?;
    sync_directory(parent(from)?)
}

/// Removes a file, which is not durable before its directory is synced.
pub fn unlink(path: &Path) -> io::Result<()> {
    step()?;
    fs::remove_file(path)
}

/// Removes a file for good; one that is not there is as good as removed.
pub fn remove_file(path: &Path) -> io::Result<()> {
    match unlink(path) {
        Ok(()) => sync_directory(parent(path)?),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(error),
    }
}

/// Removes a directory with all that is in it, entry by entry until `go_on` says no; whether all of it is gone. One that
/// is not there is as good as removed, and so is what somebody else removes meanwhile.
pub fn remove_tree(path: &Path, go_on: GoOn<'_>) -> io::Result<bool> {
    for entry in WalkDir::new(path).contents_first(true) {
        if !go_on() {
            return Ok(false);
        }
        let removed = match entry {
            Ok(entry) if entry.file_type().is_dir() => step().and_then(|()| fs::remove_dir(entry.path())),
            Ok(entry) => unlink(entry.path()),
            Err(error) => Err(error.into()),
        };
        removed.or_else(|error| if error.kind() == io::ErrorKind::NotFound { Ok(()) } else { Err(error) })?;
    }
    Ok(true)
}

/// Makes a directory with all above it, and their names durable.
pub fn create_directory(path: &Path) -> io::Result<()> {
    if path.is_dir() {
        return Ok(());
    }
    let above = parent(path)?;
    create_directory(above)?;
    step()?;
    match fs::create_dir(path) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
        _ => {}
    }
    sync_directory(above)
}

/// Makes a directory that is nobody else's business, mode 0700. A link to one is none.
pub fn create_private_directory(path: &Path) -> io::Result<()> {
    create_directory(path)?;
    files::check_ours(path)?;
    fs::set_permissions(path, Permissions::from_mode(0o700))
}

/// Makes durable which names a directory holds.
pub fn sync_directory(path: &Path) -> io::Result<()> {
    step()?;
    files::unless_stale(|| File::open(path))?.sync_all()
}

fn parent(path: &Path) -> io::Result<&Path> {
    path.parent()
        .ok_or_else(|| io::Error::new(io::ErrorKind::InvalidInput, format!("{} has no directory", path.display())))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_replaced_whole_and_leaves_nothing_beside_it() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("xlog.db");
        write(&path, b"old").unwrap();
        write(&path, b"new").unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"new");
        assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 1);
    }

    #[test]
    fn a_write_that_is_cut_off_between_two_steps_leaves_the_old_content_or_the_new() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("xlog.db");
        let cut_off = |steps| {
            write(&path, b"old").unwrap();
            let written = steps::at_most(steps, || write(&path, b"new"));
            (written.is_ok(), fs::read_to_string(&path).unwrap())
        };
        let left: Vec<(bool, String)> = (0..4).map(cut_off).collect();
        // The file is synced, gets its name, and then its directory is synced.
        let expected = [(false, "old"), (false, "old"), (false, "new"), (true, "new")];
        assert_eq!(left, expected.map(|(written, content)| (written, content.to_owned())));
    }

    #[test]
    fn what_a_killed_write_left_is_removed_and_nothing_else() {
        let directory = tempfile::tempdir().unwrap();
        for name in [".antipode-aBcDeF.tmp", "xlog.db", ".antipode-x", "other.tmp"] {
            fs::write(directory.path().join(name), b"x").unwrap();
        }
        fs::create_dir(directory.path().join(".antipode-d.tmp")).unwrap();
        remove_unfinished(directory.path()).unwrap();
        remove_unfinished(&directory.path().join("missing")).unwrap();
        assert!(!directory.path().join(".antipode-aBcDeF.tmp").exists());
        assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 4);
    }

    #[test]
    fn removing_what_is_not_there_succeeds() {
        let directory = tempfile::tempdir().unwrap();
        remove_file(&directory.path().join("x")).unwrap();
        assert!(remove_tree(&directory.path().join("y"), &|| true).unwrap());
    }

    #[test]
    fn a_tree_is_removed_until_an_interruption() {
        let directory = tempfile::tempdir().unwrap();
        let tree = directory.path().join("tree");
        fs::create_dir_all(tree.join("a/b")).unwrap();
        fs::write(directory.path().join("kept"), "x").unwrap();
        std::os::unix::fs::symlink(directory.path().join("kept"), tree.join("a/link")).unwrap();
        assert!(!remove_tree(&tree, &|| false).unwrap());
        assert!(tree.join("a/b").exists());
        assert!(remove_tree(&tree, &|| true).unwrap());
        assert!(!tree.exists() && directory.path().join("kept").exists());
    }
}

//! Paths that come from a primary, and what keeps every write below one directory.

use std::fs::{self, DirEntry};
use std::io;
use std::path::{Component, Path, PathBuf};

use crate::barman::ids::is_unprintable;
use crate::error::{Error, Kind};

use super::Part;

/// What the names of the transport's own directories start with; they lie beside the files that are being copied.
pub const SCRATCH_PREFIX: &str = ".antipode-";

/// Where a file that was cut off waits for the rest, in the directory of that file.
pub(super) const PARTIAL_DIR: &str = ".antipode-partial";

/// Bytes that an earlier copy brought of a file that it did not finish.
pub fn partial_size(file: &Path) -> u64 {
    let partial = file.file_name().map(|name| file.with_file_name(PARTIAL_DIR).join(name));
    partial.and_then(|partial| fs::symlink_metadata(partial).ok()).map_or(0, |metadata| metadata.len())
}

/// The bytes that are in a directory of files that are copied into it, those of files that are not finished included.
pub fn bytes_of(directory: &Path, paths: &[PathBuf], flatten: bool) -> u64 {
    let bytes = |path: &PathBuf| {
        let file = directory.join(landing(path, flatten));
        fs::symlink_metadata(&file).map_or(0, |metadata| metadata.len()).saturating_add(partial_size(&file))
    };
    paths.iter().map(bytes).fold(0, u64::saturating_add)
}

/// The bytes of a part that are in the directory that it is copied into.
pub fn bytes_of_part(directory: &Path, part: &Part) -> u64 {
    let file = part.path.file_name().map(|name| directory.join(name));
    let length = file.and_then(|file| fs::symlink_metadata(file).ok()).map_or(0, |found| found.len());
    length.saturating_sub(part.bytes.start)
}

/// The bytes of all files below a directory, those of files that are not finished included. What cannot be looked at, as
/// it goes away meanwhile, counts nothing.
pub fn bytes_below(directory: &Path) -> u64 {
    let files = walkdir::WalkDir::new(directory).into_iter().filter_map(Result::ok);
    let sizes =
        files.filter(|entry| entry.file_type().is_file()).filter_map(|entry| Some(entry.metadata().ok()?.len()));
    sizes.fold(0, u64::saturating_add)
}

/// Removes what interrupted copies left in a tree. Nothing may be copied into it meanwhile.
pub fn remove_scratch(directory: &Path) -> io::Result<()> {
    let mut entries = walkdir::WalkDir::new(directory).min_depth(1).into_iter();
    while let Some(entry) = entries.next() {
        let entry = entry?;
        if entry.file_type().is_dir() && entry.file_name().to_string_lossy().starts_with(SCRATCH_PREFIX) {
            entries.skip_current_dir();
            fs::remove_dir_all(entry.path())?;
        }
    }
    Ok(())
}

/// What is directly in a directory; nothing is in one that is not there.
pub fn entries(directory: &Path) -> io::Result<Vec<DirEntry>> {
    match fs::read_dir(directory) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
        entries => entries?.collect(),
    }
}

/// Removes what killed copies left directly in a directory, but for the partial files that the next copy goes on with.
/// Nothing may be copied into it meanwhile.
pub fn remove_stale_scratch(directory: &Path) -> io::Result<()> {
    for entry in entries(directory)? {
        let name = entry.file_name();
        let is_scratch = name.to_string_lossy().starts_with(SCRATCH_PREFIX) && name != PARTIAL_DIR;
        if is_scratch && entry.file_type()?.is_dir() {
            fs::remove_dir_all(entry.path())?;
        }
    }
    Ok(())
}

/// Why a relative path may not be asked for or accepted; `None` when it is harmless: whatever the bytes of its names,
/// it stays below the directory, and can be handed on as a list whose names end in NUL. It is escaped where it is shown.
pub(super) fn relative_path_fault(path: &Path) -> Option<&'static str> {
    let bytes = path.as_os_str().as_encoded_bytes();
    if bytes.contains(&0) {
        return Some("it contains a NUL");
    }
    if bytes.is_empty() || bytes.ends_with(b"/") || !path.components().all(|part| matches!(part, Component::Normal(_)))
    {
        return Some("it is not a plain path below the directory");
    }
    None
}

/// Checks a directory at the primary: absolute, and printable.
pub(super) fn check_directory(primary: &str, directory: &Path) -> Result<(), Error> {
    let fault = match directory.to_str() {
        Some(text) if !text.chars().any(is_unprintable) => match directory {
            _ if !directory.is_absolute() => "it is not absolute",
            _ if directory.components().any(|part| part == Component::ParentDir) => "it contains `..`",
            _ => return Ok(()),
        },
        _ => "it contains a control or formatting character",
    };
    let message = format!(
        "primary {primary}: the directory {} is refused: {fault}",
        directory.display().to_string().escape_debug()
    );
    Err(Error::new(Kind::Untrusted, message))
}

/// Checks a directory that files are fetched from: such a one, or one below where a login begins.
pub(super) fn check_source(primary: &str, directory: &Path) -> Result<(), Error> {
    let begin = Path::new("/");
    // It begins with `.`, so that a `~` at the beginning of a name means nothing to a shell.
    let absolute = directory.strip_prefix(".").map_or_else(|_| directory.to_owned(), |below| begin.join(below));
    check_directory(primary, &absolute)
}

/// Checks paths relative to a directory at the primary.
pub(super) fn check_relative(primary: &str, paths: &[PathBuf]) -> Result<(), Error> {
    for path in paths {
        if let Some(fault) = relative_path_fault(path) {
            let path = path.display().to_string();
            let message = format!("primary {primary}: the path {} is refused: {fault}", path.escape_debug());
            return Err(Error::new(Kind::Untrusted, message));
        }
    }
    Ok(())
}

/// Whether what is written through a symbolic link stays below the root of the tree that holds it.
///
/// `link` is the link's path from that root, through real directories only. The target climbs first and descends then:
/// a `..` after a name could leave through another link (CVE-2024-12088).
pub(super) fn link_stays_inside(link: &Path, target: &Path) -> bool {
    let depth = link.components().count().saturating_sub(1);
    let climbs = target.components().take_while(|part| *part == Component::ParentDir).count();
    climbs <= depth
        && target.components().skip(climbs).all(|part| matches!(part, Component::Normal(_) | Component::CurDir))
}

/// Removes the symbolic links of a tree that point out of it; returns their paths from its root, sorted.
///
/// rsync refuses such links itself (`--safe-links`), but its rule had holes, and what a primary sends is not believed.
pub(super) fn remove_escaping_links(root: &Path) -> io::Result<Vec<PathBuf>> {
    let mut removed = Vec::new();
    for entry in walkdir::WalkDir::new(root).min_depth(1).sort_by_file_name() {
        let entry = match entry {
            // Another copy into this tree removes its scratch.
            Err(error) if error.depth() > 0 && is_gone(&error) => continue,
            entry => entry?,
        };
        if !entry.path_is_symlink() {
            continue;
        }
        let relative = entry.path().strip_prefix(root).unwrap_or(entry.path());
        if !link_stays_inside(relative, &fs::read_link(entry.path())?) {
            fs::remove_file(entry.path())?;
            removed.push(relative.to_owned());
        }
    }
    Ok(removed)
}

/// Whether a walk met an entry that was removed meanwhile.
pub(super) fn is_gone(error: &walkdir::Error) -> bool {
    error.io_error().is_some_and(|error| error.kind() == io::ErrorKind::NotFound)
}

/// The first directory on the way to one of these files that is a symbolic link here: writing would go through it.
pub(super) fn link_on_the_way(root: &Path, paths: &[PathBuf]) -> Option<PathBuf> {
    let mut seen = std::collections::BTreeSet::new();
    paths
        .iter()
        .flat_map(|path| path.ancestors().skip(1))
        .filter(|parent| !parent.as_os_str().is_empty() && seen.insert(*parent))
        .find(|parent| fs::symlink_metadata(root.join(parent)).is_ok_and(|metadata| metadata.is_symlink()))
        .map(Path::to_owned)
}

/// Where a file lands below the directory it is copied into.
pub(super) fn landing(path: &Path, flatten: bool) -> &Path {
    match path.file_name() {
        Some(name) if flatten => Path::new(name),
        _ => path,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_plain_relative_paths_are_accepted() {
        for good in ["a", "a/b c", "-dash", "#x", "é", "..a", "a\nb", "a\u{1b}[31m", "a\u{202e}b", "[a]*?\\"] {
            assert_eq!(relative_path_fault(Path::new(good)), None, "{good}");
        }
        for bad in ["", "/a", "a/", "../a", "a/../b", "./a", "a\0b"] {
            assert!(relative_path_fault(Path::new(bad)).is_some(), "{bad:?}");
        }
    }

    #[test]
    fn files_may_also_come_from_below_where_a_login_begins() {
        for good in ["/var/lib/barman", "./main/wals", "./~root/it's"] {
            assert_eq!(check_source("p", Path::new(good)), Ok(()), "{good}");
        }
        for bad in ["main/wals", "~/wals", "./../main", "../main", "/a/../b", "./a\nb", ""] {
            assert!(check_source("p", Path::new(bad)).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_directory_is_absolute_and_printable() {
        for good in ["/var/lib/it's a barman", "/a*", "/a[b]", "/a\\"] {
            assert_eq!(check_directory("p", Path::new(good)), Ok(()));
        }
        for bad in ["var", "", "/a/../b", "/a\nb"] {
            let error = check_directory("p", Path::new(bad)).unwrap_err();
            assert_eq!(error.kind, Kind::Untrusted);
            assert!(!error.message.contains('\n'));
        }
    }

    #[test]
    fn a_link_may_climb_only_to_the_root() {
        for (link, target, inside) in [
            ("a", "b/c", true),
            ("d/a", "../b", true),
            ("data/pg_tblspc/16385", "../../16385", true),
            ("d/a", "../../b", false),
            ("a", "..", false),
            ("a", "/etc", false),
            ("d/e/a", "b/../../c", false),
        ] {
            assert_eq!(link_stays_inside(Path::new(link), Path::new(target)), inside, "{link} -> {target}");
        }
    }

    #[test]
    fn links_out_of_a_tree_are_removed_and_told() {
        let root = tempfile::tempdir().unwrap();
        fs::create_dir(root.path().join("d")).unwrap();
        for (target, link) in [("/etc", "out"), ("../..", "d/up"), ("d", "in"), ("nothing", "dangling")] {
            std::os::unix::fs::symlink(target, root.path().join(link)).unwrap();
        }
        let removed = remove_escaping_links(root.path()).unwrap();
        assert_eq!(removed, [PathBuf::from("d/up"), PathBuf::from("out")]);
        assert!(root.path().join("in").is_symlink() && root.path().join("dangling").is_symlink());
        assert_eq!(link_on_the_way(root.path(), &["x/y".into(), "in/f".into()]), Some("in".into()));
        assert_eq!(link_on_the_way(root.path(), &["in".into(), "d/f".into()]), None);
    }

    #[test]
    fn scratch_is_removed_at_any_depth() {
        let root = tempfile::tempdir().unwrap();
        fs::create_dir_all(root.path().join("d").join(PARTIAL_DIR)).unwrap();
        fs::write(root.path().join("d").join(PARTIAL_DIR).join("f"), "x").unwrap();
        fs::write(root.path().join("d/f"), "x").unwrap();
        fs::create_dir(root.path().join("d").join(".antipode-killed")).unwrap();
        remove_stale_scratch(&root.path().join("d")).unwrap();
        assert!(root.path().join("d").join(PARTIAL_DIR).join("f").exists());
        assert!(!root.path().join("d").join(".antipode-killed").exists());
        remove_scratch(root.path()).unwrap();
        assert!(root.path().join("d/f").exists() && !root.path().join("d").join(PARTIAL_DIR).exists());
    }
}

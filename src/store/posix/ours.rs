//! Whether what is written stays in the hands of the catalog's owner: from the home down, no directory is somebody else's or
//! open to everybody, and no link leads elsewhere but where Barman's users put other disks.
//!
//! It is looked at once, before a run writes: in directories that are ours alone nobody else can plant anything later.

use std::fs::{self, Permissions};
use std::io;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

/// May be written by everybody, and by the group.
const BY_OTHERS: u32 = 0o002;
const BY_GROUP: u32 = 0o020;

/// A directory that is written to, and whether it may be a link to one.
#[derive(Debug, Clone, Copy)]
pub struct Stage<'a> {
    /// Where it is.
    pub directory: &'a Path,
    /// Whether people put a disk there.
    pub may_be_link: bool,
}

/// A directory that is not ours alone.
#[derive(Debug)]
pub struct NotOurs {
    /// Where it is.
    pub directory: PathBuf,
    /// What is wrong with it.
    pub why: io::Error,
}

/// Looks at directories, each after those that it lies in; those that are not there yet will be ours. The links among them
/// that are followed, each with where it leads.
pub fn check<'a>(stages: impl IntoIterator<Item = Stage<'a>>) -> Result<Vec<(PathBuf, PathBuf)>, NotOurs> {
    let mut followed = Vec::new();
    for stage in stages {
        let not_ours = |why| NotOurs { directory: stage.directory.to_owned(), why };
        let leads_to = leads_to(stage).map_err(not_ours)?;
        followed.extend(leads_to.map(|leads_to| (stage.directory.to_owned(), leads_to)));
    }
    Ok(followed)
}

/// Takes from the group what it may write of our own directories.
pub fn shut_group_out<'a>(directories: impl IntoIterator<Item = &'a Path>) -> io::Result<()> {
    for directory in directories {
        let mode = match fs::metadata(directory) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
            found => found?.mode() & 0o7777,
        };
        if mode & BY_GROUP != 0 {
            fs::set_permissions(directory, Permissions::from_mode(mode & !BY_GROUP))?;
        }
    }
    Ok(())
}

fn leads_to(stage: Stage<'_>) -> io::Result<Option<PathBuf>> {
    let us = rustix::process::geteuid().as_raw();
    let found = match fs::symlink_metadata(stage.directory) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        found => found?,
    };
    let is_link = found.is_symlink();
    if is_link && !stage.may_be_link {
        return Err(io::Error::other("it is a symbolic link, and none is followed here; put a directory there"));
    }
    if is_link && found.uid() != us && found.uid() != 0 {
        let why =
            format!("it is a symbolic link that the user with the id {} made; make it anew yourself", found.uid());
        return Err(io::Error::other(why));
    }
    let directory = if is_link { fs::metadata(stage.directory)? } else { found };
    if !directory.is_dir() {
        return Err(io::ErrorKind::NotADirectory.into());
    }
    if directory.uid() != us {
        let why = format!("it belongs to the user with the id {}, who could change what is written", directory.uid());
        return Err(io::Error::other(why));
    }
    if directory.mode() & BY_OTHERS != 0 {
        let why = "every user may write there; see what is in it, and take that away with `chmod o-w`";
        return Err(io::Error::other(why));
    }
    is_link.then(|| fs::read_link(stage.directory)).transpose()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::symlink;

    fn looked_at(directory: &Path, may_be_link: bool) -> Result<Vec<(PathBuf, PathBuf)>, String> {
        check([Stage { directory, may_be_link }]).map_err(|refused| refused.why.to_string())
    }

    #[test]
    fn a_link_of_ours_is_followed_where_a_disk_may_be_and_nowhere_else() {
        let home = tempfile::tempdir().unwrap();
        let (disk, link) = (home.path().join("disk"), home.path().join("wals"));
        fs::create_dir(&disk).unwrap();
        symlink(&disk, &link).unwrap();
        assert_eq!(looked_at(&disk, false), Ok(Vec::new()));
        assert_eq!(looked_at(&home.path().join("absent"), false), Ok(Vec::new()));
        assert_eq!(looked_at(&link, true), Ok(vec![(link.clone(), disk.clone())]));
        assert!(looked_at(&link, false).unwrap_err().contains("it is a symbolic link"));
        fs::remove_dir(&disk).unwrap();
        assert!(looked_at(&link, true).is_err(), "it leads nowhere");
    }

    #[test]
    fn what_everybody_may_write_is_refused_and_what_the_group_may_is_taken_from_it() {
        let home = tempfile::tempdir().unwrap();
        let set = |mode| fs::set_permissions(home.path(), Permissions::from_mode(mode)).unwrap();
        set(0o777);
        assert!(looked_at(home.path(), false).unwrap_err().contains("every user may write there"));
        set(0o775);
        assert_eq!(looked_at(home.path(), false), Ok(Vec::new()));
        shut_group_out([home.path(), &home.path().join("absent")]).unwrap();
        assert_eq!(fs::metadata(home.path()).unwrap().mode() & 0o777, 0o755);
    }

    #[test]
    fn what_is_a_file_or_belongs_to_somebody_else_is_no_place_to_write() {
        let home = tempfile::tempdir().unwrap();
        let file = home.path().join("file");
        fs::write(&file, "").unwrap();
        assert!(looked_at(&file, true).is_err());
        if rustix::process::geteuid().is_root() {
            std::os::unix::fs::chown(home.path(), Some(4711), None).unwrap();
            assert!(looked_at(home.path(), true).unwrap_err().contains("belongs to the user with the id 4711"));
        }
    }
}

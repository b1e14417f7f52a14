//! Who may read what lies in a catalog, whatever the primary's modes and the umask of whoever starts a run.

use std::fs::{self, Permissions};
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use walkdir::WalkDir;

/// Who may read a catalog. Nobody but its owner may write it, and nothing of it is for all users.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Readers {
    /// Its owner alone.
    #[default]
    Owner,
    /// Its owner, and the group that its files belong to.
    Group,
}

impl Readers {
    /// The bits of a mode that no file and no directory has.
    pub fn umask(self) -> u32 {
        match self {
            Self::Owner => 0o077,
            Self::Group => 0o027,
        }
    }

    /// Gives a file, or a directory and all below it, modes of ours. Links stay as they are.
    pub(super) fn settle(self, path: &Path) -> io::Result<()> {
        for entry in WalkDir::new(path) {
            let entry = entry?;
            let bits = match entry.file_type() {
                kind if kind.is_dir() => 0o777,
                kind if kind.is_file() => 0o666,
                _ => continue,
            };
            let mode = bits & !self.umask();
            if entry.metadata()?.permissions().mode() & 0o7777 != mode {
                fs::set_permissions(entry.path(), Permissions::from_mode(mode))?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_is_for_others_and_nobody_but_the_owner_writes() {
        let home = tempfile::tempdir().unwrap();
        let (tree, outside) = (home.path().join("tree"), home.path().join("outside"));
        fs::create_dir_all(tree.join("d")).unwrap();
        fs::write(tree.join("d/file"), "x").unwrap();
        fs::write(&outside, "x").unwrap();
        std::os::unix::fs::symlink(&outside, tree.join("link")).unwrap();
        let set = |path: &Path, mode| fs::set_permissions(path, Permissions::from_mode(mode)).unwrap();
        let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o7777;
        for (readers, directory, file) in [(Readers::Owner, 0o700, 0o600), (Readers::Group, 0o750, 0o640)] {
            set(&tree.join("d"), 0o1777);
            set(&tree.join("d/file"), 0o4777);
            set(&outside, 0o666);
            readers.settle(&tree).unwrap();
            let found = [&tree, &tree.join("d"), &tree.join("d/file"), &outside].map(|path| mode(path));
            assert_eq!(found, [directory, directory, file, 0o666], "{readers:?}");
        }
        assert!(Readers::Owner.settle(&home.path().join("absent")).is_err());
    }
}

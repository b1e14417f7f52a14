//! Which file a program of this host is.

use std::env;
use std::ffi::OsStr;
use std::fs;
use std::path::PathBuf;

use rustix::fs::Access;

use super::Stamp;

/// A program, and what tells whether it is still the same.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Program {
    /// As it is found, through links.
    pub path: PathBuf,
    /// Of the file that the links lead to.
    pub stamp: Stamp,
}

/// The file that is run for a name, looked for in these directories as `PATH` has them; `None` where there is none, or
/// where that depends on the current directory.
pub fn find(name: &str, directories: &OsStr) -> Option<Program> {
    for directory in env::split_paths(directories) {
        if directory.is_relative() {
            return None;
        }
        let path = directory.join(name);
        if let Ok(metadata) = fs::metadata(&path)
            && metadata.is_file()
            && rustix::fs::access(&path, Access::EXEC_OK).is_ok()
        {
            return Some(Program { path, stamp: Stamp::of(&metadata) });
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{PermissionsExt, symlink};
    use std::path::Path;

    use super::*;

    fn found(directories: &[&Path]) -> Option<PathBuf> {
        find("barman", &env::join_paths(directories).unwrap()).map(|program| program.path)
    }

    #[test]
    fn the_first_that_can_be_run_is_found_wherever_its_link_leads() {
        let home = tempfile::tempdir().unwrap();
        let [a, b, c] = ["a", "b", "c"].map(|name| home.path().join(name));
        for directory in [&a, &b, &c] {
            fs::create_dir(directory).unwrap();
        }
        assert_eq!(found(&[&a, &b]), None);
        fs::write(a.join("barman"), "notes").unwrap();
        fs::create_dir(b.join("barman")).unwrap();
        symlink(home.path().join("program"), c.join("barman")).unwrap();
        assert_eq!(found(&[&a, &b, &c]), None);
        let program = home.path().join("program");
        fs::write(&program, "#!/bin/sh\n").unwrap();
        fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).unwrap();
        assert_eq!(found(&[&a, &b, &c]), Some(c.join("barman")));
        assert_eq!(found(&[Path::new("bin"), &c]), None, "that depends on the current directory");
        let before = find("barman", c.as_os_str()).unwrap();
        fs::write(&program, "#!/bin/sh\nexit\n").unwrap();
        assert_ne!(find("barman", c.as_os_str()).unwrap().stamp, before.stamp);
    }
}

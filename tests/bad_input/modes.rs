//! Who may read and write what came: what the site says, whatever the primary's modes and the umask.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use crate::bench::{Bench, run};

/// The modes of all below a directory that are not these; sockets and links have none of their own.
fn others(directory: &Path, of_directory: u32, of_file: u32) -> Vec<String> {
    let walk = walkdir::WalkDir::new(directory).min_depth(1).into_iter().map(Result::unwrap);
    let mode = |entry: &walkdir::DirEntry| entry.metadata().unwrap().permissions().mode() & 0o7777;
    let is_other = |entry: &walkdir::DirEntry| match entry.file_type() {
        kind if kind.is_dir() => mode(entry) & !of_directory != 0,
        kind if kind.is_file() => mode(entry) & !of_file != 0,
        _ => false,
    };
    walk.filter(is_other).map(|entry| format!("{:o} {}", mode(&entry), entry.path().display())).collect()
}

fn open_to_everybody(directory: &Path) {
    for entry in walkdir::WalkDir::new(directory).into_iter().map(Result::unwrap) {
        let mode = if entry.file_type().is_dir() { 0o1777 } else { 0o6777 };
        if !entry.path_is_symlink() {
            fs::set_permissions(entry.path(), Permissions::from_mode(mode)).unwrap();
        }
    }
}

#[test]
fn nothing_that_comes_is_for_others_or_written_by_the_group_whatever_the_primary_and_the_umask_say() {
    for (group, directory, file) in [("", 0o700, 0o600), (", group: read", 0o750, 0o640)] {
        let bench = Bench::start();
        bench.declare(&bench.usual_site().replace(", deep_every", &format!("{group}, deep_every")));
        open_to_everybody(&bench.path("primary"));
        for umask in ["000", "077"] {
            let asked = bench.command(&["apply", "--auto-approve"]);
            let script = format!("umask {umask}; exec \"$0\" apply --auto-approve");
            let mut shell = std::process::Command::new("sh");
            shell.arg("-c").arg(script).arg(asked.get_program()).current_dir(bench.path("")).env_clear();
            for (name, value) in asked.get_envs() {
                shell.env(name, value.unwrap_or_default());
            }
            run(&mut shell).expect(0);
            assert_eq!(others(&bench.catalog(), directory, file), Vec::<String>::new(), "{group} {umask}");
        }
        let info = bench.catalog().join("main/meta/20261122T030000-backup.info");
        let readable = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!(readable(&info), file);
        for base in ["main/base/20261122T030000/data/PG_VERSION", "main/wals/main-xlog.db"] {
            assert_eq!(readable(&bench.catalog().join(base)), file, "{base}");
        }
        bench.antipode(&["plan", "--detailed-exitcode"]).expect(0);
    }
}

//! The directories in which everything of a test happens, and their end.
//!
//! All are inside one directory of the process, `/tmp/apl.XXXXXX`: short, as a
//! unix socket's path has to fit in 108 bytes. A [`Lab`] is removed when its
//! test ends. What tests share is in statics, which Rust never drops, and a
//! test process may be killed: so a janitor, a shell that waits for the process
//! to end, kills every program left and removes the directory.

use std::fs;
use std::ops::Deref;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::LazyLock;

use tempfile::TempDir;

use crate::account::ACCOUNT;

/// The name of the environment variable that keeps all directories for a look.
const KEEP: &str = "ANTIPODE_LAB_KEEP";

/// Waits for the end of its standard input, which only the test process holds
/// open. `$1` is the process's directory, `$2` says whether to keep it. Each
/// file in `pids/` is named for a process group that still runs.
const JANITOR: &str = r#"
cat
for group in $(ls "$1/pids"); do kill -KILL "-$group"; done
[ -n "$2" ] || { sleep 0.2; rm -rf "$1"; }
"#;

static GROUND: LazyLock<Ground> = LazyLock::new(Ground::break_up);

struct Ground {
    path: PathBuf,
    /// Holds the pipe that tells the janitor when this process has ended.
    _janitor: Child,
}

impl Ground {
    fn break_up() -> Self {
        let path = temporary_directory("apl.", Path::new("/tmp")).keep();
        fs::create_dir(path.join("pids")).expect("make the directory of the janitor");
        let janitor = Command::new("/bin/sh")
            .args(["-c", JANITOR, "janitor"])
            .arg(&path)
            .arg(std::env::var_os(KEEP).unwrap_or_default())
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .process_group(0)
            .spawn()
            .expect("start the janitor");
        Self { path, _janitor: janitor }
    }
}

/// A directory that every user may enter, and that belongs to the account.
fn temporary_directory(prefix: &str, parent: &Path) -> TempDir {
    let directory = tempfile::Builder::new()
        .prefix(prefix)
        .permissions(fs::Permissions::from_mode(0o755))
        .tempdir_in(parent)
        .unwrap_or_else(|error| panic!("a directory in {}: {error}", parent.display()));
    ACCOUNT.own(directory.path());
    directory
}

/// Notes down a process group that the janitor has to kill; the note is the
/// file returned, to be removed once the group has ended.
pub fn note_process_group(group: u32) -> PathBuf {
    let note = GROUND.path.join("pids").join(group.to_string());
    fs::write(&note, "").expect("note a process group for the janitor");
    note
}

/// A directory of a test's own, gone when the test ends.
#[derive(Debug)]
pub struct Lab {
    directory: TempDir,
}

impl Lab {
    /// Makes the directory.
    pub fn new() -> Self {
        let mut directory = temporary_directory("", &GROUND.path);
        if std::env::var_os(KEEP).is_some() {
            directory.disable_cleanup(true);
            eprintln!("the laboratory stays in {}", directory.path().display());
        }
        Self { directory }
    }

    /// Makes a directory in it that belongs to the account.
    pub fn directory(&self, name: &str) -> PathBuf {
        ACCOUNT.make_directory(&self.directory.path().join(name))
    }
}

impl Deref for Lab {
    type Target = Path;

    fn deref(&self) -> &Path {
        self.directory.path()
    }
}

/// A directory that all tests of the process share.
pub fn shared_directory(name: &str) -> PathBuf {
    ACCOUNT.make_directory(&GROUND.path.join(name))
}

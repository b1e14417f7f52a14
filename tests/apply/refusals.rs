//! Catalogs that may not be written: nothing is changed, and the user is told why.

use std::fs::{self, Permissions};
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown, lchown};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use antipode::store::home::{self, HomeError};

use super::executable::copy_program;
use super::ground::{Ground, TestSite};

/// An unprivileged user that every Linux has.
const NOBODY: u32 = 65534;

fn is_root() -> bool {
    fs::metadata("/proc/self").unwrap().uid() == 0
}

/// Applies as a user whom modes bind: as nobody when this is root, else as ourselves. What the user needs is handed
/// over first.
fn apply_unprivileged(site: &TestSite, directory: &Path) -> Output {
    let program = directory.join("antipode");
    let mut command = if is_root() {
        // Where cargo keeps it, nobody may not go.
        copy_program(env!("CARGO_BIN_EXE_antipode"), &program);
        fs::set_permissions(directory, Permissions::from_mode(0o755)).unwrap();
        let mut command = Command::new(&program);
        command.uid(NOBODY).gid(NOBODY);
        command
    } else {
        Command::new(env!("CARGO_BIN_EXE_antipode"))
    };
    command.args(["apply", "--auto-approve", "-f"]).arg(&site.file).current_dir("/").output().unwrap()
}

fn give(path: &Path, user: u32) {
    if is_root() {
        for entry in walkdir::WalkDir::new(path) {
            lchown(entry.unwrap().path(), Some(user), Some(user)).unwrap();
        }
    }
}

fn set_mode(path: &Path, mode: u32) {
    fs::set_permissions(path, Permissions::from_mode(mode)).unwrap();
}

#[tokio::test]
async fn a_read_only_catalog_is_left_as_it_is() {
    let ground = Ground::new().await;
    let site = ground.day_old_site("site");
    let before = site.content();
    give(&site.catalog, NOBODY);
    fs::remove_dir_all(site.catalog.join(".antipode")).unwrap();
    set_mode(&site.catalog, 0o500);
    let output = apply_unprivileged(&site, ground.path());
    set_mode(&site.catalog, 0o700);
    let error = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(1), "{error}");
    assert!(error.contains("cannot be written: Permission denied"), "{error}");
    assert_eq!(site.content(), before);
}

#[tokio::test]
async fn what_cannot_be_written_fails_alone() {
    let ground = Ground::new().await;
    let site = ground.day_old_site("site");
    give(&site.catalog, NOBODY);
    let meta = site.dirs().meta_directory;
    set_mode(&meta, 0o500);
    let output = apply_unprivileged(&site, ground.path());
    set_mode(&meta, 0o700);
    let error = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(4), "{error}");
    assert!(error.contains("Permission denied") && error.contains("hint: run as the user that owns"), "{error}");
    give(&site.catalog, 0);
    super::readable::assert_readable(&site.dirs());
    // Only the publication of the new backup is left to do.
    assert_eq!(site.converge().await, 0);
}

#[tokio::test]
async fn a_catalog_of_somebody_else_is_refused() {
    let directory = tempfile::tempdir().unwrap();
    let catalog = if is_root() {
        chown(directory.path(), Some(NOBODY), None).unwrap();
        directory.path().to_owned()
    } else {
        PathBuf::from("/usr")
    };
    let refused = home::prepare(&catalog).unwrap_err();
    assert!(matches!(refused, HomeError::Owner { .. }), "{refused}");
    assert!(!catalog.join(".antipode").exists());
}

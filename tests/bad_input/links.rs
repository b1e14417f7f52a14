//! Links in the place of what is read and written: at the site nothing is written through one that nobody has a reason to
//! make, and at a primary that is a path none is followed in the place of a backup.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;

use crate::bench::{Bench, Finished, snapshot};

const BACKUP: &str = "20261122T030000";

/// A bench whose primary is a path.
fn by_path() -> Bench {
    let bench = Bench::start();
    let (catalog, primary) = (bench.catalog(), bench.path("primary"));
    bench.declare(&format!(
        "version: 1\nsite: lisbon\ncatalog: {{path: '{}', deep_every: always, reserve: none, barman: '3.19.1'}}\n\
         primaries: {{frankfurt: {{path: '{}'}}}}\nreplicas: {{main: {{primary: frankfurt}}}}\n",
        catalog.display(),
        primary.display()
    ));
    bench
}

/// Puts a link in the place of something, which goes elsewhere.
fn plant(at: &Path, elsewhere: &Path) {
    fs::create_dir_all(at.parent().unwrap()).unwrap();
    if at.exists() {
        fs::rename(at, elsewhere).unwrap();
    }
    symlink(elsewhere, at).unwrap();
}

#[track_caller]
fn nothing_went(elsewhere: &Path, before: &std::collections::BTreeMap<std::path::PathBuf, String>, applied: &Finished) {
    assert_eq!(&snapshot(elsewhere), before, "{applied}");
}

#[test]
fn nothing_is_written_through_a_planted_link() {
    let id = BACKUP;
    for (place, said) in [
        (".antipode", "symbolic link"),
        ("main/.antipode", "symbolic link"),
        ("main/meta", "symbolic link"),
        ("main/.antipode/staging", "symbolic link"),
        (&format!("main/.antipode/staging/{id}"), "symbolic link"),
        ("main/wals/0000000200000000", "link"),
    ] {
        let bench = by_path();
        let elsewhere = bench.path("outside");
        plant(&bench.catalog().join(place), &elsewhere);
        let before = snapshot(&elsewhere);
        let applied = bench.antipode(&["apply", "--auto-approve"]);
        assert!(matches!(applied.code, Some(1 | 4)), "{place}: {applied}");
        applied.says(&[said]);
        nothing_went(&elsewhere, &before, &applied);
    }
}

#[test]
fn a_lock_that_is_a_link_is_not_written_to() {
    for lock in [".main-cron.lock", ".antipode/main.lock", ".main-xlogdb.lock"] {
        let bench = by_path();
        let target = bench.path("outside/canary");
        let at = bench.catalog().join(lock);
        fs::create_dir_all(at.parent().unwrap()).unwrap();
        symlink(&target, &at).unwrap();
        let applied = bench.antipode(&["apply", "--auto-approve"]);
        assert_ne!(applied.code, Some(0), "{lock}: {applied}");
        assert_eq!(fs::read_to_string(&target).unwrap(), "alive", "{lock}: {applied}");
    }
}

#[test]
fn a_link_of_ours_where_a_disk_may_be_is_followed_and_said() {
    for place in ["main", "main/wals", "main/base"] {
        let bench = by_path();
        let disk = bench.path("disk");
        fs::create_dir(&disk).unwrap();
        let at = bench.catalog().join(place);
        fs::create_dir_all(at.parent().unwrap()).unwrap();
        symlink(&disk, &at).unwrap();
        bench.antipode(&["apply", "--auto-approve"]).expect(0);
        let said = format!("is a symbolic link, and is followed: what is written there goes to {}", disk.display());
        bench.antipode(&["plan", "--detailed-exitcode"]).expect(0).says(&[&said]);
        assert!(fs::read_dir(&disk).unwrap().count() > 0, "{place}");
    }
}

#[test]
fn a_catalog_that_everybody_may_write_is_refused() {
    use std::os::unix::fs::PermissionsExt;
    let bench = by_path();
    fs::create_dir(bench.catalog().join("main")).unwrap();
    fs::set_permissions(bench.catalog().join("main"), fs::Permissions::from_mode(0o777)).unwrap();
    bench.antipode(&["apply", "--auto-approve"]).expect(4).says(&["every user may write there"]);
}

#[test]
fn a_backup_of_a_path_that_is_a_link_is_not_copied() {
    let refused =
        "is a symbolic link, and is not followed hint: see who made it; another disk belongs in the place of `base`";
    for (place, said) in [("", refused), ("data", "does not verify")] {
        let bench = by_path();
        let secret = bench.path("secret");
        plant(
            &bench.path("primary/main/base").join(BACKUP).join(place).components().collect::<std::path::PathBuf>(),
            &secret,
        );
        let applied = bench.antipode(&["apply", "--auto-approve"]);
        applied.expect(4).says(&[BACKUP, said]);
        assert!(!bench.path(&format!("catalog/main/meta/{BACKUP}-backup.info")).exists());
        assert!(bench.path("catalog/main/meta/20261121T030000-backup.info").exists());
    }
}

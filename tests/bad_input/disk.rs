//! A disk that is full or read-only, and a catalog of somebody else.
//!
//! The catalog is a small tmpfs in a mount namespace of its own, which root and ordinary users can make.

use std::fs;
use std::path::Path;
use std::process::Command;

use crate::bench::{Finished, command, run};
use crate::demo;

/// Runs a script with the catalog on a tmpfs of this size, as the root of a mount namespace.
#[track_caller]
fn in_namespace(directory: &Path, size: &str, script: &str) {
    let is_root = rustix::process::geteuid().is_root();
    let prelude = format!(
        "set -e\nmount --make-rprivate / 2>/dev/null || true\nmount -t tmpfs -o size={size},mode=755 none catalog\n\
         antipode() {{ name=$1; shift; code=0; '{}' \"$@\" > \"$name.out\" 2>&1 || code=$?; echo $code > \"$name.code\"; }}\n",
        env!("CARGO_BIN_EXE_antipode"),
    );
    let mut unshare = Command::new("unshare");
    // Whoever runs this may have a root that is no mount point, whose mounts cannot be made private.
    unshare.arg(if is_root { "-m" } else { "-Urm" }).args(["--propagation", "unchanged"]);
    unshare.args(["sh", "-c", &format!("{prelude}{script}")]);
    let output = unshare.env("HOME", directory).env("RUST_BACKTRACE", "0").current_dir(directory).output().unwrap();
    assert!(
        output.status.success(),
        "this test needs mount namespaces (`unshare -m` as root, or unprivileged user namespaces):\n{}{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
}

/// A directory with a primary `main` and a site file.
fn directory() -> tempfile::TempDir {
    let directory = tempfile::tempdir().unwrap();
    let at = directory.path().display();
    demo::write_whole(&directory.path().join("primary"));
    fs::create_dir(directory.path().join("catalog")).unwrap();
    let site = format!(
        "version: 1\nsite: lisbon\ncatalog: {{path: '{at}/catalog', deep_every: always, reserve: none, barman: '3.19.1'}}\n\
         primaries: {{frankfurt: {{path: '{at}/primary'}}}}\nreplicas: {{main: {{primary: frankfurt}}}}\n"
    );
    fs::write(directory.path().join("antipode.yaml"), site).unwrap();
    directory
}

fn read(directory: &Path, name: &str) -> String {
    fs::read_to_string(directory.join(name)).unwrap_or_else(|error| panic!("{name}: {error}"))
}

/// What a step of a script printed, after its exit code was checked.
#[track_caller]
fn step(directory: &Path, name: &str, code: i32) -> String {
    let output = read(directory, &format!("{name}.out"));
    assert_eq!(read(directory, &format!("{name}.code")).trim(), code.to_string(), "{name}: {output}");
    output.split_whitespace().collect::<Vec<_>>().join(" ")
}

#[test]
fn a_full_disk_keeps_what_was_published_and_goes_on_where_it_stopped() {
    let directory = directory();
    let at = directory.path();
    // There is room for the bytes, and so it is begun, but not for the files: those that are to come are some 130.
    in_namespace(
        at,
        "64m,nr_inodes=110",
        "antipode full apply --auto-approve
         find catalog -type f -size +64k -printf '%f %i\\n' | sort > before
         mount -o remount,nr_inodes=10000 catalog
         antipode more apply --auto-approve
         find catalog -type f -size +64k -printf '%f %i\\n' | sort > after
         antipode plan plan --detailed-exitcode
         cp -a catalog copy",
    );
    let told = step(at, "full", 4);
    for said in ["main", "No space left on device", "free space on this file system and apply again"] {
        assert!(told.contains(said), "{said}: {told}");
    }
    step(at, "more", 0);
    assert!(step(at, "plan", 0).contains("in sync"));
    // What had arrived whole is the same file still.
    let (before, after) = (read(at, "before"), read(at, "after"));
    assert!(before.lines().count() > 0, "{told}");
    let again: Vec<&str> = before.lines().filter(|line| !after.lines().any(|other| other == *line)).collect();
    assert!(again.is_empty(), "copied again: {again:?}\n{told}");
    for id in ["20261121T030000", "20261122T030000"] {
        assert!(at.join(format!("copy/main/meta/{id}-backup.info")).exists());
    }
}

#[test]
fn what_does_not_fit_is_not_begun_and_comes_when_there_is_room() {
    let directory = directory();
    let at = directory.path();
    in_namespace(
        at,
        "11m",
        "antipode one apply --auto-approve
         antipode still plan --detailed-exitcode
         antipode status status
         find catalog -path '*staging/20261121T030000*' -o -path '*base/20261121T030000*' > begun
         mount -o remount,size=64m catalog
         antipode both apply --auto-approve
         antipode plan plan --detailed-exitcode",
    );
    let told = step(at, "one", 1);
    for said in
        ["20261121T030000 does not fit", "backup 20261122T030000", "published", "Does not fit: 1 backup of main"]
    {
        assert!(told.contains(said), "{said}: {told}");
    }
    assert!(step(at, "still", 1).contains("20261121T030000 does not fit"));
    assert!(step(at, "status", 2).contains("20261121T030000 does not fit"));
    assert_eq!(read(at, "begun"), "");
    step(at, "both", 0);
    assert!(step(at, "plan", 0).contains("in sync"));
}

#[test]
fn a_read_only_catalog_is_planned_and_not_applied() {
    let directory = directory();
    let at = directory.path();
    in_namespace(
        at,
        "64m",
        "mount -o remount,ro catalog
         antipode plan plan --detailed-exitcode
         antipode apply apply --auto-approve
         mount -o remount,rw catalog
         antipode fill apply --auto-approve
         mount -o remount,ro catalog
         antipode again plan --detailed-exitcode",
    );
    assert!(step(at, "plan", 2).contains("backup 20261122T030000"));
    let told = step(at, "apply", 1);
    for said in ["/catalog cannot be written", "Read-only file system", "hint:"] {
        assert!(told.contains(said), "{said}: {told}");
    }
    step(at, "fill", 0);
    step(at, "again", 0);
}

fn antipode(directory: &Path, arguments: &[&str]) -> Finished {
    run(&mut command(directory, arguments))
}

#[test]
fn a_catalog_that_is_missing_and_cannot_be_made_is_told_by_plan_and_apply_with_what_makes_it() {
    let directory = directory();
    let catalog = directory.path().join("catalog");
    fs::remove_dir_all(&catalog).unwrap();
    antipode(directory.path(), &["plan"]).expect(0).never_says("an apply is refused");
    let site = read(directory.path(), "antipode.yaml");
    let missing = directory.path().join("no/catalog").display().to_string();
    fs::write(directory.path().join("antipode.yaml"), site.replace(&catalog.display().to_string(), &missing)).unwrap();
    let said = [format!("the catalog {missing} does not exist, and "), "sudo install -d -m 0750 -o ".to_owned()];
    let said = said.each_ref().map(String::as_str);
    antipode(directory.path(), &["plan"]).expect(0).says(&["an apply is refused"]).says(&said);
    antipode(directory.path(), &["apply", "--auto-approve"]).expect(1).says(&said);
    assert!(!directory.path().join("no").exists());
}

#[test]
fn a_catalog_of_another_user_is_refused_with_both_names() {
    let directory = directory();
    let (catalog, owner) = if rustix::process::geteuid().is_root() {
        let catalog = directory.path().join("catalog");
        std::os::unix::fs::chown(&catalog, Some(1), Some(1)).unwrap();
        (catalog, 1)
    } else {
        (std::path::PathBuf::from("/usr/games"), 0)
    };
    let site = read(directory.path(), "antipode.yaml");
    let own = directory.path().join("catalog").display().to_string();
    fs::write(directory.path().join("antipode.yaml"), site.replace(&own, &catalog.display().to_string())).unwrap();
    let name = |id: u32| {
        let passwd = fs::read_to_string("/etc/passwd").unwrap();
        let line = passwd.lines().find(|line| line.split(':').nth(2) == Some(&id.to_string()));
        line.map_or_else(|| format!("user id {id}"), |line| line.split(':').next().unwrap().to_owned())
    };
    let us = rustix::process::geteuid().as_raw();
    let belongs = format!("belongs to {}, and this is {}", name(owner), name(us));
    let sudo = format!("sudo -u {} antipode", name(owner));
    let said = [&catalog.display().to_string(), &belongs, "run as its owner", &sudo];
    antipode(directory.path(), &["apply", "--auto-approve"]).expect(1).says(&said);
    antipode(directory.path(), &["plan"]).expect(0).says(&["Warning: an apply is refused", &belongs, &sudo]);
    assert_eq!(fs::read_dir(directory.path().join("catalog")).unwrap().count(), 0);
}

#[test]
fn a_run_on_a_full_disk_warns_that_it_is_not_recorded_and_breaks_no_history() {
    let directory = directory();
    let at = directory.path();
    in_namespace(
        at,
        "64m",
        "antipode first apply --auto-approve
         cat catalog/main/wals/main-xlog.db catalog/main/wals/main-xlog.db > list
         cat list > catalog/main/wals/main-xlog.db
         dd if=/dev/zero of=catalog/fill bs=4k 2>/dev/null || true
         antipode full apply --auto-approve
         antipode told history
         rm catalog/fill
         antipode again apply --auto-approve
         antipode whole history\n",
    );
    step(at, "first", 0);
    assert!(step(at, "full", 4).contains("Warning: this run is not recorded for `antipode history`: "));
    assert_eq!(step(at, "told", 0).matches("apply").count(), 1);
    step(at, "again", 0);
    assert_eq!(step(at, "whole", 0).matches("apply").count(), 2);
}

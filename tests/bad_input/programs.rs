//! rsync, and Barman, that are missing or too old, here and at the primary.

use std::fs;
use std::os::unix::fs::symlink;

use crate::bench::{Bench, run, which, write_script};

/// Makes `here`, a PATH with what Antipode runs on this machine, but for rsync.
fn path_without_rsync(bench: &Bench) -> String {
    fs::create_dir(bench.path("here")).unwrap();
    for name in ["ssh", "sh"] {
        symlink(which(name), bench.path("here").join(name)).unwrap();
    }
    bench.path("here").display().to_string()
}

#[test]
fn an_rsync_that_is_missing_or_too_old_here_is_told_with_the_version_needed() {
    let bench = Bench::start();
    let path = path_without_rsync(&bench);
    let plan = || run(bench.command(&["plan"]).env("PATH", &path));
    plan().expect(1).says(&[
        "main",
        "frankfurt",
        "`rsync` cannot be run on this machine",
        "install rsync 3.2.3 or newer",
    ]);
    write_script(&bench.path("here/rsync"), "echo 'rsync  version 3.1.3  protocol version 31'");
    plan().expect(1).says(&[
        "main",
        "frankfurt",
        "the rsync of this machine is 3.1.3",
        "3.2.3 or newer is needed",
        "upgrade rsync",
    ]);
    write_script(&bench.path("here/rsync"), "echo 'openrsync: protocol \u{1b}[31mversion 29'");
    plan().expect(1).says(&["main", "3.2.3 or newer is needed"]);
    assert!(!bench.path("catalog/main").exists());
}

#[test]
fn an_rsync_here_of_which_faults_are_known_is_warned_of_unless_its_package_names_the_remedies() {
    let bench = Bench::start();
    let path = path_without_rsync(&bench);
    let run_here = |arguments: &[&str]| run(bench.command(arguments).env("PATH", &path));
    let version = |version: &str| {
        let real = which("rsync");
        let says =
            format!("if [ \"$1\" = --version ]; then echo 'rsync  version {version}  protocol version 31'; exit; fi");
        write_script(&bench.path("here/rsync"), &format!("{says}\nexec {} \"$@\"", real.display()));
    };
    let warning = "could use rsync";

    version("3.4.1");
    let told = run_here(&["plan"]);
    told.expect(0).says(&[
        "Warning: a primary that was taken over could use rsync 3.4.1 against this site: no package shows a remedy for \
         CVE-2026-43618, CVE-2026-43620, CVE-2026-70458",
        "hint: upgrade rsync at this site to 3.5.0 or newer",
    ]);
    assert_eq!(told.output.matches(warning).count(), 1, "{told}");
    run_here(&["-q", "plan"]).expect(0).never_says(warning);
    version("3.5.0");
    run_here(&["plan"]).expect(0).never_says(warning);

    version("3.4.1");
    let package = |changelog: &str| write_script(&bench.path("here/rpm"), &format!("echo '{changelog}'"));
    package("- Fix CVE-2026-43618 and CVE-2026-43620");
    run_here(&["plan"]).expect(0).says(&["its package names no remedy for CVE-2026-70458"]);
    package("- Fix CVE-2026-43618, CVE-2026-43620 and CVE-2026-70458");
    run_here(&["plan"]).expect(0).never_says(warning);
    write_script(&bench.path("here/rpm"), "echo 'CVE-2026-43618 CVE-2026-43620 CVE-2026-70458'; exit 1");
    let applied = run_here(&["apply", "--auto-approve"]);
    applied.expect(0).says(&["no package shows a remedy"]);
    assert_eq!(applied.output.matches(warning).count(), 1, "{applied}");
}

#[test]
fn an_rsync_that_is_missing_or_too_old_at_the_primary_is_told_with_the_version_needed() {
    let bench = Bench::start();
    fs::remove_file(bench.path("bin/rsync")).unwrap();
    bench.refuses_to_plan(&["main", "primary frankfurt", "no program `rsync`", "install rsync 3.2.3 or newer there"]);
    // One that is missed late: what it closes first tells of a lost connection, and its end of what it is.
    bench.program("rsync", "exec >&-; sleep 1; exit 127");
    bench.refuses_to_plan(&["main", "primary frankfurt", "no program `rsync`", "install rsync 3.2.3 or newer there"]);
    bench.program("rsync", "exec >&-; sleep 1; echo 'this key may not' >&2; exit 1");
    bench.refuses_to_plan(&["main", "primary frankfurt", "exit code 1", "this key may not"]);
    bench.program("rsync", "echo 'rsync: --new-thing: unknown option' >&2; exit 1");
    bench.refuses_to_plan(&["main", "primary frankfurt", "its rsync does not know", "3.2.3 or newer"]);
    assert!(!bench.path("catalog/main").exists());
}

#[test]
fn a_barman_that_is_missing_at_the_primary_is_named() {
    let bench = Bench::start();
    fs::remove_file(bench.path("bin/barman")).unwrap();
    bench.refuses_to_plan(&["main", "primary frankfurt", "there is no program", "`barman.command`"]);
}

//! More than was said: files that are large beyond all sense, a base that grows, a sender that sends more than it told.

use std::fs::{self, File};
use std::os::unix::fs::symlink;
use std::path::Path;

use crate::bench::{Bench, which};

const BACKUP: &str = "20261122T030000";

/// Makes a file that has so many bytes and takes no room.
fn sparse(path: &Path, bytes: u64) {
    File::options().create(true).truncate(false).write(true).open(path).unwrap().set_len(bytes).unwrap();
}

/// Has rsync at the primary run a script before each copy of files, not before it lists any.
fn before_each_copy(bench: &Bench, script: &str) {
    let rsync = bench.path("bin/real-rsync");
    symlink(which("rsync"), &rsync).unwrap();
    symlink(which("truncate"), bench.path("bin/truncate")).unwrap();
    let run = format!(
        "case \"$*\" in *--list-only*) ;; *--files-from*/base/{BACKUP}/*) {script} ;; esac\nexec real-rsync \"$@\""
    );
    bench.program("rsync", &run);
}

#[test]
fn small_files_that_are_huge_cost_no_more_than_their_name() {
    for (file, code, said) in [
        (format!("meta/{BACKUP}-keep"), 0, "is passed over: it has 3221225472 bytes"),
        (format!("base/{BACKUP}/data/backup_manifest"), 0, BACKUP),
        ("wals/main-xlog.db".to_owned(), 1, "its xlog.db has more than 320 MiB"),
        ("wals/00000002.history".to_owned(), 0, "00000002.history is left out: it has 3221225472 bytes"),
    ] {
        let bench = Bench::start();
        sparse(&bench.path("primary/main").join(&file), 3 << 30);
        bench.antipode(&["plan"]).expect(code).says(&[said]);
    }
}

#[test]
fn a_base_that_grew_beyond_what_was_announced_is_not_copied() {
    let bench = Bench::start();
    sparse(&bench.path(&format!("primary/main/base/{BACKUP}/data/base/5/filler")), 2 << 30);
    let applied = bench.antipode(&["apply", "--auto-approve"]);
    applied.expect(4).says(&[BACKUP, "its backup.info says", "data/base/5/filler"]);
    assert!(!bench.path(&format!("catalog/main/meta/{BACKUP}-backup.info")).exists());
    assert!(bench.path("catalog/main/meta/20261121T030000-backup.info").exists());
    let copied =
        walkdir::WalkDir::new(bench.catalog()).into_iter().map(|entry| entry.unwrap().metadata().unwrap().len());
    assert!(copied.sum::<u64>() < 1 << 30);
}

#[test]
fn files_that_no_manifest_lists_are_named_as_long_as_the_backup_is_here() {
    let bench = Bench::start();
    fs::write(bench.path(&format!("primary/main/base/{BACKUP}/data/base/evil")), "x").unwrap();
    bench.antipode(&["apply", "--auto-approve"]).expect(0);
    let told = ["has 1 file that its backup_manifest does not list", "data/base/evil"];
    bench.antipode(&["plan", "--detailed-exitcode"]).expect(0).says(&told);
    bench.antipode(&["status"]).says(&told);
}

#[test]
fn a_sender_that_sends_more_than_it_told_is_cut_off() {
    let bench = Bench::start();
    let data = bench.path(&format!("primary/main/base/{BACKUP}/data"));
    let grows = format!("truncate -s 2G '{}'", data.join("PG_VERSION").display());
    before_each_copy(&bench, &grows);
    let applied = bench.antipode(&["apply", "--auto-approve"]);
    applied.expect(4).says(&[BACKUP, "more came of a file than there was", "PG_VERSION"]);
    assert!(!bench.path(&format!("catalog/main/meta/{BACKUP}-backup.info")).exists());
    let largest =
        walkdir::WalkDir::new(bench.catalog()).into_iter().map(|entry| entry.unwrap().metadata().unwrap().len());
    assert!(largest.max().unwrap() < 64 << 20, "{applied}");
}

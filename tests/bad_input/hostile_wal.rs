//! WAL whose bytes are not what its name and the lists say, at either end, and what is in its way at the site.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::PathBuf;
use std::process::Command;

use crate::bench::Bench;

const HASH: &str = "0000000100000000";

/// A WAL file of timeline 1 at one end.
fn wal(bench: &Bench, end: &str, number: &str) -> PathBuf {
    bench.path(&format!("{end}/main/wals/{HASH}/{}", name(number)))
}

fn name(number: &str) -> String {
    format!("{HASH}000000{number}")
}

/// Puts other bytes into a file and leaves its size.
fn fill(path: &PathBuf, byte: u8) {
    let length = fs::metadata(path).unwrap().len();
    fs::write(path, vec![byte; usize::try_from(length).unwrap()]).unwrap();
}

#[test]
fn wal_that_is_not_what_the_lists_say_is_refused_by_name_and_holds_up_no_other() {
    let bench = Bench::start();
    let there = |number| wal(&bench, "primary", number);
    fill(&there("05"), 0);
    fill(&there("06"), 7);
    fill(&there("08"), 7);
    fs::copy(there("03"), there("04")).unwrap();
    for _ in 0..2 {
        bench.antipode(&["apply", "--auto-approve"]).expect(4).says(&[
            "000000010000000000000005 is damaged: it begins with zeros",
            "000000010000000000000006 is damaged: it does not begin as WAL does",
            "000000010000000000000008 is damaged: it is listed as gzip and does not begin so",
            "000000010000000000000004 holds the segment at 0/300000",
        ]);
        let list = fs::read_to_string(bench.path("catalog/main/wals/main-xlog.db")).unwrap();
        for number in ["04", "05", "06", "08"] {
            assert!(!wal(&bench, "catalog", number).exists() && !list.contains(&format!("{}\t", name(number))));
        }
        for number in ["03", "07", "09", "0F"] {
            assert!(wal(&bench, "catalog", number).exists() && list.contains(&name(number)), "{number}");
        }
    }
    bench.antipode(&["plan", "--detailed-exitcode"]).expect(2);
}

#[test]
fn wal_that_was_damaged_here_without_a_change_of_size_is_repaired_or_named() {
    let bench = Bench::in_sync();
    let here = |number| wal(&bench, "catalog", number);
    let history = bench.path("catalog/main/wals/00000002.history");
    let before: Vec<Vec<u8>> = [&here("05"), &here("08"), &history].map(|path| fs::read(path).unwrap()).into();
    fill(&here("05"), 0);
    fill(&here("08"), 7);
    fill(&history, 7);
    bench.antipode(&["plan", "--detailed-exitcode"]).expect(2).says(&["damaged here"]);
    bench.antipode(&["apply", "--auto-approve"]).expect(0).says(&["2 WAL segments and 1 history file repaired"]);
    let after: Vec<Vec<u8>> = [&here("05"), &here("08"), &history].map(|path| fs::read(path).unwrap()).into();
    assert!(before == after);
    bench.antipode(&["plan", "--detailed-exitcode"]).expect(0);
    fill(&here("05"), 0);
    fs::remove_file(wal(&bench, "primary", "05")).unwrap();
    let told = "WAL segment 000000010000000000000005 is damaged here, and the primary no longer has it";
    bench.antipode(&["plan"]).expect(0).says(&["incomplete", told]);
}

#[test]
fn what_is_in_the_way_of_wal_at_the_site_keeps_back_nothing_else() {
    let bench = Bench::in_sync();
    let here = |number| wal(&bench, "catalog", number);
    for number in ["05", "06", "07", "08"] {
        fs::remove_file(here(number)).unwrap();
    }
    symlink("/nowhere/at/all", here("05")).unwrap();
    assert!(Command::new("mkfifo").arg(here("06")).status().unwrap().success());
    fs::create_dir(here("07")).unwrap();
    let second = bench.path("catalog/main/wals/0000000200000000");
    fs::remove_dir_all(&second).unwrap();
    symlink("/nowhere/at/all", &second).unwrap();
    fs::remove_file(bench.path("catalog/main/wals/main-xlog.db")).unwrap();
    for _ in 0..2 {
        let applied = bench.antipode(&["apply", "--auto-approve"]);
        applied
            .expect(4)
            .says(&["000000010000000000000007 at the site is a directory", "0000000200000000 at the site is a link"]);
        for number in ["05", "06", "08"] {
            assert!(here(number).symlink_metadata().unwrap().is_file(), "{number}");
        }
    }
    fs::remove_dir(here("07")).unwrap();
    fs::remove_file(&second).unwrap();
    bench.antipode(&["apply", "--auto-approve"]).expect(0);
    bench.antipode(&["plan", "--detailed-exitcode"]).expect(0);
}

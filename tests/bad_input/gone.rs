//! Files that the primary lists and does not have.

use std::fs;

use crate::bench::Bench;
use crate::demo;

const WAL: &str = "000000010000000000000009";

#[test]
fn a_wal_that_is_listed_and_gone_is_a_note_and_the_rest_is_shipped() {
    let bench = Bench::start();
    fs::remove_file(bench.path("primary/main/wals/0000000100000000").join(WAL)).unwrap();
    let planned = bench.antipode(&["plan", "--detailed-exitcode"]);
    planned.expect(2);
    bench.antipode(&["apply", "--auto-approve"]).expect(0);
    let here = bench.path("catalog/main/wals/0000000100000000");
    assert!(!here.join(WAL).exists() && here.join("00000001000000000000000A").exists());
    let again = bench.antipode(&["plan", "--detailed-exitcode"]);
    again.expect(0).says(&[WAL]);
}

#[test]
fn one_missing_source_file_blocks_all_progress() {
    let bench = Bench::start();
    fs::remove_dir_all(bench.path("primary/main")).unwrap();
    demo::write_first_day(&bench.path("primary"), "main");
    bench.says("main", &bench.sync_info("main"));
    // While there is no history file, only WAL is fetched from that directory without its path.
    let wals = bench.path("primary/main/wals");
    bench.program(
        "rsync",
        &format!(
            "case \"$*\" in *no-relative*{wals}*) rm -f {wals}/0000000100000000/{WAL} ;; esac\nexec {} \"$@\"",
            crate::bench::which("rsync").display(),
            wals = wals.display(),
        ),
    );
    let applied = bench.antipode(&["apply", "--auto-approve"]);
    applied.expect(4).says(&[WAL, "main/wal/"]);
    let here = bench.path("catalog/main/wals/0000000100000000");
    assert!(!here.join(WAL).exists());
    for other in ["000000010000000000000008", "00000001000000000000000A"] {
        assert!(here.join(other).exists(), "{other}: {applied}");
    }
    assert!(bench.path("catalog/main/meta/20261121T030000-backup.info").exists(), "{applied}");
    bench.antipode(&["plan", "--detailed-exitcode"]).expect(0).says(&[WAL]);
}

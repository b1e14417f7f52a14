//! Files that a primary must not have: links that lead out, names that are none, a manifest of other people's files.

use std::fs;
use std::os::unix::fs::symlink;

use crate::bench::{Bench, snapshot};

const BACKUP: &str = "20261122T030000";

#[test]
fn links_that_lead_out_of_a_base_are_not_made() {
    let bench = Bench::start();
    let data = bench.path(&format!("primary/main/base/{BACKUP}/data"));
    let outside = bench.path("outside");
    symlink(&outside, data.join("absolute")).unwrap();
    symlink("../../../../../outside", data.join("climbing")).unwrap();
    symlink("PG_VERSION", data.join("inside")).unwrap();
    bench.antipode(&["apply", "--auto-approve"]).expect(0);
    let copy = bench.path(&format!("catalog/main/base/{BACKUP}/data"));
    for link in ["absolute", "climbing"] {
        assert!(fs::symlink_metadata(copy.join(link)).is_err(), "{link}");
    }
    assert!(copy.join("inside").is_symlink());
    bench.outside_is_untouched();
    bench.antipode(&["plan", "--detailed-exitcode"]).expect(0);
}

#[test]
fn a_directory_that_is_a_link_out_keeps_its_backup_back() {
    let bench = Bench::start();
    let data = bench.path(&format!("primary/main/base/{BACKUP}/data"));
    fs::rename(data.join("base"), bench.path("elsewhere")).unwrap();
    symlink(bench.path("elsewhere"), data.join("base")).unwrap();
    let there = snapshot(&bench.path("elsewhere"));
    let applied = bench.antipode(&["apply", "--auto-approve"]);
    applied.expect(4).says(&[BACKUP, "does not verify", "base/", "verify-backup"]);
    assert!(!bench.path(&format!("catalog/main/meta/{BACKUP}-backup.info")).exists());
    assert!(bench.path("catalog/main/meta/20261121T030000-backup.info").exists());
    assert_eq!(snapshot(&bench.path("elsewhere")), there);
    bench.outside_is_untouched();
}

#[test]
fn hostile_paths_in_a_manifest_touch_nothing_outside() {
    let bench = Bench::start();
    let manifest = bench.path(&format!("primary/main/base/{BACKUP}/data/backup_manifest"));
    let good = fs::read_to_string(&manifest).unwrap();
    let absolute = bench.path("outside/canary").display().to_string();
    for evil in ["../../../../../outside/canary", &absolute, "base/../../../../../../outside/canary", "\\u001b[31mred"]
    {
        fs::write(&manifest, good.replacen("\"PG_VERSION\"", &format!("\"{evil}\""), 1)).unwrap();
        let applied = bench.antipode(&["apply", "--auto-approve"]);
        applied.expect(4).says(&[BACKUP, "manifest"]);
        assert!(!bench.path(&format!("catalog/main/meta/{BACKUP}-backup.info")).exists());
        bench.outside_is_untouched();
    }
    fs::write(&manifest, good).unwrap();
    bench.antipode(&["apply", "--auto-approve"]).expect(0);
}

#[test]
fn hostile_names_in_the_archive_are_refused() {
    let bench = Bench::in_sync();
    let wals = bench.path("primary/main/wals");
    let evil = wals.join("0000000\u{1b}[31m.history");
    fs::write(&evil, "x").unwrap();
    bench.refuses_to_plan(&["main (frankfurt)", "control character"]);
    fs::remove_file(&evil).unwrap();
    fs::write(wals.join("evil.history"), "x").unwrap();
    symlink(bench.path("outside/canary"), wals.join("00000003.history")).unwrap();
    bench.antipode(&["plan", "--detailed-exitcode"]).expect(0);
    bench.outside_is_untouched();
}

#[test]
fn a_wal_that_is_a_link_at_the_primary_is_not_copied() {
    let bench = Bench::start();
    let wal = bench.path("primary/main/wals/0000000200000000/000000020000000000000018");
    fs::rename(&wal, bench.path("elsewhere")).unwrap();
    symlink(bench.path("elsewhere"), &wal).unwrap();
    let applied = bench.antipode(&["apply", "--auto-approve"]);
    println!("{applied}");
    assert!(!bench.path("catalog/main/wals/0000000200000000/000000020000000000000018").exists(), "{applied}");
    bench.antipode(&["plan", "--detailed-exitcode"]).expect(0);
}

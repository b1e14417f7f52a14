//! Files that a primary must not have: links that lead out, names that are none, a manifest of other people's files.

use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::symlink;
use std::path::Path;

use crate::bench::{Bench, snapshot};
use crate::demo;

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
    // It is said as long as the backup is here.
    let told = ["backup 20261122T030000 has 2 symbolic links at the primary that lead out of it", "data/absolute"];
    bench.antipode(&["plan", "--detailed-exitcode"]).expect(0).says(&told);
    bench.antipode(&["status"]).says(&told);
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
fn names_in_any_bytes_are_shipped() {
    let bench = Bench::start();
    let data = bench.path(&format!("primary/main/base/{BACKUP}/data"));
    // Before 3.3 rsync itself refuses a name that has a wildcard and ends with a backslash.
    let names: [&[u8]; 6] = [b"new\nline", b"caf\xe9", b"esc\x1b[31m", b"\\#012", b"[a]*?", b"b\\"];
    for name in names {
        fs::write(data.join(OsStr::from_bytes(name)), name).unwrap();
    }
    // Without a manifest the copy is compared with the primary's list of files.
    for id in [BACKUP, "20261121T030000"] {
        fs::remove_file(bench.path(&format!("primary/main/base/{id}/data/backup_manifest"))).unwrap();
    }
    bench.antipode(&["apply", "--auto-approve"]).expect(0);
    let copy = bench.path(&format!("catalog/main/base/{BACKUP}/data"));
    for name in names {
        assert_eq!(fs::read(copy.join(OsStr::from_bytes(name))).unwrap(), name, "{name:?}");
    }
    bench.antipode(&["plan", "--detailed-exitcode"]).expect(0);
}

/// What is no backup is refused by name, again with each apply, and nothing of it is published.
#[test]
fn a_base_that_is_no_cluster_is_never_published() {
    type Spoil = fn(&Path);
    let spoil: [(&str, Spoil); 4] = [
        ("data/PG_VERSION: it is missing", |data| {
            fs::remove_dir_all(data).unwrap();
            fs::create_dir(data).unwrap();
        }),
        ("data/global/pg_control: it is no control file", |data| {
            fs::remove_file(data.join("backup_manifest")).unwrap();
            fs::write(data.join("global/pg_control"), [0; 8192]).unwrap();
        }),
        ("backup_manifest does not list it", |data| {
            let whole = fs::read_to_string(data.join("backup_manifest")).unwrap();
            let (head, rest) = whole.split_once("\"Files\": [\n").unwrap();
            let (files, tail) = rest.split_once("\n],").unwrap();
            let one = files.lines().find(|line| line.contains("\"PG_VERSION\"")).unwrap().trim_end_matches(',');
            let cut = demo::sealed(&format!("{head}\"Files\": [\n{one}\n],{tail}"));
            fs::write(data.join("backup_manifest"), cut).unwrap();
        }),
        ("data/pg_notify: the directory is missing", |data| {
            fs::remove_dir(data.join("pg_notify")).unwrap();
            symlink("/var/tmp", data.join("pg_notify")).unwrap();
        }),
    ];
    for (told, spoil) in spoil {
        let bench = Bench::start();
        spoil(&bench.path(&format!("primary/main/base/{BACKUP}/data")));
        for _ in 0..2 {
            bench.antipode(&["apply", "--auto-approve"]).expect(4).says(&[BACKUP, "does not verify", told]);
            assert!(!bench.path(&format!("catalog/main/meta/{BACKUP}-backup.info")).exists());
            assert!(bench.path("catalog/main/meta/20261121T030000-backup.info").exists());
        }
        bench.antipode(&["plan", "--detailed-exitcode"]).expect(2).says(&[BACKUP]);
    }
}

/// A manifest that is spoilt here is brought again; one that is spoilt at the primary is told each time.
#[test]
fn a_spoilt_manifest_is_mended_from_the_primary() {
    let bench = Bench::in_sync();
    let here = bench.path(&format!("catalog/main/base/{BACKUP}/data/backup_manifest"));
    let whole = fs::read(&here).unwrap();
    for spoilt in [&whole[..whole.len() / 2], b"", &[&whole[..9], b"X", &whole[10..]].concat()] {
        fs::write(&here, spoilt).unwrap();
        bench.antipode(&["apply", "--auto-approve"]).expect(0).says(&["1 backup repaired"]);
        assert!(fs::read(&here).unwrap() == whole);
        bench.antipode(&["plan", "--detailed-exitcode"]).expect(0);
    }
    fs::write(&here, b"").unwrap();
    fs::write(bench.path(&format!("primary/main/base/{BACKUP}/data/backup_manifest")), b"junk").unwrap();
    for _ in 0..2 {
        bench.antipode(&["apply", "--auto-approve"]).expect(4).says(&[BACKUP, "backup_manifest is cut off"]);
        bench.antipode(&["plan", "--detailed-exitcode"]).expect(2).says(&[BACKUP]);
    }
}

#[test]
fn hostile_paths_in_a_manifest_touch_nothing_outside() {
    let bench = Bench::start();
    let manifest = bench.path(&format!("primary/main/base/{BACKUP}/data/backup_manifest"));
    let good = fs::read_to_string(&manifest).unwrap();
    let absolute = bench.path("outside/canary").display().to_string();
    for evil in ["../../../../../outside/canary", &absolute, "base/../../../../../../outside/canary", "a\\u0000b"] {
        fs::write(&manifest, demo::sealed(&good.replacen("\"PG_VERSION\"", &format!("\"{evil}\""), 1))).unwrap();
        let applied = bench.antipode(&["apply", "--auto-approve"]);
        applied.expect(4).says(&[BACKUP, "manifest"]);
        assert!(!bench.path(&format!("catalog/main/meta/{BACKUP}-backup.info")).exists());
        bench.outside_is_untouched();
    }
    fs::write(&manifest, good).unwrap();
    bench.antipode(&["apply", "--auto-approve"]).expect(0);
}

#[test]
fn hostile_names_in_the_archive_are_left_alone() {
    let bench = Bench::in_sync();
    let wals = bench.path("primary/main/wals");
    fs::write(wals.join("0000000\u{1b}[31m.history"), "x").unwrap();
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

//! What is good here and differs at the primary is left alone until a person says otherwise, by the real program.

use std::fs;
use std::path::Path;
use std::process::{Command, Output};

use antipode::barman::layout::{Layout, ServerDirs};
use antipode::barman::wal::WalName;

use super::ground::{Ground, TestSite};

const WAL: &str = "000000010000000000000003";
const BACKUP: &str = "20261121T030000";

fn run(site: &TestSite, arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_antipode"));
    command.args(arguments).arg("-f").arg(&site.file).output().unwrap()
}

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned()
}

fn wal(dirs: &ServerDirs) -> std::path::PathBuf {
    dirs.wal(WAL.parse::<WalName>().unwrap())
}

/// Gives a file of the primary's catalog another text.
fn rewrite(path: &Path, change: impl Fn(&str) -> String) {
    fs::write(path, change(&fs::read_to_string(path).unwrap())).unwrap();
}

/// The primary's file of a segment is another one, and its list says so.
fn replace_at_primary(dirs: &ServerDirs, bytes: &[u8]) {
    fs::write(wal(dirs), bytes).unwrap();
    let line = |line: &str| match line.split('\t').collect::<Vec<_>>().as_slice() {
        [name, _, rest @ ..] if *name == WAL => format!("{name}\t{}\t{}\n", bytes.len(), rest.join("\t")),
        _ => format!("{line}\n"),
    };
    rewrite(&Layout::NEWEST.xlogdb(dirs), |text| text.lines().map(line).collect());
}

#[tokio::test]
async fn a_whole_segment_that_is_cut_off_at_the_primary_is_held_and_the_rest_is_applied() {
    let ground = Ground::new().await;
    let site = ground.day_old_site("site");
    let whole = fs::read(wal(&site.dirs())).unwrap();
    replace_at_primary(&ground.primary_dirs(), &whole[..1 << 19]);
    let applied = run(&site, &["apply", "--auto-approve"]);
    assert_eq!(applied.status.code(), Some(1), "{}", said(&applied));
    // The second day has arrived, and the segment is what it was.
    assert!(site.dirs().base("20261122T030000".parse().unwrap()).join("data/PG_VERSION").exists());
    assert_eq!(fs::read(wal(&site.dirs())).unwrap(), whole);
    let planned = run(&site, &["plan"]);
    assert_eq!(planned.status.code(), Some(1));
    for part in ["here 1 048 576 bytes, whole; 524 288 at the primary", &format!("--accept main/wal/{WAL}")] {
        assert!(said(&planned).contains(part), "{}", said(&planned));
    }
    let status = said(&run(&site, &["status"]));
    assert!(status.contains("blocked") && !status.contains("in sync"), "{status}");
    // What is accepted is still looked at: a segment that is cut off replaces nothing.
    let accepted = run(&site, &["apply", "--auto-approve", "--accept", "main/wal"]);
    assert_eq!(accepted.status.code(), Some(4), "{}", said(&accepted));
    assert_eq!(fs::read(wal(&site.dirs())).unwrap(), whole);
}

#[tokio::test]
async fn another_end_of_a_backup_is_held_until_it_is_accepted() {
    let ground = Ground::new().await;
    let site = ground.day_old_site("site");
    site.converge().await;
    let info =
        |dirs: &ServerDirs| fs::read_to_string(Layout::NEWEST.backup_info(dirs, BACKUP.parse().unwrap())).unwrap();
    let before = info(&site.dirs());
    let there = Layout::NEWEST.backup_info(&ground.primary_dirs(), BACKUP.parse().unwrap());
    rewrite(&there, |text| text.replace("end_wal=000000010000000000000004", "end_wal=000000010000000000000005"));
    let applied = run(&site, &["apply", "--auto-approve"]);
    assert_eq!(applied.status.code(), Some(1), "{}", said(&applied));
    assert_eq!(info(&site.dirs()), before);
    let explained = said(&run(&site, &["explain", &format!("main/info/{BACKUP}")]));
    let explained = explained.split_whitespace().collect::<Vec<_>>().join(" ");
    let values = "`end_wal` is 000000010000000000000004 here and 000000010000000000000005 at the primary";
    assert!(explained.contains(values), "{explained}");
    let accepted = run(&site, &["apply", "--auto-approve", "--accept", &format!("main/info/{BACKUP}")]);
    assert_eq!(accepted.status.code(), Some(0), "{}", said(&accepted));
    assert!(info(&site.dirs()).contains("end_wal=000000010000000000000005"));
    let planned = run(&site, &["plan", "--detailed-exitcode"]);
    assert_eq!(planned.status.code(), Some(0), "{}", said(&planned));
}

//! What is done by itself, what waits, and who is waited for.

use std::fs;
use std::path::Path;
use std::time::Duration;

use antipode::barman::wal::Timeline;
use antipode::demo::catalog::{FIRST_BACKUP, Stored};
use antipode::store::home;
use antipode::store::locks::{Lock, LockKind};

use crate::kept::Ground;

const WELL: &str = "main: all that may be done by itself is done";

/// The newest backup, beside the first one, which is kept.
const LAST: &str = "backups: [{last: 1}], prune: {unselected: true}, protect: {min_backups: 1, max_prune: 100%}";

#[test]
fn what_appears_at_the_primary_is_brought_and_what_would_be_deleted_waits_for_a_person() {
    let mut ground = Ground::new(LAST);
    let mut kept = ground.keep();
    kept.says(WELL);
    let [first, second] = [25, 26].map(|day| {
        let id = ground.back_up(day);
        kept.until("the new backup is here", || ground.has(&format!("main/meta/{id}-backup.info")));
        id
    });
    kept.says("main: waits for a person: prune 1 backup");
    assert!(ground.has(&format!("main/base/{first}")), "{}", kept.log());
    let (code, applied) = ground.told(&["apply", "--auto-approve"]);
    assert_eq!(code, 0, "{applied}");
    assert!(applied.contains("pruned"), "{applied}");
    assert_eq!([first, second].map(|id| ground.has(&format!("main/base/{id}"))), [false, true]);
}

#[test]
fn what_may_be_deleted_by_itself_is() {
    let mut ground = Ground::new(&format!("auto: {{prune: true}}, {LAST}"));
    let mut kept = ground.keep();
    kept.says(WELL);
    let first = ground.back_up(25);
    kept.until("it is here", || ground.has(&format!("main/meta/{first}-backup.info")));
    ground.back_up(26);
    kept.until("it is gone", || !ground.has(&format!("main/base/{first}")));
    assert_eq!((kept.said("Error"), kept.said("waits for a person")), (0, 0), "{}", kept.log());
}

#[test]
fn what_rots_is_found_and_mended_by_itself() {
    let ground = Ground::new("");
    assert_eq!(ground.told(&["apply", "--auto-approve"]).0, 0);
    let file = ground.path(&format!("lisbon/main/base/{FIRST_BACKUP}/data/base/5/1259"));
    let (whole, before) = (fs::read(&file).unwrap(), fs::metadata(&file).unwrap());
    let mut rotten = whole.clone();
    rotten[100] ^= 1;
    fs::write(&file, rotten).unwrap();
    fs::File::options().write(true).open(&file).unwrap().set_modified(before.modified().unwrap()).unwrap();
    let mut kept = ground.keep();
    kept.says("main: damaged: backup ");
    kept.until("it is mended", || fs::read(&file).is_ok_and(|now| now == whole));
    kept.until("the repair is done", || ground.told(&["verify"]).0 == 0);
    let (_, status) = ground.told(&["status"]);
    assert!(status.contains("the oldest read was "), "{status}");
}

#[test]
fn a_suspended_replica_is_left_alone_until_it_is_resumed() {
    let mut ground = Ground::new("");
    let mut kept = ground.keep();
    kept.says(WELL);
    let (code, told) = ground.told(&["suspend", "main", "--until", "4h", "--why", "the primary moves house"]);
    assert_eq!(code, 0, "{told}");
    assert!(told.contains("until") && told.ends_with("(the primary moves house).\n"), "{told}");
    kept.says("main: suspended by ");
    let id = ground.back_up(25);
    let (_, status) = ground.told(&["status"]);
    assert!(status.contains("suspended") && status.contains("the primary moves house"), "{status}");
    let (_, plan) = ground.told(&["plan"]);
    assert!(plan.contains(&id) && plan.contains("`antipode resume` ends that"), "{plan}");
    for command in [&["apply", "--auto-approve"][..], &["cron"], &["sync-backup", "main", &id], &["sync-wals", "main"]]
    {
        let (_, told) = ground.told(command);
        assert!(command == ["cron"] || told.contains("suspended by "), "{command:?}: {told}");
        assert!(!ground.has(&format!("main/meta/{id}-backup.info")), "{command:?}: {told}");
    }
    let (code, told) = ground.told(&["resume", "main"]);
    assert_eq!((code, told.as_str()), (0, "main is resumed.\n"));
    kept.until("it goes on", || ground.has(&format!("main/meta/{id}-backup.info")));
    assert_eq!(ground.told(&["resume", "main"]).1, "main was not suspended.\n");
    assert_eq!(ground.told(&["suspend", "nosuch"]).0, 1);
}

#[test]
fn whoever_works_on_a_replica_is_waited_for_and_no_other_replica_waits() {
    let ground = Ground::new("}\n  twin: {primary: frankfurt, server: main");
    home::prepare(&ground.path("lisbon")).unwrap();
    let held = LockKind::Run.path(&ground.path("lisbon/.antipode"), &"main".parse().unwrap());
    let held = Lock::try_acquire(&held).unwrap();
    let mut kept = ground.keep();
    kept.says("main: waits: ");
    kept.says("twin: all that may be done by itself is done");
    assert_eq!(kept.said(WELL), 0);
    drop(held);
    kept.says(WELL);
    assert_eq!(kept.said("main: waits: "), 1, "it is said once: {}", kept.log());
}

#[test]
fn wal_comes_while_a_backup_is_copied_for_long() {
    let mut ground = Ground::large("transfer: {bandwidth: 256KiB/s}");
    let mut kept = ground.keep();
    let staging = ground.path("lisbon/main/.antipode/staging");
    kept.until("a backup is copied", || holds_files(&staging));
    for number in 0x0B..=0x0D {
        let at = jiff::Timestamp::now().to_string();
        ground.primary.segments(Timeline(1), number..=number, &at, Duration::from_secs(1), Stored::Gzip).unwrap();
        ground.primary.made().unwrap();
        let name = format!("0000000100000000{number:08X}");
        let list = ground.path("lisbon/main/wals/main-xlog.db");
        kept.until("what was archived is listed", || fs::read_to_string(&list).is_ok_and(|l| l.contains(&name)));
    }
    assert!(
        !ground.has(&format!("main/meta/{FIRST_BACKUP}-backup.info")),
        "the backup is still copied: {}",
        kept.log()
    );
    let (_, status) = ground.told(&["status"]);
    assert!(status.contains("antipode run"), "{status}");
    kept.signal("TERM");
    assert_eq!(kept.end().code(), Some(0), "{}", kept.log());
    ground.declare("");
    let (code, told) = ground.told(&["apply", "--auto-approve"]);
    assert_eq!(code, 0, "{told}");
    assert_eq!(ground.told(&["plan", "--detailed-exitcode"]).0, 0);
}

#[test]
fn a_window_that_stops_ends_a_copy_which_keeps_what_it_has_and_wal_comes_all_the_same() {
    let mut ground = Ground::large("transfer: {bandwidth: 256KiB/s}");
    let site = ground.site("transfer: {bandwidth: 256KiB/s}");
    let mut kept = ground.keep();
    let staging = ground.path("lisbon/main/.antipode/staging");
    kept.until("a backup is copied", || holds_files(&staging));
    let windows = "windows: [{deny: backups, cron: '* * * * *', duration: 2h, overrun: stop}]";
    let denied = site.replacen("/frankfurt}", &format!("/frankfurt, {windows}}}"), 1);
    assert!(denied.contains(windows), "{denied}");
    fs::write(ground.path("antipode.yaml"), &denied).unwrap();
    kept.says("main: waits for a window: add 1 backup");
    assert!(holds_files(&staging), "what came is kept: {}", kept.log());
    let at = jiff::Timestamp::now().to_string();
    ground.primary.segments(Timeline(1), 0x0B..=0x0B, &at, Duration::from_secs(1), Stored::Gzip).unwrap();
    ground.primary.made().unwrap();
    let list = ground.path("lisbon/main/wals/main-xlog.db");
    let name = "00000001000000000000000B";
    kept.until("what was archived is listed", || fs::read_to_string(&list).is_ok_and(|list| list.contains(name)));
    assert!(!ground.has(&format!("main/meta/{FIRST_BACKUP}-backup.info")), "{}", kept.log());
    let (_, planned) = ground.told(&["plan"]);
    assert!(
        planned.contains("Note: by the windows of frankfurt, no backup comes for a long time; an apply"),
        "{planned}"
    );
    kept.signal("TERM");
    assert_eq!(kept.end().code(), Some(0), "{}", kept.log());
}

fn holds_files(directory: &Path) -> bool {
    walkdir::WalkDir::new(directory).into_iter().flatten().any(|entry| entry.file_type().is_file())
}

#[test]
fn a_failure_is_told_once_and_its_end_too() {
    let ground = Ground::new("");
    let (there, away) = (ground.path("frankfurt"), ground.path("away"));
    fs::rename(&there, &away).unwrap();
    let mut kept = ground.keep();
    kept.says("Error: main: ");
    for reads in 1..=2 {
        // What failed is looked at again when the site file is read again, and else after pauses that grow.
        kept.signal("HUP");
        kept.says_so_often("it holds from now on", reads);
    }
    fs::rename(&away, &there).unwrap();
    kept.signal("HUP");
    kept.says(WELL);
    assert_eq!(kept.said("Error: main: "), 1, "{}", kept.log());
}

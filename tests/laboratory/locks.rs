//! Barman and Antipode at one catalog, and two Antipodes: nobody gets in another's way.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, sleep};
use std::time::{Duration, Instant};

use crate::account::ACCOUNT;
use crate::antipode::antipode;
use crate::barman::SERVER;
use crate::catalog_compare::assert_same_told;
use crate::ground::Lab;
use crate::process::{program, wait_until};
use crate::running::{Link, processes};
use crate::scenario;

const SLOW: [&str; 2] = ["bandwidth: 2MiB/s", "streams: 2"];

/// Locks as Barman does, and holds until its standard input ends.
const HOLD: &str = "import fcntl, os, sys\n\
    fd = os.open(sys.argv[1], os.O_CREAT | os.O_RDWR, 0o600)\n\
    fcntl.flock(fd, fcntl.LOCK_EX)\n\
    os.ftruncate(fd, 0)\n\
    os.write(fd, b'%d\\n' % os.getpid())\n\
    print('held', flush=True)\n\
    sys.stdin.read()\n";

/// A process that holds a lock; it lets go when dropped.
pub struct Holder(Child);

impl Holder {
    /// Starts it, and waits until the lock is held.
    pub fn of(path: &Path) -> Self {
        let mut command = program("python3");
        command.args(["-c", HOLD]).arg(path).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = command.spawn().expect("start python3");
        let mut line = String::new();
        BufReader::new(child.stdout.take().expect("its stdout")).read_line(&mut line).expect("read");
        assert_eq!(line.trim(), "held");
        Self(child)
    }
}

impl Drop for Holder {
    fn drop(&mut self) {
        drop(self.0.stdin.take());
        let _ = self.0.wait();
    }
}

#[test]
fn a_second_apply_waits_and_then_names_the_first() {
    let lab = Lab::new();
    let link = Link::new(&lab, &scenario::two_timelines().primary, &SLOW);
    let first = link.start_copying();
    let begin = Instant::now();
    let second = antipode(&link.site.directory, &["apply", "--auto-approve", "--lock-timeout", "1s"]);
    println!("{second}");
    assert_eq!(second.code(), 3, "{second}");
    assert!((1..8).contains(&begin.elapsed().as_secs()), "{:?}", begin.elapsed());
    assert!(second.stderr.contains(&format!("process {}", first.id())), "{second}");
    assert!(second.stderr.contains("apply --auto-approve"), "{second}");
}

#[test]
fn a_server_that_barman_works_on_is_left_alone_and_the_holder_is_named() {
    let lab = Lab::new();
    let link = Link::new(&lab, &scenario::two_timelines().primary, &[]);
    for name in [".main-cron.lock", ".main-sync-wal.lock"] {
        let holder = Holder::of(&link.site.catalog().join(name));
        let applied = antipode(&link.site.directory, &["apply", "--auto-approve", "--lock-timeout", "1s"]);
        println!("{applied}");
        assert_eq!(applied.code(), 3, "{applied}");
        let named = format!("{name} is held by process {} (python3", holder.0.id());
        assert!(applied.stderr.contains(&named), "{applied}");
        assert!(!link.site.barman.server_directory().exists());
    }
    link.finish();
}

#[test]
fn a_backup_that_barman_works_on_fails_alone() {
    let scenario = scenario::two_timelines();
    for name in ["ID-sync-backup", "ID"] {
        let lab = Lab::new();
        let link = Link::new(&lab, &scenario.primary, &[]);
        let busy = &scenario.backups[1];
        let holder = Holder::of(&link.site.catalog().join(format!(".main-{}.lock", name.replace("ID", busy))));
        let applied = antipode(&link.site.directory, &["apply", "--auto-approve", "--lock-timeout", "1s"]);
        assert_eq!(applied.code(), 4, "{applied}");
        assert!(applied.stderr.contains(&format!("main/backup/{busy}: failed: ")), "{applied}");
        assert!(applied.stderr.contains(&format!("process {}", holder.0.id())), "{applied}");
        let mut others = scenario.backups.clone();
        others.retain(|id| id != busy);
        assert_eq!(link.site.coexisting.backup_ids(), others);
        drop(holder);
        link.finish();
        assert_same_told(&scenario.primary.barman, &link.site.barman);
    }
}

#[test]
fn xlogdb_that_barman_reads_is_waited_for() {
    let lab = Lab::new();
    let scenario = scenario::two_timelines();
    let link = Link::new(&lab, &scenario.primary, &[]);
    let holder = Holder::of(&link.site.catalog().join(".main-xlogdb.lock"));
    let mut apply = link.start();
    let staged = link.site.barman.server_directory().join("wals");
    apply.wait_until("WAL is in place", || crate::running::holds_files(&staged.join("0000000100000000")));
    sleep(Duration::from_millis(1500));
    assert!(!apply.has_ended(), "{}", apply.log());
    drop(holder);
    assert!(apply.wait_for_end().success(), "{}", apply.log());
    assert_same_told(&scenario.primary.barman, &link.site.barman);
}

#[test]
fn barman_at_the_site_skips_what_antipode_works_on() {
    let lab = Lab::new();
    let scenario = scenario::two_timelines();
    let link = Link::new(&lab, &scenario.primary, &SLOW);
    let mut apply = link.start_copying();
    let barman = &link.site.barman;
    let newest = scenario.backups.last().expect("backups");
    // Barman knows of a backup from its primary.info.
    barman.expect(&["sync-info", "--primary", SERVER]);
    let sync = barman.run(&["sync-backup", SERVER, newest]);
    println!("{sync}");
    assert_eq!(sync.code(), 1, "{sync}");
    let cron = barman.run(&["cron"]);
    println!("{cron}");
    assert_eq!(cron.code(), 0, "{cron}");
    let begin = Instant::now();
    link.site.coexisting.expect(&["list-backups", SERVER]);
    assert!(begin.elapsed() < Duration::from_secs(10), "{:?}", begin.elapsed());
    assert!(!apply.has_ended(), "{}", apply.log());
    drop(apply);
    link.finish();
    let cron = barman.run(&["cron"]);
    assert_eq!(cron.code(), 0, "{cron}");
    settle(&link);
    assert_same_told(&scenario.primary.barman, barman);
}

/// Waits until no Barman of the site runs any more: its cron starts others in the background.
fn settle(link: &Link) {
    let directory = link.site.directory.display().to_string();
    wait_until("the site's Barman is done", || {
        processes(&directory).iter().all(|process| !process.words.iter().any(|word| word.ends_with("/barman")))
    });
}

#[test]
fn barmans_cron_every_second_does_not_collide_with_applies() {
    let lab = Lab::new();
    let scenario = scenario::two_timelines();
    let link = Link::new(&lab, &scenario.primary, &["bandwidth: 16MiB/s"]);
    let stop = AtomicBool::new(false);
    thread::scope(|scope| {
        let crons = scope.spawn(|| {
            let mut codes = Vec::new();
            while !stop.load(Ordering::Relaxed) {
                codes.push(link.site.barman.run(&["cron"]).code());
                sleep(Duration::from_secs(1));
            }
            codes
        });
        let mut codes = Vec::new();
        for _ in 0..4 {
            let applied = antipode(&link.site.directory, &["apply", "--auto-approve", "--lock-timeout", "60s"]);
            if applied.code() != 0 {
                println!("{applied}");
            }
            codes.push(applied.code());
        }
        stop.store(true, Ordering::Relaxed);
        let crons = crons.join().expect("the loop of crons");
        println!("applies {codes:?}, crons {crons:?}");
        assert!(crons.iter().all(|code| *code == 0), "{crons:?}");
        // A backup that Barman happens to copy itself is its own.
        assert!(codes.iter().all(|code| [0, 4].contains(code)), "{codes:?}");
    });
    settle(&link);
    link.finish();
    assert_same_told(&scenario.primary.barman, &link.site.barman);
}

#[test]
fn a_lock_that_barman_unlinked_does_not_let_two_in() {
    let lab = Lab::new();
    let link = Link::new(&lab, &scenario::two_timelines().primary, &SLOW);
    let path = link.site.catalog().join(".main-cron.lock");
    // Barman's clean-up opens, locks and unlinks: whoever waits has the unlinked file open.
    let holder = Holder::of(&path);
    let mut apply = link.start();
    sleep(Duration::from_millis(1500));
    // And the next one has its own file at that path, without a moment between.
    let beside = path.with_extension("next");
    let _next = Holder::of(&beside);
    std::fs::rename(&beside, &path).expect("replace the lock");
    drop(holder);
    sleep(Duration::from_secs(1));
    assert!(!link.site.barman.server_directory().exists(), "two are in\n{}", apply.log());
    assert!(!apply.has_ended(), "{}", apply.log());
    apply.signal(rustix::process::Signal::INT);
    assert_eq!(apply.wait_for_end().code(), Some(130));
}

#[test]
fn the_steps_of_one_apply_wait_for_each_other_however_short_the_patience() {
    let lab = Lab::new();
    let scenario = scenario::two_timelines();
    let primary = scenario.primary.copy_to(&lab.join("primary"));
    primary.barman.expect(&["keep", "--release", SERVER, scenario.kept_backup()]);
    let mut link = Link::new(&lab, &primary, &[]);
    link.finish();
    let site = link.site.coexisting.clone();
    let [oldest, middle, newest] = &scenario.backups[..] else { panic!("three backups") };
    // Both change one backup: its files come back, and its backup.info is corrected.
    std::fs::remove_file(site.server_directory().join("base").join(newest).join("data/PG_VERSION")).expect("damage");
    let info = std::fs::read_to_string(site.backup_info(newest)).expect("read");
    ACCOUNT.write(&site.backup_info(newest), info.replace("hba_file=", "hba_file=/elsewhere"));
    let repaired = antipode(&link.site.directory, &["apply", "--auto-approve", "--lock-timeout", "0s"]);
    assert_eq!(repaired.code(), 0, "{repaired}");
    for done in [format!("main/backup/{newest}: repaired"), format!("main/info/{newest}: written")] {
        assert!(repaired.stderr.contains(&done), "{done}: {repaired}");
    }
    // Barman has one lock for all deletions of a server.
    link.replica_keys =
        "backups: [{last: 1}]\n    prune: {unselected: true}\n    protect: {min_backups: 1, max_prune: 100%}";
    link.limit(&[]);
    let pruned = antipode(&link.site.directory, &["apply", "--auto-approve", "--lock-timeout", "0s"]);
    println!("{pruned}");
    assert_eq!(pruned.code(), 0, "{pruned}");
    for gone in [oldest, middle] {
        assert!(pruned.stderr.contains(&format!("main/backup/{gone}: deleted")), "{pruned}");
    }
    assert_eq!(site.backup_ids(), std::slice::from_ref(newest));
}

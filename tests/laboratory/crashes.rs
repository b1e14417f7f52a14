//! kill -9 at any instant leaves a catalog that a real Barman reads, and an apply that goes on.

use std::fs;
use std::thread::sleep;
use std::time::Duration;

use rustix::process::Signal;

use crate::account::ACCOUNT;
use crate::antipode::antipode;
use crate::barman::{Barman, SERVER};
use crate::catalog_compare::{assert_same_told, differing_files};
use crate::ground::Lab;
use crate::process::copy_tree;
use crate::running::Link;
use crate::scenario;
use crate::sshd::Manners;

/// Files of other backups would make up for what is lost.
pub const NO_REUSE: &str = "transfer: {reuse: none}";

/// A real Barman reads the catalog; what it lists as DONE verifies; what xlog.db lists is there.
#[track_caller]
pub fn judge(barman: &Barman) {
    if !barman.server_directory().exists() {
        return;
    }
    barman.expect(&["list-backups", SERVER]);
    for id in barman.backup_ids() {
        barman.expect(&["show-backup", SERVER, &id]);
        assert_eq!(barman.backup_field(&id, "status"), "DONE");
        barman.expect(&["verify-backup", SERVER, &id]);
    }
    let Ok(lines) = fs::read_to_string(barman.xlogdb()) else { return };
    for line in lines.lines() {
        let (name, rest) = line.split_once('\t').expect("a line of xlog.db");
        let size: u64 = rest.split('\t').next().and_then(|size| size.parse().ok()).expect("a size");
        let wals = barman.server_directory().join("wals");
        let path = if name.ends_with(".history") { wals.join(name) } else { wals.join(&name[..16]).join(name) };
        assert_eq!(fs::metadata(&path).map(|found| found.len()).ok(), Some(size), "{line}");
    }
}

/// What an apply sends that nobody interrupts.
pub fn undisturbed(primary: &crate::primary::Primary) -> u64 {
    let lab = Lab::new();
    let mut link = Link::with(&lab, primary, &[], &Manners { counts: true, ..Manners::default() });
    link.replica_keys = NO_REUSE;
    link.finish();
    link.sshd.sent()
}

#[test]
fn killed_again_and_again_an_apply_goes_on_where_it_was() {
    let lab = Lab::new();
    let scenario = scenario::two_timelines();
    let baseline = undisturbed(&scenario.primary);
    let manners = Manners { counts: true, ..Manners::default() };
    let limits = ["bandwidth: 12MiB/s", "streams: 2"];
    let mut link = Link::with(&lab, &scenario.primary, &limits, &manners);
    link.replica_keys = NO_REUSE;
    link.limit(&limits);
    // By lines of progress first, and then at moments that are nothing in particular.
    let mut kills = 0;
    for (lines, pause) in [(1, 0), (2, 0), (4, 300), (6, 0), (3, 900), (8, 50), (2, 1700), (10, 0)] {
        let mut apply = link.start();
        let before = progress(&apply.log());
        apply_until(&mut apply, before + lines);
        sleep(Duration::from_millis(pause));
        if apply.has_ended() {
            break;
        }
        apply.signal(Signal::KILL);
        apply.wait_for_end();
        kills += 1;
        link.assert_no_orphans();
        judge(&link.site.coexisting);
    }
    link.finish();
    link.assert_no_orphans();
    judge(&link.site.coexisting);
    assert_same_told(&scenario.primary.barman, &link.site.barman);
    let none: [String; 0] = [];
    assert_eq!(differing_files(&scenario.primary.barman, &link.site.barman), none);
    let sent = link.sshd.sent();
    println!("{kills} kills; sent {sent} bytes, undisturbed {baseline}");
    assert!(kills >= 4, "only {kills} kills");
    // What each kill loses: what was on its way, and the plan's own questions.
    assert!(sent < baseline + kills * (3 << 20), "sent {sent}, undisturbed {baseline}, {kills} kills");
}

/// How many lines of progress a log has.
fn progress(log: &str) -> usize {
    log.lines().filter(|line| line.starts_with("main/")).count()
}

fn apply_until(apply: &mut crate::process::Daemon, lines: usize) {
    for _ in 0..1200 {
        if apply.has_ended() || progress(&apply.log()) >= lines {
            return;
        }
        sleep(Duration::from_millis(20));
    }
    panic!("no progress\n{}", apply.log());
}

#[test]
fn a_base_without_its_backup_info_is_published_without_another_copy() {
    let lab = Lab::new();
    let scenario = scenario::two_timelines();
    let manners = Manners { counts: true, ..Manners::default() };
    let link = Link::with(&lab, &scenario.primary, &[], &manners);
    link.finish();
    let site = &link.site.coexisting;
    // As when the power failed between the rename of the base and the writing of backup.info.
    for id in &scenario.backups {
        fs::remove_file(site.backup_info(id)).unwrap();
    }
    site.expect(&["list-backups", SERVER]);
    assert!(site.backup_ids().is_empty());
    let before = link.sshd.sent();
    link.finish();
    let sent = link.sshd.sent() - before;
    assert!(sent < 4 << 20, "{sent} bytes were sent again");
    judge(site);
    assert_same_told(&scenario.primary.barman, &link.site.barman);
}

#[test]
fn wals_without_their_lines_are_listed_without_another_copy() {
    let lab = Lab::new();
    let scenario = scenario::two_timelines();
    let link = Link::with(&lab, &scenario.primary, &[], &Manners { counts: true, ..Manners::default() });
    link.finish();
    let xlogdb = link.site.barman.xlogdb();
    let lines = fs::read_to_string(&xlogdb).unwrap();
    // What was killed while it deleted a backup, and while it copied WAL.
    let own = link.site.barman.server_directory().join(".antipode");
    let left = [own.join("trash/20200101T000000/data"), own.join("wals/.antipode-aBcDeF")];
    for path in &left {
        ACCOUNT.make_directory(path);
    }
    let cut: String = lines.split_inclusive('\n').take(2).collect();
    ACCOUNT.write(&xlogdb, cut);
    let before = link.sshd.sent();
    link.finish();
    let sent = link.sshd.sent() - before;
    assert!(sent < 2 << 20, "{sent} bytes were sent again");
    assert!(left.iter().all(|path| !path.exists()), "what a killed run left is cleaned up");
    assert_same_told(&scenario.primary.barman, &link.site.barman);
}

#[test]
fn a_copy_of_barmans_own_beside_ours_does_not_stop_the_publication() {
    let lab = Lab::new();
    let scenario = scenario::two_timelines();
    let link = Link::new(&lab, &scenario.primary, &[]);
    link.finish();
    let (site, id) = (&link.site.coexisting, &scenario.backups[1]);
    // We were interrupted; then Barman's own passive node began to copy and was interrupted too.
    let base = site.server_directory().join("base").join(id);
    ACCOUNT.make_directory(&link.site.server_staging());
    copy_tree(&base, &link.site.server_staging().join(id));
    fs::remove_file(base.join("data/PG_VERSION")).unwrap();
    let info = fs::read_to_string(site.backup_info(id)).unwrap();
    ACCOUNT.write(&site.backup_info(id), info.replace("status=DONE", "status=SYNCING"));
    link.finish();
    judge(site);
    assert_same_told(&scenario.primary.barman, &link.site.barman);
    let entries = fs::read_dir(link.site.server_staging());
    let left: Vec<_> = entries.map(|entries| entries.flatten().collect()).unwrap_or_default();
    assert!(left.is_empty(), "{left:?}");
    let planned = antipode(&link.site.directory, &["plan"]);
    assert!(!planned.stdout.contains(id.as_str()), "{planned}");
}

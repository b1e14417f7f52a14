//! Ctrl-C and SIGTERM: nothing new starts, what arrived is kept, locks are free, and the exit code tells.

use std::fs;
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::thread::sleep;
use std::time::{Duration, Instant};

use rustix::process::Signal;

use crate::antipode;
use crate::barman::SERVER;
use crate::catalog_compare::assert_same_told;
use crate::ground::Lab;
use crate::running::{Link, holds_files};
use crate::scenario;
use crate::sshd::Manners;
use crate::terminal::in_terminal;

const SLOW: [&str; 2] = ["bandwidth: 2MiB/s", "streams: 2"];

/// The lock files of a catalog that are held.
fn held_locks(catalog: &Path) -> Vec<String> {
    let own = catalog.join(".antipode/main.lock");
    let barmans = fs::read_dir(catalog).expect("read the catalog").flatten().map(|entry| entry.path());
    barmans
        .filter(|path| path.extension().is_some_and(|extension| extension == "lock"))
        .chain([own])
        .filter(|path| fs::File::open(path).is_ok_and(|file| file.try_lock().is_err()))
        .map(|path| path.display().to_string())
        .collect()
}

fn interrupted_ends_well(signal: Signal, code: i32) {
    let lab = Lab::new();
    let scenario = scenario::two_timelines();
    let link = Link::new(&lab, &scenario.primary, &SLOW);
    let mut apply = link.start_copying();
    sleep(Duration::from_millis(1500));
    assert!(!held_locks(link.site.catalog()).is_empty());
    let begin = Instant::now();
    apply.signal(signal);
    let status = apply.wait_for_end();
    let log = apply.log();
    assert_eq!(status.code(), Some(code), "{log}");
    assert!(begin.elapsed() < Duration::from_secs(10), "it took {:?}\n{log}", begin.elapsed());
    println!("{log}");
    assert!(log.contains("Interrupted: nothing new is started") && log.contains("left for the next apply"), "{log}");
    assert!(!log.contains("skipped: it needs"), "an interruption is no failure: {log}");
    let none: [String; 0] = [];
    assert_eq!(held_locks(link.site.catalog()), none);
    assert!(holds_files(&link.site.server_staging()), "what arrived is kept");
    link.assert_no_orphans();
    assert!(link.site.coexisting.backup_ids().is_empty());
    link.finish();
    assert_same_told(&scenario.primary.barman, &link.site.barman);
}

#[test]
fn ctrl_c_keeps_what_arrived_frees_the_locks_and_exits_with_130() {
    interrupted_ends_well(Signal::INT, 130);
}

#[test]
fn sigterm_keeps_what_arrived_frees_the_locks_and_exits_with_143() {
    interrupted_ends_well(Signal::TERM, 143);
}

#[test]
fn a_second_ctrl_c_ends_at_once() {
    let lab = Lab::new();
    let link = Link::new(&lab, &scenario::two_timelines().primary, &SLOW);
    let mut apply = link.start_copying();
    apply.signal(Signal::INT);
    // One that comes at once is the same.
    sleep(Duration::from_millis(400));
    if !apply.has_ended() {
        apply.signal(Signal::INT);
    }
    let begin = Instant::now();
    let status = apply.wait_for_end();
    assert!(status.signal().is_none() && status.code() == Some(130), "{status:?}\n{}", apply.log());
    assert!(begin.elapsed() < Duration::from_secs(8), "{:?}", begin.elapsed());
    link.assert_no_orphans();
}

#[test]
fn ctrl_c_while_a_primary_does_not_answer_ends_soon_and_changes_nothing() {
    let lab = Lab::new();
    let manners = Manners { delay: Duration::from_secs(60), ..Manners::default() };
    let link = Link::with(&lab, &scenario::two_timelines().primary, &[], &manners);
    for (command, wait) in [("plan", 700), ("apply", 1500)] {
        let words: &[&str] = if command == "plan" { &["plan"] } else { &["apply", "--auto-approve"] };
        let mut hanging = antipode::start(&link.site.directory, words);
        sleep(Duration::from_millis(wait));
        assert!(!hanging.has_ended(), "{}", hanging.log());
        let begin = Instant::now();
        hanging.signal(Signal::INT);
        let status = hanging.wait_for_end();
        println!("{command}: {:?}\n{}", begin.elapsed(), hanging.log());
        assert_eq!(status.code(), Some(130), "{}", hanging.log());
        assert!(begin.elapsed() < Duration::from_secs(8), "{:?}", begin.elapsed());
        assert!(!hanging.log().contains("No changes"), "a plan of what was not observed: {}", hanging.log());
    }
    assert!(!link.site.barman.server_directory().exists());
}

#[test]
fn ctrl_c_while_another_apply_is_waited_for_ends_at_once() {
    let lab = Lab::new();
    let link = Link::new(&lab, &scenario::two_timelines().primary, &SLOW);
    let _first = link.start_copying();
    let directory = lab.directory("second");
    let site_file = link.site.directory.join("antipode.yaml").display().to_string();
    let mut second = antipode::start(&directory, &["apply", "--auto-approve", "-f", &site_file]);
    sleep(Duration::from_millis(700));
    assert!(!second.has_ended(), "{}", second.log());
    let begin = Instant::now();
    second.signal(Signal::INT);
    assert_eq!(second.wait_for_end().code(), Some(130));
    assert!(begin.elapsed() < Duration::from_secs(2));
}

#[test]
fn only_yes_is_a_yes() {
    let lab = Lab::new();
    let link = Link::new(&lab, &scenario::two_timelines().primary, &[]);
    for (answer, code) in
        [(r"no\n", 1), (r"\n", 1), (r"y\n", 1), (r"YES\n", 1), (r"yes please\n", 1), (r"\x04", 1), (r"\x03", 130)]
    {
        let shown = in_terminal(&link.site.directory, &["apply"], &[], answer);
        assert_eq!(shown.code, code, "{answer}: {}", shown.text);
        assert!(shown.text.contains("Only 'yes' will be accepted"), "{}", shown.text);
        assert!(!link.site.barman.server_directory().exists(), "{answer} changed something");
    }
    let shown = in_terminal(&link.site.directory, &["apply"], &[], r"yes\n");
    assert_eq!(shown.code, 0, "{}", shown.text);
    assert!(link.site.coexisting.run(&["list-backups", SERVER]).stdout.contains("main"));
    let unasked = antipode::antipode(&link.site.directory, &["apply"]);
    assert_eq!(unasked.code(), 1, "{unasked}");
}

//! `bandwidth` and `streams` are kept.

use std::thread::sleep;
use std::time::{Duration, Instant};

use crate::ground::Lab;
use crate::running::{Link, Process, processes};
use crate::scenario;
use crate::sshd::Manners;

/// The most rsyncs at the primary at a time during an apply.
fn most_servers(link: &Link, catalog: &str) -> usize {
    let mut most = 0;
    let mut apply = link.start();
    while !apply.has_ended() {
        // The primary serves other tests too, through other sshds.
        let is_ours = |process: &Process| process.is_rsync_server() && process.descends_from(link.sshd.id());
        let servers = processes(catalog).into_iter().filter(is_ours).count();
        most = most.max(servers);
        sleep(Duration::from_millis(20));
    }
    assert!(apply.wait_for_end().success(), "{}", apply.log());
    most
}

#[test]
fn never_more_transfers_run_than_streams() {
    let primary = &scenario::two_timelines().primary;
    let catalog = format!("{}/", primary.barman.server_directory().display());
    for (streams, limit) in [(1, "streams: 1"), (3, "streams: 3")] {
        let lab = Lab::new();
        let link = Link::new(&lab, primary, &[limit, "bandwidth: 24MiB/s"]);
        let most = most_servers(&link, &catalog);
        println!("{limit}: at most {most} at a time");
        assert!((1..=streams).contains(&most), "{limit}: {most}");
    }
}

#[test]
fn bandwidth_is_kept() {
    let lab = Lab::new();
    let manners = Manners { counts: true, ..Manners::default() };
    let link = Link::with(&lab, &scenario::two_timelines().primary, &["bandwidth: 8MiB/s", "streams: 2"], &manners);
    let begin = Instant::now();
    let mut apply = link.start();
    assert!(apply.wait_for_end().success(), "{}", apply.log());
    let (elapsed, sent) = (begin.elapsed(), link.sshd.sent());
    let rate = sent as f64 / elapsed.as_secs_f64() / f64::from(1 << 20);
    println!("{sent} bytes in {elapsed:?}: {rate:.1} MiB/s");
    assert!(sent > 16 << 20, "too little to measure: {sent}");
    assert!(rate < 9.0, "{rate:.1} MiB/s");
}

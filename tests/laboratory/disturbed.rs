//! Each process of a copy, at either end, is killed and frozen while it works.

use std::fs;
use std::thread::sleep;
use std::time::Duration;

use rustix::process::Signal;

use crate::catalog_compare::{assert_same_told, differing_files};
use crate::crashes::{NO_REUSE, judge, undisturbed};
use crate::ground::Lab;
use crate::primary::Primary;
use crate::process::Daemon;
use crate::running::{Link, Process, processes};
use crate::scenario;
use crate::sshd::Manners;

/// Silence is noticed soon, and there is time for everything.
const LIMITS: [&str; 3] = ["bandwidth: 6MiB/s", "streams: 2", "timeouts: {connect: 5s, idle: 2s, sync_info: 30s}"];
/// Longer than silence is borne.
const LONG: Duration = Duration::from_secs(4);

/// Who serves a copy.
#[derive(Debug, Clone, Copy)]
enum Victim {
    /// rsync at the primary.
    RemoteRsync,
    /// What sshd started for the connection.
    Session,
    /// The site's ssh, whose connection all share.
    Master,
    /// rsync at the site.
    LocalRsync,
}

impl Victim {
    const ALL: [Self; 4] = [Self::RemoteRsync, Self::Session, Self::Master, Self::LocalRsync];

    /// Those that are at work for this process of ours.
    fn found(self, link: &Link, apply: u32) -> Vec<Process> {
        let listener = link.sshd.id();
        let begins = |process: &Process, name: &str| process.words.first().is_some_and(|word| word.starts_with(name));
        let is_one = |process: &Process| match self {
            Self::RemoteRsync => process.is_rsync_server() && process.descends_from(listener),
            Self::Session => begins(process, "sshd") && process.pid != listener && process.descends_from(listener),
            Self::Master => process.is_ssh_master(),
            Self::LocalRsync => begins(process, "rsync") && !process.is_rsync_server() && process.descends_from(apply),
        };
        let text = match self {
            Self::RemoteRsync | Self::LocalRsync => "rsync".to_owned(),
            Self::Session => "sshd".to_owned(),
            Self::Master => format!("-p\0{}", link.sshd.port()),
        };
        let mut found = processes(&text);
        found.retain(is_one);
        found
    }
}

/// An apply that is disturbed.
struct Copying<'a> {
    link: &'a Link,
    apply: Daemon,
}

impl Copying<'_> {
    /// How often it has told that it waits for the line.
    fn losses(link: &Link) -> usize {
        let log = fs::read_to_string(link.site.directory.join("antipode.log")).expect("read the log");
        log.matches("waiting for the line to").count()
    }

    /// Sends a signal to those who serve it, until it tells of a loss; who was frozen is ended then.
    #[track_caller]
    fn disturb(&mut self, victim: Victim, signal: Signal) {
        let (link, id, before) = (self.link, self.apply.id(), Self::losses(self.link));
        let mut hit: Vec<Process> = Vec::new();
        self.apply.wait_until(&format!("{signal:?} of {victim:?} is told"), || {
            // Between two copies there is nobody, and whoever was done with its work is not missed.
            if !hit.iter().any(Process::is_there) {
                hit = victim.found(link, id);
                for process in &hit {
                    process.signal(signal);
                }
            }
            Self::losses(link) > before
        });
        hit.iter().for_each(Process::kill);
    }

    /// Waits until bytes come.
    #[track_caller]
    fn wait_for_bytes(&mut self) {
        let directory = self.link.site.barman.server_directory();
        let held = || {
            let files = walkdir::WalkDir::new(&directory).into_iter().flatten();
            files
                .filter_map(|entry| entry.metadata().ok())
                .filter(fs::Metadata::is_file)
                .map(|file| file.len())
                .sum::<u64>()
        };
        let before = held();
        self.apply.wait_until("bytes come again", || held() > before);
    }
}

/// Demands that a site has all that its primary has, and that this took at most so many bytes.
#[track_caller]
fn assert_all_is_here(link: &Link, primary: &Primary, most: u64) {
    link.finish();
    link.assert_no_orphans();
    judge(&link.site.coexisting);
    assert_same_told(&primary.barman, &link.site.barman);
    let none: [String; 0] = [];
    assert_eq!(differing_files(&primary.barman, &link.site.barman), none);
    let sent = link.sshd.sent();
    println!("sent {sent} bytes of at most {most}");
    assert!(sent < most, "sent {sent} bytes, more than {most}");
}

fn link(lab: &Lab, primary: &Primary) -> Link {
    let mut link = Link::with(lab, primary, &LIMITS, &Manners { counts: true, ..Manners::default() });
    link.replica_keys = NO_REUSE;
    link.limit(&LIMITS);
    link
}

#[test]
fn an_apply_outlives_whoever_serves_it_killed_or_frozen() {
    let lab = Lab::new();
    let primary = &scenario::two_timelines().primary;
    let baseline = undisturbed(primary);
    let link = link(&lab, primary);
    let mut copying = Copying { apply: link.start_copying(), link: &link };
    for signal in [Signal::KILL, Signal::STOP] {
        for victim in Victim::ALL {
            copying.disturb(victim, signal);
            copying.wait_for_bytes();
            judge(&link.site.coexisting);
        }
    }
    copying.apply.signal(Signal::INT);
    assert_eq!(copying.apply.wait_for_end().code(), Some(130), "{}", copying.apply.log());
    assert!(!copying.apply.log().contains("failed"), "{}", copying.apply.log());
    // What a loss costs at the most: what was on its way in two streams, and the questions that are asked again.
    assert_all_is_here(&link, primary, baseline + 9 * (4 << 20));
}

#[test]
fn an_apply_goes_on_that_was_frozen_itself_and_what_a_killed_process_group_left_is_used() {
    let lab = Lab::new();
    let primary = &scenario::two_timelines().primary;
    let baseline = undisturbed(primary);
    let link = link(&lab, primary);
    let mut copying = Copying { apply: link.start_copying(), link: &link };
    for whole_group in [false, true] {
        let send = |signal| if whole_group { copying.apply.signal_group(signal) } else { copying.apply.signal(signal) };
        send(Signal::STOP);
        sleep(LONG);
        judge(&link.site.coexisting);
        send(Signal::CONT);
        copying.wait_for_bytes();
    }
    copying.apply.signal_group(Signal::KILL);
    copying.apply.wait_for_end();
    assert!(!copying.apply.log().contains("failed"), "{}", copying.apply.log());
    link.assert_no_orphans();
    judge(&link.site.coexisting);
    assert_all_is_here(&link, primary, baseline + 3 * (4 << 20));
}

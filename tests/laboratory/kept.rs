//! A site that `antipode run` keeps.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use antipode::barman::wal::Timeline;
use antipode::demo::catalog::{PrimaryCatalog, Stored};
use rustix::process::Signal;

use crate::account::ACCOUNT;
use crate::antipode::{antipode, program_path, start};
use crate::catalog_compare::{assert_same_told, differing_files};
use crate::ground::Lab;
use crate::process::Daemon;
use crate::restore::Restore;
use crate::running::{Link, Process, holds_files, processes};
use crate::scenario::{self, chapters, write_chapter};
use crate::sshd::{Manners, Sshd};

/// Begins to keep a site.
fn keep(directory: &Path) -> Daemon {
    start(directory, &["run"])
}

#[test]
fn a_site_keeps_up_with_a_primary_that_moves_on_and_outlives_a_line_that_is_cut() {
    let lab = Lab::new();
    let scenario = scenario::two_timelines();
    let primary = scenario.primary.copy_to(&lab.join("primary"));
    let link = Link { replica_keys: "schedule: {every: 1s, jitter: 1s}", ..Link::new(&lab, &primary, &[]) };
    link.limit(&[]);
    let site = &link.site;
    let mut kept = keep(&site.directory);
    let has = |id: &str| site.barman.server_directory().join("meta").join(format!("{id}-backup.info")).exists();
    kept.wait_until("all backups are here", || scenario.backups.iter().all(|id| has(id)));

    let live = primary.start();
    let live = write_chapter(live, "kept");
    let masters = || processes(&format!("-p\0{}", link.sshd.port())).into_iter().filter(Process::is_ssh_master);
    masters().for_each(|master| master.kill());
    let id = live.back_up(&[]);
    kept.wait_until("the new backup is here", || has(&id));
    let live = write_chapter(live, "and kept");
    let none: [String; 0] = [];
    let plan = || antipode(&site.directory, &["plan", "--detailed-exitcode"]);
    kept.wait_until("all is here", || differing_files(&live.barman, &site.barman) == none);
    // The list's end is written after the files that it counts.
    kept.wait_until("nothing is left to do", || plan().code() == 0);

    kept.signal(Signal::TERM);
    assert!(kept.wait_for_end().success(), "{}", kept.log());
    link.assert_no_orphans();
    assert_same_told(&live.barman, &site.barman);
    let planned = plan();
    assert_eq!(planned.code(), 0, "{planned}");
    let restore = Restore::newest(site.judge(), &id);
    assert_eq!(chapters(&restore.start(&lab.join("restored"))).last().map(String::as_str), Some("and kept"));
}

#[test]
fn wal_comes_while_a_base_is_copied_over_a_slow_line() {
    let lab = Lab::new();
    let primary = scenario::two_timelines().primary.copy_to(&lab.join("primary"));
    let link = Link { replica_keys: "schedule: {every: 1s, jitter: 1s}", ..Link::new(&lab, &primary, &[]) };
    link.limit(&["bandwidth: 1MiB/s", "streams: 1"]);
    let site = &link.site;
    let live = primary.start();
    let mut kept = keep(&site.directory);
    kept.wait_until("a base is copied", || holds_files(&site.server_staging()));
    let info = |id: &String| site.barman.server_directory().join("meta").join(format!("{id}-backup.info"));
    let published = || live.barman.backup_ids().iter().filter(|id| info(id).exists()).count();
    let before = published();
    let list = site.barman.xlogdb();
    for _ in 0..2 {
        let begin = Instant::now();
        let name = live.archive_wal();
        kept.wait_until("its WAL is here", || fs::read_to_string(&list).is_ok_and(|list| list.contains(&name)));
        println!(
            "{name} came after {:?}, {} bytes",
            begin.elapsed(),
            fs::metadata(site.barman.server_directory().join("wals").join(&name[..16]).join(&name)).expect("it").len()
        );
        assert!(holds_files(&site.server_staging()), "the base came first: {}", kept.log());
    }
    assert_eq!(published(), before, "the base is still copied: {}", kept.log());
    link.limit(&[]);
    let none: [String; 0] = [];
    kept.wait_until("all is here", || differing_files(&live.barman, &site.barman) == none);
    let plan = || antipode(&site.directory, &["plan", "--detailed-exitcode"]);
    kept.wait_until("nothing is left to do", || plan().code() == 0);
    kept.signal(Signal::TERM);
    assert!(kept.wait_for_end().success(), "{}", kept.log());
    assert!(!kept.log().contains("Error"), "{}", kept.log());
    link.assert_no_orphans();
    assert_same_told(&live.barman, &site.barman);
}

/// How long the soak takes: two minutes, or as many as this variable says.
const MINUTES: &str = "ANTIPODE_SOAK_MINUTES";

/// What a process holds.
#[derive(Debug, Clone, Copy)]
struct Held {
    kibibytes: u64,
    descriptors: usize,
    threads: usize,
    children: usize,
    files: usize,
}

impl Held {
    fn of(pid: u32, own: &Path) -> Self {
        let status = fs::read_to_string(format!("/proc/{pid}/status")).expect("it runs");
        let value = |key: &str| {
            let line = status.lines().find_map(|line| line.strip_prefix(key)).expect("a line of its status");
            line.split_whitespace().next().and_then(|word| word.parse().ok()).expect("a number")
        };
        let is_child = |stat: &String| {
            let after_name = stat.rsplit(')').next().unwrap_or_default();
            after_name.split_whitespace().nth(1) == Some(&pid.to_string())
        };
        let stats = fs::read_dir("/proc").expect("/proc").flatten();
        let stats = stats.filter_map(|entry| fs::read_to_string(entry.path().join("stat")).ok());
        Self {
            kibibytes: value("VmRSS:"),
            descriptors: fs::read_dir(format!("/proc/{pid}/fd")).expect("its descriptors").count(),
            threads: usize::try_from(value("Threads:")).expect("few"),
            children: stats.filter(is_child).count(),
            files: walkdir::WalkDir::new(own).into_iter().flatten().count(),
        }
    }

    /// The least of each: how much is at work at a moment is chance, and what is never given back is held at all of them.
    fn least(self, other: Self) -> Self {
        Self {
            kibibytes: self.kibibytes.min(other.kibibytes),
            descriptors: self.descriptors.min(other.descriptors),
            threads: self.threads.min(other.threads),
            children: self.children.min(other.children),
            files: self.files.min(other.files),
        }
    }
}

/// What Barman wants of a server, none of which is used here.
const SERVER: &str = "conninfo = host=pg\nbackup_method = postgres\narchiver = on\n";

/// Twenty replicas of a primary whose archive grows every second.
struct Soak {
    lab: Lab,
    primary: PrimaryCatalog,
    _sshd: Sshd,
}

impl Soak {
    fn new() -> Self {
        let lab = Lab::new();
        let scenario = scenario::two_timelines();
        // Its primary is not the one that the gate there serves.
        let manners = Manners { has_shell: true, ..Manners::default() };
        let sshd = Sshd::start_with(&lab.join("sshd"), &scenario.primary.barman, &manners);
        let mut primary = PrimaryCatalog::create(&lab.join("frankfurt"), "main").expect("a primary");
        primary.first_day().expect("its first day");
        let directory = lab.directory("site");
        ACCOUNT.make_directory(&directory.join("home"));
        let conf = lab.join("frankfurt.conf");
        let home = lab.join("frankfurt");
        ACCOUNT.write(&conf, format!("[barman]\nbarman_home = {}\n[main]\n{SERVER}", home.display()));
        let replicas: String = (0..20).map(|n| format!("  r{n:02}: {{primary: frankfurt, server: main}}\n")).collect();
        let text = format!(
            "version: 1\nsite: lisbon\ncatalog: {{path: {home}, barman: \"3.19.1\", reserve: none}}\nprimaries:\n  frankfurt:\n    \
             ssh_command: {ssh}\n    barman: {{command: {program} -c {conf}}}\n\
             defaults: {{schedule: {{every: 10s, jitter: 5s}}}}\nreplicas:\n{replicas}",
            home = directory.join("home").display(),
            ssh = sshd.command_line(),
            program = program_path().display(),
            conf = conf.display(),
        );
        ACCOUNT.write(&directory.join("antipode.yaml"), text);
        Self { lab, primary, _sshd: sshd }
    }

    /// Archives one segment more.
    fn grow(&mut self, number: u64) {
        let at = jiff::Timestamp::now().to_string();
        self.primary
            .segments(Timeline(1), number..=number, &at, Duration::from_secs(1), Stored::Gzip)
            .expect("a segment");
        self.primary.made().expect("its list");
    }

    fn site(&self) -> std::path::PathBuf {
        self.lab.join("site")
    }

    /// The segments that a replica has.
    fn segments(&self, replica: usize) -> BTreeSet<String> {
        let wals = self.site().join(format!("home/r{replica:02}/wals"));
        let files = walkdir::WalkDir::new(wals).into_iter().flatten();
        files
            .filter_map(|entry| entry.file_name().to_str().filter(|name| name.len() == 24).map(str::to_owned))
            .collect()
    }
}

#[test]
fn a_site_of_twenty_replicas_is_kept_for_long_without_holding_more_and_more() {
    let mut soak = Soak::new();
    let mut kept = keep(&soak.site());
    let all_have = |soak: &Soak, number: u64| {
        let name = format!("{:024X}", 1_u128 << 64 | u128::from(number));
        (0..20).all(|replica| soak.segments(replica).contains(&name))
    };
    let mut number = 0x0A;
    kept.wait_until("the replicas are filled", || all_have(&soak, number));
    let minutes: u64 = std::env::var(MINUTES).map_or(2, |text| text.parse().expect("a number of minutes"));
    let (begin, length) = (Instant::now(), Duration::from_secs(60 * minutes));
    let own = soak.site().join("home/.antipode");
    let (mut early, mut late) = (None::<Held>, None::<Held>);
    while begin.elapsed() < length {
        number += 1;
        soak.grow(number);
        thread::sleep(Duration::from_secs(1));
        assert!(!kept.has_ended(), "{}", kept.log());
        let held = Held::of(kept.id(), &own);
        // What is held in the first third, and in the last.
        if begin.elapsed() < length / 3 {
            early = Some(early.map_or(held, |early| early.least(held)));
        } else if begin.elapsed() > length * 2 / 3 {
            late = Some(late.map_or(held, |late| late.least(held)));
        }
    }
    let (early, late) = early.zip(late).expect("it was looked at in both thirds");
    println!("early {early:?}\nlate  {late:?}\n{number} segments");
    kept.wait_until("every replica has all", || all_have(&soak, number));
    assert!(late.kibibytes <= early.kibibytes * 5 / 4 + 8192, "{early:?} {late:?}");
    assert!(late.descriptors <= early.descriptors + 8, "{early:?} {late:?}");
    assert!(late.threads <= early.threads + 8, "{early:?} {late:?}");
    assert!(late.children <= early.children + 8, "{early:?} {late:?}");
    assert!(late.files <= early.files + 20, "{early:?} {late:?}");
    kept.signal(Signal::TERM);
    assert!(kept.wait_for_end().success(), "{}", kept.log());
    assert!(!kept.log().contains("Error"), "{}", kept.log());
    let rest = Held::of(std::process::id(), &own).files;
    assert!(rest <= early.files + 20, "{rest} {early:?}");
}

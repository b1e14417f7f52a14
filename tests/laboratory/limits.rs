//! `bandwidth` and `streams` are kept.

use std::thread::sleep;
use std::time::{Duration, Instant};

use crate::antipode::antipode;
use crate::catalog_compare::assert_same_told;
use crate::ground::Lab;
use crate::primary::Primary;
use crate::process::{program, run};
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
    let rate = (u128::from(sent) * 1000 / elapsed.as_millis()) >> 10;
    println!("{sent} bytes in {elapsed:?}: {rate} KiB/s");
    assert!(sent > 16 << 20, "too little to measure: {sent}");
    assert!(rate < 9 << 10, "{rate} KiB/s");
}

/// Applies until nothing is left, copying no more than this at a time; how many runs it took.
fn apply_in_portions(link: &Link, limit: u64) -> usize {
    let words = ["apply", "--auto-approve", "--json", "--max-bytes", &format!("{limit}B")];
    for run in 1..40 {
        let before = link.sshd.sent();
        let applied = antipode(&link.site.directory, &words);
        assert_eq!(applied.code(), 0, "{applied}");
        let summary = applied.stdout.lines().last().expect("a summary");
        let summary: serde_json::Value = serde_json::from_str(summary).expect("JSON");
        let (bytes, sent) = (summary["bytes"].as_u64().expect("bytes"), link.sshd.sent() - before);
        println!("run {run}: {bytes} bytes of files, {sent} in all: {summary}");
        assert!(bytes <= limit, "run {run}: {bytes} bytes");
        // Lists of files and what the primary's Barman says come on top.
        assert!(sent <= limit + limit / 8 + (1 << 20), "run {run}: {sent} bytes were sent for {bytes}");
        if summary["stopped_at"].is_null() {
            return run;
        }
    }
    panic!("it does not end");
}

#[test]
fn max_bytes_ends_each_run_and_the_next_goes_on() {
    let lab = Lab::new();
    let manners = Manners { counts: true, ..Manners::default() };
    let scenario = scenario::two_timelines();
    let link = Link::with(&lab, &scenario.primary, &[], &manners);
    let runs = apply_in_portions(&link, 20 << 20);
    assert!(runs > 2, "{runs} runs");
    assert_same_told(&scenario.primary.barman, &link.site.barman);
    // The largest file, in pieces.
    let wals = link.site.barman.server_directory().join("wals");
    let files = walkdir::WalkDir::new(&wals).into_iter().flatten().filter(|entry| entry.file_type().is_file());
    let sizes = files.map(|entry| (entry.metadata().expect("its size").len(), entry.into_path()));
    let (size, largest) = sizes.max().expect("some WAL");
    std::fs::remove_file(&largest).expect("lose a WAL");
    let runs = apply_in_portions(&link, size * 2 / 5);
    assert!((2..=8).contains(&runs), "{runs} runs for {size} bytes");
    link.finish();
    assert_same_told(&scenario.primary.barman, &link.site.barman);
}

/// Gives a primary this many more WALs, each a header alone, compressed.
fn add_tiny_wals(primary: &Primary, count: u64) {
    const SCRIPT: &str = "import gzip, os, struct, sys\n\
        wals, xlogdb, system, count = sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4])\n\
        with open(xlogdb, 'a') as lines:\n    \
            for n in range(0x20, 0x20 + count):\n        \
                name = '%08X%08X%08X' % (2, n >> 8, n & 255)\n        \
                header = struct.pack('<HHIQIIQII', 0xD110, 2, 2, n << 24, 0, 0, system, 1 << 24, 8192)\n        \
                data = gzip.compress(header + bytes(8152), 1, mtime=0)\n        \
                path = os.path.join(wals, name[:16])\n        \
                os.makedirs(path, exist_ok=True)\n        \
                open(os.path.join(path, name), 'wb').write(data)\n        \
                lines.write('%s\\t%d\\t1700000000.5\\tgzip\\tNone\\n' % (name, len(data)))\n";
    let system = primary.barman.backup_field(&primary.barman.bases()[0], "systemid");
    let mut command = program("python3");
    command.args(["-c", SCRIPT]).arg(primary.barman.server_directory().join("wals")).arg(primary.barman.xlogdb());
    run(command.args([system, count.to_string()])).expect_success();
}

/// Not a test but a measurement: `cargo test --release --test laboratory many_small -- --ignored --nocapture`.
#[test]
#[ignore = "takes minutes"]
fn many_small_wals_are_shipped_in_reasonable_time() {
    let count = std::env::var("ANTIPODE_LAB_WALS").ok().and_then(|text| text.parse().ok()).unwrap_or(20_000);
    let lab = Lab::new();
    let primary = scenario::two_timelines().primary.copy_to(&lab.join("primary"));
    let link = Link::new(&lab, &primary, &[]);
    link.finish();
    add_tiny_wals(&primary, count);
    for way in ["ssh", "path"] {
        let site_file = std::fs::read_to_string(link.site.directory.join("antipode.yaml")).expect("read");
        let path = format!("    path: {}\n", primary.barman.home.display());
        let by_path: String = site_file
            .lines()
            .map(|line| if line.contains("ssh_command:") { path.clone() } else { format!("{line}\n") })
            .collect();
        link.site.declare(if way == "path" { &by_path } else { &site_file });
        let begin = Instant::now();
        let applied = antipode(&link.site.directory, &["apply", "--auto-approve"]);
        println!("{way}: {count} WALs in {:?}", begin.elapsed());
        assert_eq!(applied.code(), 0, "{applied}");
        println!("{}", applied.stderr);
        // Away with them, for the other way.
        for high in 0..=((count + 0x20) >> 8) {
            let directory = link.site.barman.server_directory().join(format!("wals/{:08X}{high:08X}", 2));
            let _ = std::fs::remove_dir_all(directory);
        }
    }
}

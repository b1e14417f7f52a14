//! Lines that are lost on the way, programs at the primary that are ended or frozen, and runs that are killed.

use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

use crate::bench::Bench;
use crate::demo;
use crate::support::sshd::Sshd;

/// An rsync at the primary whose first calls that take a moment get a signal.
fn disturbed(bench: &Bench, calls: u32, signal: &str) {
    let count = bench.path("count").display().to_string();
    bench.program(
        "rsync",
        &format!(
            "n=0; [ ! -f '{count}' ] || read n < '{count}'\n[ $n -lt {calls} ] || exec '{rsync}' \"$@\"\n\
             exec 3<&0\n'{rsync}' \"$@\" <&3 & p=$!\n\
             (sleep 0.4; kill -s {signal} $p && echo $((n + 1)) > '{count}') > /dev/null 2>&1 &\nwait $p\n",
            rsync = crate::bench::which("rsync").display(),
        ),
    );
}

/// A site file whose copies take seconds.
fn slow_site(bench: &Bench) -> String {
    let more = "    bandwidth: 2MiB/s\n    timeouts: {connect: 5s, idle: 2s, sync_info: 30s}\n\
                replicas: {main: {primary: frankfurt, transfer: {compress: none}}}\n";
    bench.site_with(&bench.ssh_command(), more)
}

/// Ends what was frozen.
fn end_programs_about(path: &Path) {
    for (process, _) in Sshd::processes_about(path) {
        let _gone = kill_process(process, Signal::KILL);
    }
}

fn disturbances(bench: &Bench) -> u32 {
    fs::read_to_string(bench.path("count")).unwrap().trim().parse().unwrap()
}

#[test]
fn an_apply_whose_copies_are_cut_off_at_the_primary_again_and_again_goes_on_to_the_end() {
    for (signal, calls) in [("TERM", 8), ("HUP", 3), ("KILL", 3)] {
        let bench = Bench::start();
        bench.declare(&slow_site(&bench));
        disturbed(&bench, calls, signal);
        let applied = bench.antipode(&["apply", "--auto-approve"]);
        applied.expect(0).says(&["waiting for the line to frankfurt"]);
        assert!(disturbances(&bench) >= 2, "{applied}");
        bench.antipode(&["plan", "--detailed-exitcode"]).expect(0);
    }
}

#[test]
fn an_apply_whose_primary_is_frozen_is_told_and_goes_on_to_the_end() {
    let bench = Bench::start();
    bench.declare(&slow_site(&bench));
    disturbed(&bench, 2, "STOP");
    let applied = bench.antipode(&["apply", "--auto-approve"]);
    applied.expect(0).says(&["it fell silent for longer than `timeouts.idle`; waiting for the line to frankfurt"]);
    assert!(disturbances(&bench) > 0, "{applied}");
    bench.antipode(&["plan", "--detailed-exitcode"]).expect(0);
    end_programs_about(&bench.path("primary"));
}

#[test]
fn barmans_own_commands_outlast_a_lost_line_too() {
    let bench = Bench::start();
    bench.declare(&slow_site(&bench));
    for command in [&["sync-backup", "main", "20261121T030000"][..], &["sync-wals", "main"]] {
        let _none = fs::remove_file(bench.path("count"));
        disturbed(&bench, 2, "TERM");
        let done = bench.antipode(command);
        done.expect(0).says(&["waiting for the line to frankfurt"]);
        assert!(disturbances(&bench) > 0, "{done}");
    }
    bench.antipode(&["apply", "--auto-approve"]).expect(0);
    bench.antipode(&["plan", "--detailed-exitcode"]).expect(0);
}

#[test]
fn a_question_whose_answer_is_lost_on_its_way_is_asked_again() {
    let bench = Bench::in_sync();
    let lost = bench.path("lost").display().to_string();
    // The parent is the sshd of this connection.
    let once = |answer: &str| format!("[ -f '{lost}' ] || {{ : > '{lost}'; kill -s KILL $PPID; sleep 9; }}; {answer}");
    bench.runs("main", &once("cat main"));
    for command in [&["plan", "--detailed-exitcode"][..], &["status"], &["apply", "--auto-approve"]] {
        let _none = fs::remove_file(&lost);
        bench.antipode(command).expect(0);
        assert!(Path::new(&lost).exists());
    }
    bench.runs("main", "cat main");
    bench.program("rsync", &once(&format!("exec '{}' \"$@\"", crate::bench::which("rsync").display())));
    fs::remove_file(&lost).unwrap();
    bench.antipode(&["plan", "--detailed-exitcode"]).expect(0);
    assert!(Path::new(&lost).exists());
}

#[test]
fn a_primary_whose_directories_have_wildcards_quotes_and_spaces_in_their_names_is_copied() {
    for name in ["it's [a] *primary?", "back\\slash \"é\" $HOME", "end\\"] {
        let bench = Bench::start();
        fs::rename(bench.path("primary"), bench.path("other")).unwrap();
        demo::write_whole(&bench.path(name));
        bench.says("main", &crate::sync_info::sync_info(&bench.path(name), "main"));
        bench.antipode(&["apply", "--auto-approve"]).expect(0);
        bench.antipode(&["plan", "--detailed-exitcode"]).expect(0);
    }
}

#[test]
fn what_a_killed_run_leaves_is_removed_by_the_next_one() {
    let bench = Bench::start();
    let temporary = bench.path("tmp");
    fs::create_dir(&temporary).unwrap();
    let marker = bench.path("asked");
    bench.runs("main", &format!(": > '{}'; sleep 30", marker.display()));
    let mut killed = bench.command(&["plan"]).env("TMPDIR", &temporary).spawn().unwrap();
    eventually(|| marker.exists());
    killed.kill().unwrap();
    killed.wait().unwrap();
    let left = |directory: &Path| fs::read_dir(directory).unwrap().count();
    assert_eq!(left(&bench.sshd().runtime()), 1);
    // As a run leaves it that was killed while it fetched.
    let fetched = temporary.join("antipode-killed");
    let made = Command::new("mkdir").args(["-m", "700"]).arg(&fetched).status().unwrap();
    assert!(made.success());
    fs::write(fetched.join("owner"), "").unwrap();
    fs::write(fetched.join("backup_manifest"), "{}").unwrap();
    // Its ssh ends by itself, as nobody is connected to it any more.
    eventually(|| Sshd::programs_about(&bench.sshd().runtime()).is_empty());
    bench.runs("main", "cat main");
    let planned = crate::bench::run(bench.command(&["plan"]).env("TMPDIR", &temporary));
    planned.expect(0);
    assert_eq!((left(&bench.sshd().runtime()), left(&temporary)), (0, 0));
}

#[test]
fn a_frozen_ssh_of_ours_is_replaced() {
    let bench = Bench::in_sync();
    let timeouts = "    timeouts: {connect: 1s, idle: 2s, sync_info: 30s}\n";
    let site =
        bench.site_with(&bench.ssh_command(), &format!("{timeouts}replicas: {{main: {{primary: frankfurt}}}}\n"));
    bench.declare(&site);
    let marker = bench.path("asked");
    bench.runs("main", &format!("[ -f '{0}' ] || {{ : > '{0}'; sleep 20; }}; cat main", marker.display()));
    let planned = std::thread::scope(|scope| {
        let plan = scope.spawn(|| bench.antipode(&["plan", "--detailed-exitcode"]));
        eventually(|| marker.exists());
        let masters: Vec<Pid> =
            Sshd::processes_about(&bench.sshd().runtime()).into_iter().map(|(pid, _)| pid).collect();
        assert_eq!(masters.len(), 1);
        kill_process(masters[0], Signal::STOP).unwrap();
        plan.join().unwrap()
    });
    planned.expect(0);
    eventually(|| Sshd::programs_about(&bench.sshd().runtime()).is_empty());
}

fn eventually(condition: impl Fn() -> bool) {
    let begin = Instant::now();
    while !condition() {
        assert!(begin.elapsed() < Duration::from_secs(60));
        std::thread::sleep(Duration::from_millis(20));
    }
}

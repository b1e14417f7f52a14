//! What a terminal shows while an apply runs, in a real one: tmux, of several widths.

use std::fs;
use std::path::Path;
use std::process::{Command, Output};
use std::time::{Duration, Instant};

use tempfile::TempDir;

/// A terminal in which one command runs.
struct Screen<'a> {
    directory: &'a Path,
    /// Its own socket: the server of an earlier one may still be about to end.
    socket: TempDir,
}

impl<'a> Screen<'a> {
    /// Opens a terminal of so many columns, and runs a line of shell in it.
    fn open(directory: &'a Path, columns: usize, line: &str) -> Self {
        let screen = Self { directory, socket: tempfile::tempdir().unwrap() };
        let size = ["-x", &columns.to_string(), "-y", "60"].map(str::to_owned);
        let output =
            screen.tmux().args(["-f", "/dev/null", "new-session", "-d"]).args(size).arg(line).output().unwrap();
        assert!(output.status.success(), "tmux does not start: {output:?}");
        screen
    }

    fn tmux(&self) -> Command {
        let mut command = Command::new("tmux");
        command.arg("-S").arg(self.socket.path().join("tmux")).current_dir(self.directory);
        command.env_remove("TMUX").env("LC_ALL", "C.UTF-8").env("TERM", "xterm-256color");
        command
    }

    /// The lines that are shown now.
    fn shown(&self) -> Vec<String> {
        let Output { stdout, .. } = self.tmux().args(["capture-pane", "-p"]).output().unwrap();
        String::from_utf8(stdout).unwrap().lines().map(str::to_owned).collect()
    }

    /// Everything that was shown, one time after the other, until a line begins so.
    fn until(&self, beginning: &str) -> Vec<Vec<String>> {
        let (begun, mut all) = (Instant::now(), Vec::new());
        loop {
            let shown = self.shown();
            let is_there = shown.iter().any(|line| line.starts_with(beginning));
            all.push(shown);
            if is_there {
                return all;
            }
            assert!(begun.elapsed() < Duration::from_secs(120), "never `{beginning}`: {:#?}", all.last());
            std::thread::sleep(Duration::from_millis(50));
        }
    }
}

impl Drop for Screen<'_> {
    fn drop(&mut self) {
        let _ended = self.tmux().arg("kill-server").output();
    }
}

/// The demo's site with nothing in it, on a line that takes some seconds.
fn ground(bandwidth: &str) -> TempDir {
    let directory = tempfile::tempdir().unwrap();
    let made = antipode().args(["demo", "--keep", "kept"]).current_dir(directory.path()).output().unwrap();
    assert!(made.status.success(), "{made:?}");
    let kept = directory.path().join("kept");
    fs::remove_dir_all(kept.join("lisbon")).unwrap();
    fs::create_dir(kept.join("lisbon")).unwrap();
    let site = fs::read_to_string(kept.join("antipode.yaml")).unwrap();
    let slow = format!("defaults: {{transfer: {{bandwidth: {bandwidth}}}}}\n{site}");
    fs::write(kept.join("antipode.yaml"), slow).unwrap();
    directory
}

#[test]
fn who_watches_sees_windows_what_runs_and_the_last_runs_until_it_is_ended() {
    let directory = ground("1MiB/s");
    let run = env!("CARGO_BIN_EXE_antipode");
    let watch = format!(
        "trap : INT; {run} status -f kept/antipode.yaml --watch=1s; code=$?; echo; echo ended with $code; sleep 60"
    );
    let screen = Screen::open(directory.path(), 120, &watch);
    screen.until("Status: ");
    let mut apply = antipode();
    apply.args(["apply", "-q", "-f", "kept/antipode.yaml", "--auto-approve"]).current_dir(directory.path());
    let mut apply = apply.spawn().unwrap();
    screen.until("      copying backup/");
    assert!(apply.wait().unwrap().success());
    let all = screen.until("Status: 1 in sync.");
    let last = all.last().unwrap();
    assert!(last.iter().any(|line| line.starts_with("main  2026-") && line.contains('┿') && line.ends_with(" now")));
    assert!(last.iter().any(|line| line.contains("  apply, ")), "{last:#?}");
    let keys = screen.tmux().args(["send-keys", "C-c"]).output().unwrap();
    assert!(keys.status.success(), "{keys:?}");
    screen.until("ended with 130");
}

#[test]
fn what_is_no_terminal_is_not_drawn_on() {
    let directory = ground("1GiB/s");
    let mut status = antipode();
    status.args(["status", "-f", "kept/antipode.yaml", "--watch"]).current_dir(directory.path());
    let output = status.output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    let told = String::from_utf8(output.stderr).unwrap();
    assert!(told.contains("standard output is none") && output.stdout.is_empty(), "{told}");
}

#[test]
fn a_verification_shows_how_far_it_is_and_leaves_nothing_of_that_behind() {
    let directory = tempfile::tempdir().unwrap();
    let made = antipode().args(["demo", "--keep", "kept"]).current_dir(directory.path()).output().unwrap();
    assert!(made.status.success(), "{made:?}");
    let verify = env!("CARGO_BIN_EXE_antipode");
    for columns in [60, 100] {
        let line = format!("{verify} verify --all --bandwidth 4MiB/s; echo ENDED=$?; read -r _");
        let kept = directory.path().join("kept");
        let screen = Screen::open(&kept, columns, &line);
        let all = screen.until("ENDED=0");
        let bars =
            |shown: &[String]| shown.iter().filter(|line| line.starts_with("main  ") && line.contains(" of ")).count();
        assert!(all.iter().all(|shown| bars(shown) <= 1), "{all:#?}");
        assert!(all.iter().any(|shown| bars(shown) == 1), "{columns} columns: {:#?}", all.last());
        let last = all.last().unwrap();
        assert!(bars(last) == 0 && last.iter().any(|line| line.contains("no damage found")), "{last:#?}");
    }
}

fn antipode() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_antipode"));
    command.env_remove("ANTIPODE_FILE").env_remove("COLUMNS");
    command
}

fn apply() -> String {
    format!("{} apply --auto-approve; echo ENDED=$?; read -r _", env!("CARGO_BIN_EXE_antipode"))
}

/// The lines of what runs, at the bottom.
fn running(shown: &[String]) -> Vec<&str> {
    shown.iter().filter(|line| line.starts_with("  ") && !line.contains('…')).map(|line| line.trim()).collect()
}

#[test]
fn each_step_that_runs_has_one_line_and_none_stays_behind() {
    for columns in [60, 80, 200] {
        let ground = ground("5MiB/s");
        let kept = ground.path().join("kept");
        let screen = Screen::open(&kept, columns, &apply());
        let all = screen.until("ENDED=");
        let whole = |shown: &[String]| running(shown).iter().filter(|line| line.starts_with("in all")).count();
        for shown in &all {
            assert!(whole(shown) <= 1, "{columns} columns: {shown:#?}");
            let rows: Vec<&str> = running(shown).into_iter().filter(|line| line.starts_with("main/")).collect();
            let mut names: Vec<&str> = rows.iter().filter_map(|row| row.split_whitespace().next()).collect();
            names.sort_unstable();
            names.dedup();
            assert_eq!(names.len(), rows.len(), "{columns} columns: {shown:#?}");
        }
        assert!(all.iter().any(|shown| whole(shown) == 1), "{columns} columns: {:#?}", all.last());
        let rated = |shown: &Vec<String>| shown.iter().any(|line| line.contains("in all") && line.contains(" left"));
        assert!(all.iter().any(rated), "{columns} columns: {all:#?}");
        let last = all.last().unwrap();
        assert!(last.contains(&"ENDED=0".to_owned()), "{last:#?}");
        assert!(!last.iter().any(|line| line.contains('━') || line.contains('┄')), "{columns} columns: {last:#?}");
    }
}

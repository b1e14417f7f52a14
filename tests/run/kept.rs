//! A site that a running antipode keeps.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use antipode::demo::catalog::PrimaryCatalog;
use tempfile::TempDir;

/// Longer than a busy machine takes for anything here.
const PATIENCE: Duration = Duration::from_secs(120);

/// A primary with a server, and a site beside it.
pub struct Ground {
    directory: TempDir,
    /// The server `main` of the primary.
    pub primary: PrimaryCatalog,
}

impl Ground {
    /// With the first day of the demo. The replica `main` is looked at every second.
    pub fn new(more: &str) -> Self {
        Self::of(more, |primary| primary)
    }

    /// The same with tables of some megabytes.
    pub fn large(more: &str) -> Self {
        Self::of(more, |primary| primary.with_relations_up_to(4 << 20))
    }

    fn of(more: &str, made: impl Fn(PrimaryCatalog) -> PrimaryCatalog) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let mut primary = made(PrimaryCatalog::create(&directory.path().join("frankfurt"), "main").unwrap());
        primary.first_day().unwrap();
        fs::create_dir(directory.path().join("lisbon")).unwrap();
        let ground = Self { directory, primary };
        ground.declare(more);
        ground
    }

    /// Writes the site file anew, with more keys of the replica.
    pub fn declare(&self, more: &str) {
        fs::write(self.path("antipode.yaml"), self.site(more)).unwrap();
    }

    /// The text of a site file.
    pub fn site(&self, more: &str) -> String {
        format!(
            "version: 1\nsite: lisbon\ncatalog: {{path: {}, barman: \"3.19.1\", reserve: none}}\nprimaries:\n  frankfurt: {{path: {}}}\n\
             defaults: {{schedule: {{every: 1s, jitter: 1s}}}}\nreplicas:\n  main: {{primary: frankfurt, {more}}}\n",
            self.path("lisbon").display(),
            self.path("frankfurt").display()
        )
    }

    /// A file or directory beside the site file.
    pub fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    /// Runs a command of antipode to its end: its exit code, and all that it prints.
    pub fn told(&self, arguments: &[&str]) -> (i32, String) {
        self.told_with(arguments, &[])
    }

    /// The same with more of the environment.
    pub fn told_with(&self, arguments: &[&str], environment: &[(&str, &Path)]) -> (i32, String) {
        let output = self.command(arguments).envs(environment.iter().copied()).output().unwrap();
        let text = [output.stdout, output.stderr].map(|bytes| String::from_utf8(bytes).unwrap()).concat();
        (output.status.code().unwrap(), text)
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_antipode"));
        command.args(arguments).current_dir(self.directory.path());
        command.env("HOME", self.directory.path()).env_remove("ANTIPODE_FILE").env_remove("NOTIFY_SOCKET");
        command
    }

    /// Begins to keep the site.
    pub fn keep(&self) -> Kept {
        self.keep_with(&[], &[])
    }

    /// The same with more arguments and more of the environment.
    pub fn keep_with(&self, arguments: &[&str], environment: &[(&str, &str)]) -> Kept {
        let log = self.path("run.log");
        let file = File::create(&log).unwrap();
        let mut command = self.command(&[&["run"], arguments].concat());
        command.stdin(Stdio::null()).stdout(file.try_clone().unwrap()).stderr(file);
        let child = command.envs(environment.iter().copied()).spawn().unwrap();
        Kept { child, log }
    }

    /// Whether the site has a file.
    pub fn has(&self, name: &str) -> bool {
        self.path("lisbon").join(name).exists()
    }

    /// Makes a backup at the primary on a day from the 25th on, with the WAL around it; its id.
    pub fn back_up(&mut self, day: u64) -> String {
        let id = format!("202611{day}T030000");
        // The first day ends in segment 0A.
        let (first, stored) = (0x0B + 2 * (day - 25), antipode::demo::catalog::Stored::Gzip);
        let at = |clock: &str| format!("2026-11-{day}T{clock}Z");
        let timeline = antipode::barman::wal::Timeline(1);
        self.primary.segments(timeline, first..=first + 1, &at("03:00:00"), Duration::from_secs(60), stored).unwrap();
        self.primary.backup(&id, timeline, first..=first + 1, &at("03:02:00"), stored).unwrap();
        self.primary.made().unwrap();
        id
    }
}

/// A running antipode; killed when dropped.
pub struct Kept {
    child: Child,
    log: PathBuf,
}

impl Kept {
    /// What it said so far.
    pub fn log(&self) -> String {
        fs::read_to_string(&self.log).unwrap()
    }

    /// Waits until something is so.
    #[track_caller]
    pub fn until(&mut self, what: &str, is_so: impl Fn() -> bool) {
        let begin = Instant::now();
        while !is_so() {
            assert!(self.child.try_wait().unwrap().is_none(), "it ended before {what}:\n{}", self.log());
            assert!(begin.elapsed() < PATIENCE, "never {what}:\n{}", self.log());
            sleep(Duration::from_millis(50));
        }
    }

    /// Waits until it says something.
    #[track_caller]
    pub fn says(&mut self, text: &str) {
        self.says_so_often(text, 1);
    }

    /// Waits until it said something so often.
    #[track_caller]
    pub fn says_so_often(&mut self, text: &str, times: usize) {
        let log = self.log.clone();
        self.until(&format!("`{text}` is said"), || said(&log, text) >= times);
    }

    /// How often it said something.
    pub fn said(&self, text: &str) -> usize {
        said(&self.log, text)
    }

    /// Its process.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Sends a signal by its name.
    pub fn signal(&self, name: &str) {
        let sent = Command::new("kill").args(["-s", name, &self.id().to_string()]).status().unwrap();
        assert!(sent.success());
    }

    /// Waits for its end.
    #[track_caller]
    pub fn end(&mut self) -> ExitStatus {
        let begin = Instant::now();
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                return status;
            }
            assert!(begin.elapsed() < PATIENCE, "it does not end:\n{}", self.log());
            sleep(Duration::from_millis(20));
        }
    }
}

fn said(log: &Path, text: &str) -> usize {
    fs::read_to_string(log).unwrap().matches(text).count()
}

impl Drop for Kept {
    fn drop(&mut self) {
        let _ended = self.child.kill();
        let _reaped = self.child.wait();
    }
}

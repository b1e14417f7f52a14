//! The primary and the site of the demo, one day after the other, for pages that show what the program prints.

#![allow(dead_code, reason = "no test uses all of it")]

use std::fs;
use std::path::PathBuf;
use std::process::{Command, Output};

use antipode::demo::catalog::PrimaryCatalog;
use tempfile::TempDir;

/// The primary and the site of the demo.
pub struct Place {
    directory: TempDir,
    primary: PrimaryCatalog,
}

impl Place {
    /// A primary with its first day, and a site that has nothing yet.
    pub fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let path = |name: &str| directory.path().join(name);
        let mut primary = PrimaryCatalog::create(&path("frankfurt"), "main").unwrap();
        primary.first_day().unwrap();
        let site = format!(
            "version: 1\nsite: lisbon\ncatalog: {{path: {}, barman: \"3.19.1\", deep_every: always, reserve: none}}\nprimaries:\n  \
             frankfurt: {{path: {}}}\nreplicas:\n  main: {{primary: frankfurt, objective: {{rpo: 15m}}}}\n",
            path("lisbon").display(),
            path("frankfurt").display()
        );
        fs::write(path("antipode.yaml"), &site).unwrap();
        for made in ["bin", "root/etc/barman.d", "root/tmp"] {
            fs::create_dir_all(path(made)).unwrap();
        }
        std::os::unix::fs::symlink(env!("CARGO_BIN_EXE_antipode"), path("bin/antipode")).unwrap();
        let conf = format!(
            "[barman]\nbarman_home = {}\n[main]\nprimary_ssh_command = ssh barman@fra\n",
            path("lisbon").display()
        );
        fs::write(path("root/etc/barman.conf"), &conf).unwrap();
        fs::write(path(".barman.conf"), conf).unwrap();
        Self { directory, primary }
    }

    /// The second day of the primary: it was promoted and has another backup.
    pub fn second_day(&mut self) {
        self.primary.second_day().unwrap();
    }

    /// A file or directory of the place.
    pub fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    /// A line of shell, with the paths that begin at the root below this directory.
    pub fn shell(&self, line: &str) -> Output {
        let root = self.path("root");
        let is_of_root = |word: &&str| ["/etc/", "/tmp/"].iter().any(|start| word.starts_with(start));
        let below = |word: &str| match Some(word).filter(is_of_root) {
            Some(word) => format!("{}{word}", root.display()),
            None => word.to_owned(),
        };
        let line = line.split(' ').map(below).collect::<Vec<_>>().join(" ");
        self.exactly(&line)
    }

    /// A line of shell as a person at a terminal gives it who answers every question with yes.
    pub fn shell_with_yes(&self, line: &str) -> Output {
        self.exactly(&format!("echo yes | script -qec '{line}' /dev/null"))
    }

    fn exactly(&self, line: &str) -> Output {
        let path = format!("{}:{}", self.path("bin").display(), std::env::var("PATH").unwrap());
        let mut bash = Command::new("bash");
        bash.args(["-ec", line]).current_dir(self.directory.path()).env("PATH", path).env("COLUMNS", "200");
        // What a client of `gate` asks for.
        bash.env("SSH_ORIGINAL_COMMAND", "barman list-servers --minimal");
        bash.env("HOME", self.directory.path()).env("NO_COLOR", "1").env_remove("ANTIPODE_FILE").output().unwrap()
    }

    /// Runs antipode; its exit code and what it printed.
    pub fn antipode(&self, arguments: &str) -> (i32, String) {
        let output = self.exactly(&format!("antipode {arguments}"));
        let text = [output.stdout, output.stderr].map(|bytes| String::from_utf8(bytes).unwrap()).concat();
        (output.status.code().unwrap(), text)
    }
}

/// The blocks of a page in one language, each with the line that stands before it. A block ends with as many backticks
/// as it began with, so that one can hold another.
pub fn blocks<'a>(page: &'a str, language: &str) -> Vec<(&'a str, &'a str)> {
    let mut found = Vec::new();
    let (mut before, mut rest) = ("", page);
    while let Some((line, behind)) = rest.split_once('\n') {
        rest = behind;
        let info = line.trim_start_matches('`');
        let fence = &line[..line.len() - info.len()];
        if fence.len() >= 3 {
            let (block, behind) = behind.split_once(&format!("{fence}\n")).unwrap_or((behind, ""));
            rest = behind;
            if info == language {
                found.push((before, block));
            }
        }
        before = line;
    }
    found
}

/// Text without what depends on the moment: how long ago something was.
pub fn timeless(text: &str) -> String {
    let words = text.split(' ').collect::<Vec<_>>();
    let mut kept: Vec<&str> = Vec::new();
    for word in words {
        if word == "ago" || word.starts_with("ago\n") {
            while kept.last().is_some_and(|last| last.parse::<u32>().is_ok() || UNITS.contains(last)) {
                kept.pop();
            }
        }
        kept.push(word);
    }
    // The width of a column follows its longest cell.
    let lines = kept.join(" ");
    lines.lines().map(|line| format!("{}\n", line.split_whitespace().collect::<Vec<_>>().join(" "))).collect()
}

const UNITS: [&str; 5] = ["s", "min", "h", "d", "days"];

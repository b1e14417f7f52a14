//! Standard output that cannot be written: every command says so and ends with an error, and an apply does its work.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use antipode::cli::Cli;
use clap::CommandFactory;
use tempfile::TempDir;

const LIST: &str = "lisbon/main/wals/main-xlog.db";

/// The demo's catalogs, a plan of them, and this host's barman.conf. The list of WAL is broken.
struct Ground(TempDir);

impl Ground {
    fn new() -> Self {
        let ground = Self(tempfile::tempdir().unwrap());
        let directory = ground.0.path();
        let made = ground.command(directory, &["demo", "--keep", "kept"]).output().unwrap();
        assert!(made.status.success(), "{made:?}");
        let kept = ground.kept();
        let conf = format!(
            "[barman]\nbarman_home = {}\n[main]\nconninfo = host=pg\nbackup_method = postgres\narchiver = on\n",
            kept.join("lisbon").display()
        );
        fs::write(kept.join("barman.conf"), conf).unwrap();
        for directory in [".antipode", "base"] {
            fs::create_dir_all(kept.join("lisbon/gone").join(directory)).unwrap();
        }
        ground.break_list();
        let saved = ground.command(&kept, &["plan", "-o", "plan.json"]).output().unwrap();
        assert!(saved.status.success(), "{saved:?}");
        ground
    }

    fn kept(&self) -> PathBuf {
        self.0.path().join("kept")
    }

    fn break_list(&self) {
        let list = fs::read(self.kept().join(LIST)).unwrap();
        if !self.list_is_doubled() {
            fs::write(self.kept().join(LIST), [list.clone(), list].concat()).unwrap();
        }
    }

    fn list_is_doubled(&self) -> bool {
        let list = fs::read_to_string(self.kept().join(LIST)).unwrap();
        let lines: BTreeSet<&str> = list.lines().collect();
        lines.len() < list.lines().count()
    }

    fn command(&self, directory: &Path, words: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_antipode"));
        command.args(words).current_dir(directory).env_remove("ANTIPODE_FILE").env_remove("RUST_LOG");
        // What a client of `gate` asks for.
        command.env("SSH_ORIGINAL_COMMAND", "barman list-servers --minimal");
        command.env("TMPDIR", self.0.path()).stdin(Stdio::null()).stderr(Stdio::piped());
        command
    }

    /// Runs a command with a standard output that takes nothing.
    fn onto_full_disk(&self, words: &[&str]) -> Output {
        let full = File::options().write(true).open("/dev/full").unwrap();
        self.command(&self.kept(), words).stdout(full).spawn().unwrap().wait_with_output().unwrap()
    }
}

fn err(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// Command lines that print something, of every command that can.
const PRINTING: &[&[&str]] = &[
    &["--help"],
    &["--version"],
    &["help", "plan"],
    &["plan"],
    &["plan", "-q"],
    &["plan", "-v"],
    &["plan", "--detailed-exitcode"],
    &["plan", "--format", "json"],
    &["plan", "--format", "markdown"],
    &["plan", "--format", "dot"],
    &["plan", "-o", "/dev/stdout"],
    &["drill"],
    &["show", "plan.json"],
    &["show", "plan.json", "--format", "json"],
    &["status"],
    &["status", "--format", "json"],
    &["verify"],
    &["verify", "--format", "json"],
    &["restore", "main", "restored/data", "--print"],
    &["restore", "main", "restored/data", "--tablespace", "side:restored/side"],
    &["history"],
    &["history", "--format", "json"],
    &["explain", "main/xlog.db"],
    &["validate"],
    &["validate", "--format", "json"],
    &["barman-conf"],
    &["barman-conf", "--write", "."],
    &["schema"],
    &["schema", "plan"],
    &["completions", "bash"],
    &["man", "man1"],
    &["demo"],
    &["sync-info", "main", "-c", "barman.conf"],
    &["list-servers", "-c", "barman.conf"],
    &["list-servers", "--minimal", "-c", "barman.conf"],
    &["gate", "--all", "-c", "barman.conf"],
    &["nothing-to-sync", "barman sync-info main"],
    &["sync-backup", "main", "20261122T030000"],
    &["sync-wals", "main"],
    &["suspend", "main"],
    &["resume", "main"],
    &["detach", "gone"],
    &["cron"],
    &["apply", "--auto-approve"],
    &["apply", "--auto-approve", "-q"],
    &["apply", "--auto-approve", "--json"],
    &["apply", "plan.json"],
];

/// Commands of which nothing goes to standard output.
const SILENT: [&str; 4] = ["drill-server", "init", "restore-wal", "run"];

#[test]
fn every_command_fails_that_cannot_say_what_it_has_to_say() {
    let ground = Ground::new();
    for words in PRINTING {
        ground.break_list();
        let output = ground.onto_full_disk(words);
        assert_eq!(output.status.code(), Some(1), "{words:?}: {}", err(&output));
        let told = err(&output);
        assert!(told.contains("Error: ") && told.contains("No space left on device"), "{words:?}: {told}");
    }
}

#[test]
fn no_command_is_left_out_of_this() {
    let known: BTreeSet<&str> = PRINTING.iter().map(|words| words[0]).chain(SILENT).collect();
    let cli = Cli::command();
    let missing: Vec<&str> =
        cli.get_subcommands().map(clap::Command::get_name).filter(|name| !known.contains(name)).collect();
    assert!(missing.is_empty(), "{missing:?}");
}

#[test]
fn an_apply_does_its_work_although_its_report_cannot_be_written() {
    let ground = Ground::new();
    for words in
        [&["apply", "--auto-approve"][..], &["apply", "--auto-approve", "--json"], &["cron"], &["sync-wals", "main"]]
    {
        ground.break_list();
        let output = ground.onto_full_disk(words);
        assert!(!ground.list_is_doubled(), "{words:?}: {}", err(&output));
        assert_eq!(output.status.code(), Some(1), "{words:?}: {}", err(&output));
    }
}

#[test]
fn a_descriptor_that_cannot_be_written_to_is_an_error_too() {
    let ground = Ground::new();
    let unwritable = File::open("/dev/null").unwrap();
    let output = ground.command(&ground.kept(), &["plan"]).stdout(unwritable).output().unwrap();
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    assert!(err(&output).contains("standard output cannot be written: Bad file descriptor"), "{output:?}");
}

#[test]
fn a_standard_output_that_was_closed_before_the_program_began_is_an_error_too() {
    let ground = Ground::new();
    for words in PRINTING {
        ground.break_list();
        let program = ground.command(&ground.kept(), words);
        let mut shell = Command::new("sh");
        shell.args(["-c", "exec \"$0\" \"$@\" >&-"]).arg(program.get_program()).args(program.get_args());
        shell.current_dir(ground.kept()).env_remove("ANTIPODE_FILE").env_remove("RUST_LOG");
        shell.envs(program.get_envs().filter_map(|(name, value)| Some((name, value?))));
        let output = shell.stdin(Stdio::null()).output().unwrap();
        assert_eq!(output.status.code(), Some(1), "{words:?}: {}", err(&output));
        assert!(err(&output).contains("Bad file descriptor"), "{words:?}: {}", err(&output));
    }
}

#[test]
fn a_standard_output_that_the_caller_sent_nowhere_is_none() {
    let ground = Ground::new();
    let nowhere = File::options().read(true).write(true).open("/dev/null").unwrap();
    let output = ground.command(&ground.kept(), &["plan"]).stdout(nowhere).output().unwrap();
    assert_eq!((output.status.code(), err(&output).as_str()), (Some(0), ""));
}

#[test]
fn a_reader_that_went_away_is_no_error_and_ends_no_apply() {
    let ground = Ground::new();
    for (words, code) in [
        (&["--help"][..], 0),
        (&["plan", "--detailed-exitcode"], 2),
        (&["plan", "--format", "json"], 0),
        (&["sync-info", "main", "-c", "barman.conf"], 0),
        (&["apply", "--auto-approve", "-q"], 0),
    ] {
        let (reader, writer) = std::io::pipe().unwrap();
        drop(reader);
        let output = ground.command(&ground.kept(), words).stdout(writer).output().unwrap();
        assert_eq!((output.status.code(), err(&output).as_str()), (Some(code), ""), "{words:?}");
    }
    assert!(!ground.list_is_doubled(), "the apply did its work");
}

//! What goes to stdout and to stderr: colour, widths, and how much.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use tempfile::TempDir;

const ESCAPE: char = '\u{1b}';

/// The demo's catalogs, of which one WAL list is broken.
struct Ground(TempDir);

impl Ground {
    fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let ground = Self(directory);
        let made = ground.run_in(ground.0.path(), &["demo", "--keep", "kept"], &[]);
        assert!(made.status.success(), "{made:?}");
        ground
    }

    fn kept(&self) -> PathBuf {
        self.0.path().join("kept")
    }

    fn xlogdb(&self) -> PathBuf {
        let wals = self.kept().join("lisbon/main/wals");
        let mut lists = fs::read_dir(wals).unwrap().map(|entry| entry.unwrap().path());
        lists.find(|path| path.to_string_lossy().ends_with("xlog.db")).unwrap()
    }

    fn break_list(&self) {
        let lines = fs::read(self.xlogdb()).unwrap();
        fs::write(self.xlogdb(), [lines.clone(), lines].concat()).unwrap();
    }

    fn run(&self, arguments: &[&str], environment: &[(&str, &str)]) -> Output {
        self.run_in(&self.kept(), arguments, environment)
    }

    fn run_in(&self, directory: &Path, arguments: &[&str], environment: &[(&str, &str)]) -> Output {
        let mut command = Command::new(env!("CARGO_BIN_EXE_antipode"));
        command.args(arguments).current_dir(directory);
        for variable in ["NO_COLOR", "CLICOLOR", "CLICOLOR_FORCE", "COLUMNS", "RUST_LOG", "ANTIPODE_FILE", "TERM"] {
            command.env_remove(variable);
        }
        command.env("TMPDIR", self.0.path()).envs(environment.iter().copied()).output().unwrap()
    }
}

fn out(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).unwrap()
}

fn err(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).unwrap()
}

#[test]
fn a_barman_conf_is_refused_by_what_reads_none() {
    let ground = Ground::new();
    for arguments in
        [&["plan", "-c", "other.yaml"][..], &["-c", "other.yaml", "apply", "--auto-approve"], &["status", "-c", "x"]]
    {
        let refused = ground.run(arguments, &[]);
        assert_eq!((refused.status.code(), out(&refused).as_str()), (Some(1), ""), "{arguments:?}");
        assert!(err(&refused).contains("names a barman.conf") && err(&refused).contains("-f FILE"), "{refused:?}");
    }
}

#[test]
fn colour_is_for_terminals_and_for_those_who_ask() {
    let ground = Ground::new();
    ground.break_list();
    fs::write(ground.kept().join("wrong.yaml"), "version: 1\nsit: lisbon\n").unwrap();
    let plan: &[&str] = &["plan"];
    let wrong: &[&str] = &["validate", "-f", "wrong.yaml"];
    for (option, environment, is_coloured) in [
        (None, None, false),
        (Some("always"), None, true),
        (None, Some("CLICOLOR_FORCE"), true),
        (Some("never"), Some("CLICOLOR_FORCE"), false),
        (None, Some("NO_COLOR"), false),
        (Some("always"), Some("NO_COLOR"), true),
    ] {
        let environment: Vec<(&str, &str)> = environment.iter().map(|name| (*name, "1")).collect();
        let option: Vec<&str> = option.into_iter().flat_map(|when| ["--color", when]).collect();
        let run = |words: &[&str]| ground.run(&[words, option.as_slice()].concat(), &environment);
        assert_eq!(out(&run(plan)).contains(ESCAPE), is_coloured, "stdout: {option:?} {environment:?}");
        let told = run(wrong);
        assert_eq!(err(&told).contains(ESCAPE), is_coloured, "stderr: {option:?} {environment:?}: {}", err(&told));
        assert!(!out(&told).contains(ESCAPE));
    }
    let both = ground.run(&["plan"], &[("CLICOLOR_FORCE", "1"), ("NO_COLOR", "1")]);
    assert!(!out(&both).contains(ESCAPE), "NO_COLOR wins");
}

#[test]
fn lines_fit_into_the_columns() {
    let ground = Ground::new();
    ground.break_list();
    for columns in ["50", "72"] {
        let plan = out(&ground.run(&["plan"], &[("COLUMNS", columns)]));
        let most: usize = columns.parse().unwrap();
        let longest = plan.lines().map(|line| line.chars().count()).max().unwrap();
        assert!(longest <= most, "{longest} columns:\n{plan}");
    }
    let free = out(&ground.run(&["plan"], &[]));
    assert!(free.lines().any(|line| line.chars().count() > 72), "{free}");
    fs::write(ground.kept().join("wrong.yaml"), "version: 1\nsit: lisbon\n").unwrap();
    let lines = |columns| err(&ground.run(&["validate", "-f", "wrong.yaml"], &[("COLUMNS", columns)])).lines().count();
    assert!(lines("50") > lines("150"), "a mistake is wrapped where stderr is narrow");
}

#[test]
fn quiet_is_silent_when_there_is_nothing_to_say() {
    let ground = Ground::new();
    for words in [&["-q", "plan"][..], &["apply", "-q", "--auto-approve"]] {
        let output = ground.run(words, &[]);
        assert_eq!((out(&output), err(&output), output.status.code()), (String::new(), String::new(), Some(0)));
    }
    ground.break_list();
    let plan = ground.run(&["plan", "-q"], &[]);
    assert!(out(&plan).starts_with("Plan: 1 to repair.\n"), "{plan:?}");
    let apply = ground.run(&["apply", "-q", "--auto-approve"], &[]);
    assert_eq!((out(&apply).trim(), err(&apply)), ("Apply complete: 1 metadata file repaired.", String::new()));
}

#[test]
fn quiet_still_says_what_is_wrong() {
    let ground = Ground::new();
    fs::rename(ground.kept().join("frankfurt"), ground.kept().join("away")).unwrap();
    let plan = ground.run(&["plan", "-q"], &[]);
    assert_eq!(plan.status.code(), Some(1));
    assert!(out(&plan).starts_with("error: main: "), "{plan:?}");
    assert!(out(&plan).contains("is it mounted?"), "{plan:?}");
}

#[test]
fn a_part_of_a_plan_is_applied_and_the_rest_is_told_of() {
    let ground = Ground::new();
    ground.break_list();
    fs::remove_file(ground.kept().join("lisbon/main/wals/00000002.history")).unwrap();
    let plan = ground.run(&["plan", "--target", "main/xlog.db"], &[]);
    assert!(out(&plan).contains("warning: this is a part of the plan: 1 action is left out by"), "{plan:?}");
    assert!(ground.run(&["apply", "--auto-approve", "--target", "main/xlog.db"], &[]).status.success());
    let rest = out(&ground.run(&["plan"], &[]));
    assert!(rest.contains("history 00000002") && !rest.contains("doubled"), "{rest}");
    let unknown = ground.run(&["plan", "--exclude", "main/xlog.bd"], &[]);
    assert_eq!(unknown.status.code(), Some(1));
    assert!(err(&unknown).contains("did you mean main/xlog.db?"), "{unknown:?}");
    let known = ground.run(&["plan", "--detailed-exitcode", "--target", "main/xlog.db"], &[]);
    assert_eq!(known.status.code(), Some(0), "it is as it should be already: {known:?}");
}

/// What stands on standard error but for what is warned of, as of an old rsync.
fn logged(output: &Output) -> String {
    let log = err(output);
    let lines = log.lines().filter(|line| !line.starts_with("Warning: ") && !line.starts_with("  hint: "));
    lines.map(|line| format!("{line}\n")).collect()
}

#[test]
fn the_log_can_be_json() {
    let ground = Ground::new();
    // Nobody listens on that port: the attempt is logged all the same.
    let site = "version: 1\nsite: lisbon\ncatalog: {path: /nowhere}\nprimaries:\n  frankfurt: {ssh: {destination: \
                nobody@127.0.0.1, port: 1}}\nreplicas:\n  main: {primary: frankfurt}\n";
    fs::write(ground.kept().join("ssh.yaml"), site).unwrap();
    let words = |form| ["-v", "--log-format", form, "plan", "-f", "ssh.yaml"];
    let log = logged(&ground.run(&words("json"), &[]));
    let lines: Vec<serde_json::Value> = log.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let is_timed = |line: &serde_json::Value| line["timestamp"].as_str().is_some_and(|time| time.ends_with('Z'));
    assert!(lines.iter().all(|line| is_timed(line) && line["level"] == "INFO"), "{log}");
    assert!(
        lines.iter().any(|line| line["primary"] == "frankfurt" && line["message"] == "opens a connection"),
        "{log}"
    );
    let text = logged(&ground.run(&words("text"), &[]));
    assert!(text.lines().all(|line| line.trim_start().starts_with("INFO antipode")) && !text.is_empty(), "{text}");
    let chosen = logged(&ground.run(&words("text"), &[("RUST_LOG", "off")]));
    assert_eq!(chosen, "", "RUST_LOG decides");
}

#[test]
fn an_apply_tells_people_and_a_file_at_once() {
    let ground = Ground::new();
    ground.break_list();
    let events = ground.kept().join("events.jsonl");
    fs::write(&events, "of yesterday\n").unwrap();
    let applied = ground.run(&["apply", "--auto-approve", "--json-into", "events.jsonl"], &[]);
    assert_eq!(applied.status.code(), Some(0), "{applied:?}");
    assert!(out(&applied).contains("Apply complete: 1 metadata file repaired."), "{applied:?}");
    let lines = fs::read_to_string(&events).unwrap();
    let lines: Vec<serde_json::Value> = lines.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let types: Vec<&str> = lines.iter().filter_map(|line| line["type"].as_str()).collect();
    assert_eq!(types, ["plan", "started", "finished", "summary"], "{lines:?}");
    assert_eq!((&lines[2]["address"], &lines[3]["exit_code"]), (&"main/xlog.db".into(), &0.into()));
}

#[test]
fn events_that_cannot_be_written_are_an_error_of_an_apply_that_did_its_work() {
    let ground = Ground::new();
    let before = fs::read(ground.xlogdb()).unwrap();
    ground.break_list();
    let applied = ground.run(&["apply", "--auto-approve", "--json-into", "/dev/full"], &[]);
    assert_eq!(applied.status.code(), Some(1), "{applied:?}");
    assert!(err(&applied).contains("the events cannot be written to /dev/full: No space left"), "{applied:?}");
    assert_eq!(fs::read(ground.xlogdb()).unwrap(), before);
    ground.break_list();
    let refused = ground.run(&["apply", "--auto-approve", "--json-into", "nowhere/events"], &[]);
    assert!(err(&refused).contains("nowhere/events: No such file"), "{refused:?}");
    assert_ne!(fs::read(ground.xlogdb()).unwrap(), before, "nothing is done that nobody hears of");
}

#[test]
fn a_part_of_a_plan_is_named_in_files() {
    let ground = Ground::new();
    ground.break_list();
    let file = |name: &str, text: &str| fs::write(ground.kept().join(name), text).unwrap();
    file("list", "main/xlog.db  # listed twice\n");
    file("none", "# nothing yet\n");
    file("wrong", "main\nmain/wal/x/y\n");
    for (arguments, code, said) in [
        (&["--target-file", "list"][..], 2, "1 to repair"),
        (&["--exclude-file", "list"], 0, "No changes"),
        (&["--target-file", "none"], 1, "none names no address"),
        (&["--target-file", "wrong"], 1, "wrong:2: \"main/wal/x/y\""),
        (&["--exclude-file", "nowhere"], 1, "nowhere: No such file"),
    ] {
        let planned = ground.run(&[&["plan", "--detailed-exitcode"], arguments].concat(), &[]);
        let told = out(&planned) + &err(&planned);
        assert_eq!(planned.status.code(), Some(code), "{told}");
        assert!(told.contains(said), "{said}: {told}");
    }
}

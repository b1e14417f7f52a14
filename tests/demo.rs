//! `antipode demo`, as a first-time user runs it.

use std::fs;
use std::path::Path;

use assert_cmd::Command;

fn antipode(temporary: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_antipode"));
    command.env("TMPDIR", temporary).env_remove("ANTIPODE_FILE").env("COLUMNS", "160").current_dir(temporary);
    command
}

fn succeed(command: &mut Command) -> String {
    let output = command.assert().success().get_output().clone();
    assert_eq!(String::from_utf8_lossy(&output.stderr), "");
    String::from_utf8(output.stdout).unwrap()
}

/// Finds each text behind the one before.
fn assert_in_order(text: &str, parts: &[&str]) {
    let mut rest = text;
    for part in parts {
        let at =
            rest.find(part).unwrap_or_else(|| panic!("no {part:?} in what follows:\n{rest}\n== all of it:\n{text}"));
        rest = &rest[at + part.len()..];
    }
}

#[test]
fn it_plans_applies_repairs_and_leaves_nothing_behind() {
    let temporary = tempfile::tempdir().unwrap();
    let output = succeed(antipode(temporary.path()).arg("demo"));
    let phases = [
        "$ cat antipode.yaml",
        "$ antipode plan",
        "+ backup 20261121T030000",
        "$ antipode apply --auto-approve",
        "Apply complete: 1 server, 1 backup",
        "$ antipode plan",
        "No changes.",
        "$ antipode apply --auto-approve",
        "+ backup 20261122T030000",
        "reuses 6.2 MiB of 20261121T030000",
        "Apply complete: 1 backup",
        "# ",
        "$ antipode plan",
        "~ xlog.db",
        "26 lines doubled",
        "+ history 00000002",
        "data/base/5/16385 is missing",
        "`backup_label` was encoded twice",
        "here 300 000 bytes, 1 048 576 at the primary",
        "$ antipode apply --auto-approve",
        "Apply complete: ",
        "$ antipode plan",
        "No changes.",
        "antipode demo --keep DIR",
    ];
    assert_in_order(&output, &phases);
    let lines = output.lines().count();
    assert!(lines <= 95, "{lines} lines are too many to read");
    assert_eq!(fs::read_dir(temporary.path()).unwrap().count(), 0);
}

#[test]
fn what_is_kept_can_be_planned_again() {
    let temporary = tempfile::tempdir().unwrap();
    let output = succeed(antipode(temporary.path()).args(["demo", "--keep", "kept"]));
    let kept = temporary.path().join("kept");
    assert!(output.contains(&format!("cd {} && antipode plan", kept.display())), "{output}");
    let plan = succeed(antipode(temporary.path()).arg("plan").current_dir(&kept));
    assert!(plan.contains("No changes."), "{plan}");
    fs::remove_file(kept.join("lisbon/main/wals/00000002.history")).unwrap();
    antipode(temporary.path()).args(["plan", "--detailed-exitcode"]).current_dir(&kept).assert().code(2);
}

#[test]
fn an_action_is_explained_and_shown_in_every_form() {
    let temporary = tempfile::tempdir().unwrap();
    succeed(antipode(temporary.path()).args(["demo", "--keep", "kept"]));
    let kept = temporary.path().join("kept");
    fs::remove_file(kept.join("lisbon/main/wals/00000002.history")).unwrap();
    let run = |words: &[&str]| {
        let mut command = antipode(temporary.path());
        command.args(words).current_dir(&kept);
        command
    };
    let explained = succeed(run(&["explain", "main/history/00000002"]).env_remove("COLUMNS"));
    let reasons = [
        "main/history/00000002\n  ship ",
        "missing here\n",
        "\n  why             the site file asks for the replica (antipode.yaml:7: main: {primary: frankfurt})\n",
        "  at the primary  the history file: ",
        "left timeline 1 at ",
        "\n  here            the history file: absent\n",
    ];
    assert_in_order(&explained, &reasons);
    let verbose = succeed(run(&["plan", "-v"]).env("RUST_LOG", "off").env("COLUMNS", "300"));
    assert!(
        verbose.contains("main/history/00000002: the site file asks for the replica (antipode.yaml:7)"),
        "{verbose}"
    );
    let markdown = succeed(&mut run(&["plan", "--format", "markdown"]));
    assert_in_order(
        &markdown,
        &["<!-- antipode: site lisbon -->\n**site lisbon**: 1 ", "```diff\n", "\n+   history 00000002"],
    );
    let dot = succeed(&mut run(&["plan", "--format", "dot"]));
    assert_in_order(&dot, &["digraph plan {", "main/history/00000002\\nship ", "}"]);

    let there = run(&["explain", "main/backup/20261122T030000"]).assert().code(0).get_output().clone();
    let there = String::from_utf8(there.stdout).unwrap();
    assert!(there.starts_with("main/backup/20261122T030000\n  nothing is planned for it\n"), "{there}");
    for (wrong, right) in [
        ("main/backup/20261122T030001", "did you mean `main/backup/20261122T030000`"),
        ("man/backup/20261122T030000", "did you mean `main`?"),
        ("main/history/0000002", "did you mean `main/history/00000002`?"),
    ] {
        let output = run(&["explain", wrong]).assert().code(1).get_output().clone();
        let error = String::from_utf8(output.stderr).unwrap();
        assert!(error.contains(right), "{error}");
    }
}

#[test]
fn a_directory_that_exists_is_left_alone() {
    let temporary = tempfile::tempdir().unwrap();
    let output = antipode(temporary.path()).args(["demo", "--keep", "."]).assert().code(1).get_output().clone();
    let error = String::from_utf8(output.stderr).unwrap();
    assert!(error.contains("hint: name one that does not exist yet"), "{error}");
    assert_eq!(fs::read_dir(temporary.path()).unwrap().count(), 0);
}

#[test]
fn a_low_soft_limit_of_open_files_is_raised() {
    let temporary = tempfile::tempdir().unwrap();
    let mut limited = Command::new("sh");
    limited.args(["-c", "ulimit -Sn 20; exec \"$0\" demo", env!("CARGO_BIN_EXE_antipode")]);
    limited.env("TMPDIR", temporary.path()).current_dir(temporary.path());
    succeed(&mut limited);
}

//! The site file, and the command line.

use std::fs;

use crate::bench::{Bench, Finished, command, run};

fn in_directory(yaml: Option<&str>, arguments: &[&str]) -> Finished {
    let directory = tempfile::tempdir().unwrap();
    if let Some(yaml) = yaml {
        fs::write(directory.path().join("antipode.yaml"), yaml).unwrap();
    }
    run(&mut command(directory.path(), arguments))
}

const MISTAKEN: &str = "version: 1
site: lisbon
catalog: {path: relative/path}
primaries:
  frankfurt: {ssh: {destination: barman@fra}, stream: 4}
replicas:
  main: {primary: frankfrut}
  ../etc: {primary: frankfurt}
";

#[test]
fn several_mistakes_are_told_at_once() {
    for arguments in [&["validate"][..], &["plan"], &["apply", "--auto-approve"]] {
        let told = in_directory(Some(MISTAKEN), arguments);
        told.expect(1).says(&[
            "antipode.yaml:3:",
            "relative/path",
            "`stream`",
            "streams",
            "did you mean `frankfurt`?",
            "\"../etc\" is not a server name",
            "4 mistakes",
        ]);
    }
}

#[test]
fn references_to_what_is_not_there_are_told_with_a_suggestion() {
    let mistaken = MISTAKEN.replace("relative", "/absolute").replace("stream:", "streams:").replace("../etc", "etc");
    let told = in_directory(Some(&mistaken), &["plan"]);
    told.expect(1).says(&["antipode.yaml:7:", "`frankfrut`", "did you mean `frankfurt`?", "1 mistake"]);
}

#[test]
fn a_file_that_is_missing_or_no_yaml_is_named() {
    in_directory(None, &["plan"]).expect(1).says(&["there is no antipode.yaml in this directory", "ANTIPODE_FILE"]);
    in_directory(None, &["validate", "-f", "/nowhere/site.yaml"]).expect(1).says(&[
        "/nowhere/site.yaml",
        "No such file",
        "-f FILE",
    ]);
    in_directory(None, &["plan", "-f", "/"]).expect(1).says(&["cannot read the site file /"]);
    for text in ["", "version: [1", "\u{1b}[31m: x", "- a\n- b", "version: 2\n", "version: 1\nversion: 1\n"] {
        in_directory(Some(text), &["validate"]).expect(1).says(&["antipode.yaml"]);
    }
    let directory = tempfile::tempdir().unwrap();
    fs::write(directory.path().join("antipode.yaml"), b"site: \xff\xfe\n").unwrap();
    run(&mut command(directory.path(), &["validate"])).expect(1).says(&["antipode.yaml", "UTF-8"]);
}

#[test]
fn a_good_file_is_valid_without_anything_being_contacted() {
    let good = "version: 1\nsite: lisbon\ncatalog: {path: /nonexistent}\nprimaries:\n  fra: {ssh: {destination: nowhere.invalid}}\nreplicas: {main: {primary: fra}}\n";
    in_directory(Some(good), &["validate"]).expect(0).says(&["Success! Site lisbon is valid: 1 primary, 1 replica."]);
}

#[test]
fn apply_without_a_terminal_names_the_option_and_contacts_nobody() {
    let bench = Bench::start();
    bench.program("barman", &format!("echo called > '{}'", bench.path("called").display()));
    let refused = bench.antipode(&["apply"]);
    refused.expect(1).says(&["standard input is not a terminal", "--auto-approve"]);
    assert!(!bench.path("called").exists());
    assert_eq!(fs::read_dir(bench.catalog()).unwrap().count(), 0);
}

#[test]
fn usage_errors_exit_with_1() {
    for arguments in [
        &["pln"][..],
        &["plan", "--no-such-option"],
        &[],
        &["apply", "--lock-timeout", "soon"],
        &["plan", "-f"],
        &["plan", "extra"],
    ] {
        in_directory(None, arguments).expect(1);
    }
    in_directory(None, &["--help"]).expect(0);
    in_directory(None, &["--version"]).expect(0);
}

#[test]
fn what_is_far_too_long_for_a_site_file_is_refused_before_it_is_read() {
    let bench = Bench::start();
    let huge = bench.path("huge.yaml");
    fs::File::create(&huge).unwrap().set_len(300 << 20).unwrap();
    for file in ["/dev/zero", huge.to_str().unwrap()] {
        let refused = bench.antipode(&["validate", "-f", file]);
        refused.expect(1).says(&["has more than 8 MiB and is no site file"]);
    }
}

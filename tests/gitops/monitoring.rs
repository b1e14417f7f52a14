//! The monitoring checks turn the exit codes of `antipode status` into what each system expects.

use std::fs;
use std::path::Path;
use std::process::Command;

use crate::tools::{root, succeed, write_program};

/// Runs a check beside an antipode that ends with a code and says what it was asked.
fn run(directory: &Path, script: &str, arguments: &[&str], code: i32) -> std::process::Output {
    write_program(&directory.join("antipode"), &format!("#!/bin/sh\necho \"$*\"\nexit {code}\n"));
    let path = format!("{}:{}", directory.display(), std::env::var("PATH").unwrap());
    let script = root("examples/gitops/monitoring").join(script);
    Command::new(script).args(arguments).env("PATH", path).output().unwrap()
}

#[test]
fn nagios_sees_ok_critical_and_unknown() {
    let directory = tempfile::tempdir().unwrap();
    for (code, expected) in [(0, 0), (2, 2), (1, 3), (3, 3), (130, 3)] {
        let output = run(directory.path(), "check_antipode", &["/etc/antipode/lisbon.yaml"], code);
        assert_eq!(output.status.code(), Some(expected), "{code}");
        let said = String::from_utf8(output.stdout).unwrap();
        assert_eq!(said, "status -f /etc/antipode/lisbon.yaml --color never\n");
    }
}

#[test]
fn prometheus_sees_what_is_kept_and_what_is_known() {
    let directory = tempfile::tempdir().unwrap();
    let metrics = tempfile::tempdir().unwrap();
    for (code, kept, known) in [(0, 1, 1), (2, 0, 1), (1, 0, 0)] {
        let arguments = ["lisbon", metrics.path().to_str().unwrap()];
        let output = run(directory.path(), "antipode-metrics", &arguments, code);
        assert!(output.status.success(), "{output:?}");
        let text = fs::read_to_string(metrics.path().join("antipode-lisbon.prom")).unwrap();
        assert!(text.contains(&format!("\nantipode_objectives_kept{{site=\"lisbon\"}} {kept}\n")), "{text}");
        assert!(text.contains(&format!("\nantipode_status_known{{site=\"lisbon\"}} {known}\n")), "{text}");
    }
    assert_eq!(succeed(Command::new("ls").arg(metrics.path())).lines().count(), 1);
}

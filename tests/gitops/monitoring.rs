//! The monitoring check turns the exit codes of `antipode status` into what Nagios expects.

use std::path::Path;
use std::process::Command;

use crate::executable::write_program;
use crate::tools::root;

/// Runs a check beside an antipode that ends with a code and says what it was asked.
fn run(directory: &Path, script: &str, arguments: &[&str], code: i32) -> std::process::Output {
    write_program(&directory.join("antipode"), format!("#!/bin/sh\necho \"$*\"\nexit {code}\n"));
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

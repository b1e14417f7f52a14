//! Programs that tests put somewhere and then run.
//!
//! Another process writes them. What this one has open is inherited, for a moment, by whatever a test beside it starts,
//! and Linux runs no file that somebody has open for writing ("Text file busy").

#![allow(dead_code, reason = "no test uses all of it")]

use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};

/// Writes a program that anybody may run.
#[track_caller]
pub fn write_program(path: &Path, content: impl AsRef<[u8]>) {
    let mut writer = Command::new("/bin/sh")
        .args(["-c", "cat >\"$1\" && chmod 755 \"$1\"", "sh"])
        .arg(path)
        .stdin(Stdio::piped())
        .spawn()
        .unwrap();
    writer.stdin.take().unwrap().write_all(content.as_ref()).unwrap();
    assert!(writer.wait().unwrap().success(), "cannot write {}", path.display());
}

/// Copies a program.
#[track_caller]
pub fn copy_program(from: impl AsRef<Path>, to: &Path) {
    let status = Command::new("cp").arg("--").arg(from.as_ref()).arg(to).status().unwrap();
    assert!(status.success(), "cannot copy to {}", to.display());
}

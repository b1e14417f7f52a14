//! `antipode drill-server`: becomes the PostgreSQL of a drill, so that it ends when the drill does, also by a kill.

use std::os::unix::process::CommandExt;
use std::process::Command;

use rustix::process::{Signal, getppid, nice, set_parent_process_death_signal};

use crate::cli;
use crate::error::{Error, Kind};

/// How much others come first.
const NICENESS: i32 = 10;

/// Becomes it. It returns only when that failed.
pub fn run(arguments: &cli::DrillServer) -> Error {
    let failed = |error: std::io::Error| Error::io("PostgreSQL cannot be started", error);
    if let Err(error) = set_parent_process_death_signal(Some(Signal::QUIT)) {
        return failed(error.into());
    }
    // Who was killed before that was said sends no signal.
    if getppid().map(|parent| parent.as_raw_nonzero().get()) != Some(arguments.parent) {
        return Error::new(Kind::Interrupted, "whoever started the drill has ended");
    }
    let _refused = nice(NICENESS);
    failed(Command::new(&arguments.program).args(&arguments.arguments).exec())
}

//! The program under test, run as the unprivileged user.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::LazyLock;

use crate::account::ACCOUNT;
use crate::executable::copy_program;
use crate::ground::shared_directory;
use crate::process::{Daemon, Finished, program, run};

/// A copy of the program in a place that the account can reach.
static PROGRAM: LazyLock<PathBuf> = LazyLock::new(|| {
    let copy = shared_directory("program").join("antipode");
    copy_program(env!("CARGO_BIN_EXE_antipode"), &copy);
    ACCOUNT.own(&copy);
    copy
});

/// Where the program under test is.
pub fn program_path() -> PathBuf {
    PROGRAM.clone()
}

/// The command line `antipode ARGUMENTS`, about to be run in a directory,
/// which is also its HOME.
pub fn command(directory: &Path, arguments: &[&str]) -> Command {
    let mut command = program(&*PROGRAM);
    command.args(arguments).env("HOME", directory).current_dir(directory);
    command
}

/// Runs `antipode ARGUMENTS` to its end.
#[track_caller]
pub fn antipode(directory: &Path, arguments: &[&str]) -> Finished {
    run(&mut command(directory, arguments))
}

/// Starts `antipode ARGUMENTS`, for tests that interrupt it; what it prints is
/// in `antipode.log`.
pub fn start(directory: &Path, arguments: &[&str]) -> Daemon {
    Daemon::start(&mut command(directory, arguments), &directory.join("antipode.log"))
}

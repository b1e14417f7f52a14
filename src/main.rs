//! The `antipode` program: parses the command line, runs one command, turns its result into an exit code.

use std::process::ExitCode;

use antipode::commands;

fn main() -> ExitCode {
    commands::main()
}

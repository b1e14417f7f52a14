//! The `antipode` program: parses the command line, runs one command, turns its result into an exit code.

use std::process::ExitCode;

use antipode::commands;
use antipode::transport::taps;

fn main() -> ExitCode {
    // No command for people: what a copy under a declared bandwidth passes through.
    taps::let_through(std::env::args_os().skip(1)).unwrap_or_else(commands::main)
}

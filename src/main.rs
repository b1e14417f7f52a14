//! The `antipode` program: parses the command line, runs one command, turns its result into an exit code.

use std::process::ExitCode;

use clap::Parser;

use antipode::cli::Cli;
use antipode::commands;

fn main() -> ExitCode {
    if let Some(answered) = commands::complete::answer() {
        return answered;
    }
    match Cli::try_parse() {
        Ok(cli) => commands::run(cli),
        Err(error) => commands::answer(&error),
    }
}

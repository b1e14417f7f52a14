//! The `antipode` program: parses the command line, runs one command, turns its result into an exit code.

use std::process::ExitCode;

use clap::Parser;

use antipode::cli::Cli;
use antipode::commands;

fn main() -> ExitCode {
    match Cli::try_parse() {
        Ok(cli) => commands::run(cli),
        Err(error) => {
            // Help and version are answers. A usage error is 1, as 2 means that a plan has changes.
            let code = u8::from(error.use_stderr());
            // Nobody is left to tell when the terminal itself is gone.
            let _ = error.print();
            ExitCode::from(code)
        }
    }
}

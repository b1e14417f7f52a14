//! `antipode completions`: what a shell needs to complete the command line.

use clap::{Command, CommandFactory};

use crate::cli::{Cli, Completions, Shell};
use crate::error::Exit;
use crate::stdout;

/// Runs the command.
pub fn run(arguments: &Completions) -> Exit {
    let shell = match arguments.shell {
        Shell::Bash => clap_complete::Shell::Bash,
        Shell::Zsh => clap_complete::Shell::Zsh,
        Shell::Fish => clap_complete::Shell::Fish,
    };
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut shown(), "antipode", &mut script);
    stdout::print(&String::from_utf8_lossy(&script));
    Exit::Done
}

/// The command line without its hidden commands, which clap would complete too.
fn shown() -> Command {
    let whole = Cli::command();
    let commands = whole.get_subcommands().filter(|command| !command.is_hide_set()).cloned();
    Command::new("antipode")
        .version(env!("CARGO_PKG_VERSION"))
        .args(whole.get_arguments().cloned())
        .subcommands(commands)
}

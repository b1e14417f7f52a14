//! `antipode completions` and `antipode man`: what a shell and a manual need of the command line.

use std::fs;

use clap::{Command, CommandFactory};

use super::kept_files::{self, Kept};
use crate::cli::{Cli, Completions, Man, Shell};
use crate::error::{Error, Exit};
use crate::manual;
use crate::stdout;

/// Prints what a shell needs to complete the command line.
pub fn completions(arguments: &Completions) -> Exit {
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

/// Writes the manual pages as files: a page is replaced whole, and one that is current is left alone.
pub fn man(arguments: &Man) -> Result<Exit, Error> {
    let directory = &arguments.directory;
    let failed = |error: Error| error.hint("name a directory that you may write, such as ~/.local/share/man/man1");
    fs::create_dir_all(directory)
        .map_err(|error| failed(Error::io(format_args!("cannot make the directory {}", directory.display()), error)))?;
    let pages = manual::pages();
    let mut written = 0;
    for page in &pages {
        let path = directory.join(&page.file);
        if kept_files::keep(&path, &page.text, manual::MARK).map_err(|error| failed(error.into()))? == Kept::Written {
            stdout::print(&format!("wrote {}\n", path.display()));
            written += 1;
        }
    }
    if written == 0 {
        stdout::print(&format!("The {} manual pages in {} are current.\n", pages.len(), directory.display()));
    }
    Ok(Exit::Done)
}

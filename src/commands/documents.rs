//! `antipode completions` and `antipode man`: what a shell and a manual need of the command line.

use std::fs;

use clap_complete::env::{self, EnvCompleter};

use super::complete;
use super::kept_files::{self, Kept};
use crate::cli::{Completions, Man, Shell};
use crate::error::{Error, Exit};
use crate::manual;
use crate::stdout;

/// Prints what a shell needs to complete the command line: a script that asks this program each time.
pub fn completions(arguments: &Completions) -> Result<Exit, Error> {
    let shell: &dyn EnvCompleter = match arguments.shell {
        Shell::Bash => &env::Bash,
        Shell::Zsh => &env::Zsh,
        Shell::Fish => &env::Fish,
    };
    let mut script = Vec::new();
    let written = shell.write_registration(complete::ASKED, "antipode", "antipode", "antipode", &mut script);
    written.map_err(|error| Error::io("cannot write the completions", error))?;
    stdout::print(&String::from_utf8_lossy(&script));
    Ok(Exit::Done)
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

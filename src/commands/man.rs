//! `antipode man`: the manual pages as files.

use std::fs;

use super::kept_files::{self, Kept};
use crate::cli::Man;
use crate::error::{Error, Exit};
use crate::manual;
use crate::stdout;

/// Runs the command: a page is replaced whole, and one that is current is left alone.
pub fn run(arguments: &Man) -> Result<Exit, Error> {
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

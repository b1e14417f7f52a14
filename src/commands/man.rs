//! `antipode man`: the manual pages as files.

use std::fs;

use crate::apply::durable;
use crate::cli::Man;
use crate::error::{CommandError, Exit};
use crate::manual;

use super::terminal;

/// Runs the command: a page that is there is replaced whole, one that is current is left alone.
pub fn run(arguments: &Man) -> Result<Exit, CommandError> {
    let directory = &arguments.directory;
    let failed = |what: String, error: &std::io::Error| {
        CommandError::new(format!("cannot write {what}: {error}"))
            .hint("name a directory that you may write, such as ~/.local/share/man/man1")
    };
    fs::create_dir_all(directory).map_err(|error| failed(format!("into {}", directory.display()), &error))?;
    let mut written = 0;
    let pages = manual::pages();
    for page in &pages {
        let path = directory.join(&page.file);
        if fs::read(&path).is_ok_and(|old| old == page.text.as_bytes()) {
            continue;
        }
        durable::write(&path, page.text.as_bytes()).map_err(|error| failed(path.display().to_string(), &error))?;
        terminal::print(&format!("wrote {}\n", path.display()));
        written += 1;
    }
    if written == 0 {
        terminal::print(&format!("The {} manual pages in {} are current.\n", pages.len(), directory.display()));
    }
    Ok(Exit::Done)
}

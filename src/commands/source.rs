//! Finding and reading the site file.

use std::path::{Path, PathBuf};
use std::{env, fs};

use crate::cli::SiteFile;
use crate::error::{CommandError, Exit};
use crate::site::{self, Site};

use super::terminal::{self, Terminal};

/// What a site file is called unless it is named.
pub const DEFAULT: &str = "antipode.yaml";

/// Reads the site file; its mistakes go to stderr as they are.
pub fn load(arguments: &SiteFile, terminal: &Terminal) -> Result<Site, CommandError> {
    let path = find(arguments)?;
    let text = fs::read_to_string(&path).map_err(|error| {
        CommandError::new(format!("cannot read the site file {}: {error}", path.display()))
            .hint("name it with -f FILE or ANTIPODE_FILE")
    })?;
    let home = env::home_dir();
    match site::load(&path.display().to_string(), &text, home.as_deref()) {
        Ok(loaded) => Ok(loaded.site),
        Err(mistakes) => {
            terminal::tell(&mistakes.render(
                &text,
                terminal.colour_on_stderr(),
                usize::from(terminal::width_on_stderr().unwrap_or(100)),
            ));
            let count = mistakes.list().len();
            let what = if count == 1 { "1 mistake".to_owned() } else { format!("{count} mistakes") };
            Err(CommandError { exit: Exit::Error, ..CommandError::new(format!("{} has {what}", path.display())) })
        }
    }
}

/// `-f`, then `./antipode.yaml`, then what the environment names.
fn find(arguments: &SiteFile) -> Result<PathBuf, CommandError> {
    if let Some(path) = &arguments.file {
        return Ok(path.clone());
    }
    if Path::new(DEFAULT).exists() {
        return Ok(PathBuf::from(DEFAULT));
    }
    env::var_os("ANTIPODE_FILE").filter(|path| !path.is_empty()).map(PathBuf::from).ok_or_else(|| {
        CommandError::new(format!("there is no {DEFAULT} in this directory"))
            .hint("name the site file with -f FILE or ANTIPODE_FILE; `antipode init` writes a first one")
    })
}

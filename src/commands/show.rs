//! `antipode show`: a saved plan, as `plan` would have printed it.

use crate::cli;
use crate::error::{CommandError, Exit};
use crate::render;

use super::saved;
use super::terminal::{self, Terminal};

/// Runs the command.
pub fn run(arguments: &cli::Show, terminal: &Terminal) -> Result<Exit, CommandError> {
    let saved = saved::read(&arguments.plan)?;
    terminal::print(&render::plan(&saved, &arguments.view, terminal.style())?);
    Ok(Exit::Done)
}

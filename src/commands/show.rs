//! `antipode show`: a saved plan, as `plan` would have printed it.

use crate::cli;
use crate::error::{CommandError, Exit};
use crate::render::Whys;

use super::terminal::Terminal;
use super::{plan, plan_file};

/// Runs the command.
pub fn run(arguments: &cli::Show, terminal: &Terminal) -> Result<Exit, CommandError> {
    let saved = plan_file::read(&arguments.plan)?;
    plan::show_saved(&saved, &arguments.view, terminal, &Whys::default())?;
    Ok(Exit::Done)
}

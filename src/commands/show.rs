//! `antipode show`: a saved plan, as `plan` would have printed it.

use crate::cli;
use crate::error::{Error, Exit};
use crate::render::Whys;

use super::terminal::Terminal;
use super::{plan, saved_plan};

/// Runs the command.
pub fn run(arguments: &cli::Show, terminal: &Terminal) -> Result<Exit, Error> {
    let saved = saved_plan::read(&arguments.plan)?;
    plan::show_saved(&saved, &arguments.view, terminal, &Whys::default())?;
    Ok(Exit::Done)
}

//! `antipode demo`: the main job on a small catalog made for the occasion.

use crate::cli;
use crate::error::{CommandError, Exit};

use super::interrupt::Interrupt;
use super::terminal::{self, Terminal};

/// Runs the command.
pub async fn run(_arguments: &cli::Demo, _terminal: &Terminal, _interrupt: &Interrupt) -> Result<Exit, CommandError> {
    Err(CommandError::new("the demo is not here yet"))
}

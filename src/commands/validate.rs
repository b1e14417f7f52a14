//! `antipode validate`: is the site file right, without connecting to anything.

use crate::cli;
use crate::error::{CommandError, Exit};

use super::source;
use super::terminal::{self, Terminal};

/// Runs the command.
pub fn run(arguments: &cli::Validate, terminal: &Terminal) -> Result<Exit, CommandError> {
    let site = source::load(&arguments.site, terminal)?;
    let count = |n: usize, one: &str| if n == 1 { format!("1 {one}") } else { format!("{n} {one}s") };
    let mut parts = vec![count(site.primaries.len(), "primary").replace("primarys", "primaries")];
    parts.push(count(site.replicas.len(), "replica"));
    if !site.mirrors.is_empty() {
        parts.push(count(site.mirrors.len(), "mirror"));
    }
    terminal::print(&format!("Success! Site {} is valid: {}.\n", site.name, parts.join(", ")));
    Ok(Exit::Done)
}

//! Commands that print what is known without a site.

use std::path::PathBuf;

use clap::Args;

/// Arguments of `schema`.
#[derive(Debug, Clone, Args)]
#[command(after_help = "Examples:\n  antipode schema > site.schema.json\n  antipode schema plan")]
pub struct Schema {
    /// Of which format
    #[arg(value_enum, default_value_t = crate::schemas::Name::Site)]
    pub of: crate::schemas::Name,
}

/// Arguments of `completions`.
#[derive(Debug, Clone, Args)]
pub struct Completions {
    /// bash, zsh or fish
    pub shell: String,
}

/// Arguments of `man`.
#[derive(Debug, Clone, Args)]
pub struct Man {
    /// The directory to write them into
    #[arg(value_name = "DIR")]
    pub directory: PathBuf,
}

/// Arguments of `demo`.
#[derive(Debug, Clone, Args)]
pub struct Demo {
    /// Leave the catalogs and the site file in this directory, which must not exist yet
    #[arg(long, value_name = "DIR")]
    pub keep: Option<PathBuf>,
}

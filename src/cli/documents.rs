//! Commands that print what is known without a site.

use std::path::PathBuf;

use clap::{Args, ValueEnum, ValueHint};

/// Arguments of `schema`.
#[derive(Debug, Clone, Args)]
#[command(after_help = "Examples:\n  antipode schema > site.schema.json\n  antipode schema diagnostics")]
pub struct Schema {
    /// Of which format
    #[arg(value_enum, default_value_t = crate::schemas::Name::Site)]
    pub of: crate::schemas::Name,
}

/// A shell that completes command lines.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Shell {
    /// GNU bash.
    Bash,
    /// The Z shell.
    Zsh,
    /// fish, the friendly interactive shell.
    Fish,
}

/// Arguments of `completions`.
#[derive(Debug, Clone, Args)]
#[command(
    after_help = "Examples:\n  antipode completions bash > ~/.local/share/bash-completion/completions/antipode\n  antipode completions zsh > ~/.zfunc/_antipode\n  antipode completions fish > ~/.config/fish/completions/antipode.fish"
)]
pub struct Completions {
    /// For which shell
    #[arg(value_enum, value_name = "SHELL")]
    pub shell: Shell,
}

/// Arguments of `man`.
#[derive(Debug, Clone, Args)]
#[command(after_help = "Examples:\n  antipode man /usr/local/share/man/man1")]
pub struct Man {
    /// The directory to write them into; it is made when it is not there
    #[arg(value_name = "DIR", value_hint = ValueHint::DirPath)]
    pub directory: PathBuf,
}

/// Arguments of `demo`.
#[derive(Debug, Clone, Args)]
#[command(after_help = "Examples:\n  antipode demo\n  antipode demo --keep /tmp/antipode-demo")]
pub struct Demo {
    /// Leave the catalogs and the site file in this directory, which must not exist yet
    #[arg(long, value_name = "DIR", value_hint = ValueHint::DirPath)]
    pub keep: Option<PathBuf>,
}

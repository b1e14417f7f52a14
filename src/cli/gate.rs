//! The forced command of a key at a primary.

use std::path::PathBuf;

use clap::{Args, ValueEnum, ValueHint};

/// Arguments of `gate`.
#[derive(Debug, Clone, Args)]
#[command(
    after_help = "Examples:\n  antipode gate --server main\n  antipode gate --server main --server billing\n  antipode gate --all --log /tmp/gate.log\n\n\
                  In front of a site's public key in ~/.ssh/authorized_keys of the primary's user:\n  \
                  restrict,command=\"antipode gate --server main\" ssh-ed25519 AAAAC3Nza... barman@lisbon\n\n\
                  Exit codes: those of what was asked for; 1 when it is refused."
)]
#[command(group = clap::ArgGroup::new("served").required(true))]
pub struct Gate {
    /// Serve this server of barman.conf; may be given several times
    #[arg(long = "server", value_name = "SERVER", group = "served")]
    pub servers: Vec<String>,
    /// Serve every server of barman.conf
    #[arg(long, group = "served", conflicts_with = "servers")]
    pub all: bool,
    /// Serve only what is below this directory, whatever barman.conf says
    #[arg(long, value_name = "DIR", value_hint = ValueHint::DirPath)]
    pub home: Option<PathBuf>,
    /// Have this Barman answer `sync-info` [default: Antipode answers]
    #[arg(long, value_name = "PROGRAM", value_hint = ValueHint::ExecutablePath)]
    pub barman: Option<PathBuf>,
    /// The rsync that sends [default: the first in /usr/local/bin, /usr/bin and /bin]
    #[arg(long, value_name = "PROGRAM", value_hint = ValueHint::ExecutablePath)]
    pub rsync: Option<PathBuf>,
    /// What keeps rsync inside the directories of the servers
    #[arg(long, value_enum, default_value_t = Confinement::Auto, value_name = "HOW")]
    pub confine: Confinement,
    /// Add a line for each request to this file [default: the system's log]
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub log: Option<PathBuf>,
}

/// What keeps rsync inside the directories of the servers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Confinement {
    /// The first of the others that this host has
    Auto,
    /// The kernel, by Landlock: rsync can open nothing else, and write nothing
    Kernel,
    /// rsync itself, from 3.5.0 on, by --confine-root; not where a server is on several disks
    Rsync,
    /// A look before it begins: where a link leads out nothing is sent; one that is made while it sends is not seen
    Look,
}

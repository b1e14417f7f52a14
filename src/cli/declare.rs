//! Commands about what is declared: the site file, and the barman.conf beside it.

use std::path::PathBuf;

use clap::Args;

use super::TextOrJson;

/// Which site file.
#[derive(Debug, Clone, Default, Args)]
pub struct SiteFile {
    /// The site file [default: antipode.yaml here, else what ANTIPODE_FILE names]
    #[arg(short, long, value_name = "FILE")]
    pub file: Option<PathBuf>,
}

/// Arguments of `validate`.
#[derive(Debug, Clone, Args)]
#[command(after_help = "Examples:\n  antipode validate\n  antipode validate -f examples/minimal.yaml --format json")]
pub struct Validate {
    /// Which site file.
    #[command(flatten)]
    pub site: SiteFile,
    /// For people, or for editors and pipelines
    #[arg(long, value_enum, default_value_t = TextOrJson::Text)]
    pub format: TextOrJson,
}

/// Arguments of `init`.
#[derive(Debug, Clone, Args)]
#[command(
    after_help = "Examples:\n  antipode init\n  antipode init --from-barman-conf /etc/barman.conf -f lisbon.yaml"
)]
pub struct Init {
    /// The site file to write; one that exists is left alone [default: antipode.yaml]
    #[arg(short, long, value_name = "FILE")]
    pub file: Option<PathBuf>,
    /// Write what this barman.conf tells Barman's own sync to do
    #[arg(long, value_name = "BARMAN_CONF")]
    pub from_barman_conf: Option<PathBuf>,
}

/// Arguments of `barman-conf`.
#[derive(Debug, Clone, Args)]
#[command(after_help = "Examples:\n  antipode barman-conf\n  antipode barman-conf --write /etc/barman.d")]
pub struct BarmanConf {
    /// Which site file.
    #[command(flatten)]
    pub site: SiteFile,
    /// Keep one file for each server in this directory, changed only when it differs
    #[arg(long, value_name = "DIR")]
    pub write: Option<PathBuf>,
}

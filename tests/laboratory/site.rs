//! A disaster-recovery site: a catalog that somebody fills from a primary, and
//! a real Barman that judges the result.

use std::path::{Path, PathBuf};

use crate::account::ACCOUNT;
use crate::barman::Barman;
use crate::ground::Lab;
use crate::primary::Primary;
use crate::sshd::Sshd;
use crate::tools::BarmanVersion;

/// A site's directory and catalog.
#[derive(Debug)]
pub struct Site {
    /// Barman with its own barman.conf, in which the server is passive.
    pub barman: Barman,
    /// The same catalog with the server switched off, as when another program
    /// synchronises it.
    pub coexisting: Barman,
    /// The site's directory: the catalog and both barman.conf are in it.
    pub directory: PathBuf,
}

impl Site {
    /// Makes an empty site of a primary that is reached through `sshd`.
    pub fn new(lab: &Lab, version: BarmanVersion, primary: &Primary, sshd: &Sshd) -> Self {
        let directory = lab.directory("site");
        let programs = primary.cluster.release.programs();
        let passive = |name: &str| {
            Barman::configure(
                version,
                &directory.join("home"),
                &directory.join(name),
                [
                    ("primary_ssh_command", sshd.command_line()),
                    // pg_verifybackup and pg_combinebackup of the same release.
                    ("path_prefix", programs.display().to_string()),
                ],
            )
        };
        let mut coexisting = passive("coexisting.conf");
        coexisting.set("active", "false");
        Self { barman: passive("barman.conf"), coexisting, directory }
    }

    /// The Barman that tells what is here: where it is new enough, one that
    /// knows the server as switched off. Older ones list nothing of it then.
    pub fn judge(&self) -> &Barman {
        match self.barman.version {
            BarmanVersion::Newest => &self.coexisting,
            BarmanVersion::Legacy | BarmanVersion::Oldest => &self.barman,
        }
    }

    /// Writes the desired state, and returns its path.
    pub fn declare(&self, yaml: &str) -> PathBuf {
        let path = self.directory.join("antipode.yaml");
        ACCOUNT.write(&path, yaml);
        path
    }

    /// Where backups grow before they are published.
    pub fn server_staging(&self) -> PathBuf {
        self.barman.server_directory().join(".antipode/staging")
    }

    /// The catalog, `barman_home`.
    pub fn catalog(&self) -> &Path {
        &self.barman.home
    }
}

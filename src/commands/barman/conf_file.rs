//! Finding and reading this host's barman.conf, as Barman does.

use std::env;
use std::path::{Path, PathBuf};

use crate::barman::conf::{BarmanConf, ConfError};
use crate::error::{Error, Kind};
use crate::observe::site_barman::read_conf;

/// A barman.conf with the files that it includes.
#[derive(Debug)]
pub struct ConfFile {
    /// Where it is.
    pub path: PathBuf,
    /// What it says.
    pub conf: BarmanConf,
}

impl ConfFile {
    /// Reads the file that was named, else the first of those where Barman looks.
    pub fn read(named: Option<&Path>) -> Result<Self, Error> {
        let path = match named {
            Some(path) if path.exists() => path.to_owned(),
            Some(path) => {
                return Err(Error::new(
                    Kind::NotFound,
                    format!("Configuration file '{}' does not exist", path.display()),
                ));
            }
            None => usual_places().find(|path| path.exists()).ok_or_else(|| {
                let places: Vec<String> = usual_places().map(|path| path.display().to_string()).collect();
                Error::new(Kind::NotFound, format!("there is no barman.conf at {}", places.join(", ")))
                    .hint("name it with -c FILE; where Antipode keeps the copies, `antipode barman-conf --write DIR` writes one")
            })?,
        };
        let conf = read_conf(&path)?;
        Ok(Self { path, conf })
    }

    /// What is wrong with the file.
    pub fn invalid(&self, error: &ConfError) -> Error {
        Error::new(Kind::Invalid, format!("{}: {error}", self.path.display()))
    }
}

/// Where Barman looks, in its order.
fn usual_places() -> impl Iterator<Item = PathBuf> {
    let own = env::home_dir().map(|home| home.join(".barman.conf"));
    own.into_iter().chain(["/etc/barman.conf", "/etc/barman/barman.conf"].map(PathBuf::from))
}

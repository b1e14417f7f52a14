//! Where the programs of a release of PostgreSQL are on this host.

use std::path::{Path, PathBuf};

/// Where the packages of Debian and of PostgreSQL's own repositories for Red Hat install a release.
const INSTALLED: [(&str, &str); 2] = [("/usr/lib/postgresql/", "/bin"), ("/usr/pgsql-", "/bin")];

/// A program of a release (`17`): in the directory that somebody named, else where packages put it.
pub fn find(program: &str, release: &str, named: Option<&Path>) -> Option<PathBuf> {
    let named = named.map(Path::to_owned);
    let usual = INSTALLED.iter().map(|(before, after)| PathBuf::from(format!("{before}{release}{after}")));
    named.into_iter().chain(usual).map(|directory| directory.join(program)).find(|path| path.is_file())
}

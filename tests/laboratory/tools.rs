//! Where the real programs are.

use std::fs;
use std::path::{Path, PathBuf};

/// A Barman version that `./test` installs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BarmanVersion {
    /// `meta/`, five fields in xlog.db, incremental backups.
    Newest,
    /// The legacy layout with three or four fields, the last of its kind.
    Legacy,
    /// Old enough not to know half of backup.info's keys.
    Oldest,
}

impl BarmanVersion {
    /// The version's number.
    pub fn number(self) -> &'static str {
        match self {
            Self::Newest => "3.19.1",
            Self::Legacy => "3.12.1",
            Self::Oldest => "3.4.1",
        }
    }

    /// The directory with `barman` and its like.
    pub fn programs(self) -> PathBuf {
        present(installed(&format!("barman-{}", self.number())).join("bin"))
    }
}

/// A `PostgreSQL` that `./test` installs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PostgresRelease {
    /// Debian's package, the newest one here: 15 in Debian 12.
    Packaged,
    /// `PostgreSQL` 17, which can make incremental backups.
    Seventeen,
}

impl PostgresRelease {
    /// The directory with `postgres`, `initdb`, `pg_basebackup`.
    pub fn programs(self) -> PathBuf {
        match self {
            Self::Packaged => packaged_postgres(),
            Self::Seventeen => present(installed("postgresql-17").join("pginstall/bin")),
        }
    }
}

/// The oldest rsync that is supported, which `./test` builds.
pub fn oldest_rsync() -> PathBuf {
    present(installed("rsync-3.2.3").join("rsync"))
}

/// sshd, which insists on being started by its full path.
pub fn sshd() -> PathBuf {
    present(PathBuf::from("/usr/sbin/sshd"))
}

/// The path if it is there; otherwise the test cannot go on.
pub fn present(path: PathBuf) -> PathBuf {
    assert!(path.exists(), "the laboratory lacks {}: run ./test, which installs everything it needs", path.display());
    path
}

/// A directory that `./test` filled. It may be behind a symbolic link, which
/// the unprivileged user could not follow from here.
fn installed(name: &str) -> PathBuf {
    let laboratory = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/laboratory");
    let path = laboratory.join(name);
    fs::canonicalize(&path).unwrap_or(path)
}

fn packaged_postgres() -> PathBuf {
    let newest = fs::read_dir("/usr/lib/postgresql")
        .into_iter()
        .flatten()
        .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse::<u32>().ok())
        .filter(|major| Path::new(&format!("/usr/lib/postgresql/{major}/bin/initdb")).exists())
        .max();
    let directory = newest.map_or_else(|| "*".to_owned(), |major| major.to_string());
    present(PathBuf::from(format!("/usr/lib/postgresql/{directory}/bin")))
}

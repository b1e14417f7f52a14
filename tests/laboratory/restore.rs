//! Restoring at a site with its real Barman, and starting what came out.

use std::path::Path;

use crate::account::ACCOUNT;
use crate::barman::{Barman, SERVER};
use crate::postgres::{Cluster, Postgres, TABLESPACE};
use crate::tools::PostgresRelease;

/// How `PostgreSQL` gets its WALs in a restore.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wals {
    /// `barman recover` copies them beforehand.
    Copied,
    /// Recovery asks `barman get-wal` for each.
    Fetched,
}

/// A restore about to be made.
#[derive(Debug, Clone, Copy)]
pub struct Restore<'a> {
    /// Whose catalog it is made from.
    pub barman: &'a Barman,
    /// The release of the backed-up server.
    pub release: PostgresRelease,
    /// The backup, or `latest`.
    pub backup: &'a str,
    /// `latest`, `current`, or a number.
    pub timeline: &'a str,
    /// Where the WALs come from.
    pub wals: Wals,
}

impl<'a> Restore<'a> {
    /// Of the newest timeline, with WAL that is copied beforehand.
    pub fn newest(barman: &'a Barman, backup: &'a str) -> Self {
        Self { barman, release: PostgresRelease::Packaged, backup, timeline: "latest", wals: Wals::Copied }
    }

    /// Restores into a new directory, starts the server, and waits until it
    /// has recovered and writes.
    #[track_caller]
    pub fn start(self, directory: &Path) -> Postgres {
        let cluster = Cluster::at(self.release, &ACCOUNT.make_directory(directory));
        ACCOUNT.make_directory(&cluster.socket_directory());
        self.recover(&cluster, directory);
        let mut settings = vec!["archive_mode=off".to_owned()];
        if self.wals == Wals::Fetched {
            settings.push(format!("restore_command={}", self.get_wal()));
        }
        let settings: Vec<&str> = settings.iter().map(String::as_str).collect();
        let mut postgres = Postgres::start(cluster, &settings);
        postgres.wait_for_end_of_recovery();
        postgres
    }

    fn recover(&self, cluster: &Cluster, directory: &Path) {
        let data = cluster.data().display().to_string();
        let tablespace = format!("{TABLESPACE}:{}", cluster.tablespace().display());
        let staging = directory.join("staging").display().to_string();
        let mut words = vec!["recover", "--target-tli", self.timeline];
        words.extend(["--tablespace", &tablespace]);
        words.push(match self.wals {
            Wals::Copied => "--no-get-wal",
            Wals::Fetched => "--get-wal",
        });
        if self.release == PostgresRelease::Seventeen {
            words.extend(["--local-staging-path", &staging]);
        }
        words.extend([SERVER, self.backup, &data]);
        self.barman.expect(&words);
    }

    /// The `restore_command` that needs neither PATH nor sudo, unlike the one
    /// that `recover` writes.
    fn get_wal(&self) -> String {
        format!(
            "{}/barman -c {} get-wal {SERVER} %f > %p",
            self.barman.version.programs().display(),
            self.barman.config.display()
        )
    }
}

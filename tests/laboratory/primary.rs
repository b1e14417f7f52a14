//! A Barman installation that has the data, and the `PostgreSQL` it backs up.

use std::fs;
use std::path::{Path, PathBuf};

use crate::account::ACCOUNT;
use crate::barman::{Barman, PASSWORD, SERVER};
use crate::postgres::{Cluster, Postgres};
use crate::process::{copy_tree, wait_until};
use crate::tools::{BarmanVersion, PostgresRelease};

/// The catalog and the stopped cluster: nothing runs, and so tests can share
/// it. `sync-info` and rsync need no more.
#[derive(Debug, Clone)]
pub struct Primary {
    /// Barman with its catalog.
    pub barman: Barman,
    /// The files of the cluster.
    pub cluster: Cluster,
}

impl Primary {
    /// Makes a new cluster, and a Barman that knows it.
    pub fn create(version: BarmanVersion, release: PostgresRelease, directory: &Path) -> Self {
        let incoming = incoming(&home(directory));
        ACCOUNT.make_directory(&incoming);
        let cluster = Cluster::create(release, &directory.join("postgres"), &incoming);
        Self::configure(version, cluster, directory)
    }

    /// The same with WAL segments of so many MiB.
    pub fn create_with_segments(release: PostgresRelease, mebibytes: u32, directory: &Path) -> Self {
        let incoming = incoming(&home(directory));
        ACCOUNT.make_directory(&incoming);
        let size = format!("--wal-segsize={mebibytes}");
        let cluster = Cluster::create_with(release, &directory.join("postgres"), &incoming, &[&size]);
        cluster.configure(&format!("min_wal_size = {}MB\nmax_wal_size = {}MB\n", 2 * mebibytes, 8 * mebibytes));
        Self::configure(BarmanVersion::Newest, cluster, directory)
    }

    /// The same server with a new cluster of another release, whose timelines begin again, behind this WAL.
    pub fn upgrade(self, release: PostgresRelease, first_wal: &str, directory: &Path) -> Self {
        let incoming = incoming(&self.barman.home);
        let cluster = Cluster::create(release, &directory.join("upgraded"), &incoming);
        cluster.begin_with(first_wal);
        // Barman's documentation says so: it is of the old system.
        fs::remove_file(self.barman.server_directory().join("identity.json")).expect("remove identity.json");
        Self::configure(self.barman.version, cluster, directory)
    }

    /// A new Barman of a cluster that is there already.
    pub fn adopt(version: BarmanVersion, cluster: Cluster, directory: &Path) -> Self {
        let incoming = ACCOUNT.make_directory(&incoming(&home(directory)));
        cluster.archive_to(&incoming);
        Self::configure(version, cluster, directory)
    }

    fn configure(version: BarmanVersion, cluster: Cluster, directory: &Path) -> Self {
        let conninfo = format!("host={} port=5432 user=postgres dbname=postgres", cluster.socket_directory().display());
        let settings = [
            ("conninfo", format!("{conninfo} password={PASSWORD}")),
            ("streaming_conninfo", conninfo),
            ("backup_method", "postgres".to_owned()),
            ("archiver", "on".to_owned()),
            // A spread checkpoint makes each backup take minutes.
            ("immediate_checkpoint", "true".to_owned()),
            ("path_prefix", cluster.release.programs().display().to_string()),
        ];
        let barman = Barman::configure(version, &home(directory), &directory.join("barman.conf"), settings);
        Self { barman, cluster }
    }

    /// A copy of all of it for a test that changes the primary.
    pub fn copy_to(&self, directory: &Path) -> Self {
        ACCOUNT.make_directory(directory);
        let cluster = self.cluster.copy_to(&directory.join("postgres"));
        copy_tree(&self.barman.home, &home(directory));
        let mut copy = Self::configure(self.barman.version, cluster, directory);
        if let Some(compression) = self.barman.setting("compression") {
            copy.barman.set("compression", compression);
        }
        relink_tablespaces(&copy.barman.server_directory());
        copy.cluster.archive_to(&incoming(&copy.barman.home));
        copy
    }

    /// Starts the cluster, for more backups and WALs.
    pub fn start(self) -> LivePrimary {
        LivePrimary { postgres: self.cluster.start(), barman: self.barman }
    }
}

/// A primary whose `PostgreSQL` runs.
#[derive(Debug)]
pub struct LivePrimary {
    /// Barman with its catalog.
    pub barman: Barman,
    /// The running server.
    pub postgres: Postgres,
}

impl LivePrimary {
    /// Begins a new WAL segment, and has Barman archive the one that is over.
    #[track_caller]
    pub fn archive_wal(&self) -> String {
        let wal = self.postgres.switch_wal();
        let arrived = incoming(&self.barman.home).join(&wal);
        wait_until("a WAL arrives in Barman's incoming directory", || arrived.exists());
        self.barman.expect(&["archive-wal", SERVER]);
        wal
    }

    /// Makes a backup that is DONE, and returns its id.
    #[track_caller]
    pub fn back_up(&self, arguments: &[&str]) -> String {
        let before = self.barman.bases();
        let words = [&["backup"], arguments, &[SERVER]].concat();
        self.barman.expect(&words);
        self.archive_wal();
        let mut bases = self.barman.bases();
        bases.retain(|id| !before.contains(id));
        let id = bases.pop().expect("barman backup made a backup");
        if self.barman.backup_field(&id, "status") == "WAITING_FOR_WALS" {
            self.barman.expect(&["check-backup", SERVER, &id]);
        }
        assert_eq!(self.barman.backup_field(&id, "status"), "DONE");
        id
    }

    /// Stops the server, and has Barman archive what that left.
    pub fn stop(self) -> Primary {
        let cluster = self.postgres.stop();
        self.barman.expect(&["archive-wal", SERVER]);
        Primary { barman: self.barman, cluster }
    }
}

fn home(directory: &Path) -> PathBuf {
    directory.join("home")
}

/// Where Barman takes WALs from. It must exist before `PostgreSQL` archives
/// into it, so the laboratory does not wait for `barman cron` to make it.
fn incoming(home: &Path) -> PathBuf {
    home.join(SERVER).join("incoming")
}

/// Points the tablespaces of a copied catalog's backups into the copy:
/// `pg_basebackup` has made absolute links.
fn relink_tablespaces(server: &Path) {
    for base in fs::read_dir(server.join("base")).expect("read base") {
        let base = base.expect("an entry of base").path();
        let Ok(links) = fs::read_dir(base.join("data/pg_tblspc")) else {
            continue;
        };
        for link in links {
            let link = link.expect("an entry of pg_tblspc");
            fs::remove_file(link.path()).expect("remove a tablespace's link");
            std::os::unix::fs::symlink(base.join(link.file_name()), link.path()).expect("link a tablespace");
            ACCOUNT.own(&link.path());
        }
    }
}

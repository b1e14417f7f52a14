//! A `PostgreSQL` cluster that listens on a unix socket only.

use std::fs;
use std::path::{Path, PathBuf};

use rustix::process::Signal;

use crate::account::ACCOUNT;
use crate::process::{Daemon, Finished, copy_tree, program, run};
use crate::tools::PostgresRelease;

/// All clusters have the same port, as each has a socket directory of its own.
const PORT: u16 = 5432;

/// The oid of the first object that a user makes: here always the tablespace.
pub const TABLESPACE_OID: &str = "16384";
/// The name of the tablespace that every cluster has.
pub const TABLESPACE: &str = "side";

const CONFIGURATION: &str = "
listen_addresses = ''
fsync = off
shared_buffers = 16MB
min_wal_size = 32MB
max_wal_size = 256MB
wal_level = replica
archive_mode = on
log_timezone = UTC
timezone = UTC
";

/// A cluster's files: `data/`, `tablespace/`, `socket/`, and the log.
#[derive(Debug, Clone)]
pub struct Cluster {
    /// The release whose programs made it.
    pub release: PostgresRelease,
    directory: PathBuf,
}

impl Cluster {
    /// Names the cluster in a directory; nothing is made.
    pub fn at(release: PostgresRelease, directory: &Path) -> Self {
        Self { release, directory: directory.to_owned() }
    }

    /// Makes a new cluster that archives its WALs to `incoming`, a directory.
    pub fn create(release: PostgresRelease, directory: &Path, incoming: &Path) -> Self {
        Self::create_with(release, directory, incoming, &[])
    }

    /// The same with more for `initdb`.
    pub fn create_with(release: PostgresRelease, directory: &Path, incoming: &Path, arguments: &[&str]) -> Self {
        let cluster = Self::at(release, directory);
        ACCOUNT.make_directory(&cluster.socket_directory());
        ACCOUNT.make_directory(&cluster.tablespace());
        cluster
            .run("initdb", |initdb| {
                initdb
                    .args(["--username=postgres", "--auth=trust", "--data-checksums"])
                    .args(["--no-sync", "--encoding=UTF8"])
                    .args(arguments)
                    .arg("--pgdata")
                    .arg(cluster.data())
            })
            .expect_success();
        cluster.configure(CONFIGURATION);
        if release == PostgresRelease::Seventeen {
            cluster.configure("summarize_wal = on\n");
        }
        cluster.archive_to(incoming);
        cluster
    }

    /// The data directory.
    pub fn data(&self) -> PathBuf {
        self.directory.join("data")
    }

    /// The directory of the only tablespace.
    pub fn tablespace(&self) -> PathBuf {
        self.directory.join("tablespace")
    }

    /// The directory of its socket, the `host` of a conninfo.
    pub fn socket_directory(&self) -> PathBuf {
        self.directory.join("socket")
    }

    /// Appends to `postgresql.conf`; what comes later wins.
    pub fn configure(&self, lines: &str) {
        let path = self.data().join("postgresql.conf");
        let configuration = fs::read_to_string(&path).expect("read postgresql.conf");
        fs::write(&path, configuration + lines).expect("write postgresql.conf");
    }

    /// Archives from now on into a directory that exists already. The file
    /// appears there whole, and under a name that Barman looks at.
    pub fn archive_to(&self, incoming: &Path) {
        let incoming = incoming.display();
        self.configure(&format!("archive_command = 'cp %p {incoming}/.%f && mv {incoming}/.%f {incoming}/%f'\n"));
    }

    /// Copies the files of a stopped cluster, tablespace included.
    pub fn copy_to(&self, directory: &Path) -> Self {
        copy_tree(&self.directory, directory);
        let copy = Self::at(self.release, directory);
        let link = copy.data().join("pg_tblspc").join(TABLESPACE_OID);
        if link.is_symlink() {
            fs::remove_file(&link).expect("remove the tablespace's link");
            std::os::unix::fs::symlink(copy.tablespace(), &link).expect("link the tablespace");
            ACCOUNT.own(&link);
        }
        copy
    }

    /// Makes the next start a promotion: it recovers from nothing but its own
    /// `pg_wal` and begins a new timeline.
    pub fn promote_at_next_start(&self) {
        self.configure("restore_command = 'false'\n");
        ACCOUNT.write(&self.data().join("recovery.signal"), "");
    }

    /// Makes a new cluster begin with this WAL, as `pg_upgrade` does.
    pub fn begin_with(&self, wal: &str) {
        self.run("pg_resetwal", |reset| reset.args(["-l", wal, "-D"]).arg(self.data())).expect_success();
    }

    /// Starts the server, and waits until it accepts connections.
    pub fn start(self) -> Postgres {
        Postgres::start(self, &[])
    }

    fn run(
        &self,
        name: &str,
        arguments: impl FnOnce(&mut std::process::Command) -> &mut std::process::Command,
    ) -> Finished {
        run(arguments(&mut program(self.release.programs().join(name))))
    }
}

/// A running server; killed when dropped.
#[derive(Debug)]
pub struct Postgres {
    /// Its files.
    pub cluster: Cluster,
    server: Daemon,
}

impl Postgres {
    /// Starts a server with settings beside those of its files, and waits
    /// until it accepts connections.
    pub fn start(cluster: Cluster, settings: &[&str]) -> Self {
        let mut command = program(cluster.release.programs().join("postgres"));
        command.arg("-D").arg(cluster.data());
        command.args(["-p", &PORT.to_string(), "-k"]);
        command.arg(cluster.socket_directory());
        for setting in settings {
            command.args(["-c", setting]);
        }
        let server = Daemon::start(&mut command, &cluster.directory.join("postgres.log"));
        let mut postgres = Self { cluster, server };
        let cluster = postgres.cluster.clone();
        postgres.server.wait_until("PostgreSQL accepts connections", || psql(&cluster, "select 1").status.success());
        postgres
    }

    /// Runs SQL and returns what it prints: unaligned, no headings.
    #[track_caller]
    pub fn sql(&self, statements: &str) -> String {
        psql(&self.cluster, statements).expect_success().trim_end().to_owned()
    }

    /// Begins a new WAL segment, and returns the name of the one that is over.
    pub fn switch_wal(&self) -> String {
        // A switch right after a switch does nothing: so write something.
        self.sql(
            "select pg_logical_emit_message(false, 'laboratory', 'a new segment');
             select pg_walfile_name(pg_switch_wal())",
        )
        .lines()
        .last()
        .expect("the name of a WAL")
        .to_owned()
    }

    /// Waits until recovery is over and the server writes.
    pub fn wait_for_end_of_recovery(&mut self) {
        let cluster = self.cluster.clone();
        self.server.wait_until("recovery ends", || psql(&cluster, "select pg_is_in_recovery()").stdout.trim() == "f");
    }

    /// Stops the server in an orderly way; the last WAL is archived.
    pub fn stop(mut self) -> Cluster {
        // SIGINT is PostgreSQL's fast shutdown.
        self.server.signal(Signal::INT);
        self.server.wait_for_end();
        self.cluster.clone()
    }
}

fn psql(cluster: &Cluster, statements: &str) -> Finished {
    cluster.run("psql", |psql| {
        psql.args(["--no-psqlrc", "--quiet", "--no-align", "--tuples-only"])
            .args(["--set=ON_ERROR_STOP=1", "--username=postgres"])
            .args(["--dbname=postgres", &format!("--port={PORT}")])
            .arg("--host")
            .arg(cluster.socket_directory())
            .args(["--command", statements])
    })
}

//! The primaries that tests start from: made once, then only read.
//!
//! Every scenario has the table [`LEDGER`], to which each [`Chapter`] of its
//! history adds rows. A restored database is checked by its chapters.

use std::sync::LazyLock;

use crate::barman::{Barman, SERVER};
use crate::ground::shared_directory;
use crate::postgres::{Postgres, TABLESPACE};
use crate::primary::{LivePrimary, Primary};
use crate::tools::{BarmanVersion, PostgresRelease};

/// A primary and what is known about its backups.
#[derive(Debug)]
pub struct Scenario {
    /// The catalog; not to be changed: see [`Primary::copy_to`].
    pub primary: Primary,
    /// The ids of the backups, oldest first.
    pub backups: Vec<String>,
    /// The chapters at the end of the newest timeline.
    pub chapters: Vec<&'static str>,
    /// The chapters at the end of timeline 1, if that is another.
    pub chapters_of_timeline_1: Vec<&'static str>,
}

impl Scenario {
    /// The backup that has a keep annotation.
    pub fn kept_backup(&self) -> &str {
        &self.backups[0]
    }

    /// Deletes the backups of timeline 1 from a copied catalog; returns
    /// the one of timeline 2.
    pub fn forget_timeline_1(&self, copy: &Barman) -> String {
        let (timeline_2, timeline_1) = self.backups.split_last().expect("backups");
        copy.expect(&["keep", "--release", SERVER, self.kept_backup()]);
        for id in timeline_1 {
            copy.expect(&["delete", SERVER, id]);
        }
        timeline_2.clone()
    }
}

/// `PostgreSQL` as packaged, the newest Barman: two backups on timeline 1, WAL
/// compression switched on between them, then a standby that lags is promoted
/// while the old primary writes on, and a third backup on timeline 2.
pub fn two_timelines() -> &'static Scenario {
    static SCENARIO: LazyLock<Scenario> = LazyLock::new(|| build_two_timelines(BarmanVersion::Newest, "two"));
    &SCENARIO
}

/// The same history, in the layout that Barman had before 3.13.
pub fn legacy_layout() -> &'static Scenario {
    static SCENARIO: LazyLock<Scenario> = LazyLock::new(|| build_two_timelines(BarmanVersion::Legacy, "legacy"));
    &SCENARIO
}

/// The same history, by a Barman of 2023.
pub fn oldest_barman() -> &'static Scenario {
    static SCENARIO: LazyLock<Scenario> = LazyLock::new(|| build_two_timelines(BarmanVersion::Oldest, "oldest"));
    &SCENARIO
}

/// `PostgreSQL` 17: a full backup, two incremental ones that follow each other,
/// and another full one.
pub fn incrementals() -> &'static Scenario {
    static SCENARIO: LazyLock<Scenario> = LazyLock::new(build_incrementals);
    &SCENARIO
}

fn build_two_timelines(version: BarmanVersion, name: &str) -> Scenario {
    let directory = shared_directory(name);
    let live = Primary::create(version, PostgresRelease::Packaged, &directory).start();
    open_ledger(&live.postgres);
    let mut backups = vec![first_backup(&live)];

    let mut live = write_chapter(live, "uncompressed");
    live.barman.set("compression", "gzip");
    backups.push(live.back_up(&[]));
    let live = write_chapter(live, "compressed");
    let stopped = live.stop();

    let live = fail_over(stopped);
    backups.push(live.back_up(&[]));
    let live = write_chapter(live, "after failover");
    Scenario {
        primary: live.stop(),
        backups,
        chapters: vec!["opened", "uncompressed", "compressed", "after failover"],
        chapters_of_timeline_1: vec!["opened", "uncompressed", "compressed", "lost by failover"],
    }
}

fn build_incrementals() -> Scenario {
    let directory = shared_directory("incrementals");
    let live = Primary::create(BarmanVersion::Newest, PostgresRelease::Seventeen, &directory).start();
    open_ledger(&live.postgres);
    let mut backups = vec![first_backup(&live)];
    let mut live = live;
    for chapter in ["first increment", "second increment"] {
        live = write_chapter(live, chapter);
        backups.push(live.back_up(&["--incremental", "latest"]));
    }
    live = write_chapter(live, "last");
    backups.push(live.back_up(&[]));
    Scenario {
        primary: live.stop(),
        backups,
        chapters: vec!["opened", "first increment", "second increment", "last"],
        chapters_of_timeline_1: Vec::new(),
    }
}

/// Promotes a copy of the stopped cluster, while the old primary, which does
/// not know, fills one more WAL of timeline 1.
fn fail_over(stopped: Primary) -> LivePrimary {
    let directory = stopped.barman.home.with_file_name("old-primary");
    let old_primary = Primary { cluster: stopped.cluster.copy_to(&directory), barman: stopped.barman.clone() };
    write_chapter(old_primary.start(), "lost by failover").stop();

    stopped.cluster.promote_at_next_start();
    let mut live = stopped.start();
    live.postgres.wait_for_end_of_recovery();
    live
}

/// Makes the tablespace and the table whose rows tell the history.
pub fn open_ledger(postgres: &Postgres) {
    postgres.sql(&format!("create tablespace {TABLESPACE} location '{}'", postgres.cluster.tablespace().display()));
    postgres.sql(&format!(
        "create table ledger (number bigint, chapter text) tablespace {TABLESPACE};
         insert into ledger select number, 'opened' from generate_series(1, 1000) number"
    ));
}

/// The first backup, which `barman backup` refuses before a WAL is archived;
/// it is kept for ever.
pub fn first_backup(live: &LivePrimary) -> String {
    live.archive_wal();
    let id = live.back_up(&[]);
    live.barman.expect(&["keep", "--target", "full", SERVER, &id]);
    id
}

/// Adds rows, and archives the WAL that has them.
pub fn write_chapter(live: LivePrimary, chapter: &str) -> LivePrimary {
    live.postgres.sql(&format!("insert into ledger select number, '{chapter}' from generate_series(1, 100) number"));
    live.archive_wal();
    live
}

/// The chapters of a database, in the order they were written.
pub fn chapters(postgres: &Postgres) -> Vec<String> {
    postgres.sql("select chapter from ledger group by chapter order by min(ctid)").lines().map(str::to_owned).collect()
}

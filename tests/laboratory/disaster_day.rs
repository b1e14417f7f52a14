//! docs/disaster-day.md, block by block: the primary is gone, and what the page restores is started and read.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use crate::account::ACCOUNT;
use crate::antipode;
use crate::barman::{Barman, SERVER};
use crate::converge::{filled_site, site_file};
use crate::ground::Lab;
use crate::postgres::{Cluster, TABLESPACE};
use crate::primary::Primary;
use crate::process::{Finished, program, run, wait_until};
use crate::scenario::{self, write_chapter};
use crate::site::Site;
use crate::sshd::Sshd;
use crate::tools::PostgresRelease;

const CHAPTERS: &str = "select chapter from ledger group by chapter order by min(ctid)";
/// Whether recovery waits at its target for a person.
const WAITS: &str = "select pg_is_in_recovery() and pg_get_wal_replay_pause_state() = 'paused'";

/// The shell blocks of the page, by the names that stand before them.
fn page() -> BTreeMap<String, String> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/disaster-day.md");
    let text = fs::read_to_string(path).expect("read docs/disaster-day.md");
    let parts: Vec<&str> = text.split("```sh\n").collect();
    let named = parts.windows(2).map(|pair| {
        let name = pair[0].trim_end().lines().last().expect("a line before the block");
        let name = name.strip_prefix("<!-- run: ").and_then(|name| name.strip_suffix(" -->"));
        let (block, _) = pair[1].split_once("```\n").expect("the end of a block");
        (name.unwrap_or_else(|| panic!("a block without a name:\n{block}")).to_owned(), block.to_owned())
    });
    let blocks: BTreeMap<_, _> = named.collect();
    assert_eq!(blocks.len(), parts.len() - 1, "two blocks have one name");
    blocks
}

/// A person at the site, with the page in hand.
struct Night {
    page: BTreeMap<String, String>,
    /// The programs that are found by name.
    path: String,
    /// What the page's first block is to say, in its order.
    names: Vec<(&'static str, String)>,
    run: Vec<String>,
}

/// A restore that was begun.
struct Restored {
    cluster: Cluster,
}

impl Night {
    fn begin(lab: &Lab, site: &Site, barman: &Barman, release: PostgresRelease, backup: &str) -> Self {
        let bin = lab.directory("bin");
        let wrapped = |name: &str, to: &str| {
            ACCOUNT.write_program(&bin.join(name), format!("#!/bin/sh\nexec {to} \"$@\"\n"));
        };
        wrapped("antipode", &antipode::program_path().display().to_string());
        wrapped("barman", &format!("{}/barman -c {}", barman.version.programs().display(), barman.config.display()));
        let names = vec![
            ("SITE", site.directory.join("antipode.yaml").display().to_string()),
            ("CATALOG", site.catalog().display().to_string()),
            ("SERVER", SERVER.to_owned()),
            ("BACKUP", backup.to_owned()),
            ("RESTORED", String::new()),
            ("SOCKET", String::new()),
        ];
        let path = format!("{}:{}:/usr/bin:/bin", bin.display(), release.programs().display());
        Self { page: page(), path, names, run: Vec::new() }
    }

    /// Restores go below this directory from now on.
    fn restore_below(&mut self, directory: &Path) {
        let socket = ACCOUNT.make_directory(&directory.join("socket"));
        self.say("RESTORED", &directory.display().to_string());
        self.say("SOCKET", &socket.display().to_string());
    }

    fn say(&mut self, name: &str, value: &str) {
        let said = self.names.iter_mut().find(|(other, _)| *other == name).expect("a name of the page");
        value.clone_into(&mut said.1);
    }

    /// A block with what a person writes into it.
    fn block(&mut self, name: &str, written: &[(&str, &str)]) -> String {
        self.run.push(name.to_owned());
        let mut block = self.page.get(name).unwrap_or_else(|| panic!("no block {name}")).clone();
        for (variable, value) in written {
            let start = format!("{variable}=");
            let line = block.lines().find(|line| line.starts_with(&start)).expect("a line to write into").to_owned();
            block = block.replacen(&line, &format!("{start}\"{value}\""), 1);
        }
        block
    }

    /// Runs blocks one after the other in one shell, as they stand on the page.
    #[track_caller]
    fn run(&mut self, blocks: &[(&str, &[(&str, &str)])]) -> Finished {
        let names: String =
            self.names.iter().map(|(name, value)| format!("{name}={}\n", shell_words::quote(value))).collect();
        let blocks: Vec<String> = blocks.iter().map(|(name, written)| self.block(name, written)).collect();
        let mut shell = program("/bin/sh");
        shell.args(["-euc", &format!("{names}{}", blocks.concat())]).env("PATH", &self.path);
        let finished = run(shell.env("HOME", "/tmp").current_dir("/tmp"));
        assert!(finished.status.success(), "{finished}");
        finished
    }

    /// Restores by these blocks, starts, looks, and lets it go on where it waits at a target. What it has then.
    #[track_caller]
    fn restore(
        &mut self,
        directory: &Path,
        blocks: &[(&str, &[(&str, &str)])],
        waits: bool,
    ) -> (Restored, Vec<String>) {
        self.restore_below(&ACCOUNT.make_directory(directory));
        self.run(blocks);
        self.run(&[("start", &[])]);
        let restored = Restored { cluster: Cluster::at(PostgresRelease::Packaged, directory) };
        if waits {
            wait_until("recovery waits at its target", || self.asked(WAITS) == "t");
            self.run(&[("check", &[]), ("go-on", &[])]);
        }
        wait_until("recovery ends", || self.asked("select pg_is_in_recovery()") == "f");
        self.run(&[("check", &[]), ("redirect", &[])]);
        (restored, self.asked(CHAPTERS).lines().map(str::to_owned).collect())
    }

    /// Restores by the command of Barman's that antipode prints.
    #[track_caller]
    fn restore_as_printed(&mut self, directory: &Path) -> (Restored, Vec<String>) {
        let block = "antipode restore -f \"$SITE\" \"$SERVER\" \"$RESTORED/data\" --tablespace \"side:$RESTORED/side\" \
                     --print | tail -n 1 >\"$RESTORED/command\"\ngrep -q '^barman restore ' \"$RESTORED/command\"\n\
                     sh -e \"$RESTORED/command\"\n";
        self.page.insert("printed".to_owned(), block.to_owned());
        self.restore(directory, &[("printed", &[])], false)
    }

    /// What the restored server answers.
    fn asked(&self, statement: &str) -> String {
        let socket = &self.names.iter().find(|(name, _)| *name == "SOCKET").expect("SOCKET").1;
        let mut psql = program("psql");
        psql.env("PATH", &self.path).args(["-XAtq", "-U", "postgres", "-h", socket, "-c", statement]);
        run(&mut psql).stdout.trim().to_owned()
    }
}

impl Restored {
    /// Ends the server, and leaves its files.
    fn stop(&self) {
        let mut stop = program(self.cluster.release.programs().join("pg_ctl"));
        run(stop.args(["stop", "--mode", "fast", "--wait", "-D"]).arg(self.cluster.data()));
    }
}

impl Drop for Restored {
    fn drop(&mut self) {
        self.stop();
    }
}

/// The points to go back to, right before the mistake.
struct Points {
    time: String,
    transaction: String,
    position: String,
}

/// A primary on which a mistake was made after all that was good, and archived.
fn with_a_mistake(lab: &Lab) -> (Primary, Points) {
    let live = scenario::two_timelines().primary.copy_to(&lab.directory("primary")).start();
    let live = write_chapter(live, "good");
    let transaction = live.postgres.sql("insert into ledger values (0, 'best'); select pg_current_xact_id()");
    live.postgres.sql("select pg_create_restore_point('before the mistake')");
    let position = live.postgres.sql("select pg_current_wal_lsn()");
    let time = live.postgres.sql("select clock_timestamp()");
    let points = Points { time, transaction, position };
    (write_chapter(live, "mistake").stop(), points)
}

#[test]
fn the_page_leads_from_the_site_alone_to_every_target_and_back_to_a_site() {
    let lab = Lab::new();
    let scenario = scenario::two_timelines();
    let (primary, points) = with_a_mistake(&lab);
    let version = primary.barman.version;
    let (sshd, site) = filled_site(&lab, &primary, version);
    drop(sshd);
    let backup = scenario.backups.last().expect("a backup");
    let mut night = Night::begin(&lab, &site, &site.coexisting, PostgresRelease::Packaged, backup);
    let names: Vec<String> =
        night.block("names", &[]).lines().map(|line| line.split('=').next().expect("a name").to_owned()).collect();
    assert_eq!(names, night.names.iter().map(|(name, _)| *name).collect::<Vec<_>>());

    let looked = night.run(&[("look", &[]), ("look-with-barman", &[]), ("choose", &[])]).stdout;
    assert!(looked.contains("primary unreachable") && looked.contains(backup), "{looked}");

    let best: Vec<&str> = [&scenario.chapters[..], &["good", "best"]].concat();
    let all: Vec<&str> = [&best[..], &["mistake"]].concat();
    let at_backup = scenario.chapters.split_last().expect("chapters").1.to_vec();
    let stop_at = format!("recovery_target_time = '{}'", points.time);
    let without_barman: &[(&str, &[(&str, &str)])] = &[("copy-full", &[]), ("fetch-wal", &[])];
    let stopping = [("stop-at", &[("TARGET", stop_at.as_str())][..])];
    for (name, blocks, waits, expected) in [
        ("restored-time", &[("restore-time", &[("TIME", points.time.as_str())][..])][..], true, &best),
        ("restored-position", &[("restore-position", &[("LSN", points.position.as_str())])], true, &best),
        ("restored-immediate", &[("restore-immediate", &[])], true, &at_backup),
        ("restored", &[("restore-newest", &[])], false, &all),
        ("time", &[("barman-time", &[("TIME", points.time.as_str())])], true, &best),
        ("name", &[("barman-name", &[("NAME", "before the mistake")])], true, &best),
        ("transaction", &[("barman-transaction", &[("XID", points.transaction.as_str())])], true, &best),
        ("position", &[("barman-position", &[("LSN", points.position.as_str())])], true, &best),
        ("immediate", &[("barman-immediate", &[])], true, &at_backup),
        ("files", without_barman, false, &all),
        ("files-to-a-time", &[without_barman, &stopping].concat(), true, &best),
    ] {
        let (_restored, chapters) = night.restore(&lab.join(name), blocks, waits);
        assert_eq!(chapters, *expected, "{name}");
    }
    let (_restored, chapters) = night.restore_as_printed(&lab.join("printed"));
    assert_eq!(chapters, all);
    let newest = lab.join("newest");
    let (restored, chapters) = night.restore(&newest, &[("barman-newest", &[])], false);
    assert_eq!(chapters, all);
    restored.stop();

    // Its new Barman is the primary of the site from now on.
    let live = Primary::adopt(version, restored.cluster.clone(), &lab.directory("rebuilt")).start();
    let rebuilt = write_chapter(live, "after the night");
    let backup = rebuilt.back_up(&[]);
    let rebuilt = rebuilt.stop();
    let sshd = Sshd::start(&lab.join("sshd-rebuilt"), &rebuilt.barman);
    site.declare(&site_file(&site, &sshd));
    let followed = night.run(&[("follow", &[])]).stdout;
    assert!(followed.contains(&format!("+ backup {backup}")) && followed.contains("Apply complete"), "{followed}");
    let expected = [&scenario.backups[..], &[backup]].concat();
    assert_eq!(site.judge().backup_ids(), expected);

    let run_elsewhere = ["copy-incremental"];
    let unrun: Vec<&String> =
        night.page.keys().filter(|name| !night.run.contains(name) && !run_elsewhere.contains(&name.as_str())).collect();
    assert_eq!(unrun, [""; 0], "every block is run");
}

#[test]
fn the_page_puts_an_incremental_backup_together_without_barman() {
    let lab = Lab::new();
    let scenario = scenario::incrementals();
    let (sshd, site) = filled_site(&lab, &scenario.primary, scenario.primary.barman.version);
    drop(sshd);
    let increment = &scenario.backups[2];
    let mut night = Night::begin(&lab, &site, &site.coexisting, PostgresRelease::Seventeen, increment);
    let blocks: &[(&str, &[(&str, &str)])] = &[("copy-incremental", &[]), ("fetch-wal", &[])];
    let (_restored, chapters) = night.restore(&lab.join("restored"), blocks, false);
    assert_eq!(chapters, scenario.chapters);
    let tablespace = lab.join("restored/data/pg_tblspc/16384");
    let place: PathBuf = fs::read_link(tablespace).expect("a tablespace");
    assert_eq!(place, lab.join("restored/16384"), "{TABLESPACE} is not the catalog's");
    let (_restored, chapters) = night.restore(&lab.join("by-command"), &[("restore-newest", &[])], false);
    assert_eq!(chapters, scenario.chapters);
    let place = fs::read_link(lab.join("by-command/data/pg_tblspc/16384")).expect("a tablespace");
    assert_eq!(place, lab.join("by-command/side"), "{TABLESPACE} is where it was told to be");
}

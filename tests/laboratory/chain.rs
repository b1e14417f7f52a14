//! Sites in a row: each is the primary of the next, by the barman.conf that `antipode barman-conf` writes for it.

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::account::ACCOUNT;
use crate::antipode::antipode;
use crate::barman::{Barman, SERVER};
use crate::ground::Lab;
use crate::passive::{passive_node, synchronise};
use crate::process::Finished;
use crate::restore::Restore;
use crate::rot::rot;
use crate::scenario::{self, chapters, write_chapter};
use crate::site::Site;
use crate::sshd::{Manners, Sshd};
use crate::sync_info::replace_barman;
use crate::tools::{BarmanVersion, PostgresRelease};

/// A site with a Barman that knows what `antipode barman-conf` says, and nothing else.
struct Hop {
    directory: PathBuf,
    barman: Barman,
}

impl Hop {
    /// An empty site whose primary is reached like this.
    fn new(lab: &Lab, name: &str, version: BarmanVersion, primary: &str) -> Self {
        let directory = lab.directory(name);
        let (home, config) = (directory.join("home"), directory.join("barman.conf"));
        let barman = Barman::configure(version, &home, &config, []);
        let sections = ACCOUNT.make_directory(&directory.join("barman.d"));
        let conf = format!(
            "[barman]\nbarman_home = {}\nbarman_user = {}\nlog_file = {}\nconfiguration_files_directory = {}\n\
             path_prefix = {}\n",
            home.display(),
            ACCOUNT.name,
            directory.join("barman.log").display(),
            sections.display(),
            PostgresRelease::Packaged.programs().display(),
        );
        ACCOUNT.write(&config, conf);
        let site = format!(
            "version: 1\nsite: {name}\ncatalog:\n  path: {}\n  config: {}\n  barman: \"{}\"\n  deep_every: always\n  reserve: none\n\
             primaries:\n  above:\n{primary}replicas:\n  {SERVER}: {{primary: above}}\n",
            home.display(),
            config.display(),
            version.number(),
        );
        ACCOUNT.write(&directory.join("antipode.yaml"), site);
        Self { directory, barman }
    }

    #[track_caller]
    fn antipode(&self, arguments: &[&str]) -> Finished {
        antipode(&self.directory, arguments)
    }

    /// Brings it to what its primary has, and writes the section for its Barman.
    #[track_caller]
    fn converge(&self) {
        let planned = self.antipode(&["plan", "--detailed-exitcode"]);
        assert_eq!(planned.code(), 2, "{planned}");
        self.antipode(&["apply", "--auto-approve"]).expect_success();
        self.antipode(&["plan", "--detailed-exitcode"]).expect_success();
        let sections = self.directory.join("barman.d").display().to_string();
        self.antipode(&["barman-conf", "--write", &sections]).expect_success();
    }

    /// An sshd through which Antipode answers in its Barman's place.
    fn serve(&self, lab: &Lab, name: &str) -> Sshd {
        let sshd = Sshd::start(&lab.join(name), &self.barman);
        replace_barman(&lab.join(name), &self.barman, "antipode");
        sshd
    }
}

/// The keys of a primary behind an sshd.
fn behind(sshd: &Sshd, command: &str) -> String {
    format!("    ssh_command: {}\n    barman: {{command: {command}}}\n", sshd.command_line())
}

#[track_caller]
fn assert_restores(lab: &Path, hop: &Hop, expected: &[&str]) {
    let restore = Restore::newest(&hop.barman, "latest");
    assert_eq!(chapters(&restore.start(&lab.join("restored"))), expected);
}

/// What a site's status knows of the origin, and what it says.
#[track_caller]
fn origin(hop: &Hop) -> (Value, String) {
    let status = hop.antipode(&["status", "--format", "json"]);
    let status: Value = serde_json::from_str(&status.stdout).unwrap_or_else(|error| panic!("{error}: {status}"));
    (status["replicas"][0]["origin"].clone(), hop.antipode(&["status"]).stdout)
}

#[test]
fn what_a_site_knows_to_be_damaged_is_not_copied_from_it_until_it_is_repaired() {
    let lab = Lab::new();
    let scenario = scenario::two_timelines();
    let version = scenario.primary.barman.version;
    let primary = scenario.primary.copy_to(&lab.directory("frankfurt"));
    let id = &scenario.backups[0];
    let manifest = primary.barman.server_directory().join("base").join(id).join("data/backup_manifest");
    fs::remove_file(manifest).expect("remove the manifest, so that who copies the file sees nothing");
    let frankfurt = Sshd::start(&lab.join("s1"), &primary.barman);
    let lisbon = Hop::new(&lab, "lisbon", version, &behind(&frankfurt, "barman"));
    let sshd = lisbon.serve(&lab, "s2");
    let porto = Hop::new(&lab, "porto", version, &behind(&sshd, "antipode"));
    lisbon.converge();
    rot(&lisbon.barman.server_directory().join("base").join(id).join("data/pg_xact/0000"));
    assert_eq!(lisbon.antipode(&["verify", "--all"]).code(), 1);
    // Who looks at it says so.
    assert_eq!(lisbon.antipode(&["plan", "--detailed-exitcode"]).code(), 2);
    let planned = porto.antipode(&["plan"]).expect_success();
    let said =
        format!("backup {id} is wanted and not copied, as the primary, a site itself, says that it is damaged there");
    assert!(planned.split_whitespace().collect::<Vec<_>>().join(" ").contains(&said), "{planned}");
    assert!(!planned.contains(&format!("+ backup {id}")), "{planned}");
    assert!(planned.contains(&format!("+ backup {}", scenario.backups[1])), "{planned}");
    lisbon.antipode(&["apply", "--auto-approve"]).expect_success();
    lisbon.antipode(&["plan", "--detailed-exitcode"]).expect_success();
    let planned = porto.antipode(&["plan"]).expect_success();
    assert!(planned.contains(&format!("+ backup {id}")), "{planned}");
    porto.converge();
    assert_eq!(porto.antipode(&["verify", "--all"]).code(), 0);
}

#[test]
fn the_last_of_a_row_tells_how_far_it_is_behind_the_first_while_the_middle_stands_still() {
    let lab = Lab::new();
    let scenario = scenario::two_timelines();
    let version = scenario.primary.barman.version;
    let primary = scenario.primary.copy_to(&lab.directory("frankfurt"));
    let frankfurt = Sshd::start(&lab.join("s1"), &primary.barman);
    let lisbon = Hop::new(&lab, "lisbon", version, &behind(&frankfurt, "barman"));
    let sshd = lisbon.serve(&lab, "s2");
    let porto = Hop::new(&lab, "porto", version, &behind(&sshd, "antipode"));
    let onward = porto.serve(&lab, "s3");
    let faro = Hop::new(&lab, "faro", version, &behind(&onward, "antipode"));
    for hop in [&lisbon, &porto, &faro] {
        hop.converge();
        // What an apply brought is noted by the next look.
        hop.antipode(&["plan", "--detailed-exitcode"]).expect_success();
    }
    assert_eq!(origin(&lisbon).0, Value::Null, "its primary is the origin");
    for hop in [&porto, &faro] {
        let (origin, said) = origin(hop);
        assert_eq!((&origin["seen"]["seconds"], &origin["seen"]["segments"]), (&0.into(), &0.into()), "{said}");
        assert!(said.contains("primary above is a copy itself") && said.contains("all of it is here"), "{said}");
    }

    // Lisbon looks, and copies nothing: all below it are level with their primaries.
    let live = write_chapter(primary.start(), "while the middle stands still");
    drop(live);
    for hop in [&lisbon, &porto] {
        hop.antipode(&["plan"]);
    }
    for hop in [&porto, &faro] {
        hop.antipode(&["plan", "--detailed-exitcode"]).expect_success();
        let (origin, said) = origin(hop);
        let segments = origin["seen"]["segments"].as_u64();
        assert!(segments.is_some_and(|segments| segments > 0), "{origin}\n{said}");
        assert!(said.contains("more than can be recovered here"), "{said}");
    }
}

#[test]
fn what_is_new_at_the_origin_travels_over_two_sites_and_is_restored_at_the_last() {
    let lab = Lab::new();
    let scenario = scenario::two_timelines();
    let version = scenario.primary.barman.version;
    let primary = scenario.primary.copy_to(&lab.directory("frankfurt"));
    let frankfurt = Sshd::start(&lab.join("s1"), &primary.barman);
    let lisbon = Hop::new(&lab, "lisbon", version, &behind(&frankfurt, "barman"));
    let sshd = lisbon.serve(&lab, "s2");
    let porto = Hop::new(&lab, "porto", version, &behind(&sshd, "antipode"));

    // Lisbon has nothing yet, and no section in its barman.conf.
    let refused = porto.antipode(&["plan"]);
    assert!(refused.code() == 1 && refused.stdout.contains("its Barman has no server named main"), "{refused}");
    lisbon.converge();
    let section = fs::read_to_string(lisbon.directory.join("barman.d/main.conf")).expect("read the section");
    assert!(section.contains("active = false"), "{section}");
    porto.converge();
    assert_eq!(porto.barman.backup_ids(), scenario.backups);

    let live = write_chapter(primary.start(), "while in a row");
    let newest = live.back_up(&[]);
    let live = write_chapter(live, "after the new backup");
    for hop in [&lisbon, &porto] {
        hop.converge();
    }
    assert_eq!(porto.barman.backup_ids().last(), Some(&newest));
    let expected = [&scenario.chapters[..], &["while in a row", "after the new backup"]].concat();
    assert_restores(&lab, &porto, &expected);
    drop(live);

    // Barman itself, where it is asked instead, says nothing of a server that it is to leave alone: that is told.
    let barman = Sshd::start(&lab.join("s3"), &lisbon.barman);
    let faro = Hop::new(&lab, "faro", version, &behind(&barman, "barman"));
    let planned = faro.antipode(&["plan"]);
    assert_eq!(planned.code(), 1, "{planned}");
    for said in ["Skipping inactive server 'main'", "`barman: {command: antipode}`"] {
        assert!(planned.stdout.contains(said), "{planned}");
    }
}

#[test]
fn a_passive_node_of_barmans_own_is_the_primary_of_a_site() {
    let lab = Lab::new();
    let scenario = scenario::two_timelines();
    let (_frankfurt, lisbon) = passive_node(&lab, scenario);
    for command in ["barman", "antipode"] {
        let name = format!("by-{command}");
        let sshd = Sshd::start(&lab.join(&name), &lisbon.barman);
        if command == "antipode" {
            replace_barman(&lab.join(&name), &lisbon.barman, command);
        }
        let porto = Hop::new(&lab, &format!("porto-{command}"), lisbon.barman.version, &behind(&sshd, command));
        porto.converge();
        assert_eq!(porto.barman.backup_ids(), scenario.backups);
        let (origin, said) = origin(&porto);
        assert_eq!(origin, "untold", "{said}");
        assert!(said.contains("does not tell of the origin"), "{said}");
    }
}

#[test]
fn a_passive_node_of_barmans_own_copies_from_a_site_in_the_middle() {
    let lab = Lab::new();
    let scenario = scenario::two_timelines();
    let version = scenario.primary.barman.version;
    let frankfurt = Sshd::start(&lab.join("s1"), &scenario.primary.barman);
    let lisbon = Hop::new(&lab, "lisbon", version, &behind(&frankfurt, "barman"));
    lisbon.converge();
    let manners = Manners { has_shell: true, ..Manners::default() };
    let sshd = Sshd::start_with(&lab.join("s2"), &lisbon.barman, &manners);
    // Barman asks for `barman`, and finds Antipode under that name.
    replace_barman(&lab.join("s2"), &lisbon.barman, "barman");
    let mut porto = Site::new(&lab, version, &scenario.primary, &sshd);
    porto.barman.set("compression", "gzip");
    synchronise(&porto, &scenario.backups);
    assert_eq!(porto.barman.backup_ids(), scenario.backups);
}

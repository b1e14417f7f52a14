//! The main job: from an empty site to one that a real Barman lists, checks and restores from.

use crate::antipode::antipode;
use crate::barman::SERVER;
use crate::catalog_compare::{assert_same_told, differing_files};
use crate::ground::Lab;
use crate::restore::{Restore, Wals};
use crate::scenario::{self, Scenario, chapters};
use crate::site::Site;
use crate::sshd::Sshd;
use crate::tools::PostgresRelease;

/// A site file that copies everything from a primary behind our sshd.
pub fn site_file(site: &Site, sshd: &Sshd) -> String {
    format!(
        "version: 1
site: lisbon
catalog:
  path: {catalog}
  config: {config}
  barman: \"{version}\"
primaries:
  frankfurt:
    ssh_command: {ssh}
replicas:
  {SERVER}:
    primary: frankfurt
",
        catalog = site.catalog().display(),
        config = site.coexisting.config.display(),
        version = site.barman.version.number(),
        ssh = sshd.command_line(),
    )
}

/// Makes an empty site, and fills it: plan says that there are changes, apply makes them, plan says that there are none.
fn fill(lab: &Lab, scenario: &Scenario) -> (Sshd, Site) {
    let sshd = Sshd::start(&lab.join("sshd"), &scenario.primary.barman);
    let site = Site::new(lab, scenario.primary.barman.version, &scenario.primary, &sshd);
    site.declare(&site_file(&site, &sshd));
    let planned = antipode(&site.directory, &["plan", "--detailed-exitcode"]);
    println!("{planned}");
    assert_eq!(planned.code(), 2, "{planned}");
    let applied = antipode(&site.directory, &["apply", "--auto-approve"]);
    println!("{applied}");
    assert_eq!(applied.code(), 0, "{applied}");
    let again = antipode(&site.directory, &["plan", "--detailed-exitcode"]);
    println!("{again}");
    assert_eq!(again.code(), 0, "{again}");
    (sshd, site)
}

fn judge(scenario: &Scenario, site: &Site) {
    let none: [String; 0] = [];
    assert_eq!(differing_files(&scenario.primary.barman, &site.barman), none);
    assert_same_told(&scenario.primary.barman, &site.barman);
    site.coexisting.expect(&["list-backups", SERVER]);
    for id in &scenario.backups {
        site.coexisting.expect(&["show-backup", SERVER, id]);
    }
}

#[test]
fn an_empty_site_becomes_one_that_restores_both_timelines() {
    let lab = Lab::new();
    let scenario = scenario::two_timelines();
    let (_sshd, site) = fill(&lab, scenario);
    judge(scenario, &site);
    let to_the_end = Restore {
        barman: &site.coexisting,
        release: PostgresRelease::Packaged,
        backup: &scenario.backups[0],
        timeline: "latest",
        wals: Wals::Copied,
    };
    let postgres = to_the_end.start(&lab.join("latest"));
    assert_eq!(chapters(&postgres), scenario.chapters);
    drop(postgres);
    let old_timeline = Restore { timeline: "1", wals: Wals::Fetched, ..to_the_end };
    let postgres = old_timeline.start(&lab.join("old"));
    assert_eq!(chapters(&postgres), scenario.chapters_of_timeline_1);
}

/// Tablespaces of incremental backups need their links at the site, and absolute ones: `pg_combinebackup` refuses
/// the relative, and loses rows without.
#[test]
fn an_empty_site_becomes_one_that_restores_incrementals() {
    let lab = Lab::new();
    let scenario = scenario::incrementals();
    let (_sshd, site) = fill(&lab, scenario);
    judge(scenario, &site);
    let restore = Restore {
        barman: &site.coexisting,
        release: PostgresRelease::Seventeen,
        backup: &scenario.backups[2],
        timeline: "latest",
        wals: Wals::Copied,
    };
    let postgres = restore.start(&lab.join("restored"));
    assert_eq!(chapters(&postgres), scenario.chapters);
}

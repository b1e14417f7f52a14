//! What the primary does with its catalog while, or after, a site copies it: it deletes, archives, and is put back to
//! what it was, after which its names have other content.

use std::fs;
use std::path::PathBuf;

use crate::antipode::antipode;
use crate::barman::{Barman, SERVER};
use crate::converge::empty_site;
use crate::crashes::judge;
use crate::ground::Lab;
use crate::primary::Primary;
use crate::restore::Restore;
use crate::running::Link;
use crate::scenario::{self, chapters, write_chapter};
use crate::tools::BarmanVersion;

#[test]
fn a_backup_that_the_primary_deletes_while_it_is_copied_is_not_published_and_the_rest_is() {
    let lab = Lab::new();
    let scenario = scenario::two_timelines();
    let primary = scenario.primary.copy_to(&lab.join("primary"));
    let link = Link::new(&lab, &primary, &["bandwidth: 3MiB/s", "streams: 1"]);
    let mut live = primary.start();
    let mut apply = link.start_copying();
    let copied = copied(&link);
    live.barman.expect(&["keep", "--release", SERVER, scenario.kept_backup()]);
    live.barman.expect(&["delete", SERVER, &copied]);
    live.barman.set("compression", "bzip2");
    let live = write_chapter(live, "meanwhile");
    let new = live.back_up(&[]);
    link.limit(&[]);
    apply.signal(rustix::process::Signal::INT);
    apply.wait_for_end();
    judge(&link.site.coexisting);
    assert!(!link.site.coexisting.backup_ids().contains(&copied), "{}", apply.log());
    link.finish();
    judge(&link.site.coexisting);
    let expected: Vec<String> = scenario.backups.iter().filter(|id| **id != copied).cloned().chain([new]).collect();
    assert_eq!(link.site.coexisting.backup_ids(), expected);
    live.stop();
}

/// The backup of which something is in staging.
fn copied(link: &Link) -> String {
    let entries = fs::read_dir(link.site.server_staging()).expect("read staging");
    let name = entries.flatten().next().expect("a backup that is copied").file_name();
    name.to_string_lossy().into_owned()
}

/// Where a server keeps a WAL file that is no history file.
fn wal(barman: &Barman, name: &str) -> PathBuf {
    barman.server_directory().join("wals").join(&name[..16]).join(name)
}

/// The chapters that the newest backup of a site restores to.
fn restored(site: &crate::site::Site, backup: &str, directory: &std::path::Path) -> Vec<String> {
    chapters(&Restore::newest(site.judge(), backup).start(directory))
}

#[test]
fn a_primary_that_was_put_back_to_a_snapshot_replaces_nothing_and_what_it_makes_of_old_names_is_not_believed() {
    put_back_to_a_snapshot("gzip");
}

#[test]
fn wal_of_a_primary_that_was_put_back_is_told_by_its_time_where_it_has_the_same_size() {
    put_back_to_a_snapshot("");
}

fn put_back_to_a_snapshot(compression: &str) {
    let lab = Lab::new();
    let scenario = scenario::two_timelines();
    let mut primary = scenario.primary.copy_to(&lab.join("primary"));
    primary.barman.set("compression", compression);
    let snapshot = primary.copy_to(&lab.join("snapshot"));
    let (_sshd, site) = empty_site(&lab, &primary, BarmanVersion::Newest);
    let live = write_chapter(primary.start(), "before");
    let live = write_chapter(live, "lost by the snapshot");
    let before = live.barman.xlogdb_names();
    let primary = live.stop();
    site.converge();
    let newest = scenario.backups.last().expect("a backup").clone();
    let told = restored(&site, &newest, &lab.join("restored-before"));

    // The host of the primary is put back, and goes on from there: names come again, with other content.
    let put_back = put_back(&primary, &snapshot);
    let mut live = write_chapter(put_back.start(), "other");
    let mut backups = Vec::new();
    for chapter in ["other again", "and again"] {
        backups.push(live.back_up(&[]));
        live = write_chapter(live, chapter);
    }
    let primary = live.stop();
    let came_again: Vec<String> =
        primary.barman.xlogdb_names().into_iter().filter(|name| before.contains(name)).collect();
    let other = came_again.iter().filter(|name| !name.ends_with(".history"));
    let other: Vec<&String> = other
        .filter(|name| fs::read(wal(&primary.barman, name)).ok() != fs::read(wal(&site.barman, name)).ok())
        .collect();
    println!("come again with other content: {other:?}; backups {backups:?}");
    assert!(!other.is_empty(), "nothing came again: {came_again:?}");

    let kept: Vec<Vec<u8>> = other.iter().map(|name| fs::read(wal(&site.barman, name)).expect("it is here")).collect();
    let applied = antipode(&site.directory, &["apply", "--auto-approve"]);
    println!("{applied}");
    let planned = site.plan();
    println!("{planned}");
    judge(&site.coexisting);
    // What is here and whole is replaced by nothing.
    for (name, content) in other.iter().zip(&kept) {
        assert!(fs::read(wal(&site.barman, name)).expect("it is here") == *content, "{name} was replaced");
    }
    assert_eq!(restored(&site, &newest, &lab.join("restored-after")), told);
    // Who reads what the site says knows that something is wrong.
    assert!(planned.stdout.contains("held") || planned.stderr.contains("held") || planned.code() == 1, "{planned}");
    // A backup is listed as good only if the WAL that it needs is its own.
    for id in site.coexisting.backup_ids().iter().filter(|id| backups.contains(id)) {
        let [begin, end] = ["begin_wal", "end_wal"].map(|field| site.coexisting.backup_field(id, field));
        let needed = primary.barman.xlogdb_names().into_iter().filter(|name| *name >= begin && *name <= end);
        for name in needed {
            let [here, there] = [&site.barman, &primary.barman].map(|barman| fs::read(wal(barman, &name)).ok());
            assert!(here == there, "{id} is DONE here, and its {name} is another's");
        }
    }
}

/// Puts the primary's cluster and catalog back to what they were; what is at the site is what it is.
fn put_back(primary: &Primary, snapshot: &Primary) -> Primary {
    let directory = primary.barman.home.parent().expect("its directory").to_owned();
    fs::remove_dir_all(&directory).expect("remove the primary");
    snapshot.copy_to(&directory)
}

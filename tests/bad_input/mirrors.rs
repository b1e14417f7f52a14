//! Mirrors: every other server of a primary.

use std::fs;

use crate::bench::{Bench, snapshot};
use crate::demo;

/// Adds a server with one backup to the primary, which says so.
fn add_server(bench: &Bench, name: &str) {
    demo::write_first_day(&bench.path("primary"), name);
    bench.says(name, &bench.sync_info(name));
}

fn is_here(bench: &Bench, server: &str) -> bool {
    bench.path(&format!("catalog/{server}/meta/20261121T030000-backup.info")).exists()
}

#[test]
fn a_mirror_has_every_server_but_the_excepted_and_tells_the_inactive() {
    let bench = Bench::start();
    add_server(&bench, "archive");
    add_server(&bench, "scratch-1");
    bench.prints("sleepy", "Skipping inactive server 'sleepy'\n");
    bench.lists("archive\nmain\nscratch-1\nsleepy\n");
    let mirrors = "mirrors: [{primary: frankfurt, except: ['scratch-*']}]\n";
    bench.declare(
        &bench.site_with(&bench.ssh_command(), &format!("replicas: {{main: {{primary: frankfurt}}}}\n{mirrors}")),
    );
    let planned = bench.antipode(&["plan", "--detailed-exitcode"]);
    planned.expect(2).says(&[
        "3 replicas",
        "archive (frankfurt)",
        "main (frankfurt)",
        "sleepy (frankfurt)",
        "inactive at the primary",
        "leave it out of the mirror with `except`",
    ]);
    planned.never_says("scratch");
    bench.antipode(&["apply", "--auto-approve"]).expect(0);
    assert!(is_here(&bench, "archive") && is_here(&bench, "main"));
    assert!(!bench.path("catalog/sleepy").exists() && !bench.path("catalog/scratch-1").exists());
    bench.antipode(&["plan", "--detailed-exitcode"]).expect(0);

    add_server(&bench, "newcomer");
    bench.lists("archive\nmain\nnewcomer\nscratch-1\nsleepy\n");
    bench.antipode(&["plan", "--detailed-exitcode"]).expect(2).says(&["newcomer (frankfurt)"]);
    bench.antipode(&["apply", "--auto-approve"]).expect(0);
    assert!(is_here(&bench, "newcomer"));

    // What is no longer at the primary stays.
    bench.lists("main\n");
    bench.antipode(&["plan", "--detailed-exitcode"]).expect(0);
    assert!(is_here(&bench, "newcomer"));
}

#[test]
fn two_servers_of_one_name_are_an_error_that_proposes_another_and_stops_nothing_else() {
    let bench = Bench::start();
    for (home, server) in [("nyc", "main"), ("nyc", "billing")] {
        demo::write_first_day(&bench.path(home), server);
    }
    bench.lists("main\n");
    let nyc = format!("  nyc: {{path: '{}'}}\n", bench.path("nyc").display());
    let mirrors = "mirrors: [{primary: frankfurt}, {primary: nyc}]\n";
    bench.declare(&bench.site_with(&bench.ssh_command(), &format!("{nyc}{mirrors}")));
    bench.refuses_to_plan(&[
        "the server `main` of `frankfurt` and of `nyc`",
        "main-nyc:",
        "server: main",
        "billing (nyc)",
    ]);
    bench.antipode(&["apply", "--auto-approve"]).expect(1);
    assert!(is_here(&bench, "billing") && !bench.path("catalog/main").exists());

    let replicas = "replicas: {main-nyc: {primary: nyc, server: main}}\n";
    bench.declare(&bench.site_with(&bench.ssh_command(), &format!("{nyc}{replicas}{mirrors}")));
    bench.antipode(&["apply", "--auto-approve"]).expect(0);
    assert!(is_here(&bench, "main-nyc") && is_here(&bench, "main"));
    assert!(bench.path("catalog/main-nyc/wals/main-nyc-xlog.db").exists());
    bench.antipode(&["plan", "--detailed-exitcode"]).expect(0).says(&["main-nyc (nyc: main)"]);
}

#[test]
fn a_mirror_does_not_touch_a_server_that_the_site_runs_itself() {
    let bench = Bench::start();
    add_server(&bench, "archive");
    bench.lists("archive\nmain\n");
    let conf = format!("[barman]\nbarman_home = {}\n\n[main]\nconninfo = host=pg\n", bench.catalog().display());
    fs::write(bench.path("barman.conf"), conf).unwrap();
    fs::create_dir_all(bench.path("catalog/main/base/20261120T000000")).unwrap();
    let before = snapshot(&bench.path("catalog/main"));
    let site = |mirror: &str| {
        let yaml = bench.site_with(&bench.ssh_command(), mirror);
        let config = format!("barman: '3.19.1', config: '{}'}}", bench.path("barman.conf").display());
        bench.declare(&yaml.replace("barman: '3.19.1'}", &config));
    };
    site("mirrors: [{primary: frankfurt}]\n");
    bench.refuses_to_plan(&[
        "main (frankfurt)",
        "takes backups of a server with this name",
        "`except`",
        "archive (frankfurt)",
    ]);
    bench.antipode(&["apply", "--auto-approve"]).expect(1);
    assert!(is_here(&bench, "archive"));
    assert_eq!(snapshot(&bench.path("catalog/main")), before);
    site("mirrors: [{primary: frankfurt, except: [main]}]\n");
    bench.antipode(&["plan", "--detailed-exitcode"]).expect(0);
    assert_eq!(snapshot(&bench.path("catalog/main")), before);
}

#[test]
fn a_mirror_of_an_unreachable_primary_is_an_error_and_the_replicas_go_on() {
    let bench = Bench::start();
    let gone = format!("  nyc: {{path: '{}'}}\n", bench.path("nowhere").display());
    let rest = "replicas: {main: {primary: frankfurt}}\nmirrors: [{primary: nyc}]\n";
    bench.declare(&bench.site_with(&bench.ssh_command(), &format!("{gone}{rest}")));
    bench.refuses_to_plan(&["the mirror of nyc is not planned", "nowhere", "main (frankfurt)"]);
    bench.antipode(&["apply", "--auto-approve"]).expect(1);
    assert!(is_here(&bench, "main"));
}

#[test]
fn a_server_that_left_its_primary_stays_in_sight_until_it_is_retired() {
    let bench = Bench::start();
    add_server(&bench, "archive");
    bench.lists("archive\nmain\n");
    let site = |rest: &str| bench.declare(&bench.site_with(&bench.ssh_command(), rest));
    let mirror = "mirrors: [{primary: frankfurt, objective: {rpo: 500000h}}]\n";
    site(mirror);
    bench.antipode(&["apply", "--auto-approve"]).expect(0);
    bench.antipode(&["status"]).expect(0).never_says("vanished");

    bench.lists("main\n");
    let gone = ["archive: primary frankfurt lists this server no longer", "1 backup", "`retired`", "catalog/archive"];
    for command in [&["plan"][..], &["plan", "--format", "markdown"], &["apply", "--auto-approve"], &["-q", "plan"]] {
        bench.antipode(command).expect(0).says(&gone);
    }
    bench.antipode(&["plan", "--format", "json"]).expect(0).says(&["\"cause\": \"gone-at-primary\"", "\"backups\": 1"]);
    bench.antipode(&["status"]).expect(2).says(&gone).says(&["objective.rpo", "1 vanished"]);
    bench
        .antipode(&["status", "--format", "json"])
        .expect(2)
        .says(&["\"name\": \"archive\"", "\"objectives_kept\": false"]);
    bench.antipode(&["plan", "-o", "plan.json"]).expect(0);
    bench.antipode(&["show", "plan.json"]).expect(0).says(&gone);

    site(&format!("{mirror}retired: [archive]\n"));
    let counted = ["Detached: 1 server, of which 1 backup stays: archive."];
    bench.antipode(&["plan"]).expect(0).says(&counted).never_says("catalog/archive");
    bench.antipode(&["status"]).expect(0).says(&["1 detached"]).never_says("archive");
    assert!(is_here(&bench, "archive"));
    bench.lists("archive\nmain\n");
    bench.antipode(&["plan"]).expect(0).says(&["archive (frankfurt)"]);
}

#[test]
fn a_replica_that_the_site_file_names_no_longer_stays_in_sight_until_its_directory_goes() {
    let bench = Bench::start();
    let site = |rest: &str| bench.declare(&bench.site_with(&bench.ssh_command(), rest));
    site("replicas: {main: {primary: frankfurt}}\n");
    bench.antipode(&["apply", "--auto-approve"]).expect(0);
    add_server(&bench, "archive");
    site("replicas: {archive: {primary: frankfurt}}\n");
    let gone = ["main: the site file does not ask for this copy of a server of frankfurt", "2 backups", "`retired`"];
    bench.antipode(&["apply", "--auto-approve"]).expect(0).says(&gone);
    bench.antipode(&["plan"]).expect(0).says(&gone);
    bench.antipode(&["status"]).expect(0).says(&gone);
    fs::remove_dir_all(bench.path("catalog/main")).unwrap();
    bench.antipode(&["plan"]).expect(0).never_says("main");
    bench.antipode(&["status"]).expect(0).never_says("vanished");
}

#[test]
fn what_vanished_is_detached_at_the_site_and_comes_back_when_it_is_asked_for() {
    let bench = Bench::start();
    add_server(&bench, "archive");
    bench.lists("archive\nmain\n");
    let site = |rest: &str| bench.declare(&bench.site_with(&bench.ssh_command(), rest));
    site("mirrors: [{primary: frankfurt, objective: {rpo: 500000h}}]\n");
    bench.antipode(&["apply", "--auto-approve"]).expect(0);
    let copied = ["archive is copied here, as the site file asks; nothing was changed", "`except`"];
    bench.antipode(&["detach", "archive"]).expect(1).says(&copied);
    bench.antipode(&["detach", "nosuch"]).expect(1).says(&["there is no copy of nosuch here that nobody asks for"]);

    bench.lists("main\n");
    bench.antipode(&["status"]).expect(2).says(&["antipode detach archive"]);
    bench.antipode(&["detach", "archive", "nosuch"]).expect(1).says(&["nosuch", "archive"]);
    bench.antipode(&["status"]).expect(2);
    let before = snapshot(&bench.path("catalog/archive/base"));
    let done = ["archive is detached; 1 backup", "stays in ", "catalog/archive."];
    bench.antipode(&["detach", "archive", "--why", "sold"]).expect(0).says(&done);
    bench.antipode(&["forget", "archive"]).expect(0).says(&["archive was detached already."]);
    assert_eq!(snapshot(&bench.path("catalog/archive/base")), before);
    let counted = ["Detached: 1 server, of which 1 backup stays: archive."];
    for command in [&["plan"][..], &["plan", "-o", "plan.json"], &["show", "plan.json"], &["apply", "--auto-approve"]] {
        bench.antipode(command).expect(0).says(&counted).never_says("lists this server no longer");
    }
    bench.antipode(&["status"]).expect(0).says(&["1 detached"]).never_says("vanished");
    bench.antipode(&["status", "--format", "json"]).expect(0).says(&["\"why\": \"sold\"", "\"objectives_kept\": true"]);

    // It is asked for again, and leaves again: that is news.
    bench.lists("archive\nmain\n");
    bench.antipode(&["apply", "--auto-approve"]).expect(0).never_says("Detached");
    bench.lists("main\n");
    bench.antipode(&["status"]).expect(2).says(&["1 vanished"]).never_says("detached:");
}

#[test]
fn nothing_is_detached_while_a_mirrored_primary_is_silent() {
    let bench = Bench::start();
    bench.declare(&bench.site_with(&bench.ssh_command(), "replicas: {main: {primary: frankfurt}}\n"));
    bench.antipode(&["apply", "--auto-approve"]).expect(0);
    let rest = format!("  nyc: {{path: '{}'}}\nmirrors: [{{primary: nyc}}]\n", bench.path("nowhere").display());
    bench.declare(&bench.site_with(&bench.ssh_command(), &rest));
    // Nothing tells whose it is.
    fs::remove_file(bench.path("catalog/main/.antipode/last-apply.json")).unwrap();
    let silent = ["nobody knows whether main is copied here; nothing was changed", "nowhere"];
    bench.antipode(&["detach", "main"]).expect(1).says(&silent);
}

#[test]
fn what_the_sites_own_barman_works_on_has_not_vanished() {
    let bench = Bench::start();
    bench.declare(&bench.site_with(&bench.ssh_command(), "replicas: {main: {primary: frankfurt}}\n"));
    bench.antipode(&["apply", "--auto-approve"]).expect(0);
    add_server(&bench, "archive");
    let conf = |rest: &str| {
        let text = format!("[barman]\nbarman_home = {}\n\n{rest}", bench.catalog().display());
        fs::write(bench.path("barman.conf"), text).unwrap();
    };
    let yaml = bench.site_with(&bench.ssh_command(), "replicas: {archive: {primary: frankfurt}}\n");
    let config = format!("barman: '3.19.1', config: '{}'}}", bench.path("barman.conf").display());
    bench.declare(&yaml.replace("barman: '3.19.1'}", &config));
    let passive = "[main]\nprimary_ssh_command = ssh barman@fra\n";
    for (section, is_named) in [(passive, false), ("[main]\nconninfo = host=pg\n", false), ("", true)] {
        conf(section);
        let planned = bench.antipode(&["plan"]);
        if is_named {
            planned.says(&["main: the site file"]);
        } else {
            planned.never_says("main: the site file");
        }
    }
    // The backups tell whose copy it is where our own directory is lost.
    fs::remove_dir_all(bench.path("catalog/main/.antipode")).unwrap();
    bench.antipode(&["plan"]).says(&["main: the site file does not ask for this copy"]);
    conf(&format!("{passive}active = false\n"));
    bench.antipode(&["plan"]).says(&["main: the site file does not ask for this copy"]);
    conf(passive);
    bench.antipode(&["plan"]).never_says("main: the site file");
}

#[test]
fn a_directory_that_is_nobodys_stays_in_sight_until_somebody_settles_it() {
    let bench = Bench::start();
    let yaml = bench.site_with(&bench.ssh_command(), "replicas: {main: {primary: frankfurt}}\n");
    bench.declare(&yaml);
    bench.antipode(&["apply", "--auto-approve"]).expect(0);
    fs::create_dir_all(bench.path("catalog/stray/base")).unwrap();
    // Without a barman.conf nobody knows what the site's own Barman works on.
    bench.antipode(&["plan"]).expect(0).never_says("stray");
    let main = "[main]\nprimary_ssh_command = ssh x\nactive = false\n";
    let conf = format!("[barman]\nbarman_home = {}\n{main}", bench.catalog().display());
    fs::write(bench.path("barman.conf"), conf).unwrap();
    let config = format!("barman: '3.19.1', config: '{}'}}", bench.path("barman.conf").display());
    bench.declare(&yaml.replace("barman: '3.19.1'}", &config));
    let named = ["stray: neither the site file nor barman.conf names this server; no backup stays in "];
    bench.antipode(&["plan"]).expect(0).says(&named);
    bench.antipode(&["status"]).expect(0).says(&named).says(&["1 vanished"]);
    bench.antipode(&["detach", "stray"]).expect(0);
    bench.antipode(&["plan"]).expect(0).says(&["Detached: 1 server, of which 0 backups stay: stray."]);
}

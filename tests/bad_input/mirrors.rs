//! Mirrors: every other server of a primary.

use std::fs;

use antipode::demo::catalog::PrimaryCatalog;

use crate::bench::{Bench, snapshot};

/// Adds a server with one backup to the primary, which says so.
fn add_server(bench: &Bench, name: &str) {
    PrimaryCatalog::create(&bench.path("primary"), name).unwrap().first_day().unwrap();
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
        PrimaryCatalog::create(&bench.path(home), server).unwrap().first_day().unwrap();
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

//! `status` where something is wrong: it says what it can, and its exit code tells what sort of wrong.

use std::fs;
use std::os::unix::fs::symlink;

use crate::bench::{Bench, closed_port, snapshot};
use crate::demo;

/// A site whose primary no longer answers, with these replicas and mirrors.
fn cut_off(bench: &Bench, rest: &str) {
    let closed = bench.ssh_command_with("client_key", "known_hosts", closed_port());
    bench.declare(&bench.site_with(&closed, rest));
}

#[test]
fn a_mirror_of_a_silent_primary_is_told_by_what_is_here() {
    let bench = Bench::start();
    demo::write_first_day(&bench.path("primary"), "archive");
    bench.says("archive", &bench.sync_info("archive"));
    bench.lists("archive\nmain\n");
    let mirrors = "mirrors: [{primary: frankfurt}]\n";
    bench.declare(&bench.site_with(&bench.ssh_command(), mirrors));
    bench.antipode(&["status"]).expect(2).says(&["2 not recoverable"]);
    bench.antipode(&["apply", "--auto-approve"]).expect(0);
    bench.antipode(&["status"]).expect(0).says(&["archive in sync", "main in sync"]);
    // A server that Antipode did not bring is none of the mirror's.
    fs::create_dir_all(bench.path("catalog/own/base")).unwrap();

    cut_off(&bench, mirrors);
    let before = snapshot(&bench.catalog());
    let told = bench.antipode(&["status"]);
    told.expect(0).says(&["archive primary unreachable", "main primary unreachable", "it refuses connections"]);
    told.never_says("own");
    assert_eq!(snapshot(&bench.catalog()), before);

    cut_off(&bench, "mirrors: [{primary: frankfurt, except: ['*'], objective: {rpo: 1s}}]\n");
    bench.antipode(&["status"]).expect(0).never_says("primary unreachable");
    cut_off(&bench, "mirrors: [{primary: frankfurt, objective: {rpo: 1s}}]\n");
    bench.antipode(&["status"]).expect(2).says(&["2 objective missed"]);
}

/// Plans until everything here is remembered: what changed a moment ago is not.
fn until_remembered(bench: &Bench) {
    while !bench.antipode(&["status", "--depth", "changed"]).output.contains("2 backups are told") {
        bench.antipode(&["plan"]).expect(0);
    }
}

#[test]
fn a_plan_may_rest_on_earlier_looks_and_says_so() {
    let bench = Bench::in_sync();
    until_remembered(&bench);
    let site = bench.usual_site();
    bench.declare(&site.replace(", deep_every: always", ""));
    let wal = bench.catalog().join("main/wals/0000000100000000/000000010000000000000004");
    let says = "a file that was changed in place since is not seen: `--refresh`";
    bench.antipode(&["plan"]).expect(0).says(&["in sync", says]);

    fs::write(&wal, "cut off").unwrap();
    bench.antipode(&["plan"]).expect(0).says(&["in sync", says]);
    bench.antipode(&["plan", "--refresh"]).expect(0).says(&["1 to repair"]).never_says(says);
    bench.antipode(&["plan"]).expect(0).says(&["1 to repair"]);
}

#[test]
fn what_a_status_finds_changed_in_place_is_planned_from_then_on() {
    let bench = Bench::in_sync();
    until_remembered(&bench);
    bench.declare(&bench.usual_site().replace(", deep_every: always", ""));
    let main = bench.catalog().join("main");
    fs::write(main.join("wals/0000000100000000/000000010000000000000004"), "cut off").unwrap();
    fs::write(main.join("base/20261121T030000/data/global/pg_control"), "").unwrap();
    bench.antipode(&["plan"]).expect(0).says(&["in sync"]);
    bench.antipode(&["status"]).says(&["main behind"]);
    bench.antipode(&["plan"]).expect(0).says(&["2 to repair"]);
}

#[test]
fn a_status_may_rest_on_earlier_looks_and_says_so() {
    let bench = Bench::in_sync();
    let base = bench.catalog().join("main/base/20261121T030000/data");
    until_remembered(&bench);
    let at = |depth: &str| bench.antipode(&["status", "--depth", depth]);
    let all =
        ["main in sync", "2 backups are told as an earlier run found them, up to", "`--depth everything` looks at"];
    at("lists").expect(0).says(&all);
    at("changed").expect(0).says(&all);
    at("everything").expect(0).never_says("an earlier run");
    let json = bench.antipode(&["status", "--depth", "changed", "--format", "json"]);
    json.expect(0).says(&["\"looked_at_earlier\": 2", "\"oldest_look\": \"20"]);

    // In place, which no directory shows.
    fs::write(base.join("global/pg_control"), "").unwrap();
    at("changed").expect(0).says(&all);
    fs::remove_file(base.join("PG_VERSION")).unwrap();
    at("lists").expect(0).says(&all);
    at("changed").expect(0).says(&["main behind", "1 backup is told as an earlier run found it"]);
    at("everything").expect(0).says(&["main behind"]).never_says("an earlier run");
}

#[test]
fn of_a_mirror_that_nothing_is_here_of_nothing_can_be_said() {
    let bench = Bench::start();
    cut_off(&bench, "mirrors: [{primary: frankfurt}]\n");
    bench.antipode(&["status"]).expect(1).says(&["the mirror of frankfurt", "it refuses connections"]);
    let json = bench.antipode(&["status", "--format", "json"]);
    json.expect(1).says(&["\"errors\": [ {", "the mirror of frankfurt"]);
}

#[test]
fn an_inactive_server_is_judged_by_its_age() {
    let bench = Bench::in_sync();
    bench.prints("main", "Skipping inactive server 'main'\n");
    bench.antipode(&["status", "-v"]).expect(0).says(&["main inactive", "Skipping inactive server 'main'"]);
    let rpo = "replicas: {main: {primary: frankfurt, objective: {rpo: 1s}}}\n";
    bench.declare(&bench.site_with(&bench.ssh_command(), rpo));
    bench.antipode(&["status"]).expect(2).says(&["main objective missed"]);
}

#[test]
fn errors_are_told_apart_from_missed_objectives() {
    let bench = Bench::in_sync();
    fs::remove_dir_all(bench.path("catalog/main")).unwrap();
    symlink("main", bench.path("catalog/main")).unwrap();
    bench.antipode(&["status"]).expect(1).says(&["main unreadable", "cannot be read"]);
    let planned = bench.antipode(&["plan"]);
    planned.expect(1).says(&["could not be looked at"]).never_says("not recoverable here");
    fs::remove_file(bench.path("antipode.yaml")).unwrap();
    bench.antipode(&["status"]).expect(1).says(&["there is no antipode.yaml"]);
}

#[test]
fn quiet_says_nothing_when_all_is_well() {
    let bench = Bench::in_sync();
    let quiet = bench.antipode(&["status", "-q"]);
    quiet.expect(0);
    assert_eq!(quiet.output, "--- stderr\n");
    bench.antipode(&["status"]).expect(0).says(&["main in sync", "Status: 1 in sync."]);
}

#[test]
fn a_status_tells_of_those_replicas_that_are_named_and_calls_no_other_primary() {
    let bench = Bench::in_sync();
    let of_main = "replicas: {main: {primary: frankfurt}}";
    let of_both = "  lost: {path: /nonexistent/barman}\nreplicas: {main: {primary: frankfurt}, other: {primary: lost}}";
    bench.declare(&bench.usual_site().replace(of_main, of_both));
    bench.antipode(&["status"]).expect(2).says(&["2 replicas", "other"]);
    bench.antipode(&["status", "main"]).expect(0).says(&["1 replica ", "main in sync"]).never_says("other");
    bench.antipode(&["status", "main", "other"]).expect(2).says(&["2 replicas"]);
    bench.antipode(&["status", "mian"]).expect(1).says(&["Unknown server 'mian'", "did you mean main?"]);
}

#[test]
fn an_apply_that_names_nothing_says_so_before_it_asks_for_approval() {
    let bench = Bench::in_sync();
    let apply = bench.antipode(&["apply", "--target", "mian"]);
    apply.expect(1).says(&["mian", "main"]).never_says("nobody is there");
    bench.antipode(&["apply"]).expect(1).says(&["nobody is there to approve"]);
}

//! Primaries that cannot be reached, or must not be trusted, or do not answer.

use std::fs;
use std::net::TcpListener;
use std::time::Duration;

use crate::bench::{Bench, closed_port};

#[test]
fn a_closed_port_is_named_and_the_catalog_left_alone() {
    let bench = Bench::in_sync();
    let closed = bench.ssh_command_with("client_key", "known_hosts", closed_port());
    bench.declare(&bench.site_with(&closed, "replicas: {main: {primary: frankfurt}}\n"));
    bench.refuses_to_plan(&["main", "frankfurt", "it refuses connections", "check that sshd runs there"]);
    let of_server = || bench.kept().into_iter().filter(|(path, _)| path.starts_with("main")).collect::<Vec<_>>();
    let before = of_server();
    bench.antipode(&["apply", "--auto-approve"]).expect(1).says(&["main", "frankfurt"]);
    assert_eq!(of_server(), before);
}

#[test]
fn of_two_primaries_the_one_that_answers_is_planned_and_applied() {
    let bench = Bench::start();
    let closed = bench.ssh_command_with("client_key", "known_hosts", closed_port());
    bench.declare(&bench.site_with(
        &bench.ssh_command(),
        &format!(
            "  tokyo: {{ssh_command: {closed}}}\n\
             replicas:\n  main: {{primary: frankfurt}}\n  far: {{primary: tokyo}}\n"
        ),
    ));
    bench.refuses_to_plan(&["tokyo", "it refuses connections", "backup 20261122T030000"]);
    bench.antipode(&["apply", "--auto-approve"]).expect(1).says(&["far (tokyo)"]);
    assert!(bench.path("catalog/main/meta/20261122T030000-backup.info").exists());
    bench.antipode(&["plan"]).expect(1).says(&["main (frankfurt) in sync"]);
    assert!(!bench.path("catalog/far").exists());
}

#[test]
fn a_wrong_key_is_refused_with_a_command_to_try() {
    let bench = Bench::start();
    let wrong = bench.ssh_command_with("other_key", "known_hosts", bench.sshd().port());
    bench.declare(&bench.site_with(&wrong, "replicas: {main: {primary: frankfurt}}\n"));
    bench.refuses_to_plan(&["frankfurt", "it refuses our key or user", "run it by hand: ssh -F /dev/null"]);
}

#[test]
fn host_keys_are_never_learned_by_themselves() {
    let bench = Bench::start();
    bench.sshd().write_changed_known_hosts();
    fs::write(bench.path("known_hosts.empty"), "").unwrap();
    let looked = format!("ssh looked in {}", bench.path("known_hosts.empty").display());
    for (file, said) in [
        ("known_hosts.changed", &["its host key is not the one that ssh knows"][..]),
        ("known_hosts.empty", &["ssh does not know its host key", "It runs as ", &looked]),
    ] {
        let known = fs::read(bench.path(file)).unwrap();
        let command = bench.ssh_command_with("client_key", file, bench.sshd().port());
        bench.declare(&bench.site_with(&command, "replicas: {main: {primary: frankfurt}}\n"));
        bench.refuses_to_plan(&[&["frankfurt", "administrator"], said].concat());
        bench.antipode(&["apply", "--auto-approve"]).expect(1);
        assert_eq!(fs::read(bench.path(file)).unwrap(), known);
    }
    assert!(!bench.path(".ssh").exists());
    assert!(!bench.path("catalog/main").exists());
}

#[test]
fn a_server_that_the_primary_does_not_have_is_named() {
    let bench = Bench::start();
    bench.declare(&bench.site_with(&bench.ssh_command(), "replicas: {nosuch: {primary: frankfurt}}\n"));
    bench.refuses_to_plan(&["frankfurt", "its Barman has no server named nosuch", "set `server:`"]);
}

#[test]
fn an_inactive_server_that_the_site_file_names_is_an_error_that_changes_nothing() {
    let bench = Bench::in_sync();
    bench.prints("main", "Skipping inactive server 'main'\n");
    let before = bench.kept();
    let planned = bench.antipode(&["plan", "--detailed-exitcode"]);
    planned.expect(1).says(&[
        "main (frankfurt)",
        "Skipping inactive server 'main'",
        "`active = true`",
        "`barman: {command: antipode}`",
        "recoverable here to 2026-11-22",
    ]);
    bench.antipode(&["apply", "--auto-approve"]).expect(1);
    bench.antipode(&["sync-wals", "main"]).expect(1).says(&["Skipping inactive server 'main'"]);
    assert_eq!(bench.kept(), before);
}

#[test]
fn timeouts_end_the_wait_for_a_slow_primary() {
    let bench = Bench::start();
    let replicas = "replicas: {main: {primary: frankfurt}}\n";
    let timeouts = "    timeouts: {connect: 2s, sync_info: 1s, idle: 2s}\n";
    bench.declare(&bench.site_with(&bench.ssh_command(), &format!("{timeouts}{replicas}")));
    bench.runs("main", "sleep 20; cat main");
    let planned = bench.refuses_to_plan(&["main", "frankfurt", "took longer than 1 s", "`timeouts.sync_info`"]);
    assert!(planned.took < Duration::from_secs(12), "{planned}");

    let timeouts = "    timeouts: {connect: 2s, sync_info: 10s, idle: 2s}\n";
    bench.declare(&bench.site_with(&bench.ssh_command(), &format!("{timeouts}{replicas}")));
    bench.runs("main", "cat main");
    // Long enough that only the timeout can have ended it, after the questions that are asked again.
    bench.program("rsync", "exec sleep 120");
    let planned = bench.refuses_to_plan(&["main", "frankfurt", "silent", "`timeouts.idle`"]);
    assert!(planned.took < Duration::from_secs(120), "{planned}");
}

#[test]
fn a_primary_that_accepts_and_says_nothing_is_given_up() {
    let bench = Bench::start();
    let mute = TcpListener::bind("127.0.0.1:0").unwrap();
    let command = bench.ssh_command_with("client_key", "known_hosts", mute.local_addr().unwrap().port());
    let more = "    timeouts: {connect: 1s, sync_info: 10s, idle: 2s}\nreplicas: {main: {primary: frankfurt}}\n";
    bench.declare(&bench.site_with(&command, more));
    let planned = bench.refuses_to_plan(&["main", "frankfurt", "hint:"]);
    assert!(planned.took < Duration::from_secs(10), "{planned}");
}

//! Listings and copies that rsync does not bring, commands that Barman does not answer, and catalogs on this machine that
//! cannot be read.

use std::fs;
use std::os::unix::fs::symlink;

use serde_json::Value;

use super::{Told, table};
use crate::bench::{Bench, run, which, write_script};

/// What the rsync of this machine does.
const RSYNC: &[&str] = &[
    "echo 'rsync: --new-thing: unknown option' >&2; exit 1",
    "echo 'protocol version mismatch -- is your shell clean?' >&2; exit 2",
    "echo 'rsync: [sender] change_dir \"/srv/wals\" failed: Permission denied (13)' >&2; exit 23",
    "echo 'rsync: [sender] link_stat \"/srv/elsewhere\" failed: No such file or directory (2)' >&2; exit 23",
    "echo 'file has vanished: \"/srv/elsewhere\"' >&2; exit 24",
    "echo 'rsync: [sender] change_dir \"/srv/wals\" failed: Too many levels of symbolic links (40)' >&2; exit 12",
    "echo 'rsync: [receiver] mkstemp \"/b/x\" failed: Permission denied (13)' >&2; exit 23",
    "echo 'rsync: [receiver] mkstemp \"/b/x\" failed: No such file or directory (2)' >&2; exit 23",
    "echo 'rsync: [receiver] write failed on \"/b/x\": No space left on device (28)' >&2; exit 11",
    "echo 'rsync: [receiver] write failed on \"/b/x\": Disk quota exceeded (122)' >&2; exit 11",
    "echo 'rsync: [receiver] mkstemp \"/b/x\" failed: Read-only file system (30)' >&2; exit 11",
    "echo 'ERROR: x failed verification -- update discarded.' >&2; exit 23",
    "exit 23",
    "exit 127",
    "exit 13",
    "echo 'rsync: connection unexpectedly closed (0 bytes received so far) [Receiver]' >&2; exit 12",
    "exit 30",
    "exit 20",
    "exit 14",
    "exit 22",
    "exit 124",
    "kill -9 $$",
    "echo 'this is no listing'",
    "echo '-rw-r--r--  x 2026/11/22-03:00:00 main'",
    "echo '-rw-r--r--  5 2026/11/22-03:00:00 ../x'",
    "head -c 100000 /dev/zero | tr '\\0' x; echo",
];

/// What the version of that rsync is.
const VERSIONS: &[&str] =
    &["echo 'rsync  version 3.1.3  protocol version 31'", "echo 'openrsync: protocol version 29'"];

/// What the primary's Barman does.
const BARMAN: &[&str] = &[
    "echo 'ERROR: something' >&2; exit 3",
    "echo 'antipode gate: the server main is refused: this key serves billing' >&2; exit 1",
    "kill -9 $$",
    "exit 255",
    "sleep 60",
];

/// Where the primary has its WAL, as its Barman says.
const DIRECTORIES: &[&str] = &["wals", "/srv/../wals", "/srv/\u{202e}slaw"];

fn declared(bench: &Bench) {
    let timeouts = "    timeouts: {connect: 5s, sync_info: 3s, idle: 1s}\n";
    bench.declare(
        &bench.site_with(&bench.ssh_command(), &format!("{timeouts}replicas: {{main: {{primary: frankfurt}}}}\n")),
    );
}

/// A plan with programs of our own on this machine.
fn plan(bench: &Bench, cause: &str) -> Told {
    let finished = run(bench.command(&["plan", "-q"]).env("PATH", bench.path("here")).env("COLUMNS", "200"));
    let mut told = Told::new(cause, &finished, bench.catalog().parent().expect("of everything"));
    // What a shell at the primary adds depends on the machine, and so does the room on its disk.
    for said in [": /usr/bin/env: ", ": bash: ", ": sh: ", " MiB; "] {
        told.forget(said);
    }
    told
}

fn with_programs_here() -> Bench {
    let bench = Bench::start();
    fs::create_dir(bench.path("here")).unwrap();
    for name in ["ssh", "sh", "head", "tr"] {
        symlink(which(name), bench.path("here").join(name)).unwrap();
    }
    declared(&bench);
    bench
}

#[test]
fn each_copy_that_fails_is_told() {
    let bench = with_programs_here();
    let mut told = vec![plan(&bench, "there is no rsync here")];
    for version in VERSIONS {
        write_script(&bench.path("here/rsync"), version);
        told.push(plan(&bench, version));
    }
    for script in RSYNC {
        let script = format!(
            "if [ \"$1\" = --version ]; then echo 'rsync  version 3.4.1  protocol version 32'; exit; fi\n{script}"
        );
        write_script(&bench.path("here/rsync"), &script);
        told.push(plan(&bench, script.lines().last().unwrap()));
    }
    insta::assert_snapshot!("copies", table(&told));
}

#[test]
fn each_question_that_barman_does_not_answer_is_told() {
    let bench = with_programs_here();
    symlink(which("rsync"), bench.path("here/rsync")).unwrap();
    let mut told = Vec::new();
    for script in BARMAN {
        bench.runs("main", script);
        told.push(plan(&bench, script));
    }
    for directory in DIRECTORIES {
        let mut answer = bench.sync_info("main");
        answer["config"]["wals_directory"] = Value::from(*directory);
        bench.says("main", &answer);
        bench.runs("main", "cat main");
        told.push(plan(&bench, &format!("its WAL is in {directory:?}")));
    }
    fs::remove_file(bench.path("bin/barman")).unwrap();
    told.push(plan(&bench, "there is no Barman at the primary"));
    insta::assert_snapshot!("questions", table(&told));
}

#[test]
fn each_server_that_cannot_be_mirrored_is_told() {
    let bench = with_programs_here();
    symlink(which("rsync"), bench.path("here/rsync")).unwrap();
    bench.lists("main");
    let mirrored = |more: &str| {
        let other = format!(
            "  tokyo: {{ssh_command: {}, barman: {{command: '{}'}}}}\n",
            bench.ssh_command(),
            bench.path("bin/barman").display()
        );
        bench.declare(&bench.site_with(&bench.ssh_command(), &format!("{other}{more}")));
    };
    mirrored("mirrors: [{primary: frankfurt}, {primary: tokyo}]\n");
    let mut told = vec![plan(&bench, "two primaries have a server of one name")];
    mirrored("replicas: {main: {primary: tokyo}}\nmirrors: [{primary: frankfurt}]\n");
    told.push(plan(&bench, "a replica has the name of another primary's server"));
    insta::assert_snapshot!("mirrors", table(&told));
}

#[test]
fn each_address_that_is_none_is_told() {
    let bench = with_programs_here();
    let addresses = ["main/wal/x/y", "main/wal/somewhere", "main/wal/00000001000000000000000C..0A", "../etc"];
    let refused = |address: &str| Told::new(address, &bench.antipode(&["plan", "--target", address]), &bench.path(""));
    insta::assert_snapshot!("addresses", table(&addresses.map(refused)));
}

#[test]
fn each_directory_that_cannot_be_read_is_told() {
    let bench = with_programs_here();
    let site = |path: &str| {
        let catalog = bench.catalog();
        bench.declare(&format!(
            "version: 1\nsite: lisbon\ncatalog: {{path: '{}', barman: '3.19.1', reserve: none}}\nprimaries:\n  \
             fra: {{path: '{path}'}}\nreplicas: {{main: {{primary: fra}}}}\n",
            catalog.display()
        ));
    };
    let mut told = Vec::new();
    for (cause, path) in [("it is not mounted", "nowhere"), ("it is a file", "antipode.yaml")] {
        site(&bench.path(path).display().to_string());
        told.push(plan(&bench, cause));
    }
    insta::assert_snapshot!("directories", table(&told));
}

//! Connections that ssh does not open, by what OpenSSH prints of it.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;

use super::{Told, table, tried};
use crate::bench::{command, run, which, write_script};

/// What ssh says, and its exit code.
const ENDS: &[(&str, i32)] = &[
    (
        "@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@\n\
         @    WARNING: REMOTE HOST IDENTIFICATION HAS CHANGED!     @\n\
         @@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@\n\
         Offending ED25519 key in /home/dba/.ssh/known_hosts:1\n  remove with:\n  ssh-keygen -f \"/home/dba/.ssh/known_hosts\" -R \"fra\"\n\
         Host key verification failed.",
        255,
    ),
    ("@       WARNING: REVOKED HOST KEY DETECTED!               @\nHost key verification failed.", 255),
    (
        "No ED25519 host key is known for fra and you have requested strict checking.\nHost key verification failed.",
        255,
    ),
    (
        "No ED25519 host key is known for [fra]:2222 and you have requested strict checking.\nHost key verification failed.",
        255,
    ),
    ("Host key verification failed.", 255),
    (
        "@         WARNING: UNPROTECTED PRIVATE KEY FILE!          @\nPermissions 0644 for \"/home/dba/.ssh/id_dr\" are too open.\n\
         barman@fra: Permission denied (publickey).",
        255,
    ),
    (
        "Warning: Identity file /home/dba/.ssh/id_dr not accessible: No such file or directory.\n\
         barman@fra: Permission denied (publickey).",
        255,
    ),
    ("Received disconnect from 10.0.0.1 port 22:2: Too many authentication failures", 255),
    ("barman@fra: Permission denied (publickey,password).", 255),
    ("ssh: Could not resolve hostname fra: Name or service not known", 255),
    ("ssh: connect to host fra port 22: Connection refused", 255),
    ("ssh: connect to host fra port 22: Connection timed out", 255),
    ("ssh: connect to host fra port 22: No route to host", 255),
    ("ssh: connect to host fra port 22: Network is unreachable", 255),
    ("Unable to negotiate with 10.0.0.1 port 22: no matching host key type found. Their offer: ssh-dss", 255),
    ("command-line: line 0: Bad configuration option: speed", 255),
    ("kex_exchange_identification: Connection closed by remote host", 255),
    ("Connection closed by 10.0.0.1 port 22", 255),
    ("Connection reset by 10.0.0.1 port 22", 255),
    ("something that nobody expects", 3),
];

/// Other ways in which no connection comes: a cause, what ssh does where it does anything, and what else differs.
const OTHERS: &[(&str, &str, &str)] = &[
    ("ssh waits", "sleep 60", ""),
    ("ssh is killed", "kill -9 $$", ""),
    ("the connection ends at once", "exit 0", ""),
    ("ssh does not say how to forget a key", "echo 'REMOTE HOST IDENTIFICATION HAS CHANGED' >&2; exit 255", ""),
    ("there is no ssh here", "", ""),
    ("there is no key", "exit 9", "identity_file: /nowhere/id_dr"),
    ("there is no room for sockets", "exit 9", "runtime"),
];

/// What is told of a site whose ssh is a script.
fn told(cause: &str, script: &str, what: &str) -> Told {
    let directory = tempfile::tempdir().unwrap();
    let at = directory.path();
    fs::create_dir_all(at.join("bin")).unwrap();
    fs::create_dir(at.join("catalog")).unwrap();
    for name in ["rsync", "sh", "cat", "sleep"] {
        symlink(which(name), at.join("bin").join(name)).unwrap();
    }
    if !script.is_empty() {
        write_script(&at.join("bin/ssh"), script);
    }
    let access = match what.split_once(' ') {
        Some(_) => format!("ssh: {{destination: barman@fra, port: 2222, {what}}}"),
        None => "ssh_command: ssh -p 2222 barman@fra".to_owned(),
    };
    let site = format!(
        "version: 1\nsite: lisbon\ncatalog: {{path: '{}', barman: '3.19.1', reserve: none}}\nprimaries:\n  \
         fra: {{{access}, timeouts: {{connect: 1s, idle: 1s}}}}\nreplicas: {{main: {{primary: fra}}}}\n",
        at.join("catalog").display()
    );
    fs::write(at.join("antipode.yaml"), site).unwrap();
    let runtime = if what == "runtime" { Path::new("/proc") } else { at };
    let mut plan = command(at, &["plan", "-q"]);
    plan.env("PATH", at.join("bin")).env("COLUMNS", "1000").env("XDG_RUNTIME_DIR", runtime);
    let mut told = Told::new(cause, &run(&mut plan), at);
    told.forget_between("It runs as ", ", and ssh");
    told.forget_between("ssh looked in ", ": is that");
    told
}

#[test]
fn each_connection_that_fails_is_told() {
    let mut table_of =
        tried(ENDS, |(said, code)| told(said, &format!("cat >&2 <<'END'\n{said}\nEND\nexit {code}"), ""));
    table_of.extend(tried(OTHERS, |(cause, script, what)| told(cause, script, what)));
    insta::assert_snapshot!("connections", table(&table_of));
}

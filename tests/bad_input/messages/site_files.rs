//! Mistakes in a site file, as `antipode validate` tells them.

use std::fs;

use super::{Told, table, tried};
use crate::bench::{command, run};

/// A file without a mistake.
const RIGHT: &str = "version: 1
site: lisbon
catalog: {path: /b}
primaries:
  fra: {ssh: {destination: barman@fra}}
replicas:
  main: {primary: fra}
";

/// A text of the right file, and what somebody wrote there instead.
const MISTAKES: &[(&str, &str)] = &[
    // The file as a whole.
    (RIGHT, ""),
    (RIGHT, "- site: lisbon\n"),
    (RIGHT, "version: 1\n---\nversion: 1\n"),
    ("site: lisbon", "site: [lisbon"),
    ("site: lisbon", "site: *name"),
    ("site: lisbon", "\tsite: lisbon"),
    // Keys.
    ("site: lisbon\n", ""),
    ("site: lisbon", "sitte: lisbon"),
    ("site: lisbon", "site: lisbon\nsite: porto"),
    ("site: lisbon", "site: lisbon\nwhatever: 1"),
    ("{primary: fra}", "{primary: fra, rpo: 1h}"),
    ("{primary: fra}", "{primary: fra, retention: REDUNDANCY 3}"),
    ("{primary: fra}", "{}"),
    ("{ssh: {destination: barman@fra}}", "{}"),
    ("{ssh: {destination: barman@fra}}", "{path: /x, ssh_command: ssh fra}"),
    ("primaries:\n  fra: {ssh: {destination: barman@fra}}", "primaries: {}"),
    // Kinds of values.
    ("catalog: {path: /b}", "catalog:"),
    ("catalog: {path: /b}", "catalog: /b"),
    ("catalog: {path: /b}", "catalog: {path: /b, reserve: 5GB/s}"),
    ("version: 1", "version: 2"),
    ("version: 1", "version: \"1\""),
    ("version: 1", "version: 1.0"),
    ("site: lisbon", "site: 15"),
    ("site: lisbon", "site: [lisbon]"),
    ("{primary: fra}", "{primary: [fra]}"),
    ("  fra: {ssh: {destination: barman@fra}}", "  - fra"),
    ("replicas:", "mirrors: {primary: fra}\nreplicas:"),
    ("{primary: fra}", "{primary: fra, prune: {unselected: yes}}"),
    ("{primary: fra}", "{primary: fra, prune: {unselected: no}}"),
    ("{primary: fra}", "{primary: fra, prune: {unselected: maybe}}"),
    ("{primary: fra}", "{primary: fra, prune: {unselected: 1}}"),
    ("{primary: fra}", "{primary: fra, transfer: {streams: 0}}"),
    ("{primary: fra}", "{primary: fra, protect: {min_backups: -1}}"),
    ("{primary: fra}", "{primary: fra, protect: {min_backups: 99999999999}}"),
    ("{primary: fra}", "{primary: fra, wals: {from: newest}}"),
    ("{primary: fra}", "{primary: fra, transfer: {reuse: everything}}"),
    ("{primary: fra}", "{primary: fra, backups: []}"),
    ("{primary: fra}", "{primary: fra, backups: some}"),
    ("{primary: fra}", "{primary: fra, backups: [{}]}"),
    ("{primary: fra}", "{primary: fra, backups: [{last: 7, within: 30d}]}"),
    // Names and paths.
    ("site: lisbon", "site: lisbon?"),
    ("  main:", "  ../etc:"),
    ("  main:", "  barman:"),
    ("fra: {ssh", "fr/a: {ssh"),
    ("{path: /b}", "{path: b}"),
    ("{path: /b}", "{path: /b/../c}"),
    ("{path: /b}", "{path: \"/b\\u202e\"}"),
    ("{path: /b}", "{path: /b, config: barman.conf}"),
    ("barman@fra}", "barman@fra, identity_file: id_dr}"),
    ("{ssh: {destination: barman@fra}}", "{path: /b/fra}"),
    ("replicas:", "mirrors: [{primary: fra, except: [a/b]}]\nreplicas:"),
    ("{primary: fra}", "{primary: fra, accept: [a/b/c/d]}"),
    ("{primary: fra}", "{primary: fra, accept: [main/wal/somewhere]}"),
    ("{primary: fra}", "{primary: fra, accept: [main/wal/00000001000000000000000C..0A]}"),
    ("{primary: fra}", "{primary: fra, accept: [other/wal/00000001000000000000000C]}"),
    ("{primary: fra}", "{primary: fra, accept_systems: [abc]}"),
    ("{primary: fra}", "{primary: fra, drill: {settings: {work mem: 1}}}"),
    ("{primary: fra}", "{primary: fra, drill: {settings: {listen_addresses: '*'}}}"),
    ("{primary: fra}", "{primary: fra, drill: {checks: [{sql: \"select\\n1\", expect: 1}]}}"),
    // Schedules and windows.
    ("{primary: fra}", "{primary: fra, schedule: {every: 1m, cron: 0 2 * * *}}"),
    ("{primary: fra}", "{primary: fra, schedule: {cron: 0 2 * *}}"),
    ("{primary: fra}", "{primary: fra, schedule: {cron: 0  2 * * *}}"),
    ("{primary: fra}", "{primary: fra, schedule: {cron: 99 2 * * *}}"),
    ("{primary: fra}", "{primary: fra, schedule: {cron: 0 0 30 2 *}}"),
    ("{primary: fra}", "{primary: fra, schedule: {cron: 0 2 * * *, time_zone: Europe/Lisboa}}"),
    ("{primary: fra}", "{primary: fra, schedule: {cron: 0 2 * * *, time_zone: Nowhere-at-all}}"),
    ("{primary: fra}", "{primary: fra, auto: {delete: true}}"),
    ("barman@fra}}", "barman@fra}, windows: [{deny: backups}]}"),
    ("barman@fra}}", "barman@fra}, windows: [{deny: wal, cron: 0 2 * * *, duration: 1h}]}"),
    ("barman@fra}}", "barman@fra}, windows: [{allow: backups, deny: backups, cron: 0 2 * * *, duration: 1h}]}"),
    ("barman@fra}}", "barman@fra}, windows: [{bandwidth: unlimited, cron: 0 2 * * *, duration: 1h}]}"),
    // Sizes and times.
    ("destination: barman@fra}", "destination: barman@fra}, bandwidth: 200MiB"),
    ("destination: barman@fra}", "destination: barman@fra}, bandwidth: fast"),
    ("destination: barman@fra}", "destination: barman@fra}, bandwidth: 8Mbit/s"),
    ("destination: barman@fra}", "destination: barman@fra}, bandwidth: 8m/s"),
    ("destination: barman@fra}", "destination: barman@fra}, bandwidth: 1.MB/s"),
    ("destination: barman@fra}", "destination: barman@fra}, bandwidth: 0MB/s"),
    ("{primary: fra}", "{primary: fra, protect: {max_prune: 120%}}"),
    ("{primary: fra}", "{primary: fra, protect: {max_prune: half}}"),
    ("{primary: fra}", "{primary: fra, objective: {rpo: 15}}"),
    ("{primary: fra}", "{primary: fra, objective: {rpo: 2 fortnights}}"),
    ("{primary: fra}", "{primary: fra, objective: {rpo: soon}}"),
    ("{primary: fra}", "{primary: fra, objective: {rpo: 1234567s}}"),
    ("{primary: fra}", "{primary: fra, objective: {rpo: 0s}}"),
    ("{primary: fra}", "{primary: fra, backups: [{retention: 30 DAYS}]}"),
    ("{path: /b}", "{path: /b, barman: newest}"),
    ("{path: /b}", "{path: /b, barman: 3.10}"),
    // ssh.
    ("barman@fra", "\"\""),
    ("barman@fra", "-oProxyCommand=x"),
    ("barman@fra", "barman@fra tokyo"),
    ("barman@fra}", "barman@fra, options: {Control-Path: x}}"),
    ("barman@fra}", "barman@fra, options: {ControlPath: x}}"),
    ("barman@fra}", "barman@fra, options: {RemoteCommand: x}}"),
    ("barman@fra}", "barman@fra, options: {RequestTTY: force}}"),
    ("barman@fra}", "barman@fra, options: {StdinNull: x}}"),
    ("barman@fra}", "barman@fra, options: {NoHostAuthenticationForLocalhost: x}}"),
    ("barman@fra}", "barman@fra, options: {ProxyUseFdpass: x}}"),
    ("barman@fra}", "barman@fra, options: {User: \" \"}}"),
    ("barman@fra}", "barman@fra, options: {StrictHostKeyChecking: accept-new}}"),
    ("barman@fra}", "barman@fra, options: {BatchMode: \"no\"}}"),
    ("{ssh: {destination: barman@fra}}", "{ssh_command: rsh barman@fra}"),
    ("{ssh: {destination: barman@fra}}", "{ssh_command: ssh barman@fra uptime}"),
    ("{ssh: {destination: barman@fra}}", "{ssh_command: ssh -C}"),
    ("{ssh: {destination: barman@fra}}", "{ssh_command: ssh -M fra}"),
    ("{ssh: {destination: barman@fra}}", "{ssh_command: ssh -Z fra}"),
    ("{ssh: {destination: barman@fra}}", "{ssh_command: ssh fra -p}"),
    ("{ssh: {destination: barman@fra}}", "{ssh_command: \"ssh 'fra\"}"),
    ("{ssh: {destination: barman@fra}}", "{ssh_command: \"ssh \\u202e fra\"}"),
    ("barman@fra}", "barman@fra}, barman: {command: \"\"}"),
    ("barman@fra}", "barman@fra}, barman: {command: -x}"),
    // What one value does not tell.
    ("{primary: fra}", "{primary: frankfurt}"),
    ("{primary: fra}", "{primary: far}"),
    ("{primary: fra}", "{primary: fra, wals: {unfinished: true}}"),
    ("replicas:", "mirrors: [{primary: fra}, {primary: fra}]\nreplicas:"),
    ("replicas:", "retired: [main]\nreplicas:"),
    ("replicas:", "on: {failed: [{webhook: nowhere}]}\nreplicas:"),
    ("replicas:", "on: {failed: [{timeout: 1s}]}\nreplicas:"),
    ("replicas:", "on: {failed: [-x]}\nreplicas:"),
];

#[test]
fn each_mistake_in_a_site_file_is_told() {
    let told = tried(MISTAKES, |(right, wrong)| {
        assert!(RIGHT.contains(right), "{right:?}");
        let directory = tempfile::tempdir().unwrap();
        fs::write(directory.path().join("antipode.yaml"), RIGHT.replacen(right, wrong, 1)).unwrap();
        // Nobody knows where `~` is.
        let finished = run(command(directory.path(), &["validate"]).env_remove("HOME").env("COLUMNS", "200"));
        Told::new(
            if wrong.is_empty() { format!("nothing instead of {right}") } else { (*wrong).to_owned() },
            &finished,
            directory.path(),
        )
    });
    insta::assert_snapshot!("site_files", table(&told));
}

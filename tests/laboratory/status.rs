//! `status`, from a site in sync to a disaster.

use std::fs::{self, Permissions};
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use serde_json::Value;

use crate::antipode::antipode;
use crate::converge::filled_site;
use crate::ground::Lab;
use crate::scenario::{self, write_chapter};
use crate::site::Site;
use crate::terminal::in_terminal;
use crate::tools::BarmanVersion;

/// Runs `status` in both forms, which must agree; nothing may change on disk. Returns the one replica's part of the
/// JSON, which follows its schema.
#[track_caller]
fn status(site: &Site, code: i32) -> Value {
    let before = listing(site.catalog());
    let text = antipode(&site.directory, &["status"]);
    let json = antipode(&site.directory, &["status", "--format", "json"]);
    assert_eq!((text.code(), json.code()), (code, code), "{text}\n{json}");
    assert_eq!(listing(site.catalog()), before);
    let document: Value = serde_json::from_str(&json.stdout).unwrap_or_else(|error| panic!("{error}\n{json}"));
    let schema = include_str!("../../schemas/status.schema.json");
    let validator = jsonschema::validator_for(&serde_json::from_str(schema).expect("a schema")).expect("a schema");
    let mistakes: Vec<String> = validator.iter_errors(&document).map(|error| error.to_string()).collect();
    assert_eq!(mistakes, [""; 0], "{json}");
    let replica = document["replicas"][0].clone();
    let verdict = replica["verdict"].as_str().expect("a verdict");
    assert!(text.stdout.contains(&format!("main      {verdict}   ")), "{text}");
    println!("{}", text.stdout);
    replica
}

/// Every path below a directory with its time of change.
fn listing(directory: &Path) -> Vec<String> {
    let walk = walkdir::WalkDir::new(directory).sort_by_file_name().into_iter();
    walk.map(|entry| {
        let entry = entry.expect("walk the catalog");
        let modified = entry.metadata().expect("metadata").modified().expect("a time");
        format!("{} {modified:?}", entry.path().display())
    })
    .collect()
}

fn set_mode(path: &Path, mode: u32) {
    fs::set_permissions(path, Permissions::from_mode(mode)).expect("change a mode");
}

#[test]
fn every_stage_from_in_sync_to_a_disaster_is_told() {
    let lab = Lab::new();
    let primary = scenario::two_timelines().primary.copy_to(&lab.join("primary"));
    let (sshd, site) = filled_site(&lab, &primary, BarmanVersion::Newest);

    let in_sync = status(&site, 0);
    assert_eq!((&in_sync["verdict"], &in_sync["lag"]["segments"]), (&"in sync".into(), &0.into()));
    assert!(in_sync["last_apply"].is_string() && in_sync["objective"].is_null(), "{in_sync}");
    let counted = serde_json::json!({
        "here": 3, "looked_at_earlier": 0, "oldest_look": null, "wals_looked_at": null,
        "recoverable": 3, "wanted": 3, "at_primary": 3
    });
    assert_eq!(in_sync["backups"], counted);

    let live = write_chapter(primary.start(), "moved on");
    let behind = status(&site, 0);
    assert_eq!(behind["verdict"], "behind");
    assert!(behind["lag"]["segments"].as_u64() > Some(0) && behind["lag"]["bytes"].as_u64() > Some(0), "{behind}");

    site.declare_with(&sshd, &["objective: {rpo: 365d}"]);
    assert_eq!(status(&site, 0)["objective"]["kept"], true);
    let promised = fs::read_to_string(site.directory.join("antipode.yaml")).expect("read the site file");
    site.declare_with(&sshd, &["objective: {rpo: 1s}"]);
    assert_eq!(status(&site, 2)["verdict"], "objective missed");

    // A disaster: nobody answers, and the catalog may only be read.
    drop((live, sshd));
    let directories = [site.barman.server_directory(), site.catalog().to_owned()];
    for directory in &directories {
        set_mode(directory, 0o500);
    }
    let alone = status(&site, 2);
    assert_eq!((&alone["verdict"], &alone["lag"]), (&"objective missed".into(), &Value::Null));
    assert_eq!(alone["recovery_window"]["to"], in_sync["recovery_window"]["to"]);
    site.declare(&promised);
    assert_eq!(status(&site, 0)["verdict"], "primary unreachable");
    for directory in &directories {
        set_mode(directory, 0o700);
    }

    fs::remove_dir_all(site.barman.server_directory()).expect("lose the replica");
    assert_eq!(status(&site, 2)["verdict"], "not recoverable");

    // Somebody who sits there learns which primary is waited for, and not for long.
    let mute = TcpListener::bind("127.0.0.1:0").expect("listen");
    let port = mute.local_addr().expect("a port").port();
    site.declare(&promised.replace(
        "    ssh_command: ssh ",
        &format!("    timeouts: {{connect: 2s}}\n    ssh_command: ssh -o Port={port} "),
    ));
    let shown = in_terminal(&site.directory, &["status"], &[], "");
    assert_eq!(shown.code, 2, "{}", shown.text);
    assert!(shown.text.contains("waiting for primary frankfurt, whose `timeouts.connect` is 2 s"), "{}", shown.text);
}

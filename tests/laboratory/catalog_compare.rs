//! Whether a site has what its primary has, in Barman's eyes and byte by byte.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use serde_json::Value;
use walkdir::WalkDir;

use crate::barman::Barman;
use crate::postgres::TABLESPACE_OID;

/// What `sync-info` tells about a server, less what differs by nature.
#[derive(Debug, PartialEq)]
pub struct Told {
    /// Backups by id, without `mode`.
    pub backups: BTreeMap<String, Value>,
    /// Name, size, time and compression of the WALs.
    pub wals: BTreeSet<String>,
}

/// Asks a Barman what it has.
#[track_caller]
pub fn told_by(barman: &Barman) -> Told {
    let answer = barman.sync_info();
    let backups = answer["backups"].as_object().expect("backups is a map");
    let wals = answer["wals"].as_array().expect("wals is a list");
    Told {
        backups: backups
            .iter()
            .map(|(id, backup)| {
                let mut backup = backup.clone();
                backup.as_object_mut().expect("a backup is a map").remove("mode");
                (id.clone(), backup)
            })
            .collect(),
        wals: wals.iter().map(Value::to_string).collect(),
    }
}

/// Panics unless both sides tell the same, and neither lists a WAL twice.
#[track_caller]
pub fn assert_same_told(primary: &Barman, site: &Barman) {
    let (theirs, ours) = (told_by(primary), told_by(site));
    for (id, backup) in &theirs.backups {
        assert_eq!(ours.backups.get(id), Some(backup), "backup {id}");
    }
    assert_eq!(theirs, ours);
    let names = site.xlogdb_names();
    let unique: BTreeSet<&String> = names.iter().collect();
    assert!(
        names.is_sorted() && unique.len() == names.len(),
        "the site's xlog.db is not sorted, or has doubled lines: {names:?}"
    );
}

/// The files of two servers that differ, those of base backups and the WAL
/// archive: each as a line that says how.
pub fn differing_files(primary: &Barman, site: &Barman) -> Vec<String> {
    let (theirs, ours) = (primary.server_directory(), site.server_directory());
    let (their_files, our_files) = (files(&theirs), files(&ours));
    their_files
        .union(&our_files)
        .filter_map(|path| {
            let what = if !our_files.contains(path) {
                "is missing at the site"
            } else if !their_files.contains(path) {
                "is only at the site"
            } else if content(&theirs.join(path)) != content(&ours.join(path)) {
                "differs"
            } else {
                return None;
            };
            Some(format!("{} {what}", path.display()))
        })
        .collect()
}

/// Every file under `base/` and `wals/`, less Barman's own records and the
/// tablespaces' links, which name the host's directories.
fn files(server: &Path) -> BTreeSet<PathBuf> {
    ["base", "wals"]
        .into_iter()
        .flat_map(|part| WalkDir::new(server.join(part)))
        .map(|entry| entry.expect("read the catalog"))
        .filter(|entry| !entry.file_type().is_dir() && !is_record(entry.path()))
        .map(|entry| {
            let path = entry.path().strip_prefix(server).expect("a path in it");
            path.to_owned()
        })
        .collect()
}

fn is_record(path: &Path) -> bool {
    let name = path.file_name().and_then(|name| name.to_str());
    name.is_some_and(|name| {
        name.ends_with("xlog.db") || ["sync-wals.info", "backup.info", "keep", TABLESPACE_OID].contains(&name)
    })
}

fn content(path: &Path) -> Vec<u8> {
    fs::read(path).unwrap_or_else(|error| panic!("read {}: {error}", path.display()))
}

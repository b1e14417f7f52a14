//! What `barman sync-info` prints for a server of a catalog on disk.

use std::fs;
use std::path::Path;

use antipode::barman::ids::ServerName;
use antipode::barman::layout::ServerDirs;
use serde_json::{Map, Value, json};

/// A password that must never leave the primary.
pub const PASSWORD: &str = "s3cret-of-the-primary";

const NUMBERS: [&str; 8] = [
    "begin_offset",
    "cluster_size",
    "deduplicated_size",
    "end_offset",
    "size",
    "timeline",
    "version",
    "xlog_segment_size",
];

/// The answer for a server, as Barman 3.19.1 gives it.
pub fn sync_info(home: &Path, server: &str) -> Value {
    let dirs = ServerDirs::of_catalog(home, server.parse::<ServerName>().unwrap());
    let xlogdb = fs::read_to_string(dirs.wals_directory.join(format!("{server}-xlog.db"))).unwrap();
    let last = xlogdb.lines().next_back().unwrap_or_default();
    let position = xlogdb.len().saturating_sub(last.len() + 1);
    json!({
        "last_position": position,
        "last_name": last.split('\t').next(),
        "backups": backups(&dirs),
        "wals": xlogdb.lines().map(wal).collect::<Vec<_>>(),
        "version": "3.19.1",
        "config": {
            "name": server,
            "active": true,
            "conninfo": format!("host=pg user=barman password={PASSWORD}"),
            "backup_directory": dirs.backup_directory,
            "basebackups_directory": dirs.basebackups_directory,
            "wals_directory": dirs.wals_directory,
            "xlogdb_directory": dirs.wals_directory,
            "compression": "gzip",
            "retention_policy": null,
        },
    })
}

fn backups(dirs: &ServerDirs) -> Map<String, Value> {
    let files = fs::read_dir(&dirs.meta_directory).unwrap().map(|entry| entry.unwrap());
    let id = |name: &str| name.strip_suffix("-backup.info").map(str::to_owned);
    files
        .filter_map(|file| {
            let id = id(file.file_name().to_str()?)?;
            let text = fs::read_to_string(file.path()).unwrap();
            let mut backup: Map<String, Value> =
                text.lines().filter_map(|line| line.split_once('=')).map(field).collect();
            backup.insert("backup_id".to_owned(), id.clone().into());
            for time in ["begin_time", "end_time"] {
                backup.insert(format!("{time}_iso"), backup[time].clone());
            }
            Some((id, backup.into()))
        })
        .collect()
}

fn field((key, value): (&str, &str)) -> (String, Value) {
    let value = match key {
        _ if value == "None" => Value::Null,
        "tablespaces" | "copy_stats" => {
            let json = value.replace('\'', "\"").replace('(', "[").replace(')', "]");
            serde_json::from_str(&json).unwrap()
        }
        key if NUMBERS.contains(&key) => value.parse::<u64>().unwrap().into(),
        _ => value.into(),
    };
    (key.to_owned(), value)
}

fn wal(line: &str) -> Value {
    let fields: Vec<&str> = line.split('\t').collect();
    let word = |i: usize| fields.get(i).filter(|word| **word != "None");
    json!({
        "name": fields[0],
        "size": fields[1].parse::<u64>().unwrap(),
        "time": fields[2].parse::<f64>().unwrap(),
        "compression": word(3),
        "encryption": word(4),
    })
}

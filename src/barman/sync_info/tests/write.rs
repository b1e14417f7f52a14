use std::collections::BTreeMap;

use proptest::prelude::*;

use super::super::listing::Listing;
use super::super::write::Answer;
use super::super::{Framed, SyncInfo, frame};
use crate::barman::backup_info::BackupInfo;
use crate::barman::conf::BarmanConf;
use crate::barman::ids::BackupId;
use crate::barman::server_config::ServerConfig;
use crate::barman::version::BarmanVersion;
use crate::barman::wal::{Segment, Timeline, WalName};
use crate::barman::wal_entry::{Mtime, WalEntry};
use crate::barman::wal_list::WalList;
use crate::barman::xlogdb::XlogDb;

const CONF: &str = "[barman]\nbarman_home = /srv/barman\n\
    [main]\ndescription = zürich \"🐘\"\nconninfo = host=x password=s3cret\nssh_command = ssh x\n";

fn write(version: BarmanVersion, backups: BTreeMap<BackupId, BackupInfo>, xlogdb: &[u8]) -> Result<String, String> {
    let conf = BarmanConf::parse("barman.conf", CONF).unwrap();
    let config = ServerConfig::read(&conf, &"main".parse().unwrap(), version).unwrap().unwrap();
    let wals = Listing::read(xlogdb, 0, None, &BTreeMap::new(), version).unwrap();
    let mut out = Vec::new();
    let answer = Answer { version, backups, wals, config: &config };
    answer.write(&mut out).map_err(|error| error.to_string())?;
    Ok(String::from_utf8(out).unwrap())
}

fn backup(lines: &str) -> BTreeMap<BackupId, BackupInfo> {
    [("20261122T125916".parse().unwrap(), BackupInfo::parse(lines.as_bytes()).unwrap())].into()
}

const NEW: BarmanVersion = BarmanVersion::new(3, 19, 1);

/// The texts were printed by Barman 3.19.1 for such a backup.info.
#[test]
fn every_value_looks_as_in_barman() {
    let text = write(
        NEW,
        backup(
            "backup_label='z\u{fc}r\\n\"x\"'\nbegin_time=2026-11-01 09:08:07+02:00\nchildren_backup_ids=A,B\n\
             copy_stats={'a': 1.0, 'b': None, 'c': True, 'd': {'x': 1e-07, 'y': 1e+22}}\nsize=None\nsystemid=77\n\
             included_files=['/a b', \"it's\"]\ntablespaces=[('side', 16384, '/srv/side')]\ntimeline=1\n",
        ),
        b"",
    )
    .unwrap();
    for line in [
        "    \"last_position\": 0,\n    \"last_name\": \"\",\n    \"backups\": {\n        \"20261122T125916\": {\n",
        "            \"backup_label\": \"'z\\u00fcr\\\\n\\\"x\\\"'\",\n            \"begin_offset\": null,\n",
        "            \"begin_time\": \"Sun Nov  1 09:08:07 2026\",\n",
        "            \"children_backup_ids\": \"A,B\",\n",
        "                \"c\": true,\n                \"d\": {\n                    \"x\": 1e-07,\n                    \"y\": 1e+22\n",
        "            \"included_files\": [\n                \"/a b\",\n                \"it's\"\n            ],\n",
        "            \"size\": null,\n",
        "            \"systemid\": \"77\",\n            \"tablespaces\": [\n                [\n                    \"side\",\n                    16384,\n",
        "            \"timeline\": 1,\n            \"version\": null,\n            \"xlog_segment_size\": 16777216,\n\
         \x20           \"backup_id\": \"20261122T125916\",\n            \"begin_time_iso\": \"2026-11-01T09:08:07+02:00\"\n        }\n",
        "    \"wals\": [],\n    \"version\": \"3.19.1\",\n    \"config\": {\n        \"active\": true,\n",
        "        \"conninfo\": \"host=x password=***\",\n",
        "        \"description\": \"z\\u00fcrich \\\"\\ud83d\\udc18\\\"\",\n",
        "        \"name\": \"main\"\n    }\n}\n",
    ] {
        assert!(text.contains(line), "{line}\nis not in\n{text}");
    }
    assert!(!text.contains("snapshots_info") && !text.contains("end_time_iso"));
}

#[test]
fn an_old_barman_has_fewer_keys() {
    let line = b"000000010000000000000002\t7\t1.5\tgzip\n";
    let text = write(BarmanVersion::new(3, 4, 1), backup("begin_time=2026-11-01 09:08:07+02:00\n"), line).unwrap();
    for absent in ["begin_time_iso", "children_backup_ids", "encryption", "cluster"] {
        assert!(!text.contains(absent), "{absent}");
    }
    assert!(
        text.contains(
            "{\n            \"compression\": \"gzip\",\n            \"name\": \"000000010000000000000002\",\n"
        )
    );
}

#[test]
fn a_value_that_makes_no_sense_is_an_error_with_its_backup() {
    let error = write(NEW, backup("timeline=x\n"), b"").unwrap_err();
    assert_eq!(error, "backup 20261122T125916: timeline is \"x\": expected a number");
}

fn any_backup() -> impl Strategy<Value = BackupInfo> {
    let text = "[a-zü'\"\\\\ 0-9]{0,12}";
    let time = (0..28_u8, 0..1_000_000_u32).prop_map(|(day, micros)| {
        let fraction = if micros == 0 { String::new() } else { format!(".{micros:06}") };
        format!("2026-11-{:02} 09:08:07{fraction}+02:00", day + 1)
    });
    let size = prop::option::of(any::<u64>());
    (text, text, time, size, prop::collection::vec((text, any::<u32>()), 0..3)).prop_map(
        |(pgdata, label, time, size, tablespaces)| {
            let literal = |text: String| crate::barman::python_literal::Literal::Str(text);
            let spaces: Vec<String> =
                tablespaces.into_iter().map(|(name, oid)| format!("({}, {oid}, '/x')", literal(name))).collect();
            let spaces = if spaces.is_empty() { "None".to_owned() } else { format!("[{}]", spaces.join(", ")) };
            let size = size.map_or("None".to_owned(), |size| size.to_string());
            let lines = format!(
                "status=DONE\npgdata=/{pgdata}x\nbackup_label={}\nbegin_time={time}\nsize={size}\ntablespaces={spaces}\n\
                 xlog_segment_size=16777216\n",
                literal(format!("START {label}"))
            );
            BackupInfo::parse(lines.as_bytes()).unwrap()
        },
    )
}

fn any_wal() -> impl Strategy<Value = WalEntry> {
    let codec = prop::option::of("[a-z0-9]{1,15}".prop_map(|name| name.parse().unwrap()));
    let mtime = (0.0..4e9).prop_map(|seconds| Mtime::new(seconds).unwrap());
    (1..4_u32, 0..99_u32, any::<u64>(), mtime, codec.clone(), codec).prop_map(
        |(timeline, seg, size, mtime, compression, encryption)| WalEntry {
            name: WalName::Segment(Segment { timeline: Timeline(timeline), log: 0, seg }),
            size,
            mtime,
            compression,
            encryption,
        },
    )
}

proptest! {
    #[test]
    fn what_is_written_is_read_again(
        backups in prop::collection::vec(any_backup(), 0..4),
        wals in prop::collection::vec(any_wal(), 0..20),
    ) {
        let id = |n: usize| format!("20261122T{n:06}").parse::<BackupId>().unwrap();
        let backups: BTreeMap<BackupId, BackupInfo> = (0..).map(id).zip(backups).collect();
        let db = XlogDb::new(wals);
        let text = write(NEW, backups.clone(), &db.write(NEW)).unwrap();
        prop_assert!(text.is_ascii() && !text.contains("s3cret"));
        let Ok(Framed::Json(json)) = frame(text.as_bytes()) else { panic!("{text}") };
        let read = SyncInfo::parse(json).unwrap();
        prop_assert_eq!(&read.wals.into_iter().collect::<WalList>(), db.entries());
        prop_assert_eq!(read.last_name, db.entries().last().map(|entry| entry.name));
        prop_assert_eq!(read.version, Some(NEW));
        prop_assert_eq!(read.config.name, Some("main".parse().unwrap()));
        prop_assert_eq!(read.backups.len(), backups.len());
        for (id, info) in &backups {
            prop_assert_eq!(read.backups[id].differing_keys(info), Vec::<String>::new());
        }
    }
}

/// More than one processor takes at a time.
#[test]
fn a_long_list_keeps_its_order() {
    let entry = |n: u32| WalEntry {
        name: WalName::Segment(Segment { timeline: Timeline(1), log: n / 256, seg: n % 256 }),
        size: u64::from(n),
        mtime: Mtime::new(f64::from(n) / 8.0).unwrap(),
        compression: None,
        encryption: None,
    };
    let db = XlogDb::new((0..20_000).map(entry));
    let text = write(NEW, BTreeMap::new(), &db.write(NEW)).unwrap();
    let read = SyncInfo::parse(text.as_bytes()).unwrap().wals;
    assert!(read.into_iter().eq(db.entries().iter()));
}

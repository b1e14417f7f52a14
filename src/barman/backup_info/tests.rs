use std::collections::BTreeSet;

use proptest::prelude::*;

use super::*;
use crate::barman::ids::ServerName;
use crate::barman::version::BarmanVersion;

const LABEL: &str = r"'START WAL LOCATION: 0/4000028 (file 000000010000000000000004)\nLABEL: x\n'";
const LABEL_TWICE: &str = r#""'START WAL LOCATION: 0/4000028 (file 000000010000000000000004)\\nLABEL: x\\n'""#;

fn info(lines: &str) -> BackupInfo {
    BackupInfo::parse(lines.as_bytes()).unwrap()
}

fn from_json(json: &str) -> BackupInfo {
    let Literal::Dict(pairs) = serde_json::from_str(json).unwrap() else { panic!("not an object") };
    let mut info = BackupInfo::default();
    for (key, value) in &pairs {
        info.set_from_json(key.as_str().unwrap(), value);
    }
    info
}

fn main_server() -> ServerName {
    "main".parse().unwrap()
}

fn newest() -> BarmanVersion {
    BarmanVersion::new(3, 19, 1)
}

#[test]
fn typed_values_are_read() {
    let info = info(
        "begin_time=2026-11-22 12:59:16.085783+00:00\nbegin_wal=000000010000000000000004\nbegin_xlog=0/4000028\n\
         timeline=1\nstatus=DONE\nsystemid=7710979628855688485\nsize=3192812\nencryption=None\n\
         tablespaces=[('side', 16384, '/srv/side')]\nxlog_segment_size=67108864\nversion=170010\n",
    );
    assert_eq!(info.check(), Ok(()));
    assert_eq!(info.status(), Ok(Status::Done));
    assert_eq!(info.begin_wal().unwrap().unwrap().to_string(), "000000010000000000000004");
    assert_eq!(info.begin_xlog(), Ok(Some(Lsn(0x400_0028))));
    assert_eq!(info.begin_time().unwrap().unwrap().to_string(), "2026-11-22T12:59:16.085783Z");
    assert_eq!(info.systemid(), Ok(Some(SystemId(7_710_979_628_855_688_485))));
    assert_eq!(info.encryption(), None);
    assert_eq!(info.xlog_segment_size().unwrap().bytes(), 64 << 20);
    let side = Tablespace { name: "side".into(), oid: 16384, location: "/srv/side".into() };
    assert_eq!(info.tablespaces(), Ok(vec![side]));
}

#[test]
fn a_malformed_value_is_reported_with_its_key() {
    for (line, key) in [
        ("begin_wal=../../etc/passwd", "begin_wal"),
        ("status=GOOD", "status"),
        ("size=-1", "size"),
        ("tablespaces=[('side', -1, '/srv/side')]", "tablespaces"),
        ("xlog_segment_size=3", "xlog_segment_size"),
        ("children_backup_ids=a,b", "children_backup_ids"),
        ("backup_label=raw", "backup_label"),
    ] {
        assert_eq!(info(line).check().unwrap_err().key, key);
    }
}

#[test]
fn comments_and_blank_lines_are_skipped_and_other_lines_refused() {
    assert_eq!(info("# made by hand\n\n  \nsize = 1 \nsize=2").get("size"), Some("2"));
    let error = BackupInfo::parse(b"size=1\nnonsense\n").unwrap_err();
    assert_eq!(error, BackupInfoError::InvalidLine { line: 2, text: "nonsense".into() });
    assert_eq!(BackupInfo::parse(b"size=\xff"), Err(BackupInfoError::NotUtf8 { line: 1 }));
}

#[test]
fn a_json_backup_becomes_the_primarys_file() {
    let info = from_json(
        r#"{"backup_id": "20261122T125916", "begin_time": "Sun Nov 22 12:59:16 2026", "status": "DONE",
            "begin_time_iso": "2026-11-22T12:59:16.085783+00:00", "end_time": "Sun Nov 22 12:59:17 2026",
            "tablespaces": [["side", 16384, "/srv/side"]], "included_files": ["/etc/a'b.conf"],
            "copy_stats": {"total_time": 1.5, "copy_time": 1e-05}, "backup_label": "'START WAL\\n'",
            "children_backup_ids": "20261122T125920", "error": null, "timeline": 1}"#,
    );
    let expected = r#"backup_label='START WAL\n'
begin_time=2026-11-22 12:59:16.085783+00:00
children_backup_ids=20261122T125920
copy_stats={'total_time': 1.5, 'copy_time': 1e-05}
end_time=2026-11-22 12:59:17
error=None
included_files=["/etc/a'b.conf"]
status=DONE
tablespaces=[('side', 16384, '/srv/side')]
timeline=1
"#;
    assert_eq!(String::from_utf8(info.write()).unwrap(), expected);
}

#[test]
fn a_site_stores_only_what_its_barman_knows() {
    let primary = info("status=WAITING_FOR_WALS\nmode=postgres\nserver_name=prod\nencryption=gpg\nfrom_the_future=1\n");
    let old = primary.for_site(&main_server(), BarmanVersion::new(2, 19, 0), &BTreeSet::new());
    assert_eq!(old.fields().count(), 26);
    let site = primary.for_site(&main_server(), newest(), &BTreeSet::new());
    let keys: Vec<_> = site.fields().map(|(key, _)| key).collect();
    assert!(keys.is_sorted() && !keys.contains(&"backup_name") && !keys.contains(&"from_the_future"));
    assert_eq!((site.mode(), site.server_name()), (Some("passive"), Some("main")));
    assert_eq!((site.status(), site.encryption()), (Ok(Status::Done), Some("gpg")));
}

#[test]
fn children_that_are_not_at_the_site_are_left_out() {
    let primary = info("children_backup_ids=20261122T125920,20261122T125921\n");
    let present = BTreeSet::from(["20261122T125921".parse().unwrap()]);
    let site = primary.for_site(&main_server(), newest(), &present);
    assert_eq!(site.get("children_backup_ids"), Some("20261122T125921"));
    assert_eq!(primary.for_site(&main_server(), newest(), &BTreeSet::new()).get("children_backup_ids"), None);
}

#[test]
fn what_barman_encoded_twice_is_found_and_repaired() {
    let joined = |text: &str| text.chars().map(String::from).collect::<Vec<_>>().join(",");
    let ids = "20261122T125920,20261122T125921";
    for children in [joined(ids), joined(&joined(ids))] {
        let damaged = info(&format!("backup_label={LABEL_TWICE}\nchildren_backup_ids={children}\n"));
        let sound = info(&format!("backup_label={LABEL}\nchildren_backup_ids={ids}\n"));
        assert_eq!(damaged.damages().len(), 2);
        assert_eq!(damaged.repaired(), sound);
        assert_eq!(sound.damages(), []);
        assert_eq!(damaged.children_backup_ids(), sound.children_backup_ids());
        assert_eq!(damaged.backup_label(), sound.backup_label());
    }
}

#[test]
fn a_single_child_encoded_twice_is_repaired() {
    let damaged = info("children_backup_ids=2,0,2,6,1,1,2,2,T,1,2,5,9,2,0\n");
    let repaired = Damage { key: "children_backup_ids", repaired: "20261122T125920".into() };
    assert_eq!(damaged.damages(), [repaired]);
}

#[test]
fn only_a_difference_in_meaning_is_drift() {
    let a = "begin_time=2026-11-22 12:59:16+00:00\ntablespaces=[('a', 1, '/a')]\nerror=None\nmode=postgres\nsize=1\n";
    let same = "begin_time=2026-11-22 13:59:16+01:00\ntablespaces=[(\"a\",1,'/a')]\nmode=passive\nsize=1\n";
    assert_eq!(info(a).differing_keys(&info(same)), Vec::<String>::new());
    let other = "begin_time=2026-11-22 12:59:17+00:00\ntablespaces=None\nmode=passive\nsize=2\n";
    assert_eq!(info(a).differing_keys(&info(other)), ["begin_time", "size", "tablespaces"]);
}

#[test]
fn a_line_break_in_a_value_cannot_make_a_line() {
    let info = from_json(r#"{"error": "first\nstatus=FAILED", "evil\nstatus": "x"}"#);
    assert_eq!(info.write(), b"error=first status=FAILED\n");
}

proptest! {
    #[test]
    fn files_are_read_as_they_are_written(
        fields in prop::collection::btree_map("[a-z_]{1,12}", "[^\\s\\x1c-\\x1f]([^\\n\\r]{0,20}[^\\s\\x1c-\\x1f])?", 0..12)
    ) {
        let info = BackupInfo { fields };
        prop_assert_eq!(BackupInfo::parse(&info.write()), Ok(info.clone()));
        prop_assert_eq!(BackupInfo::parse(&info.write()).unwrap().write(), info.write());
    }

    #[test]
    fn any_bytes_are_parsed_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..80), text in "([a-z_]{1,9}=[\\PC]{0,9}\n){0,4}") {
        for bytes in [bytes.as_slice(), text.as_bytes()] {
            if let Ok(info) = BackupInfo::parse(bytes) {
                let _ = info.check();
                let _ = info.damages();
            }
        }
    }

    #[test]
    fn any_children_and_label_are_decoded_or_left(text in "[0-9T,]{0,64}", label in r#"['"\\nab]{0,24}"#) {
        let info = BackupInfo::parse(format!("children_backup_ids={text}\nbackup_label={label}\n").as_bytes()).unwrap();
        prop_assert_eq!(info.repaired().damages(), []);
    }
}

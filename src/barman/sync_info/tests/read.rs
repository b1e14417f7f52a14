use std::time::Instant;

use proptest::prelude::*;

use super::super::*;

const MINIMAL: &str = r#"{
    "last_position": 57, "last_name": "000000010000000000000003",
    "backups": {"20261122T125916": {"status": "DONE", "begin_wal": "000000010000000000000002"}},
    "wals": [{"compression": "gzip", "encryption": null, "name": "000000010000000000000002", "size": 7, "time": 1.5}],
    "version": "3.19.1",
    "config": {"name": "main", "wals_directory": "/srv/barman/main/wals/", "conninfo": "host=x password=s3cret",
               "retention_policy": "RECOVERY WINDOW OF 30 DAYS", "msg_list": []}
}"#;

fn parse(text: &str) -> Result<SyncInfo, SyncInfoError> {
    SyncInfo::parse(text.as_bytes())
}

#[test]
fn an_answer_is_read_without_its_password() {
    let info = parse(MINIMAL).unwrap();
    assert_eq!(info.version, Some(BarmanVersion::new(3, 19, 1)));
    assert_eq!((info.last_name.unwrap().to_string().as_str(), info.last_position), ("000000010000000000000003", 57));
    assert_eq!(info.backups.len(), 1);
    assert_eq!(info.wals[0].compression.unwrap().as_str(), "gzip");
    assert_eq!(info.config.wals_directory.as_ref().unwrap().as_str(), "/srv/barman/main/wals");
    assert_eq!(info.config.retention_policy.as_deref(), Some("RECOVERY WINDOW OF 30 DAYS"));
    assert!(!format!("{info:?}").contains("s3cret"));
}

#[test]
fn banners_and_noise_around_the_answer_do_not_matter() {
    for (before, after) in [
        ("", ""),
        ("Welcome {user}!\n{\"motd\": {\"backup\": 1}}\n", "\nConnection closed }\n"),
        ("\u{1b}[31m{{{\r\n", "{\"wals\": 1}"),
        ("no line break", "}"),
    ] {
        let stdout = format!("{before}{MINIMAL}{after}");
        let Ok(Framed::Json(json)) = frame(stdout.as_bytes()) else { panic!("{before}") };
        assert_eq!(SyncInfo::parse(json), parse(MINIMAL));
    }
}

#[test]
fn only_barmans_own_sentence_means_inactive() {
    let stdout = b"motd {x}\nSkipping inactive server 'main'\n";
    assert_eq!(frame(stdout), Ok(Framed::Inactive("Skipping inactive server 'main'".to_owned())));
    for other in
        ["", "Skipping passive server 'main'", "ERROR: Unknown server 'x'\u{1b}[2J", "Skipping inactive server "]
    {
        let Err(SyncInfoError::NotJson { excerpt }) = frame(other.as_bytes()) else { panic!("{other}") };
        assert!(!excerpt.contains('\u{1b}'));
    }
}

#[test]
fn an_answer_that_ends_early_is_cut_off() {
    for end in 1..MINIMAL.len() {
        assert_eq!(parse(&MINIMAL[..end]), Err(SyncInfoError::CutOff { bytes: end }), "{end}");
    }
}

#[test]
fn another_shape_is_reported_with_its_key() {
    for (from, to, at) in [
        ("57", "\"x\"", "last_position"),
        ("57", "-1", "last_position"),
        ("\"size\": 7", "\"size\": null", "wals[0].size"),
        ("\"size\": 7,", "", "wals[0]"),
        ("\"wals\": [{", "\"wals\": [7, {", "wals[0]"),
        ("\"wals\"", "\"walls\"", "(top level)"),
        ("{\"status\": \"DONE\",", "[], \"x\": {", "backups.20261122T125916"),
        ("\"name\": \"main\"", "\"name\": 7", "config.name"),
    ] {
        let error = parse(&MINIMAL.replacen(from, to, 1)).unwrap_err();
        assert!(matches!(&error, SyncInfoError::Shape { at: found, .. } if found == at), "{at}: {error:?}");
    }
}

#[test]
fn names_that_could_do_harm_are_refused_by_key() {
    for (from, to, at) in [
        ("\"name\": \"000000010000000000000002\"", r#""name": "../../etc/passwd""#, "wals[0].name"),
        ("000000010000000000000003", r"\u001b[2J", "last_name"),
        ("20261122T125916", "../20261122T1259", "backups"),
        ("\"gzip\"", "\"a b\"", "wals[0].compression"),
        ("\"main\"", "\"../main\"", "config.name"),
        ("/srv/barman/main/wals/", "/srv/../etc", "config.wals_directory"),
        ("/srv/barman/main/wals/", "s3://bucket/x", "config.wals_directory"),
        ("/srv/barman/main/wals/", "relative", "config.wals_directory"),
        ("3.19.1", "new", "version"),
    ] {
        let error = parse(&MINIMAL.replacen(from, to, 1)).unwrap_err();
        assert!(matches!(&error, SyncInfoError::InvalidName { at: found, .. } if found == at), "{at}: {error:?}");
        assert!(!error.to_string().contains('\u{1b}'));
    }
}

#[test]
fn what_is_no_json_and_what_is_nested_too_deeply_is_malformed() {
    let deep = format!("{{\"other\": {}", "[".repeat(100_000));
    let deep_backup = MINIMAL.replacen("\"DONE\"", &"[".repeat(100_000), 1);
    for text in [r#"{"wals": [}"#, "{\"wals\": \u{1}}", &deep_backup] {
        let error = parse(text).unwrap_err();
        assert!(matches!(error, SyncInfoError::Malformed { .. }), "{error:?}");
    }
    assert!(parse(&deep).is_err());
}

#[test]
fn an_empty_archive_has_no_last_name() {
    let info = parse(r#"{"last_position": 0, "last_name": "", "backups": {}, "wals": []}"#).unwrap();
    assert_eq!(info.last_name, None);
}

/// Run by hand: `cargo test --release million -- --ignored --nocapture`.
#[test]
#[ignore = "measures, with optimisation"]
fn a_million_wal_files_are_read_in_about_a_second() {
    let wal = |n: u32| {
        let (log, seg) = (n / 256, n % 256);
        format!(
            "        {{\n            \"compression\": null,\n            \"encryption\": null,\n            \
             \"name\": \"00000001{log:08X}{seg:08X}\",\n            \"size\": 16777216,\n            \
             \"time\": 1795352352.2619777\n        }}"
        )
    };
    let wals: Vec<String> = (0..1_000_000).map(wal).collect();
    let json = format!("{{\"backups\": {{}}, \"wals\": [\n{}\n]}}", wals.join(",\n"));
    let start = Instant::now();
    assert_eq!(parse(&json).unwrap().wals.len(), 1_000_000);
    println!("{} MB of sync-info in {:?}", json.len() / 1_000_000, start.elapsed());
}

proptest! {
    #[test]
    fn any_bytes_are_read_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..200), at in 0..600_usize) {
        let _ = frame(&bytes);
        let _ = SyncInfo::parse(&bytes);
        let mut damaged = MINIMAL.as_bytes().to_vec();
        let at = at % damaged.len();
        damaged.splice(at..at, bytes);
        if let Ok(Framed::Json(json)) = frame(&damaged) {
            let _ = SyncInfo::parse(json);
        }
    }
}

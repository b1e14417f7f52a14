//! Names that a primary must not send: none becomes a path, a word of a shell, or a sequence on a terminal.

use serde_json::{Value, json};

use crate::bench::{Bench, snapshot};

const BACKUP: &str = "20261122T030000";

/// Applies with each of these changes to a good answer; nothing beside the catalog may change.
#[track_caller]
fn applies_harmlessly(changes: &[(&str, Value)]) {
    let bench = Bench::start();
    let good = bench.sync_info("main");
    for (pointer, value) in changes {
        let mut answer = good.clone();
        *answer.pointer_mut(pointer).unwrap_or_else(|| panic!("no {pointer}")) = value.clone();
        bench.says("main", &answer);
        let before = snapshot(&bench.path("primary"));
        let applied = bench.antipode(&["apply", "--auto-approve", "--lock-timeout", "1s"]);
        println!("{pointer} = {value}: {applied}");
        assert!(matches!(applied.code, Some(0 | 1 | 4)), "{applied}");
        bench.outside_is_untouched();
        assert_eq!(snapshot(&bench.path("primary")), before);
        let strange = snapshot(&bench.catalog()).into_keys().find(|path| {
            let text = path.display().to_string();
            text.contains("..") || text.contains("etc") || text.chars().any(char::is_control)
        });
        assert_eq!(strange, None);
    }
}

#[test]
fn hostile_names_of_wal_are_refused_by_name() {
    let bench = Bench::in_sync();
    let good = bench.sync_info("main");
    for evil in [
        "../../outside/canary",
        "/etc/passwd",
        "00000001\u{1b}]0;owned\u{7}",
        "a\nb",
        "\u{202e}1000",
        "-rf",
        "a/b",
        "a b;rm -rf /",
    ] {
        for pointer in ["/wals/3/name", "/last_name"] {
            let mut answer = good.clone();
            *answer.pointer_mut(pointer).unwrap() = evil.into();
            bench.says("main", &answer);
            let at = if pointer == "/last_name" { "`last_name`" } else { "`wals[3].name`" };
            bench.refuses_to_plan(&["main (frankfurt)", at, "is not a"]);
        }
    }
    bench.outside_is_untouched();
}

#[test]
fn hostile_ids_of_backups_are_refused_by_name() {
    let bench = Bench::in_sync();
    let good = bench.sync_info("main");
    for evil in ["../../outside", "/etc", "20261122T030000/..", "20261122T0300\u{1b}[2J", "", "20261122T030000\n"] {
        let mut answer = good.clone();
        let backup = answer["backups"][BACKUP].clone();
        answer["backups"].as_object_mut().unwrap().insert(evil.to_owned(), backup);
        bench.says("main", &answer);
        bench.refuses_to_plan(&["main (frankfurt)", "`backups`"]);
    }
    bench.outside_is_untouched();
}

#[test]
fn hostile_directories_are_refused_by_name() {
    let bench = Bench::in_sync();
    let good = bench.sync_info("main");
    for key in ["backup_directory", "basebackups_directory", "wals_directory"] {
        for evil in ["relative", "/var/../etc", "/a\u{1b}[31m", "-e sh", "host:/etc"] {
            let mut answer = good.clone();
            answer["config"][key] = evil.into();
            bench.says("main", &answer);
            let planned = bench.refuses_to_plan(&["main (frankfurt)"]);
            assert!(planned.output.contains(key) || planned.output.contains("is refused"), "{planned}");
        }
    }
    bench.outside_is_untouched();
}

#[test]
fn hostile_metadata_of_backups_keeps_that_backup_back() {
    let backup = format!("/backups/{BACKUP}");
    let at = |key: &str| format!("{backup}/{key}");
    let keys: Vec<(String, Value)> = vec![
        (at("begin_wal"), json!("../../../outside/canary")),
        (at("end_wal"), json!("FFFFFFFFFFFFFFFFFFFFFFFF")),
        (at("parent_backup_id"), json!("../../outside")),
        (at("children_backup_ids"), json!("20261121T030000,../../../etc")),
        (at("tablespaces"), json!([["side", "../../../outside", "/srv/side"]])),
        (at("tablespaces"), json!([["\u{1b}[31mside", 16384, "/srv/../../etc\u{1b}[2J"]])),
        (at("systemid"), json!("77\n\u{1b}[31m")),
        (at("size"), json!(-1)),
    ];
    let changes: Vec<(&str, Value)> = keys.iter().map(|(key, value)| (key.as_str(), value.clone())).collect();
    applies_harmlessly(&changes);
}

#[test]
fn hostile_texts_of_backups_do_not_reach_the_terminal() {
    let backup = format!("/backups/{BACKUP}");
    let at = |key: &str| format!("{backup}/{key}");
    let keys: Vec<(String, Value)> = vec![
        (at("status"), json!("\u{1b}[31mDONE")),
        (at("mode"), json!("x\nstatus=DONE\n\u{1b}[31m")),
        (at("server_name"), json!("../../outside\u{1b}[31m")),
        (at("error"), json!("\u{1b}]0;owned\u{7}\nbegin_wal=../../x")),
        (at("compression"), json!("../../outside\u{9b}31m")),
        (at("config_file"), json!("x\nmode=rsync\u{202e}")),
        ("/version".to_owned(), json!("3.19.1\u{1b}[31m")),
        ("/config/retention_policy".to_owned(), json!("\u{1b}[31m")),
    ];
    let changes: Vec<(&str, Value)> = keys.iter().map(|(key, value)| (key.as_str(), value.clone())).collect();
    applies_harmlessly(&changes);
}

#[test]
fn hostile_names_of_servers_are_not_mirrored() {
    let bench = Bench::start();
    bench.lists("\u{1b}[31mWelcome\u{1b}[0m to fra\n../../outside\n-rf\n/etc\nall\n.hidden\nred\u{1b}[31m\nmain\n");
    bench.declare(&bench.site_with(&bench.ssh_command(), "mirrors: [{primary: frankfurt}]\n"));
    let planned = bench.antipode(&["plan", "--detailed-exitcode"]);
    planned.expect(2).says(&["1 replica", "main (frankfurt)"]);
    bench.antipode(&["apply", "--auto-approve"]).expect(0);
    bench.antipode(&["plan", "--detailed-exitcode", "-vv"]).expect(0);
    bench.outside_is_untouched();
}

//! A primary behind ssh and the same one by its path are the same primary, whatever its archive looks like. Its
//! `sync-info` leaves out what Barman's does.

use std::fs;
use std::io::Write;
use std::path::Path;

use antipode::barman::ids::ServerName;
use antipode::barman::layout::ServerDirs;
use antipode::demo::damage::Damage;
use serde_json::Value;

use crate::bench::Bench;
use crate::demo;

/// What somebody or something did to the primary's catalog of the server.
type Change = (&'static str, fn(&Path));

const CHANGES: [Change; 8] = [
    ("nothing", |_| {}),
    ("two files without a line", |main| unlist(main, &["000000010000000000000005", "000000010000000000000009"])),
    ("a file that was compressed later", compress_later),
    ("a file that is gone", |main| fs::remove_file(wal(main, "000000020000000000000017")).unwrap()),
    ("a file of nothing", |main| fs::write(wal(main, "00000001000000000000000A"), "").unwrap()),
    ("ids against the order of the timelines", reorder_backups),
    ("no backup", |main| ["base", "meta"].iter().for_each(|below| empty(&main.join(below)))),
    ("the layout of Barman 3.12", age),
];

fn wal(main: &Path, name: &str) -> std::path::PathBuf {
    main.join("wals").join(&name[..16]).join(name)
}

fn unlist(main: &Path, names: &[&str]) {
    let path = main.join("wals/main-xlog.db");
    let lines = fs::read_to_string(&path).unwrap();
    let kept = lines.lines().filter(|line| !names.iter().any(|name| line.split('\t').next() == Some(name)));
    fs::write(path, kept.map(|line| format!("{line}\n")).collect::<String>()).unwrap();
}

fn compress_later(main: &Path) {
    let path = wal(main, "000000010000000000000006");
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(&fs::read(&path).unwrap()).unwrap();
    fs::write(path, encoder.finish().unwrap()).unwrap();
}

/// The backup on timeline 2 becomes the older one: everything of timeline 1 sorts before it.
fn reorder_backups(main: &Path) {
    let (old, new) = ("20261122T030000", "20261120T030000");
    fs::rename(main.join("base").join(old), main.join("base").join(new)).unwrap();
    let info = fs::read_to_string(main.join(format!("meta/{old}-backup.info"))).unwrap();
    fs::write(main.join(format!("meta/{new}-backup.info")), info.replace(old, new)).unwrap();
    fs::remove_file(main.join(format!("meta/{old}-backup.info"))).unwrap();
}

fn empty(directory: &Path) {
    fs::remove_dir_all(directory).unwrap();
    fs::create_dir(directory).unwrap();
}

fn age(main: &Path) {
    fs::rename(main.join("wals/main-xlog.db"), main.join("wals/xlog.db")).unwrap();
    for entry in fs::read_dir(main.join("meta")).unwrap().map(Result::unwrap) {
        let name = entry.file_name().into_string().unwrap();
        let (id, kind) = name.split_once('-').unwrap();
        let to = if kind == "keep" { "annotations/keep" } else { kind };
        let to = main.join("base").join(id).join(to);
        fs::create_dir_all(to.parent().unwrap()).unwrap();
        fs::rename(entry.path(), to).unwrap();
    }
    fs::remove_dir(main.join("meta")).unwrap();
}

/// A primary that answers `sync-info` as Barman would, out of its catalog as that is now.
fn bench() -> Bench {
    let bench = Bench::start();
    let conf = bench.path("barman.conf");
    let home = bench.path("primary");
    let server = "conninfo = host=nowhere\nssh_command = ssh nowhere\nbackup_method = rsync\narchiver = on\n";
    fs::write(&conf, format!("[barman]\nbarman_home = {}\n[main]\n{server}", home.display())).unwrap();
    let program = env!("CARGO_BIN_EXE_antipode");
    bench.runs("main", &format!("exec {program} sync-info main -c {}", conf.display()));
    let by_path = format!(
        "version: 1\nsite: lisbon\ncatalog: {{path: '{}', deep_every: always, reserve: none, barman: '3.19.1'}}\nprimaries: {{frankfurt: {{path: '{}'}}}}\n\
         replicas: {{main: {{primary: frankfurt}}}}\n",
        bench.catalog().display(),
        home.display()
    );
    fs::write(bench.path("by-path.yaml"), by_path).unwrap();
    bench
}

/// What a plan tells of the archive: what is shipped, how it is described, what is noted, and where that leads.
fn archive(bench: &Bench, site_file: &str) -> (Vec<Value>, Value, Value) {
    let planned = bench.antipode(&["plan", "--format", "json", "-f", site_file]);
    let text = planned.output.split("--- stderr\n").next().unwrap();
    let plan: Value = serde_json::from_str(text).unwrap_or_else(|error| panic!("{error}: {planned}"));
    let replica = &plan["replicas"][0];
    let is_of_archive = |action: &&Value| {
        matches!(action["kind"].as_str(), Some("wal" | "history" | "server" | "xlog.db" | "sync-wals.info"))
    };
    let told = |action: &Value| serde_json::json!([action["address"], action["reason"], action["change"]]);
    let actions = replica["actions"].as_array().unwrap().iter().filter(is_of_archive).map(told).collect();
    (actions, replica["notes"].clone(), replica["after"].clone())
}

fn renew(bench: &Bench) {
    fs::remove_dir_all(bench.path("primary")).unwrap();
    demo::write_whole(&bench.path("primary"));
}

#[test]
fn both_ways_of_asking_give_the_same_archive_and_the_plan_ends() {
    let bench = bench();
    for (name, change) in CHANGES {
        renew(&bench);
        empty(&bench.catalog());
        change(&bench.path("primary/main"));
        let (by_ssh, by_path) = (archive(&bench, "antipode.yaml"), archive(&bench, "by-path.yaml"));
        assert_eq!(by_ssh, by_path, "{name}");
        assert!(by_ssh.0.len() > 3, "{name}: {by_ssh:?}");
        bench.antipode(&["apply", "--auto-approve"]).expect(0);
        for site_file in ["antipode.yaml", "by-path.yaml"] {
            let again = bench.antipode(&["plan", "--detailed-exitcode", "-f", site_file]);
            assert_eq!(again.code, Some(0), "{name}: {again}");
        }
    }
}

#[test]
fn damage_at_the_primary_looks_the_same_from_both_ways() {
    let bench = bench();
    let server: ServerName = "main".parse().unwrap();
    for damage in Damage::ALL {
        renew(&bench);
        damage.inflict(&ServerDirs::of_catalog(&bench.path("primary"), server.clone())).unwrap();
        assert_eq!(archive(&bench, "antipode.yaml"), archive(&bench, "by-path.yaml"), "{damage}");
    }
}

#[test]
fn what_a_primary_does_not_list_or_lists_otherwise_is_shipped_named_and_described() {
    let bench = bench();
    let main = bench.path("primary/main");
    unlist(&main, &["000000010000000000000005"]);
    compress_later(&main);
    fs::write(wal(&main, "000000020000000000000016"), "").unwrap();
    fs::write(wal(&main, "000000010000000000000005").with_extension("tmp"), "x").unwrap();
    fs::write(wal(&main, "000000020000000000000019").with_extension("partial"), "x").unwrap();
    let said = [
        "WAL file 000000010000000000000005 is on the primary's disk and not in its xlog.db",
        "run `barman rebuild-xlogdb main` there",
        "WAL file 000000010000000000000006 has",
        "and 1 048 576 in its xlog.db",
        "WAL file 000000020000000000000016 is empty on the primary's disk",
    ];
    bench.antipode(&["plan"]).expect(0).says(&said);
    bench.antipode(&["apply", "--auto-approve"]).expect(0);
    bench.antipode(&["plan", "--detailed-exitcode"]).expect(0).says(&said);
    let lines = fs::read_to_string(bench.catalog().join("main/wals/main-xlog.db")).unwrap();
    let line =
        |name: &str| lines.lines().find(|line| line.starts_with(name)).unwrap_or_else(|| panic!("{name}: {lines}"));
    assert!(line("000000010000000000000005").ends_with("\tNone\tNone"), "{lines}");
    assert!(line("000000010000000000000006").ends_with("\tgzip\tNone"), "{lines}");
    assert!(!lines.contains("000000020000000000000016") && !lines.contains("000000020000000000000019"), "{lines}");
}

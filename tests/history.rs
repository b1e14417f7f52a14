//! `antipode history`, of runs of the program over the demo's catalogs.

use std::fs;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use antipode::store::locks::{Lock, LockKind};
use serde_json::Value;

#[path = "support/place.rs"]
mod place;

use place::Place;

const LINES: &str = "lisbon/.antipode/journal/lines.jsonl";
const LIST: &str = "lisbon/main/wals/main-xlog.db";

/// The history as programs read it, and the exit code.
fn history(place: &Place, arguments: &str) -> (i32, Value) {
    let (code, text) = place.antipode(&format!("history {arguments} --format json"));
    let document: Value = serde_json::from_str(&text).unwrap_or_else(|error| panic!("{error}: {text}"));
    let schema = serde_json::from_str(&antipode::schemas::Name::History.text()).unwrap();
    let schema = jsonschema::validator_for(&schema).unwrap();
    schema.validate(&document).unwrap_or_else(|error| panic!("{error}: {text}"));
    (code, document)
}

/// Of each run, newest first: its command, its end, and the outcome of its first replica.
fn told(document: &Value) -> Vec<[String; 3]> {
    let text = |value: &Value| value.as_str().unwrap_or("-").to_owned();
    let runs = document["runs"].as_array().unwrap().iter();
    runs.map(|run| [&run["by"]["command"], &run["ended"], &run["replicas"][0]["outcome"]].map(text)).collect()
}

fn rows(expected: &[&str]) -> Vec<[String; 3]> {
    let row = |row: &&str| row.split(' ').map(str::to_owned).collect::<Vec<_>>().try_into().unwrap();
    expected.iter().map(row).collect()
}

fn break_list(place: &Place) {
    let list = fs::read_to_string(place.path(LIST)).unwrap();
    fs::write(place.path(LIST), format!("{list}{list}")).unwrap();
}

/// Commits the site file; the commit.
fn commit(place: &Place) -> String {
    let git = "git -c user.name=x -c user.email=x@example.com";
    let output =
        place.shell(&format!("git init -q && git add antipode.yaml && {git} commit -qm x && git rev-parse HEAD"));
    assert!(output.status.success(), "{output:?}");
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

#[test]
fn what_runs_did_is_told_newest_first_and_quiet_runs_only_where_that_is_news() {
    let mut place = Place::new();
    assert_eq!(place.antipode("history"), (0, "No run is recorded.\n".to_owned()));
    let commit = commit(&place);
    assert_eq!(place.antipode("apply --auto-approve").0, 0);
    place.second_day();
    assert_eq!(place.antipode("plan -o plan.json").0, 0);
    assert_eq!(place.antipode("apply plan.json").0, 0);
    for _ in 0..3 {
        assert_eq!(place.antipode("cron").0, 0);
    }
    break_list(&place);
    assert_eq!(place.antipode("sync-wals main").0, 0);
    let (code, document) = history(&place, "");
    let runs = rows(&["sync-wals by_itself done", "apply by_itself done", "apply by_itself done"]);
    assert_eq!((code, told(&document)), (0, runs), "{document:#}");

    let applied = &document["runs"][1];
    let saved: Value = serde_json::from_str(&fs::read_to_string(place.path("plan.json")).unwrap()).unwrap();
    assert_eq!(applied["by"]["plan"], saved["digest"]);
    assert_eq!(applied["by"]["site_file"]["digest"], saved["site_file"]["digest"]);
    assert_eq!(applied["by"]["site_file"]["commit"], commit);
    let changes = applied["replicas"][0]["changes"].as_array().unwrap();
    let backup = changes.iter().find(|changes| changes["sort"] == "backup").unwrap();
    assert_eq!((&backup["verb"], &backup["why"]), (&"add".into(), &"missing here".into()));
    assert_eq!(backup["addresses"][0], "main/backup/20261122T030000");
    assert!(applied["replicas"][0]["bytes"].as_u64() > Some(0));

    let (code, text) = place.antipode("history main --since 1h");
    assert_eq!(code, 0, "{text}");
    for part in [
        format!("apply of plan {}, ", &saved["digest"].as_str().unwrap()[..12]),
        format!("site file at commit {}", &commit[..12]),
        "      + backup 20261122T030000: missing here\n".to_owned(),
        "      ~ xlog.db: ".to_owned(),
    ] {
        assert!(text.contains(&part), "{part}\n{text}");
    }
    assert_eq!(place.antipode("history --since 2100-01-01").1, "No run is recorded since 2100-01-01 00:00:00Z.\n");
    let (code, unknown) = place.antipode("history mian");
    assert!(code == 1 && unknown.contains("did you mean main?"), "{unknown}");
}

#[test]
fn what_fails_and_what_cannot_be_seen_is_told_once_and_so_is_that_it_is_over() {
    let place = Place::new();
    assert_eq!(place.antipode("cron").0, 0);
    fs::rename(place.path("frankfurt"), place.path("gone")).unwrap();
    for _ in 0..2 {
        assert_eq!(place.antipode("cron").0, 1);
    }
    fs::rename(place.path("gone"), place.path("frankfurt")).unwrap();
    for _ in 0..2 {
        assert_eq!(place.antipode("cron").0, 0);
    }
    // A WAL file that is missing here, and broken at the primary.
    let wals = fs::read_dir(place.path("lisbon/main/wals/0000000100000000")).unwrap();
    let wal =
        wals.map(|entry| entry.unwrap().path()).filter(|path| path.file_name().unwrap().len() == 24).max().unwrap();
    fs::remove_file(&wal).unwrap();
    let there = place.path("frankfurt/main/wals/0000000100000000").join(wal.file_name().unwrap());
    fs::write(&there, fs::read(&there).unwrap().iter().map(|byte| !byte).collect::<Vec<_>>()).unwrap();
    let (code, said) = place.antipode("apply --auto-approve");
    assert_eq!(code, 4, "{said}");
    let (_, document) = history(&place, "");
    let before =
        rows(&["apply by_itself failed", "cron by_itself in_sync", "cron by_itself unobserved", "cron by_itself done"]);
    assert_eq!(told(&document), before, "{document:#}");
    let failure = &document["runs"][0]["replicas"][0]["failures"][0];
    assert!(failure["address"].as_str().unwrap().starts_with("main/wal/"), "{failure}");
    assert!(document["runs"][2]["replicas"][0]["failures"][0]["kind"].is_string(), "{document:#}");
}

#[test]
fn a_stale_plan_that_was_refused_is_told_with_its_digest() {
    let place = Place::new();
    assert_eq!(place.antipode("plan -o plan.json").0, 0);
    assert_eq!(place.antipode("apply --auto-approve").0, 0);
    assert_eq!(place.antipode("apply plan.json").0, 1);
    let (_, document) = history(&place, "");
    assert_eq!(told(&document), rows(&["apply by_itself -", "apply by_itself done"]), "{document:#}");
    let refused = &document["runs"][0];
    assert_eq!(
        (&refused["errors"][0]["kind"], refused["by"]["plan"].as_str().map(str::len)),
        (&"stale".into(), Some(64))
    );
}

#[test]
fn a_run_that_was_killed_is_told_and_one_that_is_at_work_is_not_mistaken_for_it() {
    let place = Place::new();
    let lisbon = place.path("lisbon");
    fs::create_dir(&lisbon).unwrap();
    // A Barman that works on the server: the run has begun, and waits for it before it changes anything.
    let held = Lock::try_acquire(&LockKind::Cron.path(&lisbon, &"main".parse().unwrap())).unwrap();
    let mut child = Command::new(env!("CARGO_BIN_EXE_antipode"))
        .args(["apply", "--auto-approve", "--lock-timeout", "1h"])
        .current_dir(place.path(""))
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    let at_work = loop {
        let (code, document) = history(&place, "");
        if document["runs"].as_array().is_some_and(|runs| !runs.is_empty()) {
            break (code, told(&document));
        }
        assert_eq!(child.try_wait().unwrap(), None, "it waits");
    };
    assert_eq!(at_work, (0, rows(&["apply not_yet unknown"])));
    child.kill().unwrap();
    child.wait().unwrap();
    let (code, document) = history(&place, "");
    assert_eq!((code, told(&document)), (0, rows(&["apply unknown unknown"])), "{document:#}");
    assert!(place.antipode("history").1.contains("of no known end"));
    drop(held);
    assert_eq!(place.antipode("apply --auto-approve").0, 0);
    let (code, document) = history(&place, "");
    assert_eq!((code, told(&document)), (0, rows(&["apply by_itself done", "apply unknown unknown"])), "{document:#}");
}

#[test]
fn a_line_that_is_missing_or_changed_is_an_error_that_says_where() {
    let mut place = Place::new();
    assert_eq!(place.antipode("apply --auto-approve").0, 0);
    place.second_day();
    assert_eq!(place.antipode("apply --auto-approve").0, 0);
    let lines = fs::read_to_string(place.path(LINES)).unwrap();
    let all: Vec<&str> = lines.lines().collect();
    assert_eq!(all.len(), 4, "{lines}");
    for (content, what) in [
        (format!("{}\n{}\n{}\n", all[0], all[1], all[3]), "line 3 is missing"),
        (format!("{}\n{}\n{}\n", all[0], all[1], all[2]), "line 4 is missing"),
        (lines.replacen("\"user\":\"", "\"user\":\"not", 1), "line 1 is not as it was written"),
        (String::new(), "lines 1 to 4 are missing"),
    ] {
        fs::write(place.path(LINES), content).unwrap();
        let (code, text) = place.antipode("history");
        assert_eq!(code, 1, "{text}");
        assert!(text.contains(&format!("the history of lisbon is not whole: {what}\n")), "{what}\n{text}");
        let (code, document) = history(&place, "");
        assert_eq!((code, document["breaks"].as_array().unwrap().len()), (1, 1), "{document:#}");
    }
    fs::write(place.path(LINES), &lines).unwrap();
    assert_eq!(place.antipode("history").0, 0);
}

#[test]
fn a_run_that_cannot_be_recorded_warns_and_does_its_work() {
    let place = Place::new();
    let journal: PathBuf = place.path("lisbon/.antipode/journal");
    fs::create_dir_all(journal.parent().unwrap()).unwrap();
    fs::write(&journal, "").unwrap();
    let (code, said) = place.antipode("apply --auto-approve");
    assert_eq!(code, 0, "{said}");
    assert!(said.contains("Warning: this run is not recorded for `antipode history`: "), "{said}");
    assert_eq!(place.antipode("plan --detailed-exitcode").0, 0);
}

//! kill -9 whenever the program has said something.

use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};

use serde_json::Value;

use super::ground::{Ground, TestSite};
use super::readable::assert_readable;

/// Applies in a process of its own, which is killed after this many lines: whether it said as many, and the bytes that
/// it said were brought by what it finished.
fn apply_and_kill(site: &TestSite, lines: usize) -> (bool, u64) {
    let mut child = Command::new(env!("CARGO_BIN_EXE_antipode"))
        .args(["apply", "--auto-approve", "--json", "-f"])
        .arg(&site.file)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let said: Vec<String> =
        BufReader::new(child.stdout.take().unwrap()).lines().take(lines).map(Result::unwrap).collect();
    // It may have ended by itself.
    child.kill().unwrap();
    child.wait().unwrap();
    let events = said.iter().map(|line| serde_json::from_str::<Value>(line).unwrap());
    let finished = events.filter(|event| event["type"] == "finished").map(|event| event["bytes"].as_u64().unwrap());
    (said.len() == lines, finished.sum())
}

/// What was finished is not brought again: what is left and what was brought are no more than a run without a kill brings,
/// but for what tells that files which are here already are right.
async fn killed_at_every_line(site: impl Fn(&str) -> TestSite) {
    let undisturbed = site("undisturbed");
    let needed = undisturbed.converge().await;
    for lines in 1.. {
        let site = site(&format!("killed-{lines}"));
        let (was_killed, brought) = apply_and_kill(&site, lines);
        assert_readable(&site.dirs());
        let rest = site.converge().await;
        let again = (rest + brought).saturating_sub(needed);
        assert!(
            again <= needed / 100,
            "killed after {lines} lines: {brought} of {needed} brought, and {rest} after it"
        );
        site.assert_same(&undisturbed, &format!("killed after {lines} lines"));
        std::fs::remove_dir_all(&site.catalog).unwrap();
        if !was_killed {
            assert!(lines > 10, "it said only {lines} lines");
            assert_eq!((rest, brought), (0, needed));
            return;
        }
    }
}

#[tokio::test]
async fn an_empty_site_is_filled_after_a_kill() {
    let ground = Ground::new().await;
    killed_at_every_line(|name| ground.empty_site(name)).await;
}

#[tokio::test]
async fn a_site_catches_up_after_a_kill() {
    let ground = Ground::new().await;
    killed_at_every_line(|name| ground.day_old_site(name)).await;
}

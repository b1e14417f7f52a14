//! kill -9 whenever the program has said something.

use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};

use super::ground::{Ground, TestSite};
use super::readable::assert_readable;

/// Applies in a process of its own, which is killed after this many lines; whether it said as many.
fn apply_and_kill(site: &TestSite, lines: usize) -> bool {
    let mut child = Command::new(env!("CARGO_BIN_EXE_antipode"))
        .args(["apply", "--auto-approve", "-f"])
        .arg(&site.file)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let said = BufReader::new(child.stderr.take().unwrap()).lines().take(lines).count();
    // It may have ended by itself.
    child.kill().unwrap();
    child.wait().unwrap();
    said == lines
}

async fn killed_at_every_line(site: impl Fn(&str) -> TestSite) {
    let undisturbed = site("undisturbed");
    let needed = undisturbed.converge().await;
    for lines in 1.. {
        let site = site(&format!("killed-{lines}"));
        let was_killed = apply_and_kill(&site, lines);
        assert_readable(&site.dirs());
        let rest = site.converge().await;
        assert!(rest <= needed);
        site.assert_same(&undisturbed, &format!("killed after {lines} lines"));
        std::fs::remove_dir_all(&site.catalog).unwrap();
        if !was_killed {
            assert!(lines > 10, "it said only {lines} lines");
            assert_eq!(rest, 0);
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

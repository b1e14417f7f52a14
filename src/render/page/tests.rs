//! The page of sites in several states.

use super::*;
use crate::plan::status::{SiteStatus, status};
use crate::render::tests::situations;

fn kept(now: Timestamp) -> Kept {
    Kept {
        observed: now,
        due: Some(now + std::time::Duration::from_secs(40)),
        failing: None,
        waiting: Waiting::default(),
        backups: Vec::new(),
        doing: Vec::new(),
        runs: Vec::new(),
    }
}

/// A situation as a page, after something was changed.
fn told(name: &str, change: impl Fn(&mut SiteStatus, &mut Vec<Kept>)) -> String {
    let situation = situations::named(name);
    let mut status = status(&situation.plan, &situation.replicas, &situation.observation, situation.now);
    let mut all: Vec<Kept> = status.replicas.iter().map(|_| kept(situation.now)).collect();
    change(&mut status, &mut all);
    let plans: Vec<_> = situation.plan.replicas.iter().collect();
    page(Page { status: &status, plans: &plans, kept: &all, new: &[], wrong: &[], now: situation.now })
}

/// What a reader without pictures is told, in lines.
fn text(html: &str) -> String {
    let body = html.split_once("<body>").unwrap().1;
    let mut out = String::new();
    let mut is_tag = false;
    for c in body.chars() {
        match c {
            '<' => is_tag = true,
            '>' => {
                is_tag = false;
                out.push('\n');
            }
            c if !is_tag => out.push(c),
            _ => {}
        }
    }
    out.lines().map(str::trim).filter(|line| !line.is_empty()).collect::<Vec<_>>().join("\n")
}

#[test]
fn a_site_that_is_well_says_so_first() {
    let page = told("in_sync", |_, _| {});
    let said = text(&page);
    assert!(said.lines().take(3).any(|line| line.ends_with("replicas well.")), "{said}");
    assert!(!page.contains("<script") && !page.contains("http://") && !page.contains("https://"), "{page}");
    assert!(page.contains("http-equiv=\"refresh\"") && page.contains("lang=\"en\""));
}

#[test]
fn what_runs_waits_fails_and_was_done_is_told() {
    let page = told("catching_up", |_, kept| {
        let now = kept[0].observed;
        kept[0].doing.push(Doing {
            what: "copying backup/20261122T030000".into(),
            arrived: 3 << 30,
            total: 12 << 30,
            began: now - std::time::Duration::from_secs(60),
        });
        kept[0].runs.push(Run {
            ended: now,
            what: "3 WAL segments added, 48 MiB in 2 s, 1 failed".into(),
            failed: true,
        });
        kept[0].waiting.for_person.prune.backups = 2;
        kept[0].failing = Some(Failing {
            what: "the connection was lost".into(),
            hint: Some("see to the line".into()),
            since: now,
            times: 3,
        });
    });
    let said = text(&page);
    for sentence in [
        "copying backup/20261122T030000: 3 GiB of 12 GiB, 51.2 MiB/s, for 1 min",
        "3 WAL segments added, 48 MiB in 2 s, 1 failed",
        "prune 2 backups. `antipode plan` shows it, and `antipode apply` does it.",
        "the connection was lost",
        "3 times in a row, since",
        "at work",
    ] {
        assert!(said.contains(sentence), "{sentence}: {said}");
    }
    insta::assert_snapshot!("page", said);
}

#[test]
fn no_text_of_anybody_becomes_markup() {
    let page = told("in_sync", |_, kept| {
        let now = kept[0].observed;
        let what = "</p><script>alert(1)</script>\u{202e}\u{7}".to_owned();
        kept[0].runs.push(Run { ended: now, what: what.clone(), failed: false });
        kept[0].failing = Some(Failing { what, hint: None, since: now, times: 1 });
    });
    assert!(page.contains("&lt;script&gt;") && !page.contains("<script"), "{page}");
    assert!(!page.contains('\u{202e}') && !page.contains('\u{7}'));
}

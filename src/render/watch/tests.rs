//! What somebody sees who watches.

use super::*;
use crate::plan::status::SiteStatus;
use crate::plan::status::ongoing::{Doing, Ongoing};
use crate::render::tests::situations;

/// A situation on a terminal of so many columns and lines, after something was changed.
fn shown(name: &str, (columns, rows): (u16, usize), change: impl Fn(&mut SiteStatus, Timestamp)) -> String {
    let situation = situations::named(name);
    let now = situation.now;
    let mut status =
        crate::plan::status::status(&situation.plan, &situation.replicas, &situation.observation, situation.now);
    change(&mut status, now);
    let backups = situation.observation.replicas.iter().map(|(name, seen)| (name.clone(), seen.replica.ends()));
    let told = Told { status: &status, plan: &situation.plan, now, quiet: false };
    let (backups, history) = (backups.collect(), History::default());
    let watched = Watched { told, backups: &backups, history: &history, wrong: &[], every: 10 };
    watch(watched, Style { width: Some(columns), ..Style::default() }, rows)
}

#[test]
fn windows_backups_and_what_runs_are_drawn() {
    let text = shown("catching_up", (120, 50), |status, now| {
        let began = now - std::time::Duration::from_secs(60);
        let what = "copying backup/20261122T030000".to_owned();
        let doing = vec![Doing { what, arrived: 3 << 30, total: 12 << 30, began }];
        let ongoing =
            Ongoing { pid: Some(7), command: Some("antipode run".to_owned()), began, last_progress: now, doing };
        status.replicas[0].ongoing = Some(ongoing);
    });
    insta::assert_snapshot!(text);
}

#[test]
fn no_line_is_wider_than_the_terminal_and_none_is_below_its_end() {
    for name in ["catching_up", "in_sync"] {
        for (columns, rows) in [(40, 12), (80, 24), (200, 60)] {
            let text = shown(name, (columns, rows), |_, _| {});
            assert!(text.lines().count() <= rows, "{name} {rows}:\n{text}");
            let bars = text.lines().filter(|line| line.contains('━'));
            let widest = bars.map(width).max().unwrap_or_default();
            assert!(widest <= usize::from(columns).max(50), "{name} {columns}:\n{text}");
        }
    }
}

#[test]
fn what_has_no_room_is_counted() {
    assert_eq!(fitting("a\nb\nc\n", "end", 4), "a\nb\n\nend; 1 more than fit here\n");
    assert_eq!(fitting("a\nb\nc\n", "end", 5), "a\nb\nc\n\nend\n");
}

#[test]
fn every_cell_is_of_its_time() {
    let at = |second: i64| Timestamp::from_second(second).unwrap();
    let backups =
        [("20261122T030000".parse().unwrap(), Some(at(0))), ("20261122T040000".parse().unwrap(), Some(at(50)))];
    let situation = situations::named("in_sync");
    let status =
        crate::plan::status::status(&situation.plan, &situation.replicas, &situation.observation, situation.now);
    let mut replica = status.replicas[0].clone();
    (replica.recovery.from, replica.recovery.to) = (Some(at(0)), Some(at(80)));
    let (_, scale) = since_oldest(&replica, &backups, at(100)).unwrap();
    let bar = |window| drawn(Line::new(), (scale, 11), window, &[at(0), at(50)]).text(false);
    assert_eq!(bar(window(&replica)), "┿━━━━┿━━━╌╌");
    assert_eq!(bar(None), "┼╌╌╌╌┼╌╌╌╌╌");
}

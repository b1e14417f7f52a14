//! What an apply shows: bars in a terminal, lines elsewhere, and no complaint when nobody reads.

use crate::antipode;
use crate::ground::Lab;
use crate::process::{program, run};
use crate::running::Link;
use crate::scenario;
use crate::terminal::in_terminal;

const ESCAPE: char = '\u{1b}';

/// Colours are `ESC [ ... m`; bars move the cursor with other sequences.
fn has_colour(text: &str) -> bool {
    text.split(ESCAPE).skip(1).any(|rest| {
        let rest = rest.trim_start_matches('[').trim_start_matches(|c: char| c.is_ascii_digit() || c == ';');
        rest.starts_with('m')
    })
}

#[test]
fn a_terminal_shows_bars_and_without_one_there_are_lines() {
    let lab = Lab::new();
    let link = Link::new(&lab, &scenario::two_timelines().primary, &["bandwidth: 16MiB/s"]);
    let shown = in_terminal(&link.site.directory, &["apply", "--auto-approve"], &[], "");
    assert_eq!(shown.code, 0, "{}", shown.text);
    assert!(shown.text.contains(ESCAPE) && shown.text.contains('━'), "{}", shown.text);
    assert!(has_colour(&shown.text), "{}", shown.text);

    let lab = Lab::new();
    let link = Link::new(&lab, &scenario::two_timelines().primary, &[]);
    let applied = antipode::antipode(&link.site.directory, &["apply", "--auto-approve"]);
    assert_eq!(applied.code(), 0, "{applied}");
    assert!(!applied.stdout.contains(ESCAPE) && !applied.stderr.contains(ESCAPE), "{applied}");
    assert!(
        applied.stderr.lines().any(|line| line.starts_with("main/backup/") && line.contains("copied and verified"))
    );
}

#[test]
fn no_color_means_none() {
    let lab = Lab::new();
    let link = Link::new(&lab, &scenario::two_timelines().primary, &[]);
    let shown = in_terminal(&link.site.directory, &["apply", "--auto-approve"], &[("NO_COLOR", "1")], "");
    assert_eq!(shown.code, 0, "{}", shown.text);
    assert!(!has_colour(&shown.text), "{:?}", shown.text);
}

#[test]
fn readers_that_go_away_do_not_disturb_an_apply() {
    let lab = Lab::new();
    // Who closes the output before anything is written has asked for what cannot be given; the work is done all the same.
    for (closing, code) in [("| head -1", 0), ("2>&1 | head -1", 0), (">&- 2>&-", 1)] {
        let lab = Lab::new();
        let link = Link::new(&lab, &scenario::two_timelines().primary, &[]);
        let apply = antipode::command(&link.site.directory, &["apply", "--auto-approve"]);
        let program_path = apply.get_program().to_string_lossy().into_owned();
        let mut command = program("bash");
        let script = format!("{program_path} apply --auto-approve {closing}; exit ${{PIPESTATUS[0]}}");
        command.args(["-c", &script]).env("HOME", &link.site.directory).current_dir(&link.site.directory);
        let finished = run(&mut command);
        assert_eq!(finished.code(), code, "{finished}");
        assert!(!finished.stderr.contains("panicked"), "{finished}");
        assert_eq!(link.site.coexisting.backup_ids().len(), scenario::two_timelines().backups.len());
    }
    drop(lab);
}

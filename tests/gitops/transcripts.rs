//! What docs/gitops.md shows of the program's output is what the program prints over the demo's catalogs.

use std::fs;

use crate::place::{Place, blocks, timeless};
use crate::tools::root;

/// The blocks of the page that stand behind this origin.
#[track_caller]
fn shown(language: &str, origin: &str) -> String {
    let page = fs::read_to_string(root("docs/gitops.md")).unwrap();
    let comment = format!("<!-- from: {origin} -->");
    let found: Vec<&str> =
        blocks(&page, language).into_iter().filter(|(before, _)| *before == comment).map(|(_, block)| block).collect();
    let [block] = found[..] else { panic!("{} blocks behind {comment}", found.len()) };
    block.to_owned()
}

#[test]
fn a_new_site_is_planned_refused_and_watched_as_the_page_shows() {
    let mut place = Place::new();
    let (code, comment) = place.antipode("plan -o plan.json --format markdown 2>/dev/null");
    assert_eq!((code, comment), (0, shown("markdown", "antipode plan --format markdown")));

    // Another hand does the work before the merge.
    let (code, said) = place.antipode("apply --auto-approve");
    assert_eq!(code, 0, "{said}");
    let (code, refusal) = place.antipode("apply plan.json");
    assert_eq!((code, refusal), (1, shown("text", "antipode apply plan.json, refused")));

    let (code, status) = place.antipode("status");
    assert_eq!(
        (code, timeless(&status)),
        (0, timeless(&shown("text", "antipode status, after the apply"))),
        "{status}"
    );

    place.second_day();
    let (code, status) = place.antipode("status");
    assert_eq!((code, timeless(&status)), (2, timeless(&shown("text", "antipode status, a day later"))), "{status}");
}

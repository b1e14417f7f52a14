//! What must hold of a comment whatever stands in a plan, judged by a reader of CommonMark.

use std::num::NonZeroUsize;

use proptest::prelude::*;
use pulldown_cmark::{CodeBlockKind, Event, Parser, Tag, TagEnd};

use super::situations;
use crate::error::{Error, Kind};
use crate::plan::Plan;
use crate::render::{Whys, markdown};

fn comment(plan: &Plan, max_chars: usize) -> String {
    markdown(plan, NonZeroUsize::new(max_chars).unwrap(), false, &Whys::default())
}

/// What a reader of Markdown finds in a comment.
#[derive(Debug, Default, PartialEq)]
struct Reading {
    /// Raw HTML, in the order of the text.
    html: Vec<String>,
    /// Text that is not code.
    text: String,
    /// The lines of each block of code, by its language.
    blocks: Vec<(String, Vec<String>)>,
}

fn read(comment: &str) -> Reading {
    let mut reading = Reading::default();
    let mut in_block = false;
    for event in Parser::new(comment) {
        match event {
            Event::Html(html) | Event::InlineHtml(html) => reading.html.push(html.trim().to_owned()),
            Event::Start(Tag::CodeBlock(CodeBlockKind::Fenced(language))) => {
                in_block = true;
                reading.blocks.push((language.to_string(), Vec::new()));
            }
            Event::End(TagEnd::CodeBlock) => in_block = false,
            Event::Text(text) if in_block => {
                let lines = &mut reading.blocks.last_mut().unwrap().1;
                lines.extend(text.lines().map(str::to_owned));
            }
            Event::Text(text) => reading.text.push_str(&text),
            Event::SoftBreak => reading.text.push('\n'),
            Event::Start(Tag::Paragraph | Tag::List(None) | Tag::Item | Tag::Strong | Tag::HtmlBlock)
            | Event::End(_)
            | Event::Code(_) => {}
            other => panic!("{other:?} in\n{comment}"),
        }
    }
    reading
}

/// Everything that a comment of a plan may be.
fn check(plan: &Plan, comment: &str) {
    let reading = read(comment);
    let html: Vec<&str> = reading.html.iter().map(String::as_str).collect();
    let (first, rest) = html.split_first().unwrap();
    assert_eq!(*first, format!("<!-- antipode: site {} -->", plan.site), "{comment}");
    match rest {
        [] => assert!(reading.blocks.is_empty(), "{comment}"),
        [open, "</details>"] => {
            let title = open.strip_prefix("<details><summary>").and_then(|rest| rest.strip_suffix("</summary>"));
            assert!(title.is_some_and(|title| !title.contains(['<', '>', '&', '@'])), "{open}");
            let [(language, lines)] = reading.blocks.as_slice() else { panic!("{comment}") };
            assert_eq!(language, "diff");
            let is_coloured = |line: &str| line.is_empty() || line.starts_with(['+', '-', '!', ' ']);
            assert!(lines.iter().all(|line| is_coloured(line)), "{lines:#?}");
        }
        other => panic!("{other:?} in\n{comment}"),
    }
    for mark in ["@", "://", "www.", "#", "<", "&", "*", "_", "[", "`", "!"] {
        assert!(!reading.text.contains(mark), "{mark} outside of code in\n{comment}");
    }
}

#[test]
fn nothing_breaks_out_of_a_comment() {
    for situation in situations::all() {
        check(&situation.plan, &comment(&situation.plan, 60_000));
    }
}

#[test]
fn a_limit_leaves_out_whole_lines_and_says_how_many() {
    for situation in situations::all() {
        let whole = comment(&situation.plan, usize::MAX);
        let lines: Vec<&str> = whole.lines().collect();
        let verdict: Vec<&str> = lines.iter().take(2).copied().collect();
        let all = whole.chars().count() + 10;
        for limit in (1..all).step_by(all / 30 + 1) {
            let cut = comment(&situation.plan, limit);
            check(&situation.plan, &cut);
            assert!(cut.starts_with(&verdict.join("\n")), "{cut}");
            let omissions: Vec<&str> = cut.lines().filter(|line| line.contains(" left out to keep to ")).collect();
            let kept: Vec<&str> = cut.lines().filter(|line| !omissions.contains(line)).collect();
            assert!(kept.iter().all(|line| lines.contains(line)), "{cut}");
            let least = verdict.join("\n").chars().count() + 1;
            assert!(cut.chars().count() <= limit.max(least), "{limit}: {cut}");
            if cut.chars().count() > least && cut != whole {
                let said: usize = omissions[0].split(" line").next().unwrap().replace(' ', "").parse().unwrap();
                let frame = |lines: &[&str]| {
                    let content = lines.iter().skip(2).filter(|line| !line.is_empty() && !line.starts_with(['<', '`']));
                    content.count()
                };
                let blank = |text: &str| text.split("diff\n").nth(1).map_or(0, blank_lines);
                assert_eq!(said, frame(&lines) + blank(&whole) - frame(&kept) - blank(&cut), "{limit}\n{cut}");
            }
        }
    }
}

/// Empty lines of a block, up to its end.
fn blank_lines(block: &str) -> usize {
    block.lines().take_while(|line| !line.starts_with('`')).filter(|line| line.is_empty()).count()
}

#[test]
fn a_row_in_the_block_begins_with_its_sign() {
    let text = comment(&situations::named("catching_up").plan, 60_000);
    for (sign, noun) in [("+", "backup 20261122T000000"), ("!", "xlog.db"), ("-", "backup 20261119T000000")] {
        assert!(text.lines().any(|line| line.starts_with(sign) && line.contains(noun)), "{sign} {noun}\n{text}");
    }
}

#[test]
fn warnings_and_errors_are_outside_the_folded_part() {
    for (name, words) in [("blocked", "**error** billing:"), ("forty_servers", "**warning** all 40 replicas:")] {
        let text = comment(&situations::named(name).plan, 60_000);
        let before = text.split("<details>").next().unwrap();
        assert!(before.contains(words), "{text}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_text_of_a_primary_stays_text(
        text in r#"([`@<>&*_#!\[\]()~\\"':/ \n\r\t-]|www\.|https://|</details>|<!--|-->|[a-f0-9]{7}|[a-zé]){0,60}"#,
        limit in 1..3000_usize,
    ) {
        let mut plan = situations::named("hostile").plan.clone();
        for replica in &mut plan.replicas {
            replica.notes.push(crate::plan::reason::Note::Primary(text.clone()));
            replica.warnings.push(crate::plan::reason::Warning::OwnRetention(text.clone()));
        }
        plan.replicas[1].outcome = crate::plan::Outcome::Unobserved(Error::new(Kind::Other, text.clone()).hint(text));
        let text = comment(&plan, limit);
        check(&plan, &text);
    }
}

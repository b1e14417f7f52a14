//! docs/gitops.md walks through the examples as they are.

use std::fs;

use crate::place::blocks;
use crate::tools::{example, root};

fn page() -> String {
    fs::read_to_string(root("docs/gitops.md")).unwrap()
}

/// Text without the indent that all its lines share.
fn dedented(text: &str) -> String {
    let indent = |line: &&str| line.len() - line.trim_start().len();
    let least = text.lines().filter(|line| !line.trim().is_empty()).map(|line| indent(&line)).min().unwrap_or(0);
    text.lines().map(|line| format!("{}\n", line.get(least..).unwrap_or_default())).collect()
}

#[test]
fn what_it_shows_of_a_file_stands_in_that_file() {
    let page = page();
    let shown = [blocks(&page, "yaml"), blocks(&page, "ini"), blocks(&page, "bash")].concat();
    assert!(shown.len() >= 5, "{}", shown.len());
    for (comment, block) in shown {
        let file = comment.strip_prefix("<!-- from: ").and_then(|rest| rest.strip_suffix(" -->"));
        let file = file.unwrap_or_else(|| panic!("no file is named before:\n{block}"));
        let is_there = |indent: usize| {
            let indented =
                dedented(block).lines().map(|line| format!("{}{line}", " ".repeat(indent))).collect::<Vec<_>>();
            let indented = indented.iter().map(|line| line.trim_end()).collect::<Vec<_>>().join("\n");
            example(file).contains(&indented)
        };
        assert!((0..16).any(is_there), "this is not in {file}:\n{block}");
    }
}

#[test]
fn every_file_that_it_links_to_is_there() {
    let page = page();
    let links: Vec<&str> = page.split("](").skip(1).filter_map(|rest| rest.split(')').next()).collect();
    let files = links.iter().filter(|link| !link.starts_with("http") && !link.starts_with('#'));
    let mut found = 0;
    for link in files {
        assert!(root("docs").join(link.split('#').next().unwrap()).exists(), "{link}");
        found += 1;
    }
    assert!(found >= 6, "{found}");
}

#[test]
fn every_example_is_linked_from_it() {
    let page = page();
    for entry in fs::read_dir(root("examples/gitops")).unwrap() {
        let name = entry.unwrap().file_name().into_string().unwrap();
        assert!(page.contains(&format!("../examples/gitops/{name}")), "{name}");
    }
}

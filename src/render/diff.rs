//! What changes in a backup.info, line by line.

use similar::{ChangeTag, TextDiff};

use crate::barman::backup_info::BackupInfo;

use super::table::{Detail, Mark};

/// A longer line is shown in part; `-v` shows all of it.
const LONG_LINE: usize = 96;
/// So much of a long line is shown before the place where it begins to differ.
const BEFORE: usize = 16;
/// More lines than this are cut short.
const MANY_LINES: usize = 12;

/// The lines that go and the lines that come.
pub fn lines(from: &BackupInfo, to: &BackupInfo, verbose: bool) -> Vec<Detail> {
    let (from, to) = (text(from), text(to));
    let diff = TextDiff::from_lines(&from, &to);
    let mut lines: Vec<Detail> = Vec::new();
    for change in diff.iter_all_changes().filter(|change| change.tag() != ChangeTag::Equal) {
        let line = change.value().trim_end_matches('\n');
        let (mark, other) = match change.tag() {
            ChangeTag::Delete => (Mark::Remove, &to),
            _ => (Mark::Add, &from),
        };
        let text = if verbose { line.to_owned() } else { excerpt(line, counterpart(line, other)) };
        lines.push(Detail { mark: Some(mark), text });
    }
    // What goes and what comes of one key stand together; the file is sorted by its keys.
    lines.sort_by_key(|line| key(&line.text).to_owned());
    if !verbose && lines.len() > MANY_LINES {
        let more = lines.len() - MANY_LINES;
        lines.truncate(MANY_LINES);
        lines.push(Detail { mark: None, text: format!("… and {more} more lines, `-v` shows them") });
    }
    lines
}

fn text(info: &BackupInfo) -> String {
    info.fields().flat_map(|(key, value)| [key, "=", value, "\n"]).collect()
}

/// The line of the same key in the other file.
fn counterpart<'a>(line: &str, other: &'a str) -> &'a str {
    other.lines().find(|candidate| key(candidate) == key(line)).unwrap_or_default()
}

fn key(line: &str) -> &str {
    line.split('=').next().unwrap_or_default()
}

/// A long line around the place where it differs, with its key.
fn excerpt(line: &str, other: &str) -> String {
    if line.chars().count() <= LONG_LINE {
        return line.to_owned();
    }
    let key = line.find('=').map_or(0, |at| line[..=at].chars().count());
    let same = line.chars().zip(other.chars()).take_while(|(a, b)| a == b).count();
    let start = same.saturating_sub(BEFORE).max(key);
    let shown: String = line.chars().skip(start).take(LONG_LINE - key).collect();
    let front: String = line.chars().take(key).collect();
    let gap = if start > key { "…" } else { "" };
    let end = if start + LONG_LINE - key < line.chars().count() { "…" } else { "" };
    format!("{front}{gap}{shown}{end}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_line_is_shown_where_it_differs() {
        let (a, b) = (format!("key={}A{}", "x".repeat(200), "y".repeat(200)), format!("key={}B", "x".repeat(200)));
        let shown = excerpt(&a, &b);
        assert!(shown.starts_with("key=…xxxx") && shown.contains("xAy") && shown.ends_with('…'), "{shown}");
        assert_eq!(excerpt("key=short", ""), "key=short");
    }
}

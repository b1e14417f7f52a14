//! Key paths, where in the file each of them stands, and what is quoted of it.

use std::collections::BTreeMap;
use std::fmt;

use super::tree::{Node, Value};
use crate::diag::Span;

/// A longer line is quoted up to here.
const LONG_LINE: usize = 100;

/// The way from the top of the file to a value: `replicas.main.backups[0].last`.
#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct KeyPath(Vec<Step>);

/// One step of a key path.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
enum Step {
    Key(String),
    Item(usize),
}

impl KeyPath {
    /// The path of these keys, from the top of the file.
    pub fn new<'a>(keys: impl IntoIterator<Item = &'a str>) -> Self {
        Self(keys.into_iter().map(|key| Step::Key(key.to_owned())).collect())
    }

    /// One key further down.
    #[must_use]
    pub fn key(&self, key: &str) -> Self {
        self.step(Step::Key(key.to_owned()))
    }

    /// The item of a list, counted from 0.
    #[must_use]
    pub fn item(&self, index: usize) -> Self {
        self.step(Step::Item(index))
    }

    /// Whether this is an item of a list.
    pub(super) fn is_item(&self) -> bool {
        matches!(self.0.last(), Some(Step::Item(_)))
    }

    fn step(&self, step: Step) -> Self {
        let mut path = self.clone();
        path.0.push(step);
        path
    }

    /// The path below `defaults` that this one inherits from, if it is inside a replica or a mirror.
    fn inherited(&self) -> Option<Self> {
        match self.0.as_slice() {
            [Step::Key(section), _, rest @ ..] if section == "replicas" || section == "mirrors" => {
                let steps = [Step::Key("defaults".to_owned())].into_iter().chain(rest.iter().cloned());
                Some(Self(steps.collect()))
            }
            _ => None,
        }
    }
}

/// Keys that would read as something else are quoted: `replicas."pg.prod".backups`.
impl fmt::Display for KeyPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, step) in self.0.iter().enumerate() {
            match step {
                Step::Item(index) => write!(f, "[{index}]")?,
                Step::Key(key) => {
                    let dot = if i == 0 { "" } else { "." };
                    let bare = !key.is_empty() && key.chars().all(|c| c.is_alphanumeric() || matches!(c, '_' | '-'));
                    if bare { write!(f, "{dot}{key}")? } else { write!(f, "{dot}{key:?}")? }
                }
            }
        }
        Ok(())
    }
}

/// Where every key path of a site file stands.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct LineNumbers(BTreeMap<KeyPath, KeySpans>);

/// The spans of one key path.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct KeySpans {
    /// Its key; for an item of a list its value.
    name: Span,
    value: Span,
}

impl LineNumbers {
    /// The line that decides a key path: its own, else that of `defaults` which it inherits.
    /// `None` when the file does not say it, so that a built-in default holds.
    pub fn line(&self, path: &KeyPath) -> Option<usize> {
        self.place(path).map(|place| place.name.line)
    }

    /// What to mark for a mistake in a value.
    pub(super) fn value(&self, path: &KeyPath) -> Span {
        self.place(path).map(|place| if place.value.length == 0 { place.name } else { place.value }).unwrap_or_default()
    }

    fn place(&self, path: &KeyPath) -> Option<KeySpans> {
        let own = self.0.get(path);
        own.or_else(|| self.0.get(&path.inherited()?)).copied()
    }

    pub(super) fn of(root: &Node) -> Self {
        let mut lines = Self::default();
        lines.add(root, &KeyPath::default());
        lines
    }

    fn add(&mut self, node: &Node, path: &KeyPath) {
        for entry in node.entries() {
            let path = path.key(&entry.key);
            self.add(&entry.node, &path);
            self.0.entry(path).or_insert(KeySpans { name: entry.key_span, value: entry.node.span });
        }
        let Value::List(items) = &node.value else { return };
        for (i, item) in items.iter().enumerate() {
            let path = path.item(i);
            self.add(item, &path);
            self.0.insert(path, KeySpans { name: item.span, value: item.span });
        }
    }
}

/// A site file that was read: what the person calls it, its text, and where everything stands.
#[derive(Debug, Clone, Copy)]
pub struct Quotes<'a> {
    /// What the person calls it.
    pub name: &'a str,
    /// Its text.
    pub text: &'a str,
    /// The line of each key path.
    pub lines: &'a LineNumbers,
}

impl Quotes<'_> {
    /// Where the file decides a key path: `lisbon.yaml:23`. `None` when it says nothing, so that a default holds.
    pub fn place(&self, path: &KeyPath) -> Option<String> {
        Some(format!("{}:{}", self.name, self.lines.line(path)?))
    }

    /// The same with the line itself: `lisbon.yaml:23: backups: [{last: 7}]`.
    pub fn quote(&self, path: &KeyPath) -> Option<String> {
        let line = self.text.lines().nth(self.lines.line(path)?.checked_sub(1)?)?.trim();
        let end = line.char_indices().nth(LONG_LINE);
        let shown = end.map_or_else(|| line.to_owned(), |(end, _)| format!("{}…", line.get(..end).unwrap_or_default()));
        Some(format!("{}: {shown}", self.place(path)?))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_with_a_dot_is_quoted() {
        let path = KeyPath::new(["replicas", "pg.prod", "backups"]).item(0).key("last");
        assert_eq!(path.to_string(), "replicas.\"pg.prod\".backups[0].last");
    }

    #[test]
    fn a_replica_inherits_the_lines_of_defaults() {
        let text = "defaults:\n  wals:\n    from: backups-only\nreplicas:\n  main:\n    wals: {unfinished: true}\n";
        let lines = LineNumbers::of(&super::super::tree::parse(text).unwrap());
        let line = |keys: &[&str]| lines.line(&KeyPath::new(keys.iter().copied()));
        assert_eq!(line(&["replicas", "main", "wals", "unfinished"]), Some(6));
        assert_eq!(line(&["replicas", "main", "wals", "from"]), Some(3));
        assert_eq!(line(&["replicas", "main", "prune"]), None);
        assert_eq!(line(&["catalog"]), None);
    }

    #[test]
    fn a_line_is_quoted_without_its_indent_and_a_long_one_in_part() {
        let text = format!("replicas:\n  main:\n    backups:\n      - last: 7 # {}\n", "é".repeat(120));
        let lines = LineNumbers::of(&super::super::tree::parse(&text).unwrap());
        let quotes = Quotes { name: "lisbon.yaml", text: &text, lines: &lines };
        let rule = KeyPath::new(["replicas", "main", "backups"]).item(0);
        let quoted = quotes.quote(&rule).unwrap();
        assert!(quoted.starts_with("lisbon.yaml:4: - last: 7 # éé") && quoted.ends_with("é…"), "{quoted}");
        assert_eq!(quotes.place(&KeyPath::new(["replicas", "main", "prune"])), None);
    }
}

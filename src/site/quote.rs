//! A site file to quote from.

use super::path::{KeyPath, LineNumbers};

/// A longer line is quoted up to here.
const LONG_LINE: usize = 100;

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

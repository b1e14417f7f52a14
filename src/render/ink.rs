//! Lines of coloured text: how wide they are, where they break, and how they reach a terminal unharmed.

use anstyle::{AnsiColor, Style};
use unicode_width::UnicodeWidthStr;

use crate::barman::ids::{is_unprintable, printable};

/// What a piece of text is for; its colour follows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ink {
    /// Nothing special.
    Plain,
    /// A name that a reader looks for.
    Strong,
    /// An explanation.
    Dim,
    /// What is added, and what is well.
    Add,
    /// What is changed, and what deserves attention.
    Caution,
    /// What is removed, and what is wrong.
    Remove,
}

impl Ink {
    fn style(self) -> Style {
        let colour = |colour: AnsiColor| Style::new().fg_color(Some(colour.into()));
        match self {
            Self::Plain => Style::new(),
            Self::Strong => Style::new().bold(),
            Self::Dim => Style::new().dimmed(),
            Self::Add => colour(AnsiColor::Green),
            Self::Caution => colour(AnsiColor::Yellow),
            Self::Remove => colour(AnsiColor::Red),
        }
    }
}

/// One line, in pieces.
#[derive(Debug, Clone, Default)]
pub struct Line {
    pieces: Vec<(Ink, String)>,
}

impl Line {
    /// An empty line.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds text; whatever could move a cursor is made harmless here, wherever it came from.
    #[must_use]
    pub fn with(mut self, ink: Ink, text: impl AsRef<str>) -> Self {
        self.pieces.push((ink, clean(text.as_ref())));
        self
    }

    /// The same behind a text.
    #[must_use]
    pub fn behind(mut self, text: &str) -> Self {
        self.pieces.insert(0, (Ink::Plain, clean(text)));
        self
    }

    /// Adds spaces up to a column.
    #[must_use]
    pub fn pad_to(self, column: usize) -> Self {
        let missing = column.saturating_sub(self.width());
        self.with(Ink::Plain, " ".repeat(missing))
    }

    /// Its columns.
    pub fn width(&self) -> usize {
        self.pieces.iter().map(|(_, text)| width(text)).sum()
    }

    /// As text, without spaces at its end.
    pub fn text(&self, colour: bool) -> String {
        let mut out = String::new();
        let is_blank = |(_, text): &(Ink, String)| text.trim_end().is_empty();
        let end = self.pieces.iter().rposition(|piece| !is_blank(piece)).map_or(0, |last| last + 1);
        for (i, (ink, text)) in self.pieces.iter().take(end).enumerate() {
            let text = if i + 1 == end { text.trim_end() } else { text };
            let style = ink.style();
            // Spaces need no colour, and of a plain style both ends are empty.
            if colour && !text.trim().is_empty() {
                out.extend([style.render().to_string().as_str(), text, style.render_reset().to_string().as_str()]);
            } else {
                out.push_str(text);
            }
        }
        out
    }

    /// Writes it with a line break, without spaces at its end.
    pub fn write_to(&self, out: &mut String, colour: bool) {
        out.push_str(&self.text(colour));
        out.push('\n');
    }
}

/// The columns that a text takes.
pub fn width(text: &str) -> usize {
    UnicodeWidthStr::width(text)
}

/// A text that can be printed: line breaks and tabs become spaces, other control and formatting characters are escaped.
pub fn clean(text: &str) -> String {
    if !text.chars().any(is_unprintable) {
        return text.to_owned();
    }
    printable(&text.replace("\r\n", "\n").replace(['\n', '\r', '\t'], " "))
}

/// Breaks a text between words so that no line is wider than `columns`, except by a single word.
pub fn wrap(text: &str, columns: usize) -> Vec<String> {
    let text = clean(text);
    let mut lines: Vec<String> = Vec::new();
    for word in text.split(' ') {
        match lines.last_mut() {
            Some(line) if width(line) + 1 + width(word) <= columns => {
                line.push(' ');
                line.push_str(word);
            }
            _ => lines.push(word.to_owned()),
        }
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_that_moves_a_cursor_gets_through() {
        assert_eq!(clean("a\u{1b}[31mb\nc\u{202e}d"), "a\\u{1b}[31mb c\\u{202e}d");
        let mut out = String::new();
        Line::new().with(Ink::Plain, "x\u{1b}]0;owned\u{7}").write_to(&mut out, false);
        assert_eq!(out, "x\\u{1b}]0;owned\\u{7}\n");
    }

    #[test]
    fn words_wrap_and_are_never_cut() {
        assert_eq!(wrap("one two three", 7), ["one two", "three"]);
        assert_eq!(wrap("incomprehensibilities are long", 9), ["incomprehensibilities", "are long"]);
        assert_eq!(wrap("", 9), [""]);
    }

    #[test]
    fn a_line_ends_with_its_last_character() {
        let mut out = String::new();
        Line::new().with(Ink::Add, "x ").pad_to(9).write_to(&mut out, true);
        assert_eq!(out, "\u{1b}[32mx\u{1b}[0m\n");
    }
}

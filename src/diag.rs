//! Mistakes in a file that a person wrote: where they are, what is wrong, what to write instead.
//!
//! Rendering is pure. The caller knows the terminal: its width, and whether it wants colour.

use std::fmt;

use miette::{GraphicalReportHandler, GraphicalTheme, LabeledSpan, NamedSource, SourceCode};
use schemars::JsonSchema;
use serde::Serialize;

use crate::barman::ids::{is_unprintable, printable};
use crate::barman::secret::{with_secrets_covered, without_secrets};

/// The version of the JSON form; it changes when a reader of the last one would be misled.
pub const FORMAT_VERSION: u32 = 1;

/// A place in a source text.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, JsonSchema)]
pub struct Span {
    /// The line, from 1.
    pub line: usize,
    /// The column in characters, from 1.
    pub column: usize,
    /// The first byte, from 0.
    pub offset: usize,
    /// How many bytes; 0 for a place between two characters.
    pub length: usize,
}

impl Span {
    /// The text that it marks.
    pub fn of(self, text: &str) -> &str {
        text.get(self.offset..self.offset + self.length).unwrap_or_default()
    }
}

/// How bad it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// The file cannot be used.
    Error,
    /// The file can be used, and probably does not say what was meant.
    Warning,
}

/// One mistake.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Diagnostic {
    /// How bad it is.
    pub severity: Severity,
    /// The kind of mistake in a word that never changes, for example `unknown-key`.
    pub code: &'static str,
    /// What is wrong, one sentence without a full stop.
    pub message: String,
    /// The key path, for example `replicas.main.backups[0].last`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub path: Option<String>,
    /// Where it is; `None` when it is about the whole file.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub span: Option<Span>,
    /// A few words under the marked text.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub label: Option<String>,
    /// What to write instead.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub help: Option<String>,
}

impl Diagnostic {
    /// An error that is about the whole file until it is placed.
    pub fn error(code: &'static str, message: impl Into<String>) -> Self {
        let message = without_secrets(&printable(&message.into()));
        Self { severity: Severity::Error, code, message, path: None, span: None, label: None, help: None }
    }

    /// Says where it is.
    #[must_use]
    pub fn at(mut self, path: impl fmt::Display, span: Span) -> Self {
        self.path = Some(path.to_string()).filter(|path| !path.is_empty());
        self.span = Some(span);
        self
    }

    /// Adds a few words under the marked text.
    #[must_use]
    pub fn label(mut self, label: impl Into<String>) -> Self {
        self.label = Some(without_secrets(&label.into()));
        self
    }

    /// Adds what to write instead.
    #[must_use]
    pub fn help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(without_secrets(&printable(&help.into())));
        self
    }
}

/// Every mistake of one file, in the order of its lines.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Diagnostics {
    source_name: String,
    list: Vec<Diagnostic>,
}

/// The text with every character that could steer a terminal replaced by one of as many bytes, as places are offsets.
fn harmless(text: &str) -> String {
    let replaced = |c: char| match c.len_utf8() {
        _ if matches!(c, '\n' | '\t') || !is_unprintable(c) => c,
        1 if c == '\r' => ' ',
        1 => '?',
        2 => '\u{bf}',
        3 => char::REPLACEMENT_CHARACTER,
        _ => '\u{1fbc4}',
    };
    text.chars().map(replaced).collect()
}

impl Diagnostics {
    /// The mistakes of the source that the person knows by this name, usually a path.
    pub fn new(source_name: &str, mut list: Vec<Diagnostic>) -> Self {
        list.sort_by_key(|diagnostic| diagnostic.span);
        Self { source_name: source_name.to_owned(), list }
    }

    /// The mistakes in the order of their lines.
    pub fn list(&self) -> &[Diagnostic] {
        &self.list
    }

    /// Shows each mistake with its source line, for a terminal `width` columns wide.
    pub fn render(&self, text: &str, colour: bool, width: usize) -> String {
        let theme = if colour { GraphicalTheme::unicode() } else { GraphicalTheme::unicode_nocolor() };
        let handler =
            GraphicalReportHandler::new_themed(theme).with_links(false).with_width(width).with_context_lines(1);
        let source = NamedSource::new(&self.source_name, harmless(&with_secrets_covered(text)));
        let mut out = String::new();
        for (i, diagnostic) in self.list.iter().enumerate() {
            if i > 0 {
                out.push('\n');
            }
            // Writing to a String cannot fail; if it did, the sentence alone must still arrive.
            if handler.render_report(&mut out, &Snippet { diagnostic, source: &source }).is_err() {
                out.push_str(&diagnostic.message);
                out.push('\n');
            }
        }
        out
    }

    /// The JSON form.
    pub fn json(&self) -> Report<'_> {
        let errors = self.list.iter().filter(|diagnostic| diagnostic.severity == Severity::Error).count();
        let source = &self.source_name;
        Report { format_version: FORMAT_VERSION, source, valid: errors == 0, errors, diagnostics: &self.list }
    }
}

/// What is wrong with one file, for editors and pipelines.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(title = "Antipode diagnostics")]
pub struct Report<'a> {
    /// The version of this form; it changes when a reader of the last one would be misled.
    #[schemars(extend("const" = FORMAT_VERSION))]
    format_version: u32,
    /// The file, by the name it was given on the command line.
    source: &'a str,
    /// Whether the file can be used.
    valid: bool,
    /// How many errors there are.
    errors: usize,
    /// Every mistake, in the order of the lines; none in a valid file.
    diagnostics: &'a [Diagnostic],
}

/// One line a mistake, as compilers print it: `site.yaml:3:5: error: …`.
impl fmt::Display for Diagnostics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, diagnostic) in self.list.iter().enumerate() {
            let newline = if i == 0 { "" } else { "\n" };
            write!(f, "{newline}{}:", self.source_name)?;
            if let Some(span) = diagnostic.span {
                write!(f, "{}:{}:", span.line, span.column)?;
            }
            write!(f, " {}", diagnostic.message)?;
        }
        Ok(())
    }
}

impl std::error::Error for Diagnostics {}

/// A diagnostic beside its source, as miette wants it.
struct Snippet<'a> {
    diagnostic: &'a Diagnostic,
    source: &'a NamedSource<String>,
}

impl fmt::Debug for Snippet<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.diagnostic.fmt(f)
    }
}

impl fmt::Display for Snippet<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.diagnostic.message)
    }
}

impl std::error::Error for Snippet<'_> {}

impl miette::Diagnostic for Snippet<'_> {
    fn severity(&self) -> Option<miette::Severity> {
        Some(match self.diagnostic.severity {
            Severity::Error => miette::Severity::Error,
            Severity::Warning => miette::Severity::Warning,
        })
    }

    fn help<'a>(&'a self) -> Option<Box<dyn fmt::Display + 'a>> {
        self.diagnostic.help.as_ref().map(|help| Box::new(help) as Box<dyn fmt::Display>)
    }

    fn source_code(&self) -> Option<&dyn SourceCode> {
        self.diagnostic.span.map(|_| self.source as &dyn SourceCode)
    }

    fn labels(&self) -> Option<Box<dyn Iterator<Item = LabeledSpan> + '_>> {
        let span = self.diagnostic.span?;
        let label = LabeledSpan::new(self.diagnostic.label.clone(), span.offset, span.length);
        Some(Box::new(std::iter::once(label)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample() -> Diagnostics {
        let span = Span { line: 2, column: 1, offset: 11, length: 4 };
        let error =
            Diagnostic::error("unknown-key", "unknown key `sita`").at("sita", span).help("did you mean `site`?");
        Diagnostics::new("site.yaml", vec![error.label("not a key of this map")])
    }

    #[test]
    fn without_colour_there_is_no_escape_and_with_colour_the_same_words() {
        let plain = sample().render("version: 1\nsita: x\n", false, 80);
        assert!(!plain.contains('\u{1b}'));
        insta::assert_snapshot!(plain, @r#"
         × unknown key `sita`
          ╭─[site.yaml:2:1]
        1 │ version: 1
        2 │ sita: x
          · ──┬─
          ·   ╰── not a key of this map
          ╰────
         help: did you mean `site`?
        "#);
        assert!(sample().render("version: 1\nsita: x\n", true, 80).contains('\u{1b}'));
    }

    #[test]
    fn the_json_form_is_complete() {
        let json = serde_json::to_string_pretty(&sample().json()).unwrap();
        insta::assert_snapshot!(json, @r#"
        {
          "format_version": 1,
          "source": "site.yaml",
          "valid": false,
          "errors": 1,
          "diagnostics": [
            {
              "severity": "error",
              "code": "unknown-key",
              "message": "unknown key `sita`",
              "path": "sita",
              "span": {
                "line": 2,
                "column": 1,
                "offset": 11,
                "length": 4
              },
              "label": "not a key of this map",
              "help": "did you mean `site`?"
            }
          ]
        }
        "#);
    }

    #[test]
    fn one_line_form() {
        assert_eq!(sample().to_string(), "site.yaml:2:1: unknown key `sita`");
    }
}

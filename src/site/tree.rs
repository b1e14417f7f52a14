//! The file as a tree of values that know where they stand.
//!
//! serde stops at the first mistake; a reader that reports them all needs the whole tree first.

use std::fmt;

use serde::Deserialize;
use serde::de::{self, MapAccess, SeqAccess, Visitor};
use serde_yaml::{DuplicateKeyPolicy, Location, Spanned};

use crate::diag::{Diagnostic, Span};

/// A value of the file and the place where it stands.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Node {
    pub value: Value,
    /// Empty for a value that is not written out (`key:` and nothing after it).
    pub span: Span,
}

/// What YAML can hold, as far as a site file needs it.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Value {
    Null,
    Bool(bool),
    Integer(i128),
    /// Any other number; nothing in a site file is one.
    Float,
    Text(String),
    List(Vec<Node>),
    /// In the order of the file, with keys that occur twice still there.
    Map(Vec<Entry>),
}

/// A key and its value.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Entry {
    pub key: String,
    pub key_span: Span,
    pub node: Node,
}

impl Value {
    /// What a person calls this kind of value.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Null => "nothing",
            Self::Bool(_) => "a boolean",
            Self::Integer(_) => "an integer",
            Self::Float => "a number with a point",
            Self::Text(_) => "a text",
            Self::List(_) => "a list",
            Self::Map(_) => "a map",
        }
    }
}

impl Node {
    /// The value of a key, when this is a map that has it.
    pub fn get(&self, key: &str) -> Option<&Node> {
        self.entries().iter().find(|entry| entry.key == key).map(|entry| &entry.node)
    }

    /// The entries of a map; none for any other value.
    pub fn entries(&self) -> &[Entry] {
        match &self.value {
            Value::Map(entries) => entries,
            _ => &[],
        }
    }
}

/// Reads YAML text; the one mistake that is reported alone is one of YAML's syntax.
pub(super) fn parse(text: &str) -> Result<Node, Box<Diagnostic>> {
    let options = serde_yaml::options! {
        duplicate_keys: DuplicateKeyPolicy::PassThrough,
        strict_booleans: true,
        reject_unsupported_tags: true,
        with_snippet: false,
    };
    match serde_yaml::from_str_with_options::<Spanned<Unplaced>>(text, options) {
        Ok(root) => Ok(place(root, text)),
        Err(error) => Err(Box::new(syntax_error(&error, text))),
    }
}

/// The tree as serde builds it: serde-saphyr supplies the places.
#[derive(Debug)]
enum Unplaced {
    Scalar(Value),
    List(Vec<Spanned<Unplaced>>),
    Map(Vec<(Spanned<Unplaced>, Spanned<Unplaced>)>),
}

impl<'de> Deserialize<'de> for Unplaced {
    fn deserialize<D: de::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(UnplacedVisitor)
    }
}

struct UnplacedVisitor;

impl<'de> Visitor<'de> for UnplacedVisitor {
    type Value = Unplaced;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a YAML value")
    }

    fn visit_unit<E>(self) -> Result<Unplaced, E> {
        Ok(Unplaced::Scalar(Value::Null))
    }

    fn visit_bool<E>(self, value: bool) -> Result<Unplaced, E> {
        Ok(Unplaced::Scalar(Value::Bool(value)))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Unplaced, E> {
        Ok(Unplaced::Scalar(Value::Integer(value.into())))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Unplaced, E> {
        Ok(Unplaced::Scalar(Value::Integer(value.into())))
    }

    fn visit_i128<E>(self, value: i128) -> Result<Unplaced, E> {
        Ok(Unplaced::Scalar(Value::Integer(value)))
    }

    fn visit_f64<E>(self, _: f64) -> Result<Unplaced, E> {
        Ok(Unplaced::Scalar(Value::Float))
    }

    fn visit_str<E>(self, value: &str) -> Result<Unplaced, E> {
        Ok(Unplaced::Scalar(Value::Text(value.to_owned())))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut access: A) -> Result<Unplaced, A::Error> {
        let mut items = Vec::new();
        while let Some(item) = access.next_element()? {
            items.push(item);
        }
        Ok(Unplaced::List(items))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut access: A) -> Result<Unplaced, A::Error> {
        let mut entries = Vec::new();
        while let Some(entry) = access.next_entry()? {
            entries.push(entry);
        }
        Ok(Unplaced::Map(entries))
    }
}

/// Gives every node its span. What an alias stands for is placed where it was written.
fn place(node: Spanned<Unplaced>, text: &str) -> Node {
    let value = match node.value {
        Unplaced::Scalar(value) => value,
        Unplaced::List(items) => Value::List(items.into_iter().map(|item| place(item, text)).collect()),
        Unplaced::Map(entries) => Value::Map(entries.into_iter().map(|(key, node)| entry(key, node, text)).collect()),
    };
    Node { value, span: span(&node.defined, text) }
}

fn entry(key: Spanned<Unplaced>, node: Spanned<Unplaced>, text: &str) -> Entry {
    let key_span = span(&key.defined, text);
    let key = match key.value {
        Unplaced::Scalar(Value::Text(key)) => key,
        // A server may be called 15, and no key of ours is a list: its text is an unknown key.
        _ => key_span.of(text).to_owned(),
    };
    Entry { key, key_span, node: place(node, text) }
}

fn span(location: &Location, text: &str) -> Span {
    let number = |value: u64| usize::try_from(value).unwrap_or(usize::MAX);
    let (line, column) = (number(location.line()), number(location.column()));
    let bytes = location.span().byte_offset().zip(location.span().byte_len());
    let (offset, length) = match bytes {
        Some((offset, length)) => (number(offset), number(length)),
        // The parser's own errors are counted in characters only.
        None => (text.char_indices().nth(number(location.span().offset())).map_or(text.len(), |(offset, _)| offset), 1),
    };
    let offset = offset.min(text.len());
    // A block scalar ends with a line break, which would draw the mark below the text.
    let length = text.get(offset..(offset + length).min(text.len())).map_or(0, |marked| marked.trim_end().len());
    Span { line, column, offset, length }
}

/// The first tab in an indentation from the line before `line` on: the parser tells where the token before it ended.
fn indenting_tab(text: &str, line: usize) -> Option<Span> {
    let mut offset = 0;
    for (number, content) in text.split_inclusive('\n').enumerate() {
        let indent = content.len() - content.trim_start_matches([' ', '\t']).len();
        if let Some(column) = content[..indent].find('\t').filter(|_| number + 2 >= line) {
            return Some(Span { line: number + 1, column: column + 1, offset: offset + column, length: 1 });
        }
        offset += content.len();
    }
    None
}

fn syntax_error(error: &serde_yaml::Error, text: &str) -> Diagnostic {
    let error = error.without_snippet();
    let place = error.location().map(|location| span(&location, text)).unwrap_or_default();
    if matches!(error, serde_yaml::Error::MultipleDocuments { .. }) {
        let diagnostic = Diagnostic::error("syntax", "the file has several YAML documents").at("", place);
        return diagnostic.help("one file is one site: remove the `---` and what belongs to another");
    }
    // The snippet shows the place, so the sentence does not need to say it.
    let message = error.to_string();
    let suffix = format!(" at line {}, column {}", place.line, place.column);
    let message = message.strip_suffix(&suffix).unwrap_or(&message);
    let tab = message.contains("tab").then(|| indenting_tab(text, place.line)).flatten();
    let place = tab.unwrap_or(place);
    let help = if message.contains("tab") {
        "YAML is indented with spaces: replace the tab"
    } else if message.contains("alias") {
        "name a value with `&NAME` before `*NAME` stands for it, or write the value itself"
    } else {
        "look for a quote or a bracket that is not closed, or an indent that is not that of the lines around it, \
         here or in the line above"
    };
    Diagnostic::error("syntax", format!("this is not YAML: {message}")).at("", place).help(help)
}

//! Holds the tree of a file against the schema, and reports everything that does not fit.
//!
//! What fits comes out as JSON, for serde. What does not is left out, so that the rest can still be judged:
//! a map that loses a key it needs is left out itself.

use std::collections::BTreeMap;

use serde_json::{Map, Value as Json};

use super::expect::{admits, example, expected, is_another_word, is_type, keys, place_of, texts};
use super::path::KeyPath;
use super::scalars;
use super::suggest::{all_of, did_you_mean, nearest, one_of};
use super::tree::{Entry, Node, Value};
use crate::diag::{Diagnostic, Span};

/// The part of a file that fits the schema, and every mistake in the rest.
pub(super) fn fit(root: &Node, schema: &Json, text: &str) -> (Map<String, Json>, Vec<Diagnostic>) {
    let mut reader = Reader { text, mistakes: Vec::new() };
    let start = Here { path: KeyPath::default(), name: Span { line: 1, column: 1, ..Span::default() } };
    let fitting = match &root.value {
        Value::Null => {
            let help = format!("it needs at least {}", all_of(&texts(&schema["required"])));
            reader.report(Diagnostic::error("empty", "the file is empty"), &start, start.name, help);
            Map::new()
        }
        Value::Map(entries) => reader.parts(entries, schema, &start).0,
        _ => {
            reader.wrong_type(root, schema, &start);
            Map::new()
        }
    };
    (fitting, reader.mistakes)
}

struct Reader<'a> {
    text: &'a str,
    mistakes: Vec<Diagnostic>,
}

/// Where the reader is.
struct Here {
    path: KeyPath,
    /// The key that leads here; what is missing is reported at it.
    name: Span,
}

impl Here {
    /// What a sentence is about.
    fn subject(&self) -> String {
        if self.path == KeyPath::default() { "the file".to_owned() } else { format!("`{}`", self.path) }
    }
}

impl Reader<'_> {
    fn node(&mut self, node: &Node, schema: &Json, here: &Here) -> Option<Json> {
        if let Some(choices) = schema["anyOf"].as_array() {
            return match choices.iter().find(|choice| admits(choice, &node.value)) {
                Some(choice) if is_another_word(&node.value, choice) => self.another_word(node, schema, here),
                Some(choice) => self.node(node, choice, here),
                None => self.wrong_type(node, schema, here),
            };
        }
        if let Some(format) = schema["format"].as_str()
            && let Some(verdict) = self.scalar(node, format)
        {
            return self.formatted(node, schema, here, verdict);
        }
        match &node.value {
            value if !admits(schema, value) => self.wrong_type(node, schema, here),
            Value::Map(entries) => self.map(entries, schema, here),
            Value::List(items) => self.list(items, node, schema, here),
            Value::Integer(number) => self.integer(*number, node, schema, here),
            Value::Bool(value) => Some(Json::Bool(*value)),
            Value::Text(text) => self.word(text, node, schema, here),
            Value::Null | Value::Float => None,
        }
    }

    /// Reads a map; one that lacks what it needs is left out.
    fn map(&mut self, entries: &[Entry], schema: &Json, here: &Here) -> Option<Json> {
        let (fitting, complete) = self.parts(entries, schema, here);
        (complete && still_has_what_it_needs(&fitting, schema)).then_some(Json::Object(fitting))
    }

    /// Reads each key of a map by its own schema, then judges what the keys together must be: whether they are.
    fn parts(&mut self, entries: &[Entry], schema: &Json, here: &Here) -> (Map<String, Json>, bool) {
        let mut fitting = Map::new();
        let mut first: BTreeMap<&str, Span> = BTreeMap::new();
        for entry in entries {
            let there = Here { path: here.path.key(&entry.key), name: entry.key_span };
            if let Some(earlier) = first.insert(&entry.key, entry.key_span) {
                self.duplicate(entry, earlier, &there);
                continue;
            }
            if let Some(value) = self.entry(entry, schema, &there) {
                fitting.insert(entry.key.clone(), value);
            }
        }
        let written: Vec<&str> = first.into_keys().collect();
        let complete = self.required(&written, schema, here) & self.exactly_one(&written, schema, here);
        if let Some(least) = schema["minProperties"].as_u64()
            && (written.len() as u64) < least
        {
            let diagnostic = Diagnostic::error("empty", format!("`{}` is empty", here.path));
            self.report(diagnostic, here, here.name, "name at least one");
        }
        (fitting, complete)
    }

    fn entry(&mut self, entry: &Entry, schema: &Json, there: &Here) -> Option<Json> {
        if let Some(value) = schema["properties"].get(&entry.key) {
            return self.node(&entry.node, value, there);
        }
        let Some(values) = schema.get("additionalProperties").filter(|values| values.is_object()) else {
            self.unknown_key(entry, schema, there);
            return None;
        };
        let named = self.entry_name(entry, &schema["propertyNames"], there);
        let value = self.node(&entry.node, values, there);
        value.filter(|_| named)
    }

    /// Judges a key that is a name of the user's choice.
    fn entry_name(&mut self, entry: &Entry, schema: &Json, there: &Here) -> bool {
        let verdict = schema["format"].as_str().and_then(|format| scalars::check(format, &entry.key));
        let Some(Err(mistake)) = verdict else { return true };
        self.report(Diagnostic::error("bad-name", mistake.message), there, entry.key_span, mistake.help);
        false
    }

    /// Reports the keys that must be there and are not; whether all are.
    fn required(&mut self, written: &[&str], schema: &Json, here: &Here) -> bool {
        let known = keys(schema);
        let missing: Vec<&str> = texts(&schema["required"]).into_iter().filter(|key| !written.contains(key)).collect();
        // A key that is only misspelt is reported once, as unknown.
        let misspelt =
            |key: &str| written.iter().any(|word| !known.contains(word) && nearest(word, &known) == Some(key));
        for key in missing.iter().filter(|key| !misspelt(key)) {
            let path = here.path.key(key);
            let described = schema["properties"][*key]["description"].as_str().unwrap_or_default().replace('\n', " ");
            let diagnostic = Diagnostic::error("missing-key", format!("`{key}` is missing in {}", here.subject()));
            self.mistakes.push(diagnostic.at(path, here.name).help(format!("`{key}`: {described}")));
        }
        missing.is_empty()
    }

    /// Reports a `oneOf` of required keys of which not exactly one is there.
    fn exactly_one(&mut self, written: &[&str], schema: &Json, here: &Here) -> bool {
        let Some(choices) = schema["oneOf"].as_array() else { return true };
        let keys: Vec<&str> = choices.iter().flat_map(|choice| texts(&choice["required"])).collect();
        let found: Vec<&str> = keys.iter().copied().filter(|key| written.contains(key)).collect();
        let message = match found.as_slice() {
            [_] => return true,
            [] => format!("`{}` needs one of {}", here.path, one_of(&keys)),
            several => format!("`{}` has {} at once", here.path, all_of(several)),
        };
        let several = if here.path.is_item() { "; write several as several items" } else { "" };
        let help = format!("write exactly one of {}{several}", one_of(&keys));
        self.report(Diagnostic::error("one-of", message), here, here.name, help);
        false
    }

    fn list(&mut self, items: &[Node], node: &Node, schema: &Json, here: &Here) -> Option<Json> {
        if schema["minItems"].as_u64().is_some_and(|least| (items.len() as u64) < least) {
            let diagnostic = Diagnostic::error("empty", format!("`{}` is an empty list", here.path));
            self.report(diagnostic, here, node.span, "write at least one item, or remove the key");
            return None;
        }
        let read = |(i, item): (usize, &Node)| {
            self.node(item, &schema["items"], &Here { path: here.path.item(i), name: item.span })
        };
        Some(items.iter().enumerate().filter_map(read).collect())
    }

    fn integer(&mut self, number: i128, node: &Node, schema: &Json, here: &Here) -> Option<Json> {
        let bound = |key: &str| schema["const"].as_i64().or(schema[key].as_i64()).map(i128::from);
        let (least, most) = (bound("minimum"), bound("maximum"));
        if least.is_none_or(|least| number >= least) && most.is_none_or(|most| number <= most) {
            return i64::try_from(number).ok().map(Json::from);
        }
        let help = match (least, most) {
            (Some(least), Some(most)) if least == most => format!("the only value is {least}"),
            (Some(least), Some(most)) => format!("write a number from {least} to {most}"),
            (Some(least), None) => format!("write {least} or more"),
            _ => format!("write {}", expected(schema)),
        };
        let diagnostic = Diagnostic::error("out-of-range", format!("`{}` cannot be {number}", here.path));
        self.report(diagnostic, here, node.span, help);
        None
    }

    /// Reads a text that is one of a few words, or any text.
    fn word(&mut self, text: &str, node: &Node, schema: &Json, here: &Here) -> Option<Json> {
        if is_another_word(&node.value, schema) {
            return self.another_word(node, schema, here);
        }
        Some(Json::from(text))
    }

    fn another_word(&mut self, node: &Node, schema: &Json, here: &Here) -> Option<Json> {
        let Value::Text(text) = &node.value else { return None };
        let message = format!("`{}` cannot be `{}`", here.path, text.escape_debug());
        let words = texts(&schema["enum"]);
        let help = if words.is_empty() { format!("write {}", expected(schema)) } else { did_you_mean(text, &words) };
        self.report(Diagnostic::error("unknown-value", message), here, node.span, help);
        None
    }

    /// Judges a scalar by its format; `None` for a list, a map, nothing, or a format that is not ours.
    fn scalar(&self, node: &Node, format: &str) -> Option<Result<(), scalars::Mistake>> {
        match &node.value {
            Value::Text(text) => scalars::check(format, text),
            // As it is written: YAML would make 3.1 of 3.10.
            Value::Integer(_) | Value::Float | Value::Bool(_) => scalars::check(format, node.span.of(self.text)),
            Value::Null | Value::List(_) | Value::Map(_) => None,
        }
    }

    /// Takes a scalar with the verdict of its format, if YAML reads it as one of the types that the file may use.
    fn formatted(
        &mut self,
        node: &Node,
        schema: &Json,
        here: &Here,
        verdict: Result<(), scalars::Mistake>,
    ) -> Option<Json> {
        let written = node.span.of(self.text);
        if let Err(mistake) = verdict {
            self.report(Diagnostic::error("bad-value", mistake.message), here, node.span, mistake.help);
            return None;
        }
        match &node.value {
            Value::Text(text) => Some(Json::from(text.as_str())),
            value if admits(schema, value) => Some(Json::from(written)),
            value => {
                let message = format!("YAML reads `{written}` as {}, not as a text", value.kind());
                let help = format!("put it in quotes: \"{written}\"");
                self.report(Diagnostic::error("wrong-type", message), here, node.span, help);
                None
            }
        }
    }

    fn wrong_type(&mut self, node: &Node, schema: &Json, here: &Here) -> Option<Json> {
        let found = node.value.kind();
        let message = format!("{} should be {}, not {found}", here.subject(), expected(schema));
        let help = match &node.value {
            Value::Null => "give it a value, or remove the key".to_owned(),
            Value::Text(text) if is_type(schema, "boolean") => match text.to_ascii_lowercase().as_str() {
                "yes" | "on" | "y" => "write `true`".to_owned(),
                "no" | "off" | "n" => "write `false`".to_owned(),
                _ => "write `true` or `false`".to_owned(),
            },
            Value::Text(_) if is_type(schema, "integer") => {
                "write a number without quotes and without a unit".to_owned()
            }
            Value::Float if is_type(schema, "integer") => "write a whole number, without a point".to_owned(),
            _ => example(schema),
        };
        let label = if node.value == Value::Null { "nothing after it".to_owned() } else { format!("this is {found}") };
        let marked = if node.span.length == 0 { here.name } else { node.span };
        self.report(Diagnostic::error("wrong-type", message).label(label), here, marked, help);
        None
    }

    fn unknown_key(&mut self, entry: &Entry, schema: &Json, there: &Here) {
        let message = format!("unknown key `{}`", entry.key.escape_debug());
        let help = place_of(&entry.key, schema).unwrap_or_else(|| did_you_mean(&entry.key, &keys(schema)));
        self.report(Diagnostic::error("unknown-key", message), there, entry.key_span, help);
    }

    fn duplicate(&mut self, entry: &Entry, earlier: Span, there: &Here) {
        let message = format!("`{}` is written twice", there.path);
        let help = format!("it is already in line {}; keep one of the two", earlier.line);
        self.report(Diagnostic::error("duplicate-key", message), there, entry.key_span, help);
    }

    fn report(&mut self, diagnostic: Diagnostic, here: &Here, span: Span, help: impl Into<String>) {
        self.mistakes.push(diagnostic.at(&here.path, span).help(help));
    }
}

/// Whether what was left out of a map is something that it needs.
fn still_has_what_it_needs(fitting: &Map<String, Json>, schema: &Json) -> bool {
    let has_all = |required: &Json| texts(required).iter().all(|key| fitting.contains_key(*key));
    let choices = schema["oneOf"].as_array();
    has_all(&schema["required"])
        && choices.is_none_or(|choices| choices.iter().any(|choice| has_all(&choice["required"])))
}

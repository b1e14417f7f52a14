//! The values of one section, as Barman works them out: references resolved, escapes and quotes taken away.

use std::collections::BTreeMap;
use std::path::PathBuf;

use super::{BarmanConf, ConfError, GLOBAL};
use crate::barman::server_config::is_inherited;

/// Python refuses deeper references (`configparser.MAX_INTERPOLATION_DEPTH`).
const MAX_DEPTH: usize = 10;

/// A section together with the values that Barman has worked out already: references see those first.
pub struct SectionValues<'a> {
    conf: &'a BarmanConf,
    section: &'a str,
    known: BTreeMap<String, String>,
}

impl<'a> SectionValues<'a> {
    /// A section of which nothing is worked out yet.
    pub fn new(conf: &'a BarmanConf, section: &'a str) -> Self {
        Self { conf, section, known: BTreeMap::new() }
    }

    /// Notes a value that is worked out.
    pub fn know(&mut self, key: &str, value: &str) {
        self.known.insert(key.to_owned(), value.to_owned());
    }

    /// The value of a key: the server's own, else that of `[barman]` where servers inherit it. An empty value
    /// and `None` are null, and stop inheritance.
    pub fn get(&mut self, key: &str) -> Result<Option<String>, ConfError> {
        let mut value = self.own(key)?;
        if value.is_none() && is_inherited(key) {
            value = self.of_all(key)?;
        }
        let value = value.filter(|value| !value.is_empty());
        if let Some(value) = &value {
            self.know(key, value);
        }
        Ok(value)
    }

    /// The path that a key has, or its default.
    pub fn path(&mut self, key: &str, default: PathBuf) -> Result<PathBuf, ConfError> {
        let path = self.get(key)?.map_or(default, PathBuf::from);
        self.know(key, &path.to_string_lossy());
        Ok(path)
    }

    /// What the section itself says; empty for null.
    pub fn own(&self, key: &str) -> Result<Option<String>, ConfError> {
        self.in_section(self.section, key)
    }

    /// What `[barman]` says for all servers; empty for null.
    pub fn of_all(&self, key: &str) -> Result<Option<String>, ConfError> {
        self.in_section(GLOBAL, key)
    }

    /// The value of a key in one section; empty for null.
    pub fn in_section(&self, section: &str, key: &str) -> Result<Option<String>, ConfError> {
        let Some(raw) = self.conf.raw(section, key) else { return Ok(None) };
        let reference = |why| ConfError::Reference { section: section.to_owned(), key: key.to_owned(), why };
        let value = self.interpolate(section, &raw.text, 1).map_err(reference)?;
        // From 3.10 on Barman resolves every value twice, so that a `%` has to be written as four.
        let value = value.replace("%%", "%");
        Ok(Some(if value == "None" { String::new() } else { unquote(&value).to_owned() }))
    }

    /// Replaces `%%` and `%(key)s` (Python `configparser.BasicInterpolation`).
    fn interpolate(&self, section: &str, text: &str, depth: usize) -> Result<String, String> {
        if depth > MAX_DEPTH {
            return Err("it refers to itself".to_owned());
        }
        let mut value = String::new();
        let mut rest = text;
        while let Some((plain, after)) = rest.split_once('%') {
            value.push_str(plain);
            if let Some(after) = after.strip_prefix('%') {
                value.push('%');
                rest = after;
                continue;
            }
            let reference = after.strip_prefix('(').and_then(|after| after.split_once(")s"));
            let (name, after) = reference.ok_or("a `%` must be followed by `%` or `(key)s`")?;
            let name = name.to_lowercase();
            let found = self.known.get(&name).or_else(|| self.conf.raw(section, &name).map(|raw| &raw.text));
            let raw = found.ok_or_else(|| format!("it refers to `{name}`, which is not set"))?;
            value.push_str(&self.interpolate(section, raw, depth + 1)?);
            rest = after;
        }
        Ok(value + rest)
    }
}

/// Barman takes one pair of equal quotes away.
fn unquote(value: &str) -> &str {
    let inside = |quote: char| value.strip_prefix(quote)?.strip_suffix(quote);
    inside('"').or_else(|| inside('\'')).unwrap_or(value)
}

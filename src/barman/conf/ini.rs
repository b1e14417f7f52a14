//! An ini file as Python's `configparser` reads it: sections of keys, with no value resolved yet.

use std::collections::BTreeMap;
use std::sync::Arc;

use configparser::ini::{Ini, IniDefault};

use super::ConfError;

/// Where the reader puts lines before the first section; no file can name it.
const NO_SECTION: &str = "\0";

/// The keys of one section.
pub type Section = BTreeMap<String, Raw>;

/// A value as it stands in a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Raw {
    /// With references, escapes and quotes still in it.
    pub text: String,
    /// The file, as it was named to the reader.
    pub file: Arc<str>,
}

/// A file as sections of keys. Section names keep their case, keys are lowered, as Python does.
pub fn read(file: &str, text: &str) -> Result<BTreeMap<String, Section>, ConfError> {
    let syntax = |why: String| ConfError::Syntax { file: file.to_owned(), why };
    let mut rules = IniDefault::default();
    NO_SECTION.clone_into(&mut rules.default_section);
    rules.case_sensitive = true;
    rules.multiline = true;
    rules.enable_inline_comments = false;
    let sections = Ini::new_from_defaults(rules).read(text.to_owned()).map_err(syntax)?;
    if sections.contains_key(NO_SECTION) {
        return Err(syntax("a line comes before the first [section]".to_owned()));
    }
    let file: Arc<str> = file.into();
    let mut read = BTreeMap::new();
    for (name, keys) in sections {
        let mut section = Section::new();
        for (key, value) in keys {
            let text = value.ok_or_else(|| syntax(format!("[{name}] {key}: the line has no `=`")))?;
            section.insert(key.to_lowercase(), Raw { text, file: Arc::clone(&file) });
        }
        read.insert(name, section);
    }
    Ok(read)
}

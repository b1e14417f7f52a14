//! The Python literals that Barman writes into backup.info with `repr` and reads with `ast.literal_eval`
//! (Barman `infofile.py`: `tablespaces`, `included_files`, `copy_stats`, `backup_label`, `snapshots_info`).

mod json;

pub use json::Allowance;

use std::fmt::{self, Write as _};
use std::str::FromStr;

use super::python_float::python_repr;

/// Deeper nesting is refused: Barman writes three levels, and a reader that recurses must stop somewhere.
const MAX_DEPTH: usize = 64;

/// A value that a Python literal denotes.
#[derive(Debug, Clone, PartialEq)]
pub enum Literal {
    /// `None`
    None,
    /// `True` or `False`
    Bool(bool),
    /// `42`
    Int(i128),
    /// `0.5`; always finite, because Python's `inf` and `nan` are names and no literals.
    Float(f64),
    /// `'text'`
    Str(String),
    /// `[1, 2]`
    List(Vec<Literal>),
    /// `(1, 2)`
    Tuple(Vec<Literal>),
    /// `{'a': 1}`, in the order in which it was written.
    Dict(Vec<(Literal, Literal)>),
}

/// A text is not a Python literal of the kind that Barman writes.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("not a Python literal at byte {at}: {why}")]
pub struct LiteralError {
    /// Where reading stopped.
    pub at: usize,
    /// What is wrong there.
    pub why: &'static str,
}

impl Literal {
    /// The text, when this is a string.
    pub fn as_str(&self) -> Option<&str> {
        match self {
            Self::Str(text) => Some(text),
            _ => None,
        }
    }

    /// The items, when this is a list or a tuple.
    pub fn items(&self) -> Option<&[Literal]> {
        match self {
            Self::List(items) | Self::Tuple(items) => Some(items),
            _ => None,
        }
    }

    /// What Python calls falsy: Barman writes such values as `None` (`infofile.py`, `null_repr`).
    pub fn is_empty(&self) -> bool {
        match self {
            Self::None => true,
            Self::Bool(value) => !value,
            Self::Int(value) => *value == 0,
            Self::Float(value) => *value == 0.0,
            Self::Str(text) => text.is_empty(),
            Self::List(items) | Self::Tuple(items) => items.is_empty(),
            Self::Dict(pairs) => pairs.is_empty(),
        }
    }
}

impl FromStr for Literal {
    type Err = LiteralError;

    fn from_str(text: &str) -> Result<Self, LiteralError> {
        let mut reader = Reader { text, at: 0 };
        let value = reader.value(0)?;
        reader.skip_space();
        if reader.at == text.len() { Ok(value) } else { Err(reader.error("text follows the value")) }
    }
}

struct Reader<'a> {
    text: &'a str,
    at: usize,
}

impl<'a> Reader<'a> {
    fn error(&self, why: &'static str) -> LiteralError {
        LiteralError { at: self.at, why }
    }

    fn rest(&self) -> &'a str {
        self.text.get(self.at..).unwrap_or_default()
    }

    fn peek(&self) -> Option<char> {
        self.rest().chars().next()
    }

    fn next(&mut self) -> Option<char> {
        let c = self.peek()?;
        self.at += c.len_utf8();
        Some(c)
    }

    /// Takes `token` if it comes next.
    fn take(&mut self, token: &str) -> bool {
        let found = self.rest().starts_with(token);
        if found {
            self.at += token.len();
        }
        found
    }

    fn skip_space(&mut self) {
        let rest = self.rest();
        self.at += rest.len() - rest.trim_start_matches([' ', '\t', '\n', '\r', '\x0c']).len();
    }

    fn value(&mut self, depth: usize) -> Result<Literal, LiteralError> {
        if depth > MAX_DEPTH {
            return Err(self.error("it is nested too deeply"));
        }
        self.skip_space();
        match self.peek() {
            Some('[') => self.sequence('[', ']', depth).map(|(items, _)| Literal::List(items)),
            Some('(') => self.tuple(depth),
            Some('{') => self.dict(depth),
            Some('\'' | '"') => self.string().map(Literal::Str),
            // Barman 2 under Python 2 wrote u'...'.
            Some('u') => {
                self.at += 1;
                self.string().map(Literal::Str)
            }
            Some('+' | '-' | '.' | '0'..='9') => self.number(),
            Some(_) => self.word(),
            None => Err(self.error("a value is missing")),
        }
    }

    fn word(&mut self) -> Result<Literal, LiteralError> {
        let words = [("None", Literal::None), ("True", Literal::Bool(true)), ("False", Literal::Bool(false))];
        for (word, value) in words {
            if self.take(word) {
                return Ok(value);
            }
        }
        Err(self.error("expected a string, number, list, tuple, dict, None, True or False"))
    }

    /// Items between brackets, and whether a comma followed the last one.
    fn sequence(&mut self, open: char, close: char, depth: usize) -> Result<(Vec<Literal>, bool), LiteralError> {
        self.at += open.len_utf8();
        let mut items = Vec::new();
        let mut comma = false;
        loop {
            self.skip_space();
            if self.peek() == Some(close) {
                self.at += close.len_utf8();
                return Ok((items, comma));
            }
            if !items.is_empty() && !comma {
                return Err(self.error("expected a comma or the closing bracket"));
            }
            items.push(self.value(depth + 1)?);
            self.skip_space();
            comma = self.take(",");
        }
    }

    /// A tuple, or a value in parentheses when there is no comma.
    fn tuple(&mut self, depth: usize) -> Result<Literal, LiteralError> {
        let (mut items, comma) = self.sequence('(', ')', depth)?;
        if items.len() == 1 && !comma {
            return items.pop().ok_or_else(|| self.error("a value is missing"));
        }
        Ok(Literal::Tuple(items))
    }

    fn dict(&mut self, depth: usize) -> Result<Literal, LiteralError> {
        self.at += 1;
        let mut pairs = Vec::new();
        let mut comma = true;
        loop {
            self.skip_space();
            if self.take("}") {
                return Ok(Literal::Dict(pairs));
            }
            if !comma {
                return Err(self.error("expected a comma or the closing brace"));
            }
            let key = self.value(depth + 1)?;
            self.skip_space();
            if !self.take(":") {
                return Err(self.error("expected a colon after the key"));
            }
            pairs.push((key, self.value(depth + 1)?));
            self.skip_space();
            comma = self.take(",");
        }
    }

    fn number(&mut self) -> Result<Literal, LiteralError> {
        let rest = self.rest();
        let in_number = |c: char| c.is_ascii_digit() || matches!(c, '+' | '-' | '.' | 'e' | 'E');
        let digits = &rest[..rest.find(|c| !in_number(c)).unwrap_or(rest.len())];
        let value = if digits.contains(['.', 'e', 'E']) {
            digits.parse::<f64>().ok().filter(|f| f.is_finite()).map(Literal::Float)
        } else {
            digits.parse::<i128>().ok().map(Literal::Int)
        };
        let value = value.ok_or_else(|| self.error("not a number that fits"))?;
        self.at += digits.len();
        Ok(value)
    }

    fn string(&mut self) -> Result<String, LiteralError> {
        let quote = self.next().filter(|c| matches!(c, '\'' | '"')).ok_or_else(|| self.error("expected a quote"))?;
        let mut text = String::new();
        loop {
            match self.next() {
                None => return Err(self.error("the string does not end")),
                Some(c) if c == quote => return Ok(text),
                Some('\n') => return Err(self.error("a line ends inside the string")),
                Some('\\') => self.escape(&mut text)?,
                Some(c) => text.push(c),
            }
        }
    }

    fn escape(&mut self, text: &mut String) -> Result<(), LiteralError> {
        let c = self.next().ok_or_else(|| self.error("the string does not end"))?;
        match c {
            '\\' | '\'' | '"' => text.push(c),
            'n' => text.push('\n'),
            't' => text.push('\t'),
            'r' => text.push('\r'),
            'a' => text.push('\x07'),
            'b' => text.push('\x08'),
            'f' => text.push('\x0c'),
            'v' => text.push('\x0b'),
            '\n' => {}
            'x' => text.push(self.code_point(2)?),
            'u' => text.push(self.code_point(4)?),
            'U' => text.push(self.code_point(8)?),
            '0'..='7' => text.push(self.octal(c)?),
            // Python keeps the backslash of an escape that it does not know.
            other => text.extend(['\\', other]),
        }
        Ok(())
    }

    fn code_point(&mut self, digits: usize) -> Result<char, LiteralError> {
        let hex = self.rest().get(..digits).filter(|hex| hex.bytes().all(|b| b.is_ascii_hexdigit()));
        let point = hex.and_then(|hex| u32::from_str_radix(hex, 16).ok());
        let c = point.and_then(char::from_u32).ok_or_else(|| self.error("not a code point of text"))?;
        self.at += digits;
        Ok(c)
    }

    fn octal(&mut self, first: char) -> Result<char, LiteralError> {
        let mut value = first.to_digit(8).unwrap_or_default();
        for _ in 0..2 {
            let Some(digit) = self.peek().and_then(|c| c.to_digit(8)) else { break };
            self.at += 1;
            value = value * 8 + digit;
        }
        char::from_u32(value).ok_or_else(|| self.error("not a code point of text"))
    }
}

impl fmt::Display for Literal {
    /// Writes exactly what Python's `repr` does.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::None => f.write_str("None"),
            Self::Bool(true) => f.write_str("True"),
            Self::Bool(false) => f.write_str("False"),
            Self::Int(value) => write!(f, "{value}"),
            Self::Float(value) => f.write_str(&python_repr(*value)),
            Self::Str(text) => write_str(f, text),
            Self::List(items) => {
                f.write_char('[')?;
                write_items(f, items)?;
                f.write_char(']')
            }
            Self::Tuple(items) => {
                f.write_char('(')?;
                write_items(f, items)?;
                f.write_str(if items.len() == 1 { ",)" } else { ")" })
            }
            Self::Dict(pairs) => write_dict(f, pairs),
        }
    }
}

fn write_items(f: &mut fmt::Formatter<'_>, items: &[Literal]) -> fmt::Result {
    for (i, item) in items.iter().enumerate() {
        if i > 0 {
            f.write_str(", ")?;
        }
        write!(f, "{item}")?;
    }
    Ok(())
}

fn write_dict(f: &mut fmt::Formatter<'_>, pairs: &[(Literal, Literal)]) -> fmt::Result {
    f.write_char('{')?;
    for (i, (key, value)) in pairs.iter().enumerate() {
        let comma = if i > 0 { ", " } else { "" };
        write!(f, "{comma}{key}: {value}")?;
    }
    f.write_char('}')
}

fn write_str(f: &mut fmt::Formatter<'_>, text: &str) -> fmt::Result {
    let quote = if text.contains('\'') && !text.contains('"') { '"' } else { '\'' };
    f.write_char(quote)?;
    for c in text.chars() {
        match c {
            '\\' => f.write_str("\\\\")?,
            '\n' => f.write_str("\\n")?,
            '\r' => f.write_str("\\r")?,
            '\t' => f.write_str("\\t")?,
            c if c == quote => write!(f, "\\{c}")?,
            c if is_python_printable(c) => f.write_char(c)?,
            c => match u32::from(c) {
                point @ ..0x100 => write!(f, "\\x{point:02x}")?,
                point @ ..0x1_0000 => write!(f, "\\u{point:04x}")?,
                point => write!(f, "\\U{point:08x}")?,
            },
        }
    }
    f.write_char(quote)
}

/// Python's `str.isprintable`: not of the Unicode categories "other" and "separator", the space excepted.
///
/// Rust's `escape_debug` decides by the same categories; after a first character it escapes no combining marks.
fn is_python_printable(c: char) -> bool {
    match c {
        ' '..='~' => true,
        '\0'..='\u{a0}' => false,
        c => !['a', c].iter().collect::<String>().escape_debug().any(|c| c == '\\'),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Each text was printed by Python's `repr`.
    #[test]
    fn what_python_wrote_is_written_again_byte_for_byte() {
        for text in [
            "None",
            "True",
            "-42",
            "0.5",
            "1e+16",
            "1e-05",
            "123456.789",
            "[]",
            "()",
            "(1,)",
            "{}",
            r"'START WAL LOCATION: 0/2000028 (file 000000010000000000000002)\nCHECKPOINT LOCATION: 0/2000060\n'",
            r#""it's""#,
            r#"'it\'s "both"'"#,
            r"'\\ \t \r \x00 \x1b \x7f \xa0 \xad \u200b \u2028 \U000e0001'",
            "'zürich 日本 🐘 e\u{301}'",
            "[('ts one', 16387, '/srv/ts\\'s \"x\"'), ('b', 16388, '/b')]",
            "{'analysis_time': 2.4e-05, 'number_of_workers': 1, 'copy': {'pgdata': 0.25, 'none': None}}",
        ] {
            assert_eq!(text.parse::<Literal>().map(|v| v.to_string()), Ok(text.to_owned()));
        }
    }

    #[test]
    fn forms_that_repr_does_not_write_are_understood() {
        for (text, canonical) in [
            ("u'x'", "'x'"),
            ("( 'x' )", "'x'"),
            ("[1,2,]", "[1, 2]"),
            ("{'a':1 ,}", "{'a': 1}"),
            (r"'\101\a\q'", r"'A\x07\\q'"),
        ] {
            assert_eq!(text.parse::<Literal>().map(|v| v.to_string()), Ok(canonical.to_owned()), "{text}");
        }
    }

    #[test]
    fn what_is_no_literal_is_refused() {
        let deep = "[".repeat(5000);
        for text in [
            "",
            "'",
            "'a' 'b'",
            "[1 2]",
            "{1}",
            "__import__('os')",
            "nan",
            "1e999",
            r"'\ud800'",
            r"'\x1'",
            "1 1",
            "u",
            &deep,
        ] {
            assert!(text.parse::<Literal>().is_err(), "{text:?} was accepted");
        }
    }

    fn any_literal() -> impl Strategy<Value = Literal> {
        let leaf = prop_oneof![
            Just(Literal::None),
            any::<bool>().prop_map(Literal::Bool),
            any::<i128>().prop_map(Literal::Int),
            any::<f64>().prop_filter("finite", |f| f.is_finite()).prop_map(Literal::Float),
            any::<String>().prop_map(Literal::Str),
        ];
        leaf.prop_recursive(4, 32, 5, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..4).prop_map(Literal::List),
                prop::collection::vec(inner.clone(), 0..4).prop_map(Literal::Tuple),
                prop::collection::vec((inner.clone(), inner), 0..4).prop_map(Literal::Dict),
            ]
        })
    }

    proptest! {
        #[test]
        fn values_are_read_as_they_are_written(value in any_literal()) {
            prop_assert_eq!(value.to_string().parse::<Literal>(), Ok(value));
        }

        #[test]
        fn any_text_is_parsed_or_refused(text in ".{0,40}", soup in r#"[\[\](){}'",:\\xuN0-9e. -]{0,40}"#) {
            let _ = text.parse::<Literal>();
            let _ = soup.parse::<Literal>();
        }
    }
}

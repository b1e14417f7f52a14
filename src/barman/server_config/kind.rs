//! What the values of barman.conf mean: Barman's readers of texts, as far as sync-info shows their results.

use crate::barman::compression::{CUSTOM, Compression};
use crate::barman::conf::parse_boolean;
use crate::barman::python_literal::Literal;
use crate::barman::version::BarmanVersion;

/// The first version that accepts only compressions which it knows.
const KNOWN_COMPRESSIONS: BarmanVersion = BarmanVersion::new(3, 14, 0);

/// The kind of a value, with what holds when none is written.
#[derive(Debug, Clone, Copy)]
pub enum ValueKind {
    /// Any text, else null.
    Text,
    /// Any text, else this one.
    TextOr(&'static str),
    /// Any text, else the server's name.
    Name,
    /// Any text, else the value of another key.
    SameAs(&'static str),
    /// A path, else the one below the server's directory; the empty one is that directory itself.
    Below(&'static str),
    /// A path, else the one below `barman_home`.
    InHome(&'static str),
    /// A path that starts with a slash.
    AbsolutePath(Option<&'static str>),
    /// One of Barman's words for yes and no.
    Bool(bool),
    /// A number.
    Int(Option<i64>),
    /// A number of bytes, with a unit such as `k` or `Mi`.
    Size(Option<i64>),
    /// A length of time such as `2 DAYS`.
    Age,
    /// One of these words.
    Word(Option<&'static str>, &'static [&'static str]),
    /// Some of these words, joined by commas.
    Options(&'static [&'static str]),
    /// Texts joined by commas.
    List,
    /// The name of a replication slot.
    Slot,
    /// A number, `low`, `medium` or `high`.
    Level,
    /// How WAL is compressed.
    WalCompression,
    /// What no file says.
    Computed,
}

impl ValueKind {
    /// The value that a text denotes; `None` when Barman ignores it with a warning. The empty text is null.
    pub fn read(self, text: &str, version: BarmanVersion) -> Option<Literal> {
        match self {
            Self::Bool(_) => parse_boolean(text).map(Literal::Bool),
            Self::Int(_) => integer(text).map(Literal::Int),
            Self::Size(_) => size(text).map(Literal::Int),
            Self::Age => age(text).map(Literal::Str),
            Self::Word(_, words) => word(text, words),
            Self::Options(words) => options(text, words),
            Self::Level if !text.is_empty() => {
                integer(text).map(Literal::Int).or_else(|| word(text, &["low", "medium", "high"]))
            }
            Self::Computed => None,
            _ if text.is_empty() => Some(Literal::None),
            Self::AbsolutePath(_) => text.starts_with('/').then(|| string(text)),
            Self::List => Some(Literal::List(text.split(',').map(string).collect())),
            Self::Slot => slot(text),
            Self::WalCompression if text == "none" => Some(Literal::None),
            Self::WalCompression if version >= KNOWN_COMPRESSIONS => wal_compression(text),
            _ => Some(string(text)),
        }
    }
}

fn string(text: &str) -> Literal {
    Literal::Str(text.to_owned())
}

/// Barman lowers the case of a word, unless the word itself has capitals.
fn word(text: &str, words: &[&str]) -> Option<Literal> {
    let known = words.iter().find(|word| **word == text || **word == text.to_lowercase());
    known.map(|word| string(word))
}

fn wal_compression(text: &str) -> Option<Literal> {
    let known = Compression::ALL.into_iter().flat_map(Compression::names).copied().chain([CUSTOM]);
    word(text, &known.collect::<Vec<_>>())
}

fn options(text: &str, words: &[&str]) -> Option<Literal> {
    let chosen: Option<Vec<&str>> = text
        .split(',')
        .map(|option| words.iter().find(|word| **word == option.trim().to_lowercase()).copied())
        .collect();
    let chosen = chosen.filter(|chosen| !["concurrent_backup", "exclusive_backup"].iter().all(|w| chosen.contains(w)));
    chosen.map(|chosen| string(&chosen.join(",")))
}

/// Python's `int()`, which allows a sign and underscores between digits.
pub fn integer(text: &str) -> Option<i128> {
    let digits = text.trim();
    let well_formed = !digits.starts_with('_') && !digits.ends_with('_') && !digits.contains("__");
    if well_formed { digits.replace('_', "").parse().ok() } else { None }
}

fn size(text: &str) -> Option<i128> {
    let (number, unit) = text.split_at(text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len()));
    let unit = unit.trim().to_lowercase();
    let (power, base) = match unit.strip_suffix('i') {
        Some(unit) => (unit.to_owned(), 1024_i128),
        None => (unit.clone(), 1000),
    };
    let exponent = match power.as_str() {
        "" if unit.is_empty() => 0,
        "k" => 1,
        "m" => 2,
        "g" => 3,
        "t" => 4,
        _ => return None,
    };
    number.parse::<i128>().ok()?.checked_mul(base.checked_pow(exponent)?)
}

/// Read as `36 HOURS`, printed as `1 day, 12 hours`.
fn age(text: &str) -> Option<String> {
    if text.is_empty() {
        return None;
    }
    let (number, unit) = text.trim().split_once(char::is_whitespace)?;
    let number: u64 = number.parse().ok()?;
    let unit = unit.trim().to_lowercase();
    let hours = match unit.strip_suffix('s').unwrap_or(&unit) {
        "hour" => 1,
        "day" => 24,
        "week" => 7 * 24,
        "month" => 31 * 24,
        _ => return None,
    };
    let hours = number.checked_mul(hours)?;
    let count = |n: u64, one: &str| match n {
        0 => None,
        1 => Some(format!("1 {one}")),
        n => Some(format!("{n} {one}s")),
    };
    let parts: Vec<String> = [count(hours / 24, "day"), count(hours % 24, "hour")].into_iter().flatten().collect();
    Some(if parts.is_empty() { "less than one second".to_owned() } else { parts.join(", ") })
}

fn slot(text: &str) -> Option<Literal> {
    let name = text.to_lowercase();
    let allowed = name.len() <= 63 && name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_');
    allowed.then_some(Literal::Str(name))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(kind: ValueKind, text: &str) -> String {
        let value = kind.read(text, BarmanVersion::new(3, 19, 1));
        value.map_or_else(|| "ignored".to_owned(), |value| value.to_string())
    }

    /// Each result is what Barman 3.19.1 printed for the text.
    #[test]
    fn values_are_read_as_barman_reads_them() {
        let options: &[&str] = &["concurrent_backup", "exclusive_backup", "external_configuration"];
        for (kind, text, value) in [
            (ValueKind::Bool(false), "ON", "True"),
            (ValueKind::Bool(true), "7", "ignored"),
            (ValueKind::Bool(true), "", "ignored"),
            (ValueKind::Int(None), " +4 ", "4"),
            (ValueKind::Int(None), "1_000", "1000"),
            (ValueKind::Int(None), "0x10", "ignored"),
            (ValueKind::Int(None), "", "ignored"),
            (ValueKind::Size(None), "5M", "5000000"),
            (ValueKind::Size(None), "5Mi", "5242880"),
            (ValueKind::Size(None), "2 G", "2000000000"),
            (ValueKind::Size(None), "1.5G", "ignored"),
            (ValueKind::Size(None), "1KiB", "ignored"),
            (ValueKind::Size(None), "-1", "ignored"),
            (ValueKind::Age, "2 WEEKS", "'14 days'"),
            (ValueKind::Age, "36 hours", "'1 day, 12 hours'"),
            (ValueKind::Age, "1 MONTH", "'31 days'"),
            (ValueKind::Age, "0 DAYS", "'less than one second'"),
            (ValueKind::Age, "7", "ignored"),
            (ValueKind::Age, "90 MINUTES", "ignored"),
            (ValueKind::Word(None, &["AES256"]), "AES256", "'AES256'"),
            (ValueKind::Word(None, &["AES256"]), "aes256", "ignored"),
            (ValueKind::Word(None, &["link"]), "LINK", "'link'"),
            (ValueKind::Options(options), "Concurrent_Backup", "'concurrent_backup'"),
            (ValueKind::Options(options), "exclusive_backup, concurrent_backup", "ignored"),
            (ValueKind::Options(options), "foo,external_configuration", "ignored"),
            (ValueKind::AbsolutePath(None), "~/x", "ignored"),
            (ValueKind::AbsolutePath(None), "", "None"),
            (ValueKind::List, "a,b , c", "['a', 'b ', ' c']"),
            (ValueKind::Slot, "Barman", "'barman'"),
            (ValueKind::Slot, "a-b", "ignored"),
            (ValueKind::Level, "MEDIUM", "'medium'"),
            (ValueKind::Level, "9", "9"),
            (ValueKind::Level, "", "None"),
            (ValueKind::WalCompression, "GZIP", "'gzip'"),
            (ValueKind::WalCompression, "nonsense", "ignored"),
            (ValueKind::Text, "None of it", "'None of it'"),
            (ValueKind::Text, "", "None"),
        ] {
            assert_eq!(read(kind, text), value, "{kind:?} {text:?}");
        }
        let old = ValueKind::WalCompression.read("nonsense", BarmanVersion::new(3, 12, 1));
        assert_eq!(old, Some(Literal::Str("nonsense".to_owned())));
    }
}

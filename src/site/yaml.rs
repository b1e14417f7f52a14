//! Texts as YAML reads them back, for site files that are written with comments, and so not by serde.

/// Words that YAML takes for something else, in one version or another.
const KEYWORDS: [&str; 9] = ["true", "false", "null", "yes", "no", "on", "off", "y", "n"];

/// A text as a key or a value, also inside `[]` and `{}`: as it is where nothing else can be read, else in quotes.
pub fn scalar(text: &str) -> String {
    if is_plain(text) { text.to_owned() } else { quoted(text) }
}

/// Begins with a letter, a slash or `~/`, and then has nothing that YAML gives a meaning to.
fn is_plain(text: &str) -> bool {
    let begins = text.starts_with(|c: char| c.is_ascii_alphabetic() || c == '/') || text.starts_with("~/");
    let harmless = |c: char| c.is_ascii_alphanumeric() || " _./@%+=~-".contains(c);
    begins
        && text.chars().all(harmless)
        && !text.ends_with(' ')
        && !KEYWORDS.contains(&text.to_ascii_lowercase().as_str())
}

/// As JSON, which is YAML but for characters that YAML does not allow as they are, or takes for the end of a line.
fn quoted(text: &str) -> String {
    let is_kept = |c: char| matches!(c, ' '..='~') || c.is_alphanumeric();
    let json = serde_json::Value::from(text).to_string();
    json.chars().map(|c| if is_kept(c) { c.to_string() } else { format!("\\U{:08x}", u32::from(c)) }).collect()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::scalar;

    type Map = BTreeMap<String, Vec<BTreeMap<String, String>>>;

    /// The text as a key and as a value, in a block and in braces.
    fn read_back(text: &str) -> Result<Map, String> {
        let written = scalar(text);
        let file = format!("{written}:\n  - {written}: {written}   # a comment\n  - {{{written}: {written}}}\n");
        serde_yaml::from_str(&file).map_err(|error| format!("{file}: {error}"))
    }

    #[test]
    fn names_that_yaml_would_read_otherwise_are_quoted() {
        for plain in ["main", "pg-15.prod", "ssh -p 22 -i ~/.ssh/id barman@fra", "~/.ssh/id_dr", "/var/lib/barman"] {
            assert_eq!(scalar(plain), plain);
        }
        for other in
            ["", "15", "1e3", "no", "Null", "~", "-", "- x", "a: b", "a #b", "&a", "*a", "!x", "a ", " a", "0x1", "é"]
        {
            assert_eq!(scalar(other), format!("\"{other}\""));
        }
        assert_eq!(scalar("a\"b\\c\n\u{85}\u{1f600}"), r#""a\"b\\c\n\U00000085\U0001f600""#);
    }

    proptest! {
        #[test]
        fn whatever_a_text_is_it_is_read_back(text in prop_oneof![".{0,20}", "[ -~]{0,20}", "[\\x00-\\u{2100}]{0,8}", "[-~0-9.:eExn ]{1,6}"]) {
            let entry = || BTreeMap::from([(text.clone(), text.clone())]);
            prop_assert_eq!(read_back(&text).unwrap(), BTreeMap::from([(text.clone(), vec![entry(), entry()])]));
        }
    }
}

//! A command line as plain words.
//!
//! The quoting is that of a POSIX shell ("Shell Command Language", 2.2): a backslash, single and double quotes. Whatever
//! a shell would do beyond that (expand, redirect, end the command) is refused, as is every control character: no command
//! line of a site has one.

use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt;

/// Why a command line is not a list of plain words.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NotPlain {
    /// A shell would act on a character.
    #[error("a shell acts on `{0}` where it is not quoted")]
    Acts(char),
    /// A byte that no command line of a site has.
    #[error("it has the control character {0:#04x}")]
    Control(u8),
    /// A quote without its end, or a backslash with nothing behind it.
    #[error("a quote in it has no end")]
    Unfinished,
}

/// What a shell acts on wherever it stands unquoted; and what it acts on at the beginning of a word.
const ACTING: &[u8] = b"$`;|&<>(){*?[";
const ACTING_FIRST: &[u8] = b"~#";
/// What a backslash quotes between double quotes; before anything else it stands for itself.
const ESCAPED: &[u8] = b"$`\"\\";

/// The words of a command line.
pub fn split(line: &[u8]) -> Result<Vec<OsString>, NotPlain> {
    if let Some(control) = line.iter().find(|byte| byte.is_ascii_control() && **byte != b'\t') {
        return Err(NotPlain::Control(*control));
    }
    let mut words = Vec::new();
    let mut word: Option<Vec<u8>> = None;
    let mut bytes = line.iter().copied();
    while let Some(byte) = bytes.next() {
        match byte {
            b' ' | b'\t' => words.extend(word.take()),
            b'\\' => word.get_or_insert_default().push(bytes.next().ok_or(NotPlain::Unfinished)?),
            b'\'' => single(&mut bytes, word.get_or_insert_default())?,
            b'"' => double(&mut bytes, word.get_or_insert_default())?,
            _ if ACTING.contains(&byte) || (word.is_none() && ACTING_FIRST.contains(&byte)) => {
                return Err(NotPlain::Acts(char::from(byte)));
            }
            _ => word.get_or_insert_default().push(byte),
        }
    }
    words.extend(word);
    Ok(words.into_iter().map(OsString::from_vec).collect())
}

/// What is between single quotes, of which the first is read.
fn single(bytes: &mut impl Iterator<Item = u8>, word: &mut Vec<u8>) -> Result<(), NotPlain> {
    loop {
        match bytes.next().ok_or(NotPlain::Unfinished)? {
            b'\'' => return Ok(()),
            byte => word.push(byte),
        }
    }
}

/// What is between double quotes, of which the first is read.
fn double(bytes: &mut impl Iterator<Item = u8>, word: &mut Vec<u8>) -> Result<(), NotPlain> {
    loop {
        match bytes.next().ok_or(NotPlain::Unfinished)? {
            b'"' => return Ok(()),
            byte @ (b'$' | b'`') => return Err(NotPlain::Acts(char::from(byte))),
            b'\\' => {
                let next = bytes.next().ok_or(NotPlain::Unfinished)?;
                if !ESCAPED.contains(&next) {
                    word.push(b'\\');
                }
                word.push(next);
            }
            byte => word.push(byte),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::ffi::OsStrExt;

    use proptest::prelude::*;

    use super::*;

    fn words(line: &str) -> Result<Vec<String>, NotPlain> {
        Ok(split(line.as_bytes())?.into_iter().map(|word| word.into_string().unwrap()).collect())
    }

    #[test]
    fn words_are_quoted_as_for_a_shell() {
        for (line, expected) in [
            ("", vec![]),
            (" a\tb  c ", vec!["a", "b", "c"]),
            ("a\\ b 'c d' \"e f\"", vec!["a b", "c d", "e f"]),
            (r"it\'s 'it'\''s' ''", vec!["it's", "it's", ""]),
            (r#""a\"b\\c\$d\e""#, vec![r#"a"b\c$d\e"#]),
            ("a~b c#d", vec!["a~b", "c#d"]),
            (r"\* \~ '$x' é", vec!["*", "~", "$x", "é"]),
            ("a'b'\"c\"d", vec!["abcd"]),
        ] {
            assert_eq!(words(line).unwrap(), expected, "{line}");
        }
    }

    #[test]
    fn what_a_shell_acts_on_is_refused() {
        for (line, expected) in [
            ("a; b", NotPlain::Acts(';')),
            ("a && b", NotPlain::Acts('&')),
            ("a $(b)", NotPlain::Acts('$')),
            ("a `b`", NotPlain::Acts('`')),
            ("a \"$b\"", NotPlain::Acts('$')),
            ("a \"`b`\"", NotPlain::Acts('`')),
            ("a > b", NotPlain::Acts('>')),
            ("a <(b)", NotPlain::Acts('<')),
            ("a *", NotPlain::Acts('*')),
            ("a [b]", NotPlain::Acts('[')),
            ("a {b,c}", NotPlain::Acts('{')),
            ("a ~root", NotPlain::Acts('~')),
            ("a #b", NotPlain::Acts('#')),
            ("a\nb", NotPlain::Control(b'\n')),
            ("a\rb", NotPlain::Control(b'\r')),
            ("a\0b", NotPlain::Control(0)),
            ("a '\u{1b}[2J'", NotPlain::Control(0x1b)),
            ("a 'b", NotPlain::Unfinished),
            ("a \"b", NotPlain::Unfinished),
            ("a \"b\\", NotPlain::Unfinished),
            ("a \\", NotPlain::Unfinished),
        ] {
            assert_eq!(words(line).unwrap_err(), expected, "{line:?}");
        }
    }

    proptest! {
        /// Words between single quotes come back as they were.
        #[test]
        fn quoted_words_come_back(given in proptest::collection::vec("[ -~é]{0,12}", 0..6)) {
            let quoted = given.iter().map(|word| format!("'{}'", word.replace('\'', r"'\''")));
            let line = quoted.collect::<Vec<_>>().join(" ");
            prop_assert_eq!(words(&line).unwrap(), given);
        }

        /// No word is made of anything but bytes of the line.
        #[test]
        fn nothing_is_added(line in proptest::collection::vec(any::<u8>(), 0..80)) {
            if let Ok(words) = split(&line) {
                let length: usize = words.iter().map(|word| word.as_bytes().len()).sum();
                prop_assert!(length <= line.len());
            }
        }
    }
}

//! A line of xlog.db in the words of sync-info. As Barman writes a line, these are the words that the line itself has: then
//! they are copied, and not read as numbers that are put into words again.

use crate::barman::python_float::with_python_repr;
use crate::barman::wal::WalName;
use crate::barman::wal_entry::{CodecName, Mtime, WalEntry};

/// So many digits a float keeps, whatever they are: no other text of as many reads as the same number.
const KEPT_DIGITS: usize = 15;

/// What sync-info tells of a WAL file, each part as it is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Words<'a> {
    /// Its name.
    pub name: &'a [u8],
    /// Its size.
    pub size: &'a [u8],
    /// When it was last modified; perhaps with more digits than are told.
    pub time: &'a [u8],
    /// How it is compressed.
    pub compression: Option<&'a [u8]>,
    /// How it is encrypted.
    pub encryption: Option<&'a [u8]>,
    /// Whether the line has a fifth field.
    pub has_fifth: bool,
}

impl<'a> Words<'a> {
    /// Those of a line that is written as Barman writes it; `None` for any other, whether it can be read or not.
    pub fn of(line: &'a [u8]) -> Option<Self> {
        let mut fields = line.split(|byte| *byte == b'\t');
        let (name, size, time) = (fields.next()?, fields.next()?, fields.next()?);
        let (compression, encryption) = (fields.next(), fields.next());
        let are_codecs = is_codec(compression) && is_codec(encryption) && fields.next().is_none();
        let is_usual = is_name(name) && is_size(size) && is_time(time) && are_codecs;
        let has_fifth = encryption.is_some();
        let [compression, encryption] = [compression, encryption].map(|codec| codec.filter(|name| *name != b"None"));
        is_usual.then_some(Self { name, size, time, compression, encryption, has_fifth })
    }

    /// Hands over those of a file, however its line is written.
    pub fn with<T>(entry: &WalEntry, tell: impl FnOnce(&Words<'_>) -> T) -> T {
        let (name, size, time) = (entry.name.to_string(), entry.size.to_string(), entry.mtime.to_string());
        tell(&Words {
            name: name.as_bytes(),
            size: size.as_bytes(),
            time: time.as_bytes(),
            compression: entry.compression.as_ref().map(|name| name.as_str().as_bytes()),
            encryption: entry.encryption.as_ref().map(|name| name.as_str().as_bytes()),
            has_fifth: entry.encryption.is_some(),
        })
    }

    /// Appends the file as an element of the list. Nothing in it needs an escape: names and codecs are of letters, digits
    /// and a few signs.
    pub fn push(&self, text: &mut Vec<u8>, has_encryption: bool) {
        text.extend_from_slice(b",\n        {\n            \"compression\": ");
        push_codec(text, self.compression);
        if has_encryption {
            text.extend_from_slice(b",\n            \"encryption\": ");
            push_codec(text, self.encryption);
        }
        text.extend_from_slice(b",\n            \"name\": \"");
        text.extend_from_slice(self.name);
        text.extend_from_slice(b"\",\n            \"size\": ");
        text.extend_from_slice(self.size);
        text.extend_from_slice(b",\n            \"time\": ");
        push_time(text, self.time);
        text.extend_from_slice(b"\n        }");
    }
}

fn is_name(name: &[u8]) -> bool {
    let is_digit = |byte: &u8| byte.is_ascii_digit() | (b'A'..=b'F').contains(byte);
    match <&[u8; 24]>::try_from(name) {
        // Without a branch for each byte, all are looked at in a few instructions.
        Ok(segment) => segment.iter().fold(true, |all, byte| all & is_digit(byte)),
        Err(_) => WalName::of_bytes(name).is_some(),
    }
}

/// A number of bytes without a sign or leading zeros that 64 bits hold.
fn is_size(size: &[u8]) -> bool {
    let has_leading_zero = size.len() > 1 && size.first() == Some(&b'0');
    (1..=19).contains(&size.len()) && !has_leading_zero && size.iter().all(u8::is_ascii_digit)
}

/// One second or more since 1970, as a number with a point and nothing else.
fn is_time(time: &[u8]) -> bool {
    let Some(point) = time.iter().position(|byte| !byte.is_ascii_digit()) else { return false };
    let (whole, fraction) = time.split_at(point);
    let Some((b'.', fraction)) = fraction.split_first() else { return false };
    whole.first().is_some_and(|digit| *digit != b'0')
        && whole.len() <= KEPT_DIGITS
        && !fraction.is_empty()
        && fraction.iter().all(u8::is_ascii_digit)
}

/// Whether a field is a name, null, or missing.
fn is_codec(field: Option<&[u8]>) -> bool {
    field.is_none_or(|name| name == b"None" || CodecName::is_name(name))
}

fn push_codec(text: &mut Vec<u8>, codec: Option<&[u8]>) {
    match codec {
        Some(name) => [b"\"", name, b"\""].iter().for_each(|part| text.extend_from_slice(part)),
        None => text.extend_from_slice(b"null"),
    }
}

fn push_time(text: &mut Vec<u8>, time: &[u8]) {
    let is_told_so = time.len() <= KEPT_DIGITS + 1 && (time.ends_with(b".0") || !time.ends_with(b"0"));
    if is_told_so && is_time(time) {
        return text.extend_from_slice(time);
    }
    let read = std::str::from_utf8(time).ok().and_then(|time| time.parse::<Mtime>().ok());
    match read {
        Some(read) => with_python_repr(read.seconds(), |repr| text.extend_from_slice(repr.as_bytes())),
        None => text.extend_from_slice(time),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::barman::xlogdb::{field_count, parse_line};

    fn pushed(words: &Words<'_>) -> String {
        let mut text = Vec::new();
        words.push(&mut text, true);
        String::from_utf8(text).unwrap()
    }

    /// What the words of a line are told as, if it has any, and what is told of it once it was read.
    fn both(line: &str) -> (Option<String>, Option<String>) {
        let words = Words::of(line.as_bytes()).map(|words| pushed(&words));
        (words, parse_line(line.as_bytes()).ok().map(|entry| Words::with(&entry, pushed)))
    }

    const SEGMENT: &str = "00000001000000000000000A";

    #[test]
    fn a_line_of_barmans_has_words() {
        for name in [SEGMENT, "00000002.history", "00000001000000000000000A.00000028.backup"] {
            for rest in ["16777216\t1795352352.2619777\tNone\tNone", "0\t1700000000.0\tgzip", "338\t1.5"] {
                let (words, read) = both(&format!("{name}\t{rest}"));
                assert!(words.is_some() && words == read, "{name} {rest}: {words:?}, {read:?}");
            }
        }
    }

    #[test]
    fn a_time_is_told_as_python_writes_it() {
        for (time, told) in [
            ("1795352352.2619777", "1795352352.2619777"),
            ("1795352352.26197770", "1795352352.2619777"),
            ("1795352352.26197765", "1795352352.2619777"),
            ("1795352352.00390625", "1795352352.0039062"),
            ("1795352352.50", "1795352352.5"),
            ("1795352352.00", "1795352352.0"),
            ("123456789012345.0", "123456789012345.0"),
            ("999999999999999.9", "999999999999999.9"),
            ("1.000000000000001", "1.000000000000001"),
            ("1.0000000000000001", "1.0"),
        ] {
            let line = format!("{SEGMENT}\t1\t{time}\tNone\tNone");
            let text = pushed(&Words::of(line.as_bytes()).unwrap());
            assert!(text.contains(&format!("\"time\": {told}\n")), "{time}: {text}");
        }
    }

    #[test]
    fn a_line_that_barman_does_not_write_has_none() {
        let line = |size: &str, time: &str, rest: &str| format!("{SEGMENT}\t{size}\t{time}{rest}");
        for line in [
            line("01", "1.0", ""),
            line("+1", "1.0", ""),
            line("99999999999999999999", "1.0", ""),
            line("1", "1", ""),
            line("1", "01.0", ""),
            line("1", "1e3", ""),
            line("1", "inf", ""),
            line("1", "-1.0", ""),
            line("1", "1.0", "\tNone\tNone\tNone"),
            line("1", "1.0", "\t"),
            line("1", "1.0", "\tNone\r"),
            line(" 1", "1.0", "\tNone"),
            SEGMENT.to_lowercase() + "\t1\t1.0",
            String::new(),
        ] {
            assert_eq!(Words::of(line.as_bytes()), None, "{line:?}");
        }
    }

    fn field(common: &'static str, digits: &'static str) -> impl Strategy<Value = String> {
        prop_oneof![4 => common, 2 => digits, 1 => "[ -~\\t]{0,12}"]
    }

    fn any_line() -> impl Strategy<Value = String> {
        let name = prop_oneof![
            4 => "[0-9A-F]{24}",
            2 => "[0-9A-F]{8}\\.history|[0-9A-F]{24}\\.partial|[0-9A-F]{24}\\.[0-9A-F]{8}\\.backup",
            1 => "[ -~]{0,26}",
        ];
        let size = field("[1-9][0-9]{0,7}", "[0-9]{1,21}");
        let time = field("1[0-9]{9}\\.[0-9]{1,9}", "[0-9]{1,18}\\.[0-9]{0,18}");
        let codec = prop_oneof![4 => "\tNone|\tgzip|\tgpg", 1 => "\t[a-z0-9._-]{0,17}", 1 => "[ -~\\t]{0,3}"];
        (name, size, time, codec.clone(), codec)
            .prop_map(|(name, size, time, a, b)| format!("{name}\t{size}\t{time}{a}{b}"))
    }

    proptest! {
        #[test]
        fn words_are_told_as_what_is_read_of_a_line(line in any_line()) {
            let (words, read) = both(&line);
            prop_assert!(words.is_none() || words == read, "{:?}, {:?}", words, read);
            let has_fifth = Words::of(line.as_bytes()).map(|words| words.has_fifth);
            prop_assert!(has_fifth.is_none_or(|has_fifth| has_fifth == (field_count(line.as_bytes()) == 5)));
        }

        #[test]
        fn a_time_of_any_digits_is_told_as_the_number_that_it_is(time in "[1-9][0-9]{0,15}\\.[0-9]{1,16}") {
            let (words, read) = both(&format!("{SEGMENT}\t1\t{time}"));
            prop_assert!(words.is_none() || words == read, "{:?}, {:?}", words, read);
        }

        #[test]
        fn any_bytes_have_words_or_none(bytes in prop::collection::vec(any::<u8>(), 0..80)) {
            if let Some(words) = Words::of(&bytes) {
                prop_assert!(parse_line(&bytes).is_ok(), "{:?}", words);
            }
        }
    }
}

//! Text from elsewhere, made harmless for a terminal.

use crate::barman::ids::is_unprintable;
use crate::barman::secret::without_secrets;

/// How much of a program's stderr an error carries.
const SHOWN: usize = 64 * 1024;

/// The end of what a program wrote, without escape sequences, control characters and white space at its ends.
///
/// Lines stay lines; secrets are masked. What is not UTF-8 or not printable becomes U+FFFD.
pub(super) fn printable_tail(bytes: &[u8]) -> String {
    let bytes = &bytes[bytes.len().saturating_sub(SHOWN)..];
    let text = String::from_utf8_lossy(bytes);
    let mut shown = String::with_capacity(text.len());
    let mut chars = text.chars().peekable();
    while let Some(c) = chars.next() {
        match c {
            '\n' => shown.push('\n'),
            '\t' => shown.push(' '),
            '\r' => {}
            '\u{1b}' => {
                // A colour or a cursor movement: `ESC [ ... letter`. Other sequences lose their ESC alone.
                if chars.next_if_eq(&'[').is_some() {
                    let _final = chars.find(|c| ('@'..='~').contains(c));
                }
            }
            c if is_unprintable(c) => shown.push('\u{fffd}'),
            c => shown.push(c),
        }
    }
    without_secrets(shown.trim())
}

/// Keeps the last `limit` bytes of what is pushed.
#[derive(Debug)]
pub(super) struct Tail {
    bytes: Vec<u8>,
    limit: usize,
}

impl Tail {
    /// Nothing yet.
    pub(super) fn new(limit: usize) -> Self {
        Self { bytes: Vec::new(), limit }
    }

    /// A tail as long as what an error shows.
    pub(super) fn shown() -> Self {
        Self::new(SHOWN)
    }

    /// Adds bytes at the end.
    pub(super) fn push(&mut self, more: &[u8]) {
        self.bytes.extend_from_slice(more);
        // Trimmed at twice the limit only, so that a chatty program does not move the buffer with every read.
        if self.bytes.len() > 2 * self.limit {
            self.bytes.drain(..self.bytes.len() - self.limit);
        }
    }

    /// The last bytes.
    pub(super) fn into_bytes(mut self) -> Vec<u8> {
        self.bytes.drain(..self.bytes.len().saturating_sub(self.limit));
        self.bytes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn escapes_and_controls_do_not_reach_the_terminal() {
        assert_eq!(printable_tail(b"\x1b[31mred\x1b[0m\r\n a\tb\x07\x00 \xff\n"), "red\n a b\u{fffd}\u{fffd} \u{fffd}");
        assert_eq!(printable_tail("right\u{202e}left".as_bytes()), "right\u{fffd}left");
        assert_eq!(printable_tail(b"\x1b["), "");
    }

    #[test]
    fn only_the_end_is_kept() {
        let mut tail = Tail::new(4);
        for chunk in [b"abc".as_slice(), b"defghi", b"jk"] {
            tail.push(chunk);
        }
        assert_eq!(tail.into_bytes(), b"hijk");
    }
}

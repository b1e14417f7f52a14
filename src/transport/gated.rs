//! What a gate at the primary refused.

use crate::error::{Error, Kind};

/// How each line begins in which `antipode gate` says why it refuses something.
pub const REFUSES: &str = "antipode gate: ";

/// The refusal of a gate, if what was said on stderr has one.
pub(super) fn refusal(primary: &str, stderr: &[u8]) -> Option<Error> {
    let stderr = String::from_utf8_lossy(stderr);
    let why = stderr.lines().find_map(|line| line.trim_end().strip_prefix(REFUSES))?;
    let message =
        format!("primary {primary}: its gate refuses this site's key: {}", super::text::printable_tail(why.as_bytes()));
    let error = Error::new(Kind::Refused, message);
    Some(error.hint("what a key may ask for is said in its line of authorized_keys there, behind `antipode gate`"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_is_told_in_the_words_of_the_gate() {
        let said =
            b"banner\nantipode gate: the server main is refused: this key serves billing\nrsync: [Receiver] gone\n";
        let error = refusal("frankfurt", said).unwrap();
        assert_eq!(error.kind, Kind::Refused);
        assert_eq!(
            error.message,
            "primary frankfurt: its gate refuses this site's key: the server main is refused: this key serves billing"
        );
        assert!(refusal("frankfurt", b"rsync: antipode gate\n").is_none());
    }
}
